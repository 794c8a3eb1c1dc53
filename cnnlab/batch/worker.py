"""Do one run of a batch in a process of its own: what it leaves or breaks reaches no other run.

`execute` is the task that a Dask worker does; `main` is the process that it starts.
"""

import contextlib
import os
import pathlib
import pickle
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from cnnlab import notebooks
from cnnlab.batch import runs
from cnnlab.batch.runs import DONE, FAILED, RUNNING, NotebookRun, Run
from cnnlib import storage
from cnnlib.errors import InputError

# Read by TensorFlow, by NumPy's and SciPy's libraries, and by numexpr.
_LIBRARIES = "TF_NUM_INTRAOP TF_NUM_INTEROP OMP_NUM OPENBLAS_NUM MKL_NUM VECLIB_MAXIMUM NUMEXPR_NUM"
THREADS = [f"{name}_THREADS" for name in _LIBRARIES.split()]
COMMAND = [sys.executable, "-c", "from cnnlab.batch import worker; raise SystemExit(worker.main())"]
BUSY, AGAIN = 75, 76  # its exit codes: another process has the run; another attempt may succeed
ELSEWHERE, STOPPED = "elsewhere", "stopped"  # what `execute` returns beside DONE and FAILED
POLL = 0.25  # seconds between two looks at a process
WAIT = 5.0  # seconds that a worker waits for a run that another command does

# For the workers of the command itself, which are threads of its process: it sets `stopping`, and
# waits until no process is in `running`.
stopping = threading.Event()
running: set[int] = set()


class Killed(RuntimeError):
    """The process of a run was killed: Dask does the run again, as often as it was told."""


def execute(
    run: Run,
    run_id: str,
    results: str,
    copies: str | None = None,
    threads: int | None = None,
    memory: int | None = None,
) -> dict[str, Any]:
    """Start the process of a run, wait for its end, and return the record of the run.

    `run_id` is the id on the machine of the command, `copies` a place for a copy of the executed
    notebook. Without `threads` and `memory` (bytes) a run has an equal part of this machine; a
    limit in the batch file goes before `memory`.

    Raises:
        Killed: its process or its kernel was killed, as the record says.
        InputError: this machine does not see the results folder.
    """
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    os.environ["CNNLIB_RESULTS"] = results
    if not runs.file(run_id, "record").parent.is_dir():
        raise InputError(
            f"{socket.gethostname()} does not see the results folder {results}: it must be on a "
            "disk that all machines share"
        )
    if runs.is_running(run_id, wait=WAIT):
        return {"status": ELSEWHERE}
    slots, is_wanted = _task()
    threads = threads or max(1, CPU_COUNT // slots)
    memory = run.memory or memory or int(0.9 * MEMORY_LIMIT / slots)
    log = runs.file(run_id, "log")
    storage.make_folder(log.parent)
    started = time.monotonic()
    # Its temporary files go into a folder that this process removes.
    with tempfile.TemporaryDirectory(prefix="cnnlib-run-") as folder:
        job = pathlib.Path(folder, "job")
        job.write_bytes(pickle.dumps((run, run_id, copies)))
        own = dict.fromkeys(THREADS, str(threads)) | {"TMPDIR": folder, "TEMP": folder}
        with (
            open(log, "ab") as output,
            subprocess.Popen(
                [*COMMAND, str(job)],
                stdin=subprocess.PIPE,  # open while this process lives: see `_end_with_parent`
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | own | {"PYTHONUTF8": "1"},
                cwd=storage.ROOT,
                start_new_session=True,  # Ctrl-C is for the command, which stops its runs itself
            ) as process,
        ):
            problem, peak = _watch(process, run.minutes, memory, is_wanted)
        code, record = process.returncode, runs.read_record(run_id)
        if problem == STOPPED or code == BUSY:
            return {"status": problem or ELSEWHERE}
        is_own = (record.get("pid"), record.get("host")) == (process.pid, socket.gethostname())
        if code == 0 and not is_own:  # the results had it already
            return record
        died = not (is_own and code in (0, 1, AGAIN))
        if died:
            reason = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            hint = " (most often the machine had no memory left)" if code == -9 else ""
            record = _new_record(run) | {
                "status": FAILED,
                "message": problem or f"its process {reason}{hint}",
                "traceback": log.read_bytes()[-4000:].decode("utf-8", "replace"),
            }
            for part in pathlib.Path(folder).glob("*/*.ipynb"):
                storage.write_atomically(runs.file(run_id, "partial"), part.read_bytes())
    record |= {"seconds": round(time.monotonic() - started, 1), "peak_memory": peak}
    runs.write_record(run_id, record)
    if code == AGAIN or (died and not problem):
        raise Killed(record["message"])
    return record | {"exceeded": peak > memory}


def _watch(process, minutes, memory, is_wanted):
    """Wait for a process; end it and all that it started if it uses too much or is not wanted.

    Returns (why it was ended, or None if it ended by itself; the most bytes that it had).
    """
    import psutil

    deadline = time.monotonic() + 60 * (minutes or float("inf"))
    problem, peak, members, took = None, 0, set(), 0.0
    running.add(process.pid)
    while problem is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(POLL, 10 * took))  # on a large machine a look takes long
            break
        began, used = time.monotonic(), 0
        with contextlib.suppress(psutil.Error):
            root = psutil.Process(process.pid)
            members |= {root, *root.children(recursive=True)}
        for member in members:
            with contextlib.suppress(psutil.Error):
                used += member.memory_info().rss
        peak, took = max(peak, used), time.monotonic() - began
        if not is_wanted():
            problem = STOPPED
        elif time.monotonic() > deadline:
            problem = f"took more than its limit of {minutes:g} minutes"
        elif used > memory:
            problem = (
                f"used {used / 1e9:.2f} GB of memory, more than its limit of {memory / 1e9:.2f} "
                "GB: give it more, by `memory:` in the batch file, by --workers 1, or elsewhere"
            )
    with contextlib.suppress(OSError, AttributeError):  # it is empty; Windows has no groups
        os.killpg(process.pid, signal.SIGKILL)
    for member in members:  # those of other groups as well, such as a notebook's kernel
        with contextlib.suppress(psutil.Error):
            member.kill()
    process.wait()
    running.discard(process.pid)
    return problem, peak


