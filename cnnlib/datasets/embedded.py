"""The data that the repository carries: all of MNIST, in the official order (data/README.md says where it is from)."""

import hashlib
import io

from cnnlib import files
from cnnlib.datasets.errors import Damaged

import numpy as np

NAMES = ("mnist",)
PATH = files.DATA / "mnist.npz"
SHA256 = "06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64"
REPAIR = "`git checkout data/mnist.npz` brings it back, and so does a new clone"


def read():
    """Return MNIST as {"train": (images, labels), "test": ...}; images uint8 (n, 28, 28, 1), labels int64 (n,).

    The file's SHA-256 is checked before anything in it is parsed. Raises Damaged if it differs, FileNotFoundError if there is no file.
    """
    content = PATH.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise Damaged(f"{PATH} is truncated or altered: SHA-256 {found}, expected {SHA256}. {REPAIR}.")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return {split: (arrays[f"x_{split}"][..., np.newaxis], arrays[f"y_{split}"].astype(np.int64)) for split in ("train", "test")}
