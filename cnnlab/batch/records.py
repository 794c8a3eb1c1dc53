"""What the results folder knows about the runs of a batch. Nothing is kept anywhere else.

    rows/<id>.json               the row of a training: it is done
    notebooks/<id>.ipynb         an executed notebook: it is done
    notebooks/<id>.failed.ipynb  a notebook that failed, as far as it got
    logs/<id>.log                what a run printed
    batch/<id>.json              the record of a run: how it ended, when, where, how long it took,
                                 and the traceback of one that failed

Each file is written whole or not at all. Which process does a run now is said by `claims`.
"""

import functools
import json
import os
import pathlib
from collections.abc import Iterable
from typing import Any

from cnnlib import storage

DONE, RUNNING, FAILED, TO_DO = "done", "running", "failed", "to do"


class Finished:
    """What the results folder and the ledger had when they were first asked."""

    def __init__(self, datasets: Iterable[str] = ()):
        """Look at the ledgers of these data sets only."""
        self._datasets = tuple(datasets)

    @functools.cached_property
    def rows(self) -> set[str]:
        """The ids of the rows of this machine and of the ledger."""
        from cnnlib.results import rows

        # This machine first: a row that is published meanwhile is then seen twice, not missed.
        folder = rows.local_file("any").parent
        local = {name.removesuffix(".json") for name in listing(folder)}
        return local.union(*(rows.read_ledger(dataset) for dataset in self._datasets))

    @functools.cached_property
    def notebooks(self) -> set[str]:
        """The file names of the executed notebooks."""
        return listing(notebook_path("any").parent)


def folder() -> pathlib.Path:
    """Return the folder of records and claims."""
    return storage.results_folder() / "batch"


def record_path(run_id: str) -> pathlib.Path:
    """Return the path of a run's record."""
    return folder() / f"{run_id}.json"


def log_path(run_id: str) -> pathlib.Path:
    """Return the path of the file with what a run printed."""
    return storage.results_folder() / "logs" / f"{run_id}.log"


def notebook_path(run_id: str) -> pathlib.Path:
    """Return the path of a run's executed notebook."""
    return storage.results_folder() / "notebooks" / f"{run_id}.ipynb"


def partial_path(run_id: str) -> pathlib.Path:
    """Return the path of a notebook that failed, as far as it got."""
    return notebook_path(run_id).with_suffix(".failed.ipynb")


def read_record(run_id: str) -> dict[str, Any]:
    """Return the record of a run, empty if there is none."""
    record = read_json(record_path(run_id))
    if "state" in record:  # written by the first edition
        record["status"] = record.pop("state")
    return record


def write_record(run_id: str, **fields: Any) -> None:
    """Write the record of a run."""
    text = json.dumps(fields, indent=2, ensure_ascii=False) + "\n"
    storage.write_atomically(record_path(run_id), text)


def keep_partial(run_id: str) -> None:
    """Keep the notebook that a killed run left at `partial_path`, and remove older ones."""
    target = notebook_path(run_id)
    left = sorted(target.parent.glob(f".{run_id}.*.ipynb"), key=lambda path: path.stat().st_mtime)
    for path in left:
        if path == left[-1] and path.stat().st_size:
            os.replace(path, partial_path(run_id))
        else:
            path.unlink(missing_ok=True)


def listing(path: pathlib.Path) -> set[str]:
    """Return the names in a folder, none if there is no such folder."""
    return set(os.listdir(path)) if path.is_dir() else set()


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """Return the object in a JSON file, empty if there is none or it is damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        return {}  # records only inform: one that somebody damaged counts as none
    return found if isinstance(found, dict) else {}
