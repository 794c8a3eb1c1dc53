"""Claims: which process does a run now.

    batch/<id>.lock   the lock that the process holds: it ends with the process, whatever kills it
    batch/<id>.claim  which process that is

Other machines see a claim if the shared folder has locks (NFS version 4 has).
"""

import contextlib
import json
import pathlib
from collections.abc import Iterator
from typing import Any

from cnnlab import locks
from cnnlab.batch import records
from cnnlib import storage


def claim_path(run_id: str) -> pathlib.Path:
    """Return the path of the file that says which process does the run."""
    return records.folder() / f"{run_id}.claim"


def lock_path(run_id: str) -> pathlib.Path:
    """Return the path of the file whose lock is the claim."""
    return records.folder() / f"{run_id}.lock"


@contextlib.contextmanager
def claimed(run_id: str, **holder: Any) -> Iterator[bool]:
    """Hold the claim of a run; yield True, or False if another process holds it.

    Args:
        run_id: the run.
        holder: what others may know about this process.
    """
    storage.make_folder(records.folder())
    # `is_claimed` holds the lock for an instant when it looks: hence the timeout.
    with locks.attempt(lock_path(run_id), timeout=2) as mine:
        if not mine:
            yield False
            return
        try:
            storage.write_atomically(claim_path(run_id), json.dumps(holder) + "\n")
            yield True
        finally:
            claim_path(run_id).unlink(missing_ok=True)


def is_claimed(run_id: str) -> bool:
    """Return whether a process does this run now."""
    with locks.attempt(lock_path(run_id), timeout=0) as free:
        return not free


def read(run_id: str) -> dict[str, Any]:
    """Return who does the run now, empty if nobody does."""
    return records.read_json(claim_path(run_id)) if is_claimed(run_id) else {}
