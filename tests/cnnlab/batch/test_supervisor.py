"""What a worker does with the process of a run, whatever that process does.

The processes are small programs in the place of cnnlab.batch.child.
"""

import errno
import json
import sys
import threading

import nbformat
import psutil
import pytest
from dask.system import CPU_COUNT
from nbformat.v4 import new_code_cell, new_notebook

from cnnlab import batch
from cnnlab.batch import claims, records, runs, supervisor
from cnnlib import storage
from cnnlib.errors import InputError

# The beginning of each program: it empties the log, as a process that has the run does, and defines
# `job` and `answer`.
START = """
import json, os, pathlib, signal, subprocess, sys, time
os.ftruncate(1, 0)
job = json.loads(sys.stdin.buffer.readline())
def answer(**fields):
    pathlib.Path(job["reply"]).write_text(json.dumps(fields))
def marker(name):
    path = pathlib.Path(job["results"]) / name
    found = path.exists()
    path.touch()
    return found
"""
FOREVER = "time.sleep(600)"
REST = {
    "title": "net",
    "copies": None,
    "minutes": None,
    "memory": None,
    "threads": None,
    "retries": 2,
}  # of a job


@pytest.fixture
def execute(monkeypatch):
    """Run a program as the process of a run; returns how it ended."""
    storage.make_folder(records.folder())

    def execute(program, **changes):
        monkeypatch.setattr(supervisor, "COMMAND", [sys.executable, "-c", START + program])
        job = {"id": "net-1", "run": {"notebook": {"path": "net.ipynb", "parameters": {}}}}
        return supervisor.execute(job | REST | {"results": str(storage.results_folder())} | changes)

    return execute


def test_a_run_that_is_done_is_recorded_with_time_memory_and_place(execute):
    ended = execute(
        "print('hello'); time.sleep(0.3); answer(status='done', message='fine', copies=[])"
    )
    assert ended == records.read_record("net-1")
    assert (ended["status"], ended["message"], ended["attempts"], ended["title"]) == (
        "done",
        "fine",
        1,
        "net",
    )
    assert (
        ended["seconds"] >= 0.3
        and ended["peak_memory"] > 10**6
        and ended["host"]
        and ended["date"].endswith("Z")
    )
    assert records.log_path("net-1").read_text() == "hello\n"


def test_threads_are_limited(execute):
    for given, expected in ((3, 3), (None, CPU_COUNT)):
        values = f"' '.join(os.environ[name] for name in {supervisor.THREADS!r})"
        ended = execute(f"answer(status='done', message={values})", threads=given)
        assert set(ended["message"].split()) == {str(expected)} and ended["threads"] == expected


def test_an_exception_is_not_tried_again(execute):
    outcome = "status='failed', message='ValueError: no', traceback='...', again=False"
    ended = execute(f"marker('again') and sys.exit(9); answer({outcome})")
    assert (ended["status"], ended["attempts"]) == ("failed", 1)
    assert ended["message"] == "ValueError: no"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals")
class TestKilled:
    def test_once_it_is_tried_again(self, execute):
        ended = execute(
            "marker('again') or os.kill(os.getpid(), signal.SIGKILL)\n"
            "answer(status='done', message='fine')"
        )
        assert (ended["status"], ended["attempts"]) == ("done", 2)

    def test_again_and_again_it_fails_in_the_end(self, execute):
        ended = execute(
            "print('so far'); sys.stdout.flush(); os.kill(os.getpid(), signal.SIGKILL)", retries=1
        )
        assert (ended["status"], ended["attempts"]) == ("failed", 2)
        assert (
            ended["message"].startswith("its process was killed by signal 9")
            and ended["traceback"] == "so far\n"
        )
        assert records.read_record("net-1") == ended

    def test_what_it_started_is_ended_too(self, execute):
        program = f"""
other = subprocess.Popen([sys.executable, "-c", "import time; {FOREVER}"], start_new_session=True)
pathlib.Path(job["results"], "pid").write_text(str(other.pid))
time.sleep(0.5)
os.kill(os.getpid(), signal.SIGKILL)"""
        execute(program, retries=0)
        assert _has_ended(int((storage.results_folder() / "pid").read_text()))


def test_too_long(execute):
    path = records.notebook_path("net-1")
    storage.make_folder(path.parent)
    program = (
        f"(pathlib.Path({str(path.parent)!r}) / '.net-1.abc.ipynb').write_text('so far'); {FOREVER}"
    )
    ended = execute(program, minutes=0.02)
    assert (ended["status"], ended["message"], ended["attempts"]) == (
        "failed",
        "took more than its limit of 0.02 minutes",
        1,
    )
    assert records.partial_path("net-1").read_text() == "so far"
    assert [p.name for p in path.parent.iterdir()] == ["net-1.failed.ipynb"]


def test_what_another_process_has_begun_meanwhile_is_left_alone(execute):
    part = records.notebook_path("net-1").parent / ".net-1.abc.ipynb"
    storage.write_atomically(part, "so far")
    with claims.claimed("net-1"):
        assert execute("sys.exit(9)", retries=0)["message"] == "its process ended with exit code 9"
    assert part.read_text() == "so far"


