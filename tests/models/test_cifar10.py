"""The twelve nets of the benchmark beside an independent statement; their order, first weights."""

import importlib.util
import math
import pathlib

import keras
import numpy as np
import pytest

from cnnlib import models
from cnnlib.models.cifar10 import parts


def load_by_hand():
    path = pathlib.Path(__file__).with_name("cifar10_by_hand.py")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


by_hand = load_by_hand()


def published_order(layer, random):
    """Random weights of a layer as the published definition stores them, one by one: kernels (out,
    in, height, width)."""
    for weight in layer.weights:
        shape, kind = weight.shape, weight.path.rsplit("/", 1)[-1]
        if kind == "kernel":
            fan_in = math.prod(shape[:-1])
            kernel = random.normal(0, math.sqrt(2 / fan_in), shape)
            yield kernel.transpose(3, 2, 0, 1) if len(shape) == 4 else kernel.T
        else:
            low, high = {"gamma": (0.6, 1.2), "moving_variance": (0.8, 1.2)}.get(kind, (-0.1, 0.1))
            yield random.uniform(low, high, shape)


def load_in_order(model, weights):
    """Give the layers their weights in the order of `model.layers`: kernels to (height, width, in,
    out)."""
    weights = iter(weights)
    for layer in model.layers:
        arrays = [next(weights) for _ in layer.weights]
        layer.set_weights(
            [a.transpose(2, 3, 1, 0) if a.ndim == 4 else a.T if a.ndim == 2 else a for a in arrays]
        )


@pytest.mark.parametrize("name", by_hand.NETS)
def test_logits_are_those_of_an_independent_statement(name, net):
    model, random = net(name), np.random.RandomState(1)
    before = model.get_weights()
    weights = [array for layer in model.layers for array in published_order(layer, random)]
    images = random.normal(0, 1, (2, 3, 32, 32))
    load_in_order(model, weights)
    found = model(images.transpose(0, 2, 3, 1).astype("float32"), training=False)
    model.set_weights(before)
    expected = by_hand.logits(name, weights, images)
    # The comparison says something.
    assert np.abs(expected).max() > 0.1 and np.ptp(expected, axis=0).max() > 1e-2
    tolerance = 1e-4 * max(1, np.abs(expected).max() / 10)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(found), expected, atol=tolerance, rtol=0)


def test_a_stride_of_two_pads_every_side():
    images = keras.Input((6, 6, 1))
    model = keras.Model(images, parts.convolution(images, 1, 3, "conv", stride=2))
    model.get_layer("conv").set_weights([np.ones((3, 3, 1, 1), "float32")])
    sums = model(np.ones((1, 6, 6, 1), "float32")).numpy()[0, :, :, 0]
    # "same" would cut below and to the right
    np.testing.assert_array_equal(sums, [[4, 6, 6], [6, 9, 9], [6, 9, 9]])


@pytest.mark.parametrize(
    ("name", "layer", "fan_in"),
    [
        ("cifar10/resnet18", "stage4_block2_conv2", 512 * 9),
        ("cifar10/mobilenetv2", "stage7_block1_conv2", 9),
        ("cifar10/resnext29-32x4d", "stage3_block1_conv2", 16 * 9),
        ("cifar10/vgg16", "stage5_conv1", 512 * 9),
        ("cifar10/vgg16", "output", 512),
    ],
)
def test_first_weights_are_pytorchs_uniform_within_one_over_the_root_of_the_fan_in(
    name, layer, fan_in, net
):
    for weights in net(name).get_layer(layer).get_weights():
        limit = 1 / math.sqrt(fan_in)
        assert 0.7 * limit < np.abs(weights).max() <= limit
        if weights.size > 5000:
            assert weights.std() == pytest.approx(limit / math.sqrt(3), rel=0.03)
            assert abs(weights.mean()) < 0.03 * limit


def test_batch_norm_is_pytorchs(net):
    layer = net("cifar10/resnet18").get_layer("stage1_block1_bn1")
    assert (layer.momentum, layer.epsilon) == (0.9, 1e-5)


def test_fast_net_starts_by_passing_maps_on_and_divides_its_logits_by_nine(net):
    model = net("cifar10/fast")
    kernel = model.get_layer("stage2_conv1").get_weights()[0]
    expected = np.zeros((3, 3, 64, 64))
    expected[1, 1] = np.eye(64)
    np.testing.assert_array_equal(kernel[..., :64], expected)
    images = np.random.RandomState(0).normal(size=(2, 32, 32, 3)).astype("float32")
    before = keras.Model(model.input, model.get_layer("dense").output)(images)
    np.testing.assert_allclose(model(images), before / 9, rtol=1e-5)


def test_whitened_patches_are_uncorrelated_and_of_variance_one():
    random = np.random.RandomState(0)
    images = random.normal(size=(500, 9, 9, 3)) + random.normal(size=(500, 9, 9, 1))
    layer = models.cifar10.Whitening(2, use_bias=False)
    layer.build(images.shape)
    layer.adapt(images.astype("float32"))
    outputs = keras.ops.convert_to_numpy(layer(images.astype("float32")))
    patches = outputs[:, ::2, ::2, :12].reshape(-1, 12)
    np.testing.assert_allclose(np.cov(patches, rowvar=False), np.eye(12), atol=0.01)
    np.testing.assert_allclose(outputs[..., 12:], -outputs[..., :12], atol=1e-5)
    assert not layer.trainable_variables


def test_a_shortcut_passes_its_input_where_the_convolutions_give_nothing(net):
    images = np.random.RandomState(0).normal(size=(2, 32, 32, 3)).astype("float32")
    for name, passed in (("cifar10/residual-20", 1), ("cifar10/plain-20", 0)):
        model = net(name)
        before = model.get_weights()
        for layer in model.layers:
            if layer.name.endswith("conv2"):
                layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
        ends = [model.get_layer(layer).output for layer in ("pool", "stage1_block3_conv2")]
        ends.append(model.get_layer("stage2_conv").input)
        pooled, zeros, found = map(np.asarray, keras.Model(model.input, ends)(images))
        model.set_weights(before)
        assert np.ptp(pooled) > 0.1 and not zeros.any()
        np.testing.assert_array_equal(found, passed * pooled)
