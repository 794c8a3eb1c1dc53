"""Features on disk: computed once, complete or not there, and checked each time they are read."""

import errno
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from cnnlab import feature_cache, head_selection
from cnnlib import datasets, storage, transfer
from cnnlib.errors import InputError
from cnnlib.models import vgg
from cnnlib.transfer import extraction

IMAGES = np.random.RandomState(0).randint(0, 256, (50, 32, 32, 3)).astype(np.uint8)
WEIGHTS = vgg.Weights((np.ones(3, "float32"),), "any")


def tiny_model(shape=(32, 32, 3)):
    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape)
    means = keras.layers.GlobalAveragePooling2D()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1280)(means))
    model.compile(jit_compile=False)
    return model


@pytest.fixture
def tiny(monkeypatch):
    """A backbone that costs nothing, and sees images in chunks of 16."""
    monkeypatch.setattr(extraction, "BATCH", 8)
    monkeypatch.setattr(extraction, "CHUNK", 16)
    return transfer.Backbone(tiny_model(), 32, WEIGHTS)


@pytest.fixture
def calls(monkeypatch):
    """The number of images of each chunk that is computed."""
    seen, outputs = [], extraction.outputs
    monkeypatch.setattr(
        extraction,
        "outputs",
        lambda model, images: seen.append(len(images)) or outputs(model, images),
    )
    return seen


def cached(backbone, images=IMAGES, **options):
    return feature_cache.features(backbone, images, progress=False, **options)


def expected(backbone, images=IMAGES):
    return backbone.model.predict_on_batch(images.astype("float32"))


def assert_right(found, backbone):
    np.testing.assert_allclose(found.array, expected(backbone), rtol=1e-5, atol=1e-4)


def test_they_are_computed_once_and_mapped(tiny, calls):
    seen = cached(tiny)
    assert_right(seen, tiny)
    assert isinstance(seen.array, np.memmap) and seen.array.dtype == np.float32
    assert seen.seconds > 0 and seen.path.parent == storage.results_folder() / "features"
    assert calls == [16, 16, 16, 2]
    np.testing.assert_array_equal(cached(tiny, IMAGES.copy()).array, seen.array)
    assert calls == [16, 16, 16, 2]
    np.testing.assert_array_equal(seen.array, transfer.features(tiny, IMAGES).array)


def test_other_images_weights_sizes_and_grids_have_files_of_their_own(tiny):
    changed = IMAGES.copy()
    changed[49, 31, 31, 2] ^= 1
    other = vgg.Weights((np.zeros(3, "float32"),), "other")
    paths = {cached(net, images).path for net, images in [
        (tiny, IMAGES),
        (tiny, changed),
        (tiny, IMAGES[:49]),
        (transfer.Backbone(tiny.model, 64, WEIGHTS), IMAGES),
        (transfer.Backbone(tiny.model, 32, other), IMAGES),
    ]}  # fmt: skip
    assert len(paths) == 5
    grid = transfer.Backbone(tiny.model, 32, WEIGHTS, pool_grid=2)
    assert feature_cache._identity(grid, IMAGES) != feature_cache._identity(tiny, IMAGES)


def test_images_that_the_backbone_cannot_take_are_refused(tiny):
    with pytest.raises(InputError, match="from 0 to 255, found -128 to 127"):
        cached(tiny, IMAGES - np.float32(128))


