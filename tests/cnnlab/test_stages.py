"""Stages keep their results: no training is repeated, whichever row it was done for."""

import dataclasses
import threading

import filelock
import keras
import numpy as np
import pytest

from cnnlab import experiment, feature_cache, stages
from cnnlib import datasets, models, recipes, results, storage, training, transfer
from cnnlib.errors import InputError

HEAD, BLOCK_5 = 49 * 20 + 21 * 10, 3 * (9 * 16 * 16 + 3 * 16)  # weights of a small VGG16
SMALL = {"trainable": "block5", "batch_size": 16, "epochs": 1}


pytestmark = pytest.mark.usefixtures("small_vgg16")


@pytest.fixture(autouse=True)
def chain(monkeypatch):
    """Two recipes, of which one continues from the other: a head with dropout, 32x32."""

    def add(name, base, **changes):
        changed = recipes.recipe(base, **changes).model_copy(update={"name": name})
        monkeypatch.setitem(recipes.RECIPES, name, changed)

    add("head", "frozen-32-all-mlp", hidden=20, epochs=1, batch_size=16)
    add("at-32", "fine-tuned-32", init_from="head", **SMALL)


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


def test_no_stage_is_trained_twice(trained, monkeypatch):
    train = training.train

    def die(model, images, labels, recipe, *others, **options):
        if recipe.name == "at-32":
            raise KeyboardInterrupt
        return train(model, images, labels, recipe, *others, **options)

    with pytest.raises(KeyboardInterrupt), monkeypatch.context() as patch:
        patch.setattr(training, "train", die)
        row_of("at-32")
    assert trained == ["head"] and files_of("head") == ["result.npz"]
    with monkeypatch.context() as patch:  # nor are the features of the head computed
        patch.setattr(feature_cache, "features", lambda *arguments, **options: 1 / 0)
        continued = row_of("at-32")
    assert trained == ["head", "at-32"] and files_of("at-32") == []
    assert (continued["epochs"], continued["trainable_parameters"]) == (1, HEAD + BLOCK_5)
    # Bit for bit the net of a training that started with nothing.
    expected = weights_of(continued)
    (stage_of("head") / "result.npz").unlink()
    row_of("at-32", again=True)
    assert trained[2:] == ["head", "at-32"]
    np.testing.assert_equal(weights_of(continued), expected)
    run = row_of("head")["run_id"]  # a row whose stage was an earlier one
    assert len(trained) == 4
    assert len(results.histories("fashion_mnist").query(f"run_id == '{run}'")) == 1


def test_a_result_that_is_damaged_or_of_another_run_is_refused():
    row_of("head")
    path = stage_of("head") / "result.npz"
    data = datasets.load("fashion_mnist")
    images, labels = transfer.rgb(data.train.images), data.train.labels
    other = models.vgg16_weights()
    other = dataclasses.replace(other, arrays=(other.arrays[0] + 1, *other.arrays[1:]))
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


def test_a_stage_that_another_one_trains_is_waited_for(capfd):
    stage, found, notes = stage_of("head"), [], ""
    storage.make_folder(stage)
    with filelock.FileLock(stage.with_name(f".{stage.name}.lock")):
        thread = threading.Thread(target=lambda: found.append(row_of("head")))
        thread.start()
        while "waiting for another process that trains head here" not in notes:
            assert thread.is_alive()
            thread.join(timeout=0.1)
            notes += capfd.readouterr().err
        assert not found
    thread.join()
    assert found[0]["recipe"] == "head"


class TestRows:
    """Rows of transfer learning, with the real recipes."""

    def test_a_frozen_row_says_how_it_was_made(self):
        row = row_of("quick-frozen")
        expected = ("frozen-32", "quick-frozen", 49 * 10, "")
        columns = ("protocol", "recipe", "trainable_parameters", "row_id")
        assert tuple(row[column] for column in columns) == expected
        assert row["data_source"].endswith("; weights random")
        planned = experiment.plan("vgg16", "fashion_mnist", "quick-frozen", train_size=16)
        assert experiment.find(planned["run_id"])
        kept = keras.saving.load_model(results.local_file(row["run_id"], "nets"))
        assert kept.input_shape == (None, 48)  # the head alone: the rest is the same for all
        assert len(results.histories("fashion_mnist")) == row["epochs"] == 20

    def test_a_fine_tuned_row_keeps_the_whole_net(self):
        row = row_of("at-32,test_views=2")
        assert row["protocol"] == "fine-tuned-32" and row["trainable_parameters"] == HEAD + BLOCK_5
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
