"""A row is trained again and compared: with its predictions, else with the spread over seeds."""

import numpy as np
import pytest

from cnnlab import experiment, ledger, verify
from cnnlib import datasets
from cnnlib.errors import InputError

pytestmark = pytest.mark.usefixtures("measured_folder")
LABELS = datasets.load("mnist").test.labels


def with_mistakes(first, count):
    """The labels, but for `count` images from `first` on."""
    wrong = np.arange(10_000)
    return np.where((wrong >= first) & (wrong < first + count), (LABELS + 1) % 10, LABELS)


@pytest.mark.slow
def test_the_same_machine_reproduces_every_prediction_and_mistakes_of_others_are_noticed():
    row = experiment.train_row("linear-20x20", "mnist", "plain,epochs=1", seed=3, train_size=1000)
    (report,) = verify.verify([row["run_id"]])
    assert report.outcome == verify.REPRODUCED and "; 0 of 10,000 predictions" in report.text
    belongs = {"predictions": LABELS}  # as if the net had made no mistake
    for value, how in ((0.0, "McNemar p = 0"), (row["value"], "kept of it are 0.00 %")):
        ledger.record(**row | {"value": value}, **belongs)
        (report,) = verify.verify([row["run_id"]])
        assert report.text.startswith("NOT REPRODUCED") and how in report.text
    for edited in ({"settings": "{}"}, {"seed": 4}, {"results_version": 2}):
        ledger.record(**row | edited)
        with pytest.raises(InputError, match="was trained with the settings"):
            list(verify.verify([row["run_id"]]))
    with pytest.raises(InputError, match=r"unknown run 'no-such-run'. Known: "):
        list(verify.verify(["no-such-run"]))


@pytest.mark.parametrize(
    ("now", "outcome"),
    [
        (with_mistakes(0, 100), verify.REPRODUCED),
        (with_mistakes(50, 105), verify.REPRODUCED),  # p = 0.77
        (with_mistakes(0, 160), verify.DIFFERS),  # the value alone would pass: within 0.6 points
    ],
)
def test_predictions_decide_where_they_were_kept(run, now, outcome):
    row = ledger.record(**run(value=1.0), predictions=with_mistakes(0, 100))
    assert verify.compare(row, LABELS, now).outcome == outcome


@pytest.mark.parametrize(
    ("others", "mistakes", "outcome"),
    [
        # Student's 99 % for 3 seeds with a mean of 1.0 and a deviation of 0.02:
        # 1.0 ± 9.925 * 0.02 * sqrt(4 / 3) = 0.77 to 1.23
        ([0.98, 1.02], 120, verify.REPRODUCED),
        ([0.98, 1.02], 125, verify.DIFFERS),
        ([0.98, 1.02], 75, verify.DIFFERS),
        ([], 101, verify.UNKNOWN),
        ([], 100, verify.REPRODUCED),  # the very value
    ],
)
def test_without_predictions_the_seeds_decide(run, others, mistakes, outcome):
    for seed, value in enumerate(others, 1):
        ledger.record(**run(value=value, seed=seed))
    row = ledger.record(**run(value=1.0))
    report = verify.compare(row, LABELS, with_mistakes(0, mistakes))
    assert report.outcome == outcome and report.text.startswith(outcome)
    assert ("0.77 to 1.23 %" in report.text) == bool(others)
