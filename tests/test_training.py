import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from cnnlib import (
    augment,
    checkpoints,
    datasets,
    losses,
    models,
    optimizers,
    preprocessing,
    recipes,
    training,
)
from cnnlib.errors import InputError

SHORT = training.recipe("plain", epochs=3, batch_size=50)


@pytest.fixture(scope="module")
def data():
    return datasets.load("mnist", train_size=500, validation_size=100, test_size=100, seed=1)


@pytest.fixture(scope="module")
def images(data):
    return preprocessing.prepare(data.train.images, "32x32")


def build(name="lenet-5", seed=0):
    keras.utils.set_random_seed(seed)
    return models.build(name)


def weights(model):
    return [keras.ops.convert_to_numpy(v) for v in model.variables]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(weights(a), weights(b), strict=True))


def test_the_same_seed_gives_bit_identical_weights(data, images):
    nets = [build() for _ in range(2)]
    histories = [training.train(net, images, data.train.labels, SHORT, seed=5) for net in nets]
    assert same(*nets)
    columns = ["epoch", "loss", "train_error"]
    assert histories[0].epochs[columns].equals(histories[1].epochs[columns])
    other = build()
    training.train(other, images, data.train.labels, SHORT, seed=6)
    assert not same(nets[0], other)


def test_the_same_seed_gives_bit_identical_weights_in_another_process(data, images, tmp_path):
    net = build("lenet-1")
    small = preprocessing.prepare(data.train.images, "16-in-28")
    training.train(net, small, data.train.labels, SHORT, seed=5)
    net.save_weights(tmp_path / "here.weights.h5")
    program = f"""
import cnnlib, keras
from cnnlib import (
    checkpoints,
    datasets,
    losses,
    models,
    optimizers,
    preprocessing,
    recipes,
    training,
)
data = datasets.load("mnist", train_size=500, validation_size=100, test_size=100, seed=1)
keras.utils.set_random_seed(0)
net = models.build("lenet-1")
recipe = training.recipe("plain", epochs=3, batch_size=50)
images = preprocessing.prepare(data.train.images, "16-in-28")
training.train(net, images, data.train.labels, recipe, seed=5)
net.save_weights({str(tmp_path / "there.weights.h5")!r})
"""
    subprocess.run(
        [sys.executable, "-c", program], check=True, env=os.environ | {"PYTHONHASHSEED": "1"}
    )
    other = build("lenet-1", seed=1)
    other.load_weights(tmp_path / "there.weights.h5")
    assert same(net, other)


def test_it_learns_and_the_history_says_so(data, images):
    net = build()
    validation = preprocessing.prepare(data.validation.images, "32x32"), data.validation.labels
    history = training.train(
        net,
        images,
        data.train.labels,
        training.recipe("plain", epochs=12, batch_size=50),
        validation=validation,
    )
    assert list(history.epochs["epoch"]) == list(range(1, 13))
    assert history.epochs["loss"].iloc[-1] < 0.3 * history.epochs["loss"].iloc[0]
    assert history.epochs["train_error"].iloc[-1] < 10
    assert history.epochs["validation_error"].iloc[-1] == training.evaluate(net, *validation) < 25
    assert history.seconds == pytest.approx(history.epochs["seconds"].sum())


def test_cosine_rate_and_warm_up_are_those_of_the_recipe():
    recipe = training.recipe("plain", epochs=10, learning_rate=0.5, warmup_epochs=2.0)
    rate = optimizers.optimizer(recipe, steps=7)._learning_rate
    step = np.arange(71)
    expected = np.where(step < 14, 0.5 * step / 14, 0.25 * (1 + np.cos(np.pi * (step - 14) / 56)))
    np.testing.assert_allclose([float(rate(s)) for s in step], expected, atol=1e-6)
    constant = training.recipe("plain", schedule="constant", learning_rate=0.25)
    assert float(optimizers.optimizer(constant, 7).learning_rate) == 0.25


@pytest.mark.parametrize("name", ["benchmark", "plain,schedule=cosine-by-epoch"])
def test_a_rate_that_changes_between_epochs_stays_the_same_in_a_single_one(data, images, name):
    recipe = training.recipe(f"{name},epochs=1", batch_size=50, protocol="plain")
    assert optimizers.learning_rate(recipe, steps=10) == recipe.learning_rate
    net = build("lenet-5")
    assert len(training.train(net, images, data.train.labels, recipe).epochs) == 1


