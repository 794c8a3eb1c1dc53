"""The images that the repository carries: all of MNIST, and samples of other data sets.

data/README.md tells where they are from. Every file is verified when it is read.
"""

import dataclasses
import fnmatch
import hashlib
import io
import pathlib

import numpy as np
import PIL.Image

from cnnlib import integrity, storage
from cnnlib.datasets.catalogue import Info
from cnnlib.errors import InputError

TILE, TILES = 32, 50  # of a sheet: the pixels of a tile's side, the tiles in a row

Arrays = dict[str, tuple[np.ndarray, np.ndarray]]  # {"train": (images, labels), "test": ...}


@dataclasses.dataclass(frozen=True)
class Embedded:
    """Images of one data set in data/: an .npz file, two sheets of tiles, or JPEG files.

    A sheet is a lossless picture with as many images of each class, class by class. JPEG files are
    as they were published, `<folder of the class>/<file>`.
    """

    pattern: str  # of the files' names in the manifest
    train_count: int
    test_count: int
    order: str = "official"

    def files(self) -> list[pathlib.Path]:
        """Return the files that the manifest lists, so that a missing one is noticed."""
        names = fnmatch.filter(integrity.digests(), self.pattern)
        return [storage.DATA / name for name in sorted(names)]

    def arrays(self) -> Arrays:
        """Return images, uint8 (n, height, width, channels), and labels, int64 (n,)."""
        if self.pattern.endswith(".webp"):
            return {split: _sheet(self.pattern.replace("*", split)) for split in ("train", "test")}
        content = integrity.read_bytes(storage.DATA / self.pattern)
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            found = {}
            for split in ("train", "test"):
                images = arrays[f"x_{split}"]
                images = images[..., np.newaxis] if images.ndim == 3 else images
                found[split] = images, arrays[f"y_{split}"].astype(np.int64)
            return found

    def pictures(self, info: Info) -> tuple[list[bytes], np.ndarray]:
        """Return the content of each JPEG file, and the labels, int64 (n,)."""
        files = self.files()
        names = [path.parent.name.lower().split(".")[-1] for path in files]  # 003.backpack
        labels = [info.class_names.index(name) for name in names]
        return [integrity.read_bytes(path) for path in files], np.array(labels)


WHOLE = {"mnist": Embedded("mnist.npz", 60_000, 10_000)}
SAMPLES = {
    "fashion_mnist": Embedded("samples/fashion_mnist.npz", 2_500, 1_000),
    "cifar10": Embedded("samples/cifar10_*.webp", 2_500, 1_000, order="by digest"),
    "cifar100": Embedded("samples/cifar100.npz", 0, 20),
    "caltech101": Embedded("samples/caltech101/*", 99, 0),
    "caltech256": Embedded("samples/caltech256/*", 20, 0),
}


def find(info: Info, sample: bool) -> Embedded | None:
    """Return the repository's sample of a data set if that is wanted, else the whole or None."""
    if not sample:
        return WHOLE.get(info.name)
    if info.name not in SAMPLES:
        whole = ": the repository carries it whole" if info.name in WHOLE else ""
        raise InputError(
            f"there is no sample of {info.name}{whole}. There is one of {', '.join(SAMPLES)}."
        )
    return SAMPLES[info.name]


def by_digest(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort images, and their labels, by the SHA-256 of each image's bytes, then by label."""
    digests = [hashlib.sha256(image.tobytes()).digest() for image in images]
    order = sorted(range(len(labels)), key=lambda i: (digests[i], int(labels[i])))
    return images[order], labels[order]


def _sheet(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the images of a sheet with ten classes, ordered by digest, and their labels."""
    with PIL.Image.open(io.BytesIO(integrity.read_bytes(storage.DATA / name))) as picture:
        sheet = np.asarray(picture.convert("RGB"))
    tiles = sheet.reshape(len(sheet) // TILE, TILE, TILES, TILE, 3).swapaxes(1, 2)
    images = np.ascontiguousarray(tiles).reshape(-1, TILE, TILE, 3)
    return by_digest(images, np.repeat(np.arange(10), len(images) // 10))
