"""One training over several processes, on this machine: the result is that of one process."""

import contextlib
import os
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from cnnlab import distributed, ledger
from cnnlab.cli import cli
from cnnlib import results, storage
from cnnlib.errors import InputError

RECIPE = "plain-small,epochs=2"
ARGUMENTS = ["train", "linear-20x20", "mnist", "--recipe", RECIPE, "--train-size", "1024"]


class TestPart:
    """The part of a batch that a process takes: four processes, as each of them sees itself."""

    @pytest.fixture
    def four(self, monkeypatch):
        import keras

        monkeypatch.setattr(keras.distribution, "distribution", lambda: "data parallel")
        monkeypatch.setattr(keras.distribution, "list_devices", lambda *_: ["cpu:0"] * 4)

        def take(count, batch_size):
            parts = []
            for number in range(4):
                process = distributed.Joined(number, 4)
                parts.append(process.part(np.arange(count), -np.arange(count), batch_size))
            return parts

        return take

    def test_together_they_are_the_same_batches(self, four):
        parts = four(20, 8)
        assert [size for _, _, size in parts] == [2] * 4
        assert all(np.array_equal(images, -labels) for images, labels, _ in parts)
        for start, stop, own in ((0, 8, slice(0, 2)), (8, 16, slice(2, 4)), (16, 20, slice(4, 5))):
            assert np.concatenate([images[own] for images, _, _ in parts]).tolist() == list(
                range(start, stop)
            )

    @pytest.mark.parametrize(
        ("count", "batch_size", "what"),
        [(24, 6, "batch_size has 6"), (22, 8, "the last batch has 6")],
    )
    def test_what_cannot_be_shared_equally_is_refused(self, four, count, batch_size, what):
        with pytest.raises(
            InputError, match=f"{what} images, which 4 devices cannot share equally"
        ):
            four(count, batch_size)

    def test_one_process_takes_all(self):
        images, labels = np.arange(5), np.arange(5)
        assert distributed.Joined().part(images, labels, 2) == (images, labels, 2)


@pytest.mark.parametrize(
    ("coordinator", "bound"), [("127.0.0.1:1234", "127.0.0.1:1234"), ("head.example:1234", None)]
)
def test_processes_of_one_machine_listen_to_that_machine_alone(monkeypatch, coordinator, bound):
    import jax
    import keras

    seen = {}
    monkeypatch.setattr(jax.distributed, "initialize", lambda *_, **options: seen.update(options))
    monkeypatch.setattr(jax.config, "update", lambda *_: None)
    monkeypatch.setattr(keras.distribution, "DataParallel", lambda **_: None)
    monkeypatch.setattr(keras.distribution, "set_distribution", lambda _: None)
    monkeypatch.setattr(distributed, "_joined", distributed.joined())
    monkeypatch.setenv(distributed.VARIABLE, f"{coordinator},1,2")
    distributed.join()
    assert seen["coordinator_bind_address"] == bound
    assert (distributed.joined().count, distributed.joined().is_first) == (2, False)


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--coordinator", "a:1", "--process-id", "0"], "need --processes"),
            (["--processes", "2", "--coordinator", "a:1"], "go together"),
            (["--processes", "2", "--process-id", "1"], "go together"),
            (
                ["--processes", "2", "--process-id", "2", "--coordinator", "a:1"],
                "a --process-id from 0 to 1",
            ),
            (
                ["--processes", "2", "--process-id", "1", "--coordinator", "a"],
                "a --coordinator like host:1234",
            ),
        ],
    )
    def test_what_does_not_go_together(self, options, message):
        result = CliRunner().invoke(cli, [*ARGUMENTS, *options])
        assert result.exit_code == 2 and message in result.output

    def test_a_boosted_net(self):
        result = CliRunner().invoke(cli, ["train", "boosted-lenet-4", "mnist", "--processes", "2"])
        assert result.exit_code == 2 and "without --processes" in result.output


@pytest.mark.skipif(sys.platform == "win32", reason="JAX has no Gloo on Windows")
class TestProcesses:
    def train(self, folder, *options):
        environment = os.environ | {"CNNLIB_RESULTS": str(folder)}
        command = [sys.executable, "-m", "cnnlib", *ARGUMENTS, *options]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)

    def weights(self, folder, monkeypatch):
        import keras

        from cnnlib import models  # noqa: F401  before keras

        monkeypatch.setenv("CNNLIB_RESULTS", str(folder))
        (row,) = [
            row for row in results.measured().to_dict("records") if row["origin"] == "this machine"
        ]
        return row, keras.saving.load_model(
            ledger.net_path(row["run_id"]), compile=False
        ).get_weights()

    def test_on_one_machine_they_listen_on_loopback_only(self, tmp_path):
        import psutil

        environment = os.environ | {"CNNLIB_RESULTS": str(tmp_path)}
        command = [sys.executable, "-m", "cnnlib", *ARGUMENTS, "--processes", "2"]
        parent = psutil.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        addresses = set()
        while parent.poll() is None:
            with contextlib.suppress(psutil.Error):
                for process in [parent, *parent.children(recursive=True)]:
                    found = process.net_connections("inet")
                    listening = [c for c in found if c.status == psutil.CONN_LISTEN]
                    addresses |= {c.laddr.ip.removeprefix("::ffff:") for c in listening}
        assert parent.wait() == 0 and addresses == {"127.0.0.1"}

    def test_two_processes_give_the_weights_of_one_and_go_on_where_they_were_killed(
        self, tmp_path, monkeypatch
    ):
        one = self.train(tmp_path / "one", "--processes", "1")
        assert one.returncode == 0, one.stderr
        # Once there is a checkpoint, the second process is killed, and the first waits in vain.
        hook = tmp_path / "site" / "sitecustomize.py"
        storage.write_atomically(
            hook,
            "import os, signal, sys\n"
            "if os.environ.get('CNNLIB_PROCESS', '').split(',')[1:] == ['1', '2']:\n"
            "    import threading, pathlib, time\n"
            "    def die():\n"
            "        results = pathlib.Path(os.environ['CNNLIB_RESULTS'])\n"
            "        while not list(results.glob('stages/*/checkpoint.npz')):\n"
            "            time.sleep(0.01)\n"
            "        os.kill(os.getpid(), signal.SIGKILL)\n"
            "    threading.Thread(target=die, daemon=True).start()\n",
        )
        path = os.pathsep.join(
            [str(hook.parent), str(storage.ROOT), os.environ.get("PYTHONPATH", "")]
        )
        with monkeypatch.context() as killed:
            killed.setenv("PYTHONPATH", path)
            lost = self.train(tmp_path / "two", "--processes", "2")
        assert lost.returncode == 1
        message = "Error: process 1 of 0 to 1 was killed by signal 9, so the training has ended"
        assert message in lost.stderr
        assert (
            list((tmp_path / "two" / "stages").glob("*/checkpoint.npz"))
            and not (tmp_path / "two" / "rows").exists()
        )

        two = self.train(tmp_path / "two", "--processes", "2")
        assert two.returncode == 0, two.stderr
        assert "epoch 1/2" not in two.stderr  # it went on from the checkpoint
        row_of_one, expected = self.weights(tmp_path / "one", monkeypatch)
        row_of_two, found = self.weights(tmp_path / "two", monkeypatch)
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_allclose(b, a, rtol=0, atol=1e-5)
        assert row_of_two["device"].startswith("2 processes; ") and "jax" in row_of_two["versions"]
        assert (
            row_of_one["run_id"] == row_of_two["run_id"]
            and abs(row_of_one["value"] - row_of_two["value"]) < 0.05
        )
