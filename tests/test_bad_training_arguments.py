"""Wrong arguments of what trains: each ends in an InputError that names what was wrong.

One argument of a valid call at a time is replaced by something else, drawn at random.
"""

import math

import keras
import numpy as np
import pytest

from cnnlib import boosting, losses, models, optimizers, recipes, training, transfer
from cnnlib.errors import InputError
from cnnlib.models import vgg
from cnnlib.transfer import Features

WRONG = [
    *(None, True, -1, 0, 3, 1.5, math.nan, math.inf, 2**70, 1j),
    *("", "no", "345", b"x", [], [1], {}, {"a": 1}, (), (1, 2), (None, None), object(), print),
    *(
        np.zeros(0),
        np.zeros(3),
        np.float32(2),
        np.array("x"),
        np.array(None),
        np.zeros((2, 2), int),
    ),
    *(np.full((4, 28, 28, 1), np.nan, "float32"), np.zeros((4, 28, 28, 1)), np.ones((4, 1, 1, 3))),
    *(recipes.recipe("plain"), recipes.recipe("fine-tuned-64"), keras.layers.ReLU(), range(4)),
]
CALLS_EACH = 40


def calls():
    """Return {name: (function, valid arguments)}; nothing in them takes time."""
    keras.utils.set_random_seed(0)
    net = models.build("linear-28x28")
    images, labels = np.zeros((4, 28, 28, 1), "float32"), np.arange(4)
    committee = boosting.committee([models.build("linear-28x28") for _ in range(3)], "boosted")
    recipe = recipes.recipe("plain,epochs=1")
    base = models.VGG16(include_top=False, input_shape=(32, 32, 3))
    backbone = transfer.backbone(weights=vgg.Weights(tuple(base.get_weights()), "random"))
    colour = np.full((4, 32, 32, 3), 9, np.uint8)
    features = Features(np.zeros((4, 1280), "float32"), 1.0, dict(transfer.WIDTHS))
    head = transfer.head()
    data = {"images": images, "labels": labels}
    found = {
        "train": (
            training.train,
            {"model": net, **data, "recipe": recipe, "seed": 1, "validation": (images, labels)}
            | {"checkpoint": None, "progress": False},
        ),
        "predict": (
            training.predict,
            {"model": net, "images": images, "batch_size": 2, "views": 1},
        ),
        "evaluate": (training.evaluate, {"model": net, **data, "views": 1}),
        "check": (training.check, {"model": net, **data}),
        "precision": (training.precision, {"recipe": recipe}),
        "trainable_parameters": (training.trainable_parameters, {"model": net}),
        "fingerprint": (training.fingerprint, data),
        "loss_of": (losses.loss_of, {"model": net, "label_smoothing": 0.1}),
        "optimizer": (optimizers.optimizer, {"recipe": recipe, "steps": 10}),
        "boosting.predict": (
            boosting.predict,
            {"model": committee, "images": images, "confidence": 0.5},
        ),
        "cost": (boosting.cost, {"asked": np.array([True, False])}),
        "choose_confidence": (boosting.choose_confidence, {"model": committee, **data}),
        "filtered": (
            boosting.filtered,
            {"nets": [net], **data, "wanted": 4, "cap": 9, "seed": (0, 2), "progress": False},
        ),
        "patterns": (boosting.patterns, {**data, "numbers": np.arange(4), "seed": (0, 2)}),
        "boosting.train": (
            boosting.train,
            {"name": "linear-28x28", **data, "recipe": recipe, "seed": 0, "folder": None}
            | {"wanted": 2, "cap": 4, "classes": 10, "progress": False},
        ),
        "transfer.backbone": (
            transfer.backbone,
            {"input_shape": (32, 32, 3), "image_size": None, "weights": "x", "pool_grid": 1},
        ),
        "features": (
            transfer.features,
            {"backbone": backbone, "images": colour, "progress": False},
        ),
        "of": (features.of, {"blocks": "45"}),
        "head": (
            transfer.head,
            {"blocks": "45", "classes": 10, "hidden": 3, "dropout": 0.5}
            | {"widths": transfer.WIDTHS},
        ),
        "assemble": (
            transfer.assemble,
            {"backbone": backbone, "head": head, "blocks": "345", "name": "net"},
        ),
        "unfreeze": (transfer.unfreeze, {"model": head, "trainable": "head"}),
        "put_batch_norm": (
            transfer.put_batch_norm,
            {"net": backbone, "trainable": "block5", "images": colour},
        ),
        "fold_batch_norm": (transfer.fold_batch_norm, {"net": backbone}),
        "rgb": (transfer.rgb, {"images": colour}),
        "check_images": (transfer.check_images, {"images": colour}),
        "transfer.predict": (
            transfer.predict,
            {
                "model": transfer.assemble(backbone, head),
                "images": colour,
                "batch_size": 2,
                "views": 1,
            },
        ),
        "transfer.train": (
            transfer.train,
            {"images": colour, "labels": labels, "recipe": recipes.recipe("quick-frozen")}
            | {"seed": 0, "classes": 10, "start": None, "checkpoint": None, "validation": None}
            | {"weights": "x", "progress": False},
        ),
        "probabilities": (
            transfer.probabilities,
            {"trained": None, "images": colour, "progress": False},
        ),
    }
    return found


@pytest.fixture(scope="module")
def known():
    return calls()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [
    "train", "predict", "evaluate", "check", "precision", "trainable_parameters", "fingerprint",
    "loss_of", "optimizer", "boosting.predict", "cost", "choose_confidence", "filtered", "patterns",
    "boosting.train", "transfer.backbone", "features", "of", "head", "assemble", "unfreeze",
    "put_batch_norm", "fold_batch_norm", "rgb", "check_images", "transfer.predict",
    "transfer.train", "probabilities",
])  # fmt: skip
def test_a_wrong_argument_is_an_input_error(known, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # for what is taken as the name of a folder
    function, valid = known[name]
    random = np.random.RandomState(len(name))
    for _ in range(CALLS_EACH):
        argument = list(valid)[random.randint(len(valid))]
        value = WRONG[random.randint(len(WRONG))]
        try:
            function(**valid | {argument: value})
        except InputError as error:
            assert str(error)
        except Exception as error:
            raise AssertionError(f"{name}({argument}={value!r}): {error!r}") from error
