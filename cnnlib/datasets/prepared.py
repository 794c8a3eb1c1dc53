"""Folders prepared by TensorFlow Datasets (TFDS): where they are, and whether they are whole.

A prepared folder is `<data folder>/<name>/<version>` with a dataset_info.json. TFDS writes under
another name (`incomplete...`) and renames at the end, so an interrupted preparation never looks
finished. Finding and checking a folder needs neither TFDS nor TensorFlow.
"""

import dataclasses
import json
import os
import pathlib
import re
from typing import Any

import numpy as np

from cnnlib import storage
from cnnlib.datasets.catalogue import BY_NAME, Info
from cnnlib.datasets.ordering import by_digest
from cnnlib.errors import Damaged

Arrays = dict[str, tuple[np.ndarray, np.ndarray]]  # {"train": (images, labels), "test": ...}


@dataclasses.dataclass(frozen=True)
class Split:
    """One split of a prepared folder."""

    name: str  # TFDS' name, such as "validation"
    count: int  # images
    shards: tuple[pathlib.Path, ...]  # its files


def data_folder() -> pathlib.Path:
    """Return TFDS' folder: `CNNLIB_DATA`/tfds, else `TFDS_DATA_DIR`, else `~/tensorflow_datasets`.

    A relative path in a variable starts at the checkout.
    """
    ours = storage.folder_from("CNNLIB_DATA")
    if ours:
        return ours / "tfds"
    theirs = storage.folder_from("TFDS_DATA_DIR")
    return theirs or pathlib.Path("~/tensorflow_datasets").expanduser()


def find(info: Info) -> pathlib.Path | None:
    """Return the version folder of a data set, or None. Only names of files are looked at.

    The version of the catalogue comes first, then the newest. A folder without dataset_info.json
    is none of TFDS', and is returned only if there is no other, so that somebody hears of it.
    """
    folder = data_folder() / info.tfds_name
    try:
        # The length bound keeps absurd numbers away from `int`.
        names = [name for name in os.listdir(folder) if len(name) <= 30]
        versions = {
            name: [int(part) for part in name.split(".")]
            for name in names
            if re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", name) and (folder / name).is_dir()
        }
    except OSError:
        return None
    best = max(
        versions,
        key=lambda name: (_has_info(folder / name), name == info.version, versions[name]),
        default=None,
    )
    return None if best is None else folder / best


def _has_info(folder: pathlib.Path) -> bool:
    try:
        return (folder / "dataset_info.json").is_file()
    except OSError:  # a folder that may not be entered
        return False


def check(folder: pathlib.Path, info: Info, partial: bool = False) -> dict[str, Split]:
    """Return the splits of a version folder, once its files are what dataset_info.json promises.

    Compared are the number of images with the catalogue's, and the files: all there, and together
    of the size that the images and TFRecord's framing make up. The images themselves are checked
    when they are read: TFRecord has a checksum for each.

    Args:
        folder: the version folder.
        info: the data set.
        partial: accept fewer images, and a missing split.

    Returns:
        {"train": Split, "test": Split}.

    Raises:
        Damaged: the folder is not what it should be.
    """
    path = folder / "dataset_info.json"
    try:
        splits = {split["name"]: split for split in read_json(path)["splits"]}
        found = {
            ours: _split(folder, info, splits[theirs])
            for ours, theirs in zip(("train", "test"), info.tfds_splits, strict=True)
            if theirs in splits
        }
        path = folder / "features.json"  # which TFDS needs where it reads the folder
        read_json(path)
    except Damaged:
        raise
    except FileNotFoundError as error:
        raise _damaged(folder, f"{path} is missing") from error
    except Exception as error:  # whatever altered metadata makes of the parsing
        raise _damaged(folder, f"{path} cannot be read ({error!r})") from error
    if not partial:
        _check_counts(folder, info, {ours: split.count for ours, split in found.items()})
    return found


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """Return the metadata in a file of a prepared folder."""
    return json.loads(path.read_text(encoding="utf-8"))


def _check_counts(folder: pathlib.Path, info: Info, counts: dict[str, int]) -> None:
    """Raise Damaged unless a folder has as many images as the catalogue says."""
    expected = {"train": info.train_count, "test": info.test_count}
    if info.split == BY_NAME:  # the folder may be split in another way than `stream` splits
        counts = {"train and test": sum(counts.values())}
        expected = {"train and test": sum(expected.values())}
    for split, count in expected.items():
        if counts.get(split, 0) != count:
            raise _damaged(
                folder,
                f"{folder / 'dataset_info.json'} has {counts.get(split, 0)} {split} images, "
                f"expected {count}",
            )


