"""Folders that TensorFlow Datasets (TFDS) has prepared: where they are, whether they are whole, and what is in them.

A prepared folder is `<data folder>/<name>/<version>` with a dataset_info.json. TFDS writes under another name (`incomplete...`) and
renames at the end, so an interrupted preparation never looks finished. Finding and checking a folder needs neither TFDS nor TensorFlow.
"""

import dataclasses
import hashlib
import json
import pathlib
import re

import numpy as np

from cnnlib import storage
from cnnlib.datasets.catalogue import BY_NAME
from cnnlib.errors import Damaged


@dataclasses.dataclass(frozen=True)
class Split:
    """One split of a prepared folder: its number of images and its files."""

    name: str  # TFDS' name, such as "validation"
    count: int
    shards: tuple[pathlib.Path, ...]


def data_folder():
    """The folder of TFDS: `CNNLIB_DATA`/tfds, else `TFDS_DATA_DIR`, else `~/tensorflow_datasets`."""
    ours = storage.folder_from("CNNLIB_DATA")
    if ours:
        return ours / "tfds"
    theirs = storage.folder_from("TFDS_DATA_DIR")
    return theirs or pathlib.Path("~/tensorflow_datasets").expanduser()


def find(info):
    """The newest version folder of the data set that `info` describes, or None. Looks at folder names only."""
    versions = [
        path
        for path in (data_folder() / info.tfds_name).glob("*")
        if re.fullmatch(r"\d+\.\d+\.\d+", path.name)
    ]
    return max(
        versions, key=lambda path: [int(part) for part in path.name.split(".")], default=None
    )


def check(folder, info, partial=False):
    """The splits of a prepared version folder, {"train": Split, "test": Split}, once its files are what its dataset_info.json promises.

    Compared are the number of images with the catalogue's (unless `partial`: then a split may also be absent), and the files with
    what they must be: all there, and together of the size that the images and TFRecord's framing make up. The images themselves are
    checked when they are read: TFRecord has a checksum for each. Raises Damaged.
    """
    path = folder / "dataset_info.json"
    try:
        splits = {
            split["name"]: split for split in json.loads(path.read_text(encoding="utf-8"))["splits"]
        }
        found = {
            ours: _split(folder, info, splits[theirs])
            for ours, theirs in zip(("train", "test"), info.tfds_splits, strict=True)
            if theirs in splits
        }
        path = folder / "features.json"  # which TFDS needs where it reads the folder
        json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise _damaged(folder, f"{path} is missing") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(folder, f"{path} cannot be read ({error!r})") from error
    if not partial:
        _check_counts(folder, info, {ours: split.count for ours, split in found.items()})
    return found


def _check_counts(folder, info, counts):
    """Raise Damaged unless a folder has as many images as the catalogue says: in each split, or in all where the split is not official."""
    expected = {"train": info.train_count, "test": info.test_count}
    if info.split == BY_NAME:  # the folder may be split in another way than `stream` splits
        counts, expected = (
            {"train and test": sum(counts.values())},
            {"train and test": sum(expected.values())},
        )
    for split, count in expected.items():
        if counts.get(split, 0) != count:
            raise _damaged(
                folder,
                f"{folder / 'dataset_info.json'} has {counts.get(split, 0)} {split} images, expected {count}",
            )


def _split(folder, info, promised):
    """A Split of what dataset_info.json says of it; Damaged if its files are not so."""
    lengths = [int(length) for length in promised["shardLengths"]]
    prefix = f"{info.tfds_name.split('/')[0]}-{promised['name']}.tfrecord"
    shards = tuple(folder / f"{prefix}-{i:05d}-of-{len(lengths):05d}" for i in range(len(lengths)))
    for shard in shards:
        if not shard.is_file() or shard.stat().st_size == 0:
            raise _damaged(folder, f"{shard} is {'empty' if shard.is_file() else 'missing'}")
    size, expected = (
        sum(shard.stat().st_size for shard in shards),
        int(promised["numBytes"]) + 16 * sum(lengths),
    )
    if size != expected:
        where = ", ".join(map(str, shards[:3])) + (", ..." if len(shards) > 3 else "")
        raise _damaged(folder, f"{where}: {size} bytes, expected {expected}")
    return Split(promised["name"], sum(lengths), shards)


