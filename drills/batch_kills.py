"""A batch of notebooks is killed at random moments; in the end it must be as if undisturbed.

    python -m drills.batch_kills                       25 kills over 30 runs on this machine
    python -m drills.batch_kills --cluster             the same on a Dask scheduler with two
                                                       workers, which are killed as well
    python -m drills.batch_kills --kills 3 --runs 4    a short one

Each kill is SIGKILL, without warning, at a random moment, of the command, the process of a run, a
kernel or, with --cluster, a Dask worker. A command that was killed is started again at once, and so
is one that ended with failed runs. Then every run must be there once, its outputs equal to those of
a batch that nobody disturbed, and no run may have been executed after it had been done.
"""

import argparse
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

import psutil

CELLS = [
    ("epochs = 3  # passes\nseed = 0  # decides the numbers", ["parameters"]),
    ("import os, random\nrandom.seed(seed)\nnumbers = [random.random() for _ in range(1000)]", []),
    # Each execution leaves a line: none may follow after the run is done.
    ("with open(os.environ['DRILL_LOG'], 'a') as log:\n    log.write(f'{seed}\\n')", []),
    (
        "import time\nfor epoch in range(epochs):\n    time.sleep(0.3)\n    print(epoch, seed, "
        "sum(numbers) * epoch)",
        [],
    ),
    ("hash(tuple(numbers))", []),
]

MARKS = {
    "cnnlab.batch.child": "run",
    "ipykernel": "kernel",
    "spawn_main": "worker",
}  # in the command lines of the victims


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0, help="of the moments and the victims")
    parser.add_argument(
        "--cluster", action="store_true", help="on a Dask scheduler with two workers"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="drill-") as folder:
        print(
            drill(
                pathlib.Path(folder),
                arguments.runs,
                arguments.kills,
                arguments.seed,
                arguments.cluster,
            )
        )