def _split(folder: pathlib.Path, info: Info, promised: dict[str, Any]) -> Split:
    """Return the split that dataset_info.json promises, once its files are whole."""
    lengths = [int(length) for length in promised["shardLengths"]]
    if not lengths or min(lengths) < 0 or int(promised["numBytes"]) < 0:
        raise _damaged(folder, f"{folder / 'dataset_info.json'} has a split without images")
    prefix = f"{info.tfds_name.split('/')[0]}-{promised['name']}.tfrecord"
    shards = tuple(folder / f"{prefix}-{i:05d}-of-{len(lengths):05d}" for i in range(len(lengths)))
    for shard in shards:
        if not shard.is_file() or shard.stat().st_size == 0:
            raise _damaged(folder, f"{shard} is {'empty' if shard.is_file() else 'missing'}")
    size = sum(shard.stat().st_size for shard in shards)
    expected = int(promised["numBytes"]) + 16 * sum(lengths)
    if size != expected:
        some = ", ".join(map(str, shards[:3])) + (", ..." if len(shards) > 3 else "")
        raise _damaged(folder, f"{some}: {size} bytes, expected {expected}")
    return Split(promised["name"], sum(lengths), shards)


def builder(folder: pathlib.Path) -> Any:
    """Return TFDS' read-only builder of a prepared version folder.

    Raises:
        Damaged: TFDS cannot read its metadata.
    """
    import tensorflow_datasets as tfds

    try:
        return tfds.builder_from_directory(folder)
    except Exception as error:  # whatever TFDS and its parsers make of broken metadata
        raise _damaged(
            folder, f"dataset_info.json or features.json in {folder} cannot be read ({error})"
        ) from error


def read(folder: pathlib.Path, info: Info, partial: bool = False) -> Arrays:
    """Read a prepared version folder whose images have one size.

    Args:
        folder: the version folder.
        info: the data set.
        partial: as in `check`.

    Returns:
        {"train": (images, labels), "test": ...}: images uint8 (n, height, width, channels), labels
        int64 (n,), in the order of `by_digest`.

    Raises:
        Damaged: a file is missing or cut off, or what is read is not what `info` says.
    """
    splits = check(folder, info, partial)
    return {split: read_split(splits, split, info) for split in ("train", "test")}


def read_split(splits: dict[str, Split], split: str, info: Info) -> tuple[np.ndarray, np.ndarray]:
    """Read one split as `read` does: `splits` as `check` returns them. A missing one is empty."""
    assert info.image_shape, "the images are of one size"
    if split not in splits:
        return np.empty((0, *info.image_shape), np.uint8), np.empty(0, np.int64)
    return by_digest(*_records(splits[split], split, info))


def _records(split: Split, name: str, info: Info) -> tuple[np.ndarray, np.ndarray]:
    """Return images and labels of one split in the folder's own order, compared with `info`.

    A thousand records at a time: TFDS' own reader, which takes each by itself, needs twice as
    long.
    """
    import tensorflow as tf

    assert info.image_shape, "the images are of one size"
    features = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
    }

    def decoded(records: Any) -> tuple[Any, Any]:
        found = tf.io.parse_example(records, features)
        images = tf.map_fn(tf.io.decode_png, found["image"], fn_output_signature=tf.uint8)
        return images, found["label"]

    folder, files = split.shards[0].parent, ", ".join(map(str, split.shards))
    records = tf.data.TFRecordDataset([str(shard) for shard in split.shards]).batch(1000)
    images = np.empty((split.count, *info.image_shape), np.uint8)
    labels = np.empty(split.count, np.int64)
    n = 0
    try:
        for some_images, some_labels in records.map(
            decoded, num_parallel_calls=tf.data.AUTOTUNE
        ).as_numpy_iterator():
            end = n + len(some_labels)
            if some_images.dtype != np.uint8 or some_images.shape[1:] != info.image_shape:
                found = f"{some_images.dtype} {(split.count, *some_images.shape[1:])}"
                raise _damaged(
                    folder, f"{files}: the {name} images are {found}, expected uint8 {images.shape}"
                )
            if end <= split.count:
                images[n:end], labels[n:end] = some_images, some_labels
            n = end
    # A wrong checksum; a picture that cannot be decoded, or a record without its features.
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
        raise _damaged(folder, f"{files} cannot be read ({error})") from error
    if n != split.count:
        raise _damaged(folder, f"{files}: {n} {name} images, expected {split.count}")
    last = len(info.class_names) - 1
    if n and (labels.min() < 0 or labels.max() > last):
        raise _damaged(
            folder,
            f"{files}: the {name} labels go from {labels.min()} to {labels.max()}, "
            f"expected 0 to {last}",
        )
    return images, labels


def _damaged(folder: pathlib.Path, problem: str) -> Damaged:
    return Damaged(
        f"{problem}. Delete the folder {folder} and prepare it again: load the data set with a "
        "connection, or copy the whole folder."
    )