def test_the_rates_of_the_1998_paper_hold_for_its_passes():
    recipe = training.recipe(
        "plain", schedule="lecun-1998", learning_rate=0.0005, optimizer="sgd", momentum=0.0
    )
    optimizer = optimizers.optimizer(recipe, steps=3)
    assert optimizer.momentum == 0
    by_pass = [0.0005] * 2 + [0.0002] * 3 + [0.0001] * 3 + [0.00005] * 4 + [0.00001] * 8
    np.testing.assert_allclose(
        [float(optimizer._learning_rate(step)) for step in range(60)],
        np.repeat(by_pass, 3),
        rtol=1e-6,
    )


def test_an_epoch_of_sgd_equals_an_independent_computation(data):
    """Softmax regression by hand, with a short last batch.

    Momentum 0.9, decoupled weight decay, the order of the images from (seed, epoch).
    """
    images = preprocessing.prepare(data.train.images[:130], "20x20")
    labels = data.train.labels[:130]
    recipe = training.recipe(
        "plain",
        epochs=1,
        batch_size=50,
        optimizer="sgd",
        learning_rate=0.1,
        schedule="constant",
        warmup_epochs=0,
        weight_decay=0.01,
    )
    net = build("linear-20x20")
    w, b = (a.astype(np.float64) for a in weights(net)[:2])
    history = training.train(net, images, labels, recipe, seed=3)

    speed, losses = [np.zeros_like(w), np.zeros_like(b)], []
    order = np.random.RandomState((3, 0)).permutation(130)
    for batch in (order[:50], order[50:100], order[100:]):
        x, y = images[batch].reshape(len(batch), -1).astype(np.float64), np.eye(10)[labels[batch]]
        logits = x @ w + b
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        losses += list(-np.log((p * y).sum(axis=1)))
        gradients = [x.T @ (p - y) / len(batch), (p - y).mean(axis=0)]
        for k, (value, gradient) in enumerate(zip((w, b), gradients, strict=True)):
            value -= 0.1 * 0.01 * value
            speed[k] = 0.9 * speed[k] - 0.1 * gradient
            value += speed[k]
    np.testing.assert_allclose(weights(net)[0], w, atol=2e-5)
    np.testing.assert_allclose(weights(net)[1], b, atol=2e-5)
    assert history.epochs["loss"][0] == pytest.approx(np.mean(losses), abs=1e-4)


@pytest.mark.parametrize("name", ["lenet-5", "lenet-5-paper"])
def test_a_killed_run_goes_on_to_the_same_weights(data, images, tmp_path, monkeypatch, name):
    whole = build(name)
    expected = training.train(whole, images, data.train.labels, SHORT, seed=2)

    path, saved = tmp_path / "run.npz", checkpoints.save

    def save_and_die(*arguments):
        saved(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "save", save_and_die)
    with pytest.raises(KeyboardInterrupt):
        training.train(build(name), images, data.train.labels, SHORT, seed=2, checkpoint=path)
    monkeypatch.setattr(checkpoints, "save", saved)
    resumed = build(name, seed=99)
    history = training.train(resumed, images, data.train.labels, SHORT, seed=2, checkpoint=path)
    assert same(whole, resumed)
    assert list(history.epochs["loss"]) == list(expected.epochs["loss"])


def test_a_checkpoint_of_another_run_is_refused(data, images, tmp_path):
    path = tmp_path / "run.npz"
    training.train(build(), images, data.train.labels, SHORT, seed=2, checkpoint=path)
    for net, recipe, seed in [
        (build(), SHORT, 3),
        (build(), SHORT.changed(epochs=4), 2),
        (build("lenet-4"), SHORT, 2),
    ]:
        with pytest.raises(InputError, match="another net, recipe, seed or data: delete it"):
            training.train(net, images, data.train.labels, recipe, seed=seed, checkpoint=path)
    with pytest.raises(InputError, match="another net, recipe, seed or data"):
        training.train(
            build(), images[::-1].copy(), data.train.labels, SHORT, seed=2, checkpoint=path
        )
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"cannot be read .*: delete it"):
        training.train(build(), images, data.train.labels, SHORT, seed=2, checkpoint=path)


def test_predict_gives_probabilities_of_the_nearest_code_too(data, images):
    for name in ("lenet-5", "lenet-5-paper"):
        net = build(name)
        p = training.predict(net, images[:30], batch_size=7)
        outputs = keras.ops.convert_to_numpy(net(images[:30]))
        assert p.shape == (30, 10) and p.dtype == np.float32
        np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
        best = outputs.argmin(axis=1) if name == "lenet-5-paper" else outputs.argmax(axis=1)
        np.testing.assert_array_equal(p.argmax(axis=1), best)
        assert training.evaluate(net, images[:30], data.train.labels[:30]) == pytest.approx(
            100 * np.mean(best != data.train.labels[:30])
        )


