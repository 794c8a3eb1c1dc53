"""One training over several processes, on one machine or on many.

The batches are those of a single process, so the weights are the same except for rounding. It is
Keras' DataParallel on its JAX backend: each process holds the whole net and takes its part of each
batch, and JAX sums the gradients, through Gloo on CPUs and NCCL on GPUs. TensorFlow's counterpart,
MultiWorkerMirroredStrategy, does not work with Keras 3.

`python -m cnnlib train ... --processes N` starts the processes of this machine and watches them
(`launch`). Each of them is the same command with the environment variable CNNLIB_PROCESS,
"host:port,number,processes", which makes it take its part (`join`). One process drives all the GPUs
of its machine.
"""

import contextlib
import functools
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from cnnlib.errors import InputError

if TYPE_CHECKING:
    import keras

VARIABLE = "CNNLIB_PROCESS"
LOST = 20  # seconds without a sign of life after which a process counts as lost
START = 120  # seconds in which all processes must have started


class Joined:
    """This process and those that share its training, as `training.train` takes them."""

    def __init__(self, number: int = 0, count: int = 1):
        self.number, self.count = number, count

    @property
    def is_first(self) -> bool:
        """True in the process that writes the checkpoint, the net and the row; True if alone."""
        return self.number == 0

    def part(
        self, images: np.ndarray, labels: np.ndarray, batch_size: int
    ) -> tuple[np.ndarray, np.ndarray, int]:
        """Return (images, labels, batch size) of this process: its part of each batch, in order.

        Raises:
            InputError: if a batch cannot be shared equally.
        """
        import keras

        if keras.distribution.distribution() is None:
            return images, labels, batch_size
        devices = len(keras.distribution.list_devices())
        last = len(images) % batch_size
        for what, size in {"batch_size": batch_size, "the last batch": last}.items():
            if size % devices:
                raise InputError(
                    f"{what} has {size} images, which {devices} devices cannot share equally: "
                    "choose a batch_size, or a --train-size, of which all batches are multiples "
                    f"of {devices}"
                )
        if self.count == 1:
            return images, labels, batch_size
        rows: list[int] = []
        for start in range(0, len(images), batch_size):
            size = min(batch_size, len(images) - start)
            rows += range(
                start + self.number * size // self.count,
                start + (self.number + 1) * size // self.count,
            )
        return images[rows], labels[rows], batch_size // self.count

    def check_same(self, what: str, value: int) -> None:
        """Raise InputError unless all processes have the same `value`."""
        if self.count == 1:
            return
        from jax.experimental import multihost_utils

        found = multihost_utils.process_allgather(np.array([value])).ravel().tolist()
        if len(set(found)) > 1:
            raise InputError(
                f"{what}: the processes have {found}. They must share one results folder: set "
                "CNNLIB_RESULTS to it on each machine"
            )


_joined = Joined()


def joined() -> Joined:
    """Return this process and those that share its training; this process alone without `join`."""
    return _joined


def join() -> None:
    """Take part in the training that CNNLIB_PROCESS names; do nothing without that variable.

    Call it before Keras is imported.
    """
    global _joined
    if VARIABLE not in os.environ:
        return
    import jax

    coordinator, number, count = os.environ[VARIABLE].split(",")
    if int(count) > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        # JAX's default listens to every machine, which only a coordinator that was named must do.
        local = coordinator.startswith("127.0.0.1:")
        if local:
            _keep_gloo_on_loopback()
        jax.distributed.initialize(
            coordinator,
            int(count),
            int(number),
            coordinator_bind_address=coordinator if local else None,
            heartbeat_timeout_seconds=LOST,
            initialization_timeout=START,
            shutdown_timeout_seconds=START,
        )

    import keras

    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    _joined = Joined(int(number), int(count))


def gather(model: "keras.Model") -> "keras.Model":
    """Return a trained net as a net of this process alone."""
    import keras

    if keras.distribution.distribution() is None:
        return model
    weights = model.get_weights()
    keras.distribution.set_distribution(None)
    alone = keras.models.clone_model(model)
    alone.set_weights(weights)
    return alone


