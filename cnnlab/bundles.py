"""Prepared data sets in one file, for machines without a network: a zip with SHA-256 sums.

Inside: `tfds/<name>/<version>/...`, folders as TFDS prepared them, `weights/...`, VGG16's weights,
and SHA256SUMS. Nothing is compressed, since images are already: so a bundle is never larger
unpacked than it is packed.
"""

import contextlib
import hashlib
import os
import pathlib
import re
import shutil
import zipfile
from collections.abc import Iterable, Iterator

from cnnlib import datasets, integrity, storage
from cnnlib.datasets import embedded, prepared
from cnnlib.datasets.catalogue import CATALOGUE, Info
from cnnlib.errors import Damaged, InputError, Unavailable

SUMS = "SHA256SUMS"
MOST_BYTES_OF_SUMS = 1 << 20  # ImageNet's 1,088 files take a tenth of it
WEIGHTS = ("vgg16_notop.float16.npz",)  # of data/weights/
CHUNK = 1 << 20


def bundle(names: Iterable[str], output: str | os.PathLike[str]) -> list[str]:
    """Pack prepared data sets and the weights into a zip; return the names of the files in it.

    Args:
        names: the data sets. Those that the repository carries whole are left out.
        output: the zip. It is written whole or not at all.

    Raises:
        InputError: unknown name, nothing to pack, or `output` cannot be written.
        Unavailable: a data set is not prepared here.
        Damaged: the files of a data set are not whole.
    """
    members = _members([datasets.info(name) for name in names])
    with (
        storage.replacing(output, variable=None) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
    ):
        sums = [f"{_add(archive, name, path)}  {name}\n" for name, path in members.items()]
        archive.writestr(SUMS, "".join(sums))
    return list(members)


def _members(infos: Iterable[Info]) -> dict[str, pathlib.Path]:
    """Return the path of each file that goes into a bundle, by its name there."""
    members: dict[str, pathlib.Path] = {}
    for info in infos:
        if info.name in embedded.WHOLE:
            continue
        folder = prepared.find(info)
        if folder is None:
            raise Unavailable(
                f"{info.name} is not prepared here: run `python -m cnnlib data fetch {info.name}` "
                "first"
            )
        splits = prepared.check(folder, info, partial=True)
        members |= {
            f"tfds/{info.tfds_name}/{folder.name}/{path.name}": path
            for path in sorted(folder.iterdir())
            if path.is_file() and _belongs(path.name, splits)
        }
    weights = {f"weights/{name}": storage.DATA / "weights" / name for name in WEIGHTS}
    members |= {name: path for name, path in weights.items() if path.is_file()}
    if not members:
        raise InputError("there is nothing to pack: the repository itself carries these sets whole")
    return members


def _belongs(name: str, splits: dict[str, prepared.Split]) -> bool:
    """Return whether a file is one that TFDS writes into a version folder."""
    shards = {shard.name for split in splits.values() for shard in split.shards}
    return name in shards or name.endswith((".json", ".labels.txt"))


def _add(archive: zipfile.ZipFile, name: str, path: pathlib.Path) -> str:
    """Add a file to a bundle; return its SHA-256."""
    digest = hashlib.sha256()
    with (
        path.open("rb") as source,
        archive.open(zipfile.ZipInfo.from_file(path, name), "w", force_zip64=True) as target,
    ):
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            target.write(chunk)
    return digest.hexdigest()


