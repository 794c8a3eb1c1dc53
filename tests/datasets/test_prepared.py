"""Prepared TFDS folders: a tiny Fashion-MNIST that TFDS itself writes."""

import dataclasses
import hashlib
import os
import shutil
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from cnnlib import datasets
from cnnlib.datasets import download, prepared
from cnnlib.datasets.catalogue import CATALOGUE

# Images of the tiny set; image i is filled with the value i and has the label i % 10.
TRAIN, TEST = 30, 20


class Tiny(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A Fashion-MNIST of 30 + 20 images. It breaks off after `breaks_at` images."""

    name = "fashion_mnist"
    VERSION = tfds.core.Version("3.0.1")
    breaks_at = None

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(28, 28, 1)),
            "label": tfds.features.ClassLabel(num_classes=10),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), disable_shuffling=True
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(TRAIN), "test": self._generate_examples(TEST)}

    def _generate_examples(self, count):
        for i in range(count):
            if i == self.breaks_at:
                raise ConnectionError("connection lost")
            yield i, {"image": np.full((28, 28, 1), i, np.uint8), "label": i % 10}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A TFDS data folder with the tiny set, in two shards for each split."""
    folder = tmp_path_factory.mktemp("tfds")
    Tiny(data_dir=folder).download_and_prepare(
        download_config=tfds.download.DownloadConfig(num_shards=2)
    )
    return folder


@pytest.fixture
def data(tiny, tmp_path, monkeypatch):
    """A copy of it where CNNLIB_DATA points, and a catalogue that expects its counts."""
    expect_tiny(monkeypatch)
    return shutil.copytree(tiny, tmp_path / "data" / "tfds") / "fashion_mnist"


def expect_tiny(monkeypatch, **changes):
    changes = {"train_count": TRAIN, "test_count": TEST} | changes
    info = dataclasses.replace(CATALOGUE["fashion_mnist"], **changes)
    monkeypatch.setitem(CATALOGUE, "fashion_mnist", info)


def damaged(**options):
    with pytest.raises(datasets.Damaged) as caught:
        datasets.load("fashion_mnist", **options)
    return str(caught.value)


def test_a_prepared_folder_is_read_whole_in_the_order_of_digests(data):
    tiny = datasets.load("fashion_mnist")
    assert tiny.source == "prepared fashion_mnist/3.0.1"
    assert tiny.train.images.shape == (TRAIN, 28, 28, 1)
    assert (tiny.train.images.dtype, tiny.train.labels.dtype) == (np.uint8, np.int64)
    values = tiny.train.images[:, 5, 5, 0]
    assert tiny.train.labels.tolist() == (values % 10).tolist()
    assert sorted(tiny.test.images[:, 0, 27, 0].tolist()) == list(range(TEST))
    # Written out by hand: SHA-256 of the 784 bytes, which are all alike.
    digests = {i: hashlib.sha256(bytes([i]) * 784).hexdigest() for i in range(TRAIN)}
    assert values.tolist() == sorted(digests, key=digests.get)
    assert datasets.image_order("fashion_mnist") == "by digest"


def test_where_prepared_folders_are_looked_for(data, tmp_path, monkeypatch):
    for variable in ("HOME", "USERPROFILE"):  # the second on Windows
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "elsewhere"))
    assert prepared.find(datasets.info("fashion_mnist")) == data / "3.0.1"
    monkeypatch.delenv("CNNLIB_DATA")
    assert prepared.data_folder() == tmp_path / "elsewhere"
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert prepared.data_folder() == tmp_path / "home" / "tensorflow_datasets"
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # no home folder
    assert prepared.data_folder() == tmp_path / "results" / "tensorflow_datasets"


SPLIT = b'{"version": "3.0.1", "splits": [{"name": "train", "shardLengths": %s, "numBytes": %s}]}'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("dataset_info.json", b"[" * 100_000),
        ("dataset_info.json", b'{"version": "3.0.1", "splits": []}'),
        ("dataset_info.json", SPLIT % (b'["-5", "5"]', b"0")),
        ("dataset_info.json", "FIFO"),
        ("features.json", b'{"pythonClassName": "this.Feature"}'),
        ("features.json", b'{"\\u0070ythonClassName": "tensorflow_datasets.core.this.Feature"}'),
        ("features.json", None),
    ],
)
def test_altered_metadata(name, content, data):
    path = data / "3.0.1" / name
    path.unlink()
    if content == "FIFO":
        os.mkfifo(path)
    elif content is not None:
        path.write_bytes(content)
    for partial in (False, True):
        assert name in damaged(partial=partial)
    assert datasets.status("fashion_mnist").state == "damaged"
    assert "this" not in sys.modules  # a module of Python's, which prints when it is imported


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda content, record: None, " is missing"),
        (lambda content, record: content[:record], " bytes, expected "),
        (lambda content, record: content[:99] + bytes([content[99] ^ 1]) + content[100:], "read"),
    ],
)
def test_an_altered_shard(change, says, data):
    """The loader says so, and never takes a download or a sample instead."""
    path = data / "3.0.1" / "fashion_mnist-train.tfrecord-00000-of-00002"
    content = path.read_bytes()
    # TFRecord: length 8, its checksum 4, the bytes, their checksum 4
    changed = change(content, 16 + int.from_bytes(content[:8], "little"))
    path.unlink() if changed is None else path.write_bytes(changed)
    message = damaged()
    assert says in message and str(path) in message
    assert f"Delete the folder {data / '3.0.1'} and prepare it again" in message


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"train_count": 31}, "has 30 train images, expected 31"),
        ({"test_count": 10}, "has 20 test images, expected 10"),
        ({"image_shape": (32, 32, 3)}, "cannot be read"),
        ({"classes": "a,b,c"}, "labels from 0 to 9, expected 30 with labels from 0 to 2"),
    ],
)
def test_another_set_under_the_name(changes, says, data, monkeypatch):
    expect_tiny(monkeypatch, **changes)
    assert says in damaged()


def test_an_interrupted_preparation_does_not_look_prepared(host, tmp_path, monkeypatch):
    expect_tiny(monkeypatch)
    host.files["/file"] = b"a file that the tiny set does not read"
    monkeypatch.setitem(download.ADDRESSES, "fashion_mnist", [host.address + "/file"])
    monkeypatch.setattr(tfds, "builder", lambda name, data_dir: Tiny(data_dir=data_dir))
    monkeypatch.setattr(Tiny, "breaks_at", 7)
    with pytest.raises(datasets.Unavailable, match="broke off"):
        datasets.load("fashion_mnist")
    assert prepared.find(datasets.info("fashion_mnist")) is None
    assert not list(tmp_path.rglob("*tfrecord*"))
    monkeypatch.setattr(Tiny, "breaks_at", None)
    assert datasets.load("fashion_mnist").source == "downloaded fashion_mnist/3.0.1"
    monkeypatch.setattr(download, "prepare", None)
    assert datasets.load("fashion_mnist").source == "prepared fashion_mnist/3.0.1"
