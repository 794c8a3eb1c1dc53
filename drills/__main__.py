"""Run every drill and write what came of it to docs/reliability.md: ten minutes on two cores."""

import datetime
import pathlib
import re
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial

from cnnlab import environment
from cnnlib import digits, storage
from drills import batch_files, batch_kills, damage, doors, pictures, training_kills

PAGE = storage.ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- drills: begin (made by `python -m drills`) -->", "<!-- drills: end -->"


def wrong_arguments(count: int) -> tuple[str, bool]:
    wrong = sum(doors.problems(count).values())
    return (
        f"{count:,} calls: {wrong} accepted, or ended in another error than InputError",
        not wrong,
    )


def outcomes(found: Counter, good: tuple[str, ...]) -> tuple[str, bool]:
    text = ", ".join(f"{n} {outcome}" for outcome, n in sorted(found.items()))
    return f"{found.total()}: {text}", set(found) <= set(good)


def damaged_data(count: int) -> tuple[str, bool]:
    return outcomes(damage.damaged_files(count), ("refused",))


def damaged_pictures(count: int) -> tuple[str, bool]:
    return outcomes(damage.damaged_pictures(count), ("refused", "read"))


def damaged_batch_files(count: int) -> tuple[str, bool]:
    found, slowest = batch_files.refused(count)
    text, good = outcomes(found, ("refused", "planned"))
    return f"{text}; the slowest took {slowest:.2f} s", good and slowest < 1


def digits_on_paper(count: int) -> tuple[str, bool]:
    net = digits.load_net(digits.find_net("lenet-5")[0])
    right = {kind: pictures.right_answers(net, kind, count) for kind in pictures.KINDS}
    parts = ", ".join(f"{kind.__name__.replace('_', ' ')} {n}" for kind, n in right.items())
    return f"LeNet-5's right answers of {count}: {parts}", min(right.values()) >= 0.8 * count


def killed(drill: Callable[[pathlib.Path, int], str], kills: int) -> tuple[str, bool]:
    with tempfile.TemporaryDirectory(prefix="drill-") as folder:
        return drill(pathlib.Path(folder), kills), True


# What is done, and how often: in the whole drill, and in tests/test_drills.py.
DRILLS: dict[str, tuple[Callable[[int], tuple[str, bool]], int, int]] = {
    "Wrong arguments at the doors": (wrong_arguments, 5_000, 500),
    "A file of data/ that is altered, cut off, empty, longer or missing": (damaged_data, 400, 40),
    "The same in a picture that a reader hands in": (damaged_pictures, 2_000, 100),
    "Damaged batch files": (damaged_batch_files, 2_000, 100),
    "Digits on paper, drawn like photographs": (digits_on_paper, 60, 5),
    "A training that is killed and started again": (partial(killed, training_kills.drill), 20, 2),
    "A batch of notebooks that is killed and started again": (
        partial(killed, batch_kills.drill),
        25,
        1,
    ),
}


def main() -> None:
    warnings.simplefilter("ignore")
    lines, failed = [], []
    for title, (drill, whole, _) in DRILLS.items():
        start = time.monotonic()
        try:
            text, good = drill(whole)
        except AssertionError as error:
            text, good = f"failed: {error}", False
        failed += [] if good else [title]
        seconds = time.monotonic() - start
        lines.append(f"| {title} | {text} | {seconds:.0f} |")
        print(f"{title}: {text} ({seconds:.0f} s)", flush=True)
    write(lines)
    if failed:
        sys.exit(f"Not as it should be: {'; '.join(failed)}")


def write(lines: list[str]) -> None:
    """Put the lines of the table into the page."""
    made = f"{datetime.date.today()}, {environment.device()}; {environment.versions()}."
    table = ["| drill | outcome | seconds |", "| --- | --- | ---: |", *lines, "", made]
    text = PAGE.read_text(encoding="utf-8")
    part = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    new = "\n".join([BEGIN, "", *table, "", END])
    storage.write_atomically(PAGE, part.sub(lambda _: new, text))


if __name__ == "__main__":
    main()
