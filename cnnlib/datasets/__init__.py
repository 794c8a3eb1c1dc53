"""The data sets of the course: facts, and images and labels as arrays.

`load` takes the bytes from the first of: a folder that TensorFlow Datasets prepared, the repository's own data/ (MNIST), a download.
It never puts another data set in the place of the one asked for.
"""

import dataclasses
import numbers

from cnnlib.datasets import embedded, tfds_source
from cnnlib.datasets.catalogue import CATALOGUE, Info
from cnnlib.datasets.errors import Damaged, Unavailable
from cnnlib.errors import InputError, check_name

import numpy as np

__all__ = ["Damaged", "Dataset", "Images", "Info", "Unavailable", "info", "load", "names"]


@dataclasses.dataclass(frozen=True, eq=False)
class Images:
    """Images with their labels: `images` uint8 (n, height, width, channels), `labels` int64 (n,)."""

    images: np.ndarray
    labels: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """What `load` returns. `source` says where the bytes came from, such as "embedded data/mnist.npz"."""

    train: Images
    validation: Images
    test: Images
    info: Info
    source: str


def names():
    """The data sets that `load` knows."""
    return list(CATALOGUE)


def info(name):
    """The facts of the data set `name`. Raises InputError for an unknown name."""
    return CATALOGUE[check_name("data set", name, CATALOGUE)]


def load(name, train_size=None, test_size=None, validation_size=0, seed=0):
    """Load a data set, whole or cut down.

    Args:
        name: one of `names()`.
        train_size: images to train on, without those for validation; None for all that are left.
        test_size: images to test on; None for all.
        validation_size: images taken out of the official training images. They do not depend on `train_size`.
        seed: which images are drawn, 0 to 2**32 - 1; the same seed gives the same images on every machine.

    Returns a Dataset. What is drawn has the classes in the proportion of the whole and stands in the order of its source; what is
    not cut is the source as it is (for the embedded MNIST, the official order).

    Raises InputError (bad name, size or seed), Unavailable (no way to get the set here), Damaged (its bytes are not what they should be).
    """
    facts = info(name)
    _check_sizes(facts, train_size, test_size, validation_size, seed)
    arrays, source = _read(facts)
    images, labels = arrays["train"]
    validation = _draw(labels, validation_size, [seed, 0])  # each draw has a stream of its own, so none depends on another's size
    rest = np.setdiff1d(np.arange(len(labels)), validation, assume_unique=True)
    train = rest if train_size is None else rest[_draw(labels[rest], train_size, [seed, 1])]
    test_images, test_labels = arrays["test"]
    test = np.arange(len(test_labels)) if test_size is None else _draw(test_labels, test_size, [seed, 2])
    return Dataset(
        train=Images(images[train], labels[train]),
        validation=Images(images[validation], labels[validation]),
        test=Images(test_images[test], test_labels[test]),
        info=facts,
        source=source,
    )


def _check_sizes(facts, train_size, test_size, validation_size, seed):
    """Raise InputError for a size or a seed that cannot be, before anything is read."""
    for argument, value, least, most in (
        ("train_size", train_size, 1, facts.train_count),
        ("test_size", test_size, 1, facts.test_count),
        ("validation_size", validation_size, 0, facts.train_count - 1),
        ("seed", seed, 0, 2**32 - 1),
    ):
        if value is None and argument in ("train_size", "test_size"):
            continue
        if not isinstance(value, numbers.Integral) or isinstance(value, bool) or not least <= value <= most:
            raise InputError(f"{argument} for {facts.name} is {value!r}, expected a whole number from {least} to {most}")
    if (train_size or 1) + validation_size > facts.train_count:
        raise InputError(
            f"train_size {train_size} and validation_size {validation_size} together exceed the {facts.train_count} training images "
            f"of {facts.name}: make one of them smaller"
        )


def _read(facts):
    """The whole set as {"train": (images, labels), "test": ...} with its source: prepared folder, embedded file or download."""
    folder = tfds_source.find(facts.name)
    if folder:
        return tfds_source.read(folder, facts), f"prepared {facts.name}/{folder.name}"
    tried = f"no prepared folder {tfds_source.data_folder() / facts.name}"
    if facts.name in embedded.NAMES:
        try:
            return embedded.read(), f"embedded data/{embedded.PATH.name}"
        except FileNotFoundError:
            tried += f"; {embedded.PATH} is missing"
    try:
        folder = tfds_source.download(facts.name)
    except Unavailable as error:
        other = (
            embedded.REPAIR if facts.name in embedded.NAMES else f"use a data set that the repository carries: {', '.join(embedded.NAMES)}"
        )
        raise Unavailable(
            f"{facts.title} ({facts.name}) is not to be had here. Tried: {tried}; {error}.\nWays out:\n"
            "1. connect to the internet and run again;\n"
            f"2. copy a prepared TFDS folder, {facts.name}/<version>, to this machine, and set CNNLIB_DATA to the folder that has it in "
            "tfds/, or TFDS_DATA_DIR to the folder that has it directly;\n"
            f"3. {other}."
        ) from error
    return tfds_source.read(folder, facts), f"downloaded {facts.name}/{folder.name}"


def _draw(labels, size, seed):
    """Draw `size` images, classes in proportion (largest remainder, ties to the lower label); return their indices, ascending.

    Per class, the draw for a smaller size is the beginning of the draw for a larger one. RandomState, because NumPy guarantees that its
    numbers never change (NEP 19); those of `default_rng` may.
    """
    random = np.random.RandomState(seed)
    classes, counts = np.unique(labels, return_counts=True)
    shares, remainders = np.divmod(size * counts, len(labels))
    shares[np.argsort(-remainders, kind="stable")[: size - shares.sum()]] += 1
    orders = [random.permutation(np.flatnonzero(labels == label)) for label in classes]
    return np.sort(np.concatenate([order[:share] for order, share in zip(orders, shares, strict=True)]))
