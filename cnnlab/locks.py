"""Locks of the laboratory: which process does a run of a batch.

It is a lock of the operating system on a file of its own. It ends with the process that holds it,
whatever kills that.
"""

import contextlib
import pathlib
from collections.abc import Iterator

import filelock

from cnnlib.errors import InputError


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
