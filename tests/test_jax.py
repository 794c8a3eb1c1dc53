"""The same training on Keras' JAX backend."""

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
    "smaller-first": {"lookahead": 2, "small_epochs": 2, "small_size": 8},
}
ON_JAX = """
import sys
import numpy as np
from tests import test_jax
with np.load(sys.argv[1]) as first:
    weights = [first[name] for name in first.files]
for changes in test_jax.CHANGES:
    np.savez(f"{sys.argv[1]}-{changes}.npz", *test_jax.trained(changes, weights))
"""


def data():
    random = np.random.RandomState(0)
    return random.normal(size=(40, SIDE, SIDE, 3)).astype("float32"), random.randint(0, 10, 40)


def small_net():
    keras.utils.set_random_seed(0)
    images = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, use_bias=False)(images)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, keras.layers.Dense(10)(x))


def trained(changes, weights):
    """Return weights, losses and predictions after training on 40 images in batches of 16."""
    net, recipe = small_net(), recipes.recipe("benchmark", **RECIPE, **CHANGES[changes])
    net.set_weights(weights)
    history = training.train(net, *data(), recipe, progress=False)
    losses = history.epochs[["loss", "train_error"]].to_numpy()
    return [*net.get_weights(), losses, training.predict(net, data()[0], views=2)]


@pytest.mark.slow
def test_jax_trains_as_tensorflow_does(tmp_path):
    weights, file = small_net().get_weights(), tmp_path / "weights.npz"
    np.savez(file, *weights)
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    subprocess.run([sys.executable, "-c", ON_JAX, file], env=environment, check=True)
    for changes in CHANGES:
        with np.load(f"{file}-{changes}.npz") as saved:
            found = [saved[name] for name in saved.files]
        for theirs, ours in zip(found, trained(changes, weights), strict=True):
            np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-5, err_msg=changes)
        assert any(np.abs(a - b).max() > 1e-3 for a, b in zip(found, weights, strict=False))