def test_a_loss_that_is_no_longer_finite_is_an_error(data, images):
    recipe = training.recipe(
        "plain", epochs=2, optimizer="sgd", learning_rate=1e30, schedule="constant"
    )
    with pytest.raises(
        InputError,
        match=r"after epoch 1: training diverged. Lower the recipe's learning_rate, which is 1e",
    ):
        training.train(
            models.MLP(activation="relu"), images[:, 2:30, 2:30], data.train.labels, recipe
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda x, y: (x.astype(np.float64), y),
            "float32 array, got float64: .*preprocessing.prepare",
        ),
        (lambda x, y: ((x * 255).astype(np.uint8), y), "float32 array, got uint8"),
        (lambda x, y: (list(x), y), "float32 array, got list"),
        (
            lambda x, y: (x[:, 2:30, 2:30], y),
            r"lenet-5 takes images of shape \(n, 32, 32, 1\), got \(500, 28, 28, 1\)",
        ),
        (lambda x, y: (x[:0], y[:0]), r"got \(0, 32, 32, 1\)"),
        (lambda x, y: (x, y[:-1]), r"500 integers, one for each image, got int64 \(499,\)"),
        (lambda x, y: (x, y.astype(np.float32)), "500 integers.* got float32"),
        (lambda x, y: (x, np.eye(10, dtype=int)[y]), r"500 integers.*\(500, 10\)"),
        (lambda x, y: (x, y + 1), "from 0 to 9, the classes of lenet-5; found 1 to 10"),
        (lambda x, y: (x, y - 1), "found -1 to 8"),
        (lambda x, y: (x, None), "500 integers"),
        (lambda x, y: (x, [[1], [2, 3]]), "500 integers"),
        (lambda x, y: (None, y), "float32 array, got NoneType"),
        (lambda x, y: (x[0], y), r"takes images of shape \(n, 32, 32, 1\), got \(32, 32, 1\)"),
        (lambda x, y: (np.where(x > 1, np.float32("nan"), x), y), "finite numbers, found NaN"),
        (lambda x, y: (np.where(x > 1, np.float32("inf"), x), y), "finite numbers, found NaN or"),
    ],
)
def test_images_and_labels_that_do_not_fit_are_refused(data, images, change, message):
    with pytest.raises(InputError, match=message):
        training.train(build(), *change(images, data.train.labels), SHORT)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": None}, "model is None, expected an instance of Model"),
        ({"recipe": "plain"}, "recipe is 'plain', expected an instance of Recipe"),
        ({"seed": -1}, "seed is -1, expected a number of at least 0"),
        ({"seed": 2**32}, "seed is 4294967296, expected a number of at most"),
        ({"seed": 0.5}, "seed is 0.5, expected a whole number"),
        ({"seed": True}, "seed is True, expected a whole number"),
        ({"validation": 7}, "validation is 7"),
        ({"validation": (None, None)}, "float32 array, got NoneType"),
        ({"checkpoint": 5}, "checkpoint is 5"),
        ({"progress": "no"}, "progress is 'no', expected True or False"),
        ({"epochs": 3}, "train.. has no argument epochs"),
    ],
)
def test_arguments_of_another_kind_are_refused(data, images, change, message):
    arguments = {"model": build(), "images": images, "labels": data.train.labels, "recipe": SHORT}
    with pytest.raises(InputError, match=message):
        training.train(**arguments | change)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"views": 3}, "views is 3, expected 1, 2 or 6"),
        ({"views": True}, "views is True, expected a whole number"),
        ({"batch_size": 0}, "batch_size is 0, expected a number of at least 1"),
        ({"model": "lenet-5"}, "model is 'lenet-5', expected an instance of Model"),
    ],
)
def test_predictions_that_cannot_be_made_are_refused(images, options, message):
    with pytest.raises(InputError, match=message):
        training.predict(**{"model": build(), "images": images} | options)


