"""Fused batch norm and GELU beside Keras' own: outputs, gradients and running statistics."""

import keras
import numpy as np
import pytest

from cnnlib.models import norm

MAPS = np.random.RandomState(0).normal(2, 3, (8, 5, 6, 4)).astype("float32")
DIRECTIONS = np.random.RandomState(1).normal(size=MAPS.shape).astype("float32")
OPTIONS = {"momentum": 0.9, "epsilon": 1e-5}


def learned(layer, maps=MAPS, directions=DIRECTIONS):
    """All weights after one step of plain SGD, with an offset per pixel before the layer."""
    inputs = keras.Input(maps.shape[1:])
    offset = keras.layers.EinsumDense("nhwc,hwc->nhwc", maps.shape[1:], kernel_initializer="ones")
    net = keras.Model(inputs, layer(offset(inputs)))
    net.compile(
        keras.optimizers.SGD(0.01),
        lambda y, outputs: keras.ops.sum(y * outputs, axis=(1, 2, 3)),
        jit_compile=False,
    )
    net.fit(maps, directions, batch_size=len(maps), verbose=0)
    return net, net.get_weights()


@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}])
def test_it_learns_as_keras_layer_does(options):
    fused, found = learned(norm.BatchNorm(**OPTIONS, **options))
    plain, expected = learned(keras.layers.BatchNormalization(**OPTIONS, **options))
    assert len(found) == len(expected) == 5 - len(options)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(fused.predict(MAPS), plain.predict(MAPS), rtol=1e-4, atol=1e-5)


def test_the_statistics_are_those_of_the_batch():
    layer = norm.BatchNorm(momentum=0.0)
    outputs = keras.ops.convert_to_numpy(layer(MAPS, training=True))
    mean, variance = MAPS.mean(axis=(0, 1, 2)), MAPS.var(axis=(0, 1, 2))
    np.testing.assert_allclose(outputs, (MAPS - mean) / np.sqrt(variance + 1e-3), atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, variance, rtol=1e-5)  # of a population


def test_frozen_it_keeps_its_statistics():
    layer = norm.BatchNorm()
    layer.build(MAPS.shape)
    layer.trainable = False
    outputs = keras.ops.convert_to_numpy(layer(MAPS, training=True))
    np.testing.assert_allclose(outputs, MAPS / np.sqrt(1 + 1e-3), rtol=1e-5)
    np.testing.assert_array_equal(layer.moving_mean, np.zeros(4))


def test_half_precision_keeps_its_maps_and_adds_up_in_float32():
    layer = norm.BatchNorm(dtype="mixed_bfloat16", momentum=0.0)
    outputs = layer(keras.ops.cast(MAPS + 100, "bfloat16"), training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
    seen = keras.ops.convert_to_numpy(
        keras.ops.cast(keras.ops.cast(MAPS + 100, "bfloat16"), "float32")
    )
    np.testing.assert_allclose(layer.moving_mean, seen.mean(axis=(0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, seen.var(axis=(0, 1, 2)), rtol=1e-3)


def test_rows_of_numbers_go_through_keras_layer():
    rows = np.random.RandomState(0).normal(size=(16, 3)).astype("float32")
    found = norm.BatchNorm()(rows, training=True)
    np.testing.assert_allclose(
        found, keras.layers.BatchNormalization()(rows, training=True), rtol=1e-6
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gelu_and_its_gradient(dtype):
    from scipy import stats

    values = keras.ops.cast(np.linspace(-6, 6, 1001, dtype="float32"), dtype)
    x = keras.ops.convert_to_numpy(keras.ops.cast(values, "float32")).astype("float64")
    tolerance = {"float32": 1e-6, "bfloat16": 1 / 128}[dtype]
    found = keras.ops.convert_to_numpy(keras.ops.cast(norm.gelu(values), "float32"))
    np.testing.assert_allclose(found, x * stats.norm.cdf(x), rtol=tolerance, atol=tolerance)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(values)
            outputs = norm.gelu(values)
        slope = keras.ops.convert_to_numpy(tf.cast(tape.gradient(outputs, values), "float32"))
        expected = stats.norm.cdf(x) + x * stats.norm.pdf(x)
        np.testing.assert_allclose(slope, expected, rtol=tolerance, atol=tolerance)
