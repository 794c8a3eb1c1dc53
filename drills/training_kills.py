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
SAME = ["run_id", "value", "epochs", "train_images", "settings", "metric"]


def drill(folder: pathlib.Path, kills: int) -> str:
    """Kill trainings `kills` times in all, until each ends; say in words what was done.

    Raises AssertionError if anything was lost, is there twice or differs from one left alone.
    """
    start = time.monotonic()
    _comes_to_its_end(folder / "quiet", None)
    seconds = time.monotonic() - start
    (row, predictions), trainings, killed = _row(folder / "quiet"), 0, 0
    draw = random.Random(0)
    while killed < kills:
        results = folder / f"killed-{trainings}"
        while not _comes_to_its_end(results, draw.uniform(0.1, 1.2) * seconds):
            killed += 1
        found, its_predictions = _row(results)
        assert found[SAME].equals(row[SAME])
        np.testing.assert_array_equal(its_predictions, predictions)
        left = [path.name for path in results.rglob(".*.part")]
        assert not left, f"half-written files are left: {left}"
        trainings += 1
    return (
        f"{killed} kills of a training that takes {seconds:.0f} s alone, which came to its end "
        f"{trainings} times: always the same row and predictions"
    )


def _comes_to_its_end(results: pathlib.Path, seconds: float | None) -> bool:
    """Train, and kill it unless it ends within `seconds`; say whether it ended."""
    command = [sys.executable, "-m", "cnnlib", *TRAIN.split()]
    own = os.environ | {"CNNLIB_RESULTS": str(results)}
    try:
        subprocess.run(command, env=own, capture_output=True, timeout=seconds, check=True)
    except subprocess.TimeoutExpired:
        return False
    return True


def _row(results: pathlib.Path) -> tuple[pd.Series, np.ndarray]:
    (path,) = (results / "rows").glob("*.json")
    row = pd.read_json(path, typ="series")
    with np.load(results / "predictions" / f"{row['run_id']}.npz") as arrays:
        return row, arrays["predictions"]
