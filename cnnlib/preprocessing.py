"""From the bytes of a data set to the input that each net was published with.

All functions but `distort` and `crop_and_flip` take images as uint8 (n, height, width, channels), 0 = background, 255 = full ink; none
changes its argument.
Source: LeCun, Bottou, Bengio & Haffner 1998, sections II-B and III-A, unless another is named.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from cnnlib.errors import InputError, check_name
from cnnlib.models import registry

if TYPE_CHECKING:
    from cnnlib.recipes import Recipe

# What the nets take; 16-in-28 is a 16x16 digit in 28x28, for LeNet-1, cifar10 a 32x32 colour image by CIFAR-10's mean and deviation, and
# rgb a colour image of any size as it is, 0 to 255.
FORMATS = ("20x20", "28x28", "16-in-28", "32x32", "cifar10", "rgb")
BACKGROUND, FOREGROUND = (
    -0.1,
    1.175,
)  # the paper's grey levels, meant to make the mean about 0 and the variance about 1 (section II-B)
# Of the training images' red, green and blue, 0 to 1, as the published table's recipe has them. These deviations are means of each image's
# own; over all pixels they are 0.2470, 0.2435 and 0.2616. Any batch norm undoes the difference.
CIFAR10_MEAN, CIFAR10_DEVIATION = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


def grey_levels(images):
    """Map 0 to -0.1 and 255 to 1.175, linearly. Returns float32 of the same shape."""
    _check(images)
    return images * np.float32((FOREGROUND - BACKGROUND) / 255) + np.float32(BACKGROUND)


def standardise(images):
    """Centre and scale each colour by CIFAR-10's mean and deviation. uint8 (n, h, w, 3) -> float32 (n, h, w, 3)."""
    _check(images, channels=3)
    scale = 1 / (255 * np.float32(CIFAR10_DEVIATION))
    return images * scale - np.float32(CIFAR10_MEAN) / np.float32(CIFAR10_DEVIATION)


def colour(images):
    """Images as float32 with three channels, 0 to 255: grey ones three times. uint8 (n, h, w, 1 or 3) -> float32 (n, h, w, 3)."""
    _check(images)
    if images.shape[3] not in (1, 3):
        raise InputError(
            f"images must be grey or RGB, (n, height, width, 1 or 3), got {images.shape}"
        )
    return np.broadcast_to(images, (*images.shape[:3], 3)).astype(np.float32)


def pad_to_32(images):
    """Set 28x28 images in the middle of 32x32 background, so that strokes stay clear of the border of C1's receptive fields."""
    _check(images, (28, 28))
    return np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))


