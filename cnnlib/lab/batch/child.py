"""The process of one run: `python -m cnnlib.lab.batch.child`, started by cnnlib.lab.batch.worker and by nothing else.

Its standard input is one line of JSON, the run, and then stays open for as long as the process that started it lives: when that ends, this
one ends itself and all that it started. What came of the run goes to the file `reply`, as JSON.
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

from cnnlib import storage
from cnnlib.errors import InputError
from cnnlib.lab import notebooks
from cnnlib.lab.batch import format, state, worker


def main():
    job = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    reply, run = pathlib.Path(job["reply"]), format.Run(job["kind"], job["fields"])
    try:
        if run.id != job["id"]:
            raise InputError(
                f"{socket.gethostname()} has another cnnlib, notebook or data/ in {storage.ROOT} than the command began with, so the result "
                "would be another run's: bring all checkouts to the same commit, and start the command again"
            )
        with state.claimed(
            job["id"], host=socket.gethostname(), pid=os.getpid(), since=time.time()
        ) as mine:
            if not mine:
                return worker.BUSY
            found = bool(state.done([run]))  # another command has done it meanwhile
            if not found:
                _begin_log()
            state.keep_partial(
                job["id"]
            )  # of a run that was killed; should this one be killed too, its own is kept
            message, copies = _train(job) if job["kind"] == "train" else _notebook(job)
            answer = {"state": state.DONE, "message": message, "copies": copies, "found": found}
    except Exception as error:
        expected = isinstance(error, InputError | notebooks.NotebookError)
        message = str(error) if expected else f"{type(error).__name__}: {error}"
        kernel_died = (
            type(error.__cause__).__name__ == "DeadKernelError"
        )  # killed, not wrong: it may go better the next time
        answer = {
            "state": state.FAILED,
            "message": message,
            "traceback": _traceback(job, error),
            "again": kernel_died,
        }
        traceback.print_exc()
    storage.write_atomically(reply, json.dumps(answer))
    return int(answer["state"] != state.DONE)


def _begin_log():
    """Empty the log, which is what this process prints to: who does not have the run leaves it alone."""
    os.ftruncate(1, 0)
    os.lseek(1, 0, os.SEEK_SET)


def _train(job):
    from cnnlib.lab import experiment

    row = experiment.train_row(**job["fields"])
    return f"{row['value']:.2f} % {row['metric'].removesuffix('_percent').replace('_', ' ')}", []


def _notebook(job):
    output, copies = state.notebook_path(job["id"]), state.read_record(job["id"]).get("copies", [])
    if not output.exists():
        notebooks.run(job["fields"]["path"], job["fields"]["parameters"], output)
    place = job["copies"]
    if place and place not in copies:
        copy(output, f"{place.rstrip('/')}/{output.name}")
        copies = [*copies, place]
    return f"executed notebook {output}", copies


def copy(notebook, url):
    """Write a notebook to any place that papermill can write to: a folder, s3://, gs://, abs://, adl://, hdfs://, http(s)://."""
    from papermill.iorw import papermill_io

    if "://" not in url:
        storage.make_folder(pathlib.Path(url).parent, variable=None)
    papermill_io.write(notebook.read_text(encoding="utf-8"), url)


def _traceback(job, error):
    """The traceback of what failed (str): that of the notebook's cell if one raised, else this process' own."""
    if isinstance(error, notebooks.NotebookError):
        outputs = _outputs(state.partial_path(job["id"]))
        raised = [
            "\n".join(output["traceback"])
            for output in outputs
            if output.get("output_type") == "error"
        ]
        if raised:
            return re.sub(r"\x1b\[[0-9;]*m", "", raised[-1])
    return "".join(traceback.format_exception(error))


def _outputs(path):
    try:
        nb = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [output for cell in nb["cells"] for output in cell.get("outputs", [])]


def _end_with_parent():
    while os.read(0, 1024):  # not sys.stdin, whose lock would be held when Python ends
        pass
    import psutil

    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has ended by itself
            process.kill()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
