"""Prepare Keras and its backend: what they read at import, their start-up notes, their devices.

`import cnnlib` calls `prepare`, so nothing else in the package has to care about the order of its
imports. Nothing here imports Keras before it is needed.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from cnnlib.errors import InputError

BACKENDS = ("tensorflow", "jax")  # those that the tests of the course run on
# What the course computes with, by the names of keras.json and of keras.config.
SETTINGS = {"floatx": "float32", "image_data_format": "channels_last", "epsilon": 1e-7}
# Keras stops training early by these, without a word: a setting, and its environment variable.
LIMITS = {
    "max_epochs": "KERAS_MAX_EPOCHS",
    "max_steps_per_epoch": "KERAS_MAX_STEPS_PER_EPOCH",
}


def prepare() -> None:
    """Set what TensorFlow reads at import, and silence the start-up notes of Keras and TensorFlow.

    On CPUs without AVX-512 TensorFlow leaves oneDNN off unless told otherwise, and trains
    convolutions two to three times slower. A variable that the user has set is left alone.
    """
    if "TF_ENABLE_ONEDNN_OPTS" not in os.environ:
        if "tensorflow" in sys.modules:
            warnings.warn(
                "TensorFlow was imported before cnnlib, so oneDNN may be off and training two to "
                "three times slower: import cnnlib first, or set TF_ENABLE_ONEDNN_OPTS=1 before "
                "Python starts.",
                stacklevel=3,
            )
        os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for name in ("keras", "tensorflow"):
        if name not in sys.modules:
            sys.meta_path.insert(0, _QuietImport(name))


def on_cpu() -> bool:
    """Return True if Keras has nothing but processors to compute on."""
    import keras

    # Asked for GPUs where there are none, JAX raises: so list all devices.
    return all(device.startswith("cpu") for device in keras.distribution.list_devices())


@functools.cache
def has_bfloat16() -> bool:
    """Return whether this machine has instructions for bfloat16, so that it saves time.

    Processors with AMX or AVX-512's bfloat16 have, and NVIDIA's GPUs since 2020. Without AVX-512
    the gradients of TensorFlow's convolutions take some twenty times as long as in float32. No
    public function tells which kind of machine this is, so one small transposed convolution, which
    is such a gradient, is timed: twice as long is too long.
    """
    import keras

    def seconds(dtype: str) -> float:
        maps = keras.ops.ones((32, 16, 16, 64), dtype)
        kernel = keras.ops.ones((3, 3, 64, 64), dtype)
        times = []
        for _ in range(4):
            start = time.perf_counter()
            keras.ops.convert_to_numpy(keras.ops.conv_transpose(maps, kernel, padding="same"))
            times.append(time.perf_counter() - start)
        return min(times)

    found: list[bool] = []
    try:
        without_stderr(lambda: found.append(seconds("bfloat16") < 2 * seconds("float32")))
        return found[0]
    except Exception:  # what a GPU without bfloat16 says differs from backend to backend
        return False


def check_settings() -> None:
    """Check that Keras computes as the course says, whatever the user's own settings are.

    Keras reads ~/.keras/keras.json (or KERAS_HOME) and environment variables. With another number
    type, order of the axes or limit of epochs, a net would learn something else, or not to the end.

    Raises:
        InputError: names the setting, where it comes from, and how to change it.
    """
    import keras

    backend = keras.config.backend()
    if backend not in BACKENDS:
        raise InputError(_unsupported(backend))
    for name, expected in SETTINGS.items():
        found = getattr(keras.config, name)()
        if found != expected:
            place = _config_file()
            if _configuration().get(name) == found:
                source = f"{place} says so. Change {name} there to {json.dumps(expected)}"
            else:
                source = f"this program says so. Call keras.config.set_{name}({expected!r})"
            raise InputError(
                f"Keras' {name} is {found!r} here, and the course computes with {expected!r}, so "
                f"that every result means the same: {source}."
            )
    for name, variable in LIMITS.items():
        limit = getattr(keras.config, name, lambda: None)()
        if limit is not None:
            said = f"unset the environment variable {variable}"
            if variable not in os.environ:
                said = f"call keras.config.set_{name}(None)"
            raise InputError(
                f"Keras' {name} is {limit} here, so that training and tests would end early "
                f"without a word: {said}."
            )


def _config_file() -> pathlib.Path:
    """Return where Keras reads the user's settings."""
    home = os.environ.get("KERAS_HOME")
    if home is None:
        user = os.path.expanduser("~")
        home = os.path.join(user if os.access(user, os.W_OK) else "/tmp", ".keras")
    return pathlib.Path(home).expanduser() / "keras.json"


