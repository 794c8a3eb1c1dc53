"""Streams: what is in them, their order, sizes and splits."""

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from cnnlib import datasets
from cnnlib.datasets import caltech, streams
from cnnlib.errors import InputError


@pytest.fixture
def prepared(prepared_archives, published, monkeypatch):
    monkeypatch.setenv("CNNLIB_DATA", str(prepared_archives))


def contents(dataset):
    """(label, grey) of single images: each image of the archives has one grey in all its pixels."""
    return [(int(label), round(float(image.numpy().mean()))) for image, label in dataset]


def single(name, split, **options):
    return datasets.stream(name, split, batch_size=None, **options)


def test_batches(prepared):
    stream = datasets.stream(
        "caltech101", image_size=[48, np.int64(64)], batch_size=16, sample=np.False_
    )
    assert isinstance(stream, tf.data.Dataset) and len(stream) == 6
    images, labels = next(iter(stream))
    assert (images.shape, images.dtype) == ((16, 48, 64, 3), tf.uint8)
    assert (labels.shape, labels.dtype) == ((16,), tf.int64)


@pytest.mark.parametrize(
    ("name", "sizes"),
    [("caltech101", {4: 31, 0: 33, 101: 31}), ("caltech256", {0: 32, 55: 12, 256: 31})],
)
def test_the_split_is_stratified_and_each_image_is_in_one_part(name, sizes, prepared):
    parts = [contents(single(name, split)) for split in ("train", "test")]
    for label, count in sizes.items():
        train, test = ([grey for each, grey in part if each == label] for part in parts)
        assert len(train) == (30 if count > 30 else 6)
        # JPEG keeps a plain grey to within one step, and neighbours are two apart
        assert sorted(round(grey / 2) for grey in train + test) == list(range(1, count + 1))


def test_the_drawn_names_are_frozen():
    """The promise that the split is the same on every machine, in whatever order names come."""
    names = [f"image_{i:04d}.jpg" for i in range(1, 41)]
    drawn = caltech.training_names(reversed(names), 7)
    assert drawn == caltech.training_names(names, 7) and len(drawn) == 30
    left = sorted(int(name[6:10]) for name in set(names) - drawn)
    assert left == [4, 5, 9, 15, 20, 24, 26, 29, 36, 39]
    assert len(caltech.training_names(names[:30], 7)) == 15


@pytest.mark.parametrize(
    ("name", "options"),
    [("caltech101", {}), ("caltech101", {"sample": True}), ("fashion_mnist", {"sample": True})],
)
def test_training_is_shuffled_reproducibly_and_anew_each_epoch(name, options, prepared):
    stream, again, other = (single(name, "train", seed=seed, **options) for seed in (3, 3, 4))
    epochs = [contents(stream.take(300)), contents(stream.take(300))]
    assert epochs == [contents(again.take(300)), contents(again.take(300))]
    assert epochs[0] != epochs[1] and epochs[0] != contents(other.take(300))
    plain = single(name, "train", shuffle=False, **options)
    assert contents(plain.take(300)) == contents(plain.take(300))
    if len(stream) <= 300:
        assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(contents(plain))


def test_test_images_are_not_shuffled(prepared):
    assert contents(single("caltech101", "test")) == contents(single("caltech101", "test", seed=5))
    images, labels = next(iter(datasets.stream("mnist", "test", batch_size=1000)))
    mnist = datasets.load("mnist").test
    assert np.array_equal(images, mnist.images[:1000])
    assert np.array_equal(labels, mnist.labels[:1000])


def test_images_as_they_are(prepared):
    widths = {image.shape[1] for image, _ in single("caltech101", "train")}
    assert min(widths) >= 41 and len(widths) > 25
    with pytest.raises(InputError, match="give image_size, such as 224, or batch_size=None"):
        datasets.stream("caltech101")


def test_resizing_agrees_with_pillow():
    """CIFAR-10's sample enlarged and MNIST reduced: within two grey levels of Pillow's filter."""
    for options, size in (({"name": "cifar10", "sample": True}, 48), ({"name": "mnist"}, 20)):
        stream = datasets.stream(split="test", image_size=size, batch_size=20, **options)
        plain = datasets.stream(split="test", batch_size=20, **options)
        pairs = zip(next(iter(stream))[0].numpy(), next(iter(plain))[0].numpy(), strict=True)
        for image, original in pairs:
            picture = PIL.Image.fromarray(original.squeeze())
            expected = picture.resize((size, size), PIL.Image.Resampling.BILINEAR)
            assert np.abs(image.squeeze().astype(int) - np.asarray(expected)).max() <= 2


def test_the_middle_is_taken():
    def resized(image, size):
        dataset = tf.data.Dataset.from_tensors((image, 0))
        return next(iter(streams.resized(dataset, size)))[0].numpy()

    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 200
    assert resized(wide, (10, 10)).min() == 200
    assert resized(wide.transpose(1, 0, 2), (5, 5)).min() == 200


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"split": "val"}, "split "),
        ({"image_size": 0}, "image_size "),
        ({"batch_size": 0}, "batch_size "),
        ({"shuffle": "no"}, "shuffle "),
        ({"name": "imagenet", "sample": True}, "there is no sample of imagenet"),
        ({"sample": True, "split": "test"}, "there are no test images of caltech101 in the sample"),
    ],
)
def test_bad_arguments(options, says):
    with pytest.raises(InputError) as caught:
        datasets.stream(**{"name": "caltech101", "image_size": 32} | options)
    assert says in str(caught.value)


@pytest.mark.parametrize(("n", "sizes"), [(10, [4, 4, 2]), (8, [4, 4]), (3, [3])])
def test_batches_of_arrays_are_the_arrays_in_their_order(n, sizes):
    images, labels = np.random.RandomState(0).rand(n, 2, 3).astype("float32"), np.arange(n)
    found = list(streams.batches(images, labels, 4).as_numpy_iterator())
    assert [len(batch) for batch, _ in found] == sizes == [len(batch) for _, batch in found]
    np.testing.assert_array_equal(np.concatenate([batch for batch, _ in found]), images)
    np.testing.assert_array_equal(np.concatenate([batch for _, batch in found]), labels)
