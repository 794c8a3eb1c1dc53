"""The parts of a stream: tf.data pipelines of arrays, pictures and prepared folders; resizing."""

import pathlib
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnlib.datasets import prepared
from cnnlib.datasets.catalogue import BY_NAME, Info
from cnnlib.errors import Damaged, InputError

if TYPE_CHECKING:
    import tensorflow as tf

# Images, still encoded: about 0.2 GB of ImageNet, less of the others. So few are enough because
# TFDS has shuffled the files themselves.
SHUFFLE_BUFFER = 2048


def from_arrays(
    images: np.ndarray, labels: np.ndarray, shuffle: bool, seed: int
) -> "tf.data.Dataset":
    """Return single (image, label) of arrays in memory, in a whole new order each epoch."""
    import tensorflow as tf

    count, images, labels = len(labels), tf.constant(images), tf.constant(labels)
    dataset = _indices(count, shuffle, seed).batch(256)  # one by one is far slower
    dataset = dataset.map(lambda i: (tf.gather(images, i), tf.gather(labels, i))).unbatch()
    return dataset.apply(tf.data.experimental.assert_cardinality(count))


def from_pictures(
    contents: list[bytes], labels: np.ndarray, shuffle: bool, seed: int
) -> "tf.data.Dataset":
    """Return single (image, label) of encoded pictures, decoded as they are read."""
    import tensorflow as tf

    count, contents, labels = len(labels), tf.constant(contents), tf.constant(labels)
    return _indices(count, shuffle, seed).map(
        lambda i: (tf.io.decode_jpeg(contents[i], channels=3), labels[i]),
        num_parallel_calls=tf.data.AUTOTUNE,
    )


def _indices(count: int, shuffle: bool, seed: int) -> "tf.data.Dataset":
    import tensorflow as tf

    indices = tf.data.Dataset.range(count)
    if shuffle:
        indices = indices.shuffle(count, seed=seed, reshuffle_each_iteration=True)
    return indices


def from_folder(
    folder: pathlib.Path,
    splits: dict[str, prepared.Split],
    split: str,
    info: Info,
    shuffle: bool,
    seed: int,
) -> "tf.data.Dataset":
    """Return single (image uint8, label int64) of a prepared folder, decoded as they are read.

    Args:
        folder: the version folder.
        splits: as `prepared.check` returns them.
        split: "train" or "test".
        info: the data set.
        shuffle: whether each epoch has an order of its own.
        seed: of these orders.

    Raises:
        InputError: the folder holds a part of the set, and nothing of `split`.
    """
    import tensorflow as tf
    import tensorflow_datasets as tfds

    reader = prepared.builder(folder)
    options = {
        "shuffle_files": shuffle,
        "read_config": tfds.ReadConfig(
            shuffle_seed=seed, shuffle_reshuffle_each_iteration=True, try_autocache=False
        ),
        # First shuffle, which is cheap while the images are small, then decode.
        "decoders": {"image": tfds.decode.SkipDecoding()},
    }
    if info.split == BY_NAME and not _is_ours(folder):
        dataset, count = _split_by_name(reader, splits, split, options)
    elif split in splits:
        dataset = reader.as_dataset(split=splits[split].name, **options)
        count = splits[split].count
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


def _is_ours(folder: pathlib.Path) -> bool:
    """Return whether cnnlib's builder wrote the folder, and so split it by name."""
    module = prepared.read_json(folder / "dataset_info.json").get("moduleName", "")
    return str(module).startswith("cnnlib.")


def _split_by_name(
    reader: Any, splits: dict[str, prepared.Split], split: str, options: dict[str, Any]
) -> tuple["tf.data.Dataset", int]:
    """Return the records of a split by name, and their number, of a folder that TFDS split."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    from cnnlib.datasets.caltech import training_names

    everything = "+".join(part.name for part in splits.values())
    names: dict[int, list[str]] = {}
    try:
        for example in tfds.as_numpy(
            reader.as_dataset(split=everything, **options | {"shuffle_files": False})
        ):
            names.setdefault(int(example["label"]), []).append(example["image/file_name"].decode())
    except tf.errors.DataLossError as error:
        raise _unreadable(reader.data_dir, error) from error
    keys = [
        f"{label}/{name}" for label in names for name in sorted(training_names(names[label], label))
    ]
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(keys, np.ones(len(keys), np.int64)), 0
    )

    def is_wanted(example: dict[str, Any]) -> Any:
        key = tf.strings.join(
            [tf.strings.as_string(example["label"]), "/", example["image/file_name"]]
        )
        return (table.lookup(key) == 1) == (split == "train")

    count = len(keys) if split == "train" else sum(map(len, names.values())) - len(keys)
    return reader.as_dataset(split=everything, **options).filter(is_wanted), count


def class_counts(
    folder: pathlib.Path, splits: dict[str, prepared.Split], classes: int
) -> np.ndarray:
    """Return how many images of each class a prepared folder has: int64 (classes,).

    The labels are read, no image is decoded.
    """
    import tensorflow as tf
    import tensorflow_datasets as tfds

    examples = prepared.builder(folder).as_dataset(
        split="+".join(part.name for part in splits.values()),
        decoders={"image": tfds.decode.SkipDecoding()},
    )
    labels = examples.map(lambda example: example["label"]).batch(4096)
    try:
        counts = [np.bincount(batch, minlength=classes) for batch in tfds.as_numpy(labels)]
        return np.stack(counts).sum(axis=0)
    except tf.errors.DataLossError as error:
        raise _unreadable(folder, error) from error


def _unreadable(folder: Any, error: Exception) -> Damaged:
    return Damaged(f"{folder} cannot be read ({error}). Delete it and prepare it again.")


def resized(dataset: "tf.data.Dataset", size: tuple[int, int], fit: str) -> "tf.data.Dataset":
    """Return the dataset with images of `size` (height, width), uint8.

    Args:
        dataset: single images of any size, with labels.
        size: height and width in pixels.
        fit: "crop" cuts the longer side in the middle, "stretch" changes the proportions.
    """
    import tensorflow as tf

    def resize(image: Any, label: Any) -> tuple[Any, Any]:
        if fit == "crop":
            image = _crop_to_shape(image, size)
        image = tf.image.resize(image, size, antialias=True)
        return tf.cast(tf.clip_by_value(tf.round(image), 0, 255), tf.uint8), label

    return dataset.map(resize, num_parallel_calls=tf.data.AUTOTUNE)


def _crop_to_shape(image: Any, size: tuple[int, int]) -> Any:
    """Return the largest part from the middle of `image` that has the proportions of `size`."""
    import tensorflow as tf

    height, width = tf.unstack(tf.cast(tf.shape(image)[:2], tf.float32))
    scale = tf.minimum(height / size[0], width / size[1])
    inner = tf.maximum(tf.cast(tf.round(scale * tf.constant(size, tf.float32)), tf.int32), 1)
    offset = (tf.shape(image)[:2] - inner) // 2
    return image[offset[0] : offset[0] + inner[0], offset[1] : offset[1] + inner[1]]