def drill(folder, runs, kills, seed=0, cluster=False):
    """Do both batches in `folder` and return a summary.

    Raises:
        AssertionError: if anything was lost, repeated or is not equal.
    """
    notebook = {
        "cells": [
            {
                "cell_type": "code",
                "id": f"c{i}",
                "source": source,
                "metadata": {"tags": tags},
                "outputs": [],
                "execution_count": None,
            }
            for i, (source, tags) in enumerate(CELLS)
        ],
        "metadata": {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (folder / "net.ipynb").write_text(json.dumps(notebook))
    (folder / "batch.yaml").write_text(
        f"- notebook: {{path: net.ipynb, grid: {{seed: {list(range(runs))}}}}}\n"
    )
    with _Cluster(folder / "killed", cluster) as place:
        summary = _disturbed(folder, kills, random.Random(seed), place)
    assert _command(folder, folder / "quiet").wait() == 0
    killed, quiet = _outputs(folder / "killed"), _outputs(folder / "quiet")
    assert len(quiet) == runs
    assert killed == quiet, "the executed notebooks differ"
    left = [
        path.name
        for path in (folder / "killed" / "notebooks").iterdir()
        if path.name.startswith(".") or "failed" in path.name
    ]
    assert not left, f"half-written files are left: {left}"
    executions = (folder / "killed.log").read_text().split()
    assert set(executions) == {str(i) for i in range(runs)}
    halfway = len(executions) - runs
    assert halfway <= 2 * kills, (
        f"{halfway} more executions than runs: {kills} kills cannot have ended more than two each"
    )
    return (
        f"{summary}; {runs} runs, each there once and equal to an undisturbed batch; "
        f"{halfway} executions were killed halfway"
    )


def _disturbed(folder, kills, choose, place):
    """Run the batch to its end, killing on the way."""
    started, done_before = time.monotonic(), {}
    command, counts, restarts, results = (
        _command(folder, place.results, place.options),
        {},
        0,
        place.results,
    )
    kinds = ["command", "run", "kernel", *(["worker"] if place.pids else [])]
    next_kill, kind = time.monotonic() + choose.uniform(1, 4), choose.choice(kinds)
    while True:
        done = {
            path.name: path.stat().st_mtime_ns
            for path in results.glob("notebooks/[!.]*.ipynb")
            if ".failed" not in path.name
        }
        assert done.items() >= done_before.items(), "a finished run was lost, or executed again"
        done_before = done
        if command.poll() is not None:
            if command.returncode == 0:
                break
            command, restarts = _command(folder, place.results, place.options), restarts + 1
        victims = (
            _victims(command.pid, place).get(kind)
            if sum(counts.values()) < kills and time.monotonic() > next_kill
            else None
        )
        if victims:
            victim = choose.choice(victims)
            try:
                victim.kill()
            except psutil.NoSuchProcess:
                continue
            counts[kind] = counts.get(kind, 0) + 1
            print(
                f"{time.monotonic() - started:5.1f} s: killed {kind} {victim.pid}; {len(done)} "
                f"runs done",
                flush=True,
            )
            next_kill, kind = time.monotonic() + choose.uniform(0.5, 4), choose.choice(kinds)
        time.sleep(0.05)
    summary = ", ".join(f"{count} x {kind}" for kind, count in sorted(counts.items()))
    assert sum(counts.values()) == kills, (
        f"the batch ended after {summary}: make it longer, or the kills fewer"
    )
    return f"killed {summary}; the command was started {restarts + 1} times"


def _victims(command, place):
    """{kind: processes that can be killed now}."""
    victims = {}
    for root in [command, *place.pids]:
        try:
            children = psutil.Process(root).children(recursive=True)
        except psutil.NoSuchProcess:
            continue
        if root == command:
            victims["command"] = [psutil.Process(command)]
        for process in children:
            try:
                line, age = " ".join(process.cmdline()), time.time() - process.create_time()
            except psutil.Error:
                continue
            kind = next((kind for mark, kind in MARKS.items() if mark in line), None)
            if kind and (
                kind != "worker" or age > 10
            ):  # Dask gives up a worker that dies while it starts
                victims.setdefault(kind, []).append(process)
    return victims


def _command(folder, results, options=()):
    log = folder / f"{results.name}.log"
    environment = os.environ | {"CNNLIB_RESULTS": str(results), "DRILL_LOG": str(log)}
    arguments = [
        sys.executable,
        "-m",
        "cnnlib",
        "batch",
        "run",
        str(folder / "batch.yaml"),
        "--workers",
        "2",
    ]
    return subprocess.Popen(
        [*arguments[: -2 if options else None], *options],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _outputs(results):
    """{name: outputs of every cell} of the executed notebooks."""
    found = {}
    for path in results.glob("notebooks/[!.]*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        found[path.name] = [[cell["source"], cell.get("outputs")] for cell in cells]
    return found


class _Cluster:
    """Nothing, or a Dask scheduler with two workers, each with the nanny that starts it again."""

    def __init__(self, results, real):
        self.results, self.real, self.processes, self.options, self.pids = results, real, [], (), []

    def __enter__(self):
        if self.real:
            address = "tcp://127.0.0.1:8799"
            dask = [sys.executable, "-m", "dask"]
            log = {"DRILL_LOG": str(self.results.parent / f"{self.results.name}.log")}
            scheduler = [
                *dask,
                "scheduler",
                "--host",
                "127.0.0.1",
                "--port",
                "8799",
                "--dashboard-address",
                "127.0.0.1:0",
            ]
            workers = [
                *dask,
                "worker",
                address,
                "--nworkers",
                "2",
                "--nthreads",
                "1",
                "--no-dashboard",
            ]
            for command in (scheduler, workers):
                self.processes.append(
                    subprocess.Popen(
                        command,
                        env=os.environ | log,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                    )
                )
            self.options, self.pids = ("--scheduler", address), [self.processes[1].pid]
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait()


if __name__ == "__main__":
    main()
