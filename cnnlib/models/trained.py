"""Read trained nets: those that come with the course, and those saved on this machine."""

from __future__ import annotations

import os
import pathlib
import warnings

import keras

from cnnlib import integrity, recipes, registry, storage
from cnnlib.errors import Damaged, InputError, check_name
from cnnlib.models.building import build

FOLDER = storage.DATA / "nets"  # seed 0 of published rows (data/README.md)


def trained_path(name: str, recipe: str) -> pathlib.Path:
    """Return where the course keeps the net `name` trained by `recipe`, if it has that net."""
    return FOLDER / f"{name}-{recipe}.keras"


def trained_nets() -> list[tuple[str, str]]:
    """Return (name, recipe) of each trained net that comes with the course."""
    return [
        (name, recipe)
        for name in registry.names()
        for recipe in recipes.recipe_names()
        if trained_path(name, recipe).exists()
    ]


def load_trained(name: str, recipe: str = "plain") -> keras.Model:
    """Return a trained net that comes with the course.

    The net is built here and only its weights are read from the file, so that it works with any
    version of Keras that has this file format, whatever version wrote the file.

    Args:
        name: one of `models.names()`.
        recipe: the name of the recipe by which it was trained.

    Raises:
        InputError: if the course has no such trained net; it lists those it has. Also if the file
            is damaged.
    """
    check_name("model", name, registry.names())
    path = trained_path(name, recipe)
    if not integrity.exists(path):
        listed = ", ".join(f"{name} by {recipe}" for name, recipe in trained_nets())
        raise InputError(
            f"the course has no trained {name} by the recipe {recipe!r}. It has: {listed}. "
            "To train one: python -m cnnlib train"
        )
    model = build(name)
    try:
        # Keras only warns of a layer for which the file has no weights.
        with warnings.catch_warnings(action="error", category=UserWarning):
            model.load_weights(integrity.verify(path))
    except Damaged:
        raise
    except Exception as error:  # zipfile, h5py and Keras each have their own
        raise _unreadable(path, error) from error
    return model


def load(path: str | os.PathLike) -> keras.Model:
    """Return the net saved in a .keras file, by this version of Keras or one before.

    Raises:
        InputError: if there is no such file, or Keras cannot read it.
    """
    if not integrity.exists(path):
        raise InputError(f"there is no file {path}")
    try:
        return keras.saving.load_model(integrity.verify(path), compile=False)
    except Damaged:
        raise
    except Exception as error:  # zipfile, h5py and Keras each have their own
        raise _unreadable(path, error) from error


def _unreadable(path: str | os.PathLike, error: Exception) -> InputError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    next_step = "train it again"
    if pathlib.Path(path).parent == FOLDER:
        next_step = f"`git checkout data/nets/{pathlib.Path(path).name}` brings it back"
    return InputError(f"{path} is not a net that Keras can read ({reason}): {next_step}")
