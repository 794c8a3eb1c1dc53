"""Prepared data sets in one file, for machines without a network: a zip with SHA-256 sums.

Inside: `tfds/<name>/<version>/...`, folders as TFDS prepared them, and SHA256SUMS. Nothing is
compressed, since images are already: so a bundle is never larger unpacked than it is packed.
"""

import contextlib
import os
import pathlib
import re
import shutil
import zipfile
from collections.abc import Iterable, Iterator

from cnnlab import output_paths
from cnnlib import datasets, integrity, storage
from cnnlib.datasets import embedded, prepared
from cnnlib.datasets.catalogue import CATALOGUE, Info
from cnnlib.errors import Damaged, InputError, Unavailable

SUMS = "SHA256SUMS"
MOST_BYTES_OF_SUMS = 1 << 20  # ImageNet's 1,088 files take a tenth of it


def pack(names: Iterable[str], output: str | os.PathLike[str]) -> list[str]:
    """Pack prepared data sets into the zip `output`; return the names of the files in it.

    Data sets that the repository carries whole are left out. The zip is written whole or not at
    all.

    Raises:
        InputError: unknown name, nothing to pack, or `output` cannot be written.
        Unavailable: a data set is not prepared here.
        Damaged: the files of a data set are not whole.
    """
    members: dict[str, pathlib.Path] = {}
    for info in [datasets.info(name) for name in names]:
        if info.name in embedded.WHOLE:
            continue
        folder = prepared.find(info)
        if folder is None:
            command = f"python -m cnnlib data fetch {info.name}"
            raise Unavailable(f"{info.name} is not prepared here: run `{command}` first")
        for path in _files(folder, info):
            members[f"tfds/{info.tfds_name}/{folder.name}/{path.name}"] = path
    if not members:
        raise InputError("there is nothing to pack: the repository itself carries these sets whole")
    with (
        storage.replacing(output_paths.output_file(output)) as temporary,
        zipfile.ZipFile(temporary, "w", strict_timestamps=False) as archive,
    ):
        for name, path in members.items():
            archive.write(path, name)
        sums = [f"{integrity.digest(path)}  {name}\n" for name, path in members.items()]
        archive.writestr(zipfile.ZipInfo(SUMS), "".join(sums))  # no clock: it may say 1970
    return list(members)


def _files(folder: pathlib.Path, info: Info) -> list[pathlib.Path]:
    """Return the files of a version folder that TFDS wrote; raise Damaged unless it is whole."""
    splits = prepared.check(folder, info, partial=True).values()
    found = [shard for split in splits for shard in split.shards(folder, info)]
    found += [folder / prepared.INFO, folder / "features.json"]
    return sorted([*found, *folder.glob("[!.]*.labels.txt")])


def unpack(path: str | os.PathLike[str]) -> list[str]:
    """Install what is in a bundle; return a line for each folder.

    A folder appears whole, once each of its files has the SHA-256 that the bundle gives for it and
    the folder is what TFDS writes for the set. What is here already, with the same content, is left
    alone.

    Raises:
        InputError: no bundle, a file that does not belong there, a folder here with another
            content, or a full disk.
        Damaged: a file differs from its SHA-256, or a folder is not whole.
    """
    path = pathlib.Path(path)
    with _opened(path) as archive:
        sums = _sums(archive, path)
        infos = {f"tfds/{info.tfds_name}/{info.version}": info for info in CATALOGUE.values()}
        sets: dict[str, dict[str, str]] = {}
        for name, digest in sums.items():
            folder, _, last = name.rpartition("/")
            if folder not in infos or not re.fullmatch(r"\w[\w.-]*", last, re.ASCII):
                raise _refused(path, f"{name!r} does not belong into a bundle")
            sets.setdefault(folder, {})[name] = digest
        return [_install(archive, path, infos[folder], files) for folder, files in sets.items()]


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[zipfile.ZipFile]:
    """Open a bundle, once its directory says that it holds plain files and no more than its size.

    Raises:
        InputError: it is no zip, or one that `pack` has not written.
    """
    size = storage.existing_file(path).stat().st_size
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # whatever zipfile makes of an altered directory
        raise InputError(f"{path} is not a whole bundle ({error!r}). Copy it again.") from error
    with archive:
        for member in archive.infolist():
            is_stored = member.compress_type == zipfile.ZIP_STORED
            if not is_stored or member.file_size != member.compress_size or member.flag_bits & 1:
                raise _refused(path, f"{member.filename} in it is compressed or encrypted")
        if sum(member.file_size for member in archive.infolist()) > size:
            raise _refused(path, "its files would have more bytes than it has itself")
        yield archive