def test_a_killed_run_continues_from_its_last_chunk(tiny, monkeypatch):
    outputs, calls = extraction.outputs, []

    def die_at_the_third(model, images):
        calls.append(len(images))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return outputs(model, images)

    monkeypatch.setattr(extraction, "outputs", die_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        cached(tiny)
    assert not list((storage.results_folder() / "features").glob("*.npy"))
    assert_right(cached(tiny), tiny)
    assert calls == [16, 16, 16, 16, 2]  # the third again, then the rest


def test_what_a_crash_left_half_written_is_computed_again(tiny, calls):
    whole = cached(tiny)
    array, part = np.array(whole.array), feature_cache.part_of(whole.path)
    content = bytearray(whole.path.read_bytes())
    content[-5000 * 4] ^= 1  # in the third of four chunks
    part.write_bytes(content)
    whole.path.unlink()
    calls.clear()
    np.testing.assert_array_equal(cached(tiny).array, array)
    assert len(calls) < 4 and sum(calls) == 50 - 16 * (4 - len(calls))


@pytest.mark.parametrize("damage", ["byte", "end", "header", "log", "sums", "no log"])
def test_a_damaged_file_is_refused(tiny, damage):
    path = cached(tiny).path
    content, log = bytearray(path.read_bytes()), path.with_suffix(".json")
    if damage in ("byte", "header"):
        content[1000 if damage == "byte" else 3] ^= 1
        path.write_bytes(content)
    elif damage == "end":
        path.write_bytes(content[:-4])
    elif damage == "log":
        log.write_text(log.read_text()[:-9])
    elif damage == "sums":
        log.write_text(log.read_text().replace('"sums": [', '"sums": [1, '))
    else:
        log.unlink()
    with pytest.raises(InputError, match=rf"{path.name}.*Delete it"):
        cached(tiny)
    path.unlink()
    assert_right(cached(tiny), tiny)


def test_a_full_disk_is_an_error_and_nothing_is_lost(tiny, monkeypatch):
    write, done = storage.write_atomically, []

    def full_after_two(path, content):
        if len(done) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done.append(path)
        return write(path, content)

    message = r"No space left on device.*make room, then do the same again to continue"
    with monkeypatch.context() as full:
        full.setattr(storage, "write_atomically", full_after_two)
        with pytest.raises(InputError, match=message):
            cached(tiny)
    assert_right(cached(tiny), tiny)


@pytest.mark.slow
def test_two_processes_share_one_computation(tiny, tmp_path):
    tiny.model.save(tmp_path / "tiny.keras")
    np.save(tmp_path / "images.npy", IMAGES)
    program = """
import cnnlib, keras, numpy as np, sys, zlib
from cnnlib import transfer
from cnnlab import feature_cache
from cnnlib.models import vgg
from cnnlib.transfer import extraction
extraction.BATCH, extraction.CHUNK = 8, 16
calls, outputs = [], extraction.outputs
extraction.outputs = lambda model, images: calls.append(1) or outputs(model, images)
weights = vgg.Weights((np.ones(3, "float32"),), "any")
net = transfer.Backbone(keras.saving.load_model("tiny.keras"), 32, weights)
print("ready", flush=True); sys.stdin.readline()
images = np.load("images.npy")
found = feature_cache.features(net, images, progress=False, folder="shared")
print(len(calls), zlib.crc32(found.array))
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": tmp_path}
    both = [subprocess.Popen([sys.executable, "-c", program], **pipes) for _ in range(2)]
    assert [process.stdout.readline() for process in both] == ["ready\n"] * 2
    for process in both:
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [process.communicate()[0].split() for process in both]
    assert sorted(calls for calls, _ in answers) == ["0", "4"]
    assert len({crc for _, crc in answers}) == 1


def test_heads_are_compared_on_a_part_of_the_training_images(tiny, monkeypatch):
    data = datasets.load("fashion_mnist", train_size=200, test_size=30, sample=True)
    monkeypatch.setattr(datasets, "load", lambda name, train_size=None: data)
    monkeypatch.setattr(
        transfer,
        "backbone",
        lambda shape, size: transfer.Backbone(tiny_model(shape), size, WEIGHTS),
    )
    settings = [(0, 0.0, 1e-3, 0.0), (7, 0.5, 0.0, 0.0)]
    table = head_selection.compare_heads("fashion_mnist", epochs=1, settings=settings)
    assert set(table["hidden"]) == {0, 7} and table["validation_error"].is_monotonic_increasing
    (log,) = (storage.results_folder() / "features").glob("*.json")
    assert '"count": 200' in log.read_text()  # the features of the test images were not computed
    both = feature_cache.features_of("fashion_mnist")
    assert {split: len(seen.array) for split, seen in both.items()} == {"train": 200, "test": 30}
