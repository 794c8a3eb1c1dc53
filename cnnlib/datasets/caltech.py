"""Caltech-101 and Caltech-256 as TFDS builders, made from the original archives.

TFDS has no Caltech-256. Its Caltech-101 cannot be given an archive, and splits it by the order in
which the file system lists the files, which differs from machine to machine. Here 30 images of
each class train, drawn from the sorted names, and the rest test.
"""

import io
import os
import re
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from cnnlib.datasets import fetching
from cnnlib.datasets.catalogue import BY_NAME, CATALOGUE, Info
from cnnlib.errors import InputError

TRAINING_IMAGES = 30  # of a class, as is usual with both sets
MOST_BYTES = 64 << 20  # of a picture; no published one comes near


def training_names(names: Iterable[str], label: int) -> set[str]:
    """Return which of a class's file names train: 30, or half where there are 30 or fewer.

    They are drawn from the sorted names, with the label as the seed.
    """
    names = sorted(names)
    count = TRAINING_IMAGES if len(names) > TRAINING_IMAGES else len(names) // 2
    return {names[i] for i in np.random.RandomState(label).permutation(len(names))[:count]}


class _Caltech(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """What the two sets share: folders of classes in a tar file, and the features of TFDS.

    Args:
        archive: path of the original archive; it may be set before the set is prepared.
        partial: accept an archive that is not the published file. Each picture is then decoded
            once, to see that it is whole.
    """

    # Of a member that is an image of the set, with the groups class and file name. Anything else
    # in the archive is dropped.
    pattern: re.Pattern[str]
    tar_name: str  # of the tar file, should it be in a zip
    digest: fetching.Digest  # of the archive that is published now
    older_digests: tuple[fetching.Digest, ...] = ()  # of those that were published before

    def __init__(
        self,
        *,
        archive: str | os.PathLike[str] | None = None,
        partial: bool = False,
        **options: Any,
    ) -> None:
        self.archive = archive
        self._partial = partial
        super().__init__(**options)

    @property
    def known(self) -> Info:
        """What the catalogue knows of the set."""
        return CATALOGUE[self.name]

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(),
            "label": tfds.features.ClassLabel(names=list(self.folder_names())),
            "image/file_name": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{self.known.title}. Split: {BY_NAME}.",
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
            homepage=self.known.homepage,
            citation=self.known.citation,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        archive = self.archive
        labels = {name: label for label, name in enumerate(self.folder_names())}
        names: dict[str, list[str]] = {}
        for class_name, file_name, _ in self._checked(archive, labels):
            names.setdefault(class_name, []).append(file_name)
        train = {
            name: training_names(file_names, labels[name]) for name, file_names in names.items()
        }
        return {
            "train": self._generate_examples(archive, train, wanted=True),
            "test": self._generate_examples(archive, train, wanted=False),
        }

    def _generate_examples(self, archive, train, wanted):  # type: ignore[no-untyped-def]
        for class_name, file_name, content in self._images(archive):
            if (file_name in train[class_name]) is wanted:
                record = {
                    "image": io.BytesIO(content),
                    "label": class_name,
                    "image/file_name": file_name,
                }
                yield f"{class_name}/{file_name}", record

    def _checked(self, archive: Any, labels: dict[str, int]) -> Iterator[tuple[str, str, bytes]]:
        """Yield the images of the archive; raise InputError if it is not the set's."""
        if not self._partial:
            problems = [
                fetching.digest_problem(archive, digest)
                for digest in (self.digest, *self.older_digests)
            ]
            if all(problems):
                raise self._refused(
                    f"{archive} is not the published archive of {self.known.title}: {problems[0]}"
                )
        seen = set()
        for class_name, file_name, content in self._images(archive):
            if class_name not in labels:
                raise self._refused(
                    f"{archive} has a class {class_name!r}, which {self.known.title} has not"
                )
            if (class_name, file_name) in seen:
                raise self._refused(f"{archive} has {class_name}/{file_name} twice")
            if self._partial:
                self._decode(archive, f"{class_name}/{file_name}", content)
            seen.add((class_name, file_name))
            yield class_name, file_name, content
        expected = self.known.train_count + self.known.test_count
        if not seen or (len(seen) != expected and not self._partial):
            raise self._refused(
                f"{archive} has {len(seen):,} images of {self.known.title}, expected {expected:,}"
            )

    def _images(self, archive: Any) -> Iterator[tuple[str, str, bytes]]:
        """Yield (class folder, file name, bytes) of each image in the archive.

        Raises:
            InputError: the archive cannot be read.
        """
        try:
            with self._open_tar(archive) as tar:
                for member in tar:
                    match = self.pattern.search(member.name)
                    if not match or not member.isfile():
                        continue
                    if member.size > MOST_BYTES:
                        raise self._refused(
                            f"{member.name} in {archive} has {member.size:,} bytes, more than any "
                            f"picture of {self.known.title}"
                        )
                    file = tar.extractfile(member)
                    content = file.read() if file else b""
                    if len(content) != member.size:
                        raise EOFError(f"{member.name} is cut off")
                    yield self.class_folder(match[1]), match[2], content
        except InputError:
            raise
        except Exception as error:  # whatever zipfile, tarfile and the decompressors raise
            problem = f"{type(error).__name__}: {error}"
            if fetching.is_web_page(archive):
                problem = "it is a web page (HTML), not an archive"
            raise self._refused(f"{archive} cannot be read ({problem})") from error

    def _open_tar(self, path: Any) -> tarfile.TarFile:
        """Open the tar file at `path`, plain or compressed, or the one inside a zip."""
        if not zipfile.is_zipfile(path):
            return tarfile.open(path)
        archive = zipfile.ZipFile(path)
        inside = [name for name in archive.namelist() if name.endswith(self.tar_name)]
        inside = [name for name in inside if "/._" not in name]  # macOS' attributes of a file
        if not inside:
            raise KeyError(
                f"it is a zip with no {self.tar_name} among its {len(archive.namelist())} files"
            )
        return tarfile.open(fileobj=archive.open(inside[0]), mode="r|*")

    def _decode(self, archive: Any, name: str, content: bytes) -> None:
        import PIL.Image

        try:
            PIL.Image.open(io.BytesIO(content)).load()
        except Exception as error:  # whatever a decoder makes of altered bytes
            raise self._refused(f"{archive}: {name} is not a whole picture ({error})") from error

    def _refused(self, problem: str) -> InputError:
        return InputError(f"{problem}. Download the archive again from {self.known.homepage}.")


# TFDS has registered its own under this name.
class Caltech101(_Caltech, skip_registration=True):  # type: ignore[call-arg]
    """Caltech-101, from caltech-101.zip, or the 101_ObjectCategories.tar.gz that is in it."""

    name = "caltech101"
    VERSION = tfds.core.Version(CATALOGUE[name].version)  # the features of TFDS' own version
    pattern = re.compile(r"(?:^|/)101_ObjectCategories/([^/]+)/(image_[0-9]{4}\.jpg)$")
    tar_name = "101_ObjectCategories.tar.gz"
    digest = ("sha256", "331234750fc7f77520e50d9565e8b6907b03565e30320da1401130db08c61f91")
    older_digests = (("md5", "b224c7392d521a49829488ab0f1120d9"),)

    @staticmethod
    def folder_names() -> Iterable[str]:
        """Return the names of the classes as TFDS has them."""
        return CATALOGUE["caltech101"].class_names

    @staticmethod
    def class_folder(name: str) -> str:
        """Return TFDS' name of a class folder."""
        return name.lower()


class Caltech256(_Caltech):
    """Caltech-256, from 256_ObjectCategories.tar.

    A stray file (198.spider/RENAME2) and a stray folder (056.dog/greg) are dropped.
    """

    name = "caltech256"
    VERSION = tfds.core.Version(CATALOGUE[name].version)
    pattern = re.compile(r"(?:^|/)256_ObjectCategories/([0-9]{3}\.[^/]+)/([0-9]{3}_[0-9]{4}\.jpg)$")
    tar_name = "256_ObjectCategories.tar"
    digest = ("md5", "67b4f42ca05d46448c6bb8ecd2220f6d")  # CaltechDATA publishes no other

    @staticmethod
    def folder_names() -> Iterable[str]:
        """Return the names of the class folders, in the order of the labels."""
        names = CATALOGUE["caltech256"].class_names
        return [f"{label + 1:03d}.{name}" for label, name in enumerate(names)]

    @staticmethod
    def class_folder(name: str) -> str:
        """Return the class folder's name as it is."""
        return name


BUILDERS = {"caltech101": Caltech101, "caltech256": Caltech256}
