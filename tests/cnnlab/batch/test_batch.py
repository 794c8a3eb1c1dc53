"""The commands of a batch: what runs again and what not, limits, kills, the report."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.parse

import nbformat
import psutil
import pytest
from dask.system import CPU_COUNT
from distributed import LocalCluster

from cnnlab import batch
from cnnlab.batch import dispatch, runs, worker
from cnnlib import results, storage
from cnnlib.errors import InputError

# In the place of the process of a run: "executes" a notebook as its parameter `do` says.
PROGRAM = """
import os, pathlib, subprocess, sys, tempfile, time
from cnnlab.batch import runs, worker
from cnnlib import storage
def execute(run):
    do, log = run.parameters.get("do", ""), storage.results_folder() / "executions"
    with open(log, "a") as file:
        file.write(run.id + chr(10))
    pathlib.Path(tempfile.mkdtemp(), "part.ipynb").write_text("half of it")
    print("so far", flush=True)
    if do == "wait":
        time.sleep(600)
    if do == "die" or do == "die once" and log.read_text().split().count(run.id) == 1:
        os.kill(os.getpid(), 9)
    if do == "fill":
        code = "import time; data = bytearray(300_000_000); data[::4096] = b'1' * len(data[::4096])"
        filler = [sys.executable, "-c", code + "; print(1, flush=True); time.sleep(600)"]
        filler = subprocess.Popen(filler, start_new_session=True, stdout=subprocess.PIPE)
        (storage.results_folder() / "filler").write_text(str(filler.pid))
        filler.stdout.readline()
        time.sleep(5)  # long enough to be seen, on a busy machine too
    if do == "raise":
        raise ValueError("<nine>")
    if do != "nothing":
        text = " ".join(os.environ[name] for name in worker.THREADS)
        storage.write_atomically(runs.file(run.id, "notebook"), text)
    return "fine"
