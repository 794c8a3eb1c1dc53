"""The data sets of the lecture: facts, images and labels as arrays, and streams of images of any size.

`load` and `stream` take the bytes from the first of: a folder that TensorFlow Datasets prepared, the repository's own data/ (MNIST), a
download. They never put another data set in the place of the one asked for, nor a sample in the place of the whole.
"""

import dataclasses
import numbers

import numpy as np

from cnnlib.datasets import download as _download
from cnnlib.datasets import embedded, prepared
from cnnlib.datasets.catalogue import CATALOGUE, Info
from cnnlib.datasets.inventory import Status, status
from cnnlib.errors import Damaged, InputError, Unavailable, check_name

__all__ = ["Damaged", "Dataset", "Images", "Info", "Status", "Unavailable"]
__all__ += ["class_counts", "image_order", "info", "load", "names", "prepare", "status", "stream"]


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
    """The seven data sets of the lecture, in its order. `info`, `load` and `stream` also know imagenette, ten classes of ImageNet."""
    return [name for name, facts in CATALOGUE.items() if facts.lecture]


def info(name):
    """The facts of the data set `name`. Raises InputError for an unknown name."""
    return CATALOGUE[check_name("data set", name, CATALOGUE)]


def image_order(name: str, sample: bool = False) -> str:
    """Return which order `load` gives to the images of a data set: "official" or "by digest".

    By digest means sorted by the SHA-256 of each image's bytes, then by label: the official order
    of what TFDS has prepared is lost. A seed and a subset mean the same images only in one order.

    Args:
        name: a data set whose images have one size.
        sample: for the sample that the repository carries of it.

    Raises:
        InputError: unknown name, no sample of it, or images of many sizes.
    """
    facts = info(name)
    if facts.image_shape is None:
        raise InputError(_no_array(name))
    if sample:
        _sample(facts)
    return "official" if sample or name in embedded.WHOLE else "by digest"


def _no_array(name: str) -> str:
    return (
        f"the images of {name} differ in size, so they make no array: "
        f"use datasets.stream({name!r}, image_size=...)"
    )


def prepare(name, archive=None, partial=False):
    """Prepare a data set ahead, with progress bars and resumption; return the folder. Arguments and errors: `download.prepare`."""
    facts = info(name)
    folder = prepared.find(facts)
    if folder:
        prepared.check(folder, facts, partial)
        return folder
    return _download.prepare(facts, archive, partial)


def load(
    name,
    train_size=None,
    test_size=None,
    validation_size=0,
    seed=0,
    *,
    sample=False,
    partial=False,
    download=True,
):
    """Load a data set whose images have one size, whole or cut down.

    Args:
        name: mnist, fashion_mnist, cifar10 or cifar100. The others have images of many sizes: see `stream`.
        train_size: images to train on, without those for validation; None for all that are left.
        test_size: images to test on; None for all.
        validation_size: images taken out of the official training images. They do not depend on `train_size`.
        seed: which images are drawn, 0 to 2**32 - 1; the same seed gives the same images on every machine.
        sample: take the repository's sample, not the set: 6,000 + 1,000 images of Fashion-MNIST, 0 + 20 of CIFAR-10 and CIFAR-100.
        partial: take a prepared folder as it is, although it holds a part of the set.
        download: False to stay off the network.

    Returns a Dataset. What is drawn has the classes in the proportion of the whole and stands in the order of its source; what is
    not cut is the source as it is (for the embedded MNIST and the samples, the official order).

    Raises InputError (bad name, size or seed), Unavailable (no way to get the set here), Damaged (its bytes are not what they should be).
    """
    facts = info(name)
    if facts.image_shape is None:
        raise InputError(_no_array(name))
    counts = (facts.train_count, facts.test_count)
    if sample:
        file = _sample(facts)
        counts = (file.train_count, file.test_count)
    if not partial:
        _check_sizes(facts, counts, train_size, test_size, validation_size, seed)
    arrays, source = _read(facts, sample, partial, download)
    if partial:
        _check_sizes(
            facts,
            [len(arrays[split][1]) for split in ("train", "test")],
            train_size,
            test_size,
            validation_size,
            seed,
        )
    images, labels = arrays["train"]
    validation = _draw(
        labels, validation_size, [seed, 0]
    )  # each draw has a stream of its own, so none depends on another's size
    rest = np.setdiff1d(np.arange(len(labels)), validation, assume_unique=True)
    train = rest if train_size is None else rest[_draw(labels[rest], train_size, [seed, 1])]
    test_images, test_labels = arrays["test"]
    test = (
        np.arange(len(test_labels))
        if test_size is None
        else _draw(test_labels, test_size, [seed, 2])
    )
    return Dataset(
        train=_chosen(images, labels, train),
        validation=_chosen(images, labels, validation),
        test=_chosen(test_images, test_labels, test),
        info=facts,
        source=source,
    )