def unpack(path: str | os.PathLike[str]) -> list[str]:
    """Install what is in a bundle; return a line for each folder.

    A folder appears whole, once each of its files has the SHA-256 that the bundle gives for it and
    the folder is what TFDS writes for the set. Weights must be those of data/SHA256SUMS. What is
    here already, with the same content, is left alone.

    Raises:
        InputError: no bundle, a file that does not belong there, a folder here with another
            content, or a full disk.
        Damaged: a file differs from its SHA-256, or a folder is not whole.
    """
    path = pathlib.Path(path)
    with _opened(path) as archive:
        sums = _sums(archive, path)
        folders: dict[pathlib.Path, list[str]] = {}
        for name in sums:
            folders.setdefault(_target(name, path), []).append(name)
        return [_install(archive, path, folder, names, sums) for folder, names in folders.items()]


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[zipfile.ZipFile]:
    """Open a bundle, once its directory says that it holds plain files and no more than its size.

    Raises:
        InputError: it is no zip, or one that `bundle` has not written.
    """
    size = path.stat().st_size
    try:
        archive = zipfile.ZipFile(path)
    except OSError as error:
        if error.filename is not None:
            raise
        raise _not_whole(path, error) from error
    except Exception as error:  # whatever zipfile makes of an altered directory
        raise _not_whole(path, error) from error
    with archive:
        for member in archive.infolist():
            if member.flag_bits & 1:
                raise _refused(path, f"{member.filename} in it is encrypted")
            if member.compress_type != zipfile.ZIP_STORED or member.file_size != (
                member.compress_size
            ):
                raise _refused(path, f"{member.filename} in it is compressed")
        if sum(member.file_size for member in archive.infolist()) > size:
            raise InputError(
                f"{path} is not a whole bundle: its files would have more bytes than it has "
                "itself. Copy it again."
            )
        yield archive


def _sums(archive: zipfile.ZipFile, path: pathlib.Path) -> dict[str, str]:
    """Return the SHA-256 of each file by its name, once the zip has these files and no others."""
    names = archive.namelist()
    if SUMS not in names:
        raise _refused(path, f"it has no {SUMS}")
    if archive.getinfo(SUMS).file_size > MOST_BYTES_OF_SUMS:
        raise _refused(path, f"its {SUMS} is far too large")
    try:
        lines = archive.read(SUMS).decode("utf-8", errors="replace").splitlines()
    except Exception as error:  # whatever zipfile makes of altered bytes
        raise _not_whole(path, error) from error
    pairs = [re.fullmatch(r"([0-9a-f]{64})  (.+)", line) for line in lines]
    sums = {pair[2]: pair[1] for pair in pairs if pair}
    if len(sums) != len(lines) or sorted(names) != sorted([*sums, SUMS]):
        raise InputError(
            f"{path} is altered: its files are not those that its {SUMS} lists. Copy it again."
        )
    return sums


def _target(name: str, path: pathlib.Path) -> pathlib.Path:
    """Return the folder into which a file of a bundle belongs; InputError for any other name."""
    *folders, last = name.split("/")
    if folders == ["weights"] and last in WEIGHTS:
        return storage.DATA / "weights"
    versions = {f"tfds/{info.tfds_name}/{info.version}" for info in CATALOGUE.values()}
    if "/".join(folders) in versions and re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", last):
        return prepared.data_folder().joinpath(*folders[1:])
    raise _refused(path, f"{name!r} does not belong into a bundle")


def _install(
    archive: zipfile.ZipFile,
    path: pathlib.Path,
    folder: pathlib.Path,
    names: list[str],
    sums: dict[str, str],
) -> str:
    """Put the files of one folder in place, all or none; return a line that says so."""
    is_weights = folder == storage.DATA / "weights"
    if is_weights:
        _check_weights(path, names, sums)
    storage.make_folder(folder.parent, variable="CNNLIB_DATA")
    with storage.one_at_a_time(folder, f"prepares {folder.name}"):
        here = {name: folder / name.rpartition("/")[2] for name in names}
        if all(target.is_file() and _digest(target) == sums[name] for name, target in here.items()):
            return f"{folder}: already here, the same"
        if folder.exists() and not is_weights:
            raise InputError(
                f"{folder} is here already, with another content. If you want the bundle's, "
                "delete that folder first."
            )
        _check_room(archive, path, folder.parent, names)
        part = folder.parent / f"incomplete.unpack_{folder.name}"
        try:
            shutil.rmtree(part, ignore_errors=True)  # of an attempt that was killed
            part.mkdir()
            for name, target in here.items():
                _extract(archive, path, name, part / target.name, sums[name])
            if is_weights:
                folder.mkdir(exist_ok=True)
                for target in here.values():
                    os.replace(part / target.name, target)
            else:
                _check_set(part, path, folder)
                os.replace(part, folder)
        except OSError as error:
            raise InputError(
                f"cannot unpack {path} into {folder} ({error.strerror or error}). Make room, or "
                "set CNNLIB_DATA to a folder that can be written to, and unpack again."
            ) from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return f"{folder}: {len(names)} files"


