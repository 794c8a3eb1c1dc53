"""The images in the repository: MNIST is the official one, the samples are what they say."""

import hashlib
import io
import struct
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

from cnnlib import datasets, integrity, storage
from cnnlib.datasets import embedded, prepared
from cnnlib.errors import InputError

# Of the four uncompressed idx files as LeCun published them.
OFFICIAL = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
ARRAYS = ("fashion_mnist", "cifar10", "cifar100")
REAL = storage.ROOT.parent / "shared" / "data"


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
    sums = integrity.digests()
    (mnist,), (weights,) = sums["mnist.npz"], sums["weights/vgg16_notop.float16.npz"]
    for digest in (mnist, weights, *OFFICIAL.values()):
        assert digest in readme


def test_it_needs_neither_tensorflow_nor_pandas():
    code = (
        "import sys; from cnnlib import datasets; datasets.load('mnist', train_size=10); "
        "heavy = ('tensorflow', 'tensorflow_datasets', 'keras', 'pandas'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )


@pytest.mark.parametrize("name", ARRAYS)
def test_samples_as_arrays(name):
    sample = datasets.load(name, sample=True)
    file, info = embedded.SAMPLES[name], datasets.info(name)
    assert sample.source.startswith(f"sample data/samples/{name}")
    assert sample.info == info
    assert sample.train.images.shape == (file.train_count, *info.image_shape)
    assert sample.test.images.shape == (file.test_count, *info.image_shape)
    assert (sample.test.images.dtype, sample.test.labels.dtype) == (np.uint8, np.int64)
    assert sample.test.labels.min() >= 0 and sample.test.labels.max() < len(info.class_names)


def test_official_samples_are_the_first_images_of_the_official_sets():
    """The labels of the first images, as they stand in many tutorials."""
    fashion, cifar100 = (datasets.load(name, sample=True) for name in ("fashion_mnist", "cifar100"))
    assert fashion.test.labels[:10].tolist() == [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]
    assert fashion.train.labels[:10].tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]
    assert cifar100.test.labels[:10].tolist() == [49, 33, 72, 51, 71, 92, 15, 14, 23, 0]
    for name in ("fashion_mnist", "cifar100"):
        assert datasets.image_order(name, sample=True) == "official"


class TestCifar10:
    def test_it_has_as_many_images_of_each_class(self):
        sample = datasets.load("cifar10", sample=True)
        assert np.bincount(sample.train.labels).tolist() == [250] * 10
        assert np.bincount(sample.test.labels).tolist() == [100] * 10

    def test_it_is_in_the_order_of_digests(self):
        sample = datasets.load("cifar10", sample=True)
        assert datasets.image_order("cifar10", sample=True) == "by digest"
        for part in (sample.train, sample.test):
            digests = [hashlib.sha256(image.tobytes()).digest() for image in part.images]
            assert digests == sorted(digests) and len(set(digests)) == len(digests)

    @pytest.mark.parametrize(("split", "per_class"), [("train", 250), ("test", 100)])
    def test_each_image_is_a_tile_of_a_sheet(self, split, per_class):
        """Found again by hand: row and column of the tile from its class."""
        with PIL.Image.open(storage.DATA / "samples" / f"cifar10_{split}.webp") as picture:
            sheet = np.asarray(picture.convert("RGB"))
        assert sheet.shape == (per_class * 10 // 50 * 32, 50 * 32, 3)
        part = getattr(datasets.load("cifar10", sample=True), split)
        of_frogs = {image.tobytes() for image in part.images[part.labels == 6]}
        for i in (0, 49, 50, per_class - 1):
            row, column = divmod(6 * per_class + i, 50)
            tile = sheet[32 * row : 32 * row + 32, 32 * column : 32 * column + 32]
            assert tile.tobytes() in of_frogs

    def test_they_are_the_first_of_each_class_of_the_real_set(self, monkeypatch):
        if not (REAL / "tfds" / "cifar10").is_dir():
            pytest.skip("no prepared CIFAR-10 beside the checkout")
        info = datasets.info("cifar10")
        splits = prepared.check(REAL / "tfds" / "cifar10" / "3.0.2", info)
        for split, per_class in (("test", 100), ("train", 250)):
            images, labels = prepared._records(splits[split], split, info)
            part = getattr(datasets.load("cifar10", sample=True), split)
            for label in range(10):
                first = images[np.flatnonzero(labels == label)[:per_class]]
                assert {image.tobytes() for image in first} == {
                    image.tobytes() for image in part.images[part.labels == label]
                }


class TestPictures:
    @pytest.mark.parametrize(("name", "count"), [("caltech101", 99), ("caltech256", 20)])
    def test_they_are_streamed_with_their_labels(self, name, count):
        stream = datasets.stream(name, sample=True, batch_size=None, shuffle=False)
        found = [(image.numpy(), int(label)) for image, label in stream]
        file, names = embedded.SAMPLES[name], datasets.info(name).class_names
        assert len(stream) == len(found) == count == len(file.files())
        for path, (image, label) in zip(file.files(), found, strict=True):
            with PIL.Image.open(path) as picture:
                expected = np.asarray(picture.convert("RGB")).astype(int)
            assert image.shape == expected.shape
            assert np.abs(image - expected).mean() < 2
            assert path.parent.name.lower().removeprefix(f"{label + 1:03d}.") == names[label]

    def test_they_are_batched_and_shuffled(self):
        stream = datasets.stream("caltech101", sample=True, image_size=64, batch_size=33, seed=1)
        epochs = [np.concatenate([labels for _, labels in stream]) for _ in range(2)]
        assert [images.shape for images, _ in stream] == [(33, 64, 64, 3)] * 3
        assert len(set(epochs[0])) == 99 and epochs[0].tolist() != epochs[1].tolist()
        assert sorted(epochs[0]) == sorted(epochs[1])

    def test_they_are_small(self):
        files = [path for name in ("caltech101", "caltech256") for path in _files(name)]
        assert sum(path.stat().st_size for path in files) <= 1_500_000
        assert sum(path.stat().st_size for path in _files("cifar10")) <= 6_000_000

    def test_they_are_originals(self):
        if not (REAL / "caltech_samples").is_dir():
            pytest.skip("no pictures beside the checkout")
        originals = {
            hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (REAL / "caltech_samples").rglob("*.jpg")
        }
        for name in ("caltech101", "caltech256"):
            for content in embedded.SAMPLES[name].read():
                assert hashlib.sha256(content).hexdigest() in originals
                PIL.Image.open(io.BytesIO(content)).load()


def _files(name):
    return embedded.SAMPLES[name].files()


def test_a_sample_can_be_cut_and_no_further_than_it_goes():
    cut = datasets.load(
        "fashion_mnist", sample=True, train_size=100, test_size=50, validation_size=30
    )
    assert [len(part.labels) for part in (cut.train, cut.validation, cut.test)] == [100, 30, 50]
    with pytest.raises(InputError, match="expected a whole number from 1 to 6000"):
        datasets.load("fashion_mnist", sample=True, train_size=6001)
    with pytest.raises(InputError, match="from 1 to 20"):
        datasets.load("cifar100", sample=True, test_size=21)


def test_there_is_no_sample_of_what_is_whole():
    with pytest.raises(InputError, match="carries it whole"):
        datasets.load("mnist", sample=True)