def test_a_net_in_another_precision_than_the_recipes_is_refused(data, images):
    """As after a policy that the program has set; of other settings: test_backend.py."""
    message = "lenet-5 was built in .*float16, and the recipe plain.* trains in float32: build the"
    keras.config.set_dtype_policy("mixed_float16")
    try:
        wrong = build()
        with training.precision(SHORT):
            right = build()
    finally:
        keras.config.set_dtype_policy("float32")
    with pytest.raises(InputError, match=message):
        training.train(wrong, images, data.train.labels, SHORT)
    training.train(right, images, data.train.labels, SHORT.changed(epochs=1))
    expected = build()
    training.train(expected, images, data.train.labels, SHORT.changed(epochs=1))
    assert same(right, expected)


def test_progress_is_one_line_that_ends_with_the_last_epoch(data, images, capsys):
    training.train(build(), images, data.train.labels, SHORT)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("epoch 3/3: loss ")
    training.train(build(), images, data.train.labels, SHORT, progress=False)
    assert capsys.readouterr().err == ""


class TestColourImages:
    """What the CIFAR-10 recipes add.

    PyTorch's SGD, crops and flips, label smoothing, views, mixed precision.
    """

    @pytest.fixture
    def colour(self):
        random = np.random.RandomState(0)
        images = preprocessing.prepare(random.randint(0, 256, (60, 32, 32, 3), np.uint8), "cifar10")
        return images, random.randint(0, 10, 60)

    @staticmethod
    def small_net(seed=0):
        keras.utils.set_random_seed(seed)
        images = keras.Input((32, 32, 3))
        x = keras.layers.Conv2D(4, 5, strides=4, use_bias=False)(images)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
        return keras.Model(
            images, keras.layers.Dense(10, dtype="float32")(keras.layers.Flatten()(x))
        )

    @pytest.mark.parametrize("nesterov", [False, True])
    def test_sgd_is_pytorchs(self, nesterov):
        """From the documentation of torch.optim.SGD.

        v = momentum v + (g + decay w); w -= rate v, or rate (g + decay w + momentum v).
        """
        random = np.random.RandomState(0)
        w, v = random.normal(size=5), np.zeros(5)
        weight = keras.Variable(w.astype("float32"))
        rates = [0.5, 0.5, 0.1, 0.02]
        optimizer = optimizers.TorchSGD(
            keras.optimizers.schedules.PiecewiseConstantDecay([1, 2], [0.5, 0.1, 0.02]),
            0.9,
            0.05,
            nesterov,
        )
        for rate in rates:
            gradient = random.normal(size=5)
            optimizer.apply([keras.ops.convert_to_tensor(gradient.astype("float32"))], [weight])
            step = gradient + 0.05 * w
            v = 0.9 * v + step
            w = w - rate * (step + 0.9 * v if nesterov else v)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(weight), w, atol=1e-6)

    def test_decay_is_on_every_weight_batch_norm_too(self, colour):
        images, labels = colour
        nets = [self.small_net() for _ in range(2)]
        before = [v.numpy() for v in nets[0].trainable_variables]
        for net, decay in zip(nets, (0.0, 0.3), strict=True):
            options = {
                "epochs": 1,
                "batch_size": 60,
                "warmup_epochs": 0.0,
                "schedule": "constant",
                "momentum": 0.0,
            }
            recipe = training.recipe(
                "benchmark", protocol="plain", learning_rate=0.1, weight_decay=decay, **options
            )
            training.train(net, images, labels, recipe)
        for start, plain, decayed in zip(
            before, *(net.trainable_variables for net in nets), strict=True
        ):
            np.testing.assert_allclose(
                decayed.numpy(), plain.numpy() - 0.1 * 0.3 * start, atol=1e-5
            )

    def test_the_rate_of_the_benchmark_falls_by_cosine_after_each_epoch(self):
        recipe = training.recipe("benchmark")
        rate = optimizers.optimizer(recipe, steps=391)._learning_rate
        for epoch in (0, 1, 100, 199):
            expected = 0.1 * (1 + np.cos(np.pi * epoch / 200)) / 2
            assert float(rate(epoch * 391)) == pytest.approx(expected, abs=1e-7)
            assert float(rate(epoch * 391 + 390)) == pytest.approx(expected, abs=1e-7)
        assert (recipe.momentum, recipe.weight_decay, recipe.batch_size, recipe.nesterov) == (
            0.9,
            5e-4,
            128,
            0,
        )

    def test_crops_and_flips_are_those_of_a_plain_loop(self, colour):
        images, _ = colour
        cropped = augment.crop_and_flip(images, (3, 1), 4)
        random = np.random.RandomState((3, 1))
        top, left = random.randint(0, 9, (2, 60))
        mirrored = random.randint(0, 2, 60)
        black = preprocessing.standardise(np.zeros((60, 40, 40, 3), np.uint8))
        for i in range(60):
            canvas = black[i].copy()
            canvas[4:36, 4:36] = images[i]
            window = canvas[top[i] : top[i] + 32, left[i] : left[i] + 32]
            np.testing.assert_array_equal(cropped[i], window[:, ::-1] if mirrored[i] else window)
        assert 0 < mirrored.sum() < 60 and {0, 8} <= set(top) | set(left)
        with pytest.raises(InputError, match=r"float32 images \(n, height, width, 3\)"):
            augment.crop_and_flip(images[..., :1], 0, 4)

    def test_alternating_flips_show_each_image_both_ways_in_two_epochs(self, colour, monkeypatch):
        images, _ = colour
        monkeypatch.setitem(recipes.CROP_PADDING, "crop-alternating", 0)
        recipe, order = training.recipe("fast"), np.arange(60)[::-1]
        first, second, third = (
            training.epoch_images(images, order, recipe, 7, epoch) for epoch in (0, 1, 2)
        )
        np.testing.assert_array_equal(first, second[:, :, ::-1])
        np.testing.assert_array_equal(first, third)
        same = (first == images[order]).all(axis=(1, 2, 3))
        assert 0 < same.sum() < 60

    @pytest.mark.parametrize("name", ["benchmark", "fast"])
    def test_a_killed_run_goes_on_to_the_same_weights(self, colour, tmp_path, monkeypatch, name):
        images, labels = colour
        recipe = training.recipe(name, epochs=3, batch_size=25)
        whole = self.small_net()
        training.train(whole, images, labels, recipe, seed=2)
        path, saved = tmp_path / "run.npz", checkpoints.save

        def save_and_die(*arguments):
            saved(*arguments)
            raise KeyboardInterrupt

        monkeypatch.setattr(checkpoints, "save", save_and_die)
        with pytest.raises(KeyboardInterrupt):
            training.train(self.small_net(), images, labels, recipe, seed=2, checkpoint=path)
        monkeypatch.setattr(checkpoints, "save", saved)
        resumed = self.small_net(seed=99)
        training.train(resumed, images, labels, recipe, seed=2, checkpoint=path)
        assert same(whole, resumed)

    def test_label_smoothing_shares_a_part_of_the_target(self):
        random = np.random.RandomState(0)
        logits, labels = random.normal(size=(6, 10)).astype("float32"), random.randint(0, 10, 6)
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        expected = -(0.8 * log_p[np.arange(6), labels] + 0.2 * log_p.mean(axis=1))
        loss = losses.loss_of(self.small_net(), 0.2)
        np.testing.assert_allclose(loss(labels[:, None], logits), expected.mean(), rtol=1e-5)

    def test_two_views_are_an_image_and_its_mirror_image(self, colour):
        images, labels = colour
        net = self.small_net()
        logits = (net(images).numpy() + net(images[:, :, ::-1]).numpy()) / 2
        p = training.predict(net, images, views=2)
        np.testing.assert_allclose(
            np.log(p) - np.log(p).mean(axis=1, keepdims=True),
            logits - logits.mean(axis=1, keepdims=True),
            atol=1e-4,
        )
        assert training.evaluate(net, images, labels, 2) == pytest.approx(
            100 * np.mean(logits.argmax(axis=1) != labels)
        )
        assert not np.allclose(p, training.predict(net, images))

    def test_six_views_are_these_two_and_both_moved_by_a_pixel(self, colour):
        images, _ = colour
        net = self.small_net()
        logits = lambda seen: net(seen).numpy() + net(seen[:, :, ::-1]).numpy()  # noqa: E731
        up_left = np.concatenate([images[:, 1:], images[:, -1:]], axis=1)
        up_left = np.concatenate([up_left[:, :, 1:], up_left[:, :, -1:]], axis=2)
        down_right = np.concatenate([images[:, :1], images[:, :-1]], axis=1)
        down_right = np.concatenate([down_right[:, :, :1], down_right[:, :, :-1]], axis=2)
        expected = logits(images) / 4 + logits(up_left) / 8 + logits(down_right) / 8
        np.testing.assert_allclose(
            training.predict(net, images, views=6), keras.ops.softmax(expected), atol=1e-5
        )

    def test_mixed_precision_is_for_a_gpu_and_leaves_no_trace(self, colour, tmp_path, monkeypatch):
        images, labels = colour
        recipe = training.recipe("benchmark", epochs=2, batch_size=30)
        with training.precision(recipe):
            assert keras.config.dtype_policy().name == (
                "mixed_float16" if keras.distribution.list_devices("gpu") else "float32"
            )
        monkeypatch.setattr(keras.distribution, "list_devices", lambda kind=None: ["gpu:0"])
        with training.precision(training.recipe("benchmark", precision="float32")):
            assert keras.config.dtype_policy().name == "float32"
        with training.precision(recipe):
            nets = [self.small_net(), self.small_net(seed=1)]
        monkeypatch.undo()
        assert (
            keras.config.dtype_policy().name == "float32"
            and nets[0].layers[1].compute_dtype == "float16"
        )
        training.train(nets[0], images, labels, recipe, checkpoint=tmp_path / "run.npz")
        training.train(
            nets[1], images, labels, recipe, checkpoint=tmp_path / "run.npz"
        )  # nothing is left to do: the state is read
        assert same(*nets) and nets[0].layers[1].kernel.dtype == "float32"

    def test_whitening_makes_patches_uncorrelated_and_is_not_trained(self, colour, tmp_path):
        images, labels = colour
        images = (images + np.roll(images, 1, axis=1) + np.roll(images, 1, axis=2)).astype(
            "float32"
        )  # neighbours are alike
        net = models.build("cifar10/fast")
        layer = net.get_layer("whitening")
        layer.adapt(images)
        outputs = keras.ops.convert_to_numpy(layer(images))[:, ::2, ::2, :12].reshape(-1, 12)
        np.testing.assert_allclose(np.cov(outputs, rowvar=False), np.eye(12), atol=0.1)
        kernel = layer.kernel.numpy()
        np.testing.assert_array_equal(kernel[..., :12], -kernel[..., 12:])
        training.train(net, images, labels, training.recipe("fast", epochs=1, batch_size=30))
        np.testing.assert_array_equal(layer.kernel.numpy(), kernel)
        assert [v.path for v in layer.trainable_variables] == [layer.bias.path]
        net.save(tmp_path / "net.keras")
        loaded = keras.saving.load_model(tmp_path / "net.keras", compile=False)
        np.testing.assert_allclose(loaded(images[:2]), net(images[:2]), atol=1e-5)

    def test_convolutions_of_the_fast_net_begin_by_passing_maps_on(self):
        maps = np.random.RandomState(0).normal(size=(2, 8, 8, 24)).astype("float32")
        net = models.build("cifar10/fast")
        seen = keras.layers.Conv2D.call(net.get_layer("stage1_conv1"), maps)
        np.testing.assert_allclose(seen[..., :24], maps, atol=1e-5)
        assert np.std(net.get_layer("stage1_conv1").kernel[..., 24:]) > 0.02
        np.testing.assert_allclose(net.get_layer("stage3_conv2").kernel[1, 1], np.eye(256))


