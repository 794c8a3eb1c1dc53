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
    """Kill trainings `kills` times in all, until each ends, and compare with one left alone.

    Returns:
        What was done, in words.

    Raises:
        AssertionError: if anything was lost, is there twice or differs.
    """
    start = time.monotonic()
    assert _start(folder / "quiet").wait() == 0
    seconds = time.monotonic() - start
    expected, trainings, killed = _row(folder / "quiet"), 0, 0
    draw = random.Random(seed)
    while killed < kills:
        results = folder / f"killed-{trainings}"
        while not _comes_to_its_end(_start(results), draw.uniform(0.1, 1.2) * seconds):
            killed += 1
        _check_same(expected, results)
        trainings += 1
    return (
        f"{killed} kills of a training that takes {seconds:.0f} s alone, which came to its end "
        f"{trainings} times: always the same row and predictions"
    )


def _comes_to_its_end(command: subprocess.Popen, seconds: float) -> bool:
    """Kill a command unless it ends within `seconds`; say whether it ended."""
    try:
        code = command.wait(seconds)
    except subprocess.TimeoutExpired:
        command.kill()
        command.wait()
        return False
    assert code == 0
    return True


def _check_same(expected: tuple[pd.Series, np.ndarray], results: pathlib.Path) -> None:
    row, predictions = _row(results)
    same = ["run_id", "value", "epochs", "train_images", "settings", "metric"]
    assert row[same].equals(expected[0][same])
    np.testing.assert_array_equal(predictions, expected[1])
    left = [path.name for path in results.rglob(".*.part")]
    assert not left, f"half-written files are left: {left}"


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
