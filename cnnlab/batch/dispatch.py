"""The command `batch run`: give the runs that are missing to Dask and show how far they are.

Without a scheduler the workers are threads of this process; everything that it listens on is on the
loopback interface, so no other machine can reach it. Each run is a process of its own anyway
(cnnlab.batch.supervisor). With a scheduler the same tasks go to a cluster that exists already,
whose machines see the same results folder.
"""

import contextlib
import logging
import pathlib
import queue
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any

from cnnlab.batch import batch_file, claims, records, runs, supervisor
from cnnlab.batch.runs import Run
from cnnlab.batch.terminal import Progress
from cnnlib import storage
from cnnlib.errors import InputError

RETRIES = 2
# Bytes that a machine must have for each run at a time: TensorFlow and MNIST take 1.5 GB.
MEMORY_OF_A_RUN = 2 * 10**9
ANSWER = 10.0  # seconds in which a scheduler must answer
WAIT = 5.0  # seconds until a run that another command has is looked at again
LOOPBACK = "127.0.0.1"


def run(
    path: str | pathlib.Path,
    scheduler: str | None = None,
    workers: int | None = None,
    threads: int | None = None,
    copies: str | None = None,
    retries: int = RETRIES,
) -> list[Run]:
    """Run what a batch file lists and the results do not have yet.

    Args:
        path: the batch file.
        scheduler: the address of a Dask scheduler, `tcp://host:8786`; None for this machine alone.
        workers: runs at a time on this machine; None for one a core as far as memory allows.
        threads: of each run; None for an equal part of the cores.
        copies: a place that papermill can write to, where executed notebooks go as well: a folder,
            s3://bucket/folder, ...
        retries: how often a run is started again that was killed or used too much memory.

    Returns:
        The runs that failed.

    Raises:
        InputError: the file cannot be run, or the scheduler does not answer.
        KeyboardInterrupt: Ctrl-C; all runs have been stopped.
    """
    listed = batch_file.read(path)
    if copies and "://" not in copies:
        # The processes of the runs have another working directory.
        copies = str(pathlib.Path(copies).resolve())
    storage.make_folder(records.folder())
    finished = runs.done(listed, copies)
    todo = [each for each in listed if each.id not in finished]
    if not todo:
        print(f"All {len(listed)} runs are done.", flush=True)
        return []
    with _client(scheduler, workers, len(todo)) as (client, dashboard):
        found = client.scheduler_info(n_workers=-1)["workers"]
        slots = sum(info["nthreads"] for info in found.values()) or 1
        job = {
            "results": str(storage.results_folder().resolve()),
            "copies": copies,
            "threads": threads,
            "retries": retries,
        }
        progress = Progress(todo, slots, dashboard, already=len(listed) - len(todo))
        return _Dispatch(client, todo, job, progress).run_all()