runs.NotebookRun.execute = execute
sys.exit(worker.main())
"""


@pytest.fixture
def notebook(new_notebook):
    code = "import sys\nsys.stderr.write('note')\nprint(seed)\nassert do != 'raise', 'as told'"
    return new_notebook("do = ''  # what to do\nseed = 0  # seed", code)


@pytest.fixture
def quick(monkeypatch, notebook):
    """Runs take an instant; returns a function that lists the ids of those that were executed."""
    monkeypatch.setattr(worker, "COMMAND", [sys.executable, "-c", PROGRAM])
    log = storage.results_folder() / "executions"
    return lambda: log.read_text().split() if log.exists() else []


def file_for(write, **grid):
    return write(f"- notebook: {{path: net.ipynb, grid: {json.dumps(grid)}}}\n")


class TestRun:
    def test_all_once_and_one_that_fails_does_not_stop_the_others(self, write, quick, capsys):
        path = file_for(write, seed=[1, 2], do=["", "raise"])
        failed = batch.run(path, workers=2)
        assert {str(run) for run in failed} == {"net seed=1 do=raise", "net seed=2 do=raise"}
        lines = capsys.readouterr().out.splitlines()
        assert [line.partition("]")[0] for line in lines] == ["[1/4", "[2/4", "[3/4", "[4/4"]
        assert sum("FAILED: ValueError: <nine>; see " in line for line in lines) == 2
        found = batch.statuses(batch.read(path))
        assert [status for _, status, _ in found] == ["done", "failed", "done", "failed"]
        assert len(batch.run(path, workers=2)) == 2  # only what failed runs again
        assert sorted(quick()) == sorted(run.id for run in [*batch.read(path), *failed])

    def test_a_changed_notebook_runs_again_and_an_unchanged_one_only_for_a_new_copy(
        self, write, quick, notebook, tmp_path, monkeypatch, capsys
    ):
        path = file_for(write, seed=[1])
        batch.run(path)
        assert batch.run(path) == [] and "All 1 runs are done." in capsys.readouterr().out
        (run,) = batch.read(path)
        before = runs.read_record(run.id)
        monkeypatch.chdir(tmp_path)
        for _ in range(2):
            batch.run(path, copies="copies")
        assert len(quick()) == 1 and (tmp_path / "copies" / f"{run.id}.ipynb").exists()
        assert runs.read_record(run.id) == before | {"copies": [str(tmp_path / "copies")]}
        notebook.write_text(notebook.read_text().replace("print(seed)", "print(2 * seed)"))
        batch.run(path)
        assert len(quick()) == len(set(quick())) == 2

    def test_what_a_worker_says_counts_less_than_the_results_folder(self, write, quick, capsys):
        (failed,) = batch.run(file_for(write, do=["nothing"]))
        assert str(failed) == "net do=nothing" and "does not share" in capsys.readouterr().out

    def test_a_run_that_was_killed_is_done_again_and_what_it_took_is_recorded(self, write, quick):
        path = file_for(write, do=["die once", "die"])
        (failed,) = batch.run(path, workers=2, retries=1)
        assert str(failed) == "net do=die" and len(quick()) == 4
        done, dead = (record for _, _, record in batch.statuses(batch.read(path)))
        assert dead["message"].startswith("its process was killed by signal 9")
        assert dead["traceback"] == "so far\n" and dead["status"] == "failed"
        assert done["seconds"] > 0 and done["peak_memory"] > 10**6 and done["host"]

    def test_memory_is_planned_by_what_such_runs_took(self, write, quick, monkeypatch, capsys):
        """Half of the memory is too little for a run: it gets all, and so does the next one."""
        import distributed.system

        monkeypatch.setattr(distributed.system, "MEMORY_LIMIT", 5 * 10**8)
        assert batch.run(file_for(write, do=["fill"], seed=[1]), workers=2) == []
        assert "GB: again, with all memory" in capsys.readouterr().err and len(quick()) == 2
        assert batch.run(file_for(write, do=["fill"], seed=[2]), workers=2) == []
        assert len(quick()) == 3
        text = "- notebook: {path: net.ipynb, parameters: {do: fill}, limits: {memory: 200 MB}}"
        assert len(batch.run(write(text), workers=2)) == 1 and len(quick()) == 4
        message = capsys.readouterr().out
        assert "more than its limit of 0.20 GB" in message and "by --workers 1" in message
        assert has_ended(int((storage.results_folder() / "filler").read_text()))

    def test_on_a_cluster_whose_workers_come_later_each_run_has_its_part(
        self, write, quick, monkeypatch
    ):
        path = file_for(write, seed=[1, 2, 3])
        settings = {"protocol": "tcp://", "dashboard_address": "127.0.0.1:0", "processes": False}
        with LocalCluster(n_workers=0, threads_per_worker=1, **settings) as cluster:
            expected = runs.expected
            monkeypatch.setattr(runs, "expected", lambda todo: cluster.scale(2) or expected(todo))
            assert batch.run(path, scheduler=cluster.scheduler_address) == []
        assert sorted(quick()) == sorted(run.id for run in batch.read(path))
        last = runs.file(quick()[-1], "notebook").read_text()
        assert set(last.split()) == {str(max(1, CPU_COUNT // 2))}

    def test_no_scheduler_and_one_that_is_lost_fail_no_run(
        self, write, quick, tmp_path, monkeypatch, capfd
    ):
        path, info = file_for(write, do=["wait"], seed=[1, 2]), tmp_path / "scheduler.json"
        with pytest.raises(InputError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
            batch.run(path, scheduler="tcp://127.0.0.1:9")
        command = [sys.executable, "-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", "0"]
        command += ["--no-dashboard", "--scheduler-file", str(info)]
        scheduler = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            while not info.exists():
                assert scheduler.poll() is None
                time.sleep(0.1)
            expected = runs.expected
            monkeypatch.setattr(runs, "expected", lambda todo: scheduler.kill() or expected(todo))
            with pytest.raises(InputError, match=r"scheduler was lost.* does the rest"):
                batch.run(path, scheduler=json.loads(info.read_text())["address"])
        finally:
            scheduler.kill()
            scheduler.wait()
        assert [each[1:] for each in batch.statuses(batch.read(path))] == [("to do", {})] * 2
        assert "Traceback" not in capfd.readouterr().err

    def test_a_local_batch_listens_on_loopback_only(self):
        before = set(psutil.Process().net_connections())
        with dispatch._client(None, 2, 2) as (_, _, _, dashboard):
            opened = set(psutil.Process().net_connections()) - before
        addresses = {each.laddr.ip for each in opened if each.status == psutil.CONN_LISTEN}
        assert addresses == {"127.0.0.1"} and dashboard.startswith("http://127.0.0.1:")


class TestExecute:
    """What a Dask worker does with the process of a run."""

    @pytest.fixture
    def start(self, write, quick):
        """A run, and a function that executes it."""
        worker.stopping.clear()  # an earlier test may have set it
        storage.make_folder(runs.file("any", "record").parent)
        text = "- notebook: {path: net.ipynb, parameters: {do: wait}, limits: {minutes: 9}}"
        (run,) = batch.read(write(text))
        results = str(storage.results_folder())
        return run, lambda run_id=run.id: worker.execute(run, run_id, results, threads=3)

    def test_one_that_takes_too_long_is_ended_and_its_notebook_kept(self, start, monkeypatch):
        run, execute = start
        log, now = runs.file(run.id, "log"), time.monotonic

        def ten_minutes_later():
            return now() + (600 if log.exists() and log.read_text() else 0)

        monkeypatch.setattr(worker.time, "monotonic", ten_minutes_later)
        assert execute()["message"] == "took more than its limit of 9 minutes"
        assert runs.read_record(run.id)["status"] == "failed"
        assert runs.file(run.id, "partial").read_text() == "half of it"
        assert len(list(runs.file(run.id, "partial").parent.iterdir())) == 1

    def test_a_run_that_another_process_does_is_left_to_it(self, start, monkeypatch):
        run, execute = start
        storage.write_atomically(runs.file(run.id, "log"), "of the other")
        monkeypatch.setattr(worker, "WAIT", 0.1)
        with runs.lock(run.id, timeout=0):
            assert execute() == {"status": "elsewhere"}
            monkeypatch.setattr(runs, "is_running", lambda *_, **__: False)  # it began just now
            assert execute() == {"status": "elsewhere"}
        assert runs.file(run.id, "log").read_text() == "of the other"
        assert runs.read_record(run.id) == {}

    def test_another_checkout_and_another_results_folder_are_refused(self, start, tmp_path):
        run, execute = start
        assert "bring all checkouts to the same commit" in execute("net-other")["message"]
        with pytest.raises(InputError, match="must be on a disk that all machines share"):
            worker.execute(run, run.id, str(tmp_path / "elsewhere"))


COMMAND = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # in case the tests ignore it
from cnnlab.batch import worker
worker.WAIT = 0.2
if {program!r}:
    worker.COMMAND = [sys.executable, "-c", {program!r}]
from cnnlab.cli import cli
cli(["batch", "run", {path!r}])
"""


