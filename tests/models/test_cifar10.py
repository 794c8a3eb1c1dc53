"""The twelve nets of the benchmark: published counts, logits against an independent statement,
names, first weights, what they refuse."""

import csv
import importlib.util
import itertools
import math
import pathlib
import re

import keras
import numpy as np
import pytest

from cnnlib import models, preprocessing, storage
from cnnlib.errors import InputError
from cnnlib.models import cifar10
from cnnlib.models.cifar10 import parts

# trainable parameters, buffers (batch norm's means and variances), multiply-adds of one image:
# counted on the published definitions
COUNTS = {
    "cifar10/vgg16": (14_728_266, 8_448, 313_201_664),
    "cifar10/resnet18": (11_173_962, 9_600, 555_422_720),
    "cifar10/resnet50": (23_520_842, 53_120, 1_297_829_888),
    "cifar10/resnet101": (42_512_970, 105_344, 2_509_983_744),
    "cifar10/regnetx-200mf": (2_321_946, 20_912, 223_317_600),
    "cifar10/regnety-400mf": (5_714_362, 36_736, 467_089_152),
    "cifar10/mobilenetv2": (2_296_922, 35_088, 91_154_944),
    "cifar10/resnext29-32x4d": (4_774_218, 25_216, 772_483_072),
    "cifar10/resnext29-2x64d": (9_128_778, 25_216, 1_409_492_992),
    "cifar10/densenet121": (6_956_298, 83_520, 888_350_720),
    "cifar10/preactresnet18": (11_171_146, 6_784, 555_422_720),
    "cifar10/dpn92": (34_236_634, 113_328, 2_042_422_272),
}


def load_by_hand():
    path = pathlib.Path(__file__).with_name("cifar10_by_hand.py")
    module = importlib.util.module_from_spec(
        spec := importlib.util.spec_from_file_location(path.stem, path)
    )
    spec.loader.exec_module(module)
    return module


by_hand = load_by_hand()


@pytest.fixture(scope="module")
def net():
    """Builds each net once."""
    built = {}

    def get(name):
        if name not in built:
            built[name] = models.build(name)
        return built[name]

    return get


def count(variables):
    return sum(math.prod(v.shape) for v in variables)


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_those_of_the_published_definition(name, net):
    model = net(name)
    counts = (
        count(model.trainable_variables),
        count(model.non_trainable_variables),
        models.multiply_adds(model),
    )
    assert counts == COUNTS[name]
    assert model.input_shape == (None, 32, 32, 3) and model.output_shape == (None, 10)


def test_the_ledger_has_the_same_counts():
    with open(storage.DATA / "published" / "cifar10.csv", newline="", encoding="utf-8") as file:
        printed = {
            row["row_id"]: (int(row["parameters"]), int(row["multiply_adds"]))
            for row in csv.DictReader(file)
        }
    assert printed == {
        name: (parameters, products) for name, (parameters, _, products) in COUNTS.items()
    }


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
    weights = [array for layer in model.layers for array in published_order(layer, random)]
    images = random.normal(0, 1, (2, 3, 32, 32))
    load_in_order(model, weights)
    logits = keras.ops.convert_to_numpy(
        model(images.transpose(0, 2, 3, 1).astype("float32"), training=False)
    )
    expected = by_hand.logits(name, weights, images)
    assert (
        np.abs(expected).max() > 0.1 and np.ptp(expected, axis=0).max() > 1e-2
    )  # the comparison says something
    np.testing.assert_allclose(
        logits, expected, atol=1e-4 * max(1, np.abs(expected).max() / 10), rtol=0
    )


ORDER = {  # the layers with weights of one block
    "cifar10/resnet101": "conv1 bn1 conv2 bn2 conv3 bn3 shortcut_conv shortcut_bn",
    "cifar10/preactresnet18": "bn1 shortcut_conv conv1 bn2 conv2",
    "cifar10/regnety-400mf": "conv1 bn1 conv2 bn2 se_conv1 se_conv2 conv3 bn3 shortcut_conv "
    "shortcut_bn",
    "cifar10/densenet121": "bn1 conv1 bn2 conv2",
}


