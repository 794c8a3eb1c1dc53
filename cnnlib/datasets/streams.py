"""Data sets as tf.data pipelines: decoded and resized on the fly, on all cores, in memory that does not grow with the set."""

import functools
import json

import numpy as np

from cnnlib.datasets import prepared
from cnnlib.datasets.catalogue import BY_NAME
from cnnlib.errors import Damaged, InputError

# Images, still encoded: about 0.2 GB of ImageNet, less of the others. It can be this small because TFDS has shuffled the files themselves.
SHUFFLE_BUFFER = 2048


def from_arrays(images, labels, shuffle, seed):
    """A tf.data.Dataset of (image, label) from arrays in memory: a whole new order each epoch if `shuffle`."""
    import tensorflow as tf

    dataset = tf.data.Dataset.range(len(labels))
    if shuffle:
        dataset = dataset.shuffle(max(len(labels), 1), seed=seed, reshuffle_each_iteration=True)
    count, images, labels = len(labels), tf.constant(images), tf.constant(labels)
    dataset = (
        dataset.batch(256).map(lambda i: (tf.gather(images, i), tf.gather(labels, i))).unbatch()
    )  # one by one is far slower
    return dataset.apply(tf.data.experimental.assert_cardinality(count))


def batches(images, labels, batch_size):
    """A tf.data.Dataset of batches of arrays in memory, in their order, for one pass of Keras' `fit`.

    It is not tuned while it runs: of a pipeline that Keras makes of arrays, the tuner sleeps for up to a minute at a time, and the end of
    `fit` waits until it wakes (benchmarks/README.md has the figures). Nor does it hold a traced function: one that has captured the arrays
    keeps them in memory until Python happens to look for cycles, and each pass over the data would add a copy of them.
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


def from_folder(folder, splits, split, info, shuffle, seed):
    """A tf.data.Dataset of (image uint8, label int64) of one split of a prepared folder, decoded as it is read.

    splits: as `prepared.check` returns them. Raises InputError if the folder holds a part of the set and nothing of `split`.
    """
    import tensorflow as tf
    import tensorflow_datasets as tfds

    reader = prepared.builder(folder)
    how = {
        "shuffle_files": shuffle,
        "read_config": tfds.ReadConfig(
            shuffle_seed=seed, shuffle_reshuffle_each_iteration=True, try_autocache=False
        ),
        "decoders": {
            "image": tfds.decode.SkipDecoding()
        },  # first shuffle, which is cheap while the images are small, then decode
    }
    if info.split == BY_NAME and not _is_ours(folder):
        dataset, count = _split_by_name(reader, splits, split, how)
    elif split in splits:
        dataset, count = reader.as_dataset(split=splits[split].name, **how), splits[split].count
    else:
        raise InputError(f"{folder} holds a part of {info.name}, and no {split} images")
    if shuffle:
        dataset = dataset.shuffle(
            min(SHUFFLE_BUFFER, count), seed=seed, reshuffle_each_iteration=True
        )
    decode = reader.info.features["image"].decode_example
    dataset = dataset.map(
        lambda example: (decode(example["image"]), example["label"]),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return dataset.apply(tf.data.experimental.assert_cardinality(count))


def _is_ours(folder):
    """Whether cnnlib's builder wrote the folder, and so split it by name."""
    return (
        json.loads((folder / "dataset_info.json").read_text(encoding="utf-8"))
        .get("moduleName", "")
        .startswith("cnnlib.")
    )


def _split_by_name(reader, splits, split, how):
    """The records of a split by name, and their number, from a folder that TFDS itself split in another way."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    from cnnlib.datasets.caltech import training_names

    everything = "+".join(part.name for part in splits.values())
    names = {}
    try:
        for example in tfds.as_numpy(
            reader.as_dataset(split=everything, **how | {"shuffle_files": False})
        ):
            names.setdefault(int(example["label"]), []).append(example["image/file_name"].decode())
    except tf.errors.DataLossError as error:
        raise Damaged(
            f"{reader.data_dir} cannot be read ({error}). Delete it and prepare it again."
        ) from error
    keys = [
        f"{label}/{name}" for label in names for name in sorted(training_names(names[label], label))
    ]
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(keys, np.ones(len(keys), np.int64)), 0
    )

    def is_wanted(example):
        key = tf.strings.join(
            [tf.strings.as_string(example["label"]), "/", example["image/file_name"]]
        )
        return (table.lookup(key) == 1) == (split == "train")

    count = len(keys) if split == "train" else sum(map(len, names.values())) - len(keys)
    return reader.as_dataset(split=everything, **how).filter(is_wanted), count


def class_counts(folder, splits, classes):
    """How many images of each class a prepared folder has, int64 (classes,): the labels are read, no image is decoded."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    reader = prepared.builder(folder)
    encoded = {"image": tfds.decode.SkipDecoding()}
    examples = reader.as_dataset(
        split="+".join(part.name for part in splits.values()), decoders=encoded
    )
    labels = examples.map(lambda example: example["label"]).batch(4096)
    try:
        return sum(np.bincount(batch, minlength=classes) for batch in tfds.as_numpy(labels))
    except tf.errors.DataLossError as error:
        raise Damaged(
            f"{folder} cannot be read ({error}). Delete it and prepare it again."
        ) from error


def resized(dataset, size, fit):
    """The dataset with images of `size` (height, width), uint8: "crop" cuts the longer side in the middle, "stretch" changes the shape."""
    import tensorflow as tf

    def resize(image, label):
        if fit == "crop":
            image = _crop_to_shape(image, size)
        image = tf.image.resize(image, size, antialias=True)
        return tf.cast(tf.clip_by_value(tf.round(image), 0, 255), tf.uint8), label

    return dataset.map(resize, num_parallel_calls=tf.data.AUTOTUNE)


def _crop_to_shape(image, size):
    """The largest part from the middle of `image` that has the proportions of `size`."""
    import tensorflow as tf

    height, width = tf.unstack(tf.cast(tf.shape(image)[:2], tf.float32))
    scale = tf.minimum(height / size[0], width / size[1])
    inner = tf.maximum(tf.cast(tf.round(scale * tf.constant(size, tf.float32)), tf.int32), 1)
    offset = (tf.shape(image)[:2] - inner) // 2
    return image[offset[0] : offset[0] + inner[0], offset[1] : offset[1] + inner[1]]
