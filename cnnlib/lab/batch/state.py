"""What the results folder knows of the runs of a batch. It is the only truth: nothing is kept anywhere else.

    rows/<id>.json               the row of a training: it is done
    notebooks/<id>.ipynb         an executed notebook: it is done
    notebooks/<id>.failed.ipynb  a notebook as far as it got
    logs/<id>.log                what a run printed
    batch/<id>.json              the record of a run: how it ended, when, where, in what time, and the traceback of one that failed
    batch/<id>.lock, .claim      the claim of a run that is under way, and who has it

Each file is written whole or not at all. A claim is a lock of the operating system on <id>.lock, held by the very process that does the
run: it ends with that process, whatever kills it. Other machines see it if the shared folder has locks (NFS version 4 has).
"""

import contextlib
import dataclasses
import json
import os
import pathlib

from cnnlib import storage
from cnnlib.errors import InputError

FAILED, DONE = "failed", "done"


@dataclasses.dataclass(frozen=True)
class State:
    """Where a run stands: `word` is "done", "running", "failed" or "to do"; `record` and `claim` are dicts, empty if there is none."""

    run: object
    word: str
    record: dict
    claim: dict


def folder():
    return storage.results_folder() / "batch"


def record_path(run_id):
    return folder() / f"{run_id}.json"


def claim_path(run_id):
    return folder() / f"{run_id}.claim"


def log_path(run_id):
    return storage.results_folder() / "logs" / f"{run_id}.log"


def notebook_path(run_id):
    return storage.results_folder() / "notebooks" / f"{run_id}.ipynb"


def partial_path(run_id):
    """A notebook that failed, as far as it got."""
    return notebook_path(run_id).with_suffix(".failed.ipynb")


def done(runs, copies=None):
    """The ids, set[str], of those of `runs` that the results have. With `copies`, notebooks only if their copy went to that place too."""
    found = set()
    trainings = [run for run in runs if run.kind == "train"]
    if trainings:
        rows = _row_ids({run.fields["dataset"] for run in trainings})
        found |= {run.id for run in trainings if run.id in rows}
    executed = _listing(notebook_path("any").parent)
    for run in runs:
        if (
            run.kind == "notebook"
            and f"{run.id}.ipynb" in executed
            and (copies is None or copies in read_record(run.id).get("copies", []))
        ):
            found.add(run.id)
    return found


def states(runs):
    """list[State] of `runs`, in their order."""
    finished, records = done(runs), _listing(folder())
    found = []
    for run in runs:
        record = read_record(run.id) if f"{run.id}.json" in records else {}
        claim = (
            _read(claim_path(run.id)) if f"{run.id}.claim" in records and is_claimed(run.id) else {}
        )
        if (
            run.id in finished and record.get("state") != DONE
        ):  # it failed once, and was then done by hand or by a command that was killed
            record = {}
        word = (
            DONE
            if run.id in finished
            else "running"
            if claim
            else FAILED
            if record.get("state") == FAILED
            else "to do"
        )
        found.append(State(run, word, record, claim))
    return found


def read_record(run_id):
    """The record of a run (dict), empty if there is none."""
    return _read(record_path(run_id))


def write_record(run_id, **fields):
    storage.write_atomically(
        record_path(run_id), json.dumps(fields, indent=2, ensure_ascii=False) + "\n"
    )


@contextlib.contextmanager
def claimed(run_id, **who):
    """Hold the claim of a run: yields True, or False if another process has it. `who`: what others may know of the holder."""
    storage.make_folder(folder())
    with _locked(run_id, timeout=2) as mine:  # `is_claimed` holds it for an instant when it looks
        if not mine:
            yield False
            return
        try:
            storage.write_atomically(claim_path(run_id), json.dumps(who) + "\n")
            yield True
        finally:
            claim_path(run_id).unlink(missing_ok=True)


def is_claimed(run_id):
    """Whether a process does this run now."""
    with _locked(run_id, timeout=0) as free:
        return not free


def keep_partial(run_id):
    """Keep the notebook that a killed run left, if there is one, at `partial_path`; remove what killed runs left before it."""
    target = notebook_path(run_id)
    left = sorted(target.parent.glob(f".{run_id}.*.ipynb"), key=lambda path: path.stat().st_mtime)
    for path in left:
        if path == left[-1] and path.stat().st_size:
            os.replace(path, partial_path(run_id))
        else:
            path.unlink(missing_ok=True)


def _row_ids(datasets):
    from cnnlib.results import rows

    # This machine's first: a row that is published meanwhile is then seen twice rather than not at all.
    local = [name.removesuffix(".json") for name in _listing(rows.local_file("any").parent)]
    return {*local, *(run_id for dataset in datasets for run_id in rows.read_ledger(dataset))}


@contextlib.contextmanager
def _locked(run_id, timeout):
    """Hold the lock of a run: yields True, or False if another process has it for longer than `timeout` seconds."""
    import filelock

    path = folder() / f"{run_id}.lock"
    lock = filelock.FileLock(
        path, timeout=timeout, fallback_to_soft=False
    )  # a soft lock would outlive a process that is killed
    try:
        lock.acquire()
    except filelock.Timeout:
        yield False
        return
    except OSError as error:
        raise InputError(
            f"cannot lock {path} ({error.strerror or error}). Put the results in a folder that you may write to, on a disk that has locks, "
            "such as NFS version 4 or a local one: set CNNLIB_RESULTS"
        ) from error
    try:
        yield True
    finally:
        lock.release()


def _listing(path):
    return set(os.listdir(path)) if path.is_dir() else set()


def _read(path):
    try:
        found = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except (
        FileNotFoundError,
        ValueError,
    ):  # records only inform: one that somebody damaged counts as none
        return {}
    return found if isinstance(found, dict) else {}