def _sums(archive: zipfile.ZipFile, path: pathlib.Path) -> dict[str, str]:
    """Return the SHA-256 of each file by its name, once the zip has these files and no others."""
    names = archive.namelist()
    if SUMS not in names or archive.getinfo(SUMS).file_size > MOST_BYTES_OF_SUMS:
        raise _refused(path, f"it has no {SUMS} of a bundle")
    text = b"".join(_chunks(archive, path, SUMS)).decode("utf-8", errors="replace")
    sums = {name: digest for digest, name in re.findall(r"^([0-9a-f]{64})  (.+)$", text, re.M)}
    if not sums or sorted(names) != sorted([*sums, SUMS]):
        raise _refused(path, f"its files are not those that its {SUMS} lists")
    return sums


def _install(archive: zipfile.ZipFile, path: pathlib.Path, info: Info, sums: dict[str, str]) -> str:
    """Put the files of one data set in place, all or none; return a line that says so."""
    folder = prepared.data_folder() / info.tfds_name / info.version
    storage.make_folder(folder.parent)
    with storage.one_at_a_time(folder, f"prepares {info.name}"):
        here = {folder / pathlib.PurePosixPath(name).name: sums[name] for name in sums}
        if all(file.is_file() and integrity.digest(file) == here[file] for file in here):
            return f"{folder}: already here, the same"
        if folder.exists():
            raise InputError(
                f"{folder} is here already, with another content. If you want the bundle's, "
                "delete that folder first."
            )
        part = folder.parent / f"incomplete.unpack_{folder.name}"
        shutil.rmtree(part, ignore_errors=True)  # of an attempt that was killed
        try:
            part.mkdir()
            for name, digest in sums.items():
                target = part / pathlib.PurePosixPath(name).name
                with target.open("wb") as file:
                    file.writelines(_chunks(archive, path, name))
                if integrity.digest(target) != digest:
                    raise Damaged(f"{name} in {path} is damaged. Copy the bundle again.")
            _check_set(part, path, info)
            os.replace(part, folder)
        except OSError as error:
            raise InputError(
                f"cannot unpack {path} into {folder} ({error.strerror or error}). Make room, or "
                "set CNNLIB_DATA to a folder that can be written to, and unpack again."
            ) from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return f"{folder}: {len(sums)} files"


def _check_set(part: pathlib.Path, path: pathlib.Path, info: Info) -> None:
    """Raise Damaged unless the folder `part` is what TFDS writes for the set."""
    try:
        strays = {*part.iterdir()} - {*_files(part, info)}
        version = prepared.metadata(part).version
    except Damaged as error:
        problem = str(error).split(". Delete the folder")[0]
    else:
        problem = f"{strays.pop().name} is none of its files" if strays else ""
        if version != info.version:
            problem = f"its files are of version {version}, its folder is {info.version}"
    if problem:
        raise Damaged(f"{path} holds no whole {info.name}: {problem}. Make the bundle again.")


def _chunks(archive: zipfile.ZipFile, path: pathlib.Path, name: str) -> Iterator[bytes]:
    """Yield the content of one file of the zip, so that only errors of reading are caught here."""
    try:
        with archive.open(name) as source:
            while chunk := source.read(1 << 20):
                yield chunk
    except Exception as error:  # its own CRC-32; whatever zipfile makes of altered bytes
        raise Damaged(f"{name} in {path} is damaged ({error!r}). Copy the bundle again.") from error


def _refused(path: pathlib.Path, problem: str) -> InputError:
    return InputError(
        f"{path} is not a whole bundle of `python -m cnnlib data bundle`: {problem}. Nothing of it "
        "was installed: copy it again."
    )
