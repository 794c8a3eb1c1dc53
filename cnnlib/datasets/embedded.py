"""The images that the repository carries: all of MNIST, and samples of other data sets.

data/README.md tells where they are from. Every file is verified when it is read.
"""

import dataclasses
import io
import pathlib

import numpy as np
import PIL.Image

from cnnlib import integrity, storage
from cnnlib.datasets import catalogue
from cnnlib.datasets.ordering import by_digest

TILES = 50  # images in a row of a sheet

Arrays = dict[str, tuple[np.ndarray, np.ndarray]]  # {"train": (images, labels), "test": ...}


@dataclasses.dataclass(frozen=True)
class Whole:
    """Arrays in one .npz file: `x_train`, `y_train`, `x_test` and `y_test`."""

    file: str  # in data/
    train_count: int
    test_count: int
    order: str = "official"

    @property
    def path(self) -> pathlib.Path:
        """Return where the file is."""
        return storage.DATA / self.file

    @property
    def title(self) -> str:
        """Return the file's place in the repository."""
        return f"data/{self.file}"

    def files(self) -> list[pathlib.Path]:
        """Return the files that hold the images."""
        return [self.path]

    def read(self) -> Arrays:
        """Return images, uint8 (n, height, width, channels), and labels, int64 (n,).

        Raises:
            Damaged: the file is not the published one.
        """
        content = io.BytesIO(integrity.read_bytes(self.path))
        with np.load(content, allow_pickle=False) as arrays:
            return {
                split: (_with_channels(arrays[f"x_{split}"]), arrays[f"y_{split}"].astype(np.int64))
                for split in ("train", "test")
            }


@dataclasses.dataclass(frozen=True)
class Sheets:
    """Images as tiles of two lossless pictures, `<name>_train.webp` and `<name>_test.webp`.

    A sheet has TILES tiles in a row, and the same number of images of each class, class by class.
    """

    name: str  # in data/samples/
    side: int  # of a tile, in pixels
    classes: int
    train_count: int
    test_count: int
    order: str = "by digest"

    @property
    def title(self) -> str:
        """Return the files' place in the repository."""
        return f"data/samples/{self.name}_*.webp"

    @property
    def path(self) -> pathlib.Path:
        """Return where the training images are."""
        return self.files()[0]

    def files(self) -> list[pathlib.Path]:
        """Return the files that hold the images."""
        folder = storage.DATA / "samples"
        return [folder / f"{self.name}_{split}.webp" for split in ("train", "test")]

    def read(self) -> Arrays:
        """Return images, uint8 (n, side, side, 3), and labels, int64 (n,), ordered by digest.

        Raises:
            Damaged: a sheet is not the published one.
        """
        return {
            split: self._read_sheet(path)
            for split, path in zip(("train", "test"), self.files(), strict=True)
        }

    def _read_sheet(self, path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
        with PIL.Image.open(io.BytesIO(integrity.read_bytes(path))) as picture:
            sheet = np.asarray(picture.convert("RGB"))
        rows = sheet.shape[0] // self.side
        tiles = sheet.reshape(rows, self.side, TILES, self.side, 3).swapaxes(1, 2)
        images = np.ascontiguousarray(tiles).reshape(-1, self.side, self.side, 3)
        labels = np.repeat(np.arange(self.classes), len(images) // self.classes)
        return by_digest(images, labels)


@dataclasses.dataclass(frozen=True)
class Pictures:
    """JPEG files as they were published: `<folder of the class>/<file>` in data/samples/<name>."""

    name: str
    count: int

    @property
    def title(self) -> str:
        """Return the folder's place in the repository."""
        return f"data/samples/{self.name}"

    @property
    def path(self) -> pathlib.Path:
        """Return where the folder is."""
        return storage.DATA / "samples" / self.name

    @property
    def train_count(self) -> int:
        """Return the number of pictures: all are training images."""
        return self.count

    @property
    def test_count(self) -> int:
        """Return 0: no picture is a test image."""
        return 0

    def files(self) -> list[pathlib.Path]:
        """Return the files that hold the pictures, in the order of class folders and names.

        They are those that the manifest lists, so that a missing one is noticed.
        """
        prefix = f"samples/{self.name}/"
        names = sorted(name for name in integrity.digests() if name.startswith(prefix))
        return [storage.DATA / name for name in names]

    def labels(self) -> np.ndarray:
        """Return the labels of `files`, int64 (n,)."""
        folders = [path.parent.name for path in self.files()]
        if self.name == "caltech256":  # 003.backpack is the third class
            return np.array([int(folder[:3]) - 1 for folder in folders])
        classes = catalogue.info(self.name).class_names
        return np.array([classes.index(folder.lower()) for folder in folders])

    def read(self) -> list[bytes]:
        """Return the content of `files`.

        Raises:
            Damaged: a file is not the published one.
        """
        return [integrity.read_bytes(path) for path in self.files()]


WHOLE = {"mnist": Whole("mnist.npz", 60_000, 10_000)}
SAMPLES: dict[str, Whole | Sheets | Pictures] = {
    "fashion_mnist": Whole("samples/fashion_mnist.npz", 6_000, 1_000),
    "cifar10": Sheets("cifar10", 32, 10, 2_500, 1_000),
    "cifar100": Whole("samples/cifar100.npz", 0, 20),
    "caltech101": Pictures("caltech101", 99),
    "caltech256": Pictures("caltech256", 20),
}


def _with_channels(images: np.ndarray) -> np.ndarray:
    return images[..., np.newaxis] if images.ndim == 3 else images
