"""Names, and how a data set is cut: what is drawn, and what is refused."""

import numpy as np
import pytest

from cnnlib import datasets
from cnnlib.datasets import embedded, prepared
from cnnlib.errors import InputError

MNIST_TRAIN = np.array([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949])
PARTS = ("train", "validation", "test")


def keys(part):
    """The images as byte strings: no two of MNIST's 70,000 are equal."""
    return {image.tobytes() for image in part.images}


def lengths(data):
    return [len(getattr(data, part).labels) for part in PARTS]


def test_a_cut_has_the_classes_in_proportion():
    cut = datasets.load("mnist", train_size=1000, validation_size=6000, test_size=100)
    # The exact shares differ from these by less than one image, and the counts add up.
    assert np.abs(np.bincount(cut.validation.labels) - MNIST_TRAIN / 10).max() < 1
    # In proportion to what validation left:
    assert np.abs(np.bincount(cut.train.labels) - MNIST_TRAIN / 60).max() < 1.1
    assert lengths(cut) == [1000, 6000, 100]
    # By hand: the shares of 980 1135 1032 1010 982 892 958 1028 974 1009 are
    # 9 11 10 10 9 8 9 10 9 10 = 95 whole images; the five largest remainders are those of
    # classes 5 (.92), 4 (.82), 0 (.80), 8 (.74) and 6 (.58).
    assert np.bincount(cut.test.labels).tolist() == [10, 11, 10, 10, 10, 9, 10, 10, 10, 10]


def test_what_a_seed_draws_is_frozen_and_keeps_labels_and_order():
    whole = datasets.load("mnist")
    cut = datasets.load("mnist", train_size=5, validation_size=np.int32(5), test_size=5, seed=1)
    for part, of, places in (
        (cut.train, whole.train, [5312, 23145, 34856, 45677, 54898]),
        (cut.validation, whole.train, [6577, 18394, 18987, 23526, 39704]),
        (cut.test, whole.test, [1309, 4110, 6240, 6346, 9468]),
    ):
        assert np.array_equal(part.images, of.images[places])
        assert part.labels.tolist() == of.labels[places].tolist()


def test_train_and_validation_share_no_image_and_make_up_the_whole():
    cut = datasets.load("mnist", validation_size=10_000)
    train, validation = keys(cut.train), keys(cut.validation)
    assert lengths(cut) == [50_000, 10_000, 10_000]
    assert not train & validation
    assert train | validation == keys(datasets.load("mnist").train)


def test_one_size_does_not_change_what_another_draws():
    small = datasets.load("mnist", train_size=100, validation_size=500, test_size=100)
    large = datasets.load("mnist", train_size=40_000, validation_size=500)
    other = datasets.load("mnist", test_size=100)
    assert np.array_equal(small.validation.images, large.validation.images)
    assert np.array_equal(small.test.images, other.test.images)
    assert keys(small.train) <= keys(large.train)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"name": "mnits"}, "'mnits'. Did you mean mnist"),
        ({"name": "caltech101"}, "use datasets.stream('caltech101', image_size=...)"),
        ({"train_size": 0}, "train_size for mnist is 0, expected a whole number from 1 to 60000"),
        ({"test_size": 10_001}, "from 1 to 10000"),
        ({"validation_size": -1}, "validation_size for mnist is -1"),
        ({"validation_size": 60_000}, "from 0 to 59999"),
        ({"train_size": 55_000, "validation_size": 5_001}, "exceed the 60000 training images"),
        ({"seed": 2**32}, "seed"),
        ({"sample": True}, "no sample of mnist: the repository carries it whole"),
        ({"name": "fashion_mnist", "sample": True, "train_size": 2501}, "from 1 to 2500"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_read(arguments, says, monkeypatch):
    monkeypatch.setattr(embedded.Embedded, "arrays", None)
    monkeypatch.setattr(prepared, "find", None)
    with pytest.raises(InputError) as caught:
        datasets.load(**{"name": "mnist"} | arguments)
    assert says in str(caught.value)
