"""The layers of the course in half precision and for images of any size, as Keras' own are used."""

import keras
import numpy as np
import pytest

from cnnlib import models
from cnnlib.models.cifar10 import Whitening
from cnnlib.models.cifar10.dpn import DualPath
from cnnlib.models.cifar10.parts import GroupedConv2D
from cnnlib.models.layers import RBFLoss, RBFOutput, TableConvolution, TrainableSubsampling
from cnnlib.models.norm import BatchNorm
from cnnlib.models.vgg import VGGPreprocessing
from cnnlib.models.winograd import FastConv2D

# What takes maps (n, height, width, 4) to maps
LAYERS = {
    "table": lambda **options: TableConvolution([[0, 1], [2, 3], [0, 3]], 3, **options),
    "subsampling": TrainableSubsampling,
    "pairs": lambda **options: TrainableSubsampling([0, 0, 1, 1, 2, 2, 3, 3], **options),
    "whitening": Whitening,
    "groups": lambda **options: GroupedConv2D(8, 3, groups=2, padding="same", **options),
    "depthwise": lambda **options: GroupedConv2D(4, 3, groups=4, padding="same", **options),
    "fast": lambda **options: FastConv2D(6, 3, padding="same", **options),
    "norm": BatchNorm,
}


def maps(*shape, seed=0):
    return np.random.RandomState(seed).normal(size=shape).astype("float32")


def net_of(layer, shape):
    images = keras.Input(shape)
    if isinstance(layer, DualPath):
        return keras.Model(images, layer([images, images]))
    return keras.Model(images, layer(images))


def same_weights(layer, other):
    random = np.random.RandomState(1)
    values = [random.uniform(0.1, 0.9, w.shape) for w in layer.weights]
    layer.set_weights(values)
    other.set_weights(values)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("name", LAYERS)
def test_half_precision_is_the_result_rounded(name, policy):
    whole, half = (LAYERS[name](dtype=dtype) for dtype in ("float32", policy))
    images = maps(3, 10, 11, 4)
    exact, rounded = net_of(whole, (10, 11, 4)), net_of(half, (10, 11, 4))
    same_weights(whole, half)
    assert all(w.dtype == "float32" for w in half.weights)  # they are rounded only to compute
    for training in (False, True):
        expected = keras.ops.convert_to_numpy(exact(images, training=training))
        found = rounded(images, training=training)
        assert keras.backend.standardize_dtype(found.dtype) == policy.removeprefix("mixed_")
        found = keras.ops.convert_to_numpy(keras.ops.cast(found, "float32"))
        tolerance = {"mixed_float16": 0.01, "mixed_bfloat16": 0.06}[policy]
        assert np.abs(found - expected).max() <= tolerance * max(1, np.abs(expected).max())


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
@pytest.mark.parametrize("name", [*LAYERS, "dual", "vgg"])
def test_maps_of_any_size_have_the_result_of_each_size(name, policy):
    make = {**LAYERS, "dual": lambda **o: DualPath(3, **o), "vgg": VGGPreprocessing}[name]
    channels = 3 if name == "vgg" else 4
    layer, sized = make(dtype=policy), make(dtype=policy)
    images = maps(2, 9, 12, channels)
    any_size, one_size = net_of(layer, (None, None, channels)), net_of(sized, images.shape[1:])
    if layer.weights:
        same_weights(layer, sized)
    for training in (False, True):
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(any_size(images, training=training)),
            keras.ops.convert_to_numpy(one_size(images, training=training)),
            rtol=1e-3,
            atol=1e-3,
        )
    loaded = keras.models.clone_model(any_size)  # from its configuration
    assert loaded.output_shape == any_size.output_shape


def test_preprocessing_stays_exact_in_half_precision():
    images = np.random.RandomState(0).randint(0, 256, (2, 20, 20, 3)).astype("float32")
    expected = images[..., ::-1] - np.float32([103.939, 116.779, 123.68])
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer, resized = VGGPreprocessing(), VGGPreprocessing(10)
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_allclose(layer(images), expected, atol=1e-4)
    plain = keras.ops.image.resize(images, (10, 10), antialias=True)
    np.testing.assert_allclose(resized(images), layer(plain), atol=1e-4)


def test_distances_and_their_loss_in_half_precision():
    """Distances reach 84 * (1 + 1.7159)^2 = 620, of which float16 keeps three digits."""
    units, labels = np.random.RandomState(0).uniform(-1.7, 1.7, (5, 84)), np.arange(5)
    exact = RBFOutput()(units.astype("float32"))
    half = RBFOutput(dtype="mixed_float16")(units.astype("float32"))
    np.testing.assert_allclose(np.float32(half), exact, rtol=2e-3)
    np.testing.assert_allclose(RBFLoss()(labels, half), RBFLoss()(labels, exact), rtol=2e-3)


NETS = [
    "linear-20x20",
    "mlp-28x28-300-100",
    "lenet-1",
    "lenet-4-paper",
    "lenet-5",
    "lenet-5-paper",
    "boosted-linear-28x28",
    "cifar10/fast",
    "cifar10/regnetx-200mf",
]


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("name", NETS)
def test_a_net_in_half_precision_gives_whole_logits_and_learns(name, policy):
    keras.utils.set_random_seed(0)
    whole = models.build(name)
    keras.config.set_dtype_policy(policy)
    try:
        half = models.build(name)
    finally:
        keras.config.set_dtype_policy("float32")
    half.set_weights(whole.get_weights())
    images = np.random.RandomState(0).uniform(-0.1, 1.2, (8, *whole.input_shape[1:]))
    images, labels = images.astype("float32"), np.arange(8)
    expected, found = whole.predict_on_batch(images), half.predict_on_batch(images)
    assert found.dtype == np.float32
    tolerance = 0.02 if policy == "mixed_float16" else 0.1
    assert np.abs(found - expected).max() <= tolerance * max(1, np.abs(expected).max())
    rbf = isinstance(half.layers[-1], RBFOutput)
    loss = RBFLoss() if rbf else keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    half.compile(keras.optimizers.SGD(1e-3), loss)
    assert np.isfinite(half.train_on_batch(images, labels))
