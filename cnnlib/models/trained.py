"""Read trained nets."""

from __future__ import annotations

import os

import keras

from cnnlib.errors import InputError

# A file of Keras names the layers that it needs: these modules have those of the course.
from cnnlib.models import cifar10, layers, vgg, winograd  # noqa: F401


def load(path: str | os.PathLike) -> keras.Model:
    """Read a net that was saved as a .keras file.

    Raises:
        InputError: if there is no such file, or Keras cannot read it.
    """
    if not os.path.isfile(path):
        raise InputError(f"there is no file {path}")
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:  # zipfile, h5py and Keras each have their own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{path} is not a net that Keras can read ({reason}): train it again"
        ) from error
