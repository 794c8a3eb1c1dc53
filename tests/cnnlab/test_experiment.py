"""A row is what was planned, trained to the end, and is the last thing that is written."""

import json
import pathlib

import keras
import numpy as np
import pytest

import cnnlab
from cnnlab import experiment, ledger
from cnnlib import (
    backend,
    boosting,
    datasets,
    models,
    preprocessing,
    progress,
    recipes,
    results,
    storage,
    training,
)
from cnnlib.errors import InputError

pytestmark = pytest.mark.usefixtures("measured_folder")
SHORT = recipes.recipe("plain", epochs=1)
ROW = ("linear-20x20", "mnist", SHORT, 3, 500)


def kept_net(row):
    return keras.saving.load_model(results.local_file(row["run_id"], "nets"))


def files():
    return {path.parent.name for path in storage.results_folder().rglob("*") if path.is_file()}


def test_a_row_and_all_that_belongs_to_it_are_those_of_the_plan():
    asked = ("lenet-1", "mnist", recipes.recipe("deslanted", epochs=1), 4, 600)
    plan = experiment.plan(*asked)
    assert experiment.find(plan["run_id"]) is None
    row = experiment.train_row(*asked)
    assert experiment.find(plan["run_id"]) == row and plan.items() <= row.items()
    assert (row["row_id"], row["recipe"]) == ("mnist/lenet-1", "deslanted,epochs=1")
    assert (row["trainable_parameters"], row["train_images"]) == (3246, 600)
    assert files() == {"rows", "histories", "predictions", "nets"}  # no stage
    net, test = kept_net(row), datasets.load("mnist").test
    assert getattr(net, "optimizer", None) is None
    images = preprocessing.prepare(test.images, "16-in-28", deslanted=True)
    assert training.evaluate(net, images, test.labels) == pytest.approx(row["value"])
    predictions = results.predictions(row["run_id"])
    assert 100 * np.mean(predictions != test.labels) == pytest.approx(row["value"])
    history = results.histories("mnist").set_index("run_id").loc[row["run_id"]]
    assert history["epoch"] == 1 and 0 < history["train_error"] < 100


def test_a_done_row_is_not_trained_again_unless_asked(monkeypatch):
    trainings, train = [], training.train
    monkeypatch.setattr(training, "train", lambda *a, **k: trainings.append(1) or train(*a, **k))
    first = experiment.train_row(*ROW)
    again = experiment.train_row(*ROW, again=True)
    assert (again["value"], again["run_id"]) == (first["value"], first["run_id"])
    assert len(trainings) == 2
    monkeypatch.setattr(training, "train", None)
    assert experiment.train_row(*ROW) == again
    ledger.publish([first["run_id"]])
    assert experiment.train_row(*ROW) == again


@pytest.mark.parametrize(
    ("killed_before", "again"), [("nets", False), ("predictions", False), ("rows", True)]
)
def test_a_kill_while_a_row_is_written_leaves_no_row(monkeypatch, killed_before, again):
    if again:
        experiment.train_row(*ROW)
    run = experiment.plan(*ROW)["run_id"]
    replace = pathlib.os.replace

    def killed(source, target):
        if pathlib.Path(target).parent.name == killed_before:
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(pathlib.os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            experiment.train_row(*ROW, again=again)
    assert experiment.find(run) is None
    epochs, images = [], training.epoch_images
    monkeypatch.setattr(training, "epoch_images", lambda *a: epochs.append(1) or images(*a))
    row = experiment.train_row(*ROW)
    assert not epochs  # the checkpoint of the last epoch was still there
    error = 100 * np.mean(results.predictions(run) != datasets.load("mnist").test.labels)
    assert row["value"] == pytest.approx(error)
    assert files() == {"rows", "histories", "predictions", "nets"}


def test_a_boosted_net_is_one_row_and_one_net_of_three():
    row = experiment.train_row("boosted-lenet-4", "mnist", SHORT, 4, 200)
    assert (row["model"], row["row_id"]) == ("boosted-lenet-4", "mnist/boosted-lenet-4")
    assert (row["trainable_parameters"], row["epochs"]) == (3 * 51_050, 1)
    assert len(boosting.members(kept_net(row))) == 3
    counts = results.local_file(row["run_id"], "nets").with_suffix(".json")
    assert [count["wanted"] for count in json.loads(counts.read_text())] == [200, 200]
    assert files() == {"rows", "predictions", "nets"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cifar10/resnet18", "cifar10", "distorted"), "for digits, .* use one of benchmark"),
        (("vgg16", "cifar10", "plain"), "use one of quick-frozen|use one of .*frozen"),
        (("boosted-lenet-4", "mnist", "plain", 2**32 - 1), "seed must be a .* to 4292967295"),
        (("lenet-5", "mnist", "plain", 0, 70000), "from 1 to the 60000 training images"),
        (("lenet-1", "fashion_mnist"), "takes MNIST's size-normalised digits"),
        (("cifar10/vgg16", "cifar10", "short"), "such as short,small_epochs=0$"),
        (("lenet-1", "mnist", "plain,small_epochs=5"), "small_epochs=0, such as plain$"),
        (("cifar10/fast", "cifar10", "short,small_size=8"), "short,small_epochs=0,small_size=8$"),
    ],
)
def test_bad_arguments_leave_nothing_behind(arguments, message):
    with pytest.raises(InputError, match=message):
        experiment.train_row(*arguments)
    assert not storage.results_folder().exists()