def _configuration() -> dict[str, Any]:
    """Return the user's settings, as far as they can be read."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(_config_file().read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    return {}


def _unsupported(backend: object) -> str:
    if os.environ.get("KERAS_BACKEND"):
        place = "the environment variable KERAS_BACKEND says so. Unset it"
    elif _configuration().get("backend") == backend:
        place = f'{_config_file()} says so. Change backend there to "tensorflow"'
    else:
        place = "set KERAS_BACKEND=tensorflow before Python starts"
    return (
        f"Keras' backend is {backend!r} here, and the course runs on "
        f"{' and '.join(BACKENDS)}: {place}."
    )


def _import_problem(error: Exception) -> InputError | None:
    """Return what the user can do about an error in importing Keras, if it is in their settings."""
    configuration = _configuration()
    backend = os.environ.get("KERAS_BACKEND") or configuration.get("backend", "tensorflow")
    if backend not in BACKENDS:
        return InputError(_unsupported(backend))
    if backend != "tensorflow" and isinstance(error, ImportError):
        return InputError(f"{_unsupported(backend)} It is not installed here ({error}).")
    limits = [variable for variable in LIMITS.values() if variable in os.environ]
    if limits and isinstance(error, ValueError):
        return InputError(f"unset the environment variable {' and '.join(limits)} ({error})")
    if _config_file().exists() and not isinstance(error, ImportError):
        return InputError(
            f"Keras cannot use its settings in {_config_file()} ({error}): mend that file, or "
            "delete it, and Keras writes a new one"
        )
    return None


class _QuietImport(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Import hook that loads Keras or TensorFlow once, without the notes that TensorFlow writes.

    Its C++ code writes them to stderr, whatever its log settings are. If the import fails, they
    are shown. If it fails because of the user's settings, an InputError says which.
    """

    loader: Any  # the module's own

    def __init__(self, name: str):
        self.name = name

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None:
            self.loader = spec.loader
            spec.loader = self
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: types.ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        module.__loader__ = self.loader
        without_stderr(lambda: self._load(module))

    def _load(self, module: types.ModuleType) -> None:
        try:
            self.loader.exec_module(module)
        except Exception as error:
            problem = _import_problem(error) if self.name == "keras" else None
            if problem is None:
                raise
            # The next import says the same, not what is left of this one.
            for name in [each for each in sys.modules if each.partition(".")[0] == self.name]:
                del sys.modules[name]
            sys.modules[self.name] = module  # the import system removes it
            sys.meta_path.insert(0, self)
            raise problem from error
        # Look for a GPU now, so that "no CUDA driver" is among the notes that are not shown.
        if self.name == "keras":
            module.distribution.list_devices()
        else:
            module.config.list_physical_devices()


def without_stderr(function: Callable[[], object]) -> None:
    """Call `function` without what the process writes to stderr meanwhile.

    If `function` raises another error than InputError, what was written is shown.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as notes:
        stderr = os.dup(2)
        os.dup2(notes.fileno(), 2)
        try:
            function()
        except InputError:
            raise
        except BaseException:
            os.dup2(stderr, 2)
            notes.seek(0)
            os.write(2, notes.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
