"""A batch of notebooks is killed at random moments; in the end it must be as if undisturbed.

    python -m drills.batch_kills --cluster   on a Dask scheduler with two workers, killed as well

Each kill is SIGKILL, without warning, at a random moment, of the command, the process of a run, a
kernel or, with --cluster, a Dask worker. A command that was killed is started again at once, and so
is one that ended with failed runs. Then every run must be there once, its outputs equal to those of
a batch that nobody disturbed, and no run may have been executed after it had been done.
"""

import contextlib
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter

import dask
import nbformat
import psutil
from distributed import LocalCluster
from nbformat import v4

PARAMETERS = "epochs = 3  # passes\nseed = 0  # decides the numbers"
# Each execution leaves a line: none may follow after the run is done.
CODE = """import os, random, time
random.seed(seed)
with open(os.environ["DRILL_LOG"], "a") as log:
    log.write(f"{seed}\\n")
for epoch in range(epochs):
    time.sleep(0.3)
    print(epoch, seed, random.random() * epoch)"""
# In the command lines of those that are killed.
MARKS = {"cnnlab.batch": "run", "ipykernel": "kernel", "spawn_main": "worker"}


def drill(folder, kills, cluster=False):
    """Do a batch in `folder` twice, disturbed and not, and return a summary.

    Raises AssertionError if anything was lost, repeated or is not equal.
    """
    runs = max(2, 6 * kills // 5)
    cells = [v4.new_code_cell(PARAMETERS, id="a", metadata={"tags": ["parameters"]})]
    nb = v4.new_notebook(cells=[*cells, v4.new_code_cell(CODE, id="b")])
    nbformat.write(nb, folder / "net.ipynb")
    grid = f"{{path: net.ipynb, grid: {{seed: {list(range(runs))}}}}}"
    (folder / "batch.yaml").write_text(f"- notebook: {grid}\n")
    dask.config.set({"distributed.deploy.lost-worker-timeout": "10 minutes"})  # it comes back
    settings = {"threads_per_worker": 1, "dashboard_address": None}
    settings["env"] = {"DRILL_LOG": str(folder / "killed.log")}
    with LocalCluster(2, **settings) if cluster else contextlib.nullcontext() as workers:
        summary = _disturbed(folder, kills, workers)
    assert _command(folder, "quiet").wait() == 0
    killed, quiet = _outputs(folder / "killed"), _outputs(folder / "quiet")
    assert len(quiet) == runs and killed == quiet, "the executed notebooks differ"
    names = [path.name for path in (folder / "killed" / "notebooks").iterdir()]
    left = [name for name in names if name.startswith(".") or "failed" in name]
    assert not left, f"half-written files are left: {left}"
    executions = (folder / "killed.log").read_text().split()
    assert set(executions) == {str(i) for i in range(runs)}
    halfway = len(executions) - runs
    assert halfway <= 2 * kills, f"{kills} kills cannot have ended {halfway} executions"
    return (
        f"{summary}; {runs} runs, each there once and equal to an undisturbed batch; "
        f"{halfway} executions were killed halfway"
    )


def _disturbed(folder, kills, workers):
    """Run the batch to its end, killing on the way."""
    choose, done, counts, starts, next_kill = random.Random(0), {}, Counter(), 0, 0.0
    kinds, kind, command = ["command", "run", "kernel", *(["worker"] if workers else [])], "", None
    while command is None or command.poll() != 0:
        if command is None or command.poll() is not None:
            command, starts = _command(folder, "killed", workers), starts + 1
        paths = (folder / "killed").glob("notebooks/*.ipynb")
        now = {path.name: path.stat().st_mtime_ns for path in paths if "failed" not in path.name}
        assert now.items() >= done.items(), "a finished run was lost, or executed again"
        done = now
        if counts.total() < kills and time.monotonic() > next_kill:
            with contextlib.suppress(psutil.Error):
                victims = _victims(command)[kind] if kind else []
                if victims:
                    choose.choice(victims).kill()
                    counts[kind] += 1
                if victims or not kind:
                    next_kill = time.monotonic() + choose.uniform(0.5, 4)
                    kind = choose.choice(kinds)
        time.sleep(0.05)
    summary = ", ".join(f"{count} x {kind}" for kind, count in sorted(counts.items()))
    assert counts.total() == kills, f"the batch ended after {summary}: make it longer"
    return f"killed {summary}; the command was started {starts} times"


def _victims(command):
    """{kind: processes that can be killed now}."""
    found = {"command": [command], "run": [], "kernel": [], "worker": []}
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            line, age = " ".join(process.cmdline()), time.time() - process.create_time()
            kind = next((kind for mark, kind in MARKS.items() if mark in line), None)
            # Dask gives up a worker that dies while it starts.
            if kind and (kind != "worker" or age > 10):
                found[kind].append(process)
    return found


def _command(folder, name, workers=None):
    where = ["--scheduler", workers.scheduler_address] if workers else ["--workers", "2"]
    command = [sys.executable, "-m", "cnnlib", "batch", "run", str(folder / "batch.yaml"), *where]
    own = {"CNNLIB_RESULTS": str(folder / name), "DRILL_LOG": str(folder / f"{name}.log")}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env=os.environ | own, **quiet)


def _outputs(results):
    """{name: outputs of every cell} of the executed notebooks."""
    found = {}
    for path in results.glob("notebooks/*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        found[path.name] = [[cell["source"], cell.get("outputs")] for cell in cells]
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="drill-") as temporary:
        print(drill(pathlib.Path(temporary), 25, cluster="--cluster" in sys.argv))
