"""Vary the training images at random: distort digits; crop and mirror colour images.

Both functions take images as `preprocessing.prepare` returns them, and return new ones that are the
same on every machine for the same seed. Neither changes its argument.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from cnnlib import backend
from cnnlib.errors import InputError
from cnnlib.preprocessing import BACKGROUND, prepare
from cnnlib.validation import InstanceOf, Number, Seed, WholeNumber, validated

Amount = Annotated[Number, Field(ge=0)]
Seeds = Seed | Annotated[tuple[Seed, ...], Field(min_length=1)]


@dataclasses.dataclass(frozen=True)
class Distortion:
    """Say how far `distort` may go: each value is drawn evenly from minus to plus these.

    The paper names the kinds, not the amounts (section III-A).
    """

    translation: float = 1.5  # pixels, in x and y
    scaling: float = 0.12  # logarithm of the factor
    squeezing: float = 0.12  # logarithm of the factor in x, of its inverse in y
    shear: float = 0.25  # columns a row

    def __post_init__(self):
        _check_amounts(self.translation, self.scaling, self.squeezing, self.shear)


@validated
def _check_amounts(translation: Amount, scaling: Amount, squeezing: Amount, shear: Amount) -> None:
    pass


@validated
def distort(
    images: Any,
    seed: Seeds,
    distortion: InstanceOf[Distortion] = Distortion(),
    only: Any = None,
) -> np.ndarray:
    """Apply a random planar affine map to each image.

    The map is a translation, scaling, squeezing and horizontal shear about the middle.

    Args:
        images: float32 (n, h, w, c) in the paper's grey levels, as `prepare` returns them.
        seed: a whole number or a tuple of them, such as (seed, epoch).
        distortion: how far to go.
        only: indices (k,) of the images to return, each distorted as it would be among all.

    Returns:
        float32 of the same shape (of k images with `only`), by linear interpolation, with
        background where the map leaves the image. Keras' backend computes it.

    Raises:
        InputError: for another dtype, shape or seed, or indices that are not of these images.
    """
    import keras

    backend.check_settings()
    _check(images)
    maps = affine_maps(len(images), images.shape[1:3], seed, distortion)
    if only is not None:
        only = _check_indices(only, len(images))
        images, maps = images[only], maps[only]
    if not len(images):
        return images.copy()
    step = 2000  # images at a time: fast, and uses little memory
    parts = [
        keras.ops.image.affine_transform(
            images[i : i + step], maps[i : i + step], fill_mode="constant", fill_value=BACKGROUND
        )
        for i in range(0, len(images), step)
    ]
    return np.concatenate([keras.ops.convert_to_numpy(part) for part in parts])


def affine_maps(
    n: int, size: tuple[int, int], seed: int | tuple[int, ...], distortion: Distortion
) -> np.ndarray:
    """Return n random maps for images of `size` (height, width).

    Returns:
        float32 (n, 8), as keras.ops.image.affine_transform takes them. Row i is
        (a, b, c, 0, e, f, 0, 0): the output pixel in column x, row y is read from column
        a x + b y + c, row e y + f of the input.
    """
    amounts = [
        distortion.translation,
        distortion.translation,
        distortion.scaling,
        distortion.squeezing,
        distortion.shear,
    ]
    drawn = np.random.RandomState(seed).uniform(-1, 1, (5, n)) * np.array(amounts)[:, None]
    right, down, scale, squeeze, shear = drawn
    middle_y, middle_x = (size[0] - 1) / 2, (size[1] - 1) / 2
    a, e = np.exp(-scale - squeeze), np.exp(-scale + squeeze)
    b = a * shear
    maps = np.zeros((n, 8), np.float32)
    maps[:, 0], maps[:, 1], maps[:, 2] = a, b, middle_x - a * middle_x - b * middle_y - right
    maps[:, 4], maps[:, 5] = e, middle_y - e * middle_y - down
    return maps


@validated
def crop_and_flip(
    images: Any,
    seed: Seeds,
    padding: Annotated[WholeNumber, Field(ge=0, le=1024)],
    mirrored: Any = None,
    input_format: Literal["cifar10", "rgb"] = "cifar10",
) -> np.ndarray:
    """Move each image by up to `padding` pixels each way, and mirror some of them.

    Args:
        images: float32 (n, h, w, 3), as `prepare` returns them.
        seed: a whole number or a tuple of them, such as (seed, epoch).
        padding: pixels of black on every side before the crop.
        mirrored: bool (n,), which images to mirror; a random half if None.
        input_format: the format of the images, which decides what black is.

    Returns:
        float32 of the same shape.

    Raises:
        InputError: for another dtype, shape, seed or format.
    """
    _check(images, channels=3)
    n, height, width, _ = images.shape
    random = np.random.RandomState(seed)
    top, left = random.randint(0, 2 * padding + 1, (2, n))
    if mirrored is None:
        mirrored = random.randint(0, 2, n) == 1
    elif getattr(mirrored, "dtype", None) != np.dtype(bool) or np.shape(mirrored) != (n,):
        raise InputError(f"mirrored must be a bool array ({n},), got {mirrored!r}")
    rows = top[:, None] + np.arange(height)
    columns = left[:, None] + np.where(mirrored[:, None], np.arange(width)[::-1], np.arange(width))
    black = prepare(np.zeros((1, 32, 32, 3), np.uint8), input_format)[:, :1, :1]
    result, step = np.empty_like(images), 5000  # images at a time, to use little memory
    for i in range(0, n, step):
        part = images[i : i + step]
        padded = np.broadcast_to(
            black, (len(part), height + 2 * padding, width + 2 * padding, 3)
        ).copy()
        padded[:, padding : padding + height, padding : padding + width] = part
        result[i : i + step] = padded[
            np.arange(len(part))[:, None, None],
            rows[i : i + step][:, :, None],
            columns[i : i + step][:, None, :],
        ]
    return result


def _check(images: Any, channels: int | None = None) -> None:
    """Raise InputError unless `images` is float32 (n, h, w, c), finite, of these channels."""
    if (
        not isinstance(images, np.ndarray)
        or images.dtype != np.float32
        or images.ndim != 4
        or 0 in images.shape[1:]
        or (channels and images.shape[3] != channels)
    ):
        got = f"{images.dtype} {images.shape}" if isinstance(images, np.ndarray) else type(images)
        raise InputError(
            f"expected float32 images (n, height, width, {channels or 'channels'}) from "
            f"`preprocessing.prepare`, got {got}"
        )
    if not np.isfinite(images.sum()):  # the sum is: far quicker than to look at each
        raise InputError("the images must be finite numbers, got NaN or infinity among them")


def _check_indices(only: Any, n: int) -> np.ndarray:
    try:
        indices = np.asarray(only)
    except ValueError:  # lists of different lengths
        indices = np.asarray(None)
    if indices.size == 0 and indices.ndim == 1:
        return indices.astype(int)
    if (
        indices.ndim != 1
        or indices.dtype.kind not in "iu"
        or indices.min() < 0
        or indices.max() >= n
    ):
        raise InputError(f"only must be the indices of images, from 0 to {n - 1}, got {only!r}")
    return indices
