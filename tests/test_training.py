import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from cnnlib import checkpoints, datasets, models, preprocessing, recipes, training
from cnnlib.errors import InputError

SHORT = recipes.recipe("plain", epochs=2, batch_size=50)


@pytest.fixture(scope="module")
def data():
    return datasets.load("mnist", train_size=300, validation_size=100, test_size=10, seed=1)


@pytest.fixture(scope="module")
def images(data):
    return preprocessing.prepare(data.train.images, "28x28")


@pytest.fixture(scope="module")
def colour():
    random = np.random.RandomState(0)
    images = preprocessing.prepare(random.randint(0, 256, (60, 32, 32, 3), np.uint8), "cifar10")
    return images, random.randint(0, 10, 60)


def build(name="lenet-1", seed=0):
    keras.utils.set_random_seed(seed)
    return models.build(name)


def small_net(seed=0):
    """A small net with batch norm for images of 32x32."""
    keras.utils.set_random_seed(seed)
    images = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(4, 5, strides=4, use_bias=False)(images)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, keras.layers.Dense(10, dtype="float32")(x))


def same(a, b):
    pairs = zip(a.variables, b.variables, strict=True)
    return all(np.array_equal(x.numpy(), y.numpy()) for x, y in pairs)


IN_ANOTHER_PROCESS = """
import sys
from tests import test_training
net = test_training.build("linear-28x28")
test_training.training.train(net, *test_training.random_digits(), test_training.SHORT, seed=5)
net.save_weights(sys.argv[1])
"""


def random_digits():
    random = np.random.RandomState(0)
    return random.normal(size=(120, 28, 28, 1)).astype("float32"), random.randint(0, 10, 120)


def test_the_same_seed_gives_bit_identical_weights_in_another_process_too(tmp_path):
    nets = [build("linear-28x28") for _ in range(3)]
    histories = [
        training.train(net, *random_digits(), SHORT, seed)
        for net, seed in zip(nets, (5, 5, 6), strict=True)
    ]
    assert same(nets[0], nets[1]) and not same(nets[0], nets[2])
    columns = ["epoch", "loss", "train_error"]
    assert histories[0].epochs[columns].equals(histories[1].epochs[columns])
    assert histories[0].is_of(nets[1]) and not histories[0].is_of(nets[2])
    file = tmp_path / "there.weights.h5"
    environment = os.environ | {"PYTHONHASHSEED": "1"}
    subprocess.run([sys.executable, "-c", IN_ANOTHER_PROCESS, file], check=True, env=environment)
    nets[2].load_weights(file)
    assert same(nets[0], nets[2])


def test_it_learns_and_the_history_says_so_a_line_an_epoch(data, images, capsys):
    net = build("linear-28x28")
    validation = [preprocessing.prepare(data.validation.images, "28x28"), data.validation.labels]
    recipe = recipes.recipe("plain", epochs=12, batch_size=50)
    history = training.train(net, images, data.train.labels, recipe, validation=validation)
    assert list(history.epochs["epoch"]) == list(range(1, 13))
    assert history.epochs["loss"].iloc[-1] < 0.5 * history.epochs["loss"].iloc[0]
    assert history.epochs["train_error"].iloc[-1] < 20
    assert history.epochs["validation_error"].iloc[-1] == training.evaluate(net, *validation) < 40
    assert history.seconds == pytest.approx(history.epochs["seconds"].sum())
    lines = [each for each in capsys.readouterr().err.splitlines() if each.startswith("epoch ")]
    assert len(lines) == 12
    line = lines[-1]
    assert line.startswith("epoch 12/12: loss ") and "validation error" in line
    training.train(net, images, data.train.labels, SHORT, progress=False)
    assert capsys.readouterr().err == ""


