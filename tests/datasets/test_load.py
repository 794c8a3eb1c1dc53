"""Names, and how a data set is cut: what is drawn, from where, and what is refused."""

import numpy as np
import pytest

from cnnlib import datasets
from cnnlib.datasets import embedded, prepared
from cnnlib.datasets.sampling import draw
from cnnlib.errors import InputError

MNIST_TRAIN = np.array([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949])


def keys(part):
    """The images as byte strings: no two of MNIST's 70,000 are equal."""
    return {image.tobytes() for image in part.images}


def test_a_cut_has_the_classes_in_proportion():
    cut = datasets.load("mnist", train_size=1000, validation_size=6000, test_size=100)
    # The exact shares differ from these by less than one image, and the counts add up.
    assert np.abs(np.bincount(cut.validation.labels) - MNIST_TRAIN / 10).max() < 1
    assert (
        np.abs(np.bincount(cut.train.labels) - MNIST_TRAIN / 60).max() < 1.1
    )  # in proportion to what validation left
    assert [len(part.labels) for part in (cut.train, cut.validation, cut.test)] == [1000, 6000, 100]
    # By hand: the shares of 980 1135 1032 1010 982 892 958 1028 974 1009 are
    # 9 11 10 10 9 8 9 10 9 10 = 95 whole images; the five largest remainders are those of
    # classes 5 (.92), 4 (.82), 0 (.80), 8 (.74) and 6 (.58).
    assert np.bincount(cut.test.labels).tolist() == [10, 11, 10, 10, 10, 9, 10, 10, 10, 10]


def test_images_keep_their_labels_and_their_order():
    whole = datasets.load("mnist")
    cut = datasets.load("mnist", train_size=50)
    positions = {image.tobytes(): index for index, image in enumerate(whole.train.images)}
    found = [positions[image.tobytes()] for image in cut.train.images]
    assert found == sorted(found)
    assert whole.train.labels[found].tolist() == cut.train.labels.tolist()


def test_train_and_validation_share_no_image_and_make_up_the_whole():
    whole = keys(datasets.load("mnist").train)
    cut = datasets.load("mnist", validation_size=10_000)
    train, validation = keys(cut.train), keys(cut.validation)
    assert len(cut.train.labels) == 50_000
    assert not train & validation
    assert train | validation == whole


def test_the_seed_decides_what_is_drawn():
    sizes = {"train_size": 100, "validation_size": 100, "test_size": 100}
    first, again, other = (datasets.load("mnist", **sizes, seed=seed) for seed in (3, 3, 4))
    for part in ("train", "validation", "test"):
        assert np.array_equal(getattr(first, part).images, getattr(again, part).images)
        assert keys(getattr(first, part)) != keys(getattr(other, part))


def test_one_size_does_not_change_what_another_draws():
    small = datasets.load("mnist", train_size=100, validation_size=500, test_size=100)
    large = datasets.load("mnist", train_size=40_000, validation_size=500)
    other = datasets.load("mnist", validation_size=0, test_size=100)
    assert np.array_equal(small.validation.images, large.validation.images)
    assert np.array_equal(small.test.images, other.test.images)
    assert keys(small.train) <= keys(large.train)


def test_the_random_stream_is_frozen():
    """The promise that a seed means the same images on every machine and with every NumPy."""
    labels = np.arange(1000) % 10
    assert draw(labels, 10, [0, 0]).tolist() == [113, 130, 176, 317, 448, 452, 539, 611, 635, 864]
    assert draw(labels, 10, [1, 2]).tolist() == [46, 77, 235, 269, 388, 394, 411, 612, 833, 870]


def test_fewer_images_than_classes():
    cut = datasets.load("mnist", train_size=3, test_size=1)
    assert (len(set(cut.train.labels)), len(cut.test.labels)) == (3, 1)


def test_the_largest_sizes_are_allowed():
    cut = datasets.load("mnist", train_size=1, validation_size=59_999, test_size=10_000)
    assert (len(cut.train.labels), len(cut.validation.labels)) == (1, 59_999)
    assert cut.test.labels[:4].tolist() == [7, 2, 1, 0]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"name": "mnits"}, "'mnits'. Known: mnist"),
        ({"name": "caltech101"}, "use datasets.stream('caltech101', image_size=...)"),
        ({"name": None}, "Known:"),
        ({"train_size": 0}, "train_size for mnist is 0, expected a whole number from 1 to 60000"),
        ({"train_size": -5}, "-5"),
        ({"train_size": 60_001}, "60001"),
        ({"train_size": 10.0}, "train_size is 10.0, expected a whole number"),
        ({"train_size": "100"}, "train_size is '100', expected a whole number"),
        ({"train_size": True}, "train_size is True, expected a whole number"),
        ({"train_size": 10**30}, "from 1 to 60000"),
        ({"train_size": [100]}, "train_size is [100], expected a whole number"),
        ({"test_size": 0}, "test_size"),
        ({"test_size": 10_001}, "10000"),
        ({"test_size": float("nan")}, "nan"),
        ({"validation_size": -1}, "validation_size"),
        ({"validation_size": None}, "None"),
        ({"validation_size": 60_000}, "59999"),
        (
            {"train_size": 55_000, "validation_size": 5_001},
            "together exceed the 60000 training images",
        ),
        ({"seed": -1}, "seed"),
        ({"seed": 2**32}, "seed"),
        ({"seed": 0.5}, "seed"),
        ({"seed": None}, "seed"),
        ({"sample": "no"}, "sample is 'no', expected True or False"),
        ({"sample": 1}, "sample is 1, expected True or False"),
        ({"partial": None}, "partial is None, expected True or False"),
        ({"download": "False"}, "download is 'False', expected True or False"),
        ({"name": ["mnist"]}, "Known: mnist"),
        ({"name": np.zeros(3)}, "Known: mnist"),
        ({"size": 10}, "load() has no argument size"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_read(arguments, says, monkeypatch):
    monkeypatch.setattr(embedded.Whole, "read", None)
    monkeypatch.setattr(prepared, "find", None)
    with pytest.raises(InputError) as caught:
        datasets.load(**{"name": "mnist"} | arguments)
    assert says in str(caught.value)


def test_numpy_integers_are_sizes():
    assert (
        len(datasets.load("mnist", train_size=np.int32(20), test_size=np.uint8(10)).train.labels)
        == 20
    )
