"""Caltech-101 and Caltech-256 as TFDS builders, made from the original archives.

TFDS has no Caltech-256. Its Caltech-101 cannot be given an archive, and splits it by the order in
which the file system lists the files, which differs from machine to machine. Here 30 images of
each class train, drawn from the sorted names, and the rest test. `download` compares an archive
with its published checksum before it is read here.
"""

import io
import re
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from cnnlib.datasets.catalogue import BY_NAME, CATALOGUE

TRAINING_IMAGES = 30  # of a class, as is usual with both sets
# The tar file, alone or in a zip, and in it the images by class. Anything else is dropped:
# Caltech-256 has a stray file (198.spider/RENAME2) and a stray folder (056.dog/greg).
TAR = re.compile(r"(?:^|/)(101_ObjectCategories\.tar\.gz|256_ObjectCategories\.tar)$")
IMAGE = re.compile(r"(?:^|/)..._ObjectCategories/([^/]+)/((?:image|[0-9]{3})_[0-9]{4}\.jpg)$")


def training_names(names: Iterable[str], label: int) -> set[str]:
    """Return which of a class's file names train: 30, or half where there are 30 or fewer.

    They are drawn from the sorted names, with the label as the seed.
    """
    names = sorted(names)
    count = TRAINING_IMAGES if len(names) > TRAINING_IMAGES else len(names) // 2
    return {names[i] for i in np.random.RandomState(label).permutation(len(names))[:count]}


class _Caltech(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """What the two sets share."""

    archive: Any = None  # path of the original archive

    def _info(self) -> tfds.core.DatasetInfo:
        known = CATALOGUE[self.name]
        folders = list(known.class_names)
        if self.name == "caltech256":
            folders = [f"{label + 1:03d}.{name}" for label, name in enumerate(folders)]
        features = {
            "image": tfds.features.Image(),
            "label": tfds.features.ClassLabel(names=folders),
            "image/file_name": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{known.title}. Split: {BY_NAME}.",
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
            homepage=known.homepage,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        names: dict[str, list[str]] = {name: [] for name in self.info.features["label"].names}
        for folder, name, _ in self._images():
            names[folder].append(name)
        train = {
            folder: training_names(files, label)
            for label, (folder, files) in enumerate(names.items())
        }
        parts = {"train": True, "test": False}
        return {name: self._generate_examples(train, wanted) for name, wanted in parts.items()}

    def _generate_examples(self, train, wanted):  # type: ignore[no-untyped-def]
        for folder, name, content in self._images():
            if (name in train[folder]) is wanted:
                record = {"image": io.BytesIO(content), "label": folder, "image/file_name": name}
                yield f"{folder}/{name}", record

    def _images(self) -> Iterator[tuple[str, str, bytes]]:
        """Yield (class folder, file name, bytes) of each image in the archive."""
        options: Any = {"name": self.archive}
        if zipfile.is_zipfile(self.archive):
            archive = zipfile.ZipFile(self.archive)
            inside = next(name for name in archive.namelist() if TAR.search(name))
            options = {"fileobj": archive.open(inside), "mode": "r|*"}
        with tarfile.open(**options) as tar:
            for member in tar:
                if match := IMAGE.search(member.name):
                    content: Any = tar.extractfile(member)
                    yield match[1].lower(), match[2], content.read()


# TFDS has registered its own under this name.
class Caltech101(_Caltech, skip_registration=True):  # type: ignore[call-arg]
    """Caltech-101, from caltech-101.zip, or the 101_ObjectCategories.tar.gz that is in it."""

    name = "caltech101"
    VERSION = tfds.core.Version(CATALOGUE[name].version)  # the features of TFDS' own version


class Caltech256(_Caltech):
    """Caltech-256, from 256_ObjectCategories.tar."""

    name = "caltech256"
    VERSION = tfds.core.Version(CATALOGUE[name].version)


BUILDERS = {"caltech101": Caltech101, "caltech256": Caltech256}
