"""Data sets as arrays, whole or cut down."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from cnnlib.datasets import download as downloads
from cnnlib.datasets import embedded, prepared
from cnnlib.datasets.catalogue import Info, info
from cnnlib.errors import InputError
from cnnlib.validation import Seed, validated


@dataclasses.dataclass(frozen=True, eq=False)
class Images:
    """Images with their labels."""

    images: np.ndarray  # uint8 (n, height, width, channels)
    labels: np.ndarray  # int64 (n,)


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """What `load` returns."""

    train: Images
    validation: Images
    test: Images
    info: Info
    source: str  # where the images came from, such as "embedded data/mnist.npz"


@validated
def load(
    name: str,
    train_size: int | None = None,
    test_size: int | None = None,
    validation_size: int = 0,
    seed: Seed = 0,
    *,
    sample: bool = False,
    partial: bool = False,
    download: bool = True,
) -> Dataset:
    """Load a data set whose images have one size, whole or cut down.

    What is drawn has the classes in the proportion of the whole, and keeps the order of the whole
    (see `image_order`).

    Args:
        name: mnist, fashion_mnist, cifar10 or cifar100. The images of the others have many sizes:
            see `stream`.
        train_size: images to train on, without those for validation; None for all that are left.
        test_size: images to test on; None for all.
        validation_size: images taken out of the official training images. They do not depend on
            `train_size`.
        seed: which images are drawn; the same seed gives the same images on every machine.
        sample: load the repository's sample of the set: 2,500 + 1,000 images of Fashion-MNIST and
            of CIFAR-10, 0 + 20 of CIFAR-100.
        partial: accept a prepared folder that holds a part of the set.
        download: False to stay off the network.

    Raises:
        InputError: bad name, size or seed.
        Unavailable: there is no way to get the set on this machine.
        Damaged: its files are not what they should be.
    """
    known = _with_one_size(name)
    file = embedded.find(known, sample)
    sizes = (train_size, test_size, validation_size)
    if not partial:  # before anything is read
        of = file or known
        _check_sizes(name, of.train_count, of.test_count, *sizes)
    if file:
        arrays, source = file.arrays(), f"{'sample' if sample else 'embedded'} data/{file.pattern}"
    else:
        arrays, source = _of_folder(known, partial, download)
    labels, test_labels = arrays["train"][1], arrays["test"][1]
    if partial:
        _check_sizes(name, len(labels), len(test_labels), *sizes)
    # Each draw has a random stream of its own, so none depends on another's size.
    validation = draw(labels, validation_size, [seed, 0])
    train = np.setdiff1d(np.arange(len(labels)), validation, assume_unique=True)
    if train_size is not None:
        train = train[draw(labels[train], train_size, [seed, 1])]
    test = np.arange(len(test_labels))
    if test_size is not None:
        test = draw(test_labels, test_size, [seed, 2])
    return Dataset(
        train=_chosen(*arrays["train"], train),
        validation=_chosen(*arrays["train"], validation),
        test=_chosen(*arrays["test"], test),
        info=known,
        source=source,
    )


def image_order(name: str, sample: bool = False) -> str:
    """Return the order in which `load` gives the images of a set: "official" or "by digest".

    By digest means sorted by the SHA-256 of each image's bytes, then by label: TFDS shuffles what
    it prepares, so the official order is lost, and in this one a seed draws the same images on
    every machine.
    """
    file = embedded.find(_with_one_size(name), sample)
    return file.order if file else "by digest"


def draw(labels: np.ndarray, size: int, seed: Sequence[int]) -> np.ndarray:
    """Draw `size` images, with the classes in proportion; return their indices in rising order.

    Shares are rounded by the largest remainder, ties going to the lower label. Of a class, the
    draw for a smaller size is the beginning of the draw for a larger one. RandomState, because
    NumPy guarantees that its numbers never change (NEP 19). `seed`: the user's, and the draw's.
    """
    if not size:
        return np.arange(0)
    random = np.random.RandomState(seed)
    classes, counts = np.unique(labels, return_counts=True)
    shares, remainders = np.divmod(size * counts, len(labels))
    shares[np.argsort(-remainders, kind="stable")[: size - shares.sum()]] += 1
    orders = [random.permutation(np.flatnonzero(labels == label)) for label in classes]
    return np.sort(
        np.concatenate([order[:share] for order, share in zip(orders, shares, strict=True)])
    )


def _with_one_size(name: str) -> Info:
    known = info(name)
    if known.image_shape is None:
        raise InputError(
            f"the images of {name} differ in size, so they make no array: "
            f"use datasets.stream({name!r}, image_size=...)"
        )
    return known


def _check_sizes(
    name: str, train_count: int, test_count: int, train: int | None, test: int | None, held_out: int
) -> None:
    for argument, value, least, most in (
        ("train_size", train, 1, train_count),
        ("test_size", test, 1, test_count),
        ("validation_size", held_out, 0, max(train_count - 1, 0)),
    ):
        if value is not None and not least <= value <= most:
            raise InputError(
                f"{argument} for {name} is {value}, expected a whole number from {least} to {most}"
            )
    if train and train + held_out > train_count:
        raise InputError(
            f"train_size {train} and validation_size {held_out} together exceed the {train_count} "
            f"training images of {name}: make one of them smaller"
        )


def _of_folder(known: Info, partial: bool, download: bool) -> tuple[embedded.Arrays, str]:
    """Return all images of a prepared set, and where they came from."""
    how = "prepared" if prepared.find(known) else "downloaded"
    folder = downloads.folder(known, download)
    none = np.empty((0, *(known.image_shape or ())), np.uint8), np.empty(0, np.int64)
    arrays = {"train": none, "test": none}
    for name, split in prepared.check(folder, known, partial).items():
        arrays[name] = prepared.read_split(folder, split, known)
    count = sum(len(labels) for _, labels in arrays.values())
    part = f", a part ({count:,} images)" if count != known.train_count + known.test_count else ""
    return arrays, f"{how} {known.name}/{folder.name}{part}"


def _chosen(images: np.ndarray, labels: np.ndarray, indices: np.ndarray) -> Images:
    whole = len(indices) == len(labels)  # without a copy
    return Images(images, labels) if whole else Images(images[indices], labels[indices])
