"""State files: what a training has reached, so that a run that was killed continues.

A state file is an .npz of arrays and a JSON text, and ends in the SHA-256 of all that. It is
written completely or not at all. It says of which run it is, and is refused for any other.
"""

import hashlib
import io
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from cnnlib import storage
from cnnlib.errors import InputError


def write(
    path: str | pathlib.Path,
    run: dict[str, Any],
    state: dict[str, Any],
    arrays: Sequence[np.ndarray],
) -> None:
    """Write what `run`, given by what determines it, has reached: a state (JSON) and arrays."""
    buffer = io.BytesIO()
    np.savez(buffer, *arrays, text=json.dumps({"run": run, "state": state}))
    content = buffer.getvalue()
    storage.write_atomically(path, content + hashlib.sha256(content).digest())


def read(
    path: str | pathlib.Path, run: dict[str, Any]
) -> tuple[dict[str, Any], list[np.ndarray]] | None:
    """Return the state and the arrays of a state file, or None if there is no such file.

    Raises:
        InputError: if the file is damaged or cannot be read, or is of another run.
    """
    path = storage.existing_file(path)
    if not path.exists():
        return None
    again = "delete it to train from the start"
    try:
        content = path.read_bytes()
        if hashlib.sha256(content[:-32]).digest() != content[-32:]:
            raise ValueError("it is not what was written")
        with np.load(io.BytesIO(content[:-32]), allow_pickle=False) as saved:
            text = json.loads(str(saved["text"]))
            arrays = [saved[f"arr_{i}"] for i in range(len(saved.files) - 1)]
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): {again}") from error
    if text["run"] != run:
        raise InputError(f"{path} is of another net, recipe, seed or data: {again}")
    return text["state"], arrays


def save(
    path: str | pathlib.Path,
    model: keras.Model,
    run: dict[str, Any],
    epochs: list[dict[str, float]],
) -> None:
    """Write the state of `model`, compiled, after these epochs of a run."""
    arrays = [keras.ops.convert_to_numpy(variable) for variable in _variables(model)]
    write(path, _run_of(model, run), {"epochs": epochs}, arrays)


def restore(
    path: str | pathlib.Path, model: keras.Model, run: dict[str, Any]
) -> list[dict[str, float]]:
    """Put the state of a checkpoint, if there is one, into `model`; return the epochs so far.

    Raises InputError as `read`.
    """
    state, arrays = read(path, _run_of(model, run)) or ({"epochs": []}, [])
    for variable, array in zip(_variables(model), arrays, strict=False):
        variable.assign(array)
    return state["epochs"]


def _run_of(model, run):
    return {**run, "shapes": [list(variable.shape) for variable in _variables(model)]}


def _variables(model):
    """Return all that changes in training; the learning rate follows from the number of steps."""
    optimizer = model.optimizer
    return model.variables + [v for v in optimizer.variables if v is not optimizer.learning_rate]