def builder(folder):
    """TFDS' read-only builder of a prepared version folder. Raises Damaged if TFDS cannot read its metadata."""

    import tensorflow_datasets as tfds

    try:
        return tfds.builder_from_directory(folder)
    except Exception as error:  # whatever TFDS and its parsers make of broken metadata
        raise _damaged(
            folder, f"dataset_info.json or features.json in {folder} cannot be read ({error})"
        ) from error


def read(folder, info, partial=False):
    """Read a prepared version folder whose images have one size; nothing is downloaded.

    Returns {"train": (images, labels), "test": ...}; images uint8 (n, h, w, c), labels int64 (n,), in the order of `by_digest`.
    Raises Damaged if a file that dataset_info.json promises is missing or cut off, or if what is read is not what `info` says; `partial`
    as in `check`.
    """
    splits = check(folder, info, partial)
    empty = np.empty((0, *info.image_shape), np.uint8), np.empty(0, np.int64)
    return {
        ours: by_digest(*_read_split(splits[ours], ours, info)) if ours in splits else empty
        for ours in ("train", "test")
    }


def by_digest(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort images, and their labels, by the SHA-256 of each image's bytes, then by label.

    TFDS shuffles the records when it writes a folder, and another version of it may do so in
    another way. In this order a seed means the same images on every machine.
    """
    digests = [hashlib.sha256(np.ascontiguousarray(image)).digest() for image in images]
    order = sorted(range(len(labels)), key=lambda i: (digests[i], int(labels[i])))
    return images[order], labels[order]


def _read_split(split, name, info):
    """Images and labels of one split, one shard after the other, compared with the catalogue's shape and label range.

    A thousand records at a time: TFDS' own reader, which takes each by itself, needs twice as long.
    """

    import tensorflow as tf

    features = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
    }

    def decoded(records):
        found = tf.io.parse_example(records, features)
        return tf.map_fn(tf.io.decode_png, found["image"], fn_output_signature=tf.uint8), found[
            "label"
        ]

    folder, where = split.shards[0].parent, ", ".join(map(str, split.shards))
    records = tf.data.TFRecordDataset([str(shard) for shard in split.shards]).batch(1000)
    images, labels, n = (
        np.empty((split.count, *info.image_shape), np.uint8),
        np.empty(split.count, np.int64),
        0,
    )
    try:
        for some_images, some_labels in records.map(
            decoded, num_parallel_calls=tf.data.AUTOTUNE
        ).as_numpy_iterator():
            end = n + len(some_labels)
            if some_images.dtype != np.uint8 or some_images.shape[1:] != info.image_shape:
                found = f"{some_images.dtype} {(split.count, *some_images.shape[1:])}"
                raise _damaged(
                    folder, f"{where}: the {name} images are {found}, expected uint8 {images.shape}"
                )
            if end <= split.count:
                images[n:end], labels[n:end] = some_images, some_labels
            n = end
    # a record's checksum; a picture, or a record without its features
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
        raise _damaged(folder, f"{where} cannot be read ({error})") from error
    if n != split.count:
        raise _damaged(folder, f"{where}: {n} {name} images, expected {split.count}")
    last = len(info.class_names) - 1
    if labels.min() < 0 or labels.max() > last:
        raise _damaged(
            folder,
            f"{where}: the {name} labels go from {labels.min()} to {labels.max()}, expected 0 to {last}",
        )
    return images, labels


def _damaged(folder, what):
    return Damaged(
        f"{what}. Delete the folder {folder} and prepare it again: load the data set with a connection, or copy the whole folder."
    )
