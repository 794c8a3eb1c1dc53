"""Stages keep their results: no training is repeated, whichever row it was done for."""

import os
import signal
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest

from cnnlab import experiment, feature_cache, stages
from cnnlib import datasets, models, recipes, results, storage, training, transfer
from cnnlib.errors import InputError
from cnnlib.models import vgg

SMALL = {"trainable": "block5", "batch_size": 16, "epochs": 1}


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    monkeypatch.setattr(vgg, "_keras_has_them", lambda: False)


@pytest.fixture(autouse=True)
def chain(monkeypatch):
    """Three recipes that continue from each other: a head with dropout, 32x32, 64x64."""

    def add(name, base, **changes):
        changed = recipes.recipe(base, **changes).model_copy(update={"name": name})
        monkeypatch.setitem(recipes.RECIPES, name, changed)

    add("head", "frozen-32-all-mlp", hidden=20, epochs=1, batch_size=16)
    add("at-32", "fine-tuned-32", init_from="head", **SMALL)
    add("at-64", "fine-tuned-64", init_from="at-32", **SMALL)


@pytest.fixture(autouse=True)
def small_data(monkeypatch):
    sample = datasets.load("fashion_mnist", train_size=16, test_size=30, sample=True)
    monkeypatch.setattr(datasets, "load", lambda name, **options: sample)


@pytest.fixture
def trained(monkeypatch):
    """The recipes that nets are trained by, in order."""
    found, train = [], training.train

    def note(model, images, labels, recipe, *others, **options):
        found.append(recipe.name)
        return train(model, images, labels, recipe, *others, **options)

    monkeypatch.setattr(training, "train", note)
    return found


def row_of(recipe, **options):
    return experiment.train_row("vgg16", "fashion_mnist", recipe, train_size=16, **options)


def stage_of(recipe):
    return stages.folder(experiment.plan("vgg16", "fashion_mnist", recipe, 0, 16)["run_id"])


def files_of(recipe):
    folder = stage_of(recipe)
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def weights_of(row):
    return keras.saving.load_model(results.local_file(row["run_id"], "nets")).get_weights()


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_stage_is_trained_twice(trained, monkeypatch):
    train = training.train

    def die(model, images, labels, recipe, *others, **options):
        if recipe.name == "at-64":
            raise KeyboardInterrupt
        return train(model, images, labels, recipe, *others, **options)

    with pytest.raises(KeyboardInterrupt), monkeypatch.context() as patch:
        patch.setattr(training, "train", die)
        row_of("at-64")
    assert trained == ["head", "at-32"]
    assert files_of("head") == files_of("at-32") == ["result.npz"]
    with monkeypatch.context() as patch:  # nor are the features of the head computed
        patch.setattr(feature_cache, "features", lambda *arguments, **options: 1 / 0)
        continued = row_of("at-64")
    assert trained == ["head", "at-32", "at-64"] and files_of("at-64") == []
    # Bit for bit the net of a training that started with nothing.
    expected = weights_of(continued)
    for recipe in ("head", "at-32"):
        (stage_of(recipe) / "result.npz").unlink()
    row_of("at-64", again=True)
    assert trained[3:] == ["head", "at-32", "at-64"]
    assert_same(weights_of(continued), expected)
    row = row_of("at-32")  # a row whose stage was an earlier one
    assert len(trained) == 6
    assert (row["epochs"], row["trainable_parameters"] > 7_000_000) == (1, True)
    assert len(results.histories("fashion_mnist").query("run_id == @row['run_id']")) == 1


