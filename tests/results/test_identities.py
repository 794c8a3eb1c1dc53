"""Every published row is still the row that today's code would train under its name.

The run_id is a digest of the net, the data set, the order of its images, the recipe's settings, the
seed and the number of images. Settings are what differs from the defaults, so those are held too.
"""

import csv

import pytest

from cnnlab import experiment
from cnnlib import recipes, storage

NAMED = ("model", "dataset", "recipe", "seed", "train_images")  # with settings and order: the id
PLANNED = ("protocol", "settings", "test_images", "epochs", "results_version")
DEFAULTS = {
    **{"protocol": "plain", "epochs": 20, "batch_size": 128, "optimizer": "adamw"},
    **{"learning_rate": 5e-3, "warmup_epochs": 1.0, "schedule": "cosine", "weight_decay": 0.2},
    **{"momentum": 0.9, "nesterov": False, "label_smoothing": 0.0, "shift_rate": 1.0},
    **{"lookahead": 0, "small_epochs": 0, "small_size": 16, "precision": "float32"},
    **{"test_views": 1, "name": "", "about": "", "transfer": None},
}
TRANSFER_DEFAULTS = {
    **{"image_size": 32, "trainable": "head", "init_from": None, "batch_norm": False},
    **{"blocks": "345", "hidden": 0, "dropout": 0.0, "pool_grid": 1, "mirrored": False},
}


def published(dataset):
    """The rows of a published ledger, as text: in the tests of this folder the code's is empty."""
    with open(storage.DATA / "measured" / f"{dataset}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(("dataset", "least"), [("mnist", 70), ("cifar10", 42)])
def test_every_published_row_has_the_identity_of_its_settings(dataset, least):
    rows = published(dataset)
    assert len(rows) >= least
    for row in rows:
        of_the_run = [row[name] for name in ("model", "dataset", "recipe")]
        plan = experiment.plan(*of_the_run, int(row["seed"]), int(row["train_images"]))
        same = {name: plan[name] for name in (*NAMED, "settings", "results_version")}
        # The first rows were drawn from the images in another order than today's.
        found = experiment.run_id(same | {"image_order": row["image_order"]})
        assert found == row["run_id"]
        assert {name: str(plan[name]) for name in PLANNED} == {name: row[name] for name in PLANNED}
        assert (plan["run_id"] == found) == (plan["image_order"] == row["image_order"])


def test_what_a_recipe_does_not_say_is_what_it_was():
    assert recipes.Recipe(name="").model_dump() == DEFAULTS
    assert recipes.Transfer().model_dump() == TRANSFER_DEFAULTS
