"""The images in the repository: MNIST is the official one, the samples are what they say."""

import hashlib
import io
import struct

import numpy as np
import PIL.Image
import pytest

from cnnlib import datasets
from cnnlib.datasets import embedded
from cnnlib.datasets.catalogue import CATALOGUE

# Of the four uncompressed idx files as LeCun published them.
OFFICIAL = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


def test_the_images_and_labels_are_the_official_files():
    mnist = datasets.load("mnist")
    idx = {}
    for prefix, part in (("train", mnist.train), ("t10k", mnist.test)):
        count = len(part.labels)
        images = struct.pack(">4i", 2051, count, 28, 28) + part.images.tobytes()
        labels = struct.pack(">2i", 2049, count) + part.labels.astype(np.uint8).tobytes()
        idx |= {f"{prefix}-images-idx3-ubyte": images, f"{prefix}-labels-idx1-ubyte": labels}
    assert {name: hashlib.sha256(content).hexdigest() for name, content in idx.items()} == OFFICIAL
    assert mnist.source == "embedded data/mnist.npz"
    assert (mnist.train.images.shape, mnist.train.images.dtype) == ((60_000, 28, 28, 1), np.uint8)
    assert (mnist.test.labels.dtype, mnist.validation.images.shape) == (np.int64, (0, 28, 28, 1))


def test_what_is_here_without_any_prepared_folder():
    for name in CATALOGUE:
        kinds = {"embedded": embedded.WHOLE, "sample": embedded.SAMPLES, "absent": CATALOGUE}
        assert datasets.status(name).state == next(k for k in kinds if name in kinds[k])


@pytest.mark.parametrize(
    ("name", "order", "first"),
    [
        # The labels of the first images, as they stand in many tutorials.
        ("fashion_mnist", "official", [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]),
        ("cifar100", "official", [49, 33, 72, 51, 71, 92, 15, 14, 23, 0]),
        ("cifar10", "by digest", None),
    ],
)
def test_samples_as_arrays(name, order, first):
    sample, file = datasets.load(name, sample=True), embedded.SAMPLES[name]
    info = datasets.info(name)
    assert sample.source.startswith(f"sample data/samples/{name}")
    assert sample.train.images.shape == (file.train_count, *info.image_shape)
    assert sample.test.images.shape == (file.test_count, *info.image_shape)
    assert (sample.test.images.dtype, sample.test.labels.dtype) == (np.uint8, np.int64)
    assert datasets.image_order(name, sample=True) == order
    if name == "cifar10":
        assert np.bincount(sample.train.labels).tolist() == [250] * 10
        assert np.bincount(sample.test.labels).tolist() == [100] * 10
    assert first is None or sample.test.labels[:10].tolist() == first


@pytest.mark.parametrize(("name", "count"), [("caltech101", 99), ("caltech256", 20)])
def test_pictures_are_streamed_with_their_labels(name, count):
    stream = datasets.stream(name, sample=True, batch_size=None, shuffle=False)
    found = [(image.numpy(), int(label)) for image, label in stream]
    files, names = embedded.SAMPLES[name].files(), datasets.info(name).class_names
    assert len(stream) == len(found) == count == len(files)
    for path, (image, label) in zip(files, found, strict=True):
        with PIL.Image.open(io.BytesIO(path.read_bytes())) as picture:
            expected = np.asarray(picture.convert("RGB")).astype(int)
        assert image.shape == expected.shape and np.abs(image - expected).mean() < 2
        assert path.parent.name.lower().removeprefix(f"{label + 1:03d}.") == names[label]
