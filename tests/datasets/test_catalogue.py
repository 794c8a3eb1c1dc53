"""What is known of the data sets, and their class names."""

import pytest
import tensorflow_datasets as tfds

from cnnlib import datasets, storage
from cnnlib.datasets.catalogue import CATALOGUE
from cnnlib.datasets.download import ADDRESSES


@pytest.mark.parametrize(
    ("name", "year", "train", "test", "shape", "classes", "first", "last"),
    [
        ("mnist", 1998, 60_000, 10_000, (28, 28, 1), 10, "0", "9"),
        ("fashion_mnist", 2017, 60_000, 10_000, (28, 28, 1), 10, "T-shirt/top", "Ankle boot"),
        ("cifar10", 2009, 50_000, 10_000, (32, 32, 3), 10, "airplane", "truck"),
        ("cifar100", 2009, 50_000, 10_000, (32, 32, 3), 100, "apple", "worm"),
        ("caltech101", 2004, 3_060, 6_084, None, 102, "accordion", "yin_yang"),
        ("caltech256", 2007, 7_710, 22_897, None, 257, "ak47", "clutter"),
        ("imagenet", 2009, 1_281_167, 50_000, None, 1000, "tench", "toilet tissue"),
        ("imagenette", 2019, 9_469, 3_925, None, 10, "tench", "parachute"),
    ],
)
def test_what_is_known(name, year, train, test, shape, classes, first, last):
    info = datasets.info(name)
    assert (info.year, info.train_count, info.test_count) == (year, train, test)
    assert (info.name, info.image_shape) == (name, shape)
    assert (info.class_names[0], info.class_names[-1]) == (first, last)
    assert len(info.class_names) == len(set(info.class_names)) == classes
    assert info.title and info.download_bytes


def test_the_lecture_has_seven_and_its_own_counts():
    seven = "mnist fashion_mnist cifar10 cifar100 caltech101 caltech256 imagenet"
    assert datasets.names() == seven.split()
    assert "8,677" in datasets.info("caltech101").note  # without the background class
    assert datasets.info("caltech256").lecture.images.startswith("30,608")
    assert datasets.info("imagenet").lecture.images == "14 million"


def test_class_names_are_in_the_order_of_tfds(tmp_path):
    def labels_of(name):
        return tfds.builder(name, data_dir=tmp_path).info.features["label"].names

    assert tuple(labels_of("caltech101")) == datasets.info("caltech101").class_names
    lines = (storage.DATA / "class_names" / "imagenet.txt").read_text().splitlines()
    synsets = dict(line.split(" ", 1) for line in lines)
    assert list(synsets) == labels_of("imagenet2012")
    first = [synsets[wordnet_id].split(", ")[0] for wordnet_id in labels_of("imagenette/320px-v2")]
    assert tuple(first) == datasets.info("imagenette").class_names
    twice = [name for name in datasets.info("imagenet").class_names if "(" in name]
    cranes, maillots = ("n02012849", "n03126707"), ("n03710637", "n03710721")
    assert twice == [f"crane ({i})" for i in cranes] + [f"maillot ({i})" for i in maillots]


@pytest.mark.parametrize("name", sorted(ADDRESSES))
def test_the_files_are_those_that_tfds_would_download(name, tmp_path):
    assert set(CATALOGUE) - set(ADDRESSES) == {"imagenet", "mnist"}  # by hand; in the repository
    if name != "caltech256":  # which TFDS has not
        known = tfds.builder(datasets.info(name).tfds_name, data_dir=tmp_path).url_infos
        size = sum(known[address].size for address in ADDRESSES[name])
        assert size == datasets.info(name).download_bytes
        for address in ADDRESSES[name]:
            assert known[address].filename == address.rpartition("/")[2].split("?")[0]
