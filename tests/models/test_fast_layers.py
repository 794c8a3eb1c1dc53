"""The layers that compute faster on a CPU: outputs, gradients and statistics beside Keras' own; and
all layers of the course in half precision and for maps of any size."""

import keras
import numpy as np
import pytest
from scipy import signal, stats

from cnnlib import models
from cnnlib.models import winograd
from cnnlib.models.cifar10 import DualPath, GroupedConv2D, Whitening
from cnnlib.models.layers import TableConvolution, TrainableSubsampling
from cnnlib.models.norm import BatchNorm, gelu
from cnnlib.models.winograd import FastConv2D


def normal(*shape, seed=0):
    return np.random.RandomState(seed).normal(size=shape).astype("float32")


def array(tensor):
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))


def learned(layer, maps, directions, seed=2):
    """All weights after a step of SGD on the sum of `directions` times the outputs of `layer`, with
    an offset for each pixel before it; and the net."""
    inputs = keras.Input(maps.shape[1:])
    offset = keras.layers.EinsumDense("nhwc,hwc->nhwc", maps.shape[1:], kernel_initializer="ones")
    net = keras.Model(inputs, layer(offset(inputs)))
    random = np.random.RandomState(seed)
    for weight in layer.trainable_weights:
        weight.assign(random.normal(1, 0.5, weight.shape))
    net.compile(
        keras.optimizers.SGD(0.01),
        lambda y, outputs: keras.ops.sum(y * keras.ops.cast(outputs, "float32"), axis=(1, 2, 3)),
        jit_compile=False,
    )
    net.fit(maps, directions, batch_size=len(maps), verbose=0)
    return net, net.get_weights()


class TestWinograd:
    @pytest.mark.parametrize("size", [(4, 4), (8, 8), (16, 12), (5, 7), (2, 3), (1, 9)])
    def test_it_is_a_convolution(self, size):
        maps, kernel = normal(2, *size, 3), normal(3, 3, 3, 5, seed=1)
        expected = np.zeros((2, *size, 5))
        for n, i, o in np.ndindex(2, 3, 5):
            expected[n, :, :, o] += signal.correlate2d(maps[n, :, :, i], kernel[:, :, i, o], "same")
        found = array(winograd.convolution(maps, kernel))
        np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())

    @pytest.fixture
    def taken(self, monkeypatch):
        """Calls of the fast convolution, as on a machine that has nothing but a processor."""
        calls, convolution = [], winograd.convolution

        def counted(*arguments):
            calls.append(arguments)
            return convolution(*arguments)

        monkeypatch.setattr(winograd, "convolution", counted)
        monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["cpu:0"])
        return calls

    def test_it_learns_as_an_ordinary_convolution_does(self, taken):
        maps, directions = normal(4, 8, 8, 128), normal(4, 8, 8, 16, seed=1)
        _, fast = learned(FastConv2D(16, 3, padding="same"), maps, directions)
        assert taken
        _, plain = learned(keras.layers.Conv2D(16, 3, padding="same"), maps, directions)
        for found, expected in zip(fast, plain, strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())

    @pytest.mark.parametrize(
        ("shape", "options", "fast"),
        [
            *(((8, 8, 128), {}, True), ((8, 4, 256), {"use_bias": False}, True)),
            *(((8, 8, 64), {}, False), ((2, 8, 128), {}, False)),
            *(((8, 8, 128), {"strides": 2}, False), ((8, 8, 128), {"kernel_size": 5}, False)),
            ((8, 8, 128), {"padding": "valid"}, False),
        ],
    )
    def test_it_is_taken_where_it_pays_and_only_while_a_net_learns(
        self, shape, options, fast, taken
    ):
        options = {"kernel_size": 3, "padding": "same"} | options
        fast_layer, plain = FastConv2D(4, **options), keras.layers.Conv2D(4, **options)
        maps = normal(2, *shape)
        plain.build(maps.shape)
        fast_layer.build(maps.shape)
        fast_layer.set_weights([w + 0.01 for w in plain.get_weights()])
        plain.set_weights(fast_layer.get_weights())
        expected = array(plain(maps))
        np.testing.assert_array_equal(fast_layer(maps, training=False), expected)
        assert not taken
        tolerance = 2e-5 * np.abs(expected).max()
        np.testing.assert_allclose(fast_layer(maps, training=True), expected, atol=tolerance)
        assert bool(taken) == fast

    def test_on_a_gpu_the_librarys_own_is_taken(self, taken, monkeypatch):
        monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["gpu:0"])
        FastConv2D(4, 3, padding="same")(normal(1, 8, 8, 128), training=True)
        assert not taken

    def test_vgg16_is_made_of_it(self):
        net = models.VGG16(include_top=False, input_shape=(32, 32, 3))
        assert {type(layer) for layer in net.layers if layer.name[0] == "C"} == {FastConv2D}


