"""The command `batch run`: give the runs that are missing to Dask, and print how they end.

Without a scheduler the workers are threads of this process; everything that it listens on is on the
loopback interface, so no other machine can reach it. With one the same tasks go to a cluster that
exists already, whose machines see the same results folder.
"""

import contextlib
import dataclasses
import logging
import os
import pathlib
import sys
import time
import warnings
from concurrent.futures import CancelledError

from cnnlab.batch import file, report, runs, worker
from cnnlab.batch.runs import DONE, FAILED, Run
from cnnlib import storage
from cnnlib.errors import InputError

# Bytes that a machine must have for each run at a time: TensorFlow and MNIST take 1.5 GB.
MEMORY_OF_A_RUN = 2 * 10**9
LOOPBACK = "127.0.0.1"


def run(
    path: str | os.PathLike[str],
    scheduler: str | None = None,
    workers: int | None = None,
    threads: int | None = None,
    copies: str | None = None,
    retries: int = 2,
) -> list[Run]:
    """Run what a batch file lists and the results do not have yet; return the runs that failed.

    Args:
        path: the batch file.
        scheduler: the address of a Dask scheduler, `tcp://host:8786`; None for this machine alone.
        workers: runs at a time on this machine; None for one a core as far as memory allows.
        threads: of each run; None for an equal part of the cores.
        copies: a place that papermill can write to, where executed notebooks go as well.
        retries: how often a run is started again that was killed.

    Raises:
        InputError: the file cannot be run, or the scheduler does not answer.
        KeyboardInterrupt: Ctrl-C; all runs have been stopped.
    """
    listed = file.read(path)
    if copies and "://" not in copies:  # the processes of the runs have another working directory
        copies = str(pathlib.Path(copies).resolve())
    storage.make_folder(runs.file("any", "record").parent)
    todo = {each.id: each for each in listed}
    for run_id in runs.done(listed, copies):
        del todo[run_id]
    if not todo:
        print(f"All {len(listed)} runs are done.", flush=True)
        return []
    with _client(scheduler, workers, len(todo)) as (client, slots, total, dashboard):
        counts = f"{len(todo)} runs to do, {len(listed) - len(todo)} done; {slots} at a time"
        _note(f"{counts}. Dashboard: {dashboard}")
        results = str(storage.results_folder().resolve())

        def submit(run_id, memory):
            # The run goes without the id that was computed here.
            given = dataclasses.replace(todo[run_id]), run_id, results, copies, threads, memory
            return client.submit(
                worker.execute,
                *given,
                key=f"{run_id} {time.time_ns()}",
                retries=retries,
                resources={"memory": memory} if memory else None,
            )

        worker.stopping.clear()
        try:
            return _wait(submit, todo, slots, total, copies)
        except BaseException:  # Ctrl-C, and errors that are not those of one run
            _note("Stopping ...")
            worker.stopping.set()
            client.cancel(list(client.futures.values()))
            while worker.running:
                time.sleep(0.05)
            raise


def _wait(submit, todo, slots, total, copies):
    """Do the runs `todo`; return those that failed. `total`: bytes for all, None on a cluster."""
    from distributed import as_completed

    ended, memory, failed, count, started = as_completed(), {}, [], 0, time.monotonic()
    for run_id, (_, peak) in runs.expected(todo.values()).items():
        if total:  # kept free: its limit in the file, else what such runs took, or an equal part
            planned = todo[run_id].memory or max(total // slots, int(1.1 * (peak or 0)))
            memory[run_id] = min(total, planned)
        ended.add(submit(run_id, memory.get(run_id)))
    for future in ended:
        run_id = future.key.partition(" ")[0]
        each, outcome = todo[run_id], _outcome(future, todo[run_id], copies)
        if outcome.get("exceeded") and total and memory[run_id] < total and not each.memory:
            _note(f"{each} {outcome['message'].partition(':')[0]}: again, with all memory")
            memory[run_id], outcome = total, {"status": worker.ELSEWHERE}
        if outcome["status"] == worker.ELSEWHERE:
            ended.add(submit(run_id, memory.get(run_id)))
            continue
        count += 1
        left = (time.monotonic() - started) / 60 / count * (len(todo) - count)
        print(report.line(each, outcome, f"{count}/{len(todo)}", left), flush=True)
        if outcome["status"] != DONE:
            failed.append(each)
    return failed


def _outcome(future, run, copies):
    """The record of a run that ended. The results folder is believed before the task."""
    try:
        outcome = future.result()
    except CancelledError as error:
        raise InputError(
            f"the Dask scheduler was lost, or has dropped the runs ({error.reason}). What is done "
            "stays done: start the scheduler and its workers, then the same command does the rest"
        ) from error
    except worker.Killed:
        return runs.read_record(run.id)
    except Exception as error:
        # Of the Dask worker: it died again and again, or it cannot see the results folder.
        outcome = {"status": FAILED, "message": f"{type(error).__name__}: {error}"}
        runs.write_record(run.id, outcome)
    if outcome["status"] == DONE and not runs.done([run], copies):
        where = storage.results_folder()
        return {"status": FAILED, "message": f"a machine that does not share {where} has done it"}
    return outcome


@contextlib.contextmanager
def _client(scheduler, workers, count):
    """Yield (Dask client, runs at a time, bytes for all or None, address of the dashboard)."""
    try:  # both read the user's files and variables
        import dask
        import distributed
        from dask.system import CPU_COUNT
        from distributed.system import MEMORY_LIMIT
    except Exception as error:
        reason = str(error).partition(", original")[0]
        raise InputError(
            f"Dask does not take its own configuration ({reason}): mend or remove that file, in "
            "~/.config/dask, /etc/dask or DASK_CONFIG, or the variables DASK_..."
        ) from error
    # That a run was killed, or a scheduler lost, is told by this command itself.
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if scheduler:
        try:
            client = distributed.Client(scheduler, timeout=10)
        except (OSError, ValueError) as error:
            raise InputError(
                f"no Dask scheduler answers at {scheduler} ({error}). Start one: dask scheduler"
            ) from error
        with client:
            found = client.scheduler_info(n_workers=-1)["workers"].values()
            yield client, sum(each["nthreads"] for each in found), None, client.dashboard_link
        return
    total = int(0.9 * MEMORY_LIMIT)
    slots = workers or max(1, min(CPU_COUNT, count, total // MEMORY_OF_A_RUN))
    with (
        # What the user has set for clusters, such as a lifetime of workers, is not for this one.
        dask.config.set(dask.config.merge(*dask.config.defaults)),
        warnings.catch_warnings(action="ignore"),  # of a port of the dashboard that is taken
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=slots,
            processes=False,
            memory_limit=0,
            resources={"memory": total},
            dashboard_address=f"{LOOPBACK}:8787",
            worker_dashboard_address=f"{LOOPBACK}:0",
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        port = client.scheduler_info()["services"].get("dashboard")
        yield client, slots, total, f"http://{LOOPBACK}:{port}/status"


def _note(text):
    print(text, file=sys.stderr, flush=True)
