"""Caltech-101 and Caltech-256 as TFDS builders, made of the original archives.

TFDS has no Caltech-256; its Caltech-101 cannot be given an archive, and splits it by the order in which the file system lists the files,
which differs from machine to machine. Here 30 images of each class train, drawn from the sorted names, and the rest test.
"""

import io
import re
import tarfile
import zipfile

import numpy as np
import tensorflow_datasets as tfds

from cnnlib.datasets.catalogue import BY_NAME, CATALOGUE
from cnnlib.datasets.download import ADDRESSES, digest_problem
from cnnlib.errors import InputError

TRAINING_IMAGES = 30  # of a class, as is usual with both sets


def training_names(names, label):
    """Which of a class's file names train: 30 drawn from the sorted names (half where there are 30 or fewer), by the label as the seed."""
    names = sorted(names)
    count = TRAINING_IMAGES if len(names) > TRAINING_IMAGES else len(names) // 2
    return {names[i] for i in np.random.RandomState(label).permutation(len(names))[:count]}


class _Caltech(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """What the two sets share: folders of classes in a tar file. Features are those of TFDS' caltech101.

    Args: archive: path of the original archive, downloaded if None; partial: take one that is not the published file, in which case each
        picture is decoded once to see that it is whole.
    """

    pattern = None  # of a member that is an image of the set: groups class and file name; anything else in the archive is dropped
    digest = None  # of the archive that ADDRESSES names: (algorithm, hex)
    older_digests = ()  # of archives in which the set was published before

    def __init__(self, *, archive=None, partial=False, **options):
        self.archive = archive
        self._partial = partial
        super().__init__(**options)

    @property
    def facts(self):
        return CATALOGUE[self.name]

    def _info(self):
        features = {
            "image": tfds.features.Image(),
            "label": tfds.features.ClassLabel(names=list(self.folder_names())),
            "image/file_name": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{self.facts.title}. Split: {BY_NAME}.",
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
            homepage=self.facts.homepage,
            citation=self.facts.citation,
        )

    def _split_generators(self, dl_manager):
        archive = self.archive or dl_manager.download(ADDRESSES[self.name][0])
        labels = {name: label for label, name in enumerate(self.folder_names())}
        names = {}
        for class_name, file_name, _ in self._checked(archive, labels):
            names.setdefault(class_name, []).append(file_name)
        train = {
            name: training_names(file_names, labels[name]) for name, file_names in names.items()
        }
        return {
            "train": self._generate_examples(archive, train, wanted=True),
            "test": self._generate_examples(archive, train, wanted=False),
        }

    def _generate_examples(self, archive, train, wanted):
        for class_name, file_name, content in self._images(archive):
            if (file_name in train[class_name]) is wanted:
                record = {
                    "image": io.BytesIO(content),
                    "label": class_name,
                    "image/file_name": file_name,
                }
                yield f"{class_name}/{file_name}", record

    def _checked(self, archive, labels):
        """The images of the archive, after and while looking that it is the set's. Raises InputError."""
        ways_out = f"Download it again from {self.facts.homepage}"
        if not self._partial:
            problems = [
                digest_problem(archive, digest) for digest in (self.digest, *self.older_digests)
            ]
            if all(problems):
                raise InputError(
                    f"{archive} is not the published archive of {self.facts.title}: {problems[0]}. {ways_out}."
                )
        count = 0
        for class_name, file_name, content in self._images(archive):
            if class_name not in labels:
                raise InputError(
                    f"{archive} has a class {class_name!r}, which {self.facts.title} has not. {ways_out}."
                )
            if self._partial:
                self._decode(archive, f"{class_name}/{file_name}", content)
            count += 1
            yield class_name, file_name, content
        expected = self.facts.train_count + self.facts.test_count
        if not count or (count != expected and not self._partial):
            raise InputError(
                f"{archive} has {count:,} images of {self.facts.title}, expected {expected:,}. {ways_out}."
            )

    def _images(self, archive):
        """(class folder, file name, bytes) of each image in the archive. Raises InputError if it cannot be read."""
        try:
            with _open_tar(archive) as tar:
                for member in tar:
                    match = self.pattern.search(member.name)
                    if match and member.isfile():
                        yield self.class_folder(match[1]), match[2], tar.extractfile(member).read()
        except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, KeyError) as error:
            problem = f"{type(error).__name__}: {error}"
            with open(archive, "rb") as file:
                if file.read(512).lstrip()[:1] == b"<":
                    problem = "it is a web page (HTML), not an archive"
            raise InputError(
                f"{archive} cannot be read ({problem}). Download it again from {self.facts.homepage}."
            ) from error

    def _decode(self, archive, name, content):
        import PIL.Image

        try:
            PIL.Image.open(io.BytesIO(content)).load()
        except OSError as error:
            raise InputError(
                f"{archive}: {name} is not a whole picture ({error}). Download the archive again."
            ) from error


class Caltech101(_Caltech, skip_registration=True):  # TFDS has registered its own under the name
    """Caltech-101, from caltech-101.zip (CaltechDATA) or the 101_ObjectCategories.tar.gz that is in it and was published before it."""

    name = "caltech101"
    VERSION = tfds.core.Version("3.0.2")  # the features of TFDS' version of that number
    pattern = re.compile(r"(?:^|/)101_ObjectCategories/([^/]+)/(image_\d{4}\.jpg)$")
    digest = ("sha256", "331234750fc7f77520e50d9565e8b6907b03565e30320da1401130db08c61f91")
    older_digests = (("md5", "b224c7392d521a49829488ab0f1120d9"),)

    @staticmethod
    def folder_names():
        return CATALOGUE["caltech101"].class_names

    @staticmethod
    def class_folder(name):
        return name.lower()  # as TFDS names the classes


class Caltech256(_Caltech):
    """Caltech-256, from 256_ObjectCategories.tar. Dropped: a stray file (198.spider/RENAME2) and a stray folder (056.dog/greg)."""

    VERSION = tfds.core.Version("1.0.0")
    pattern = re.compile(r"(?:^|/)256_ObjectCategories/(\d{3}\.[^/]+)/(\d{3}_\d{4}\.jpg)$")
    digest = ("md5", "67b4f42ca05d46448c6bb8ecd2220f6d")  # CaltechDATA publishes this and no other

    @staticmethod
    def folder_names():
        names = CATALOGUE["caltech256"].class_names
        return [f"{label + 1:03d}.{name}" for label, name in enumerate(names)]

    @staticmethod
    def class_folder(name):
        return name


BUILDERS = {"caltech101": Caltech101, "caltech256": Caltech256}


def _open_tar(path):
    """The tar file at `path`, plain or compressed, or the first one inside a zip."""
    if zipfile.is_zipfile(path):
        archive = zipfile.ZipFile(path)
        inside = next(
            (name for name in archive.namelist() if name.endswith("101_ObjectCategories.tar.gz")),
            None,
        )
        if inside is None:
            raise KeyError(
                f"no 101_ObjectCategories.tar.gz among its {len(archive.namelist())} files"
            )
        return tarfile.open(fileobj=archive.open(inside), mode="r|gz")
    return tarfile.open(path)
