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
    """Return the content of a file; one of data/ that is not as published raises Damaged."""
    path = storage.existing_file(path)
    name = name_of(path)
    if name is None:
        return path.read_bytes()
    expected = digests().get(name)
    if expected is None:
        hint = "if you added the file, run `python -m cnnlab.manifest`"
        raise _damaged(name, f"is not listed in data/{NAME} and cannot be verified ({hint})")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _damaged(name, f"cannot be read ({error.strerror or error})") from error
    if (found := hashlib.sha256(content).hexdigest()) not in expected:
        raise _damaged(name, f"is altered or cut off: SHA-256 {found}, expected {expected[-1]}")
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
    """Return the SHA-256 of each file in data/ by its name: two where it is being replaced."""
    try:
        lines = (storage.DATA / NAME).read_bytes().decode("ascii").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(NAME, f"cannot be read ({error})") from error
    found: dict[str, list[str]] = {}
    for number, line in enumerate(lines[:-1], start=1):
        match = re.fullmatch(r"([0-9a-f]{64})  (.+)", line)
        if not match:
            raise _damaged(NAME, f"is altered in line {number}")
        found.setdefault(match[2], []).append(match[1])
    if lines[-1]:
        raise _damaged(NAME, "is cut off")
    return found


def _damaged(name: str, problem: str) -> Damaged:
    files = f"data/{NAME}" if name == NAME else f"data/{name} data/{NAME}"
    restore = f"`git checkout {files}` brings the published content back"
    return Damaged(f"{storage.DATA / name} {problem}. {restore}.")
