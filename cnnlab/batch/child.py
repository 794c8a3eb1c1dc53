"""The process of one run: `python -m cnnlab.batch.child`, started by `supervisor` alone.

Its standard input is one line of JSON, the run, and then stays open for as long as the process that
started it lives: when that ends, this one ends itself and everything that it started. How the run
ended is written to the file `reply`, as JSON.
"""

import contextlib
import json
import os
import pathlib
import re
import socket
import sys
import threading
import time
import traceback
from typing import Any

from cnnlab import notebooks
from cnnlab.batch import claims, records, runs, supervisor
from cnnlib import storage
from cnnlib.errors import InputError


def main() -> int:
    """Do the run that standard input describes. Returns the exit code."""
    job = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        outcome = _do(job)
    except Exception as error:
        outcome = _failure(job["id"], error)
        traceback.print_exc()
    if outcome is None:
        return supervisor.BUSY
    storage.write_atomically(pathlib.Path(job["reply"]), json.dumps(outcome))
    return int(outcome["status"] != records.DONE)


def _do(job: dict[str, Any]) -> dict[str, Any] | None:
    """Do the run under its claim. Returns the outcome, None if another process has the run."""
    run = runs.from_json(job["run"])
    if run.id != job["id"]:
        raise InputError(
            f"{socket.gethostname()} has another cnnlib, notebook or data/ in {storage.ROOT} than "
            "the command began with, so its result would be another run's: bring all checkouts to "
            "the same commit, and start the command again"
        )
    holder = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.time()}
    with claims.claimed(job["id"], **holder) as mine:
        if not mine:
            return None
        found = bool(runs.done([run]))  # another command has done it meanwhile
        if not found:
            _begin_log()
        # Of a run that was killed; if this one is killed too, its own is kept.
        records.keep_partial(job["id"])
        message, copies = run.execute(job["id"], job["copies"])
        return {"status": records.DONE, "message": message, "copies": copies, "found": found}


def _failure(run_id: str, error: Exception) -> dict[str, Any]:
    expected = isinstance(error, InputError | notebooks.NotebookError)
    return {
        "status": records.FAILED,
        "message": str(error) if expected else f"{type(error).__name__}: {error}",
        "traceback": _traceback(run_id, error),
        # A kernel that was killed may do better the next time.
        "again": type(error.__cause__).__name__ == "DeadKernelError",
    }


def _begin_log() -> None:
    """Empty the log, which this process prints to. A process without the run leaves it alone."""
    os.ftruncate(1, 0)
    os.lseek(1, 0, os.SEEK_SET)


def _traceback(run_id: str, error: Exception) -> str:
    """The traceback of the notebook's cell if one raised, else of this process."""
    if isinstance(error, notebooks.NotebookError):
        raised = [
            "\n".join(output["traceback"])
            for output in _outputs(records.partial_path(run_id))
            if output.get("output_type") == "error"
        ]
        if raised:
            return re.sub(r"\x1b\[[0-9;]*m", "", raised[-1])
    return "".join(traceback.format_exception(error))


def _outputs(path: pathlib.Path) -> list[dict[str, Any]]:
    try:
        nb = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [output for cell in nb["cells"] for output in cell.get("outputs", [])]


def _end_with_parent() -> None:
    while os.read(0, 1024):  # not sys.stdin, whose lock would be held when Python ends
        pass
    import psutil

    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has ended by itself
            process.kill()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
