"""Caltech-101 and Caltech-256 as TFDS builders, made from the original archives.

TFDS has no Caltech-256. Its Caltech-101 cannot be given an archive, and splits it by the order in
which the file system lists the files, which differs from machine to machine. Here 30 images of
each class train, drawn from the sorted names, and the rest test.
"""

import io
import re
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from cnnlib.datasets.catalogue import BY_NAME, CATALOGUE
from cnnlib.errors import InputError

TRAINING_IMAGES = 30  # of a class, as is usual with both sets
MOST_BYTES = 64 << 20  # of a picture; no published one comes near
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
    partial = False  # it may hold a part of the set: each picture is decoded, to see it is whole

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
            citation=known.citation,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        names: dict[str, list[str]] = {name: [] for name in self.info.features["label"].names}
        for folder, name, content in self._images():
            if folder not in names or name in names[folder]:
                problem = "twice" if folder in names else "of a class that the set has not"
                raise self._refused(f"has {folder}/{name} {problem}")
            names[folder].append(name)
            if self.partial and not _is_jpeg(content):
                raise self._refused(f"has {folder}/{name}, which is no whole JPEG picture")
        if not any(names.values()):
            raise self._refused("has no images of the set")
        train = {
            folder: training_names(files, label)
            for label, (folder, files) in enumerate(names.items())
        }
        return {
            "train": self._generate_examples(train, wanted=True),
            "test": self._generate_examples(train, wanted=False),
        }

    def _generate_examples(self, train, wanted):  # type: ignore[no-untyped-def]
        for folder, name, content in self._images():
            if (name in train[folder]) is wanted:
                record = {"image": io.BytesIO(content), "label": folder, "image/file_name": name}
                yield f"{folder}/{name}", record

    def _images(self) -> Iterator[tuple[str, str, bytes]]:
        """Yield (class folder, file name, bytes) of each image in the archive."""
        try:
            with _open_tar(self.archive) as tar:
                for member in tar:
                    match = IMAGE.search(member.name)
                    if match and member.isfile():
                        if member.size > MOST_BYTES:
                            raise ValueError(f"{member.name} is no picture: {member.size:,} bytes")
                        content: Any = tar.extractfile(member)
                        yield match[1].lower(), match[2], content.read()
                rest: Any = tar.fileobj  # at its end gzip and zip compare a checksum of the whole
                while rest.read(1 << 20):
                    pass
        except Exception as error:  # whatever zipfile, tarfile and the decompressors raise
            raise self._refused(f"cannot be read ({type(error).__name__}: {error})") from error

    def _refused(self, problem: str) -> InputError:
        address = CATALOGUE[self.name].homepage
        return InputError(f"{self.archive} {problem}. Download the archive again from {address}.")


def _is_jpeg(content: bytes) -> bool:
    """Return whether a picture is JPEG, and TensorFlow, which is to read it, decodes it."""
    try:
        tf.io.decode_jpeg(content, channels=3)  # it takes others, too
    except tf.errors.InvalidArgumentError:
        return False
    return content.startswith(b"\xff\xd8\xff")


class _Member(tarfile.TarInfo):
    """A member of a tar file. `tarfile` takes an altered header for the end of the archive."""

    @classmethod
    def fromtarfile(cls, tar: Any) -> Any:
        try:
            return super().fromtarfile(tar)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"{error} at byte {tar.offset:,}") from error


def _open_tar(path: Any) -> tarfile.TarFile:
    """Open the tar file, plain or compressed, or the one inside a zip."""
    if not zipfile.is_zipfile(path):
        return tarfile.open(path, tarinfo=_Member)
    archive = zipfile.ZipFile(path)
    inside = [name for name in archive.namelist() if TAR.search(name)]
    if not inside:
        raise ValueError(f"a zip without a tar file among its {len(archive.namelist())} files")
    return tarfile.open(fileobj=archive.open(inside[0]), mode="r|*", tarinfo=_Member)


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