class TestSavedFiles:
    """Nets that were saved with their optimizer and loss, also by the first edition, load."""

    @pytest.mark.parametrize(
        ("found", "name"),
        [
            (optimizers.TorchSGD, "TorchSGD"),
            (losses.SmoothedCrossEntropy, "SmoothedCrossEntropy"),
            (losses.error_percent, "error_percent"),
            (losses.error_percent_of_distances, "error_percent_of_distances"),
        ],
    )
    def test_names_in_keras_files_stay_the_same(self, found, name):
        assert keras.saving.get_registered_name(found) == f"cnnlib>{name}"

    def test_an_optimizer_that_the_first_edition_saved_loads(self):
        config = {"learning_rate": 0.1, "momentum": 0.8, "coupled_decay": 0.05, "nesterov": True}
        saved = {"module": "cnnlib.training", "class_name": "TorchSGD", "config": config}
        loaded = keras.saving.deserialize_keras_object(
            saved | {"registered_name": "cnnlib>TorchSGD"}
        )
        assert isinstance(loaded, optimizers.TorchSGD)
        assert (loaded.coupled_decay, loaded.momentum, loaded.nesterov) == (0.05, 0.8, True)

    def test_a_net_saved_after_training_continues_where_it_was(self, data, images, tmp_path):
        net = build()
        recipe = training.recipe("fast", protocol="plain", epochs=1, batch_size=50)
        training.train(net, images, data.train.labels, recipe)
        net.save(tmp_path / "net.keras")
        loaded = keras.saving.load_model(tmp_path / "net.keras")
        assert same(net, loaded) and loaded.loss.label_smoothing == 0.2
        for each in (net, loaded):
            each.fit(images[:50], data.train.labels[:50], shuffle=False, verbose=0)
        assert same(net, loaded)
