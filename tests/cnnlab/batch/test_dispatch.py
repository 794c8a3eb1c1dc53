"""The command `batch run`, its report, and a small real batch."""

import json
import os
import re
import subprocess
import sys
import time

import nbformat
import pytest
from dask.system import CPU_COUNT
from distributed import LocalCluster
from nbformat.v4 import new_code_cell, new_notebook

from cnnlab import batch, ledger
from cnnlab.batch import dispatch, durations, page, records, status, supervisor
from cnnlib import storage
from cnnlib.errors import InputError
from cnnlib.results import rows

# In the place of cnnlab.batch.child: "executes" a notebook under its claim, as the
# parameters `do` and `seed` say.
PROGRAM = """
import json, os, pathlib, signal, sys, time
from cnnlib import storage
from cnnlab.batch import claims, records
job = json.loads(sys.stdin.buffer.readline())
do = job["run"]["notebook"]["parameters"].get("do", "")
with claims.claimed(job["id"], host="here", pid=os.getpid(), since=time.time()) as mine:
    if not mine:
        sys.exit(75)
    done = records.notebook_path(job["id"]).exists()
    if not done:
        with open(pathlib.Path(job["results"]) / "executions", "a") as log:
            log.write(job["id"] + chr(10))
    if do == "wait":
        time.sleep(600)
    if do == "raise":
        answer = {"status": "failed", "message": "ValueError: <nine>", "traceback": "line 1 < 2"}
    else:
        if do != "nothing":
            storage.write_atomically(records.notebook_path(job["id"]), "{}")
        copies = [job["copies"]] if job["copies"] else []
        answer = {"status": "done", "message": "fine", "copies": copies}
    pathlib.Path(job["reply"]).write_text(json.dumps(answer))
"""


@pytest.fixture
def batch_file(tmp_path):
    """A function that writes a batch file beside a notebook with the parameters `do` and `seed`."""
    parameters = new_code_cell(
        "do = ''  # what to do\nseed = 0  # seed", metadata={"tags": ["parameters"]}
    )
    check = new_code_cell(
        "import sys\nsys.stderr.write('note')\nprint(seed)\nassert do != 'raise', 'raised as told'"
    )
    nbformat.write(new_notebook(cells=[parameters, check]), tmp_path / "net.ipynb")

    def write(text):
        path = tmp_path / "batch.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def quick(monkeypatch):
    """Runs take an instant; returns a function that lists the ids of those that were executed."""
    monkeypatch.setattr(supervisor, "COMMAND", [sys.executable, "-c", PROGRAM])
    monkeypatch.setattr(dispatch, "WAIT", 0.2)
    log = storage.results_folder() / "executions"
    return lambda: sorted(log.read_text().split()) if log.exists() else []


