"""The data that the repository carries: all of MNIST in the official order, and samples of three other sets (data/README.md)."""

import dataclasses
import hashlib
import io
import pathlib

import numpy as np

from cnnlib import storage
from cnnlib.errors import Damaged


@dataclasses.dataclass(frozen=True)
class File:
    """An .npz file with x_train, y_train, x_test and y_test, and what its bytes must be."""

    title: str  # its place in the repository
    sha256: str
    train_count: int
    test_count: int
    path: pathlib.Path

    @property
    def repair(self):
        return f"`git checkout {self.title}` brings it back, and so does a new clone"


def _file(name, sha256, train_count, test_count):
    return File(f"data/{name}", sha256, train_count, test_count, storage.DATA / name)


WHOLE = {
    "mnist": _file(
        "mnist.npz",
        "06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64",
        60_000,
        10_000,
    )
}
SAMPLES = {
    name: _file(f"samples/{name}.npz", sha256, train_count, test_count)
    for name, sha256, train_count, test_count in (
        (
            "fashion_mnist",
            "1e5ffc8062459f5b6761bc5c6c589d9928b3f40fd7afc5e90f68cabcdd7ad67e",
            6_000,
            1_000,
        ),
        ("cifar10", "99dd85fe1f8dfb685209baf20703e16e5dcd57eac21821c0e0c63beaf7d97ab5", 0, 20),
        ("cifar100", "2fdbdb2ecc104384a6b043a6f3a246bbb3655539e3b352cee9ee13474b3a6f7a", 0, 20),
    )
}


def read(file):
    """Return what a File holds as {"train": (images, labels), "test": ...}; images uint8 (n, h, w, channels), labels int64 (n,).

    The file's SHA-256 is checked before anything in it is parsed. Raises Damaged if it differs or there is no file.
    """
    try:
        content = file.path.read_bytes()
    except FileNotFoundError as error:
        raise Damaged(f"{file.path} is missing. {file.repair}.") from error
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise Damaged(
            f"{file.path} is truncated or altered: SHA-256 {found}, expected {file.sha256}. {file.repair}."
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return {
            split: (_with_channels(arrays[f"x_{split}"]), arrays[f"y_{split}"].astype(np.int64))
            for split in ("train", "test")
        }


def _with_channels(images):
    return images[..., np.newaxis] if images.ndim == 3 else images