def test_an_epoch_of_sgd_equals_an_independent_computation(data):
    """Softmax regression by hand, with a short last batch.

    Momentum 0.9, decoupled weight decay, the order of the images from (seed, epoch).
    """
    images = preprocessing.prepare(data.train.images[:130], "20x20")
    labels = data.train.labels[:130]
    recipe = recipes.recipe(
        "plain,epochs=2,batch_size=50,optimizer=sgd,learning_rate=0.1,schedule=constant,"
        "weight_decay=0.01"
    )
    net = build("linear-20x20")
    w, b = (a.astype(np.float64) for a in net.get_weights())
    history = training.train(net, images, labels, recipe, seed=3)

    speed = [np.zeros_like(w), np.zeros_like(b)]
    for epoch in range(2):
        order, losses = np.random.RandomState((3, epoch)).permutation(130), []
        for batch in (order[:50], order[50:100], order[100:]):
            x = images[batch].reshape(len(batch), -1).astype(np.float64)
            y, logits = np.eye(10)[labels[batch]], x @ w + b
            p = np.exp(logits - logits.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            losses += list(-np.log((p * y).sum(axis=1)))
            gradients = [x.T @ (p - y) / len(batch), (p - y).mean(axis=0)]
            for k, (value, gradient) in enumerate(zip((w, b), gradients, strict=True)):
                value -= 0.1 * 0.01 * value
                speed[k] = 0.9 * speed[k] - 0.1 * gradient
                value += speed[k]
        assert history.epochs["loss"][epoch] == pytest.approx(np.mean(losses), abs=1e-4)
    np.testing.assert_allclose(net.get_weights()[0], w, atol=4e-5)
    np.testing.assert_allclose(net.get_weights()[1], b, atol=4e-5)


@pytest.mark.parametrize(
    "name", ["benchmark", "fast-bfloat16-12,lookahead=2,precision=float32,small_epochs=1"]
)
def test_a_killed_run_goes_on_to_the_same_weights(colour, tmp_path, monkeypatch, capsys, name):
    recipe, whole = recipes.recipe(name, epochs=3, batch_size=25), small_net()
    expected = training.train(whole, *colour, recipe, seed=2)
    path, saved = tmp_path / "run.npz", checkpoints.save

    def save_and_die(*arguments):
        saved(*arguments)
        raise KeyboardInterrupt

    for _ in range(2):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(checkpoints, "save", save_and_die)
            training.train(small_net(), *colour, recipe, seed=2, checkpoint=path)
    resumed = small_net(seed=99)
    capsys.readouterr()
    history = training.train(resumed, *colour, recipe, seed=2, checkpoint=path)
    resumption, last = capsys.readouterr().err.splitlines()
    assert resumption == "resumed at epoch 3 of 3" and last.startswith("epoch 3/3: loss")
    assert same(whole, resumed)
    assert list(history.epochs["loss"]) == list(expected.epochs["loss"])


def test_a_checkpoint_of_another_run_is_refused(data, images, tmp_path):
    path, labels = tmp_path / "run.npz", data.train.labels
    net = build("linear-28x28")
    training.train(net, images, labels, SHORT, seed=2, checkpoint=path)
    for other, inputs, recipe, seed in [
        (net, images, SHORT, 3),
        (net, images, SHORT.changed(epochs=3), 2),
        (models.build("mlp-28x28-300"), images, SHORT, 2),
        (net, images[::-1].copy(), SHORT, 2),
    ]:
        with pytest.raises(InputError, match="of another net, recipe, seed or data: delete it"):
            training.train(other, inputs, labels, recipe, seed=seed, checkpoint=path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"cannot be read .*: delete it"):
        training.train(net, images, labels, SHORT, seed=2, checkpoint=path)


def test_a_loss_that_is_no_longer_finite_is_an_error(data, images):
    recipe = recipes.recipe("plain,optimizer=sgd,learning_rate=1e30,schedule=constant")
    net = models.MLP(activation="relu")
    with pytest.raises(InputError, match=r"after epoch 1: training diverged. .*, which is 1e"):
        training.train(net, images, data.train.labels, recipe)


def test_a_net_in_another_precision_than_the_recipes_is_refused(data, images):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        wrong = build()
        with training.precision(SHORT):  # the recipe's, whatever the program's is
            assert same(build(), build()) and build().get_layer("C1").compute_dtype == "float32"
        assert keras.config.dtype_policy().name == "mixed_float16"
    finally:
        keras.config.set_dtype_policy("float32")
    with pytest.raises(InputError, match=r"was built in .*float16.* in float32 here: build"):
        training.train(wrong, images, data.train.labels, SHORT)


@pytest.mark.parametrize(("has", "expected"), [(True, "mixed_bfloat16"), (False, "float32")])
def test_half_precision_is_for_machines_that_have_it(has, expected, monkeypatch):
    monkeypatch.setattr(training.backend, "has_bfloat16", lambda: has)
    monkeypatch.setattr(training.backend, "on_cpu", lambda: not has)
    for precision, policy in [("bfloat16", expected), ("mixed", expected.replace("bfl", "fl"))]:
        with training.precision(recipes.recipe(f"benchmark,precision={precision}")):
            assert small_net().layers[1].dtype_policy.name == policy
    assert keras.config.dtype_policy().name == "float32"


def test_types_of_numbers_make_no_other_training(images, data):
    """Labels of another type are the same labels: the fingerprint is part of a row's proof."""
    labels = data.train.labels
    kinds = [(images, labels.astype(dtype)) for dtype in ("uint8", ">i4", object, int)]
    kinds += [(images.astype(">f4"), list(labels)), (images.astype("float64"), labels)]
    found = [training.train(build("linear-28x28"), *k, SHORT, progress=False) for k in kinds]
    assert {history.data for history in found} == {training.fingerprint(images, labels)}
    assert len({history.weights for history in found}) == 1


@pytest.mark.parametrize("stopped_by", ["train", "fit"])
def test_predictions_of_a_half_trained_net_say_so(data, images, stopped_by, monkeypatch, capsys):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    net, labels = build("linear-28x28"), data.train.labels
    training.train(net, images, labels, SHORT, progress=False)
    training.evaluate(net, images, labels)
    assert capsys.readouterr().err == ""
    stopping = keras.callbacks.LambdaCallback(on_train_batch_end=stop)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        if stopped_by == "fit":
            net.fit(images, labels, epochs=3, verbose=0, callbacks=[stopping])
        else:
            patch.setattr(training, "Progress", lambda *_: stopping)
            training.train(net, images, labels, SHORT)
    for call in (lambda: training.predict(net, images), lambda: training.evaluate(net, images, 0)):
        call()
        assert "after 0 of" in capsys.readouterr().err
    net.fit(images, labels, epochs=2, verbose=0)
    training.predict(net, images)
    assert capsys.readouterr().err == ""


def test_alternating_flips_show_each_image_both_ways_in_two_epochs(colour, monkeypatch):
    images, _ = colour
    monkeypatch.setitem(recipes.CROP_PADDING, "crop-alternating", 0)
    recipe, order = recipes.recipe("short"), np.arange(60)[::-1]
    first, second, third = (
        training.epoch_images(images, order, recipe, 7, epoch) for epoch in (0, 1, 2)
    )
    np.testing.assert_array_equal(first, second[:, :, ::-1])
    np.testing.assert_array_equal(first, third)
    assert 0 < (first == images[order]).all(axis=(1, 2, 3)).sum() < 60


@pytest.mark.parametrize("name", ["lenet-5", "lenet-5-paper"])
def test_predict_gives_probabilities_of_the_nearest_code_too(data, name):
    images, net = preprocessing.prepare(data.train.images[:30], "32x32"), build(name)
    p = training.predict(net, images)
    outputs = net(images).numpy()
    assert p.shape == (30, 10) and p.dtype == np.float32
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
    best = outputs.argmin(axis=1) if name == "lenet-5-paper" else outputs.argmax(axis=1)
    np.testing.assert_array_equal(p.argmax(axis=1), best)
    error = 100 * np.mean(best != data.train.labels[:30])
    assert training.evaluate(net, images, data.train.labels[:30]) == pytest.approx(error)


def test_views_are_averaged_as_logits(colour):
    images, labels = colour
    net = small_net()

    def logits(seen):
        return net(seen).numpy() / 2 + net(seen[:, :, ::-1]).numpy() / 2

    up_left = np.concatenate([images[:, 1:], images[:, -1:]], axis=1)
    up_left = np.concatenate([up_left[:, :, 1:], up_left[:, :, -1:]], axis=2)
    down_right = np.concatenate([images[:, :1], images[:, :-1]], axis=1)
    down_right = np.concatenate([down_right[:, :, :1], down_right[:, :, :-1]], axis=2)
    six = logits(images) / 2 + logits(up_left) / 4 + logits(down_right) / 4
    for views, expected in ((1, net(images).numpy()), (2, logits(images)), (6, six)):
        found = training.predict(net, images, views=views)
        np.testing.assert_allclose(found, keras.ops.softmax(expected), atol=1e-5)
        error = 100 * np.mean(expected.argmax(axis=1) != labels)
        assert training.evaluate(net, images, labels, views) == pytest.approx(error)


def test_a_net_answers_as_many_images_at_a_time_as_memory_holds(colour, monkeypatch):
    images, net, sizes = colour[0], small_net(), []
    expected, scores_of = training.predict(net, images), training._scores_of

    def counted(model, seen):
        sizes.append(len(seen))
        return scores_of(model, seen)

    monkeypatch.setattr(training, "_scores_of", counted)
    # The input, convolution, batch norm and ReLU, pooling, output: in float32, for seven images.
    monkeypatch.setattr(training, "PREDICTING", 7 * 4 * (3072 + 3 * 196 + 4 + 10))
    np.testing.assert_allclose(training.predict(net, images), expected, atol=1e-6)
    training.predict(keras.Sequential([net]), images[:59])
    assert sizes == [6] * 10 + [6] * 9 + [5]  # without a rest, if there is such a number