def test_too_much_memory_and_that_of_what_it_started_counts(execute):
    fill = "data = bytearray(300_000_000); data[::4096] = b'1' * len(data[::4096])"
    started = f"import time; {fill}; {FOREVER}"
    program = f"subprocess.Popen([sys.executable, '-c', {started!r}])\n{FOREVER}"
    ended = execute(program, memory=200_000_000, retries=1)
    assert (ended["status"], ended["attempts"]) == ("failed", 2)
    assert ended["message"].endswith("GB of memory, more than its limit of 0.20 GB")
    assert ended["peak_memory"] > 200_000_000


def test_a_run_that_another_process_has_leaves_no_record(execute):
    assert execute(f"sys.exit({supervisor.BUSY})")["status"] == supervisor.ELSEWHERE
    assert records.read_record("net-1") == {}


def test_a_program_that_cannot_start(execute):
    ended = execute("raise SystemExit('no such module')")
    assert (ended["status"], ended["message"]) == ("failed", "its process ended with exit code 1")
    assert ended["traceback"] == "no such module\n"


def test_a_results_folder_that_is_not_there(execute, tmp_path):
    with pytest.raises(InputError, match="must be on a disk that all machines share"):
        execute("", results=str(tmp_path / "elsewhere"))


class TestChild:
    """The real process of a run."""

    def start(self, job):
        import subprocess

        with open(storage.make_folder(storage.results_folder()) / "log", "wb") as log:
            process = subprocess.Popen(
                supervisor.COMMAND, stdin=subprocess.PIPE, stdout=log, stderr=log, bufsize=0
            )
        process.stdin.write(json.dumps(job).encode() + b"\n")
        return process

    @pytest.fixture
    def job(self, tmp_path):
        """Of a notebook, whose log another process has begun."""
        parameters = new_code_cell("seed = 0  # seed", metadata={"tags": ["parameters"]})
        nbformat.write(new_notebook(cells=[parameters]), tmp_path / "net.ipynb")
        run = batch.NotebookRun(str(tmp_path / "net.ipynb"))
        job = REST | {
            "id": run.id,
            "run": runs.to_json(run),
            "results": str(storage.results_folder()),
        }
        storage.write_atomically(records.log_path(job["id"]), "of the other")
        return job

    def test_a_run_that_another_process_does_keeps_its_log(self, job):
        with claims.claimed(job["id"], host="here"):
            assert supervisor.execute(job)["status"] == supervisor.ELSEWHERE
        assert records.log_path(job["id"]).read_text() == "of the other"

    @pytest.mark.parametrize(
        "before",
        [{"status": "done", "seconds": 50}, {"status": "failed", "seconds": 50, "traceback": "no"}],
    )
    def test_a_run_that_another_process_has_done_keeps_its_log_and_record(self, job, before):
        storage.write_atomically(records.notebook_path(job["id"]), "{}")
        records.write_record(job["id"], **before)
        ended = supervisor.execute(job)
        assert (
            ended == records.read_record(job["id"])
            and ended["status"] == "done"
            and "traceback" not in ended
        )
        assert ended.get("seconds") == (50 if before["status"] == "done" else None)
        assert (
            records.log_path(job["id"]).read_text() == "of the other"
            and records.notebook_path(job["id"]).read_text() == "{}"
        )

    def test_another_checkout_is_refused(self, tmp_path):
        job = {
            "id": "lenet-5-other",
            "run": runs.to_json(batch.TrainingRun("lenet-5", "mnist", "plain", 0)),
        }
        process = self.start(job | {"reply": str(tmp_path / "reply.json"), "copies": None})
        assert process.wait() == 1
        reply = json.loads((tmp_path / "reply.json").read_text())
        assert (
            reply["status"] == "failed"
            and "bring all checkouts to the same commit" in reply["message"]
        )

    def test_it_ends_with_the_process_that_started_it(self):
        run = batch.TrainingRun("lenet-5", "mnist", "plain,epochs=500", 0)
        process = self.start(
            {"id": run.id, "run": runs.to_json(run), "reply": "no", "copies": None}
        )
        process.stdin.close()
        assert process.wait(60) == 1


class TestClaim:
    def test_one_process_at_a_time(self, monkeypatch):
        with claims.claimed("net-1", host="here") as mine:
            assert mine and claims.is_claimed("net-1")
            answers = []

            def other():
                with claims.claimed("net-1", host="there") as mine:
                    answers.append(mine)

            thread = threading.Thread(
                target=other
            )  # another lock object, as another process would have
            thread.start()
            thread.join()
            assert answers == [False]
            assert json.loads(claims.claim_path("net-1").read_text()) == {"host": "here"}
        assert not claims.is_claimed("net-1") and not claims.claim_path("net-1").exists()

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows always has locks")
    def test_a_disk_without_locks_is_refused(self, monkeypatch):
        import fcntl

        def no_locks(*_):
            raise OSError(errno.ENOSYS, "Function not implemented")

        monkeypatch.setattr(fcntl, "flock", no_locks)
        with pytest.raises(
            InputError,
            match=r"cannot lock .*net-1\.lock \(Function not implemented\).* set CNNLIB_RESULTS",
        ):
            claims.is_claimed("net-1")


def _has_ended(pid):
    try:
        return psutil.Process(pid).wait(10) is None or True
    except psutil.NoSuchProcess:
        return True
