"""Wrong arguments of what trains: each ends in an InputError that names what was wrong.

One argument of a valid call at a time is replaced by something else, drawn at random.
"""

import math

import keras
import numpy as np
import pytest

from cnnlib import losses, models, optimizers, recipes, training
from cnnlib.errors import InputError

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
    recipe = recipes.recipe("plain,epochs=1")
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
    }
    return found


@pytest.fixture(scope="module")
def known():
    return calls()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [
    "train", "predict", "evaluate", "check", "precision", "trainable_parameters", "fingerprint",
    "loss_of", "optimizer",
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
