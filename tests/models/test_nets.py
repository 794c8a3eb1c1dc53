"""Every net for digits: shapes, options, training, saving; and what `models.build` refuses."""

import keras
import numpy as np
import pytest

from cnnlib import models, preprocessing
from cnnlib.errors import InputError

# The others have tests of their own: test_cifar10.py, test_vgg.py
NAMES = [
    name
    for name in models.names()
    if models.net(name).training == "gradient" and models.input_format(name) != "cifar10"
]


def loss_of(model):
    rbf = model.name == "lenet-5-paper"
    return models.RBFLoss() if rbf else keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.mark.parametrize("name", NAMES)
def test_every_net_takes_its_input_format_and_its_gradient_reaches_every_weight(name):
    tf = pytest.importorskip("tensorflow")
    keras.utils.set_random_seed(0)
    model = models.build(name)
    digits = np.zeros((8, 28, 28, 1), np.uint8)
    digits[:, 4:24, 4:24] = np.random.RandomState(1).randint(0, 256, (8, 20, 20, 1))
    images = preprocessing.prepare(digits, models.input_format(name))
    assert model.name == name and model.input_shape[1:] == images.shape[1:]
    with tf.GradientTape() as tape:
        outputs = model(images, training=True)
        loss = loss_of(model)(np.arange(8), outputs)
    assert outputs.shape == (8, 10) and outputs.dtype == "float32"
    weights = [weight.value for weight in model.trainable_weights]
    for weight, gradient in zip(model.weights, tape.gradient(loss, weights), strict=True):
        assert gradient is not None and np.all(gradient.numpy() != 0), weight.path


@pytest.mark.parametrize(
    ("name", "connections"), [("lenet-1", "paper"), ("lenet-4", "paper"), ("lenet-5", "full")]
)
def test_nets_take_colour_images_other_sizes_and_other_classes(name, connections):
    options = {"connections": connections, "subsampling": "trainable", "classes": 17}
    for shape in ((32, 32, 3), np.array([32, 40, 1])):
        assert models.build(name, input_shape=shape, **options).output_shape == (None, 17)
    model = models.build("mlp-28x28-300", hidden=[5, 4], activation="relu", classes=np.int64(2))
    dense = [layer.units for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    assert dense == [5, 4, 2] and model.get_layer("X2").activation is keras.activations.relu


def test_maximum_pooling_takes_the_largest_of_four():
    model = models.build("lenet-1", subsampling="maximum")
    images = np.random.RandomState(0).uniform(size=(2, *model.input_shape[1:])).astype("float32")
    ends = [model.get_layer(layer).output for layer in ("X1", "S2")]
    before, after = map(np.asarray, keras.Model(model.input, ends)(images))
    expected = before.reshape(2, 12, 2, 12, 2, 4).max(axis=(2, 4))
    np.testing.assert_array_equal(after, expected)


SHAPE = r"expected \(height, width, channels\)"
BAD = [
    ("lenet5", {}, "unknown model 'lenet5'. Did you mean lenet-5, "),
    ("lenet-5", {"input_shape": (28, 28, 1)}, r"input_shape=\(28, 28, 1\): .*negative"),
    ("lenet-1", {"input_shape": (28, 28)}, rf"input_shape is \(28, 28\), {SHAPE}"),
    ("linear-28x28", {"input_shape": (28, 0, 1)}, SHAPE),
    ("mlp-28x28-300", {"hidden": (300, 0)}, "mlp-28x28-300 cannot be built with hidden="),
    ("mlp-28x28-300", {"units": 3}, "unknown option of mlp-28x28-300 'units'. Known: hidden"),
    ("lenet-5", {"classes": 10.5}, "classes must be"),
    ("lenet-5", {"activation": "tanhh"}, "activation must be 'tanh', 'scaled_tanh' or 'relu'"),
    ("lenet-4", {"connections": "paper"}, 'needs subsampling="trainable"'),
    ("lenet-5-paper", {"classes": 11}, "10 codes"),
]


@pytest.mark.parametrize(("name", "options", "message"), BAD)
def test_what_cannot_be_is_refused_with_what_was_expected(name, options, message):
    with pytest.raises(InputError, match=message):
        models.build(name, **options)