def test_an_unwritable_results_folder_is_said_before_training(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CNNLIB_RESULTS", str(tmp_path / "file" / "results"))
    monkeypatch.setattr(training, "train", None)
    with pytest.raises(InputError, match=r"cannot write to .*file/results.*CNNLIB_RESULTS"):
        experiment.train_row(*ROW)


def test_a_row_of_cifar10_holds_an_accuracy_as_its_table_does(monkeypatch):
    random = np.random.RandomState(0)
    images = datasets.Images(
        random.randint(0, 256, (40, 32, 32, 3), np.uint8), random.randint(0, 10, 40)
    )
    data = datasets.Dataset(images, images, images, datasets.info("cifar10"), "made up")
    monkeypatch.setattr(datasets, "load", lambda name, **options: data)
    recipe = recipes.recipe("fast-bfloat16-12,warmup_epochs=0,epochs=1,precision=float32")
    row = experiment.train_row("cifar10/fast", "cifar10", recipe, train_size=40)
    inputs = preprocessing.prepare(images.images, "cifar10")
    error = training.evaluate(kept_net(row), inputs, images.labels, views=6)
    assert (row["metric"], row["row_id"]) == ("test_accuracy_percent", "")
    assert row["value"] == pytest.approx(100 - error) and row["protocol"] == "crop-alternating"
    assert "cifar10/fast" in set(results.recap("cifar10")["title"])


def test_a_net_trained_in_mixed_precision_is_kept_in_float32(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        net = models.build("cifar10/preactresnet18", input_shape=(8, 8, 3))
    finally:
        keras.config.set_dtype_policy("float32")
    ledger.save_net(net, tmp_path / "net.keras")
    kept = keras.saving.load_model(tmp_path / "net.keras")
    assert {layer.compute_dtype for layer in kept.layers} == {"float32"}
    images = np.random.RandomState(0).normal(size=(2, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(kept(images), net(images), atol=0.05)


def test_a_row_says_that_float32_took_the_place_of_bfloat16(monkeypatch):
    monkeypatch.setattr(backend, "has_bfloat16", lambda: False)
    row = experiment.train_row("linear-20x20", "mnist", "plain,epochs=1,precision=bfloat16", 3, 200)
    assert row["device"].endswith("; float32 in the place of bfloat16")


def trained(name="linear-20x20", recipe="plain,epochs=2", net=None, first=0, **drawn):
    """What a notebook has when it records: a net, its history, its data."""
    data = datasets.load("mnist", **{"train_size": 500, "seed": 0} | drawn)
    recipe = recipes.recipe(recipe)
    images = preprocessing.prepare_for(name, recipe, data.train.images)
    keras.utils.set_random_seed(first)
    net = net or models.build(name)
    history = training.train(net, images, data.train.labels, recipe, 0, progress=False)
    return net, history, data


def test_record_refuses_a_net_that_was_trained_on_or_stopped(monkeypatch):
    """Run all; run the training cell again and press stop; run the test and record cells."""
    net, history, data = trained()

    def stop(shown, batch, logs=None):
        if batch == 2:  # the learning rate begins at 0, and the first step changes nothing
            raise KeyboardInterrupt

    images = preprocessing.prepare(data.train.images, "20x20")
    with monkeypatch.context() as stopped:
        stopped.setattr(progress.Progress, "on_train_batch_end", stop)
        with pytest.raises(KeyboardInterrupt):
            training.train(net, images, data.train.labels, history.recipe)
    with pytest.raises(InputError, match="was trained on, or stopped, since"):
        cnnlab.record("linear-20x20", net, history, data)
    history = training.train(net, images, data.train.labels, history.recipe)
    other = datasets.load("mnist", train_size=500, seed=1)
    with pytest.raises(InputError, match="trained on other images than `data` has"):
        cnnlab.record("linear-20x20", net, history, other)
    assert not files()
    row = cnnlab.record("linear-20x20", net, history, data)
    planned = experiment.plan("linear-20x20", "mnist", history.recipe, 0, 500)
    assert row["run_id"] != planned["run_id"]  # it began with what the stopped training had reached
    assert row["epochs"] == len(results.histories("mnist")) == 2


@pytest.mark.parametrize(
    ("trained_as", "recorded_as", "options", "message"),
    [
        ("lenet-5", "lenet-5-paper", {}, "is not the net lenet-5-paper: its weights"),
        ("linear-20x20", "boosted-linear-20x20", {}, "is not the net boosted-lin.*: its weights"),
        # The weights of the declared one, whose activation is tanh.
        ("lenet-4", "lenet-4", {"activation": "relu"}, "what it computes with them"),
        ("linear-20x20", "linear-28x28", {}, "or not as linear-28x28 takes them"),
    ],
)
def test_no_net_is_recorded_under_the_name_of_another(trained_as, recorded_as, options, message):
    net = models.build(trained_as, **options)
    with pytest.raises(InputError, match=message):
        cnnlab.record(recorded_as, *trained(trained_as, "plain,epochs=1", net, train_size=50))
    assert not files()


@pytest.mark.parametrize(
    "layers",
    [
        [keras.layers.Dropout(0.5), keras.layers.Dense(10)],
        [keras.layers.Dense(10, kernel_regularizer="l2")],
        [keras.layers.Dense(10, use_bias=True, trainable=False), keras.layers.Activation("linear")],
    ],
)
def test_no_net_is_recorded_that_was_trained_otherwise(layers):
    """What it computes with its weights afterwards is what the declared one does."""
    net = keras.Sequential([keras.Input((20, 20, 1)), keras.layers.Flatten(), *layers])
    with pytest.raises(InputError, match="or learns by"):
        cnnlab.record("linear-20x20", *trained(net=net))


def test_what_changes_a_result_is_in_its_identity():
    recipe = recipes.recipe("plain,epochs=2")
    usual = experiment.plan("linear-20x20", "mnist", recipe, 0, 500)["run_id"]
    for drawn, other in (
        ({}, []),
        ({"test_size": 100}, ["test"]),
        ({"test_size": 100, "seed": 1}, ["test", "train"]),  # other images, trained with seed 0
        ({"validation_size": 1000}, ["train"]),
    ):
        row = cnnlab.record("linear-20x20", *trained(**drawn))
        assert sorted(json.loads(row["settings"]).get("other", {})) == other
        assert (row["run_id"] == usual) == (not other)
    own = models.build("linear-20x20")
    own.set_weights([np.zeros((400, 10)), np.zeros(10)])
    for start in ({"net": own}, {"first": 1}):
        row = cnnlab.record("linear-20x20", *trained(**start))
        assert list(json.loads(row["settings"])["other"]) == ["start"]
    rows = results.lines("mnist")[:7]
    assert [line["n"] for line in rows[:6]] == [1] * 6  # none counts as a seed of another


def test_the_patterns_of_boosting_are_in_the_identity():
    data = datasets.load("mnist", train_size=200, seed=4)
    images, labels = preprocessing.prepare(data.train.images, "20x20"), data.train.labels
    run_ids = set()
    for wanted, cap in ((None, None), (20, None), (20, 3000)):
        options = {"wanted": wanted, "cap": cap, "progress": False}
        boosted = boosting.train("linear-20x20", images, labels, SHORT, 4, **options)
        row = cnnlab.record("boosted-linear-20x20", boosted.model, boosted, data)
        other = json.loads(row["settings"]).get("other", {})
        assert other.get("patterns") == wanted and other.get("candidates") == cap
        run_ids.add(row["run_id"])
    assert len(run_ids) == 3
    planned = experiment.plan("boosted-linear-20x20", "mnist", SHORT, 4, 200)
    assert planned["run_id"] in run_ids