class _Dispatch:
    """The runs to do, and those that were given to Dask or are done by another command."""

    def __init__(self, client: Any, todo: Sequence[Run], job: dict[str, Any], progress: Progress):
        self.client, self.job, self.progress = client, job, progress
        self.todo = {each.id: each for each in todo}
        self.ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.futures: dict[str, Any] = {}
        self.waiting: dict[str, float] = {}  # runs of other commands, and when to look again
        self.failed: list[Run] = []

    def run_all(self) -> list[Run]:
        """Submit all runs and wait for them. Returns those that failed. Ctrl-C stops them."""
        supervisor.stop.clear()
        try:
            for run_id in self.todo:
                self._submit(run_id)
            while self.futures or self.waiting:
                self.progress.show(len(self.futures))
                self._look_at_other_commands()
                with contextlib.suppress(queue.Empty):
                    self._take(*self.ended.get(timeout=1))
        except BaseException:  # Ctrl-C, and errors that are not those of one run
            self.progress.note("Stopping ...")
            self._stop()
            raise
        return self.failed

    def _submit(self, run_id):
        each = self.todo[run_id]
        job = {
            "id": run_id,
            "run": runs.to_json(each),
            "title": str(each),
            "minutes": each.limits.minutes,
            "memory": each.limits.memory,
        }
        key = f"{run_id}-{time.time_ns()}"
        future = self.client.submit(
            supervisor.execute, self.job | job, key=key, pure=False, retries=0
        )
        self.futures[run_id] = future
        future.add_done_callback(lambda future: self.ended.put((run_id, future)))

    def _look_at_other_commands(self):
        """Take back the runs that another command had and has ended."""
        due = [run_id for run_id, when in self.waiting.items() if when < time.monotonic()]
        for run_id in due:
            del self.waiting[run_id]
            each = self.todo[run_id]
            if run_id in runs.done([each], self.job["copies"]):
                message = "done by another command"
                self.progress.ended(each, {"status": records.DONE, "message": message})
            elif claims.is_claimed(run_id):
                self.waiting[run_id] = time.monotonic() + WAIT
            else:
                self._submit(run_id)

    def _take(self, run_id, future):
        """Record how a run ended."""
        outcome = self._outcome(future, self.todo[run_id])
        del self.futures[run_id]
        if outcome["status"] == supervisor.ELSEWHERE:
            self.waiting[run_id] = time.monotonic() + WAIT
            return
        self.progress.ended(self.todo[run_id], outcome)
        if outcome["status"] != records.DONE:
            self.failed.append(self.todo[run_id])

    def _outcome(self, future, each):
        """How a run ended (dict). The results folder is believed before the task."""
        try:
            outcome = future.result()
        except CancelledError as error:
            raise InputError(
                f"the Dask scheduler was lost, or has dropped the runs ({error.reason}). What is "
                "done stays done: start the scheduler and its workers, then the same command "
                "completes the rest"
            ) from error
        except Exception as error:
            # Of the worker: it died again and again, or it cannot see the results folder.
            outcome = {"status": records.FAILED, "message": f"{type(error).__name__}: {error}"}
            records.write_record(each.id, **outcome, title=str(each))
        done = outcome["status"] == records.DONE
        if done and each.id not in runs.done([each], self.job["copies"]):
            message = (
                f"a worker reports that it is done, but {storage.results_folder()} does not have "
                "it: the machines do not share this folder"
            )
            outcome = {"status": records.FAILED, "message": message}
        return outcome

    def _stop(self):
        """Stop all runs; wait a few seconds until the processes of this machine have ended."""
        supervisor.stop.set()
        self.client.cancel(list(self.futures.values()))
        deadline = time.monotonic() + 5
        while supervisor.running and time.monotonic() < deadline:
            time.sleep(0.05)


@contextlib.contextmanager
def _client(scheduler: str | None, workers: int | None, count: int) -> Iterator[tuple[Any, str]]:
    """Yield (distributed.Client, address of its dashboard) for `count` runs."""
    import dask
    import distributed  # it sets up its logging when it is imported

    logging.getLogger(distributed.__name__).setLevel(logging.ERROR)
    # That a scheduler is lost is told by this command itself.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    settings = {
        # A worker must not hold a task that it cannot begin: if it died, that task would count as
        # one that kills workers.
        "distributed.scheduler.worker-saturation": 1.0,
        "distributed.admin.tick.limit": "1h",
    }
    with dask.config.set(settings):
        connect = _connected(scheduler) if scheduler else _local(workers or default_workers(count))
        with connect as found:
            yield found


@contextlib.contextmanager
def _connected(scheduler):
    """The client and dashboard of a scheduler that runs already."""
    from distributed import Client

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


@contextlib.contextmanager
def _local(workers):
    """The client and dashboard of a cluster of threads in this process, on loopback only."""
    from distributed import Client, LocalCluster

    with (
        _quiet_ports(),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=False,
            memory_limit=0,
            dashboard_address=f"{LOOPBACK}:8787",
            worker_dashboard_address=f"{LOOPBACK}:0",
        ) as cluster,
        Client(cluster) as client,
    ):
        port = client.scheduler_info()["services"].get("dashboard")
        yield client, f"http://{LOOPBACK}:{port}/status"


def default_workers(count: int) -> int:
    """Return how many of `count` runs to do at a time: one a core, as far as memory allows."""
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    return max(1, min(CPU_COUNT, count, int(0.9 * MEMORY_LIMIT) // MEMORY_OF_A_RUN))


@contextlib.contextmanager
def _quiet_ports():
    """Silence Dask's warning that the dashboard's port is taken: the first line has the address."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Port .* is already in use")
        yield
