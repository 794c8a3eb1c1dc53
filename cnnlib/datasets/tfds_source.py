"""Data sets through TensorFlow Datasets (TFDS): folders that it has prepared, and its downloads.

A prepared folder is `<data folder>/<name>/<version>` with a dataset_info.json. TFDS writes under another name (`incomplete...`) and
renames at the end, so an interrupted download never looks prepared.
"""

import os
import pathlib
import re
import threading
import urllib.parse

from cnnlib import files
from cnnlib.datasets.errors import Damaged, Unavailable
from cnnlib.errors import InputError

import numpy as np

# One of the files that TFDS asks for, to see within PATIENCE seconds whether its host answers: TFDS itself goes on trying for three and a
# half minutes.
ADDRESSES = {
    "mnist": "https://storage.googleapis.com/cvdf-datasets/mnist/train-images-idx3-ubyte.gz",
    "fashion_mnist": "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/train-images-idx3-ubyte.gz",
    "cifar10": "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
}
PATIENCE = 6


def data_folder():
    """The folder of TFDS: `CNNLIB_DATA`/tfds, else `TFDS_DATA_DIR`, else `~/tensorflow_datasets`."""
    if os.environ.get("CNNLIB_DATA"):
        return pathlib.Path(os.environ["CNNLIB_DATA"]).expanduser() / "tfds"
    return pathlib.Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def find(name):
    """The newest version folder of the data set `name`, or None. Looks at folder names only: no TFDS, no TensorFlow."""
    versions = [path for path in (data_folder() / name).glob("*") if re.fullmatch(r"\d+\.\d+\.\d+", path.name)]
    return max(versions, key=lambda path: [int(part) for part in path.name.split(".")], default=None)


def read(folder, info):
    """Read the prepared version folder of the data set that `info` describes; nothing is downloaded.

    Returns {"train": (images, labels), "test": ...}; images uint8 (n, h, w, c), labels int64 (n,), in the folder's own order.
    Raises Damaged if a file that dataset_info.json promises is missing or empty, or if what is read is not what `info` says.
    """
    if not (folder / "dataset_info.json").is_file():
        raise _damaged(folder, f"{folder / 'dataset_info.json'} is missing")
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(folder)
        promised = {split: builder.info.splits[split] for split in ("train", "test")}
        shards = {split: [pathlib.Path(path) for path in promised[split].filepaths] for split in promised}
    except Exception as error:  # whatever TFDS and its parsers make of broken metadata
        raise _damaged(folder, f"dataset_info.json or features.json in {folder} cannot be read ({error})") from error
    counts = {"train": info.train_count, "test": info.test_count}
    for split, count in counts.items():
        if promised[split].num_examples != count:
            found = promised[split].num_examples
            raise _damaged(folder, f"{folder / 'dataset_info.json'} has {found} {split} images, expected {count}")
        for path in shards[split]:
            if not path.is_file() or path.stat().st_size == 0:
                raise _damaged(folder, f"{path} is {'empty' if path.is_file() else 'missing'}")
    return {split: _read_split(builder, shards[split], split, counts[split], info) for split in counts}


def _read_split(builder, shards, split, count, info):
    """Images and labels of one split, one shard after the other, compared with the catalogue's count, shape and label range."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    folder, where = shards[0].parent, ", ".join(map(str, shards))
    in_order = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)  # shards are not mixed; read once, so no cache
    try:
        batches = builder.as_dataset(split=split, batch_size=1000, shuffle_files=False, read_config=in_order)
        batches = [(batch["image"], batch["label"]) for batch in tfds.as_numpy(batches)]
    # a record's checksum, a picture, the number of records, or the features
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError, tf.errors.FailedPreconditionError, KeyError) as error:
        raise _damaged(folder, f"{where} cannot be read ({error})") from error
    images, labels = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
    expected = (count, *info.image_shape)
    if images.shape != expected or images.dtype != np.uint8:
        raise _damaged(folder, f"{where}: the {split} images are {images.dtype} {images.shape}, expected uint8 {expected}")
    last = len(info.class_names) - 1
    if labels.min() < 0 or labels.max() > last:
        raise _damaged(folder, f"{where}: the {split} labels go from {labels.min()} to {labels.max()}, expected 0 to {last}")
    return images, labels.astype(np.int64)


def _damaged(folder, what):
    return Damaged(
        f"{what}. Delete the folder {folder} and prepare it again: load the data set with a connection, or copy the whole folder."
    )


def download(name):
    """Download and prepare the data set `name` through TFDS, with its progress bar; return the version folder.

    Raises Unavailable, within PATIENCE seconds where the host does not answer.
    """
    host = urllib.parse.urlsplit(ADDRESSES[name]).hostname
    problem = _ask(ADDRESSES[name])
    if problem:
        raise Unavailable(f"{host} did not answer ({problem})")
    try:
        folder = files.make_folder(data_folder(), variable="CNNLIB_DATA")
    except InputError as error:
        raise Unavailable(str(error)) from error
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name, data_dir=folder)
        builder.download_and_prepare()
    except Exception as error:  # connection lost, checksum wrong, disk full: the name and the way out are the same
        raise Unavailable(f"the download from {host} broke off ({type(error).__name__}: {error})") from error
    return pathlib.Path(builder.data_dir)


def _ask(address):
    """None if the host of `address` answers within PATIENCE seconds, else what was the matter. Proxies are honoured.

    The question is put in a thread, since nothing bounds the time of a DNS look-up.
    """
    import requests  # with which TFDS downloads: the same proxies, the same certificates

    answers = []

    def ask():
        try:
            requests.head(address, timeout=PATIENCE, allow_redirects=True).raise_for_status()
            answers.append(None)
        except requests.RequestException as error:
            status = "" if error.response is None else f" {error.response.status_code}"
            answers.append(type(error).__name__ + status)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return answers[0] if answers else f"no answer within {PATIENCE} seconds"
