"""Folders prepared by TensorFlow Datasets (TFDS): where they are, and whether they are whole.

A prepared folder is `<data folder>/<name>/<version>` with a dataset_info.json. TFDS writes under
another name (`incomplete...`) and renames at the end, so an interrupted preparation never looks
finished. Finding and checking a folder needs neither TFDS nor TensorFlow.
"""

import dataclasses
import json
import pathlib
import re
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import pydantic

from cnnlib import storage
from cnnlib.datasets import catalogue, embedded
from cnnlib.datasets.catalogue import Info
from cnnlib.errors import Damaged

INFO = "dataset_info.json"
FEATURES = "tensorflow_datasets.core.features."  # TFDS' own feature classes


class Split(pydantic.BaseModel):
    """One split of a prepared folder, as dataset_info.json promises it."""

    name: str  # TFDS' name, such as "validation"
    shardLengths: Annotated[list[pydantic.NonNegativeInt], pydantic.Field(min_length=1)]
    numBytes: pydantic.NonNegativeInt

    @property
    def count(self) -> int:
        """Return the number of images."""
        return sum(self.shardLengths)

    def shards(self, folder: pathlib.Path, info: Info) -> list[pathlib.Path]:
        """Return the files of the split in a version folder."""
        number, prefix = len(self.shardLengths), info.tfds_name.split("/")[0]
        names = [f"{self.name}.tfrecord-{i:05d}-of-{number:05d}" for i in range(number)]
        return [folder / f"{prefix}-{name}" for name in names]


class Metadata(pydantic.BaseModel):
    """What is read of dataset_info.json."""

    splits: list[Split]
    version: str


@dataclasses.dataclass(frozen=True)
class Status:
    """What `status` returns."""

    name: str
    # "prepared", "part" (a prepared folder with fewer images), "damaged", "embedded" (whole in the
    # repository), "sample" (only a sample in the repository), or "absent"
    state: str
    where: pathlib.Path | None = None
    size: int = 0  # bytes
    images: int = 0
    problem: str = ""  # of a damaged folder


def status(name: str) -> Status:
    """Return the best of what is on this machine of a data set, by names and sizes of files."""
    info = catalogue.info(name)
    folder = None if name in embedded.WHOLE else find(info)
    file = embedded.WHOLE.get(name) or embedded.SAMPLES.get(name)
    where = folder or (storage.DATA / file.pattern if file else None)
    try:
        if folder:
            size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
            images = sum(split.count for split in check(folder, info, partial=True).values())
            is_whole = images == info.train_count + info.test_count
            return Status(name, "prepared" if is_whole else "part", folder, size, images)
        if file:
            state = "embedded" if name in embedded.WHOLE else "sample"
            size = sum(path.stat().st_size for path in file.files())
            return Status(name, state, where, size, file.train_count + file.test_count)
    except (Damaged, OSError) as error:  # OSError: a folder that may not be entered
        return Status(name, "damaged", where, problem=str(error))
    return Status(name, "absent")


def data_folder() -> pathlib.Path:
    """Return TFDS' folder: `CNNLIB_DATA`/tfds, else `TFDS_DATA_DIR`, else `~/tensorflow_datasets`.

    A user without a home folder has results/tensorflow_datasets.
    """
    if ours := storage.folder_from("CNNLIB_DATA"):
        return ours / "tfds"
    if theirs := storage.folder_from("TFDS_DATA_DIR"):
        return theirs
    try:
        return pathlib.Path.home() / "tensorflow_datasets"
    except RuntimeError:
        return storage.results_folder() / "tensorflow_datasets"


def find(info: Info) -> pathlib.Path | None:
    """Return the version folder of a data set, or None: of the catalogue's version, else the last.

    Only names are looked at, so that a damaged folder is noticed and not passed over.
    """
    folders = [
        path
        for path in (data_folder() / info.tfds_name).glob("*.*.*")
        if re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", path.name) and path.is_dir()
    ]
    return max(folders, key=lambda path: (path.name == info.version, path.name), default=None)


