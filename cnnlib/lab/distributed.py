"""One training over several processes, on one machine or on many: the same global batches, so the same weights but for rounding.

Keras' DataParallel on its JAX backend: each process holds the whole net and takes its part of each batch; JAX sums the gradients, through
Gloo on CPUs and NCCL on GPUs. TensorFlow's own way, MultiWorkerMirroredStrategy, does not work with Keras 3.

`python -m cnnlib train ... --processes N` starts the processes of this machine and watches them (`launch`). Each of them is the same
command with the environment variable CNNLIB_PROCESS, "host:port,number,processes", which makes it take its part (`join`). One process
drives all the GPUs of its machine.
"""

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

from cnnlib.errors import InputError

VARIABLE = "CNNLIB_PROCESS"
LOST = 20  # seconds without a sign of life after which a process counts as lost
START = 120  # seconds in which all processes must have started

_joined = (0, 1)  # number of this process, and how many there are


def join():
    """Take part in the training that CNNLIB_PROCESS names; without it do nothing. Call before Keras is imported."""
    global _joined
    if VARIABLE not in os.environ:
        return
    import jax

    coordinator, number, processes = os.environ[VARIABLE].split(",")
    number, processes = int(number), int(processes)
    if processes > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(
            coordinator,
            processes,
            number,
            heartbeat_timeout_seconds=LOST,
            initialization_timeout=START,
            shutdown_timeout_seconds=START,
        )

    import keras

    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    _joined = number, processes


def is_first():
    """True in the process that writes what the others only know: the checkpoint, the net, the row. True if there is but one."""
    return _joined[0] == 0


def processes():
    """How many processes this training has."""
    return _joined[1]


def part(images, labels, batch_size):
    """The (images, labels, batch size) of this process: of each batch of `batch_size` its own part, in the same order."""
    import keras

    number, count = _joined
    if keras.distribution.distribution() is None:
        return images, labels, batch_size
    devices = len(keras.distribution.list_devices())
    for what, size in {
        "batch_size": batch_size,
        "the last batch": len(images) % batch_size,
    }.items():
        if size % devices:
            raise InputError(
                f"{what} has {size} images, which {devices} devices cannot share equally: choose a batch_size, or a --train-size, of which "
                f"all batches are multiples of {devices}"
            )
    if count == 1:
        return images, labels, batch_size
    batches = [
        range(start, min(start + batch_size, len(images)))
        for start in range(0, len(images), batch_size)
    ]
    rows = [
        row
        for batch in batches
        for row in batch[number * len(batch) // count : (number + 1) * len(batch) // count]
    ]
    return images[rows], labels[rows], batch_size // count


def check_same(what, value):
    """Raise InputError unless all processes have the same `value` (a whole number)."""
    if processes() == 1:
        return
    import numpy as np
    from jax.experimental import multihost_utils

    found = multihost_utils.process_allgather(np.array([value])).ravel().tolist()
    if len(set(found)) > 1:
        raise InputError(
            f"{what}: the processes have {found}. They must share one results folder: set CNNLIB_RESULTS to it on each machine"
        )


def gather(model):
    """`model` as a net of this process alone (keras.Model), once it is trained; as it is if there was but one process."""
    import keras

    if keras.distribution.distribution() is None:
        return model
    weights = model.get_weights()
    keras.distribution.set_distribution(None)
    alone = keras.models.clone_model(model)
    alone.set_weights(weights)
    return alone


def launch(arguments, processes, coordinator=None, number=None):
    """Run `python -m cnnlib ARGUMENTS` as one training of `processes` processes; wait for those of this machine. Returns the exit code.

    Without a `coordinator` all run here. With one ("host:port" of process 0, the same for all), the one of that `number` runs here, and the
    same command with another number on each other machine. If a process is lost, the others end, with an error that says so.
    """
    if (coordinator is None) != (number is None):
        raise InputError(
            "--coordinator and --process-id go together: the address of process 0, and which one this is (0, 1, ...)"
        )
    if coordinator is not None and (":" not in coordinator or not 0 <= number < processes):
        raise InputError(
            f"expected a --coordinator like host:1234 and a --process-id from 0 to {processes - 1}"
        )
    numbers = range(processes) if coordinator is None else [number]
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
    """Wait for all processes of this machine; once one has failed, say so. Returns the exit code."""
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
    # One that was killed says more than one that lost its partner; a user's mistake (exit code 2) says most.
    number, code = min(failed.items(), key=lambda item: (item[1] != 2, item[1] > 0, item[0]))
    said = logs[number].read_text(encoding="utf-8", errors="replace").strip()
    if code == 2:
        print(said, file=sys.stderr)
        return 2
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    print(
        f"Error: process {number} of 0 to {processes - 1} {how}, so the training has ended in all of them."
        + (f" What it said last:\n{said[-2000:]}\n" if said else " ")
        + "A process that loses another one ends as well: look at the others' machines too. The same command, given again, goes on from "
        "the last whole epoch.",
        file=sys.stderr,
    )
    return 1


def _free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
