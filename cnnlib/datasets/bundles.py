"""Prepared data sets in one file, for machines without a network: a plain zip with the SHA-256 of each of its files in SHA256SUMS.

Inside: `tfds/<name>/<version>/...`, folders as TFDS prepared them, and `weights/...`, VGG16's weights if this machine has them.
"""

import hashlib
import os
import pathlib
import re
import shutil
import zipfile

from cnnlib import storage
from cnnlib.datasets import embedded, prepared
from cnnlib.datasets.catalogue import CATALOGUE
from cnnlib.datasets.download import one_at_a_time
from cnnlib.errors import Damaged, InputError, Unavailable, check_name

SUMS = "SHA256SUMS"
WEIGHTS = ("vgg16_notop.float16.npz",)  # of data/weights/
CHUNK = 1 << 20


def bundle(names, output):
    """Pack prepared data sets and the weights into the zip `output`; return the names of the files in it.

    Raises Unavailable for a set that is not prepared here, Damaged for one whose files are not whole, InputError if `output` cannot be
    written. `output` is written whole or not at all.
    """
    members = _members([CATALOGUE[check_name("data set", name, CATALOGUE)] for name in names])
    # Stored, not compressed: what is in there is compressed already
    with (
        storage.replacing(output, variable=None) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
    ):
        sums = [f"{_add(archive, name, path)}  {name}\n" for name, path in members.items()]
        archive.writestr(SUMS, "".join(sums))
    return list(members)


def _members(infos):
    """{name in the zip: path} of all that goes into a bundle."""
    members = {}
    for info in infos:
        folder = prepared.find(info)
        if folder is None and info.name in embedded.WHOLE:
            continue  # every clone of the repository has it
        if folder is None:
            raise Unavailable(
                f"{info.name} is not prepared here: `python -m cnnlib data fetch {info.name}` first"
            )
        prepared.check(folder, info, partial=True)
        members |= {
            f"tfds/{info.tfds_name}/{folder.name}/{path.name}": path
            for path in sorted(folder.iterdir())
            if path.is_file()
        }
    weights = {f"weights/{name}": storage.DATA / "weights" / name for name in WEIGHTS}
    members |= {name: path for name, path in weights.items() if path.is_file()}
    if not members:
        raise InputError("there is nothing to pack: the repository itself carries these sets whole")
    return members


def _add(archive, name, path):
    """Add the file at `path` to a ZipFile; return its SHA-256."""
    digest = hashlib.sha256()
    with (
        path.open("rb") as source,
        archive.open(zipfile.ZipInfo.from_file(path, name), "w", force_zip64=True) as target,
    ):
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            target.write(chunk)
    return digest.hexdigest()


def unpack(path):
    """Install what is in a bundle; return lines that say what was done. What is here already, with the same content, is left alone.

    A folder appears whole, once each of its files has the SHA-256 that the bundle gives for it. Raises InputError (not a bundle, a path
    that leads out of the folder, a folder here with another content, a full disk) and Damaged (a file differs from its SHA-256).
    """
    path = pathlib.Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            sums = _sums(archive, path)
            folders = {}
            for name in sums:
                folders.setdefault(_target(name, path), []).append(name)
            done = [
                _install(archive, path, folder, names, sums) for folder, names in folders.items()
            ]
    except zipfile.BadZipFile as error:
        raise InputError(f"{path} is not a whole bundle ({error}): copy it again") from error
    except OSError as error:
        if error.filename == str(path):
            raise
        raise InputError(
            f"cannot unpack {path} ({error.strerror or error}: {error.filename}): make room, then do the same again"
        ) from error
    return done


def _sums(archive, path):
    """{name: SHA-256} of a bundle. Raises InputError unless it lists each of the zip's files once and nothing else."""
    names = archive.namelist()
    if SUMS not in names:
        raise InputError(
            f"{path} is not a bundle of `python -m cnnlib data bundle`: it has no {SUMS}"
        )
    lines = archive.read(SUMS).decode("utf-8", errors="replace").splitlines()
    pairs = [re.fullmatch(r"([0-9a-f]{64})  (.+)", line) for line in lines]
    sums = {pair[2]: pair[1] for pair in pairs if pair}
    if len(sums) != len(lines) or sorted(names) != sorted([*sums, SUMS]):
        raise InputError(
            f"{path} is altered: its files are not those that its {SUMS} lists. Copy it again"
        )
    return sums


def _target(name, path):
    """The folder into which a file of a bundle belongs. Raises InputError for any name that this program would not have packed."""
    *folders, last = name.split("/")
    if folders == ["weights"] and last in WEIGHTS:
        return storage.DATA / "weights"
    is_version = bool(folders) and re.fullmatch(r"\d+\.\d+\.\d+", folders[-1])
    is_known = folders[:1] == ["tfds"] and "/".join(folders[1:-1]) in {
        info.tfds_name for info in CATALOGUE.values()
    }
    if is_known and is_version and re.fullmatch(r"\w[\w.-]*", last):
        return prepared.data_folder().joinpath(*folders[1:])
    raise InputError(
        f"{path} is refused: {name!r} does not belong into a bundle, and nothing after it was unpacked"
    )


def _install(archive, path, folder, names, sums):
    """Put the files of one folder in place, all or none of a prepared set; return a line that says so."""
    storage.make_folder(folder.parent, variable="CNNLIB_DATA")
    with one_at_a_time(folder.parent, folder.name):
        here = {name: folder / name.rpartition("/")[2] for name in names}
        if all(target.is_file() and _digest(target) == sums[name] for name, target in here.items()):
            return f"{folder}: already here, the same"
        if folder.exists() and folder.name != "weights":
            raise InputError(
                f"{folder} is here already, with another content. If you want the bundle's, delete that folder first"
            )
        part = folder.parent / f"incomplete.unpack_{folder.name}"
        shutil.rmtree(part, ignore_errors=True)  # of an attempt that was killed
        part.mkdir()
        try:
            for name, target in here.items():
                _extract(archive, path, name, part / target.name, sums[name])
            if folder.name == "weights":
                folder.mkdir(exist_ok=True)
                for target in here.values():
                    os.replace(part / target.name, target)
            else:
                os.replace(part, folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return f"{folder}: {len(names)} files"


def _extract(archive, path, name, target, expected):
    """Copy one file out of the zip. Raises Damaged if it has not the expected SHA-256."""
    digest = hashlib.sha256()
    try:
        with archive.open(name) as source, target.open("wb") as file:
            while chunk := source.read(CHUNK):
                digest.update(chunk)
                file.write(chunk)
    except zipfile.BadZipFile as error:  # the zip's own CRC-32
        raise Damaged(f"{name} in {path} is damaged ({error}): copy the bundle again") from error
    if digest.hexdigest() != expected:
        raise Damaged(
            f"{name} in {path} is damaged: SHA-256 {digest.hexdigest()}, expected {expected}. Copy the bundle again"
        )


def _digest(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
