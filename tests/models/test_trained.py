"""The trained nets of the course: built here, with the weights of the file, under any Keras."""

import json
import zipfile

import keras
import numpy as np
import pytest

from cnnlib import datasets, models, preprocessing, recipes, training
from cnnlib.errors import InputError
from cnnlib.models import trained


def test_the_listing_has_each_file():
    files = {path.name for path in trained.FOLDER.glob("*.keras")}
    listed = [models.trained_path(*each).name for each in models.trained_nets()]
    assert sorted(listed) == sorted(files) and len(files) == 8
    assert ("boosted-lenet-4", "boosted") in models.trained_nets()


@pytest.mark.parametrize(("name", "recipe"), models.trained_nets())
def test_the_logits_are_those_of_the_whole_file(name, recipe):
    net = models.load_trained(name, recipe)
    whole = models.load(models.trained_path(name, recipe))
    images = np.random.RandomState(0).uniform(-0.1, 1.175, (7, *net.input_shape[1:]))
    images = images.astype("float32")
    expected = whole.predict_on_batch(images)
    np.testing.assert_array_equal(net.predict_on_batch(images), expected)
    assert np.ptp(expected) > 1 and net.name == name
    if models.net(name).members:
        from cnnlib.models import members

        first = members(net)[0].get_layer("C1").kernel
        np.testing.assert_array_equal(first, members(whole)[0].get_layer("C1").kernel)


def test_a_trained_net_knows_the_digits():
    test = datasets.load("mnist").test
    images = preprocessing.prepare_for("lenet-5", recipes.recipe("plain"), test.images[:500])
    error = training.evaluate(models.load_trained("lenet-5"), images, test.labels[:500])
    assert error < 2


def test_the_architecture_in_the_file_is_not_read(tmp_path, monkeypatch):
    """As if another version of Keras had written it, with arguments that this one lacks."""
    monkeypatch.setattr(trained, "FOLDER", tmp_path)
    with (
        zipfile.ZipFile(models.trained_path("lenet-5", "plain").with_name("x"), "w") as new,
        zipfile.ZipFile(trained.storage.DATA / "nets" / "lenet-5-plain.keras") as old,
    ):
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                config["config"]["layers"][1]["config"]["from_the_future"] = 1
                content = json.dumps(config).encode()
            new.writestr(name, content)
    (tmp_path / "x").rename(models.trained_path("lenet-5", "plain"))
    with pytest.raises(InputError, match=r"lenet-5-plain\.keras is not a net that Keras can read"):
        models.load(models.trained_path("lenet-5", "plain"))
    net = models.load_trained("lenet-5")
    monkeypatch.undo()
    for ours, expected in zip(
        net.get_weights(), models.load_trained("lenet-5").get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "other"])
def test_a_damaged_file_is_named(damage, tmp_path, monkeypatch):
    content = models.trained_path("lenet-5", "plain").read_bytes()
    if damage == "other":
        models.build("lenet-4").save(tmp_path / "other.keras")
        content = (tmp_path / "other.keras").read_bytes()
    content = {"empty": b"", "text": b"<html>", "cut": content[:-2000]}.get(damage, content)
    monkeypatch.setattr(trained, "FOLDER", tmp_path)
    models.trained_path("lenet-5", "plain").write_bytes(content)
    with pytest.raises(InputError, match=r"lenet-5-plain\.keras is not a net"):
        models.load_trained("lenet-5")


LACKING = "no trained lenet-5 by the recipe {}. It has: .*lenet-5 by plain"


@pytest.mark.parametrize(
    ("name", "recipe", "message"),
    [
        ("lenet5", "plain", "unknown model 'lenet5'. Known: lenet-5"),
        ("lenet-5", "quick", LACKING.format("'quick'")),
        ("lenet-5", "../nets/plain", LACKING.format("'../nets/plain'")),
    ],
)
def test_a_net_that_the_course_lacks_is_refused(name, recipe, message):
    with pytest.raises(InputError, match=message):
        models.load_trained(name, recipe)


def test_a_file_that_is_missing_or_no_net_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"there is no file .*none\.keras"):
        models.load(tmp_path / "none.keras")
    (tmp_path / "text.keras").write_text("no net")
    with pytest.raises(InputError, match=r"text\.keras is not a net that Keras can read"):
        models.load(tmp_path / "text.keras")


def test_a_net_of_any_layers_of_the_course_is_read_again(tmp_path):
    for name in ("lenet-5-paper", "cifar10/fast"):
        net = models.build(name)
        net.save(tmp_path / "net.keras")
        images = np.random.RandomState(0).uniform(-1, 1, (3, *net.input_shape[1:]))
        np.testing.assert_array_equal(
            models.load(tmp_path / "net.keras").predict_on_batch(images.astype("float32")),
            net.predict_on_batch(images.astype("float32")),
        )
        assert isinstance(models.load(tmp_path / "net.keras"), keras.Model)
