"""Check where a command is told to write, before it spends minutes on what it writes."""

import os
import pathlib

from cnnlib import storage
from cnnlib.errors import InputError


def output_file(path: str | os.PathLike[str]) -> pathlib.Path:
    """Return the path of a file to write, with links followed. Its folder is created.

    Raises:
        InputError: it is an address such as s3://..., a folder or a device, or cannot be written.
    """
    path = pathlib.Path(os.path.realpath(_local(path)))
    if path.exists() and not path.is_file():
        raise InputError(f"cannot write {path}: it is not a regular file; give another path")
    storage.make_folder(path.parent)
    return path


def output_folder(path: str | os.PathLike[str]) -> pathlib.Path:
    """Return the path of a folder to write to, created if it is missing; raise as `output_file`."""
    return storage.make_folder(_local(path))


def _local(path):
    text = os.fspath(path)
    if "://" in text or not text or "\0" in text:
        raise InputError(
            f"cannot write {text!r}: only paths of this machine are written here. `batch run FILE "
            "--copy-to` copies executed notebooks to s3://, gs:// and the like"
        )
    return path
