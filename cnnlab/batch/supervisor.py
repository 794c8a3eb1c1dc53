"""Do one run as a Dask worker: start its process, watch time and memory, record how it ended.

Each run has a fresh process: what it leaves in TensorFlow or in memory cannot reach the next run,
and whatever kills it kills no other. Its threads are limited: runs do not compete for cores.
"""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

from cnnlab.batch import claims, records
from cnnlib import storage
from cnnlib.errors import InputError

# Read by TensorFlow, by NumPy's and SciPy's libraries, and by numexpr.
THREADS = (
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
COMMAND = [sys.executable, "-m", "cnnlab.batch.child"]
BUSY = 75  # exit code of that command: another process has this run (EX_TEMPFAIL)
POLL, LOOK = 0.1, 0.25  # seconds between two looks at a run, and at all processes
STOPPED, ELSEWHERE = "stopped", "elsewhere"

# For the workers of the command itself, which are threads of its process: it sets `stop`, and waits
# until no run is in `running` (process numbers).
stop = threading.Event()
running: set[int] = set()

# When the processes were last read, and what was found, see `_started_by`.
_processes: tuple[float, dict[int, Any]] = (float("-inf"), {})
_reading = threading.Lock()


def execute(job: dict[str, Any]) -> dict[str, Any]:
    """Do one run. Returns how it ended: `status`, `message` and more.

    The status is "done", "failed", "stopped" or "elsewhere" (another process has the run). A
    process that is killed or uses too much memory is started again, at most `retries` times: it may
    succeed the second time. An exception would be the same again.

    Args:
        job: data that can be written as JSON: id, run (see `runs.to_json`), title, results
            (folder), copies (place or None), minutes, memory (bytes), threads (or None), retries.
    """
    os.environ["CNNLIB_RESULTS"] = job["results"]
    if not records.folder().is_dir():
        raise InputError(
            f"{socket.gethostname()} does not see the results folder {job['results']}: it must be "
            "on a disk that all machines share"
        )
    started, ended = time.time(), {}
    for attempt in range(1, job["retries"] + 2):
        ended = _attempt(job) | {"attempts": attempt}
        if not ended.pop("again", False):
            break
    if ended["status"] in (STOPPED, ELSEWHERE):
        return ended
    if ended.pop("found", False):
        # At most a copy was made: time and memory are in the record of whoever did the run.
        before = records.read_record(job["id"])
        known = before if before.get("status") == records.DONE else {"title": job["title"]}
        ended = known | {key: ended[key] for key in ("status", "message", "copies")}
        records.write_record(job["id"], **ended)
        return ended
    ended |= {
        "title": job["title"],
        "host": socket.gethostname(),
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
    }
    records.write_record(job["id"], **ended)
    return ended


def _attempt(job):
    """Start the process of the run once and wait for its end.

    Returns a record; `again` in it says that another attempt may succeed.
    """
    threads, memory = _share(job)
    log = records.log_path(job["id"])
    storage.make_folder(log.parent)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cnnlib-run-") as folder:
        reply = pathlib.Path(folder) / "reply.json"
        with open(log, "ab") as output:  # the process empties it once it has the run
            process = subprocess.Popen(
                COMMAND,
                stdin=subprocess.PIPE,
                bufsize=0,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_environment(threads),
                cwd=storage.ROOT,
                # Ctrl-C in the terminal is for the command, which stops its runs itself.
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        # It stays open until the run has ended: that is how the run knows that this process lives.
        with process.stdin:
            with contextlib.suppress(OSError):  # it has died already: `_watch` sees that
                process.stdin.write(json.dumps(job | {"reply": str(reply)}).encode() + b"\n")
            running.add(process.pid)
            try:
                ended, peak = _watch(process, job["minutes"], memory, _is_wanted())
            finally:
                running.discard(process.pid)
        took = {
            "seconds": round(time.monotonic() - started, 1),
            "peak_memory": peak,
            "threads": threads,
        }
        if process.returncode == BUSY:
            return {"status": ELSEWHERE, "message": "another process has this run"}
        if reply.exists():
            return json.loads(reply.read_text(encoding="utf-8")) | took
    if ended is None:
        ended = {"status": records.FAILED, "message": _died(process.returncode), "again": True}
    holder = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.time()}
    with claims.claimed(job["id"], **holder) as mine:
        if mine:  # else another command has begun it again already, and has kept what was left
            records.keep_partial(job["id"])
    return ended | {"traceback": _tail(log)} | took


def _environment(threads):
    """The environment of a run's process, with its share of the threads."""
    return os.environ | dict.fromkeys(THREADS, str(threads)) | {"PYTHONUTF8": "1"}


def _watch(process, minutes, memory, is_wanted):
    """Wait for a process; kill it and all that it started if it uses too much or is not wanted.

    Returns (what to record, or None if it ended by itself; the most bytes that it had).
    """
    import psutil

    deadline = time.monotonic() + 60 * minutes if minutes else float("inf")
    ended, peak, family = None, 0, {}
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(POLL)
            break
        used, family = _family(process.pid, family)
        peak = max(peak, used)
        if not is_wanted():
            ended = {"status": STOPPED, "message": "stopped"}
        elif time.monotonic() > deadline:
            ended = {
                "status": records.FAILED,
                "message": f"took more than its limit of {minutes:g} minutes",
            }
        elif used > memory:
            ended = {
                "status": records.FAILED,
                "message": f"used {used / 1e9:.2f} GB of memory, more than its limit of "
                f"{memory / 1e9:.2f} GB",
                "again": True,
            }
        if ended:
            break
    for member in family.values():  # a kernel that outlived its run as well
        with contextlib.suppress(psutil.Error):
            member.kill()
    process.wait()
    return ended, peak


def _family(pid, known):
    """(bytes of memory, {process number: psutil.Process}) of a process and all that it started."""
    import psutil

    try:
        members = [known.get(pid) or psutil.Process(pid)]
        born = members[0].create_time()
    except psutil.Error:
        return 0, known
    started, used = _started_by(), 0
    # The list grows meanwhile. A process that is older had another parent of that number.
    for member in members:
        members += [
            each
            for each in started.get(member.pid, ())
            if (each.info["create_time"] or 0) >= born and each not in members
        ]
    for member in members:
        with contextlib.suppress(psutil.Error):
            used += member.memory_info().rss
    return used, known | {member.pid: member for member in members}


def _started_by():
    """{process number: the processes that it started}, as it was less than `LOOK` seconds ago.

    Reading it takes milliseconds, a twentieth of a second on a large machine: all runs share it.
    """
    import psutil

    global _processes
    with _reading:
        if time.monotonic() > _processes[0] + LOOK:
            started = {}
            for process in psutil.process_iter(["ppid", "create_time"]):
                started.setdefault(process.info["ppid"], []).append(process)
            _processes = time.monotonic(), started
        return _processes[1]


def _share(job):
    """(threads, bytes of memory) for a run: an equal part, unless the batch says otherwise."""
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    slots = _slots()
    threads, memory = max(1, CPU_COUNT // slots), int(0.9 * MEMORY_LIMIT / slots)
    return job["threads"] or threads, job["memory"] or memory


def _slots():
    """Runs at a time on this machine: the threads of the Dask workers that it has now."""
    from distributed.comm import get_address_host
    from distributed.utils import sync

    worker = _worker()[0]
    if worker is None:
        return 1
    host = get_address_host(worker.address)
    workers = sync(worker.loop, worker.scheduler.identity, n_workers=-1)["workers"]
    return sum(
        info["nthreads"] for address, info in workers.items() if get_address_host(address) == host
    )


def _is_wanted():
    """A function that says whether the result of this task is still wanted.

    Dask cannot stop a task that has begun.
    """
    worker, key = _worker()
    if worker is None:
        return lambda: True
    local = worker.address.startswith("inproc://")

    def wanted():
        task = worker.state.tasks.get(key)
        return task is not None and task.state == "executing" and not (local and stop.is_set())

    return wanted


def _worker():
    """(The Dask worker whose task this is, the task's key), or (None, None)."""
    from distributed.worker import thread_state

    try:
        return thread_state.execution_state["worker"], thread_state.key
    except AttributeError:
        return None, None


def _died(code):
    reason = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    hint = " (most often the machine had no memory left)" if code == -9 else ""
    return f"its process {reason}{hint}"


def _tail(log, most=4000):
    return log.read_bytes()[-most:].decode("utf-8", "replace")