def _chosen(images, labels, indices):
    """The Images at these places, in rising order; where it is all of them, without a copy."""
    return (
        Images(images, labels)
        if len(indices) == len(labels)
        else Images(images[indices], labels[indices])
    )


def stream(
    name,
    split="train",
    image_size=None,
    batch_size=32,
    *,
    shuffle=None,
    seed=0,
    fit="crop",
    sample=False,
    partial=False,
    download=True,
):
    """A tf.data.Dataset of a data set's (images, labels): decoded, resized and batched on the fly, on all cores, and prefetched.

    Args:
        name: a data set of any kind.
        split: "train" or "test". Where there is no official split (Caltech), 30 images of each class train, drawn from the sorted file
            names, the same on every machine. ImageNet's test images are those of its validation set.
        image_size: side, or (height, width), in pixels; None for the images' own size.
        batch_size: images in a batch; None for single images, the only way for images of many sizes that are not resized.
        shuffle: None means: shuffle "train". Each epoch has an order of its own; the same seed gives the same orders.
        fit: "crop" cuts the longer side in the middle, "stretch" changes the proportions.
        seed, sample, partial, download: as for `load`.

    Images are uint8 (batch, height, width, channels), labels int64 (batch,). Memory does not grow with the set. len() is known.

    Raises InputError, Unavailable and Damaged as `load` does. A record whose checksum is wrong raises tf.errors.DataLossError while
    one reads: TFRecord has a checksum for each image.
    """
    facts = info(name)
    check_name("split", split, ("train", "test"))
    check_name("fit", fit, ("crop", "stretch"))
    size = _check_image_size(facts, image_size, batch_size)
    shuffle = split == "train" if shuffle is None else shuffle
    import tensorflow as tf

    from cnnlib.datasets import streams

    folder = None if sample else _folder(facts, download)
    if folder:
        splits = prepared.check(folder, facts, partial)
        dataset = streams.from_folder(folder, splits, split, facts, shuffle, seed)
    else:
        arrays = embedded.read(_sample(facts) if sample else embedded.WHOLE[name])[split]
        dataset = streams.from_arrays(*arrays, shuffle, seed)
    if size and size != (facts.image_shape and facts.image_shape[:2]):
        dataset = streams.resized(dataset, size, fit)
    return (dataset.batch(batch_size) if batch_size else dataset).prefetch(tf.data.AUTOTUNE)


def class_counts(name, *, sample=False, partial=False, download=True):
    """How many images of each class there are, training and test together: int64 (classes,), by label.

    No image is decoded, so this is quick for any set. Arguments and errors as for `load`.
    """
    facts = info(name)
    folder = None if sample else _folder(facts, download)
    if folder is None:
        arrays = embedded.read(_sample(facts) if sample else embedded.WHOLE[name])
        return sum(
            np.bincount(labels, minlength=len(facts.class_names)) for _, labels in arrays.values()
        )
    from cnnlib.datasets import streams

    return streams.class_counts(
        folder, prepared.check(folder, facts, partial), len(facts.class_names)
    )