def _check_weights(path: pathlib.Path, names: list[str], sums: dict[str, str]) -> None:
    """Raise Damaged unless the weights in a bundle are the published ones."""
    published = integrity.digests()
    for name in names:
        if sums[name] not in published.get(name, []):
            raise Damaged(
                f"{name} in {path} is not the published file: SHA-256 {sums[name]}, expected "
                f"{' or '.join(published.get(name, ['none']))}. Nothing of it was installed."
            )


def _check_set(part: pathlib.Path, path: pathlib.Path, folder: pathlib.Path) -> None:
    """Raise Damaged unless the unpacked folder `part` is what TFDS writes for `folder`."""
    tfds_name = folder.relative_to(prepared.data_folder()).parent.as_posix()
    info = next(info for info in CATALOGUE.values() if info.tfds_name == tfds_name)
    try:
        splits = prepared.check(part, info, partial=True)
    except Damaged as error:
        problem = str(error).split(". Delete the folder")[0].replace(str(part), folder.name)
        raise Damaged(
            f"{path} holds no whole {info.name}: {problem}. Make the bundle again."
        ) from error
    strays = [file.name for file in part.iterdir() if not _belongs(file.name, splits)]
    if strays or not splits:
        problem = f"{strays[0]} is none of its files" if strays else "it has no images"
        raise Damaged(f"{path} holds no whole {info.name}: {problem}. Make the bundle again.")
    version = prepared.read_json(part / "dataset_info.json").get("version")
    if version != folder.name:
        raise Damaged(
            f"{path} holds no whole {info.name}: its files are of version {version}, its folder "
            f"is {folder.name}. Make the bundle again."
        )


def _check_room(
    archive: zipfile.ZipFile, path: pathlib.Path, folder: pathlib.Path, names: list[str]
) -> None:
    """Raise InputError unless the files fit on the disk."""
    size, free = (
        sum(archive.getinfo(name).file_size for name in names),
        shutil.disk_usage(folder).free,
    )
    if size > free:
        raise InputError(
            f"cannot unpack {path}: {size:,} bytes do not fit into {folder}, which has {free:,} "
            "left. Make room, or set CNNLIB_DATA to a folder on another disk."
        )


def _extract(
    archive: zipfile.ZipFile, path: pathlib.Path, name: str, target: pathlib.Path, expected: str
) -> None:
    """Copy one file out of the zip. Raises Damaged if it has not the expected SHA-256."""
    digest = hashlib.sha256()
    with target.open("wb") as file:
        for chunk in _chunks(archive, path, name):
            digest.update(chunk)
            file.write(chunk)
    if digest.hexdigest() != expected:
        raise Damaged(
            f"{name} in {path} is damaged: SHA-256 {digest.hexdigest()}, expected {expected}. "
            "Copy the bundle again."
        )


def _chunks(archive: zipfile.ZipFile, path: pathlib.Path, name: str) -> Iterator[bytes]:
    """Yield the content of one file of the zip, so that only errors of reading are caught here."""
    try:
        with archive.open(name) as source:
            while chunk := source.read(CHUNK):
                yield chunk
    except Exception as error:  # its own CRC-32; whatever zipfile makes of altered bytes
        raise Damaged(
            f"{name} in {path} is damaged ({type(error).__name__}: {error}). Copy the bundle again."
        ) from error


def _not_whole(path: pathlib.Path, error: Exception) -> InputError:
    return InputError(
        f"{path} is not a whole bundle ({type(error).__name__}: {error}). Copy it again."
    )


def _refused(path: pathlib.Path, problem: str) -> InputError:
    return InputError(
        f"{path} is not a bundle of `python -m cnnlib data bundle`: {problem}. Nothing of it was "
        "installed."
    )


def _digest(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
