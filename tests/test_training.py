import dataclasses
import os
import subprocess
import sys

import cnnlib.backend  # noqa: F401
from cnnlib import datasets, models, preprocessing, training
from cnnlib.errors import InputError

import keras
import numpy as np
import pytest

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
import cnnlib.backend, keras
from cnnlib import datasets, models, preprocessing, training
data = datasets.load("mnist", train_size=500, validation_size=100, test_size=100, seed=1)
keras.utils.set_random_seed(0)
net = models.build("lenet-1")
recipe = training.recipe("plain", epochs=3, batch_size=50)
training.train(net, preprocessing.prepare(data.train.images, "16-in-28"), data.train.labels, recipe, seed=5)
net.save_weights({str(tmp_path / "there.weights.h5")!r})
"""
    subprocess.run([sys.executable, "-c", program], check=True, env=os.environ | {"PYTHONHASHSEED": "1"})
    other = build("lenet-1", seed=1)
    other.load_weights(tmp_path / "there.weights.h5")
    assert same(net, other)


def test_it_learns_and_the_history_says_so(data, images):
    net = build()
    validation = preprocessing.prepare(data.validation.images, "32x32"), data.validation.labels
    history = training.train(net, images, data.train.labels, training.recipe("plain", epochs=12, batch_size=50), validation=validation)
    assert list(history.epochs["epoch"]) == list(range(1, 13))
    assert history.epochs["loss"].iloc[-1] < 0.3 * history.epochs["loss"].iloc[0]
    assert history.epochs["train_error"].iloc[-1] < 10
    assert history.epochs["validation_error"].iloc[-1] == training.evaluate(net, *validation) < 25
    assert history.seconds == pytest.approx(history.epochs["seconds"].sum())


def test_cosine_rate_and_warm_up_are_those_of_the_recipe():
    recipe = training.recipe("plain", epochs=10, learning_rate=0.5, warmup_epochs=2.0)
    rate = training._optimizer(recipe, steps=7)._learning_rate
    step = np.arange(71)
    expected = np.where(step < 14, 0.5 * step / 14, 0.25 * (1 + np.cos(np.pi * (step - 14) / 56)))
    np.testing.assert_allclose([float(rate(s)) for s in step], expected, atol=1e-6)
    constant = training.recipe("plain", schedule="constant", learning_rate=0.25)
    assert float(training._optimizer(constant, 7).learning_rate) == 0.25


def test_the_rates_of_the_1998_paper_hold_for_its_passes():
    recipe = training.recipe("plain", schedule="lecun-1998", learning_rate=0.0005, optimizer="sgd", momentum=0.0)
    optimizer = training._optimizer(recipe, steps=3)
    assert optimizer.momentum == 0
    by_pass = [0.0005] * 2 + [0.0002] * 3 + [0.0001] * 3 + [0.00005] * 4 + [0.00001] * 8
    np.testing.assert_allclose([float(optimizer._learning_rate(step)) for step in range(60)], np.repeat(by_pass, 3), rtol=1e-6)


def test_an_epoch_of_sgd_equals_an_independent_computation(data):
    """Softmax regression by hand: momentum 0.9, decoupled weight decay, the order of the images from (seed, epoch), a short last batch."""
    images = preprocessing.prepare(data.train.images[:130], "20x20")
    labels = data.train.labels[:130]
    recipe = training.recipe(
        "plain", epochs=1, batch_size=50, optimizer="sgd", learning_rate=0.1, schedule="constant", warmup_epochs=0, weight_decay=0.01
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

    path, saved = tmp_path / "run.npz", training._save

    def save_and_die(*arguments):
        saved(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "_save", save_and_die)
    with pytest.raises(KeyboardInterrupt):
        training.train(build(name), images, data.train.labels, SHORT, seed=2, checkpoint=path)
    monkeypatch.setattr(training, "_save", saved)
    resumed = build(name, seed=99)
    history = training.train(resumed, images, data.train.labels, SHORT, seed=2, checkpoint=path)
    assert same(whole, resumed)
    assert list(history.epochs["loss"]) == list(expected.epochs["loss"])


def test_a_checkpoint_of_another_run_is_refused(data, images, tmp_path):
    path = tmp_path / "run.npz"
    training.train(build(), images, data.train.labels, SHORT, seed=2, checkpoint=path)
    for net, recipe, seed in [(build(), SHORT, 3), (build(), dataclasses.replace(SHORT, epochs=4), 2), (build("lenet-4"), SHORT, 2)]:
        with pytest.raises(InputError, match="another net, recipe, seed or data: delete it"):
            training.train(net, images, data.train.labels, recipe, seed=seed, checkpoint=path)
    with pytest.raises(InputError, match="another net, recipe, seed or data"):
        training.train(build(), images[::-1].copy(), data.train.labels, SHORT, seed=2, checkpoint=path)
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
        assert training.evaluate(net, images[:30], data.train.labels[:30]) == pytest.approx(100 * np.mean(best != data.train.labels[:30]))


def test_a_loss_that_is_no_longer_finite_is_an_error(data, images):
    recipe = training.recipe("plain", epochs=2, optimizer="sgd", learning_rate=1e30, schedule="constant")
    with pytest.raises(InputError, match=r"after epoch 1: training diverged. Lower the recipe's learning_rate, which is 1e"):
        training.train(models.MLP(activation="relu"), images[:, 2:30, 2:30], data.train.labels, recipe)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (x.astype(np.float64), y), "float32 array, got float64: .*preprocessing.prepare"),
        (lambda x, y: ((x * 255).astype(np.uint8), y), "float32 array, got uint8"),
        (lambda x, y: (list(x), y), "float32 array, got list"),
        (lambda x, y: (x[:, 2:30, 2:30], y), r"lenet-5 takes images of shape \(n, 32, 32, 1\), got \(500, 28, 28, 1\)"),
        (lambda x, y: (x[:0], y[:0]), r"got \(0, 32, 32, 1\)"),
        (lambda x, y: (x, y[:-1]), r"500 integers, one for each image, got int64 \(499,\)"),
        (lambda x, y: (x, y.astype(np.float32)), "500 integers.* got float32"),
        (lambda x, y: (x, np.eye(10, dtype=int)[y]), r"500 integers.*\(500, 10\)"),
        (lambda x, y: (x, y + 1), "from 0 to 9, the classes of lenet-5; found 1 to 10"),
        (lambda x, y: (x, y - 1), "found -1 to 8"),
    ],
)
def test_images_and_labels_that_do_not_fit_are_refused(data, images, change, message):
    with pytest.raises(InputError, match=message):
        training.train(build(), *change(images, data.train.labels), SHORT)


def test_recipes_by_name_and_their_changes():
    assert training.recipe("quick").name == "quick" and training.recipe("quick", epochs=training.recipe("quick").epochs).name == "quick"
    changed = training.recipe("plain", learning_rate=0.1, epochs=2, optimizer="sgd")
    assert changed.name == "plain,epochs=2,learning_rate=0.1,optimizer=sgd"
    assert training.recipe(changed.name) == changed  # as a command makes it from the ledger's name
    for call, message in [
        (lambda: training.recipe("plian"), "unknown recipe 'plian'. Known: plain"),
        (lambda: training.recipe("plain", rate=1), "unknown recipe field 'rate'. Known: .*learning_rate"),
        (lambda: training.recipe("plain,epochs=two"), "epochs is like 20, not 'two'"),
        (lambda: training.recipe("plain,epoch=2"), "unknown recipe field 'epoch'. Known: epochs"),
        (lambda: training.recipe("plain", epochs=0), "epochs must be a whole number of at least 1, got 0"),
        (lambda: training.recipe("plain", epochs=2.5), "epochs must be a whole number"),
        (lambda: training.recipe("plain", learning_rate=float("nan")), "learning_rate must be a number"),
        (lambda: training.recipe("plain", learning_rate="1e-4"), "learning_rate must be a number of at least 0, got '1e-4'"),
        (lambda: training.recipe("plain", optimizer="adamv"), "unknown optimizer 'adamv'. Known: adamw"),
    ]:
        with pytest.raises(InputError, match=message):
            call()


def test_progress_is_one_line_that_ends_with_the_last_epoch(data, images, capsys):
    training.train(build(), images, data.train.labels, SHORT)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("epoch 3/3: loss ")
    training.train(build(), images, data.train.labels, SHORT, progress=False)
    assert capsys.readouterr().err == ""