def check(folder: pathlib.Path, info: Info, partial: bool = False) -> dict[str, Split]:
    """Return the splits of a version folder, once its files are what dataset_info.json promises.

    Compared are the number of images with the catalogue's (not with `partial`, which accepts a
    missing split too), and the files: all there, and together of the size that the images and
    TFRecord's framing make up. The images are checked when they are read, each by its checksum.

    Returns:
        {"train": Split, "test": Split}.

    Raises:
        Damaged: the folder is not what it should be.
    """
    named = {split.name: split for split in metadata(folder).splits}
    _read(folder, "features.json", lambda text: json.loads(text, object_hook=_of_tfds))
    pairs = zip(("train", "test"), info.tfds_splits, strict=True)
    splits = {ours: named[theirs] for ours, theirs in pairs if theirs in named}
    for split in splits.values():
        shards = split.shards(folder, info)
        if missing := [shard for shard in shards if not shard.is_file()]:
            raise _damaged(folder, f"{missing[0]} is missing")
        size = sum(shard.stat().st_size for shard in shards)
        promised = split.numBytes + 16 * split.count  # TFRecord's framing of a record
        if size != promised:
            raise _damaged(folder, f"{shards[0]} ...: {size} bytes, expected {promised}")
    if not any(split.count for split in splits.values()):
        raise _damaged(folder, f"{folder / INFO} has no images")
    for name, expected in (("train", info.train_count), ("test", info.test_count)):
        count = splits[name].count if name in splits else 0
        if count != expected and not partial:
            problem = f"has {count} {name} images, expected {expected}"
            raise _damaged(folder, f"{folder / INFO} {problem}")
    return splits


def metadata(folder: pathlib.Path) -> Metadata:
    """Return what is read of a version folder's dataset_info.json; raise Damaged if it cannot."""
    return _read(folder, INFO, Metadata.model_validate_json)


def _read(folder: pathlib.Path, name: str, parse: Callable[[str], Any]) -> Any:
    """Return the parsed metadata in a file of a version folder; raise Damaged if it cannot be."""
    path = folder / name
    if not path.is_file():
        raise _damaged(folder, f"{path} is missing")
    try:
        return parse(path.read_text(encoding="utf-8"))
    except Exception as error:  # whatever altered metadata makes of the parsing
        raise _damaged(folder, f"{path} cannot be read ({error!r})") from error


def _of_tfds(value: dict[str, Any]) -> dict[str, Any]:
    """Return a part of features.json if its class is TFDS' own: TFDS imports what is named."""
    for key in ("pythonClassName", "python_class_name", "type"):
        if not str(value.get(key, FEATURES)).startswith(FEATURES):
            raise ValueError(f"{value[key]!r} is no feature of TFDS")
    return value


def builder(folder: pathlib.Path) -> Any:
    """Return TFDS' read-only builder of a version folder that `check` has accepted."""
    import tensorflow_datasets as tfds

    try:
        return tfds.builder_from_directory(folder)
    except Exception as error:  # whatever TFDS and its parsers make of broken metadata
        raise _damaged(folder, f"TFDS cannot read {INFO} or features.json ({error})") from error


def read_split(folder: pathlib.Path, split: Split, info: Info) -> tuple[np.ndarray, np.ndarray]:
    """Read one split of a set whose images have one size, as `check` returned it.

    A thousand records at a time: TFDS' own reader needs twice as long.

    Returns:
        Images uint8 (n, height, width, channels), labels int64 (n,), in the order of `by_digest`.

    Raises:
        Damaged: what is read is not what `info` says.
    """
    import tensorflow as tf

    types = {"image": tf.string, "label": tf.int64}
    features = {name: tf.io.FixedLenFeature([], kind) for name, kind in types.items()}

    def decoded(records: Any) -> tuple[Any, Any]:
        found = tf.io.parse_example(records, features)
        images = tf.map_fn(tf.io.decode_png, found["image"], fn_output_signature=tf.uint8)
        return tf.ensure_shape(images, (None, *(info.image_shape or ()))), found["label"]

    shards = list(map(str, split.shards(folder, info)))
    records = tf.data.TFRecordDataset(shards).batch(1000)
    records = records.map(decoded, num_parallel_calls=tf.data.AUTOTUNE)
    try:
        batches = list(records.as_numpy_iterator())
        images, labels = (np.concatenate(each) for each in zip(*batches, strict=True))
        low, high, last = labels.min(), labels.max(), len(info.class_names) - 1
        if len(labels) != split.count or low < 0 or high > last:
            found = f"{len(labels)} {split.name} images with labels from {low} to {high}"
            raise ValueError(f"{found}, expected {split.count} with labels from 0 to {last}")
    # A wrong checksum; a picture that is none or of another shape; a record without its features.
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError, ValueError) as error:
        raise _damaged(folder, f"{', '.join(shards)} cannot be read ({error})") from error
    return embedded.by_digest(images, labels)


def _damaged(folder: pathlib.Path, problem: str) -> Damaged:
    return Damaged(
        f"{problem}. Delete the folder {folder} and prepare it again: load the data set with a "
        "connection, or copy the whole folder."
    )