@pytest.mark.parametrize("name", COUNTS)
def test_layers_stand_in_the_order_of_computation(name, net):
    layers = [layer.name for layer in net(name).layers if layer.weights]
    blocks = [found[1] for layer in layers if (found := re.match(r"(stage\d+_block\d+)_", layer))]
    in_order = sorted(set(blocks), key=lambda block: [int(n) for n in re.findall(r"\d+", block)])
    assert [
        block for block, _ in itertools.groupby(blocks)
    ] == in_order  # one after the other, none torn apart
    order = ORDER.get(name, ORDER["cifar10/resnet101"]).split()
    for block in set(blocks):
        own = [layer.removeprefix(f"{block}_") for layer in layers if layer.startswith(f"{block}_")]
        assert own == [part for part in order if part in own]
    assert layers[0] in ("conv1", "stage1_conv1") and layers[-1] == "output"


class TestConvolutions:
    @pytest.mark.parametrize("groups", [2, 4, 8])
    @pytest.mark.parametrize("padding", ["same", "valid"])
    def test_grouped_equals_that_of_keras(self, groups, padding):
        options = {"strides": 2, "padding": padding, "use_bias": True, "bias_initializer": "ones"}
        images = np.random.RandomState(0).normal(size=(3, 9, 9, 8)).astype("float32")
        own, other = (
            parts.GroupedConv2D(8, 3, groups=groups, **options),
            keras.layers.Conv2D(8, 3, groups=groups, **options),
        )
        own.build(images.shape), other.build(images.shape)
        assert own.kernel.shape == other.kernel.shape == (3, 3, 8 // groups, 8)
        other.set_weights(own.get_weights())
        np.testing.assert_allclose(own(images), other(images), atol=1e-5)

    def test_gradients_of_grouped_are_those_of_the_dense_kernel(self):
        tf = pytest.importorskip("tensorflow")
        random = np.random.RandomState(0)
        images = random.normal(size=(2, 6, 6, 4)).astype("float32")
        layer = parts.GroupedConv2D(6, 3, groups=2, use_bias=False)
        layer.build(images.shape)
        dense = np.zeros((3, 3, 4, 6), "float32")
        dense[:, :, :2, :3], dense[:, :, 2:, 3:] = (
            layer.kernel.numpy()[..., :3],
            layer.kernel.numpy()[..., 3:],
        )
        dense = tf.Variable(dense)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(layer(images)))
        with tf.GradientTape() as other:
            dense_loss = tf.reduce_sum(tf.square(tf.nn.conv2d(images, dense, 1, "VALID")))
        expected = other.gradient(dense_loss, dense).numpy()
        expected = np.concatenate([expected[:, :, :2, :3], expected[:, :, 2:, 3:]], axis=-1)
        np.testing.assert_allclose(
            tape.gradient(loss, layer.kernel.value).numpy(), expected, rtol=1e-4, atol=1e-4
        )

    def test_a_stride_of_two_pads_every_side(self):
        images = keras.Input((6, 6, 1))
        model = keras.Model(images, parts.convolution(images, 1, 3, "conv", stride=2))
        model.get_layer("conv").set_weights([np.ones((3, 3, 1, 1), "float32")])
        sums = model(np.ones((1, 6, 6, 1), "float32")).numpy()[0, :, :, 0]
        np.testing.assert_array_equal(
            sums, [[4, 6, 6], [6, 9, 9], [6, 9, 9]]
        )  # "same" would cut below and to the right


