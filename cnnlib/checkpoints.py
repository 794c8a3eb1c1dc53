"""Checkpoints: the state of a training after an epoch, so that a run that was killed continues.

A checkpoint holds the weights, the state of the optimizer, the epochs so far, and what the run is
of. It is written completely or not at all.
"""

import io
import json
import pathlib
from typing import Any

import keras
import numpy as np

from cnnlib import storage
from cnnlib.errors import InputError


def save(
    path: str | pathlib.Path,
    model: keras.Model,
    run: dict[str, Any],
    epochs: list[dict[str, float]],
) -> None:
    """Write the state of `model`, compiled, after these epochs of a run."""
    text = json.dumps({**run, "epochs": epochs})
    buffer = io.BytesIO()
    np.savez(buffer, *[keras.ops.convert_to_numpy(v) for v in _variables(model)], run=text)
    storage.write_atomically(path, buffer.getvalue())


def restore(
    path: str | pathlib.Path, model: keras.Model, run: dict[str, Any]
) -> list[dict[str, float]]:
    """Put the state of a checkpoint, if there is one, into `model`; return the epochs so far.

    Raises:
        InputError: if the file cannot be read, or is of another run or net.
    """
    path = pathlib.Path(path)
    if not path.exists():
        return []
    try:
        with np.load(path, allow_pickle=False) as saved:
            found = json.loads(str(saved["run"]))
            arrays = [saved[f"arr_{i}"] for i in range(len(saved.files) - 1)]
        epochs = found.pop("epochs")
    except Exception as error:  # zipfile, zlib, json and NumPy each have their own
        raise InputError(
            f"the checkpoint {path} cannot be read ({error}): delete it to train from the start"
        ) from error
    variables = _variables(model)
    if found != run or [a.shape for a in arrays] != [tuple(v.shape) for v in variables]:
        raise InputError(
            f"the checkpoint {path} is of another net, recipe, seed or data: delete it to train "
            "from the start"
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return epochs


def _variables(model):
    """Return all that changes in training; the learning rate follows from the number of steps."""
    optimizer = model.optimizer
    return model.variables + [v for v in optimizer.variables if v is not optimizer.learning_rate]
