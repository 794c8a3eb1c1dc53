"""Prepare Keras and its backend: what they read at import, their start-up notes, their devices."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator

from cnnlib.errors import InputError

BACKENDS = ("tensorflow", "jax")  # those that the tests of the course run on
# What the course computes with. The last two would stop training early without a word.
SETTINGS = {
    "floatx": "float32",
    "image_data_format": "channels_last",
    "epsilon": 1e-7,
    "max_epochs": None,
    "max_steps_per_epoch": None,
}


def prepare() -> None:
    """Set what Keras and TensorFlow read at import.

    On CPUs without AVX-512 TensorFlow leaves oneDNN off unless told otherwise, and trains
    convolutions two to three times slower. A variable that the user has set is left alone, except
    a number of threads that is none, and KERAS_NNX_ENABLED, with which Keras cannot be imported
    without Flax.
    """
    if "TF_ENABLE_ONEDNN_OPTS" not in os.environ and "tensorflow" in sys.modules:
        warnings.warn(
            "TensorFlow was imported before cnnlib, so oneDNN may be off and training two to three "
            "times slower: import cnnlib first, or set TF_ENABLE_ONEDNN_OPTS=1 beforehand.",
            stacklevel=3,
        )
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        if not re.fullmatch("[0-9]{0,3}", text := os.environ.get(name, "")):
            del os.environ[name]  # TensorFlow would end without a word at a negative number
            warnings.warn(f"{name} is {text!r}, no number of threads: ignored", stacklevel=3)
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["KERAS_NNX_ENABLED"] = "false"
    if os.path.expanduser("~").startswith("~"):  # no home folder: Keras would make one named ~ here
        os.environ["HOME"] = tempfile.gettempdir()
    if "ipykernel" in sys.modules:  # a notebook needs Keras anyway, and stores what stderr gets
        load_keras()


def load_keras() -> None:
    """Import Keras without the notes that TensorFlow's C++ code writes to stderr meanwhile."""
    if "keras" in sys.modules:
        return
    try:
        with without_stderr():
            import keras

            keras.distribution.list_devices()  # "no CUDA driver" is among the notes
    except Exception as error:  # what the user's settings make of it
        raise InputError(
            f"Keras cannot start ({type(error).__name__}: {error}): look at the variable "
            "KERAS_BACKEND, and at keras.json in ~/.keras or in the folder KERAS_HOME"
        ) from error


@contextlib.contextmanager
def without_stderr() -> Iterator[None]:
    """Withhold what the process writes to its stderr; show it if an error is raised."""
    try:
        stderr = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(stderr, 2)
            notes.seek(0)
            os.write(2, notes.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def on_cpu() -> bool:
    """Return True if Keras has nothing but processors to compute on."""
    import keras

    # Asked for GPUs where there are none, JAX raises: so list all devices.
    return all(device.startswith("cpu") for device in keras.distribution.list_devices())


def has_bfloat16() -> bool:
    """Return whether this machine has instructions for bfloat16, so that it saves time.

    GPUs count as having them. Processors have them with AMX or AVX-512's bfloat16, as Linux says;
    without, the gradients of TensorFlow's convolutions take up to twenty times as long as in
    float32.
    """
    if not on_cpu():
        return True
    try:
        flags = pathlib.Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def check_settings() -> None:
    """Raise InputError unless Keras computes as the course says, whatever the user's settings are.

    Keras reads ~/.keras/keras.json (or KERAS_HOME) and environment variables. With another number
    type, order of the axes or limit of epochs, a net would learn something else, or not to the end.
    """
    import keras

    found = keras.config.backend()
    if found not in BACKENDS:
        raise InputError(
            f"Keras' backend is {found!r} here, and the course runs on {' and '.join(BACKENDS)}: "
            "set KERAS_BACKEND=tensorflow before Python starts"
        )
    for name, expected in SETTINGS.items():
        found = getattr(keras.config, name, lambda: None)()
        if found != expected:
            raise InputError(
                f"Keras' {name} is {found!r} here, and the course computes with {expected!r}, so "
                f"that every result means the same: call keras.config.set_{name}({expected!r}), or "
                f"change it in keras.json or in the environment variable KERAS_{name.upper()}"
            )