def _keep_gloo_on_loopback() -> None:
    """Make Gloo listen on loopback; otherwise it takes the address of the host name.

    JAX has no setting for it, so its internal function is given the argument.
    """
    with contextlib.suppress(ImportError, AttributeError):
        from jax._src import xla_bridge

        make = xla_bridge._jax.make_gloo_tcp_collectives
        xla_bridge._jax.make_gloo_tcp_collectives = functools.partial(make, hostname="127.0.0.1")


def launch(
    arguments: Iterable[str],
    processes: int,
    coordinator: str | None = None,
    number: int | None = None,
) -> int:
    """Run `python -m cnnlib ARGUMENTS` as one training of several processes; return the exit code.

    Waits for the processes of this machine. If a process is lost, the others end, with an error
    that says so.

    Args:
        arguments: the command line after `python -m cnnlib`.
        processes: how many there are on all machines together.
        coordinator: "host:port" of process 0, the same on all machines; None to run all of them
            here.
        number: which process this machine runs, if there is a coordinator. Start the same command
            with another number on each other machine.

    Raises:
        InputError: for a coordinator and a number that do not go together.
    """
    if (coordinator is None) != (number is None):
        raise InputError(
            "--coordinator and --process-id go together: the address of process 0, and which one "
            "this is (0, 1, ...)"
        )
    numbers = list(range(processes))
    if coordinator is not None and number is not None:
        if ":" not in coordinator or number not in numbers:
            raise InputError(
                "expected a --coordinator like host:1234 and a --process-id from 0 to "
                f"{processes - 1}"
            )
        numbers = [number]
    address = coordinator or f"127.0.0.1:{_free_port()}"
    with (
        tempfile.TemporaryDirectory(prefix="cnnlib-train-", ignore_cleanup_errors=True) as folder,
        contextlib.ExitStack() as stack,
    ):
        logs = {i: pathlib.Path(folder) / f"{i}.log" for i in numbers}
        children = {}
        for i in numbers:
            environment = os.environ | {
                "KERAS_BACKEND": "jax",
                VARIABLE: f"{address},{i},{processes}",
                "TF_CPP_MIN_LOG_LEVEL": "3",
            }
            log = stack.enter_context(open(logs[i], "wb"))
            first = i == numbers[0]
            children[i] = subprocess.Popen(
                [sys.executable, "-m", "cnnlib", *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=None if first else log,
                stderr=log if not (first and sys.stderr.isatty()) else None,
            )
        try:
            return _wait(children, logs, processes)
        finally:
            for child in children.values():
                if child.poll() is None:
                    child.kill()
                child.wait()


def _wait(children, logs, processes):
    """Wait for all processes of this machine; report one that failed. Return the exit code."""
    while True:
        codes = {i: child.poll() for i, child in children.items()}
        failed = {i: code for i, code in codes.items() if code}
        if failed:
            break
        if all(code == 0 for code in codes.values()):
            return 0
        time.sleep(0.1)
    time.sleep(0.5)  # what fails first is not always what is seen first
    failed = {i: child.poll() for i, child in children.items() if child.poll()}
    # A process that was killed tells more than one that lost its partner; a user's mistake (exit
    # code 2) tells most.
    number, code = min(failed.items(), key=lambda item: (item[1] != 2, item[1] > 0, item[0]))
    output = logs[number].read_text(encoding="utf-8", errors="replace").strip()
    if code == 2:
        print(output, file=sys.stderr)
        return 2
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    last = f" Its last output:\n{output[-2000:]}\n" if output else " "
    print(
        f"Error: process {number} of 0 to {processes - 1} {how}, so the training has ended in all "
        f"of them.{last}A process that loses another one ends as well: look at the others' "
        "machines too. Give the same command again to continue from the last whole epoch.",
        file=sys.stderr,
    )
    return 1


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
