"""The embedded MNIST: it is the official one, and nothing else passes for it."""

import dataclasses
import hashlib
import struct
import subprocess
import sys

import numpy as np
import pytest

from cnnlib import datasets, storage
from cnnlib.datasets import embedded
from cnnlib.errors import InputError

# Of the four uncompressed idx files as LeCun published them.
OFFICIAL = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
FILES = [*embedded.WHOLE.values(), *embedded.SAMPLES.values()]


@pytest.fixture(scope="module")
def mnist():
    return datasets.load("mnist")


def test_the_images_and_labels_are_the_official_files(mnist):
    idx = {}
    for prefix, part in (("train", mnist.train), ("t10k", mnist.test)):
        count = len(part.labels)
        idx[f"{prefix}-images-idx3-ubyte"] = (
            struct.pack(">4i", 2051, count, 28, 28) + part.images.tobytes()
        )
        idx[f"{prefix}-labels-idx1-ubyte"] = (
            struct.pack(">2i", 2049, count) + part.labels.astype(np.uint8).tobytes()
        )
    assert {name: hashlib.sha256(content).hexdigest() for name, content in idx.items()} == OFFICIAL


def test_shapes_order_and_classes(mnist):
    assert mnist.source == "embedded data/mnist.npz"
    assert (mnist.train.images.shape, mnist.train.images.dtype) == ((60_000, 28, 28, 1), np.uint8)
    assert (mnist.test.images.shape, mnist.test.labels.dtype) == ((10_000, 28, 28, 1), np.int64)
    assert (mnist.validation.images.shape, mnist.validation.labels.shape) == ((0, 28, 28, 1), (0,))
    assert mnist.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert np.bincount(mnist.train.labels).tolist() == [
        5923,
        6742,
        5958,
        6131,
        5842,
        5421,
        5918,
        6265,
        5851,
        5949,
    ]
    assert np.bincount(mnist.test.labels).tolist() == [
        980,
        1135,
        1032,
        1010,
        982,
        892,
        958,
        1028,
        974,
        1009,
    ]


def test_the_readme_of_data_says_the_same():
    readme = (storage.DATA / "README.md").read_text(encoding="utf-8")
    for digest in (*(file.sha256 for file in FILES), *OFFICIAL.values()):
        assert digest in readme


def test_it_needs_neither_tensorflow_nor_pandas():
    code = (
        "import sys; from cnnlib import datasets; datasets.load('mnist', train_size=10); "
        "print([name for name in ('tensorflow', 'tensorflow_datasets', 'keras', 'pandas') if name in sys.modules])"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )


@pytest.mark.parametrize("change", ["truncated", "one bit", "empty", "pickled"])
def test_an_altered_file_is_refused(change, tmp_path, monkeypatch):
    file = embedded.WHOLE["mnist"]
    content = bytearray(file.path.read_bytes())
    path = tmp_path / "mnist.npz"
    if change == "pickled":
        np.savez(path, x_train=np.array([{}], dtype=object))
    else:
        content[5_000_000] ^= 1
        path.write_bytes(
            {"truncated": content[:1_000_000], "one bit": content, "empty": b""}[change]
        )
    monkeypatch.setitem(embedded.WHOLE, "mnist", dataclasses.replace(file, path=path))
    with pytest.raises(datasets.Damaged) as caught:
        datasets.load("mnist")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    for part in (str(path), file.sha256, found, "git checkout data/mnist.npz"):
        assert part in str(caught.value)


@pytest.mark.parametrize("name", embedded.SAMPLES)
def test_samples(name):
    sample = datasets.load(name, sample=True)
    file, facts = embedded.SAMPLES[name], datasets.info(name)
    assert sample.source == f"sample data/samples/{name}.npz"
    assert sample.info == facts
    assert sample.train.images.shape == (file.train_count, *facts.image_shape)
    assert sample.test.images.shape == (file.test_count, *facts.image_shape)
    assert (sample.test.images.dtype, sample.test.labels.dtype) == (np.uint8, np.int64)
    assert sample.test.labels.min() >= 0 and sample.test.labels.max() < len(facts.class_names)


def test_samples_are_the_first_images_of_the_official_test_sets():
    """The labels of the first test images, as they stand in many tutorials."""
    assert datasets.load("fashion_mnist", sample=True).test.labels[:10].tolist() == [
        9,
        2,
        1,
        1,
        6,
        1,
        4,
        6,
        5,
        7,
    ]
    assert datasets.load("cifar10", sample=True).test.labels[:10].tolist() == [
        3,
        8,
        8,
        0,
        6,
        6,
        1,
        6,
        3,
        1,
    ]
    assert datasets.load("cifar100", sample=True).test.labels[:10].tolist() == [
        49,
        33,
        72,
        51,
        71,
        92,
        15,
        14,
        23,
        0,
    ]
    assert datasets.load("fashion_mnist", sample=True).train.labels[:10].tolist() == [
        9,
        0,
        0,
        3,
        0,
        2,
        7,
        2,
        5,
        5,
    ]


def test_a_sample_can_be_cut_and_no_further_than_it_goes():
    cut = datasets.load(
        "fashion_mnist", sample=True, train_size=100, test_size=50, validation_size=30
    )
    assert [len(part.labels) for part in (cut.train, cut.validation, cut.test)] == [100, 30, 50]
    with pytest.raises(InputError, match="expected a whole number from 1 to 6000"):
        datasets.load("fashion_mnist", sample=True, train_size=6001)
    with pytest.raises(InputError, match="from 1 to 20"):
        datasets.load("cifar10", sample=True, test_size=21)


def test_there_is_no_sample_of_what_is_whole():
    with pytest.raises(InputError, match="as a whole"):
        datasets.load("mnist", sample=True)
