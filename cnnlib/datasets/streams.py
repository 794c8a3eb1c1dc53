"""Data sets as streams: images decoded and resized while they are read, on all cores."""

import pathlib
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from cnnlib.datasets import download as downloads
from cnnlib.datasets import embedded, prepared
from cnnlib.datasets.catalogue import Info, info
from cnnlib.datasets.loading import load
from cnnlib.errors import InputError
from cnnlib.validation import Count, Seed, validated

if TYPE_CHECKING:
    import tensorflow as tf

# Images, still encoded: about 0.2 GB of ImageNet, less of the others. So few are enough because
# TFDS has shuffled the files themselves.
SHUFFLE_BUFFER = 2048

Side = Annotated[int, Field(ge=1, le=16_384)]  # of an image, in pixels


@validated
def stream(
    name: str,
    split: Literal["train", "test"] = "train",
    image_size: Side | tuple[Side, Side] | None = None,
    batch_size: Count | None = 32,
    *,
    shuffle: bool | None = None,
    seed: Seed = 0,
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
        image_size: side, or (height, width), in pixels, after the longer side is cut in the middle;
            None for the images' own size.
        batch_size: images in a batch; None for single images, the only form for images of many
            sizes that are not resized.
        shuffle: None shuffles the training images. Each epoch has an order of its own; the same
            seed gives the same orders.
        seed: of the orders.
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
    dataset = _singles(known, split, shuffle, seed, sample, partial, download)
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    if size and size != (known.image_shape and known.image_shape[:2]):
        dataset = resized(dataset, size)
    import tensorflow as tf

    return (dataset.batch(batch_size) if batch_size else dataset).prefetch(tf.data.AUTOTUNE)


def batches(images: np.ndarray, labels: np.ndarray, batch_size: int) -> "tf.data.Dataset":
    """Return batches of arrays in memory, in their order, for one pass of Keras' `fit`.

    The pipeline is not tuned while it runs: the tuner of one that Keras makes of arrays sleeps for
    up to a minute, and the end of `fit` waits until it wakes (benchmarks/README.md has the times).
    Nor does it hold a traced function, which would keep the arrays in memory after each pass. It
    shares their memory, so they must stay as they are: TensorFlow would copy them three times, when
    it takes them over and when it optimizes the pipeline.
    """
    import tensorflow as tf

    def shared(array: np.ndarray) -> tf.Tensor:
        stacked = np.ascontiguousarray(array).reshape(-1, batch_size, *array.shape[1:])
        return tf.experimental.dlpack.from_dlpack(stacked.__dlpack__())

    whole = len(labels) // batch_size * batch_size
    dataset = tf.data.Dataset.from_tensor_slices((shared(images[:whole]), shared(labels[:whole])))
    if whole < len(labels):
        rest = tf.data.Dataset.from_tensors((images[whole:], labels[whole:]))
        dataset = dataset.concatenate(rest)
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return dataset.prefetch(1).with_options(options)


def _singles(
    known: Info, split: str, shuffle: bool, seed: int, sample: bool, partial: bool, download: bool
) -> "tf.data.Dataset":
    """Return single images and labels of one split, as they are."""
    import tensorflow as tf

    images: Any
    if known.image_shape:
        data = load(known.name, sample=sample, partial=partial, download=download)
        images, labels = getattr(data, split).images, getattr(data, split).labels
    elif file := embedded.find(known, sample):
        images, labels = file.pictures(known) if split == "train" else ([], [])
    else:
        folder = downloads.folder(known, download)
        splits = prepared.check(folder, known, partial)
        if split in splits:
            return _of_folder(folder, splits[split], shuffle, seed)
        images, labels = [], []
    if not len(labels):
        where = "the sample" if sample else "the prepared folder, which holds a part of the set"
        raise InputError(f"there are no {split} images of {known.name} in {where}")
    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    if shuffle:
        dataset = dataset.shuffle(len(labels), seed=seed, reshuffle_each_iteration=True)
    if isinstance(images, list):  # JPEG files
        dataset = dataset.map(
            lambda image, label: (tf.io.decode_jpeg(image, channels=3), label),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
    return dataset


def _of_folder(
    folder: pathlib.Path, split: prepared.Split, shuffle: bool, seed: int
) -> "tf.data.Dataset":
    """Return single (image, label) of a prepared folder, decoded as they are read."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    reader = prepared.builder(folder)
    dataset = reader.as_dataset(
        split=split.name,
        shuffle_files=shuffle,
        read_config=tfds.ReadConfig(
            shuffle_seed=seed, shuffle_reshuffle_each_iteration=True, try_autocache=False
        ),
        # First shuffle, which is cheap while the images are small, then decode.
        decoders={"image": tfds.decode.SkipDecoding()},
    )
    if shuffle:
        size = min(SHUFFLE_BUFFER, split.count)
        dataset = dataset.shuffle(size, seed=seed, reshuffle_each_iteration=True)
    decode = reader.info.features["image"].decode_example
    dataset = dataset.map(
        lambda example: (decode(example["image"]), example["label"]),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return dataset.apply(tf.data.experimental.assert_cardinality(split.count))


def resized(dataset: "tf.data.Dataset", size: tuple[int, int]) -> "tf.data.Dataset":
    """Return single images and labels with the images cut and resized to (height, width), uint8."""
    import tensorflow as tf

    def resize(image: Any, label: Any) -> tuple[Any, Any]:
        # The largest part from the middle that has the proportions of `size`
        height, width = tf.unstack(tf.cast(tf.shape(image)[:2], tf.float32))
        scale = tf.minimum(height / size[0], width / size[1])
        inner = tf.maximum(tf.cast(tf.round(scale * tf.constant(size, tf.float32)), tf.int32), 1)
        offset = (tf.shape(image)[:2] - inner) // 2
        image = image[offset[0] : offset[0] + inner[0], offset[1] : offset[1] + inner[1]]
        image = tf.image.resize(image, size, antialias=True)
        return tf.cast(tf.clip_by_value(tf.round(image), 0, 255), tf.uint8), label

    return dataset.map(resize, num_parallel_calls=tf.data.AUTOTUNE)