def command(path, program=PROGRAM, **variables):
    code = COMMAND.format(program=program, path=str(path))
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": os.environ | variables}
    return subprocess.Popen([sys.executable, "-c", code], text=True, **streams)


def wait_for(condition):
    for _ in range(3000):
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError("after five minutes it is not so")


def has_ended(pid):
    try:
        return psutil.Process(pid).wait(60) is None or True
    except psutil.NoSuchProcess:
        return True


def family(process):
    return [process, *psutil.Process(process.pid).children(recursive=True)]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals")
class TestCommands:
    def test_two_of_them_share_the_runs_and_do_none_twice(self, write, quick):
        path = file_for(write, seed=[1, 2, 3, 4, 5, 6])
        commands = [command(path) for _ in range(2)]
        for each in commands:
            each.communicate()
        assert [each.returncode for each in commands] == [0, 0]
        assert sorted(quick()) == sorted(run.id for run in batch.read(path))

    def test_ctrl_c_stops_the_run_and_leaves_nothing(self, write, quick):
        path = file_for(write, do=["wait"])
        started = command(path)
        wait_for(quick)
        ((_, status, record),) = batch.statuses(batch.read(path))
        assert status == "running" and "running  net do=wait: since" in batch.status_text(path)
        started.send_signal(signal.SIGINT)
        out, err = started.communicate(timeout=300)
        assert started.returncode == 130 and "Traceback" not in out + err
        stopping, stopped = err.splitlines()[-2:]
        assert stopping == "Stopping ..." and "the same command goes on from there" in stopped
        assert not psutil.pid_exists(record["pid"])
        assert [each[1:] for each in batch.statuses(batch.read(path))] == [("to do", {})]

    def test_a_command_that_is_killed_during_a_notebook_takes_its_kernel_with_it(
        self, write, new_notebook
    ):
        begun = storage.results_folder() / "begun"
        new_notebook("seed = 0", f"import time\nopen({str(begun)!r}, 'w')\ntime.sleep(600)")
        path = file_for(write, seed=[1])
        started = command(path, program="")
        wait_for(begun.exists)
        children = family(started)[1:]
        assert any("ipykernel" in " ".join(each.cmdline()) for each in children)
        started.kill()
        started.communicate()
        assert psutil.wait_procs(children, 60)[1] == []
        assert [each[1:] for each in batch.statuses(batch.read(path))] == [("to do", {})]

    def test_killed_processes_lose_nothing(self, tmp_path):
        """A short drill; `python -m drills` kills 25 times."""
        from drills import batch_kills

        outcome = batch_kills.drill(tmp_path, kills=1)
        assert "2 runs, each there once and equal to an undisturbed batch" in outcome


