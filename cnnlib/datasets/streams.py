"""Data sets as streams: images decoded and resized while they are read, on all cores."""

import functools
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from cnnlib.datasets import embedded, pipelines, prepared, sources
from cnnlib.datasets.catalogue import Info, Name, info
from cnnlib.errors import InputError
from cnnlib.validation import Count, Seed, validated

if TYPE_CHECKING:
    import tensorflow as tf

MOST_PIXELS = 16_384  # on a side


def _size(value: Any) -> tuple[int, int] | None:
    """Return (height, width) of a side or a pair of sides; None stays None."""
    if value is None:
        return None
    sides = tuple(value) if isinstance(value, tuple | list) else (value, value)
    is_whole = all(
        isinstance(side, int | np.integer) and not isinstance(side, bool) for side in sides
    )
    if len(sides) != 2 or not is_whole or not all(1 <= side <= MOST_PIXELS for side in sides):
        raise PydanticCustomError(
            "image_size",
            "expected a side or (height, width) in pixels, from 1 to {most}",
            {"most": MOST_PIXELS},
        )
    return int(sides[0]), int(sides[1])


@validated
def stream(
    name: Name,
    split: Literal["train", "test"] = "train",
    image_size: Annotated[int | tuple[int, int] | None, BeforeValidator(_size)] = None,
    batch_size: Count | None = 32,
    *,
    shuffle: bool | None = None,
    seed: Seed = 0,
    fit: Literal["crop", "stretch"] = "crop",
    sample: bool = False,
    partial: bool = False,
    download: bool = True,
) -> "tf.data.Dataset":
    """Return a tf.data.Dataset of the images and labels of a data set, batched and prefetched.

    Images are uint8 (batch, height, width, channels), labels int64 (batch,). The length is known.
    Sets that `load` reads are read at once, in its order; of the others, memory does not grow with
    the set.

    Args:
        name: any data set.
        split: Where there is no official split (Caltech), 30 images of each class train, drawn from
            the sorted file names, the same on every machine. ImageNet's test images are those of
            its validation set.
        image_size: side, or (height, width), in pixels; None for the images' own size.
        batch_size: images in a batch; None for single images, the only form for images of many
            sizes that are not resized.
        shuffle: None shuffles the training images. Each epoch has an order of its own; the same
            seed gives the same orders.
        seed: of the orders.
        fit: "crop" cuts the longer side in the middle, "stretch" changes the proportions.
        sample: read the repository's sample: what `load` gives, 99 training images of Caltech-101,
            20 of Caltech-256.
        partial, download: as for `load`.

    Raises:
        InputError: a bad argument, or no images of this split.
        Unavailable, Damaged: as `load`.
        tf.errors.DataLossError: while reading, a record with a wrong checksum.
    """
    known = info(name)
    if image_size is None and batch_size is not None and known.image_shape is None:
        raise InputError(
            f"the images of {name} differ in size: give image_size, such as 224, or "
            "batch_size=None for single images as they are"
        )
    shuffle = split == "train" if shuffle is None else shuffle
    dataset = _images(known, split, shuffle, seed, sample, partial, download)
    assert not isinstance(image_size, int), "it is a pair now"
    if image_size and image_size != (known.image_shape and known.image_shape[:2]):
        dataset = pipelines.resized(dataset, image_size, fit)
    import tensorflow as tf

    return (dataset.batch(batch_size) if batch_size else dataset).prefetch(tf.data.AUTOTUNE)


def _images(
    known: Info, split: str, shuffle: bool, seed: int, sample: bool, partial: bool, download: bool
) -> "tf.data.Dataset":
    """Return single images and labels of one split, as they are."""
    file = sources.sample(known) if sample else embedded.WHOLE.get(known.name)
    if isinstance(file, embedded.Pictures):
        _check_any(file.count if split == "train" else 0, known, split, "the sample")
        return pipelines.from_pictures(file.read(), file.labels(), shuffle, seed)
    if file:
        images, labels = file.read()[split]
        _check_any(len(labels), known, split, "the sample")
        return pipelines.from_arrays(images, labels, shuffle, seed)
    folder = sources.folder(known, download)
    splits = prepared.check(folder, known, partial)
    if known.image_shape is not None:
        _check_any(splits[split].count if split in splits else 0, known, split, f"{folder}, a part")
        return pipelines.from_arrays(*prepared.read_split(splits, split, known), shuffle, seed)
    return pipelines.from_folder(folder, splits, split, known, shuffle, seed)


def _check_any(count: int, known: Info, split: str, where: str) -> None:
    if not count:
        raise InputError(f"there are no {split} images of {known.name} in {where}")


@validated
def class_counts(
    name: Name, *, sample: bool = False, partial: bool = False, download: bool = True
) -> np.ndarray:
    """Return how many images each class has, training and test together: int64 (classes,).

    No image is decoded, so this is quick for any set. Arguments and errors are those of `load`.
    """
    known = info(name)
    classes = len(known.class_names)
    file = sources.sample(known) if sample else embedded.WHOLE.get(name)
    if isinstance(file, embedded.Pictures):
        return np.bincount(file.labels(), minlength=classes)
    if file:
        labels = np.concatenate([labels for _, labels in file.read().values()])
        return np.bincount(labels, minlength=classes)
    folder = sources.folder(known, download)
    return pipelines.class_counts(folder, prepared.check(folder, known, partial), classes)


def batches(images: np.ndarray, labels: np.ndarray, batch_size: int) -> "tf.data.Dataset":
    """Return batches of arrays in memory, in their order, for one pass of Keras' `fit`.

    The pipeline is not tuned while it runs: the tuner of one that Keras makes of arrays sleeps for
    up to a minute at a time, and the end of `fit` waits until it wakes (benchmarks/README.md has
    the times). Nor does it hold a traced function: one that has captured the arrays keeps them in
    memory until Python happens to look for cycles, and each pass would add a copy of them.
    """
    import tensorflow as tf

    whole = len(labels) // batch_size * batch_size
    parts = []
    if whole:
        stacked = tuple(
            each[:whole].reshape(-1, batch_size, *each.shape[1:]) for each in (images, labels)
        )
        parts.append(tf.data.Dataset.from_tensor_slices(stacked))
    if whole < len(labels):
        parts.append(tf.data.Dataset.from_tensors((images[whole:], labels[whole:])))
    options = tf.data.Options()
    options.autotune.enabled = False
    return functools.reduce(tf.data.Dataset.concatenate, parts).prefetch(1).with_options(options)
