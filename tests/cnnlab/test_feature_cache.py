"""Features on disk: computed once, complete or not there, and checked each time they are read."""

import threading

import keras
import numpy as np
import pytest

import cnnlab
from cnnlab import feature_cache
from cnnlib import datasets, storage, transfer
from cnnlib.errors import InputError
from cnnlib.models import vgg

IMAGES = np.random.RandomState(0).randint(0, 256, (50, 32, 32, 3)).astype(np.uint8)
WEIGHTS = vgg.Weights((np.ones(3, "float32"),), "any")


@pytest.fixture
def tiny(monkeypatch):
    """A backbone that costs nothing, and sees images in chunks of 16."""
    monkeypatch.setattr(transfer, "BATCH", 8)
    monkeypatch.setattr(feature_cache, "CHUNK", 16)
    keras.utils.set_random_seed(0)
    inputs = keras.Input((32, 32, 3))
    means = keras.layers.GlobalAveragePooling2D()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1280)(means))
    model.compile(jit_compile=False)
    return transfer.Backbone(model, 32, WEIGHTS)


@pytest.fixture
def calls(monkeypatch):
    """The number of images of each chunk that is computed; 0 for one in which the run is killed."""
    seen, compute = [], transfer.features

    def features(backbone, images, progress):
        seen.append(len(images))
        if "kill" in seen and len(seen) == 4:
            raise KeyboardInterrupt
        return compute(backbone, images, progress)

    monkeypatch.setattr(transfer, "features", features)
    return seen


def cached(backbone, images=IMAGES, **options):
    return cnnlab.features(backbone, images, progress=False, **options)


def files():
    return sorted((storage.results_folder() / "features").glob("vgg16-32-*"))


def test_they_are_computed_once_and_mapped(tiny, calls):
    seen = cached(tiny)
    expected = tiny.model.predict_on_batch(IMAGES.astype("float32"))
    np.testing.assert_allclose(seen.array, expected, rtol=1e-5, atol=1e-4)
    assert isinstance(seen.array, np.memmap) and seen.array.dtype == np.float32
    assert calls == [16, 16, 16, 2] and seen.seconds > 0
    np.testing.assert_array_equal(cached(tiny, IMAGES.copy()).array, seen.array)
    assert calls == [16, 16, 16, 2]


def test_other_images_weights_sizes_and_grids_have_files_of_their_own(tiny):
    changed = IMAGES.copy()
    changed[49, 31, 31, 2] ^= 1
    other = vgg.Weights((np.zeros(3, "float32"),), "other")
    paths = {cached(net, images).array.filename for net, images in [
        (tiny, IMAGES),
        (tiny, changed),
        (tiny, IMAGES[:49]),
        (transfer.Backbone(tiny.model, 64, WEIGHTS), IMAGES),
        (transfer.Backbone(tiny.model, 32, other), IMAGES),
        (transfer.Backbone(tiny.model, 32, WEIGHTS, pool_grid=1), IMAGES.astype("float32")),
    ]}  # fmt: skip
    assert len(paths) == 6


def test_a_killed_run_continues_from_its_last_chunk(tiny, calls):
    calls.append("kill")
    with pytest.raises(KeyboardInterrupt):
        cached(tiny)
    assert [path.suffix for path in files()] == [".part", ".npz"]
    found = cached(tiny).array
    assert calls == ["kill", 16, 16, 16, 16, 2]  # the third again, then the rest
    for path in files():
        path.unlink()
    np.testing.assert_array_equal(cached(tiny).array, found)


@pytest.mark.parametrize("damage", ["byte", "end", "log", "no log"])
def test_a_damaged_file_is_refused(tiny, damage):
    cached(tiny)
    path, log = files()
    content = bytearray(path.read_bytes())
    content[1000] ^= damage == "byte"
    path.write_bytes(content[:-4] if damage == "end" else content)
    if damage == "log":
        log.write_bytes(log.read_bytes()[:-9])
    elif damage == "no log":
        log.unlink()
    with pytest.raises(InputError, match=r"vgg16-32-\w+\.np[yz] .*: delete (it|them) to"):
        cached(tiny)


def test_two_that_want_them_at_once_share_one_computation(tiny, calls):
    found = []
    threads = [threading.Thread(target=lambda: found.append(cached(tiny))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [16, 16, 16, 2]
    np.testing.assert_array_equal(found[0].array, found[1].array)


def test_those_of_a_data_set(tiny, monkeypatch):
    data = datasets.load("fashion_mnist", train_size=20, test_size=30, sample=True)
    monkeypatch.setattr(datasets, "load", lambda name, train_size=None: data)
    monkeypatch.setattr(transfer, "backbone", lambda shape, size: tiny)
    monkeypatch.setattr(transfer, "rgb", lambda images: IMAGES[: len(images)])
    both = feature_cache.features_of("fashion_mnist")
    assert {split: len(seen.array) for split, seen in both.items()} == {"train": 20, "test": 30}
