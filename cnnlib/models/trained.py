"""Read trained nets: those that come with the course, and those saved on this machine."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import warnings
import zipfile
from collections.abc import Iterator

import keras
import numpy as np

from cnnlib import integrity, recipes, registry, storage
from cnnlib.errors import Damaged, InputError, check_name
from cnnlib.models.building import build

FOLDER = storage.DATA / "nets"  # seed 0 of published rows (data/README.md)


def trained_path(name: str, recipe: str) -> pathlib.Path:
    """Return where the course keeps the net `name` trained by `recipe`, if it has that net.

    It is a .keras file, or in the place of a large one its weights alone (`half_precision`).
    """
    path = FOLDER / f"{name.replace('/', '-')}-{recipe}.keras"
    half = path.with_suffix(".weights.npz")
    return half if integrity.exists(half) else path  # also where it should be, and is missing


def trained_nets() -> list[tuple[str, str]]:
    """Return (name, recipe) of each trained net that comes with the course."""
    return [
        (name, recipe)
        for name in registry.names()
        for recipe in recipes.recipe_names()
        if trained_path(name, recipe).exists()
    ]


def half_precision(net: keras.Model) -> bytes:
    """Return the weights of a net as an .npz file: kernels in float16, all else in float32.

    They are rounded, so that their accuracy is not that of the row: `results.float16_nets` has it.
    """
    weights = {weight.path: keras.ops.convert_to_numpy(weight) for weight in net.weights}
    kept = {path: w.astype("float16") if w.ndim > 1 else w for path, w in weights.items()}
    file = io.BytesIO()
    np.savez(file, **kept)
    return file.getvalue()


def load_trained(name: str, recipe: str = "plain") -> keras.Model:
    """Return a trained net that comes with the course.

    The net is built here and only its weights are read from the file, whatever version of Keras
    wrote it. `name` is one of `models.names()`, `recipe` that by which it was trained.

    Raises:
        InputError: if the course has no such trained net (it lists those it has), or its file is
            damaged.
    """
    check_name("model", name, registry.names())
    path = trained_path(name, recipe)
    if not integrity.exists(path):
        listed = ", ".join(f"{name} by {recipe}" for name, recipe in trained_nets())
        raise InputError(
            f"the course has no trained {name} by the recipe {recipe!r}. It has: {listed}. "
            "To train one: python -m cnnlib train"
        )
    net = build(name)
    with _readable(path):
        if path.suffix == ".npz":
            with np.load(io.BytesIO(integrity.read_bytes(path))) as saved:
                net.set_weights([saved[weight.path].astype("float32") for weight in net.weights])
        else:
            # Keras only warns of a layer for which the file has no weights.
            with warnings.catch_warnings(action="error", category=UserWarning):
                net.load_weights(integrity.verify(path))
    return net


def load(path: str | os.PathLike) -> keras.Model:
    """Return the net saved in a .keras file, or raise InputError."""
    path = storage.existing_file(path)
    if not integrity.exists(path):
        raise InputError(f"there is no file {path}")
    with _readable(path):
        return keras.saving.load_model(integrity.verify(path), compile=False)


@contextlib.contextmanager
def _readable(path: pathlib.Path) -> Iterator[None]:
    """Raise InputError where the file of a net cannot be read, with what helps."""
    try:
        yield
    except Damaged:
        raise
    except Exception as error:  # zipfile, h5py, NumPy and Keras each have their own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        version, ours = _keras_version(path), keras.__version__
        next_step = "train it again"
        if version not in (None, ours):
            next_step = (
                f"Keras {version} saved it, and this is Keras {ours}. Install that version (pip "
                f"install keras=={version}), or train the net again"
            )
        problem = f"{path} is not a net that Keras can read ({reason})"
        raise InputError(f"{problem}: {next_step}") from error


def _keras_version(path: pathlib.Path) -> str | None:
    """Return the version of Keras that saved a net, if the file tells it."""
    try:
        with zipfile.ZipFile(path) as file:
            return json.loads(file.read("metadata.json"))["keras_version"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
