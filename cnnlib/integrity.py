"""Integrity of the files in data/: each is compared with its SHA-256 whenever it is read.

The digests stand in data/SHA256SUMS, the manifest, in the format of `sha256sum`.
`cnnlab.manifest` writes it.
"""

import hashlib
import os
import pathlib
import re

from cnnlib import storage
from cnnlib.errors import Damaged

NAME = "SHA256SUMS"


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Return the content of a file, verified if it is one of the files in data/.

    Raises:
        Damaged: the file differs from its SHA-256, is missing, or is not in the manifest.
    """
    path = pathlib.Path(path)
    name = name_of(path)
    if name is None:
        return path.read_bytes()
    expected = digests().get(name)
    if expected is None:
        raise Damaged(
            f"{path} is not listed in data/{NAME}, so its content cannot be verified. "
            f"{repair(name)} If you added the file, run `python -m cnnlab.manifest`."
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Damaged(
            f"{path} cannot be read ({error.strerror or error}). {repair(name)}"
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found not in expected:
        raise Damaged(
            f"{path} is altered or cut off: SHA-256 {found}, expected {' or '.join(expected)}. "
            f"{repair(name)}"
        )
    return content


def read_text(path: str | os.PathLike[str]) -> str:
    """Return the text of a file, verified as by `read_bytes`, without a byte order mark."""
    return read_bytes(path).decode("utf-8-sig")


def digest(path: str | os.PathLike[str], algorithm: str = "sha256") -> str:
    """Return the digest of a file of any size, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def verify(path: str | os.PathLike[str]) -> pathlib.Path:
    """Return `path` once its content is verified as by `read_bytes`, for a library to open it."""
    read_bytes(path)
    return pathlib.Path(path)


def exists(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is there, or should be: reading a missing file of data/ says so."""
    path = pathlib.Path(path)
    name = name_of(path)
    try:
        return path.exists() or (name is not None and name in digests())
    except OSError:  # a name that no file can have
        return False


def name_of(path: pathlib.Path) -> str | None:
    """Return the name under which the manifest lists a file, or None for a file outside data/."""
    try:
        return pathlib.Path(os.path.abspath(path)).relative_to(storage.DATA).as_posix()
    except ValueError:
        return None


def digests() -> dict[str, list[str]]:
    """Return the SHA-256 of each file in data/ by its name: two where it is being replaced.

    Raises:
        Damaged: the manifest is missing or malformed.
    """
    path = storage.DATA / NAME
    try:
        lines = path.read_bytes().decode("ascii").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Damaged(f"{path} cannot be read ({error}). {repair(NAME)}") from error
    found: dict[str, list[str]] = {}
    for number, line in enumerate(lines[:-1], start=1):
        match = re.fullmatch(r"([0-9a-f]{64})  (.+)", line)
        if not match:
            raise Damaged(f"{path} is altered in line {number}. {repair(NAME)}")
        found.setdefault(match[2], []).append(match[1])
    if lines[-1]:
        raise Damaged(f"{path} is cut off. {repair(NAME)}")
    return found


def repair(name: str) -> str:
    """Return the sentence that says how to bring back a file of data/."""
    files = f"data/{NAME}" if name == NAME else f"data/{name} data/{NAME}"
    return f"`git checkout {files}` brings the published content back."
