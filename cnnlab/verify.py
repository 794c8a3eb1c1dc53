"""Verifying results: train a row again, and compare its predictions and its value.

On the same kind of processor, with the same versions and number of threads, every prediction must
be the same. Elsewhere rounding differs, and a net that is trained again is like one of another
seed. It then passes if McNemar's exact test on the test images cannot tell the two apart (p of at
least 0.001). For a row without kept predictions the value is compared with those of its seeds: it
passes in their 99 % prediction interval, from Student's distribution. A row with a single seed and
no predictions is not verifiable, unless its value is the same.
"""

import math
import pathlib
import random
import tempfile
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from cnnlab import experiment
from cnnlib import datasets, recipes, results
from cnnlib.errors import InputError, check_name

CHEAP = 60.0  # seconds of training that a row may have taken to be chosen unasked
SMALLEST_P, CONFIDENCE = 0.001, 0.99
REPRODUCED, DIFFERS, UNKNOWN = "reproduced", "NOT REPRODUCED", "not verifiable"


class Report(NamedTuple):
    """How a row compares with the same row trained again."""

    outcome: str
    """REPRODUCED, DIFFERS or UNKNOWN."""
    text: str


def verify(run_ids: Iterable[str] = ()) -> Iterator[Report]:
    """Train rows again, one after the other, and yield a Report on each.

    Without `run_ids` one published row of MNIST is drawn that trained in less than a minute. Raises
    InputError for an unknown run or one whose recipe is not among today's.
    """
    known = results.rows()
    cheap = [
        run
        for run, row in known.items()
        if row["origin"] == "ledger" and row["dataset"] == "mnist" and row["train_seconds"] < CHEAP
    ]
    for run in [check_name("run", run, known) for run in run_ids] or [random.choice(cheap)]:
        yield compare(known[run], *_trained_again(known[run]))


def _trained_again(row):
    """Return labels of the test images, and what a net trained as the row says answers."""
    recipe = recipes.recipe(row["recipe"])
    model, dataset, seed, size = (row[c] for c in ("model", "dataset", "seed", "train_images"))

    def plan(stage):
        return experiment.plan(model, dataset, stage, seed, size)

    planned = plan(recipe) | {name: row[name] for name in ("image_order", "results_version")}
    if planned["settings"] != row["settings"] or experiment.run_id(planned) != row["run_id"]:
        raise InputError(
            f"{row['run_id']} was trained with the settings {row['settings']}, and `train` has "
            f"{planned['settings']} (run {experiment.run_id(planned)})"
        )
    data = datasets.load(dataset, size, seed=seed, sample=row["image_order"] == "sample")
    with tempfile.TemporaryDirectory(prefix="cnnlib-verify-") as folder:
        # Folders of its own: no earlier stage is taken from the results.
        net, trained = experiment.train(
            model, data, recipe, seed, lambda stage: pathlib.Path(folder, plan(stage)["run_id"])
        )
    return data.test.labels, experiment.predictions_of(model, net, trained, data.test.images)


def compare(row: dict, labels: np.ndarray, predictions: np.ndarray) -> Report:
    """Compare a row with the class that a net trained as it says gives to each test image."""

    def value_of(found):
        error = 100 * float(np.mean(found != labels))
        return error if row["metric"] == "test_error_percent" else 100 - error

    value, before = value_of(predictions), results.read_predictions(row)
    if before is not None and not math.isclose(value_of(before), row["value"], abs_tol=0.005):
        how, outcome = f"the predictions kept of it are {value_of(before):.2f} %", DIFFERS
    elif before is not None:
        different = int((before != predictions).sum())
        p = results.mcnemar(before == labels, predictions == labels).p_value
        outcome = REPRODUCED if p >= SMALLEST_P else DIFFERS
        how = f"{different:,} of {len(labels):,} predictions differ, McNemar p = {p:.3g}"
    else:
        low, high = _interval(row)
        how = f"no predictions were kept; another seed is expected within {low:.2f} to {high:.2f} %"
        outcome = REPRODUCED if low <= value <= high else DIFFERS
        if math.isnan(low):
            how, outcome = "no predictions were kept, and no other seeds", UNKNOWN
        if math.isclose(value, row["value"], abs_tol=1e-9):
            outcome = REPRODUCED
    metric = row["metric"].split("_")[1]
    text = f"{metric} {row['value']:.2f} % then, {value:.2f} % now; {how}"
    return Report(outcome, f"{outcome}  {row['run_id']}: {text}")


def _interval(row):
    """The 99 % prediction interval of another seed's value; NaN for fewer than two seeds."""
    from scipy import stats

    named = ("model", "settings", "train_images", "test_images", "metric")
    rows = results.rows(row["dataset"]).values()
    seeds = {r["seed"]: r["value"] for r in rows if all(r[name] == row[name] for name in named)}
    values = list(seeds.values())
    if len(values) < 2:
        return math.nan, math.nan
    spread = max(np.std(values, ddof=1) * math.sqrt(1 + 1 / len(values)), 1e-9)
    return stats.t.interval(CONFIDENCE, len(values) - 1, np.mean(values), spread)
