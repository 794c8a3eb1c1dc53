"""The command `batch run`: it gives the runs that the results do not have to Dask, and says how far they are.

Without a scheduler the workers are threads of this process, and no port is opened but the dashboard's, on this machine alone: each run is
a process of its own anyway (cnnlib.lab.batch.worker). With one, the same tasks go to a cluster that exists, whose machines see the same results
folder.
"""

import contextlib
import logging
import pathlib
import queue
import shutil
import sys
import time
from concurrent.futures import CancelledError

from cnnlib import storage
from cnnlib.errors import InputError
from cnnlib.lab.batch import expect, format, state, worker

RETRIES = 2
MEMORY_OF_A_RUN = (
    2 * 10**9
)  # bytes that a machine must have for each run at a time: TensorFlow and MNIST take one and a half
ANSWER = 10.0  # seconds in which a scheduler must answer
WAIT = 5.0  # seconds until a run that another command has is looked at again


def run(path, scheduler=None, workers=None, threads=None, copies=None, retries=RETRIES):
    """Run what a batch file lists and the results do not have yet. Returns the runs that failed, list[format.Run].

    Args:
        path: the file. scheduler: address of a Dask scheduler, `tcp://host:8786`; None for a cluster on this machine alone.
        workers: runs at a time on this machine, None for one a core as far as memory allows. threads: of each run, None for an equal part
        of the cores. copies: a place that papermill can write to, where executed notebooks go as well (a folder, s3://bucket/folder, ...).
        retries: how often a run is started again that was killed or took too much memory.
    Raises InputError for a file that cannot be run, or a scheduler that does not answer. KeyboardInterrupt (Ctrl-C) stops all runs first.
    """
    runs = format.read(path)
    if copies and "://" not in copies:
        copies = str(
            pathlib.Path(copies).resolve()
        )  # the processes of the runs have another working directory
    storage.make_folder(state.folder())
    finished = state.done(runs, copies)
    todo = [each for each in runs if each.id not in finished]
    if not todo:
        print(f"All {len(runs)} runs are done.", flush=True)
        return []
    with _client(scheduler, workers, len(todo)) as (client, dashboard):
        slots = sum(
            facts["nthreads"] for facts in client.scheduler_info(n_workers=-1)["workers"].values()
        )
        job = {
            "results": str(storage.results_folder().resolve()),
            "copies": copies,
            "threads": threads,
            "retries": retries,
        }
        progress = _Progress(todo, slots or 1, dashboard, already=len(runs) - len(todo))
        return _all(client, {each.id: each for each in todo}, job, progress)


def _all(client, todo, job, progress):
    """Submit the runs `todo` ({id: Run}), wait for all of them, return those that failed. Ctrl-C stops them."""
    ended, futures = queue.SimpleQueue(), {}

    def submit(run_id):
        future = client.submit(
            worker.execute,
            job | _job(todo[run_id]),
            key=f"{run_id}-{time.time_ns()}",
            pure=False,
            retries=0,
        )
        futures[run_id] = future
        future.add_done_callback(lambda future: ended.put((run_id, future)))

    worker.stop.clear()
    failed, waiting = [], {}
    try:
        for run_id in todo:
            submit(run_id)
        while futures or waiting:
            progress.show(len(futures))
            for run_id in [run_id for run_id, when in waiting.items() if when < time.monotonic()]:
                del waiting[run_id]
                if run_id in state.done(
                    [todo[run_id]], job["copies"]
                ):  # the command that had it has done it
                    progress.ended(
                        todo[run_id], {"state": state.DONE, "message": "done by another command"}
                    )
                elif state.is_claimed(run_id):
                    waiting[run_id] = time.monotonic() + WAIT
                else:
                    submit(run_id)
            try:
                run_id, future = ended.get(timeout=1)
            except queue.Empty:
                continue
            outcome = _outcome(future, todo[run_id], job["copies"])
            del futures[run_id]
            if outcome["state"] == worker.ELSEWHERE:
                waiting[run_id] = time.monotonic() + WAIT
                continue
            progress.ended(todo[run_id], outcome)
            if outcome["state"] != state.DONE:
                failed.append(todo[run_id])
    except BaseException:  # Ctrl-C, and errors that are not of one run
        progress.note("Stopping ...")
        _stop(client, futures)
        raise
    return failed


def _outcome(future, run, copies):
    """How a run ended (dict), from its task; what the results folder has goes before what the task says."""
    try:
        outcome = future.result()
    except CancelledError as error:
        raise InputError(
            f"the Dask scheduler was lost, or has dropped the runs ({error.reason}). What is done stays done: start the scheduler and its "
            "workers, then the same command completes the rest"
        ) from error
    except (
        Exception
    ) as error:  # of the worker: it died again and again, or it cannot see the results folder
        outcome = {"state": state.FAILED, "message": f"{type(error).__name__}: {error}"}
        state.write_record(run.id, **outcome, title=str(run))
    if outcome["state"] == state.DONE and run.id not in state.done([run], copies):
        message = f"a worker says that it is done, but {storage.results_folder()} does not have it: the machines do not share this folder"
        outcome = {"state": state.FAILED, "message": message}
    return outcome


