"""The average of the weights, the rate of the shifts, linear decay and smaller images."""

import keras
import numpy as np
import pytest

from cnnlib import backend, checkpoints, models, recipes, shortcuts, training
from cnnlib.errors import InputError

RECIPE = {"protocol": "plain", "epochs": 3, "batch_size": 16, "warmup_epochs": 1.0}


@pytest.fixture
def data():
    random = np.random.RandomState(0)
    return random.normal(size=(40, 16, 16, 3)).astype("float32"), random.randint(0, 10, 40)


def small_net():
    keras.utils.set_random_seed(0)
    images = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, use_bias=False)(images)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, keras.layers.Dense(10, dtype="float32")(x))


def recipe(**changes):
    return recipes.recipe("benchmark", **(RECIPE | changes))


def weights_after(data, killed=None, checkpoint=None, **changes):
    net = small_net()
    training.train(net, *data, recipe(**changes), checkpoint=checkpoint, progress=False)
    return net.get_weights()


def test_the_rate_rises_and_falls_along_straight_lines():
    rate = shortcuts.LinearDecay(2.0, 4, 20)
    found = [float(rate(step)) for step in (0, 1, 4, 12, 20, 25)]
    np.testing.assert_allclose(found, [0, 0.5, 2, 1, 0, 0])
    assert float(shortcuts.LinearDecay(2.0, 0, 10)(5)) == 1


def test_the_shifts_have_a_rate_of_their_own(data):
    """After one step they have moved seven times as far, and nothing else has changed."""
    options = {"epochs": 1, "batch_size": 40, "momentum": 0.0, "schedule": "constant"}
    options |= {"warmup_epochs": 0.0, "weight_decay": 0.0}
    plain = weights_after(data, **options)
    faster = weights_after(data, **options, shift_rate=7.0)
    names = [weight.name for weight in small_net().weights]
    for name, ours, theirs in zip(names, faster, plain, strict=True):
        factor = 7 if name == "beta" else 1
        np.testing.assert_allclose(ours, theirs * factor, rtol=1e-5, atol=1e-7)
    assert np.abs(plain[names.index("beta")]).max() > 1e-4


def test_the_net_ends_as_the_average_of_where_it_was():
    """Compare with the same walk in numbers."""
    weight = keras.Variable(np.zeros(2, "float32"))
    net = type("Net", (), {"variables": [weight]})()
    value, average = np.zeros(2), np.zeros(2)
    for epoch in range(2):
        walk = shortcuts.Lookahead(net, shortcuts.decays(every=2, steps=5, epoch=epoch, epochs=2))
        walk.on_train_begin()
        for batch in range(5):
            weight.assign(keras.ops.convert_to_numpy(weight) + 1)
            walk.on_train_batch_end(batch)
            value, step = value + 1, 5 * epoch + batch + 1
            if step in (2, 4, 5, 6, 8, 10):
                gap = 1 if step in (5, 6) else 2
                decay = 1 if step == 10 else 0.95**gap * (step / 10) ** 3
                value = average = decay * average + (1 - decay) * value
            np.testing.assert_allclose(weight.numpy(), value, rtol=1e-5)
    assert 1 < value[0] < 10


def test_a_killed_run_with_an_average_goes_on_to_the_same_weights(data, tmp_path, monkeypatch):
    options = {"lookahead": 2, "small_epochs": 1, "small_size": 8}
    expected = weights_after(data, **options)
    saves, save = [], checkpoints.save

    def dies(*arguments):
        save(*arguments)
        saves.append(1)
        if len(saves) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "save", dies)
    with pytest.raises(KeyboardInterrupt):
        weights_after(data, checkpoint=tmp_path / "net.npz", **options)
    found = weights_after(data, checkpoint=tmp_path / "net.npz", **options)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("size", [8, 12])
def test_smaller_images_are_means_of_areas(size):
    images = np.random.RandomState(0).normal(size=(2, 16, 16, 3)).astype("float32")
    found = shortcuts.smaller(images, size)
    fine = images.repeat(size, axis=1).repeat(size, axis=2)  # each pixel as size x size parts
    expected = fine.reshape(2, size, 16, size, 16, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_smaller_images_teach_the_same_weights(data):
    net = small_net()
    before = net.get_weights()
    small = shortcuts.at_size(net, 8)
    assert small.input_shape == (None, 8, 8, 3)
    assert [id(v) for v in small.trainable_variables] == [id(v) for v in net.trainable_variables]
    training.train(net, *data, recipe(small_epochs=3, small_size=8), progress=False)
    assert all((a != b).any() for a, b in zip(before, net.get_weights(), strict=True))


@pytest.mark.parametrize("name", ["lenet-5", "mlp-28x28-300"])
def test_a_net_for_one_size_alone_refuses_smaller_images(name):
    net = models.build(name)
    images = np.zeros((4, *net.input_shape[1:]), "float32")
    with pytest.raises(InputError, match=r"begins with images of 8x8, and .* set small_epochs=0"):
        training.train(net, images, np.arange(4), recipe(small_epochs=1, small_size=8))


@pytest.mark.parametrize("name", ["vgg16", "small", "fast", "densenet121", "mobilenetv2"])
def test_the_smallest_side_that_a_net_declares_is_the_smallest_that_it_takes(name):
    declared = models.registry.net(f"cifar10/{name}").smallest_side
    net = models.build(f"cifar10/{name}")
    if declared is None:
        with pytest.raises(ValueError):
            shortcuts.at_size(net, 24)
    else:
        assert shortcuts.at_size(net, declared).output_shape == (None, 10)


def test_images_that_would_not_be_smaller_are_refused(data):
    with pytest.raises(InputError, match=r"begins with images of 16x16, and .* takes .16, 16, 3."):
        training.train(small_net(), *data, recipe(small_epochs=1, small_size=16))


@pytest.mark.parametrize(("has", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_bfloat16_is_for_machines_that_have_it_and_keeps_float32_weights(
    has, expected, monkeypatch
):
    monkeypatch.setattr(backend, "has_bfloat16", lambda: has)
    with training.precision(recipe(precision="bfloat16")):
        net = small_net()
    assert {layer.compute_dtype for layer in net.layers[1:-1]} == {expected}
    assert {str(weight.dtype) for weight in net.weights} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"