class TestPyTorchDefaults:
    def test_batch_norm(self, net):
        layer = net("cifar10/resnet18").get_layer("stage1_block1_bn1")
        assert (layer.momentum, layer.epsilon) == (0.9, 1e-5)

    @pytest.mark.parametrize(
        "name, layer, fan_in",
        [
            ("cifar10/resnet18", "stage4_block2_conv2", 512 * 9),
            ("cifar10/mobilenetv2", "stage7_block1_conv2", 9),
            ("cifar10/resnext29-32x4d", "stage3_block1_conv2", 16 * 9),
            ("cifar10/vgg16", "stage5_conv1", 512 * 9),
            ("cifar10/vgg16", "output", 512),
        ],
    )
    def test_first_weights_are_uniform_within_one_over_the_root_of_the_fan_in(
        self, name, layer, fan_in
    ):
        keras.utils.set_random_seed(0)
        for weights in models.build(name).get_layer(layer).get_weights():
            limit = 1 / math.sqrt(fan_in)
            assert 0.7 * limit < np.abs(weights).max() <= limit
            if weights.size > 5000:
                assert (
                    weights.std() == pytest.approx(limit / math.sqrt(3), rel=0.03)
                    and abs(weights.mean()) < 0.03 * limit
                )


@pytest.mark.parametrize("name", ["cifar10/resnet18", "cifar10/dpn92"])
def test_a_saved_net_is_the_same_after_loading(name, tmp_path):
    model = models.build(name, classes=7, input_shape=(16, 16, 3))
    images = np.random.RandomState(0).normal(size=(2, 16, 16, 3)).astype("float32")
    model.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(loaded(images), model(images))
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]


BAD = [
    (
        "cifar10/vgg16",
        {"input_shape": (28, 28, 3)},
        r"VGG16: .*at least 32x32; got input_shape \(28, 28, 3\)",
    ),
    ("cifar10/resnet18", {"input_shape": (7, 8, 3)}, r"ResNet18: .*at least 8x8"),
    (
        "cifar10/dpn92",
        {"input_shape": 32},
        r"input_shape is 32, expected \(height, width, channels\)",
    ),
    (
        "cifar10/densenet121",
        {"classes": 1},
        "classes is 1, expected a number of at least 2",
    ),
    ("cifar10/regnety-400mf", {"classes": 10.0}, r"classes is 10\.0, expected a whole number"),
    (
        "cifar10/resnet18",
        {"widths": (1, 2)},
        "unknown option of cifar10/resnet18 'widths'. Known: input_shape, classes",
    ),
    ("cifar10/resnet34", {}, r"unknown model 'cifar10/resnet34'. Known: cifar10/resnet"),
]


@pytest.mark.parametrize("name, options, message", BAD)
def test_what_cannot_be_is_refused(name, options, message):
    with pytest.raises(InputError, match=message):
        models.build(name, **options)


def test_the_input_form_standardises_each_colour():
    assert {models.input_format(name) for name in COUNTS} == {"cifar10"}
    images = np.random.RandomState(0).randint(0, 256, (3, 32, 32, 3), np.uint8)
    mean, deviation = np.array([0.4914, 0.4822, 0.4465]), np.array([0.2023, 0.1994, 0.2010])
    prepared = preprocessing.prepare(images, "cifar10")
    assert prepared.dtype == np.float32
    np.testing.assert_allclose(prepared, (images / 255 - mean) / deviation, atol=1e-5)
    for wrong in (images[..., :1], images[:, :28]):
        with pytest.raises(InputError, match=r"images must have the shape \(n, 32, 32, 3\)"):
            preprocessing.prepare(wrong, "cifar10")
    with pytest.raises(InputError, match="shape"):
        preprocessing.prepare(images, "cifar10", deslanted=True)


def test_every_net_is_public_and_has_a_batch_name():
    functions = {name.lower().replace("_", "-") for name in cifar10.__all__}
    assert functions == {name.removeprefix("cifar10/") for name in COUNTS} | {
        "fastnet",
        "smallnet",
        "whitening",
    }
    assert {name for name in models.names() if name.startswith("cifar10/")} == {
        *COUNTS,
        "cifar10/fast",
        "cifar10/small",
    }