def _task() -> tuple[int, Callable[[], bool]]:
    """(Runs at a time on this machine, a function: is this one still wanted?)"""
    from distributed import get_client, get_worker

    try:
        worker, workers = get_worker(), get_client().scheduler_info(n_workers=-1)["workers"]
    except ValueError:  # no Dask worker calls
        return 1, lambda: not stopping.is_set()
    host = workers[worker.address]["host"]
    slots = sum(each["nthreads"] for each in workers.values() if each["host"] == host)
    # Dask only forgets a task that has begun.
    tasks, key = worker.state.tasks, worker.get_current_task()
    return slots, lambda: not stopping.is_set() and key in tasks and tasks[key].state == "executing"


def main() -> int:
    """Do the run that a file describes. Returns the exit code."""
    run, run_id, copies = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Whoever asks whether a run is in progress has the lock for an instant: hence the timeout.
    with runs.lock(run_id, timeout=2) as mine:
        if not mine:
            return BUSY
        record = _new_record(run)
        try:
            if run.id != run_id:
                raise InputError(
                    f"{record['host']} has another cnnlib, notebook or data/ in {storage.ROOT} "
                    "than the command began with, so its result would be another run's: bring all "
                    "checkouts to the same commit, and start the command again"
                )
            if runs.done([run]):  # by another command
                known = runs.read_record(run_id)
                record = known if known.get("status") == DONE else {"message": "was done already"}
            else:
                os.ftruncate(1, 0)  # the log of an earlier attempt
                runs.write_record(run_id, record | {"status": RUNNING})
                record["message"] = run.execute()
            if copies and isinstance(run, NotebookRun):
                _copy(runs.file(run_id, "notebook"), copies)
                record["copies"] = sorted({*record.get("copies", []), copies})
            runs.write_record(run_id, record | {"status": DONE})
            return 0
        except Exception as error:
            traceback.print_exc()
            expected = isinstance(error, InputError | notebooks.NotebookError)
            record["message"] = str(error) if expected else f"{type(error).__name__}: {error}"
            raised = getattr(error.__cause__, "traceback", None)  # that of a notebook's cell
            lines = raised if isinstance(raised, list) else traceback.format_exception(error)
            record["traceback"] = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(lines))
            runs.write_record(run_id, record | {"status": FAILED})
            # A kernel that was killed may do better the next time.
            return AGAIN if type(error.__cause__).__name__ == "DeadKernelError" else 1


def _new_record(run):
    date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"title": str(run), "host": socket.gethostname(), "pid": os.getpid(), "date": date}


def _copy(notebook, place):
    """Copy a notebook to any place that papermill can write to: a folder, s3://, gs://, abs://."""
    target, text = f"{place.rstrip('/')}/{notebook.name}", notebook.read_text(encoding="utf-8")
    if "://" not in place:
        storage.write_atomically(target, text)
        return
    from papermill.iorw import papermill_io

    papermill_io.write(text, target)


def _end_with_parent():
    """End this process and all that it started when the one that started it has ended."""
    import psutil

    while os.read(0, 1024):  # not sys.stdin, whose lock would be held when Python ends
        pass
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has ended by itself
            process.kill()
    os._exit(1)
