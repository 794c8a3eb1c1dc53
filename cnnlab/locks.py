"""Locks of the laboratory: who may change data/, and which process does a run of a batch.

Each is a lock of the operating system on a file of its own. It ends with the process that holds it,
whatever kills that.
"""

import contextlib
import pathlib
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
