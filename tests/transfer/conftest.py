"""What the tests of transfer learning share: random weights and images, tiny nets, no network."""

import keras
import numpy as np
import pytest

from cnnlib import models, recipes, transfer
from cnnlib.models import vgg
from cnnlib.transfer import extraction


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    monkeypatch.setattr(vgg, "_keras_has_them", lambda: False)


@pytest.fixture(scope="session")
def images():
    return np.random.RandomState(0).randint(0, 256, (50, 32, 32, 3)).astype(np.uint8)


@pytest.fixture(scope="session")
def labels():
    return np.arange(50) % 10


@pytest.fixture(scope="session")
def weights():
    """Weights that keep the size of the maps about the same from block to block.

    So the tests see signals and not noise.
    """
    keras.utils.set_random_seed(0)
    shapes = [w.shape for w in models.VGG16(include_top=False, input_shape=(32, 32, 3)).weights]
    random = np.random.RandomState(1)
    arrays = [
        random.normal(0, np.sqrt(2 / np.prod(s[:3])) if len(s) == 4 else 0.1, s).astype("float32")
        for s in shapes
    ]
    return vgg.Weights(tuple(arrays), "random")


@pytest.fixture(scope="session")
def vgg16(weights):
    return transfer.backbone(weights=weights)


@pytest.fixture(scope="session")
def tiny_model():
    """A function that builds a net which costs nothing and has as many outputs as a backbone."""

    def build(shape=(32, 32, 3), features=1280):
        keras.utils.set_random_seed(0)
        inputs = keras.Input(shape)
        means = keras.layers.GlobalAveragePooling2D()(inputs)
        model = keras.Model(inputs, keras.layers.Dense(features)(means))
        model.compile(jit_compile=False)
        return model

    return build


@pytest.fixture
def tiny(weights, tiny_model, monkeypatch):
    """A backbone that costs nothing, and sees images in chunks of 16."""
    monkeypatch.setattr(extraction, "BATCH", 8)
    monkeypatch.setattr(extraction, "CHUNK", 16)
    return transfer.Backbone(tiny_model(), 32, weights)


@pytest.fixture(scope="session")
def expected():
    """A function that returns the features of images from the model itself."""

    def compute(backbone, images):
        return backbone.model.predict_on_batch(images.astype("float32"))

    return compute


@pytest.fixture
def short(monkeypatch):
    """A function that adds a changed recipe under a name of its own, which it returns."""

    def add(base, **changes):
        changed = recipes.recipe(base, **changes).model_copy(update={"name": f"short-{base}"})
        monkeypatch.setitem(recipes.RECIPES, changed.name, changed)
        return changed.name

    return add


@pytest.fixture(scope="session")
def moved():
    """A function that returns the convolutions whose kernels differ from given weights."""

    def compare(backbone, weights):
        kernels = zip(backbone.weights.arrays[::2], weights.arrays[::2], strict=True)
        names = transfer.LAYERS["all"]
        return [name for name, (a, b) in zip(names, kernels, strict=True) if (a != b).any()]

    return compare
