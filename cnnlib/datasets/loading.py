"""Data sets as arrays, whole or cut down."""

import dataclasses
import os
import pathlib

import numpy as np

from cnnlib.datasets import download as downloads
from cnnlib.datasets import embedded, prepared, sampling, sources
from cnnlib.datasets.catalogue import Info, Name, info
from cnnlib.errors import InputError
from cnnlib.validation import Seed, WholeNumber, validated


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
    name: Name,
    train_size: WholeNumber | None = None,
    test_size: WholeNumber | None = None,
    validation_size: WholeNumber = 0,
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
        sample: load the repository's sample of the set: 6,000 + 1,000 images of Fashion-MNIST,
            2,500 + 1,000 of CIFAR-10, 0 + 20 of CIFAR-100.
        partial: accept a prepared folder that holds a part of the set.
        download: False to stay off the network.

    Raises:
        InputError: bad name, size or seed.
        Unavailable: there is no way to get the set on this machine.
        Damaged: its files are not what they should be.
    """
    known = _with_one_size(name)
    counts = (known.train_count, known.test_count)
    if sample:
        file = sources.sample(known)
        counts = (file.train_count, file.test_count)
    sizes = (train_size, test_size, validation_size)
    if not partial:
        sampling.check_sizes(known, counts, *sizes)
    arrays, source = _read(known, sample, partial, download)
    if partial:
        counts = (len(arrays["train"][1]), len(arrays["test"][1]))
        sampling.check_sizes(known, counts, *sizes)
    # Each draw has a random stream of its own, so none depends on another's size.
    labels = arrays["train"][1]
    validation = sampling.draw(labels, validation_size, [seed, 0])
    train = np.setdiff1d(np.arange(len(labels)), validation, assume_unique=True)
    if train_size is not None:
        train = train[sampling.draw(labels[train], train_size, [seed, 1])]
    test = np.arange(len(arrays["test"][1]))
    if test_size is not None:
        test = sampling.draw(arrays["test"][1], test_size, [seed, 2])
    return Dataset(
        train=_chosen(*arrays["train"], train),
        validation=_chosen(*arrays["train"], validation),
        test=_chosen(*arrays["test"], test),
        info=known,
        source=source,
    )


@validated
def image_order(name: Name, sample: bool = False) -> str:
    """Return the order in which `load` gives the images of a set: "official" or "by digest".

    By digest means sorted by the SHA-256 of each image's bytes, then by label: TFDS shuffles what
    it prepares, so the official order is lost. A seed and a subset choose the same images only
    where the order is the same.

    Args:
        name: a data set whose images have one size.
        sample: for the repository's sample of it.

    Raises:
        InputError: unknown name, no sample of it, or images of many sizes.
    """
    known = _with_one_size(name)
    if sample:
        return _sample(known).order
    return embedded.WHOLE[name].order if name in embedded.WHOLE else "by digest"


@validated
def prepare(
    name: Name, archive: str | os.PathLike[str] | None = None, partial: bool = False
) -> pathlib.Path:
    """Prepare a data set ahead of its use, with progress bars, and return its folder.

    A download that broke off continues where it stopped.

    Args:
        name: any data set.
        archive: path of the original archive, of Caltech-101 or Caltech-256, to use instead of a
            download.
        partial: accept an archive that holds a part of the set.

    Raises:
        InputError: unknown name, or an archive that is not the set's.
        Unavailable: there is no way to get the set on this machine.
        Damaged: the folder is here, but not whole.
    """
    known = info(name)
    folder = prepared.find(known)
    if folder:
        prepared.check(folder, known, partial)
        return folder
    return downloads.prepare(known, archive, partial)


def _with_one_size(name: str) -> Info:
    known = info(name)
    if known.image_shape is None:
        raise InputError(
            f"the images of {name} differ in size, so they make no array: "
            f"use datasets.stream({name!r}, image_size=...)"
        )
    return known


def _sample(known: Info) -> embedded.Whole | embedded.Sheets:
    file = sources.sample(known)
    assert not isinstance(file, embedded.Pictures), "the images are of one size"
    return file


def _read(known: Info, sample: bool, partial: bool, download: bool) -> tuple[embedded.Arrays, str]:
    """Return all images of a set, and where they came from."""
    file = _sample(known) if sample else embedded.WHOLE.get(known.name)
    if file:
        return file.read(), f"{'sample' if sample else 'embedded'} {file.title}"
    was_prepared = prepared.find(known) is not None
    folder = sources.folder(known, download)
    arrays = prepared.read(folder, known, partial)
    count = sum(len(labels) for _, labels in arrays.values())
    part = f", a part ({count:,} images)" if count != known.train_count + known.test_count else ""
    how = "prepared" if was_prepared else "downloaded"
    return arrays, f"{how} {known.name}/{folder.name}{part}"


def _chosen(images: np.ndarray, labels: np.ndarray, indices: np.ndarray) -> Images:
    """Return the images at these indices; all of them without a copy."""
    if len(indices) == len(labels):
        return Images(images, labels)
    return Images(images[indices], labels[indices])