class TestRun:
    def test_all_once_and_a_failing_one_does_not_stop_the_others(self, batch_file, quick, capsys):
        path = batch_file("- notebook: {path: net.ipynb, grid: {seed: [1, 2], do: ['', raise]}}\n")
        failed = batch.run(path, workers=2)
        assert {str(run) for run in failed} == {"net seed=1 do=raise", "net seed=2 do=raise"}
        lines = capsys.readouterr().out.splitlines()
        assert sorted(line.partition("]")[0] for line in lines) == ["[1/4", "[2/4", "[3/4", "[4/4"]
        assert sum("FAILED: ValueError: <nine>; see " in line for line in lines) == 2
        assert [each.status for each in batch.statuses(batch.read(path))] == [
            "done",
            "failed",
            "done",
            "failed",
        ]
        assert len(batch.run(path, workers=2)) == 2  # only what failed runs again
        assert quick() == sorted(run.id for run in [*batch.read(path), *failed])

    def test_nothing_to_do(self, batch_file, quick, capsys):
        path = batch_file("- notebook: {path: net.ipynb}\n")
        batch.run(path)
        capsys.readouterr()
        assert (
            batch.run(path) == []
            and capsys.readouterr().out == "All 1 runs are done.\n"
            and len(quick()) == 1
        )

    def test_a_changed_notebook_runs_again(self, batch_file, quick, tmp_path):
        path = batch_file("- notebook: {path: net.ipynb}\n")
        batch.run(path)
        text = (tmp_path / "net.ipynb").read_text(encoding="utf-8")
        (tmp_path / "net.ipynb").write_text(
            text.replace("print(seed)", "print(2 * seed)"), encoding="utf-8"
        )
        batch.run(path)
        assert len(set(quick())) == 2

    def test_what_a_worker_says_counts_less_than_the_results_folder(
        self, batch_file, quick, capsys
    ):
        (failed,) = batch.run(
            batch_file("- notebook: {path: net.ipynb, parameters: {do: nothing}}\n")
        )
        assert (
            "do not share this folder" in capsys.readouterr().out
            and str(failed) == "net do=nothing"
        )

    def test_a_copy_that_was_not_asked_for_before_is_made(self, batch_file, quick):
        path = batch_file("- notebook: {path: net.ipynb}\n")
        batch.run(path)
        batch.run(path, copies="s3://bucket")
        batch.run(path, copies="s3://bucket")
        assert len(quick()) == 1 and records.read_record(batch.read(path)[0].id)["copies"] == [
            "s3://bucket"
        ]

    def test_copies_go_to_a_folder_of_where_the_command_was_given(
        self, batch_file, quick, tmp_path, monkeypatch
    ):
        path = batch_file("- notebook: {path: net.ipynb}\n")
        monkeypatch.chdir(tmp_path)
        batch.run(path, copies="copies")
        assert records.read_record(batch.read(path)[0].id)["copies"] == [str(tmp_path / "copies")]

    def test_on_a_cluster_whose_workers_come_later_each_run_has_its_part_of_the_machine(
        self, batch_file, quick, monkeypatch
    ):
        path = batch_file("- notebook: {path: net.ipynb, grid: {seed: [1, 2, 3]}}\n")
        settings = {
            "threads_per_worker": 1,
            "processes": False,
            "protocol": "tcp://",
            "dashboard_address": "127.0.0.1:0",
        }
        with LocalCluster(n_workers=0, **settings) as cluster:
            monkeypatch.setattr(dispatch.Progress, "show", lambda *_: cluster.scale(2))
            assert batch.run(path, scheduler=cluster.scheduler_address) == []
        runs = batch.read(path)
        assert quick() == sorted(run.id for run in runs)
        assert min(records.read_record(run.id)["threads"] for run in runs) == max(
            1, CPU_COUNT // 2
        )  # of the third at least

    def test_a_scheduler_that_is_lost_fails_no_run(
        self, batch_file, quick, tmp_path, monkeypatch, capfd
    ):
        path = batch_file("- notebook: {path: net.ipynb, grid: {seed: [1, 2]}}\n")
        facts = tmp_path / "scheduler.json"
        command = [
            sys.executable,
            "-m",
            "dask",
            "scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--no-dashboard",
        ]
        scheduler = subprocess.Popen(
            [*command, "--scheduler-file", str(facts)], stderr=subprocess.DEVNULL
        )
        try:
            while not facts.exists():
                assert scheduler.poll() is None
                time.sleep(0.1)
            monkeypatch.setattr(dispatch.Progress, "show", lambda *_: scheduler.kill())
            with pytest.raises(
                InputError, match=r"scheduler was lost.* the same command completes the rest"
            ):
                batch.run(path, scheduler=json.loads(facts.read_text())["address"])
        finally:
            scheduler.kill()
            scheduler.wait()
        assert [(each.status, each.record) for each in batch.statuses(batch.read(path))] == [
            ("to do", {})
        ] * 2
        assert "Traceback" not in capfd.readouterr().err

    def test_a_local_batch_listens_on_loopback_only(self):
        import psutil

        before = set(psutil.Process().net_connections())
        with dispatch._client(None, 2, 2) as (_, dashboard):
            opened = set(psutil.Process().net_connections()) - before
        addresses = {each.laddr.ip for each in opened if each.status == psutil.CONN_LISTEN}
        assert addresses == {"127.0.0.1"} and dashboard.startswith("http://127.0.0.1:")

    def test_no_scheduler(self, batch_file, monkeypatch):
        monkeypatch.setattr(dispatch, "ANSWER", 0.5)
        with pytest.raises(InputError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
            batch.run(batch_file("- notebook: {path: net.ipynb}\n"), scheduler="tcp://127.0.0.1:9")

    def test_no_more_at_a_time_than_runs_cores_and_memory(self, monkeypatch):
        import dask.system
        import distributed.system

        monkeypatch.setattr(dask.system, "CPU_COUNT", 8)
        monkeypatch.setattr(distributed.system, "MEMORY_LIMIT", 16 * 10**9)
        assert [dispatch.default_workers(runs) for runs in (1, 5, 100)] == [1, 5, 7]
        monkeypatch.setattr(distributed.system, "MEMORY_LIMIT", 10**9)
        assert dispatch.default_workers(100) == 1


COMMAND = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # in case the tests ignore it
from cnnlab.batch import dispatch, supervisor
supervisor.COMMAND = [sys.executable, "-c", {program!r}]
dispatch.WAIT = 0.2
from cnnlab.cli import cli
cli(["batch", "run", {path!r}])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals")
class TestTwoCommands:
    def start(self, path):
        code = COMMAND.format(program=PROGRAM, path=str(path))
        return subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def wait_for_claim(self, path):
        return self.wait(path, lambda found: found.claim.get("pid"))

    def wait(self, path, condition):
        """The State of the only run of a batch, once the condition holds."""
        (run,) = batch.read(path)
        for _ in range(600):
            (found,) = batch.statuses([run])
            if condition(found):
                return found
            time.sleep(0.1)
        raise AssertionError(f"after a minute: {found}")

    def test_the_second_waits_for_the_first_and_runs_nothing_twice(self, batch_file, quick):
        path = batch_file("- notebook: {path: net.ipynb, grid: {seed: [1, 2, 3, 4, 5, 6]}}\n")
        commands = [self.start(path) for _ in range(2)]
        assert [command.wait() for command in commands] == [0, 0]
        assert quick() == sorted(run.id for run in batch.read(path))
        for command in commands:
            command.communicate()

    def test_ctrl_c_stops_the_run_and_leaves_nothing(self, batch_file):
        import signal

        path = batch_file("- notebook: {path: net.ipynb, parameters: {do: wait}}\n")
        command = self.start(path)
        found = self.wait_for_claim(path)
        assert "running" in batch.status_text(path) and found.status == "running"
        command.send_signal(signal.SIGINT)
        out, err = command.communicate(timeout=60)
        assert (
            command.returncode == 130
            and err.splitlines()[-2:] == ["Stopping ...", "Stopped."]
            and "Traceback" not in err + out
        )
        with pytest.raises(ProcessLookupError):
            os.kill(found.claim["pid"], 0)
        (after,) = batch.statuses(batch.read(path))
        assert (after.status, after.record) == ("to do", {})

    def test_a_command_that_is_killed_takes_its_runs_with_it(self, batch_file, monkeypatch):
        path = batch_file("- notebook: {path: net.ipynb}\n")
        program = (
            "import time; from cnnlab.batch import child, runs\n"
            "runs.notebooks.run = lambda *_: time.sleep(600)\n"
            "child.main()"
        )
        code = COMMAND.format(program=program, path=str(path))
        command = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.wait_for_claim(path)
        command.kill()
        command.wait()
        self.wait(path, lambda found: found.status == "to do")


def test_a_small_real_batch(batch_file, tmp_path, capsys):
    """A training and two notebooks, one of which raises; the report; copies."""
    path = batch_file(
        "- train: {model: linear-20x20, dataset: mnist, recipe: 'plain-small,epochs=1', seeds: 1}\n"
        "- notebook: {path: net.ipynb, parameters: {seed: 7}}\n"
        "- notebook: {path: net.ipynb, parameters: {do: raise}}\n"
    )
    (failed,) = batch.run(path, copies=str(tmp_path / "copies" / "deep"))
    out = capsys.readouterr().out
    assert (
        str(failed) == "net do=raise"
        and "FAILED: net: cell 2, In [3], raised AssertionError: raised as told" in out
    )
    assert re.search(r"linear-20x20 mnist plain-small,epochs=1 seed 0: \d+\.\d\d % test error", out)
    training, notebook, failing = batch.statuses(batch.read(path))
    assert (training.status, notebook.status, failing.status) == ("done", "done", "failed")
    assert (
        json.loads((storage.results_folder() / "rows" / f"{training.run.id}.json").read_text())[
            "epochs"
        ]
        == 1
    )
    executed = nbformat.read(records.notebook_path(notebook.run.id), as_version=4)
    assert "7\n" in [output.get("text") for output in executed.cells[-1].outputs]
    assert (
        tmp_path / "copies" / "deep" / f"{notebook.run.id}.ipynb"
    ).read_text() == records.notebook_path(notebook.run.id).read_text()
    partial = nbformat.read(records.partial_path(failing.run.id), as_version=4)
    assert partial.cells[-1].outputs[-1].ename == "AssertionError"

    written = batch.write(path)
    html = written.read_text(encoding="utf-8")
    for link in re.findall(r'href="([^"#]+)"', html):
        assert (written.parent / link).resolve().is_file(), link
    assert html.count("executed notebook</a>") == 1 and "the notebook as far as it got</a>" in html
    assert "AssertionError: raised as told" in html and "\x1b" not in html
    assert batch.status_text(path).splitlines()[-1] == "3 runs: 2 done, 1 failed"
    assert (
        durations.minutes(batch.read(path))[notebook.run.id]
        > 0
        < durations.minutes(batch.read(path))[training.run.id]
    )
    assert durations.minutes(batch.read(path))[failing.run.id] is None


def test_a_cpu_is_not_promised_a_gpus_minutes(batch_file, run, monkeypatch):
    what = "- train: {model: cifar10/resnet18, dataset: cifar10, recipe: short, seeds: 1}\n"
    (training,) = batch.read(batch_file(what))
    own = {"model": "cifar10/resnet18", "dataset": "cifar10", "recipe": "short"}
    row = ledger.record(**run(**own, train_images=50000, train_seconds=600.0))
    monkeypatch.setattr(rows, "read_local", dict)
    published = {"gpu": row | {"device": "1 GPU NVIDIA H200; a processor"}}
    monkeypatch.setattr(rows, "read_ledger", lambda name: published if name == "cifar10" else {})
    assert durations.Known().minutes(training) is None
    published["cpu"] = row | {"train_seconds": 7200.0}
    assert durations.Known().minutes(training) == 120
    monkeypatch.setattr(rows, "read_local", lambda: {"own": row | {"device": "1 GPU NVIDIA T4"}})
    assert durations.Known().minutes(training) == 10


def test_a_run_that_failed_and_was_then_done_by_hand(batch_file, tmp_path):
    path = batch_file("- notebook: {path: net.ipynb}\n")
    (run,) = batch.read(path)
    records.write_record(run.id, status="failed", message="killed by signal 9", seconds=7)
    storage.write_atomically(records.notebook_path(run.id), "{}")
    assert [(each.status, each.record) for each in batch.statuses([run])] == [("done", {})]
    assert "signal 9" not in batch.write(path).read_text(encoding="utf-8")


def test_links_and_times(tmp_path, monkeypatch):
    target = tmp_path / "batch #1 50%" / "net-rate=0.5.ipynb"
    assert (
        page.link(target, "page", tmp_path.resolve())
        == '<a href="batch%20%231%2050%25/net-rate=0.5.ipynb">page</a>'
    )

    def another_drive(*_):
        raise ValueError("path is on mount 'C:', start on mount 'D:'")

    monkeypatch.setattr(os.path, "relpath", another_drive)
    assert page.link(target, "page", tmp_path) == f'<a href="{target.resolve().as_uri()}">page</a>'
    assert status.since({"since": time.time() + 3600}) == "for 0 s"  # by a clock that is ahead


def test_report_of_runs_that_have_not_begun(batch_file, tmp_path):
    written = batch.write(
        batch_file("- notebook: {path: net.ipynb, grid: {do: ['<a>']}}\n"), tmp_path / "report"
    )
    html = written.read_text(encoding="utf-8")
    assert (
        written == tmp_path / "report" / "index.html"
        and "net do=&lt;a&gt;" in html
        and "What failed" not in html
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_killed_processes_of_a_batch_lose_nothing(tmp_path):
    """A short drill; `python -m drills` kills 25 times."""
    from drills import batch_kills

    outcome = batch_kills.drill(tmp_path, runs=4, kills=3)
    assert "4 runs, each there once and equal to an undisturbed batch" in outcome


@pytest.mark.parametrize(
    ("minutes", "text"),
    [(None, "unknown"), (0.5, "30 s"), (2, "2 min"), (89, "89 min"), (90, "1.5 h")],
)
def test_minutes_as_text(minutes, text):
    assert durations.text(minutes) == text
