"""Every net: shapes, options, saving, training; and what they refuse."""

import subprocess
import sys

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


def batch(model, n=8, classes=10):
    random = np.random.RandomState(0)
    return random.uniform(-0.1, 1.175, (n, *model.input_shape[1:])).astype(
        "float32"
    ), random.randint(0, classes, n)


def loss_of(model):
    rbf = model.name == "lenet-5-paper"
    return models.RBFLoss() if rbf else keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.mark.parametrize("name", NAMES)
def test_every_net_trains_a_step_and_is_the_same_after_saving(name, tmp_path):
    keras.utils.set_random_seed(0)
    model = models.build(name)
    assert model.name == name
    images, labels = batch(model)
    model.compile(keras.optimizers.SGD(0.001), loss_of(model))
    assert np.isfinite(model.train_on_batch(images, labels))
    outputs = model.predict_on_batch(images)
    assert outputs.shape == (8, 10) and outputs.dtype == np.float32
    model.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(loaded.predict_on_batch(images), outputs)
    assert loaded.name == name and [layer.name for layer in loaded.layers] == [
        layer.name for layer in model.layers
    ]
    assert np.isfinite(loaded.train_on_batch(images, labels))


def test_a_saved_net_loads_in_another_process(tmp_path):
    model = models.build("lenet-5-paper")
    images, _ = batch(model)
    model.save(tmp_path / "net.keras")
    np.savez(tmp_path / "batch.npz", images=images, outputs=model.predict_on_batch(images))
    program = (
        "import cnnlib.models.layers, keras, numpy as np; batch = np.load('batch.npz'); net = "
        "keras.saving.load_model('net.keras'); "
        "np.testing.assert_allclose(net.predict_on_batch(batch['images']), batch['outputs'], "
        "rtol=1e-5)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "name", [name for name in NAMES if not name.startswith(("linear", "mlp-28"))]
)
def test_the_gradient_reaches_every_weight(name):
    tf = pytest.importorskip("tensorflow")
    keras.utils.set_random_seed(0)
    model = models.build(name)
    images, labels = batch(model)
    with tf.GradientTape() as tape:
        loss = loss_of(model)(labels, model(images, training=True))
    for weight, gradient in zip(
        model.trainable_weights,
        tape.gradient(loss, [w.value for w in model.trainable_weights]),
        strict=True,
    ):
        assert gradient is not None and np.all(gradient.numpy() != 0), weight.path


@pytest.mark.parametrize(
    "function, layers",
    [
        (models.LeNet1, "C1 X1 S2 X2 C3 X3 S4 X4 output flatten"),
        (models.LeNet4, "C1 X1 S2 X2 C3 X3 S4 X4 flatten C5 X5 output"),
        (models.LeNet5, "C1 X1 S2 X2 C3 X3 S4 X4 C5 X5 flatten F6 X6 output"),
        (models.MLP, "flatten F1 X1 output"),
        (models.Linear, "flatten output"),
    ],
)
def test_layers_are_named_as_in_the_paper(function, layers):
    assert [layer.name for layer in function().layers[1:]] == layers.split()


@pytest.mark.parametrize("connections", ["full", "paper"])
@pytest.mark.parametrize("name", ["lenet-1", "lenet-4", "lenet-5"])
def test_lenets_take_colour_images_other_sizes_and_other_classes(name, connections):
    options = {"connections": connections, "subsampling": "trainable", "classes": 17}
    assert models.build(name, input_shape=(32, 32, 3), **options).output_shape == (None, 17)
    assert models.build(name, input_shape=[45, 38, 3], **options).output_shape == (None, 17)


def test_mlp_takes_relu_and_a_list():
    model = models.build("mlp-28x28-300", hidden=[5, 4, 3], activation="relu", classes=2)
    assert [layer.units for layer in model.layers if isinstance(layer, keras.layers.Dense)] == [
        5,
        4,
        3,
        2,
    ]
    assert model.get_layer("X2").activation is keras.activations.relu


