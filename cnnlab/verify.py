"""Verifying results: train a row again, compare the value and the predictions.

On the same kind of processor, with the same versions and number of threads, every prediction must
be the same. Elsewhere rounding differs, and a net that is trained again is like one of another
seed. It then passes if McNemar's exact test cannot tell the two apart (p of at least 0.001), or,
for a row without kept predictions, if the values differ by at most four standard deviations of the
difference between two such nets, from the binomial distribution.

Rows whose images were drawn in another order than today's (`image_order`) are compared in the same
way, but no identical result can be promised for them.
"""

import dataclasses
import math
import pathlib
import random
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from cnnlab import environment, experiment, ledger
from cnnlib import datasets, recipes, results
from cnnlib.errors import InputError, check_name
from cnnlib.results import prediction_files

CHEAP = 60.0  # seconds of training that a row may have taken to be chosen unasked
SMALLEST_P = 0.001


@dataclasses.dataclass(frozen=True)
class Report:
    """How a row compares with the same row trained again."""

    row: dict[str, Any]
    value: float  # measured now, in the row's metric
    different: int | None  # test images that the two nets put into different classes
    p_value: float | None  # of McNemar's test; None without kept predictions
    tolerance: float  # for the difference of the values, where there are no predictions
    same_conditions: bool  # the same processor, versions, threads and order of images

    @property
    def passed(self) -> bool:
        """Whether the row was reproduced within the stated tolerance."""
        if self.different == 0:
            return True
        if self.p_value is not None:
            return self.p_value >= SMALLEST_P
        return abs(self.value - self.row["value"]) <= self.tolerance

    def text(self) -> str:
        """Return the comparison in one or two lines."""
        metric = self.row["metric"].removeprefix("test_").removesuffix("_percent")
        text = (
            f"{self.row['run_id']}: {metric} {self.row['value']:.2f} % then, {self.value:.2f} % now"
        )
        if self.different is None:
            text += f"; no predictions were kept; tolerance {self.tolerance:.2f}"
        elif self.different == 0:
            text += "; every prediction is the same"
        else:
            text += f"; {self.different:,} predictions differ, McNemar p = {self.p_value:.3g}"
        if self.different and self.same_conditions:
            text += (
                "\n    (on the same processor with the same versions: no difference was expected)"
            )
        return f"{'reproduced' if self.passed else 'NOT REPRODUCED'}  {text}"


def verify(run_ids: Iterable[str] = (), keep_predictions: bool = False) -> Iterator[Report]:
    """Train rows again, one after the other, and yield a Report on each.

    Args:
        run_ids: of rows in the results; none for one published row, drawn at random, that trained
            in less than a minute.
        keep_predictions: write the predictions of a row that has none, if its value came out the
            same.

    Raises InputError for an unknown run or one whose recipe is not among today's.
    """
    known = {row["run_id"]: row for row in results.measured().to_dict("records")}
    chosen = [known[check_name("run", run, known)] for run in run_ids]
    for row in chosen or [_cheap(known)]:
        yield _verified(row, keep_predictions)


def _cheap(known):
    """Return one published row that trains in less than a minute, drawn at random."""
    found = [
        row
        for row in known.values()
        if row["origin"] == "ledger"
        and row["train_seconds"] < CHEAP
        and row["dataset"] == "mnist"
        and "-earlier" not in row["run_id"]
    ]
    if not found:
        raise InputError(f"no published row trains in less than {CHEAP:.0f} s: name one")
    return random.choice(found)


def _verified(row, keep_predictions):
    recipe = recipes.recipe(row["recipe"])
    planned = _plan_of(row, recipe)
    if planned["settings"] != row["settings"]:
        raise InputError(
            f"the recipe {row['recipe']} has changed since {row['run_id']} was trained: then "
            f"{row['settings']}, now {planned['settings']}"
        )
    data = datasets.load(row["dataset"], train_size=row["train_images"], seed=row["seed"])
    with tempfile.TemporaryDirectory(prefix="cnnlib-verify-") as folder:
        # Folders of its own: no earlier stage is taken from the results.
        net, trained = experiment.train(
            row["model"],
            data,
            recipe,
            row["seed"],
            lambda stage: pathlib.Path(folder, _plan_of(row, stage)["run_id"]),
        )
    predictions = experiment.predictions_of(row["model"], net, trained, data.test.images)
    right = predictions == data.test.labels
    error = 100 * float(np.mean(~right))
    value = error if row["metric"] == "test_error_percent" else round(100 - error, 10)
    before = prediction_files.read(row["dataset"], row["run_id"])
    different = p_value = None
    if before is not None:
        different = int((before != predictions).sum())
        p_value = results.mcnemar(before == data.test.labels, right).p_value
    elif keep_predictions and math.isclose(value, row["value"], abs_tol=1e-9):
        _keep(row, predictions)
    conditions = {
        "device": environment.device(),
        "versions": environment.versions(),
        "threads": environment.threads(),
        "image_order": planned["image_order"],
    }
    same = all(row[column] == now for column, now in conditions.items())
    return Report(row, value, different, p_value, tolerance(error, len(right)), same)


def _plan_of(row, recipe):
    return experiment.plan(row["model"], row["dataset"], recipe, row["seed"], row["train_images"])


def tolerance(error_percent: float, test_images: int) -> float:
    """Return the largest difference in percentage points that is put down to chance."""
    share = min(max(error_percent / 100, 1 / test_images), 1 - 1 / test_images)
    return 100 * 4 * math.sqrt(2 * share * (1 - share) / test_images)


def _keep(row, predictions):
    run, dataset = row["run_id"], row["dataset"]
    published = prediction_files.published_file(dataset, run)
    path = published if row["origin"] == "ledger" else prediction_files.local_file(run)
    ledger.write_predictions(path, predictions)