def test_a_result_that_is_damaged_or_of_another_run_is_refused():
    row_of("head")
    path = stage_of("head") / "result.npz"
    data = datasets.load("fashion_mnist")
    images, labels = transfer.rgb(data.train.images), data.train.labels
    other = models.vgg16_weights()
    other = vgg.Weights((other.arrays[0] + 1, *other.arrays[1:]), "other")
    for change in [
        {"images": images[::-1].copy()},
        {"seed": 1},
        {"recipe": recipes.recipe("head", epochs=2)},
        {"weights": other},
    ]:
        arguments = {"images": images, "labels": labels, "recipe": recipes.recipe("head")}
        arguments |= {"seed": 0, "classes": 10, "folder_of": lambda recipe: path.parent}
        with pytest.raises(InputError, match=r"result.npz is of another net, recipe, seed or data"):
            stages.train_transfer(**arguments | change)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"result.npz cannot be read .*delete it to train"):
        row_of("at-32")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_stage_that_another_process_trains_is_waited_for(tmp_path, capfd):
    stage = stage_of("head")
    storage.make_folder(stage)
    program = f"""
import filelock, sys, time
with filelock.FileLock({str(stage.with_name(f".{stage.name}.lock"))!r}):
    print("locked", flush=True); sys.stdin.readline()
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    other = subprocess.Popen([sys.executable, "-c", program], **pipes)
    assert other.stdout.readline() == "locked\n"
    found = []
    thread = threading.Thread(target=lambda: found.append(row_of("head")))
    thread.start()
    notes = ""
    while "waiting for another process that trains head here" not in notes and thread.is_alive():
        thread.join(timeout=0.1)
        notes += capfd.readouterr().err
    assert thread.is_alive() and not found
    os.kill(other.pid, signal.SIGKILL)  # its lock goes with it
    thread.join()
    other.wait()
    assert found[0]["recipe"] == "head"


class TestRows:
    """Rows of transfer learning, with the real recipes."""

    def test_a_frozen_row_says_how_it_was_made(self):
        row = row_of("quick-frozen")
        expected = ("frozen-32", "quick-frozen", 12_810, "")
        columns = ("protocol", "recipe", "trainable_parameters", "row_id")
        assert tuple(row[column] for column in columns) == expected
        source = "; weights embedded data/weights/vgg16_notop.float16.npz"
        assert row["data_source"].endswith(source)
        planned = experiment.plan("vgg16", "fashion_mnist", "quick-frozen", train_size=16)
        assert experiment.find(planned["run_id"])
        kept = keras.saving.load_model(results.local_file(row["run_id"], "nets"))
        assert kept.input_shape == (None, 1280)  # the head alone: the rest is the same for all
        assert len(results.histories("fashion_mnist")) == row["epochs"] == 20

    def test_a_fine_tuned_row_keeps_the_whole_net(self):
        row = row_of("quick-fine-tuned,test_views=2")
        found = (row["protocol"], row["trainable_parameters"])
        assert found == ("fine-tuned-32", 12_810 + 7_079_424)
        kept = keras.saving.load_model(results.local_file(row["run_id"], "nets"))
        test = datasets.load("fashion_mnist").test
        images = np.repeat(test.images, 3, axis=3).astype("float32")
        logits = kept.predict_on_batch(images) + kept.predict_on_batch(images[:, :, ::-1])
        assert 100 * np.mean(logits.argmax(axis=1) != test.labels) == pytest.approx(row["value"])

    def test_a_fine_tuned_net_of_a_notebook_began_with_the_usual_weights(self):
        data, recipe = datasets.load("fashion_mnist"), recipes.recipe("quick-fine-tuned")
        images = transfer.rgb(data.train.images)
        found = transfer.train(images, data.train.labels, recipe, 0, 10, progress=False)
        row = experiment.record("vgg16", found.model, found, data)
        assert "pretrained" not in row["settings"]

    @pytest.mark.parametrize(
        ("model", "recipe", "message"),
        [
            ("vgg16", "plain", "plain is for training from the start, and vgg16 takes .* use one"),
            ("lenet-5", "quick-frozen", "quick-frozen is for transfer learning, and lenet-5 takes"),
            ("boosted-vgg16", "plain", "unknown model 'boosted-vgg16'"),
        ],
    )
    def test_a_recipe_for_another_net_is_refused(self, model, recipe, message):
        with pytest.raises(InputError, match=message):
            experiment.train_row(model, "fashion_mnist", recipe)
