"""Batch files that are damaged or ask for what cannot be: `batch plan` must refuse them quickly."""

import pathlib
import random
import tempfile
import time
from collections import Counter

from cnnlab import batch
from drills import counted, outcome

GOOD = """\
- train:
    model: lenet-5
    dataset: mnist
    recipe: "plain,epochs=3"
    seeds: 2
    train_size: 1000
- notebook:
    path: 04_lenet1
    grid: {epochs: [1, 2], seed: [0, 1]}
"""
PIECES = [
    *("[", "]", "{", "}", ":", "- ", "'", '"', "&a ", "*a", "!!set ", "!x ", "|", ">", "#", "\t"),
    *("9" * 400, "1e999", ".nan", "2020-01-01", "0x", "null", "~", "true", "\n", " ", "\\", "\0"),
    *("10000000", "-1", "lenet-5", "cifar10", "seeds", "grid", "<<: *a", "? ", "é", "🙂"),
]


def damaged(draw: random.Random) -> str:
    """Return the good file with one to four pieces put in, or parts taken out."""
    text = GOOD
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(text))
        piece, cut = draw.choice([(draw.choice(PIECES), 0), ("", draw.randint(1, 8))])
        text = text[:at] + piece + text[at + cut :]
    return text


def drill(count: int) -> tuple[str, bool]:
    """Plan damaged batch files; return the outcomes with the slowest, and whether all are good."""
    draw, found, slowest = random.Random(0), Counter(), 0.0
    with tempfile.TemporaryDirectory(prefix="drill-") as folder:
        path = pathlib.Path(folder) / "batch.yaml"
        path.write_text(GOOD, encoding="utf-8")
        batch.read(path)
        for _ in range(count):
            path.write_text(damaged(draw), encoding="utf-8")
            start = time.perf_counter()
            found[outcome(batch.read, path)] += 1
            slowest = max(slowest, time.perf_counter() - start)
    text, good = counted(found, ("refused", "accepted"))
    return f"{text}; the slowest took {slowest:.2f} s", good and slowest < 1
