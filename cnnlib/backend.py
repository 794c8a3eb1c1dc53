"""Prepare Keras and its backend: the environment they read at import, their start-up notes, their devices.

`import cnnlib` calls `prepare`, so nothing else in the package has to care about the order of its imports.
"""

import importlib.abc
import importlib.util
import os
import sys
import tempfile
import warnings
from collections.abc import Callable


def prepare() -> None:
    """Set the environment variables that TensorFlow reads at import, and silence Keras' start-up notes.

    On CPUs without AVX-512 TensorFlow leaves oneDNN off unless told otherwise, and trains convolutions two to
    three times slower. A variable that the user has set is left alone.
    """
    if "TF_ENABLE_ONEDNN_OPTS" not in os.environ:
        if "tensorflow" in sys.modules:
            warnings.warn(
                "TensorFlow was imported before cnnlib, so oneDNN may be off and training two to three times "
                "slower: import cnnlib first, or set TF_ENABLE_ONEDNN_OPTS=1 before Python starts.",
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


class _QuietImport(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Import hook that loads Keras or TensorFlow once, without the notes that TensorFlow writes.

    Its C++ code writes them to stderr, whatever its log settings are. If the import fails, they
    are shown.
    """

    def __init__(self, name):
        self.name = name

    def find_spec(self, name, path=None, target=None):
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None:
            self.loader = spec.loader
            spec.loader = self
        return spec

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self.loader
        without_stderr(lambda: self._load(module))

    def _load(self, module):
        self.loader.exec_module(module)
        # Look for a GPU now, so that "no CUDA driver" is among the notes that are not shown.
        if self.name == "keras":
            module.distribution.list_devices()
        else:
            module.config.list_physical_devices()


def without_stderr(function: Callable[[], object]) -> None:
    """Call `function` with the process' stderr withheld; show what was withheld only if it raises."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as notes:
        stderr = os.dup(2)
        os.dup2(notes.fileno(), 2)
        try:
            function()
        except BaseException:
            os.dup2(stderr, 2)
            notes.seek(0)
            os.write(2, notes.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
