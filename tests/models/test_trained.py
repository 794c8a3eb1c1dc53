"""Trained nets: those of the course, whatever Keras wrote them, and those saved on this machine."""

import json
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

from cnnlib import models
from cnnlib.errors import InputError
from cnnlib.models import trained


def test_the_listing_has_each_file():
    files = [path.name for path in trained.FOLDER.iterdir() if path.suffix in (".keras", ".npz")]
    listed = [models.trained_path(*each).name for each in models.trained_nets()]
    assert sorted(listed) == sorted(files) and len(files) >= 8
    assert ("boosted-lenet-4", "boosted") in models.trained_nets()


WHOLE = [each for each in models.trained_nets() if models.trained_path(*each).suffix == ".keras"]


@pytest.mark.parametrize(("name", "recipe"), WHOLE)
def test_the_logits_are_those_of_the_whole_file(name, recipe):
    net = models.load_trained(name, recipe)
    whole = models.load(models.trained_path(name, recipe))
    images = np.random.RandomState(0).uniform(-0.1, 1.175, (7, *net.input_shape[1:]))
    images = images.astype("float32")
    expected = whole.predict_on_batch(images)
    np.testing.assert_array_equal(net.predict_on_batch(images), expected)
    assert np.ptp(expected) > 1 and net.name == name
    if models.net(name).members:
        first, of_file = (models.members(each)[0].get_layer("C1").kernel for each in (net, whole))
        np.testing.assert_array_equal(first, of_file)


@pytest.mark.parametrize("name", ["cifar10/small", "lenet-5-paper"])
def test_a_large_net_is_kept_as_weights_in_half_precision(name, tmp_path, monkeypatch):
    net, random = models.build(name), np.random.RandomState(0)
    net.set_weights([random.uniform(0.1, 0.5, w.shape) for w in net.weights])
    images = random.uniform(0, 1, (5, *net.input_shape[1:])).astype("float32")
    monkeypatch.setattr(trained, "FOLDER", tmp_path)
    path = tmp_path / f"{name.replace('/', '-')}-crop.weights.npz"
    path.write_bytes(trained.half_precision(net))
    assert path.stat().st_size < 2.2 * net.count_params() + 20_000
    assert models.trained_path(name, "crop") == path
    loaded = models.load_trained(name, "crop")
    for found, exact in zip(loaded.get_weights(), net.get_weights(), strict=True):
        rounded = exact.astype("float16") if exact.ndim > 1 else exact
        assert found.dtype == np.float32 and np.array_equal(found, rounded.astype("float32"))
    expected = net.predict_on_batch(images)
    np.testing.assert_allclose(loaded.predict_on_batch(images), expected, rtol=0.01)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(InputError, match=r"crop\.weights\.npz is not a net"):
        models.load_trained(name, "crop")


def rewritten(source, target, **members):
    """Copy a .keras file with some of its JSON files changed: name without .json -> function."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if change := members.get(name.removesuffix(".json")):
                content = json.loads(content)
                change(content)
                content = json.dumps(content)
            new.writestr(name, content)


def from_the_future(config):
    config["config"]["layers"][1]["config"]["from_the_future"] = 1


def test_a_net_of_another_keras_is_read_by_its_weights_or_its_version_is_named(
    tmp_path, monkeypatch
):
    source = models.trained_path("lenet-5", "plain")
    monkeypatch.setattr(trained, "FOLDER", tmp_path)
    path = models.trained_path("lenet-5", "plain")
    rewritten(
        source, path, config=from_the_future, metadata=lambda m: m.update(keras_version="9.9.1")
    )
    net = models.load_trained("lenet-5")
    monkeypatch.undo()
    usual = models.load_trained("lenet-5")
    np.testing.assert_equal(net.get_weights(), usual.get_weights())
    version = keras.__version__
    message = rf"plain\.keras is not .*Keras 9\.9\.1 saved it, and this is Keras {version}"
    with pytest.raises(InputError, match=message):
        models.load(path)


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_a_damaged_file_is_named(damage, tmp_path, monkeypatch):
    name = "lenet-4" if damage == "other" else "lenet-5"
    content = models.trained_path(name, "plain").read_bytes()
    monkeypatch.setattr(trained, "FOLDER", tmp_path)
    path = models.trained_path("lenet-5", "plain")
    path.write_bytes(content[:-2000] if damage == "cut" else content)
    with pytest.raises(InputError, match=r"lenet-5-plain\.keras is not a net"):
        models.load_trained("lenet-5")
    if damage == "cut":
        with pytest.raises(InputError, match=r"lenet-5-plain\.keras is not a net"):
            models.load(path)
    with pytest.raises(InputError, match=r"there is no file .*none\.keras"):
        models.load(tmp_path / "none.keras")


def test_a_file_names_no_module_to_import(tmp_path, monkeypatch):
    (tmp_path / "foreign_module.py").write_text("class Layer: pass")
    monkeypatch.syspath_prepend(tmp_path)
    foreign = {"module": "foreign_module", "class_name": "Layer", "registered_name": "a>Layer"}
    for where in ((), ("config", "layers", 1), ("config", "layers", 1, "config", "activation")):

        def change(part, where=where):
            for key in where:
                part[key] = part[key] if isinstance(part[key], dict | list) else {"config": {}}
                part = part[key]
            part |= foreign

        rewritten(models.trained_path("lenet-5", "plain"), tmp_path / "net.keras", config=change)
        with pytest.raises(InputError, match="is not a net that Keras can read"):
            models.load(tmp_path / "net.keras")
    assert "foreign_module" not in sys.modules


def test_a_net_that_the_course_lacks_is_refused():
    with pytest.raises(InputError, match="unknown model 'lenet5'"):
        models.load_trained("lenet5", "plain")
    for recipe in ("quick", "../nets/plain"):
        message = f"no trained lenet-5 by the recipe '{recipe}'. It has: .*lenet-5 by plain"
        with pytest.raises(InputError, match=message):
            models.load_trained("lenet-5", recipe)


def test_keras_opens_every_saved_net_in_a_fresh_process(tmp_path, net):
    """After `import cnnlib.models` alone. All layers of the course are in these three nets."""
    images = keras.Input((8, 8, 3))
    x = models.VGGPreprocessing()(images)
    x = models.cifar10.GroupedConv2D(6, 3, groups=3)(x)
    others = keras.Model(images, models.cifar10.DualPath(2)([x, x]))
    for number, each in enumerate((others, net("lenet-5-paper"), net("cifar10/fast"))):
        each.save(tmp_path / f"{number}.keras")
        images = np.random.RandomState(0).uniform(0, 1, (2, *each.input_shape[1:]))
        np.savez(tmp_path / f"{number}.npz", images=images, expected=each(images))
    program = (
        "import cnnlib.models, keras, numpy as np\n"
        "for number in range(3):\n"
        "    batch = np.load(f'{number}.npz')\n"
        "    net = keras.models.load_model(f'{number}.keras')\n"
        "    found = net(batch['images'])\n"
        "    np.testing.assert_allclose(found, batch['expected'], rtol=1e-4, atol=1e-4)\n"
    )
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
