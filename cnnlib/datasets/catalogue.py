"""What is known of each data set: as its authors published it, and as the lecture has it."""

import dataclasses
import functools
from collections import Counter
from typing import Any

from cnnlib import integrity, storage
from cnnlib.errors import check_name

BY_NAME = "30 training images of each class, drawn from the sorted file names; the rest test"


@dataclasses.dataclass(frozen=True)
class Lecture:
    """What the lecture's slides say about a data set, in their words; "" where they say nothing."""

    classes: str
    images: str
    resolution: str
    year: str = ""


@dataclasses.dataclass(frozen=True)
class Info:
    """What is known of a data set before any of its images is read."""

    name: str  # as `load` and `stream` take it
    title: str
    year: int  # in which its paper appeared
    train_count: int
    test_count: int
    image_shape: tuple[int, int, int] | None  # height, width, channels; None: many sizes
    lecture: Lecture | None  # None: it is not in the lecture
    version: str  # of the folder that TFDS prepares
    classes: str = ""  # names separated by commas, or in data/class_names/
    note: str = ""  # where the lecture's numbers differ from the source's, and why
    split: str = "official"  # how training and test images are told apart
    tfds_name: str = ""  # the folder's name in a TFDS data folder; `name` where empty
    tfds_splits: tuple[str, str] = ("train", "test")  # TFDS' names of the two
    download_bytes: int = 0
    homepage: str = ""  # where an archive is to be had that one brings oneself

    def __post_init__(self) -> None:
        object.__setattr__(self, "tfds_name", self.tfds_name or self.name)

    @functools.cached_property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, by label.

        A class of ImageNet has the first word of its synset, with the WordNet id where two synsets
        share the word.
        """
        if self.classes:
            return tuple(self.classes.split(","))
        path = storage.DATA / "class_names" / f"{self.name}.txt"
        lines = integrity.read_text(path).splitlines()
        if self.name == "caltech256":  # 001.ak47
            return tuple(line.split(".")[1] for line in lines)
        if self.name != "imagenet":
            return tuple(lines)
        synsets = [line.split(" ", 1) for line in lines]
        first = [(wordnet_id, words.split(", ")[0]) for wordnet_id, words in synsets]
        uses = Counter(word for _, word in first)
        return tuple(word if uses[word] == 1 else f"{word} ({id_})" for id_, word in first)


def names() -> list[str]:
    """Return the names of the lecture's data sets, in its order; imagenette is known besides."""
    return [name for name, info in CATALOGUE.items() if info.lecture]


def info(name: str) -> Info:
    """Return what is known of a data set; raise InputError for an unknown name."""
    return CATALOGUE[check_name("data set", name, CATALOGUE)]


_CIFAR: dict[str, Any] = {
    "version": "3.0.2",
    "image_shape": (32, 32, 3),
    "train_count": 50_000,
    "test_count": 10_000,
    "year": 2009,
}
_ALL = (
    Info(
        name="mnist",
        title="MNIST",
        year=1998,
        classes="0,1,2,3,4,5,6,7,8,9",
        train_count=60_000,
        test_count=10_000,
        image_shape=(28, 28, 1),
        lecture=Lecture("10", "60,000 + 10,000", "28x28"),
        version="3.0.1",
        download_bytes=11_594_722,
    ),
    Info(
        name="fashion_mnist",
        title="Fashion-MNIST",
        year=2017,
        classes="T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot",
        train_count=60_000,
        test_count=10_000,
        image_shape=(28, 28, 1),
        lecture=Lecture("10", "70,000", "28x28"),
        version="3.0.1",
        download_bytes=30_878_645,
    ),
    Info(
        name="cifar10",
        title="CIFAR-10",
        classes="airplane,automobile,bird,cat,deer,dog,frog,horse,ship,truck",
        lecture=Lecture("10", "50,000 + 10,000 (6,000 a class)", "32x32"),
        download_bytes=170_052_171,
        **_CIFAR,
    ),
    Info(
        name="cifar100",
        title="CIFAR-100",
        lecture=Lecture("100", "50,000 + 10,000 (600 a class)", "32x32"),
        download_bytes=168_513_733,
        **_CIFAR,
    ),
    Info(
        name="caltech101",
        title="Caltech-101",
        year=2004,
        train_count=3_060,
        test_count=6_084,
        image_shape=None,
        homepage="https://doi.org/10.22002/D1.20086",
        lecture=Lecture("101 and background", "9,144", "300x200", "2003"),
        note="The 9,144 images include the 467 of the background class: the 101 classes have "
        "8,677. The pictures were collected in 2003; the paper is of 2004.",
        split=BY_NAME,
        version="3.0.2",
        download_bytes=137_414_764,
    ),
    Info(
        name="caltech256",
        title="Caltech-256",
        year=2007,
        train_count=7_710,
        test_count=22_897,
        image_shape=None,
        homepage="https://doi.org/10.22002/D1.20087",
        lecture=Lecture("256 and background", "30,608 (80 to 827 a class)", "300x200", "2006"),
        note="The lecture has one image more than the 30,607 of the report. The archive also "
        "holds stray files that are no images of the set; they are left out. The lecture's year, "
        "2006, is that of the collection; the report is of 2007.",
        split=BY_NAME,
        version="1.0.0",
        download_bytes=1_183_006_720,
    ),
    Info(
        name="imagenet",
        title="ImageNet (ILSVRC 2012)",
        year=2009,
        train_count=1_281_167,
        test_count=50_000,
        image_shape=None,
        lecture=Lecture("1,000", "14 million", "", "2009"),
        note="14 million is all of ImageNet, presented in 2009, with more than 20,000 classes. "
        "The challenge of 2012 has 1,000 classes and 1,281,167 training images. Many papers test "
        "on its 50,000 validation images: the labels of its test images stayed on a server.",
        split="official; the validation images are the test images",
        version="5.1.0",
        tfds_name="imagenet2012",
        tfds_splits=("train", "validation"),
        download_bytes=154_642_401_280,
    ),
    Info(
        name="imagenette",
        title="Imagenette (320 px)",
        year=2019,
        classes="tench,English springer,cassette player,chain saw,church,"
        "French horn,garbage truck,gas pump,golf ball,parachute",
        train_count=9_469,
        test_count=3_925,
        image_shape=None,
        lecture=None,
        note="Ten classes of ImageNet that are easily told apart, to look at. No result of it "
        "stands for ImageNet's.",
        version="1.0.0",
        tfds_name="imagenette/320px-v2",
        tfds_splits=("train", "validation"),
        download_bytes=341_663_724,
    ),
)
CATALOGUE = {info.name: info for info in _ALL}
