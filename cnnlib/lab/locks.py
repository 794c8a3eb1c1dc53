"""Locks: one process at a time writes, and the others wait or are refused.

Each is a lock of the operating system on a file of its own. It ends with the process that holds it,
whatever kills that.
"""

import contextlib
import os
import pathlib
import sys
from collections.abc import Iterator

import filelock

from cnnlib import storage
from cnnlib.errors import InputError
from cnnlib.results import rows


@contextlib.contextmanager
def of_data() -> Iterator[None]:
    """Let one process at a time change data/, its manifest included.

    Whoever holds the lock may take it again.
    """
    folder = storage.make_folder(rows.MEASURED, variable=None)
    with filelock.FileLock(folder / ".lock", is_singleton=True):
        yield


@contextlib.contextmanager
def waiting(path: str | os.PathLike[str], doing: str = "") -> Iterator[None]:
    """Hold the lock on the file `path`, after any other process that holds it.

    Args:
        path: the lock's own file; it is created.
        doing: what the other process does, for a line that says why this one waits; none if empty.
    """
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        if doing:
            print(f"waiting for another process that {doing}", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def attempt(path: pathlib.Path, timeout: float) -> Iterator[bool]:
    """Hold the lock on the file `path`; yield False if another process keeps it for `timeout` s.

    Raises:
        InputError: the disk has no locks, or the file cannot be written.
    """
    # A soft lock would outlive a process that is killed.
    lock = filelock.FileLock(path, timeout=timeout, fallback_to_soft=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        yield False
        return
    except OSError as error:
        raise InputError(
            f"cannot lock {path} ({error.strerror or error}). Put the results in a folder that you "
            "may write to, on a disk that has locks, such as NFS version 4 or a local one: "
            "set CNNLIB_RESULTS"
        ) from error
    try:
        yield True
    finally:
        lock.release()
