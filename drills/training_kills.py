"""A training is killed at random moments and started again: its row must be as if undisturbed."""

import os
import pathlib
import random
import subprocess
import sys
import time

import numpy as np
import pandas as pd

TRAIN = "train linear-20x20 mnist --recipe plain-small,epochs=6 --train-size 20000"


def drill(folder: pathlib.Path, kills: int, seed: int = 0) -> str:
    """Kill a training `kills` times, then compare its row with that of one that was left alone.

    Returns:
        What was done, in words.

    Raises:
        AssertionError: if anything was lost, is there twice or differs.
    """
    start = time.monotonic()
    assert _start(folder / "quiet").wait() == 0
    seconds = time.monotonic() - start
    draw, early = random.Random(seed), 0
    for _ in range(kills):
        command = _start(folder / "killed")
        try:
            command.wait(draw.uniform(0.3, 1) * seconds)
            early += 1  # it had come to its end before
        except subprocess.TimeoutExpired:
            command.kill()
            command.wait()
    assert _start(folder / "killed").wait() == 0
    quiet, killed = (_row(folder / name) for name in ("quiet", "killed"))
    same = ["run_id", "value", "epochs", "train_images", "settings", "metric"]
    assert quiet[0][same].equals(killed[0][same])
    np.testing.assert_array_equal(quiet[1], killed[1])
    left = [path.name for path in (folder / "killed").rglob(".*.part")]
    assert not left, f"half-written files are left: {left}"
    return f"{kills - early} kills of a training, {early} came after its end; the row is the same"


def _start(results: pathlib.Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "cnnlib", *TRAIN.split()],
        env=os.environ | {"CNNLIB_RESULTS": str(results)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _row(results: pathlib.Path) -> tuple[pd.Series, np.ndarray]:
    (path,) = (results / "rows").glob("*.json")
    row = pd.read_json(path, typ="series")
    with np.load(results / "predictions" / f"{row['run_id']}.npz") as arrays:
        return row, arrays["predictions"]
