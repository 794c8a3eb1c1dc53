"""Winograd's 3x3 convolution: outputs and gradients beside an ordinary convolution's; and where
FastConv2D takes it."""

import keras
import numpy as np
import pytest
from scipy import signal

from cnnlib import backend, models
from cnnlib.models import winograd


@pytest.mark.parametrize("size", [(4, 4), (8, 8), (16, 12), (5, 7), (2, 3), (1, 9)])
def test_it_is_a_convolution(size):
    random = np.random.RandomState(0)
    maps, kernel = random.normal(size=(2, *size, 3)), random.normal(size=(3, 3, 3, 5))
    expected = np.zeros((2, *size, 5))
    for n, i, o in np.ndindex(2, 3, 5):
        expected[n, :, :, o] += signal.correlate2d(maps[n, :, :, i], kernel[:, :, i, o], "same")
    found = keras.ops.convert_to_numpy(
        winograd.convolution(maps.astype("float32"), kernel.astype("float32"))
    )
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


def gradients(layer, maps, first, kernel, directions):
    """Of the sum of `directions` times the layer's outputs, by the weights of the layer and of a
    layer of 1x1 kernels before it."""
    inputs = keras.Input(maps.shape[1:])
    model = keras.Model(inputs, layer(keras.layers.Conv2D(first.shape[3], 1)(inputs)))
    model.set_weights([first, np.zeros(first.shape[3]), kernel, np.zeros(kernel.shape[3])])
    before = model.get_weights()
    model.compile(
        keras.optimizers.SGD(1.0),
        lambda y, outputs: keras.ops.sum(y * outputs, axis=(1, 2, 3)),
        jit_compile=False,
    )
    model.fit(maps, directions, batch_size=len(maps), verbose=0)
    return [a - b for a, b in zip(before, model.get_weights(), strict=True)]


@pytest.fixture
def taken(monkeypatch):
    """Calls of the fast convolution (a list that grows), as on a machine that has nothing but a
    processor."""
    calls, convolution = [], winograd.convolution
    monkeypatch.setattr(
        winograd,
        "convolution",
        lambda *arguments: calls.append(arguments) or convolution(*arguments),
    )
    monkeypatch.setattr(keras.distribution, "list_devices", list_devices)
    return calls


def list_devices(*kind):
    """As Keras' on JAX."""
    if kind:
        raise RuntimeError(f"Unknown backend: {kind}")
    return ["cpu:0"]


def test_it_learns_as_an_ordinary_convolution_does(taken):
    random = np.random.RandomState(1)
    shapes = {
        "maps": (4, 8, 8, 3),
        "first": (1, 1, 3, 128),
        "kernel": (3, 3, 128, 16),
        "directions": (4, 8, 8, 16),
    }
    given = {name: random.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    fast = gradients(winograd.FastConv2D(16, 3, padding="same"), **given)
    assert taken
    plain = gradients(keras.layers.Conv2D(16, 3, padding="same"), **given)
    for found, expected in zip(fast, plain, strict=True):
        assert np.abs(expected).max() > 1
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("shape", "options", "fast"),
    [
        ((8, 8, 128), {}, True),
        ((8, 4, 256), {"use_bias": False, "activation": "relu"}, True),
        ((8, 8, 64), {}, False),
        ((2, 8, 128), {}, False),
        ((8, 8, 128), {"strides": 2}, False),
        ((8, 8, 128), {"padding": "valid"}, False),
        ((8, 8, 128), {"dilation_rate": 2}, False),
        ((8, 8, 128), {"kernel_size": 5}, False),
        ((8, 8, 128), {"groups": 2}, False),
    ],
)
def test_it_is_taken_where_it_pays_and_only_while_a_net_learns(shape, options, fast, taken):
    options = {"kernel_size": 3, "padding": "same"} | options
    fast_layer, plain = winograd.FastConv2D(4, **options), keras.layers.Conv2D(4, **options)
    maps = np.random.RandomState(2).normal(size=(2, *shape)).astype("float32")
    plain.build(maps.shape)
    fast_layer.build(maps.shape)
    fast_layer.set_weights([w + 0.01 for w in plain.get_weights()])
    plain.set_weights(fast_layer.get_weights())
    expected = keras.ops.convert_to_numpy(plain(maps))
    np.testing.assert_array_equal(fast_layer(maps, training=False), expected)
    assert not taken
    np.testing.assert_allclose(
        fast_layer(maps, training=True), expected, atol=2e-5 * np.abs(expected).max()
    )
    assert bool(taken) == fast


def test_on_a_gpu_the_librarys_own_is_taken(taken, monkeypatch):
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["gpu:0"])
    winograd.FastConv2D(4, 3, padding="same")(np.zeros((1, 8, 8, 128), "float32"), training=True)
    assert not taken


def test_vgg16_is_made_of_it():
    kinds = {
        type(layer)
        for layer in models.VGG16(include_top=False, input_shape=(32, 32, 3)).layers
        if layer.name[0] == "C"
    }
    assert kinds == {winograd.FastConv2D}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("shape", [(4, 4, 256), (2, 2, 256), (8, 8, 128)])
def test_it_learns_in_half_precision(dtype, shape):
    random = np.random.RandomState(3)
    maps = random.normal(size=(4, *shape)).astype("float32")
    directions = random.normal(size=(4, *shape[:2], 256)).astype("float32")
    kernel = random.normal(size=(3, 3, shape[2], 256)).astype("float32")
    changes = []
    for kind, policy in (
        (winograd.FastConv2D, f"mixed_{dtype}"),
        (keras.layers.Conv2D, f"mixed_{dtype}"),
        (keras.layers.Conv2D, "float32"),
    ):
        layer = kind(256, 3, padding="same", use_bias=False, dtype=policy)
        inputs = keras.Input(shape)
        model = keras.Model(inputs, layer(inputs))
        model.set_weights([kernel])
        model.compile(
            keras.optimizers.SGD(1.0),
            lambda y, outputs: keras.ops.sum(y * keras.ops.cast(outputs, "float32"), (1, 2, 3)),
            jit_compile=False,
        )
        model.fit(maps, directions, batch_size=4, verbose=0)
        changes.append(model.get_weights()[0] - kernel)
    ours, the_librarys, exact = changes
    allowed = 0.02 * np.abs(exact).max()
    if not backend.has_bfloat16():  # there the library's own gradient is less precise than that
        allowed = max(allowed, 1.2 * np.abs(the_librarys - exact).max())
    np.testing.assert_allclose(ours, exact, rtol=0, atol=allowed)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_maps_of_unknown_size_go_through_the_librarys_convolution(dtype, taken):
    layer = winograd.FastConv2D(4, 3, padding="same", dtype=dtype)
    assert layer(keras.Input((None, None, 256)), training=True).shape == (None, None, None, 4)
    assert not taken


def test_a_half_precision_convolution_by_tiles_keeps_its_precision():
    maps = keras.ops.cast(np.ones((1, 8, 8, 4)), "bfloat16")
    outputs = winograd.convolution(maps, keras.ops.cast(np.ones((3, 3, 4, 2)), "bfloat16"))
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
    np.testing.assert_array_equal(keras.ops.cast(outputs, "float32")[0, 4, 4], [36, 36])
