"""Optimizers, learning rates and losses against independent computations; small images."""

import keras
import numpy as np
import pytest

from cnnlib import models, optimization, recipes, training
from tests import test_jax
from tests.test_jax import small_net


@pytest.fixture(scope="module")
def data():
    return test_jax.data()


def cosine(part):
    return (1 + np.cos(np.pi * part)) / 2


STEP = np.arange(70)  # of ten epochs
RATES = {
    "plain,learning_rate=0.5,warmup_epochs=2": np.where(
        STEP < 14, 0.5 * STEP / 14, 0.5 * cosine((STEP - 14) / 56)
    ),
    "plain,schedule=constant,learning_rate=0.25": np.full(70, 0.25),
    "plain,schedule=linear,learning_rate=2": np.where(STEP < 7, 2 * STEP / 7, 2 * (70 - STEP) / 63),
    "plain,schedule=linear,learning_rate=1,warmup_epochs=0": 1 - STEP / 70,
    "benchmark": 0.1 * cosine(STEP // 7 / 10),
    "lecun-1998": np.repeat(10 * np.array([5e-4] * 2 + [2e-4] * 3 + [1e-4] * 3 + [5e-5] * 2), 7),
}


@pytest.mark.parametrize("name", RATES)
def test_the_rates_of_a_recipe_by_step(name):
    rate = optimization.optimizer(recipes.recipe(name, epochs=10), steps=7)._learning_rate
    found = [float(rate(step) if callable(rate) else rate) for step in STEP]
    np.testing.assert_allclose(found, RATES[name], atol=1e-6)
    if name == "benchmark":  # changes between epochs: stays the same in a single one
        recipe = recipes.recipe("benchmark,epochs=1")
        assert optimization.learning_rate(recipe, steps=10) == recipe.learning_rate


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_is_pytorchs(nesterov):
    """From the documentation of torch.optim.SGD.

    v = momentum v + (g + decay w); w -= rate v, or rate (g + decay w + momentum v).
    """
    random = np.random.RandomState(0)
    w, v = random.normal(size=5), np.zeros(5)
    weight = keras.Variable(w.astype("float32"))
    rate = keras.optimizers.schedules.PiecewiseConstantDecay([1, 2], [0.5, 0.1, 0.02])
    optimizer = optimization.TorchSGD(rate, 0.9, 0.05, nesterov=nesterov)
    for rate in [0.5, 0.5, 0.1, 0.02]:
        gradient = random.normal(size=5)
        optimizer.apply([keras.ops.convert_to_tensor(gradient.astype("float32"))], [weight])
        step = gradient + 0.05 * w
        v = 0.9 * v + step
        w = w - rate * (step + 0.9 * v if nesterov else v)
    np.testing.assert_allclose(weight.numpy(), w, atol=1e-6)


def test_adamw_shrinks_weights_by_the_rate_times_the_recipes_decay():
    weight = keras.Variable(np.ones(3, "float32"))
    recipe = recipes.recipe("plain,schedule=constant,learning_rate=0.5,weight_decay=0.1")
    no_slope = keras.ops.zeros(3)
    optimization.optimizer(recipe, steps=1).apply([no_slope], [weight])
    np.testing.assert_allclose(weight.numpy(), 1 - 0.5 * 0.1, rtol=1e-6)


ONE_STEP = {"protocol": "plain", "epochs": 1, "batch_size": 40, "momentum": 0.0}
ONE_STEP |= {"schedule": "constant", "weight_decay": 0.0}


def weights_after(data, **changes):
    net = small_net()
    training.train(net, *data, recipes.recipe("benchmark", **ONE_STEP | changes), progress=False)
    return net.get_weights()


def test_decay_is_on_every_weight_and_shifts_have_a_rate_of_their_own(data):
    net = small_net()
    before, names = net.get_weights(), [weight.name for weight in net.weights]
    trained = [id(weight) for weight in net.trainable_variables]
    plain = weights_after(data)
    decayed, faster = weights_after(data, weight_decay=0.3), weights_after(data, shift_rate=7.0)
    for i, weight in enumerate(net.weights):
        decay = 0.1 * 0.3 * before[i] if id(weight) in trained else 0
        np.testing.assert_allclose(decayed[i], plain[i] - decay, atol=1e-5)
        factor = 7 if names[i] == "beta" else 1
        np.testing.assert_allclose(faster[i], plain[i] * factor, rtol=1e-5, atol=1e-7)
    assert np.abs(plain[names.index("beta")]).max() > 1e-4


def test_label_smoothing_shares_a_part_of_the_target():
    random = np.random.RandomState(0)
    logits, labels = random.normal(size=(6, 10)).astype("float32"), random.randint(0, 10, 6)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = -(0.8 * log_p[np.arange(6), labels] + 0.2 * log_p.mean(axis=1))
    loss = optimization.loss_of(small_net(), 0.2)
    np.testing.assert_allclose(loss(labels[:, None], logits), expected.mean(), rtol=1e-5)


@pytest.mark.parametrize(("name", "smallest"), [("lenet-5", False), ("lenet-5-paper", True)])
def test_the_error_is_of_the_largest_score_or_the_smallest_distance(name, smallest):
    scores = np.random.RandomState(0).normal(size=(50, 10)).astype("float32")
    answers = scores.argmin(axis=1) if smallest else scores.argmax(axis=1)
    labels = np.where(np.arange(50) < 40, answers, (answers + 1) % 10)
    assert float(optimization.error_metric(models.build(name))(labels, scores)) == pytest.approx(20)


def test_names_in_keras_files_stay_the_same():
    for name in ("TorchSGD", "LinearDecay", "SmoothedCrossEntropy", "error_percent"):
        assert keras.saving.get_registered_name(getattr(optimization, name)) == f"cnnlib>{name}"


def test_the_net_ends_as_the_average_of_where_it_was():
    """Compare with the same walk in numbers."""
    weight = keras.Variable(np.zeros(2, "float32"))
    net = type("Net", (), {"variables": [weight]})()
    value, average = np.zeros(2), np.zeros(2)
    for epoch in range(2):
        walk = optimization.Lookahead(
            net, optimization.decays(every=2, steps=5, epoch=epoch, epochs=2)
        )
        walk.on_train_begin()
        for batch in range(5):
            weight.assign(weight.numpy() + 1)
            walk.on_train_batch_end(batch)
            value, step = value + 1, 5 * epoch + batch + 1
            if step in (2, 4, 5, 6, 8, 10):
                gap = 1 if step in (5, 6) else 2
                decay = 1 if step == 10 else 0.95**gap * (step / 10) ** 3
                value = average = decay * average + (1 - decay) * value
            np.testing.assert_allclose(weight.numpy(), value, rtol=1e-5)
    assert 1 < value[0] < 10


@pytest.mark.parametrize("size", [8, 12])
def test_smaller_images_are_means_of_areas(size):
    images = np.random.RandomState(0).normal(size=(2, 16, 16, 3)).astype("float32")
    fine = images.repeat(size, axis=1).repeat(size, axis=2)  # each pixel as size x size parts
    expected = fine.reshape(2, size, 16, size, 16, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(optimization.smaller(images, size), expected, atol=1e-5)


def test_smaller_images_teach_the_same_weights(data):
    net = small_net()
    before, small = net.get_weights(), optimization.at_size(net, 8)
    assert small.input_shape == (None, 8, 8, 3)
    assert [id(v) for v in small.trainable_variables] == [id(v) for v in net.trainable_variables]
    recipe = recipes.recipe("benchmark", **ONE_STEP, small_epochs=1, small_size=8)
    training.train(net, *data, recipe, progress=False)
    assert all((a != b).any() for a, b in zip(before, net.get_weights(), strict=True))


@pytest.mark.parametrize("name", ["small", "fast", "mobilenetv2"])
def test_the_smallest_side_that_a_net_declares_is_the_smallest_that_it_takes(name):
    declared = models.net(f"cifar10/{name}").smallest_side
    net = models.build(f"cifar10/{name}")
    if declared is None:
        with pytest.raises(ValueError):
            optimization.at_size(net, 24)
    else:
        assert optimization.at_size(net, declared).output_shape == (None, 10)
