"""The same training on Keras' JAX backend: step by step as `fit` does it, and by whole epochs."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from cnnlib import recipes, training

RECIPE = {"protocol": "plain", "epochs": 3, "batch_size": 16, "learning_rate": 0.01}

SIDE = 16
CHANGES = {
    "plain": {},
    "lookahead": {"lookahead": 2},
    "smaller-first": {"lookahead": 2, "small_epochs": 2, "small_size": 8},
}

ON_JAX = """
import sys

import numpy as np

from cnnlib import compiled_epochs, recipes, training
from tests.test_jax import CHANGES, RECIPE, data, small_net

if sys.argv[1] == "by-epoch":  # as on a GPU
    compiled_epochs.is_supported = lambda: True
net = small_net()
with np.load(sys.argv[3]) as first:
    net.set_weights([first[name] for name in first.files])
recipe = recipes.recipe("benchmark", **RECIPE, **CHANGES[sys.argv[2]])
history = training.train(net, *data(), recipe, progress=False)
losses = history.epochs[["loss", "train_error"]]
answers = training.predict(net, data()[0], batch_size=16, views=2)
np.savez(sys.argv[3], *net.get_weights(), losses=losses, answers=answers)
"""


def data():
    random = np.random.RandomState(0)
    return random.normal(size=(40, SIDE, SIDE, 3)).astype("float32"), random.randint(0, 10, 40)


def small_net():
    images = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, use_bias=False)(images)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, keras.layers.Dense(10)(x))


@pytest.mark.slow
@pytest.mark.parametrize("changes", CHANGES)
@pytest.mark.parametrize("way", ["by-step", "by-epoch"])
def test_jax_trains_as_tensorflow_does(way, changes, tmp_path):
    """40 images in batches of 16, so that the last batch is smaller."""
    keras.utils.set_random_seed(0)
    net, file = small_net(), tmp_path / "weights.npz"
    np.savez(file, *net.get_weights())
    recipe = recipes.recipe("benchmark", **RECIPE, **CHANGES[changes])
    history = training.train(net, *data(), recipe, progress=False)
    before = dict(np.load(file))
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    subprocess.run([sys.executable, "-c", ON_JAX, way, changes, file], env=environment, check=True)
    found = dict(np.load(file))
    losses = history.epochs[["loss", "train_error"]]
    np.testing.assert_allclose(found.pop("losses"), losses, rtol=1e-4)
    answers = training.predict(net, data()[0], views=2)
    np.testing.assert_allclose(found.pop("answers"), answers, rtol=1e-4, atol=1e-5)
    for theirs, ours in zip(found.values(), net.get_weights(), strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-5)
    assert any(np.abs(found[name] - before[name]).max() > 1e-3 for name in found)