def test_the_papers_initial_weights_are_within_their_limits():
    model = models.LeNet5(initializer="lecun_1998")
    for name, fan_in in {"C1": 25, "C3": 150, "C5": 400, "F6": 120, "output": 84}.items():
        largest = np.abs(model.get_layer(name).kernel.numpy()).max()
        assert 0.9 * 2.4 / fan_in < largest <= 2.4 / fan_in, name


def test_nets_start_equal_for_equal_seeds_only():
    def start(seed):
        keras.utils.set_random_seed(seed)
        return models.build("lenet-5-paper").get_weights()

    assert all(np.array_equal(a, b) for a, b in zip(start(1), start(1), strict=True))
    assert not np.array_equal(start(1)[0], start(2)[0])


def test_input_formats_are_those_of_preprocessing_and_fit_the_nets():
    size = {"20x20": 20, "28x28": 28, "16-in-28": 28, "32x32": 32}
    for name in NAMES:
        input_format = models.input_format(name)
        assert input_format in preprocessing.FORMATS
        assert models.build(name).input_shape == (
            None,
            size[input_format],
            size[input_format],
            1,
        )


def test_scores_are_larger_for_the_better_class():
    outputs = np.float32([[1, 3], [5, 2]])
    np.testing.assert_array_equal(
        models.scores(models.LeNet5(output="rbf", classes=2), outputs).argmax(axis=1), [0, 1]
    )
    np.testing.assert_array_equal(
        models.scores(models.LeNet5(classes=2), outputs).argmax(axis=1), [1, 0]
    )


@pytest.mark.parametrize("call", [models.build, models.input_format])
def test_an_unknown_name_lists_the_known_ones_closest_first(call):
    with pytest.raises(InputError, match=r"unknown model 'lenet5'. Known: lenet-5, .*linear-20x20"):
        call("lenet5")


BAD = [
    (
        models.LeNet5,
        {"input_shape": (28, 28, 1)},
        r"LeNet5: .*at least 32x32; got input_shape \(28, 28, 1\)",
    ),
    (models.LeNet4, {"input_shape": (15, 32, 1)}, "at least 16x16"),
    (
        models.LeNet1,
        {"input_shape": (28, 28)},
        r"input_shape is \(28, 28\), expected \(height, width, channels\)",
    ),
    (models.LeNet1, {"input_shape": (28, 28.0, 1)}, "three whole numbers"),
    (models.MLP, {"input_shape": 28}, "input_shape is 28, expected"),
    (models.Linear, {"input_shape": (28, 28, 0)}, r"input_shape is \(28, 28, 0\)"),
    (models.Linear, {"classes": 1}, "classes is 1, expected a number of at least 2"),
    (models.LeNet5, {"classes": True}, "classes is True, expected a whole number"),
    (models.LeNet5, {"classes": 11, "output": "rbf"}, "LeNet5: classes is 11, expected at most 10"),
    (models.LeNet5, {"output": "softmax"}, "output is 'softmax', expected 'logits' or 'rbf'"),
    (models.LeNet5, {"connections": "table"}, "connections is 'table', expected 'full'"),
    (models.LeNet5, {"subsampling": "max"}, "subsampling is 'max'"),
    (
        models.LeNet5,
        {"activation": "tanhh"},
        "activation is 'tanhh', expected 'tanh', 'scaled_tanh' or 'relu'",
    ),
    (models.LeNet5, {"initializer": "zeros"}, "initializer is 'zeros'"),
    (models.LeNet4, {"connections": "paper"}, 'needs subsampling="trainable"'),
    (
        models.MLP,
        {"hidden": ()},
        r"hidden is \(\), expected at least 1 of them",
    ),
    (models.MLP, {"hidden": 300}, "hidden is 300, expected a tuple"),
    (models.MLP, {"hidden": (300, 0)}, "hidden is 0, expected a number of at least 1"),
    (models.MLP, {"activation": "gelu"}, "activation is 'gelu'"),
    (
        lambda **options: models.build("mlp-28x28-300", **options),
        {"units": 3},
        "unknown option of mlp-28x28-300 'units'. Known: hidden",
    ),
]


@pytest.mark.parametrize("call, options, message", BAD)
def test_what_cannot_be_is_refused_with_what_was_expected(call, options, message):
    with pytest.raises(InputError, match=message):
        call(**options)