def _stop(client, futures):
    """Stop all runs; wait a few seconds until the processes of this machine have ended."""
    worker.stop.set()
    client.cancel(list(futures.values()))
    deadline = time.monotonic() + 5
    while worker.running and time.monotonic() < deadline:
        time.sleep(0.05)


def _job(run):
    return {
        "id": run.id,
        "kind": run.kind,
        "fields": format.portable(run.fields),
        "title": str(run),
        "minutes": run.limits.minutes,
        "memory": run.limits.memory,
    }


@contextlib.contextmanager
def _client(scheduler, workers, runs):
    """Yield (distributed.Client, the address of its dashboard): of the scheduler at that address, or of a cluster in this process."""
    import dask
    from distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.ERROR)
    logging.getLogger("distributed.client").setLevel(
        logging.CRITICAL
    )  # of a scheduler that is lost this command says so itself
    # A worker must not hold a task that it cannot begin: were it to die, that task would count as one that kills workers.
    with dask.config.set(
        {"distributed.scheduler.worker-saturation": 1.0, "distributed.admin.tick.limit": "1h"}
    ):
        if scheduler:
            try:
                client = Client(scheduler, timeout=ANSWER)
            except (OSError, ValueError, TimeoutError) as error:
                raise InputError(
                    f"no Dask scheduler answers at {scheduler} ({error}). Start one: dask scheduler"
                ) from error
            with client:
                if not client.scheduler_info(n_workers=-1)["workers"]:
                    print(
                        f"The scheduler at {scheduler} has no workers yet: runs start when it has.",
                        file=sys.stderr,
                    )
                yield client, client.dashboard_link
            return
        number = workers or default_workers(runs)
        with (
            _quiet_ports(),
            LocalCluster(
                n_workers=number,
                threads_per_worker=1,
                processes=False,
                memory_limit=0,
                dashboard_address="127.0.0.1:8787",
            ) as cluster,
            Client(cluster) as client,
        ):
            port = client.scheduler_info()["services"].get("dashboard")
            yield client, f"http://127.0.0.1:{port}/status"


def default_workers(runs):
    """Runs at a time on this machine: one a core, as far as memory allows, and no more than there are."""
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    return max(1, min(CPU_COUNT, runs, int(0.9 * MEMORY_LIMIT) // MEMORY_OF_A_RUN))


@contextlib.contextmanager
def _quiet_ports():
    """Dask warns when the dashboard's port is taken and takes another: the progress line says which it is."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Port .* is already in use")
        yield


class _Progress:
    """What the command prints: a line for each run that ended, and in a terminal a line below them that says how far all are."""

    def __init__(self, todo, slots, dashboard, already):
        self.total, self.count, self.failures, self.slots = len(todo), 0, 0, slots
        self.left = expect.minutes(todo)  # {id: minutes or None}
        self.started, self.dashboard, self.live = time.monotonic(), dashboard, sys.stderr.isatty()
        self.note(
            f"{self.total} runs to do, {already} done; {slots} at a time. Dashboard: {dashboard}"
        )

    def ended(self, run, outcome):
        self.count += 1
        self.left.pop(run.id)
        first_line = outcome["message"].partition("\n")[0]
        text = f"[{self.count}/{self.total}] {run}: {first_line}"
        if outcome["state"] != state.DONE:
            self.failures += 1
            text = f"[{self.count}/{self.total}] {run}: FAILED: {first_line}; see {state.log_path(run.id)}"
        if self.live:
            self._clear()
        print(text + (f" ({outcome['seconds']:.0f} s)" if "seconds" in outcome else ""), flush=True)

    def show(self, unfinished):
        if not self.live:
            return
        failures = f", {self.failures} failed" if self.failures else ""
        line = f"{self.count}/{self.total} runs{failures}, {min(self.slots, unfinished)} running, {self._time_left()}; {self.dashboard}"
        self._clear()
        print(line[: shutil.get_terminal_size().columns - 1], end="", file=sys.stderr, flush=True)

    def note(self, text):
        if self.live:
            self._clear()
        print(text, file=sys.stderr, flush=True)

    def _clear(self):
        print("\r\033[K", end="", file=sys.stderr, flush=True)

    def _time_left(self):
        passed = (time.monotonic() - self.started) / 60
        if (
            self.count
        ):  # what was measured now, on this machine with its load, tells more than the ledger
            minutes = passed / self.count * (self.total - self.count)
        elif None not in self.left.values():
            minutes = max(sum(self.left.values()) / self.slots - passed, 0)
        else:
            return "time left not known yet"
        return f"about {expect.text(minutes)} left"