def _check_sizes(facts, counts, train_size, test_size, validation_size, seed):
    """Raise InputError for a size or a seed that cannot be; counts: training and test images that there are."""
    train_count, test_count = counts
    for argument, value, least, most in (
        ("train_size", train_size, 1, train_count),
        ("test_size", test_size, 1, test_count),
        ("validation_size", validation_size, 0, max(train_count - 1, 0)),
        ("seed", seed, 0, 2**32 - 1),
    ):
        if value is None and argument in ("train_size", "test_size"):
            continue
        if (
            not isinstance(value, numbers.Integral)
            or isinstance(value, bool)
            or not least <= value <= most
        ):
            raise InputError(
                f"{argument} for {facts.name} is {value!r}, expected a whole number from {least} to {most}"
            )
    if train_size and train_size + validation_size > train_count:
        raise InputError(
            f"train_size {train_size} and validation_size {validation_size} together exceed the {train_count} training images "
            f"of {facts.name}: make one of them smaller"
        )


def _check_image_size(facts, image_size, batch_size):
    """(height, width) or None; InputError for what is no size, and for images of many sizes in one batch."""
    size = (image_size, image_size) if isinstance(image_size, numbers.Integral) else image_size
    if size is None and batch_size is not None and facts.image_shape is None:
        raise InputError(
            f"the images of {facts.name} differ in size: give image_size, such as 224, or batch_size=None for single images as they are"
        )
    if size is not None:
        size = tuple(size)
        if len(size) != 2 or not all(
            isinstance(side, numbers.Integral) and side > 0 for side in size
        ):
            raise InputError(
                f"image_size is {image_size!r}, expected a side or (height, width) in pixels"
            )
    if batch_size is not None and (not isinstance(batch_size, numbers.Integral) or batch_size < 1):
        raise InputError(
            f"batch_size is {batch_size!r}, expected a whole number from 1, or None for single images"
        )
    return size


def _sample(facts):
    if facts.name not in embedded.SAMPLES:
        whole = " (it is in the repository as a whole)" if facts.name in embedded.WHOLE else ""
        raise InputError(
            f"there is no sample of {facts.name}{whole}; there is one of {', '.join(embedded.SAMPLES)}"
        )
    return embedded.SAMPLES[facts.name]


def _read(facts, sample, partial, download):
    """The whole set as {"train": (images, labels), "test": ...} with its source: sample, prepared folder, embedded file or download."""
    if sample:
        file = _sample(facts)
        return embedded.read(file), f"sample {file.title}"
    known = None if facts.name in embedded.WHOLE else prepared.find(facts)
    folder = _folder(facts, download)
    if folder is None:
        file = embedded.WHOLE[facts.name]
        return embedded.read(file), f"embedded {file.title}"
    arrays = prepared.read(folder, facts, partial)
    count = sum(len(labels) for _, labels in arrays.values())
    part = f", a part ({count:,} images)" if count != facts.train_count + facts.test_count else ""
    return arrays, f"{'prepared' if known else 'downloaded'} {facts.name}/{folder.name}{part}"


def _folder(facts, download):
    """The prepared folder, downloaded if need be; None where the repository has the set. Raises Unavailable."""
    if facts.name in embedded.WHOLE:
        return None
    folder = prepared.find(facts)
    if folder:
        return folder
    tried = f"no prepared folder {prepared.data_folder() / facts.tfds_name}"
    try:
        if not download:
            raise Unavailable("a download was not wanted")
        return _download.prepare(facts)
    except Unavailable as error:
        known = "use a data set that the repository carries: " + ", ".join(embedded.WHOLE)
        if facts.name in embedded.SAMPLES:
            known = "look at the repository's sample of it: sample=True; or " + known
        raise Unavailable(
            f"{facts.title} ({facts.name}) is not to be had here. Tried: {tried}; {error}.\nWays out:\n"
            f"1. connect to the internet and run again, or `python -m cnnlib data fetch {facts.name}`;\n"
            f"2. bring it from a machine that has it: there `python -m cnnlib data bundle {facts.name} -o FILE`, here "
            f"`python -m cnnlib data unpack FILE`; or copy the prepared TFDS folder, {facts.tfds_name}/<version>, and set CNNLIB_DATA to "
            "the folder that has it in tfds/, or TFDS_DATA_DIR to the folder that has it directly;\n"
            f"3. {known}."
        ) from error


def _draw(labels, size, seed):
    """Draw `size` images, classes in proportion (largest remainder, ties to the lower label); return their indices, ascending.

    Per class, the draw for a smaller size is the beginning of the draw for a larger one. RandomState, because NumPy guarantees that its
    numbers never change (NEP 19); those of `default_rng` may.
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