@pytest.mark.parametrize(("groups", "padding", "side"), [(2, "valid", 4), (4, "same", 6)])
def test_groups_learn_as_keras_layer_does(groups, padding, side):
    maps, directions = normal(2, 6, 6, 4), normal(2, side, side, 8)
    options = {"groups": groups, "padding": padding, "bias_initializer": "ones"}
    own = learned(GroupedConv2D(8, 3, **options), maps, directions)
    other = learned(keras.layers.Conv2D(8, 3, **options), maps, directions)
    for found, expected in zip(own[1], other[1], strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    outputs = [net.predict_on_batch(maps) for net, _ in (own, other)]
    np.testing.assert_allclose(*outputs, rtol=1e-3, atol=1e-4)


class TestBatchNorm:
    MAPS = 3 * normal(8, 5, 6, 4) + 2

    @pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}])
    def test_it_learns_as_keras_layer_does(self, options):
        options = {"momentum": 0.9, "epsilon": 1e-5, **options}
        directions = normal(*self.MAPS.shape, seed=1)
        fused, found = learned(BatchNorm(**options), self.MAPS, directions)
        plain, expected = learned(keras.layers.BatchNormalization(**options), self.MAPS, directions)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(
            fused.predict(self.MAPS, verbose=0), plain.predict(self.MAPS, verbose=0), atol=1e-4
        )

    def test_the_statistics_are_those_of_the_batch_and_stay_when_frozen(self):
        layer, maps = BatchNorm(momentum=0.0), self.MAPS
        mean, variance = maps.mean(axis=(0, 1, 2)), maps.var(axis=(0, 1, 2))
        expected = (maps - mean) / np.sqrt(variance + 1e-3)
        np.testing.assert_allclose(layer(maps, training=True), expected, atol=1e-5)
        np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-5)
        np.testing.assert_allclose(layer.moving_variance, variance, rtol=1e-5)  # of a population
        layer.trainable = False
        np.testing.assert_allclose(layer(2 * maps, training=True), layer(2 * maps), atol=1e-5)
        np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("bfloat16", 1 / 128)])
def test_gelu_and_its_gradient(dtype, tolerance):
    tf = pytest.importorskip("tensorflow")
    values = tf.cast(np.linspace(-6, 6, 1001), dtype)
    x = array(values).astype("float64")
    with tf.GradientTape() as tape:
        tape.watch(values)
        outputs = gelu(values)
    slope = x * stats.norm.pdf(x) + stats.norm.cdf(x)
    allowed = {"rtol": tolerance, "atol": tolerance}
    np.testing.assert_allclose(array(outputs), x * stats.norm.cdf(x), **allowed)
    np.testing.assert_allclose(array(tape.gradient(outputs, values)), slope, **allowed)


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
    "dual": lambda **options: DualPath(3, **options),
}


@pytest.mark.parametrize("name", LAYERS)
def test_half_precision_and_maps_of_any_size_have_the_result_rounded(name):
    nets = []
    for shape, dtype in (((10, 11, 4), "float32"), ((None, None, 4), "mixed_bfloat16")):
        layer, inputs = LAYERS[name](dtype=dtype), keras.Input(shape)
        net = keras.Model(inputs, layer([inputs, inputs] if name == "dual" else inputs))
        random = np.random.RandomState(1)
        layer.set_weights([random.uniform(0.1, 0.9, w.shape) for w in layer.weights])
        assert all(weight.dtype == "float32" for weight in layer.weights)
        nets.append(net)
    assert keras.models.clone_model(nets[1]).output_shape == nets[1].output_shape
    for training in (False, True):
        exact, rounded = (net(normal(3, 10, 11, 4), training=training) for net in nets)
        assert keras.backend.standardize_dtype(rounded.dtype) == "bfloat16"
        allowed = 0.06 * max(1, np.abs(exact).max())
        np.testing.assert_allclose(array(rounded), array(exact), atol=allowed, rtol=0)


@pytest.mark.parametrize("name", ["lenet-1", "lenet-5-paper", "boosted-linear-28x28"])
def test_a_net_in_half_precision_gives_whole_logits(name):
    whole = models.build(name)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = models.build(name)
    finally:
        keras.config.set_dtype_policy("float32")
    half.set_weights(whole.get_weights())
    images = np.random.RandomState(0).uniform(-0.1, 1.2, (8, *whole.input_shape[1:]))
    expected, found = (net.predict_on_batch(images.astype("float32")) for net in (whole, half))
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() <= 0.1 * max(1, np.abs(expected).max())
