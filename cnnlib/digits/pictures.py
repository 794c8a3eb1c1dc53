"""Read a picture file as MNIST's makers would have made it."""

import os
import warnings

import numpy as np

from cnnlib.digits import decoding, strokes
from cnnlib.errors import InputError


def read_picture(path: str | os.PathLike, invert: bool | None = None) -> np.ndarray:
    """Read a picture file as a digit of MNIST: uint8 (28, 28, 1), ink 255 on background 0.

    The paper with its light and noise is subtracted, the largest stroke with its parts is scaled
    to fit 20x20 with its proportions kept, then moved so that its centre of mass is at row and
    column 14 of 28x28 (LeCun et al. 1998, section III-A). What else is on the page, such as a
    frame or a second digit, is left out with a warning.

    Args:
        path: a PNG, JPEG, TIFF, BMP, GIF or WebP file.
        invert: True if the ink is darker than the paper, False if it is brighter, None to judge.

    Raises:
        InputError: for a file that is no picture, one that is too large, and an empty page.
    """
    image, notes = read_page(path, invert)
    for note in notes:
        warnings.warn(f"{os.fspath(path)}: {note}", stacklevel=2)
    return image


def read_page(
    path: str | os.PathLike, invert: bool | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read a picture file as `read_picture` does, and return what it would warn of with the digit.

    Returns:
        The digit, uint8 (28, 28, 1), and one sentence for each thing on the page that is not the
        digit. Arguments and errors as for `read_picture`.
    """
    try:
        digit = strokes.find_digit(decoding.decode(path), invert)
    except strokes.EmptyPage as error:
        raise InputError(f"{os.fspath(path)} {error}") from error
    return strokes.normalise(digit.ink)[..., None], digit.notes