def crop_to_20x20(images, middle_columns=False):
    """Return each digit's bounding box, centred in 20x20. uint8 (n, h, w, 1) -> uint8 (n, 20, 20, 1).

    MNIST's digits were scaled to fit a 20x20 box and then moved to centre their mass in 28x28: this undoes the moving. An empty image
    stays empty. Raises InputError if the ink of an image does not fit in 20x20: such a picture is no size-normalised digit.
    With `middle_columns`, for deslanted digits, only the rows are those of the box; of the columns it takes the middle 20, where `deslant`
    puts the centre of mass, and cuts off what sticks out. (Deslanting makes 14 % of MNIST's digits wider than 20 pixels, and a linear
    classifier tells digits better apart when their mass is centred than when their edges are.)
    """
    _check(images, channels=1)
    top, height = _extent(images.any(axis=(2, 3)))
    left, width = _extent(images.any(axis=(1, 3)))
    if middle_columns:
        left, width = np.full(len(images), (images.shape[2] - 20) // 2), np.full(len(images), 20)
    too_large = np.flatnonzero((height > 20) | (width > 20))
    if too_large.size:
        i = too_large[0]
        raise InputError(
            f"{too_large.size} of {len(images)} images have ink outside a 20x20 box (the first: image {i}, {height[i]}x{width[i]} pixels). "
            "The 20x20 format is for MNIST's size-normalised digits: use a net with 28x28 or 32x32 input here."
        )
    return _window(images, top - (20 - height) // 2, left - (20 - width) // 2, 20)


def digit_16_in_28(images, middle_columns=False):
    """Return LeNet-1's input: the digit shrunk to 16x16 and centred in 28x28 (section III-C.7). uint8 (n, h, w, 1) -> uint8 (n, 28, 28, 1).

    The paper does not name its resampling. Here each of the 16x16 pixels is the mean of the area that it covers in the 20x20 box, 1.25
    pixels wide and high.
    """
    box = crop_to_20x20(images, middle_columns)[..., 0]
    edges = np.clip(
        np.arange(21) - 1.25 * np.arange(17)[:, None], 0, 1.25
    )  # (17, 21): input edges as seen from each output pixel's edge
    share = (np.diff(edges, axis=1)[:16] / 1.25).astype(
        np.float32
    )  # (16, 20): how much of output pixel i is input pixel j
    small = np.rint(share @ box.astype(np.float32) @ share.T).astype(np.uint8)
    return np.pad(small, ((0, 0), (6, 6), (6, 6)))[..., None]


def deslant(images):
    """Shear each digit horizontally so that its principal axis is vertical. uint8 (n, h, w, 1), in and out.

    The slant is the regression of column on row, weighted by ink: the image moments mu11 / mu02. Rows move, with linear interpolation,
    so that the axis is the middle of the columns: the digit is centred to a fraction of a pixel, where MNIST is to a whole one.
    """
    _check(images, channels=1)
    step = 4000  # images at a time: little memory
    return (
        np.concatenate([_deslant(images[i : i + step]) for i in range(0, len(images), step)])
        if len(images)
        else images.copy()
    )


def _deslant(images):
    ink = images[..., 0].astype(np.float32)
    width = ink.shape[2]
    row, column = np.arange(ink.shape[1], dtype=np.float32), np.arange(width, dtype=np.float32)
    mass = np.maximum(ink.sum(axis=(1, 2)), 1)  # an empty image has no slant
    centre = (ink.sum(axis=1) @ column / mass)[:, None]
    row_offset = (
        row - (ink.sum(axis=2) @ row / mass)[:, None]
    )  # (n, h): rows from the centre of mass
    mu11 = np.einsum("nhw,nh,nw->n", ink, row_offset, column - centre, optimize=True)
    mu02 = np.einsum("nh,nh->n", ink.sum(axis=2), row_offset**2)
    shift = (
        (mu11 / np.maximum(mu02, 1))[:, None] * row_offset + centre - (width - 1) / 2
    )  # (n, h): how far each row's pixels come
    source = column + shift[..., None]  # (n, h, w)
    left = np.floor(source).astype(np.int32)
    right_share = source - left
    padded = np.pad(
        ink, ((0, 0), (0, 0), (1, 1))
    )  # one column of background on each side stands for everything outside
    at = lambda index: np.take_along_axis(padded, np.clip(index + 1, 0, width + 1), axis=2)  # noqa: E731
    return np.rint(at(left) * (1 - right_share) + at(left + 1) * right_share).astype(np.uint8)[
        ..., None
    ]


@dataclasses.dataclass(frozen=True)
class Distortion:
    """How far `distort` goes: each value is drawn evenly from minus to plus these (section III-A names the kinds, not the amounts)."""

    translation: float = 1.5  # pixels, in x and y
    scaling: float = 0.12  # logarithm of the factor
    squeezing: float = 0.12  # logarithm of the factor in x, its reverse in y: wider and lower, or narrower and taller
    shear: float = 0.25  # columns a row


def distort(images, seed, distortion=Distortion(), only=None):
    """Apply a random planar affine map to each image: translation, scaling, squeezing and horizontal shear about the middle.

    Args: images: float32 (n, h, w, c) in the paper's grey levels, as `prepare` returns them; seed: a whole number or a tuple of them, such
        as (seed, epoch): the same maps on every machine; distortion: how far to go; only: indices (k,) of the images to return, distorted
        as they are among all.
    Returns: float32 of the same shape (of k images with `only`): linear interpolation, background where the map leaves the image. Keras'
        backend does the work.
    """

    import keras

    if images.dtype != np.float32 or images.ndim != 4:
        raise InputError(
            f"distort takes float32 images (n, height, width, channels) from `prepare`, got {images.dtype} {images.shape}"
        )
    maps = affine_maps(len(images), images.shape[1:3], seed, distortion)
    if only is not None:
        images, maps = images[only], maps[only]
    step = 2000  # images at a time: fast, and little memory
    parts = [
        keras.ops.image.affine_transform(
            images[i : i + step], maps[i : i + step], fill_mode="constant", fill_value=BACKGROUND
        )
        for i in range(0, len(images), step)
    ]
    return np.concatenate([keras.ops.convert_to_numpy(part) for part in parts])


def affine_maps(n, size, seed, distortion):
    """n random maps for images of `size` (height, width), as keras.ops.image.affine_transform takes them. float32 (n, 8).

    Row i is (a, b, c, 0, e, f, 0, 0): the output pixel in column x, row y is read from column a x + b y + c, row e y + f of the input.
    """
    right, down, scale, squeeze, shear = np.random.RandomState(seed).uniform(
        -1, 1, (5, n)
    ) * np.array(
        [
            [distortion.translation],
            [distortion.translation],
            [distortion.scaling],
            [distortion.squeezing],
            [distortion.shear],
        ]
    )
    middle_y, middle_x = (size[0] - 1) / 2, (size[1] - 1) / 2
    a, e = np.exp(-scale - squeeze), np.exp(-scale + squeeze)
    b = a * shear
    maps = np.zeros((n, 8), np.float32)
    maps[:, 0], maps[:, 1], maps[:, 2] = a, b, middle_x - a * middle_x - b * middle_y - right
    maps[:, 4], maps[:, 5] = e, middle_y - e * middle_y - down
    return maps


def crop_and_flip(images, seed, padding, mirrored=None, input_format="cifar10"):
    """Move each image by up to `padding` pixels each way, with black where it leaves, and mirror some of them.

    Args: images: float32 (n, h, w, 3), as `prepare` returns them; seed: a whole number or a tuple of them; padding: pixels; mirrored: bool
        (n,), which images to mirror, a random half if None; input_format: of the images, cifar10 or rgb: it decides what black is.
    Returns: float32 of the same shape, the same on every machine.
    """
    if images.dtype != np.float32 or images.ndim != 4 or images.shape[3] != 3:
        raise InputError(
            f"crops are made of float32 images (n, height, width, 3) from `prepare`, got {images.dtype} {images.shape}"
        )
    n, height, width, _ = images.shape
    random = np.random.RandomState(seed)
    top, left = random.randint(0, 2 * padding + 1, (2, n))
    mirrored = random.randint(0, 2, n) == 1 if mirrored is None else np.asarray(mirrored)
    rows = top[:, None] + np.arange(height)
    columns = left[:, None] + np.where(mirrored[:, None], np.arange(width)[::-1], np.arange(width))
    black = prepare(np.zeros((1, 32, 32, 3), np.uint8), input_format)[:, :1, :1]
    result, step = np.empty_like(images), 5000  # images at a time: little memory
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


def prepare(images, input_format, deslanted=False):
    """Return what a net of the given input format is trained on.

    Args: images: uint8 (n, h, w, c); input_format: one of FORMATS, as `models.input_format(name)` says; deslanted: deslant first.
    Returns: float32 (n, height, width, c) in the paper's grey levels; standardised for the format cifar10, 0 to 255 for rgb.
    Raises InputError for another dtype, shape or format.
    """
    check_name("input format", input_format, FORMATS)
    _check(images)
    if deslanted:
        images = deslant(images)
    if input_format == "cifar10":
        _check(images, (32, 32), channels=3)
        return standardise(images)
    if input_format == "rgb":
        return colour(images)
    if input_format == "20x20":
        images = crop_to_20x20(images, middle_columns=deslanted)
    elif input_format == "16-in-28":
        images = digit_16_in_28(images, middle_columns=deslanted)
    elif input_format == "32x32" and images.shape[1:3] != (
        32,
        32,
    ):  # CIFAR's images have that size already
        images = pad_to_32(images)
    elif input_format == "28x28":
        _check(images, (28, 28))
    return grey_levels(images)


def prepare_for(net: str, recipe: Recipe, images: np.ndarray) -> np.ndarray:
    """Return images as a net takes them when it is trained by a recipe.

    This is the only place that decides input format, deslanting and channels.

    Args:
        net: one of `models.names()`.
        recipe: a `recipes.Recipe`: it says whether the images are deslanted.
        images: uint8 (n, h, w, c), as `datasets.load` returns them.

    Returns:
        float32 (n, height, width, channels), as `prepare` returns them.

    Raises:
        InputError: for an unknown net, or images that it cannot take.
    """
    return prepare(images, registry.input_format(net), deslanted=recipe.protocol == "deslanted")


def _check(images, size=None, channels=None):
    """Raise InputError unless `images` is uint8 (n, h, w, c) of the given size and number of channels (None: any)."""
    images = np.asanyarray(images)
    if images.dtype != np.uint8:
        raise InputError(
            f"images must be uint8 with values 0 to 255, got {images.dtype}: pass the images as `datasets.load` returns them"
        )
    if (
        images.ndim != 4
        or (size and images.shape[1:3] != size)
        or (channels and images.shape[3] != channels)
    ):
        height, width = size or ("height", "width")
        raise InputError(
            f"images must have the shape (n, {height}, {width}, {channels or 'channels'}), got {images.shape}"
        )


def _extent(present):
    """First index and length of the run from the first to the last True in each row. bool (n, k) -> int (n,), int (n,)."""
    first = present.argmax(axis=1)
    last = present.shape[1] - 1 - present[:, ::-1].argmax(axis=1)
    return first, np.where(present.any(axis=1), last - first + 1, 0)


def _window(images, top, left, size):
    """Cut a size x size window out of each image; what lies outside the image is background."""
    padded = np.pad(images, ((0, 0), (size, size), (size, size), (0, 0)))
    rows = (top + size)[:, None, None] + np.arange(size)[:, None]
    columns = (left + size)[:, None, None] + np.arange(size)
    return padded[np.arange(len(images))[:, None, None], rows, columns]
