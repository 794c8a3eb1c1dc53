import json

import keras
import numpy as np
import pytest

from cnnlab import experiment, ledger, publishing
from cnnlib import (
    boosting,
    checkpoints,
    datasets,
    models,
    preprocessing,
    results,
    storage,
    training,
)
from cnnlib.errors import InputError
from cnnlib.models import trained
from cnnlib.results import rows

SHORT = training.recipe("plain", epochs=1)


def test_a_row_and_its_net_are_those_of_the_plan():
    plan = experiment.plan("lenet-1", "mnist", SHORT, seed=4, train_size=600)
    assert not experiment.is_done("lenet-1", "mnist", SHORT, seed=4, train_size=600)
    row = experiment.train_row("lenet-1", "mnist", SHORT, seed=4, train_size=600)
    assert experiment.is_done("lenet-1", "mnist", SHORT, seed=4, train_size=600)
    assert {k: row[k] for k in plan} == plan
    assert (row["row_id"], row["protocol"], row["recipe"], row["metric"]) == (
        "mnist/lenet-1",
        "plain",
        "plain,epochs=1",
        "test_error_percent",
    )
    assert (row["trainable_parameters"], row["train_images"], row["data_source"]) == (
        3246,
        600,
        "embedded data/mnist.npz",
    )
    stored = json.loads((storage.results_folder() / "rows" / f"{row['run_id']}.json").read_text())
    assert stored == row

    net = keras.saving.load_model(ledger.net_path(row["run_id"]))
    assert (
        getattr(net, "optimizer", None) is None
        and ledger.net_path(row["run_id"]).stat().st_size < 4 * 3246 + 60_000
    )  # without its optimizer
    test = datasets.load("mnist").test
    assert training.evaluate(
        net, preprocessing.prepare(test.images, models.input_format("lenet-1")), test.labels
    ) == pytest.approx(row["value"])
    assert not list((storage.results_folder() / "stages").iterdir())
    assert sorted(p.name for p in storage.results_folder().iterdir()) == [
        "histories",
        "nets",
        "predictions",
        "rows",
        "stages",
    ]
    history = results.histories("mnist").set_index("run_id").loc[row["run_id"]]
    assert history["epoch"] == 1 and 0 < history["train_error"] < 100


def test_the_same_seed_gives_the_same_figure_and_a_done_row_is_not_trained_again(monkeypatch):
    first = experiment.train_row("linear-20x20", "mnist", SHORT, seed=1, train_size=1000)
    again = experiment.train_row(
        "linear-20x20", "mnist", SHORT, seed=1, train_size=1000, again=True
    )
    assert again["value"] == first["value"] and again["run_id"] == first["run_id"]
    assert (
        experiment.train_row("linear-20x20", "mnist", SHORT, seed=2, train_size=1000)["run_id"]
        != first["run_id"]
    )
    monkeypatch.setattr(training, "train", None)
    assert experiment.train_row("linear-20x20", "mnist", SHORT, seed=1, train_size=1000) == again


def test_a_killed_row_goes_on_from_its_last_epoch(monkeypatch):
    recipe = training.recipe("plain", epochs=3)
    whole = experiment.train_row("linear-20x20", "mnist", recipe, train_size=1000)
    expected = keras.saving.load_model(ledger.net_path(whole["run_id"])).get_weights()
    ledger.net_path(whole["run_id"]).unlink()
    (storage.results_folder() / "rows" / f"{whole['run_id']}.json").unlink()

    saved = checkpoints.save

    def save_and_die(path, model, run, rows):
        saved(path, model, run, rows)
        if len(rows) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "save", save_and_die)
    with pytest.raises(KeyboardInterrupt):
        experiment.train_row("linear-20x20", "mnist", recipe, train_size=1000)
    assert not experiment.is_done("linear-20x20", "mnist", recipe, train_size=1000)
    epochs = []
    monkeypatch.setattr(checkpoints, "save", lambda *arguments: epochs.append(len(arguments[3])))
    row = experiment.train_row("linear-20x20", "mnist", recipe, train_size=1000)
    assert epochs == [3] and row["value"] == whole["value"]
    for a, b in zip(
        keras.saving.load_model(ledger.net_path(row["run_id"])).get_weights(),
        expected,
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_a_boosted_net_is_one_row_and_one_net_of_three():
    assert "boosted-lenet-4" in models.names() and models.input_format("boosted-lenet-4") == "32x32"
    row = experiment.train_row("boosted-lenet-4", "mnist", SHORT, seed=4, train_size=200)
    assert (row["model"], row["row_id"]) == ("boosted-lenet-4", "mnist/boosted-lenet-4")
    assert (row["trainable_parameters"], row["train_images"], row["epochs"]) == (3 * 51_050, 200, 1)
    assert experiment.is_done("boosted-lenet-4", "mnist", SHORT, seed=4, train_size=200)

    path = ledger.net_path(row["run_id"])
    net = keras.saving.load_model(path)
    test = datasets.load("mnist", test_size=500).test
    images = preprocessing.prepare(test.images, "32x32")
    together, _ = boosting.predict(net, images)
    np.testing.assert_allclose(training.predict(net, images), together, atol=1e-6)
    assert len(boosting.members(net)) == 3
    counts = json.loads(path.with_suffix(".json").read_text())
    assert [c["wanted"] for c in counts] == [200, 200] and counts[0]["found"].keys() == {
        "net 1 is right",
        "net 1 is wrong",
    }
    assert not list((storage.results_folder() / "stages").iterdir())


def test_deslanted_images_are_trained_and_tested_on_deslanted():
    plain, deslanted = (
        experiment.train_row("linear-20x20", "mnist", training.recipe(name, epochs=3))
        for name in ("plain", "deslanted")
    )
    assert (
        deslanted["protocol"] == "deslanted" and deslanted["value"] < plain["value"] - 1
    )  # 4.4 and 7.6 % after full training


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lenet-6", "mnist"), "unknown model 'lenet-6'. Known: lenet-5"),
        (
            ("boosted-cifar10/resnet18", "cifar10"),
            "unknown model 'boosted-cifar10/resnet18'. Known: cifar10/resnet18",
        ),
        (
            ("lenet-5", "cifar10", "benchmark"),
            "the recipe benchmark is for the colour images of the cifar10/ nets, and lenet-5 takes",
        ),
        (
            ("cifar10/resnet18", "cifar10", "distorted"),
            "the recipe distorted is for digits, .* use one of benchmark, fast",
        ),
        (("lenet-5", "mnits"), "unknown data set 'mnits'. Known: mnist"),
        (("lenet-5", "mnist", "plian"), "unknown recipe 'plian'. Known: plain"),
        (("lenet-5", "mnist", "plain", -1), "seed"),
        (("lenet-5", "mnist", "plain", 0, 70000), "60,?000"),
        (("lenet-5", "mnist", "plain", 0, 0), "train_"),
    ],
)
def test_bad_arguments_leave_nothing_behind(arguments, message):
    with pytest.raises(InputError, match=message):
        experiment.train_row(*arguments)
    assert not storage.results_folder().exists()


