"""What is known of the data sets, and their class names."""

import pytest
import tensorflow_datasets as tfds

from cnnlib import datasets, storage
from cnnlib.datasets.catalogue import CATALOGUE, IMAGENETTE_IDS, imagenet_names


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
    assert (info.name, info.year, info.train_count, info.test_count, info.image_shape) == (
        name,
        year,
        train,
        test,
        shape,
    )
    assert (len(info.class_names), info.class_names[0], info.class_names[-1]) == (
        classes,
        first,
        last,
    )
    assert len(set(info.class_names)) == classes
    assert (
        info.title
        and info.licence
        and info.citation
        and info.homepage.startswith("http")
        and info.download_bytes
    )


def test_names_are_the_seven_of_the_lecture():
    assert datasets.names() == [
        "mnist",
        "fashion_mnist",
        "cifar10",
        "cifar100",
        "caltech101",
        "caltech256",
        "imagenet",
    ]


def test_where_the_lecture_differs_both_figures_are_known():
    caltech101, caltech256, imagenet = (
        datasets.info(name) for name in ("caltech101", "caltech256", "imagenet")
    )
    assert caltech101.train_count + caltech101.test_count == 9_144 and "8,677" in caltech101.note
    assert (
        caltech256.train_count + caltech256.test_count == 30_607
        and caltech256.lecture.images.startswith("30,608")
    )
    assert (imagenet.lecture.images, imagenet.lecture.size) == ("14 million", "138 GB and 6.3 GB")
    # 138 and 6.3 are the sizes of the archives in units of 2**30 bytes
    assert round(147_897_477_120 / 2**30) == 138 and round(6_744_924_160 / 2**30, 1) == 6.3


def test_class_names_are_those_of_tfds(tmp_path):
    assert (
        tuple(tfds.builder("caltech101", data_dir=tmp_path).info.features["label"].names)
        == datasets.info("caltech101").class_names
    )
    prepared = (
        storage.ROOT.parent
        / "shared"
        / "data"
        / "partial"
        / "tfds"
        / "cifar100"
        / "3.0.2"
        / "label.labels.txt"
    )
    if prepared.exists():
        assert tuple(prepared.read_text().split()) == datasets.info("cifar100").class_names


def test_imagenet_ids_are_in_the_order_of_the_labels(tmp_path):
    assert (
        list(imagenet_names())
        == tfds.builder("imagenet2012", data_dir=tmp_path).info.features["label"].names
    )
    assert (
        list(IMAGENETTE_IDS)
        == tfds.builder("imagenette/320px-v2", data_dir=tmp_path).info.features["label"].names
    )
    assert datasets.info("imagenette").class_names[1:3] == ("English springer", "cassette player")
    assert [name for name in datasets.info("imagenet").class_names if "(" in name] == [
        "crane (n02012849)",
        "crane (n03126707)",
        "maillot (n03710637)",
        "maillot (n03710721)",
    ]


def test_every_set_has_an_archive_to_fetch_but_two():
    """ImageNet asks for registration, and MNIST is in the repository."""
    from cnnlib.datasets.download import ADDRESSES

    assert set(CATALOGUE) - set(ADDRESSES) == {"imagenet", "mnist"}
