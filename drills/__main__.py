"""Run every drill and write what came of it to docs/reliability.md: ten minutes on two cores."""

import datetime
import pathlib
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial

from cnnlab import environment
from cnnlib import storage
from drills import batch_files, batch_kills, damage, doors, pictures, training_kills

PAGE = storage.ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- drills: begin (made by `python -m drills`) -->", "<!-- drills: end -->"


def killed(drill: Callable[[pathlib.Path, int], str], kills: int) -> tuple[str, bool]:
    with tempfile.TemporaryDirectory(prefix="drill-") as folder:
        return drill(pathlib.Path(folder), kills), True


# What is done, and how often: in the whole drill, and in tests/test_drills.py.
DRILLS: dict[str, tuple[Callable[[int], tuple[str, bool]], int, int]] = {
    "Wrong arguments at the doors": (doors.drill, 5_000, 500),
    "A file of data/ that is altered, cut off, empty, longer or missing": (damage.drill, 400, 40),
    "The same in a picture that a reader hands in": (damage.damaged_pictures, 2_000, 100),
    "Damaged batch files": (batch_files.drill, 2_000, 100),
    "Digits on paper, drawn like photographs": (pictures.drill, 60, 5),
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