def test_a_data_set_that_the_net_cannot_take():
    message = "takes colour images of 32x32 pixels, and the images of mnist are 28x28x1: use one"
    with pytest.raises(InputError, match=message):
        experiment.train_row("cifar10/resnet18", "mnist", train_size=1000)


@pytest.mark.parametrize(
    "model, recipe, advice",
    [
        ("cifar10/vgg16", "short", "short,small_epochs=0"),
        ("cifar10/small", "short,epochs=20", "short,epochs=20,small_epochs=0"),
        ("cifar10/fast", "short,small_size=8", "short,small_size=8,small_epochs=0"),
        ("cifar10/resnet18", "short,small_size=32", "short,small_size=32,small_epochs=0"),
    ],
)
def test_smaller_images_that_a_net_cannot_take_are_refused_by_the_plan(model, recipe, advice):
    with pytest.raises(InputError, match=f"set small_epochs=0, such as {advice}$"):
        experiment.plan(model, "cifar10", recipe)
    assert experiment.plan(model, "cifar10", advice)["epochs"] > 1


def test_an_unwritable_results_folder_is_said_before_training(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CNNLIB_RESULTS", str(tmp_path / "file" / "results"))
    monkeypatch.setattr(training, "train", None)
    with pytest.raises(
        InputError, match=r"cannot write to the folder .*file/results.*CNNLIB_RESULTS"
    ):
        experiment.train_row("lenet-5", "mnist", SHORT)


def test_the_ledger_can_be_asked_whether_a_published_row_is_done(monkeypatch, tmp_path):
    monkeypatch.setattr(rows, "MEASURED", tmp_path / "measured")
    monkeypatch.setattr(trained, "FOLDER", tmp_path / "nets")
    row = experiment.train_row("linear-20x20", "mnist", SHORT, train_size=500)
    assert publishing.publish(run_ids=[row["run_id"]]) == ([row["run_id"]], [])
    assert experiment.is_done("linear-20x20", "mnist", SHORT, train_size=500)
    history = results.histories("mnist", local=False)  # it has moved along with its row
    assert history["run_id"].tolist() == [row["run_id"]] and not list(
        (storage.results_folder() / "histories").iterdir()
    )
    (tmp_path / "measured" / "histories" / "mnist.csv").write_text("run_id,loss\n1,2\n")
    with pytest.raises(
        InputError,
        match=r"damaged history .*mnist\.csv: the columns must be run_id,epoch,loss,train_error",
    ):
        results.histories("mnist")


def test_a_row_of_cifar10_holds_an_accuracy_as_its_table_does(monkeypatch):
    random = np.random.RandomState(0)
    images = datasets.Images(
        random.randint(0, 256, (40, 32, 32, 3), np.uint8), random.randint(0, 10, 40)
    )
    data = datasets.Dataset(images, images, images, datasets.info("cifar10"), "made up")
    monkeypatch.setattr(datasets, "load", lambda name, **options: data)
    row = experiment.train_row(
        "cifar10/fast", "cifar10", training.recipe("fast", epochs=1), train_size=40
    )
    net = keras.saving.load_model(ledger.net_path(row["run_id"]))
    error = training.evaluate(
        net, preprocessing.prepare(images.images, "cifar10"), images.labels, views=6
    )
    assert (row["metric"], row["value"], row["row_id"]) == (
        "test_accuracy_percent",
        pytest.approx(100 - error),
        "",
    )
    assert row["protocol"] == "crop-alternating" and "cifar10/fast" in set(
        results.recap("cifar10")["title"]
    )


def test_a_net_trained_in_mixed_precision_is_kept_in_float32():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        net = models.build("cifar10/preactresnet18", input_shape=(8, 8, 3))
    finally:
        keras.config.set_dtype_policy("float32")
    kept = keras.saving.load_model(experiment.save_net(net, "some-run"))
    assert (
        {layer.compute_dtype for layer in kept.layers}
        == {"float32"}
        == {layer.compute_dtype for layer in kept.layers if layer.weights}
    )
    images = np.random.RandomState(0).normal(size=(2, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(kept(images), net(images), atol=0.05)