def test_a_small_real_batch_and_its_report(write, notebook, tmp_path, capsys):
    path = write(
        "- train: {model: linear-20x20, dataset: mnist, recipe: 'plain-small,epochs=1', seeds: 1}\n"
        "- notebook: {path: net.ipynb, grid: {seed: [7], do: ['', raise, <a>]}}\n"
    )
    html = batch.write(path, tmp_path / "report").read_text(encoding="utf-8")
    assert html.count("<td>to do") == 4 and "do=&lt;a&gt;" in html and "failed" not in html
    (failed,) = batch.run(path, copies=str(tmp_path / "copies" / "deep"))
    out = capsys.readouterr().out
    assert "FAILED: net: cell 2, In [3], raised AssertionError: as told" in out
    assert re.search(r"linear-20x20 mnist plain-small,epochs=1 seed 0: \d+\.\d\d % test error", out)
    training, done, failing, _ = (each.id for each, *_ in batch.statuses(batch.read(path)))
    assert (
        failing == failed.id and json.loads(results.local_file(training).read_text())["epochs"] == 1
    )
    executed = nbformat.read(runs.file(done, "notebook"), as_version=4)
    assert "7\n" in [output.get("text") for output in executed.cells[-1].outputs]
    copy = tmp_path / "copies" / "deep" / f"{done}.ipynb"
    assert copy.read_text() == runs.file(done, "notebook").read_text()
    partial = nbformat.read(runs.file(failing, "partial"), as_version=4)
    assert partial.cells[-1].outputs[-1].ename == "AssertionError"

    page = batch.write(path)
    html = page.read_text(encoding="utf-8")
    links = re.findall(r'href="([^"#]+)"', html)
    assert all((page.parent / urllib.parse.unquote(link)).is_file() for link in links)
    assert html.count("executed notebook</a>") == 2 and "the notebook as far as it got</a>" in html
    assert batch.status_text(path).splitlines()[-1] == "4 runs: 3 done, 1 failed"
    minutes = [took for took, _ in runs.expected(batch.read(path)).values()]
    assert min(minutes[:2]) > 0 and minutes[2] is None

    # One that failed may be done by hand.
    storage.write_atomically(runs.file(failing, "notebook"), "{}")
    assert batch.statuses(batch.read(path))[2][1:] == ("done", {})
