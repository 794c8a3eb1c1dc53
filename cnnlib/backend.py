"""Imports Keras and its backend without the start-up notes that TensorFlow's C++ code writes to stderr whatever the settings; says what
they compute on.

`cnnlib.models` imports it before Keras. If the import fails, the notes are shown.
"""

import os
import sys
import tempfile

import cnnlib  # noqa: F401  its environment variables must be set before TensorFlow is imported


def _import_keras():
    import keras

    keras.distribution.list_devices()  # looks for a GPU now, so that "no CUDA driver" is among the swallowed notes


def _quietly(function):
    """Call `function` with the process' stderr kept back; show what was kept back only if it raises."""
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


if "keras" not in sys.modules:
    _quietly(_import_keras)


def on_cpu():
    """True if Keras has nothing but processors to compute on. (Asked for GPUs where there are none, JAX raises.)"""
    import keras

    return all(device.startswith("cpu") for device in keras.distribution.list_devices())
