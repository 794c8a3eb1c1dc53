"""Turn the images of a data set into the input that each net was published with.

All functions take images as uint8 (n, height, width, channels), where 0 is background and 255 full
ink. None changes its argument.

Source: LeCun, Bottou, Bengio & Haffner 1998, sections II-B and III-A, unless another is named.
"""

import numpy as np

from cnnlib import registry
from cnnlib.errors import InputError, check_name
from cnnlib.recipes import Recipe

# What the nets take. 16-in-28 is a 16x16 digit in a 28x28 image, for LeNet-1. cifar10 is a 32x32
# colour image standardised by CIFAR-10's mean and deviation. rgb is a colour image of any size,
# with its values 0 to 255.
FORMATS = ("20x20", "28x28", "16-in-28", "32x32", "cifar10", "rgb")
# The paper's grey levels, chosen to make the mean about 0 and the variance about 1 (section II-B).
BACKGROUND, FOREGROUND = -0.1, 1.175
# Mean and deviation of red, green and blue in the training images, scaled to 0 to 1, from the
# recipe behind the published table. The deviations are means of each image's own deviation; over
# all pixels they are 0.2470, 0.2435 and 0.2616. Any batch norm cancels the difference.
CIFAR10_MEAN, CIFAR10_DEVIATION = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


def prepare(images: np.ndarray, input_format: str, deslanted: bool = False) -> np.ndarray:
    """Return the input on which a net of this input format is trained.

    Args:
        images: uint8 (n, h, w, c): 28x28 for 28x28, with one channel for 20x20 and 16-in-28, with
            three for cifar10, and with one or three for rgb.
        input_format: one of FORMATS; `models.input_format(name)` returns that of a net.
        deslanted: deslant the images first.

    Returns:
        float32 (n, height, width, c): the paper's grey levels; for cifar10 standardised colours,
        for rgb 0 to 255 (grey images three times).

    Raises:
        InputError: for an unknown format, images of another kind, and as `crop_to_20x20`.
    """
    check_name("input format", input_format, FORMATS)
    if images.dtype != np.uint8 or images.ndim != 4:
        raise InputError(
            "images must be uint8 (n, height, width, channels), as `datasets.load` returns them; "
            f"got {images.dtype} {images.shape}"
        )
    if deslanted:
        images = deslant(images)
    if input_format == "rgb":
        return np.broadcast_to(images, (*images.shape[:3], 3)).astype(np.float32)
    if input_format == "cifar10":
        return standardise(images)
    if input_format == "20x20":
        images = crop_to_20x20(images, middle_columns=deslanted)
    elif input_format == "16-in-28":
        images = digit_16_in_28(images, middle_columns=deslanted)
    elif input_format == "32x32" and images.shape[1:3] != (32, 32):  # CIFAR's are that size
        images = pad_to_32(images)
    return grey_levels(images)


def prepare_for(net: str, recipe: Recipe, images: np.ndarray) -> np.ndarray:
    """Return images as a net, one of `models.names()`, takes them when a recipe trains it.

    This is the only place that decides input format, deslanting and channels, except for a
    pretrained VGG16, which takes images of any size as they are (`transfer.rgb`). Images, result
    and errors are those of `prepare`.
    """
    input_format = registry.input_format(net)
    return prepare(images, input_format, deslanted=recipe.protocol == "deslanted")


def grey_levels(images: np.ndarray) -> np.ndarray:
    """Map 0 to -0.1 and 255 to 1.175, linearly. Returns float32 of the same shape."""
    return images * np.float32((FOREGROUND - BACKGROUND) / 255) + np.float32(BACKGROUND)


def standardise(images: np.ndarray) -> np.ndarray:
    """Standardise by CIFAR-10's mean and deviation: uint8 (n, h, w, 3) -> float32."""
    mean = np.array(CIFAR10_MEAN, np.float32)
    deviation = np.array(CIFAR10_DEVIATION, np.float32)
    return images * (1 / (255 * deviation)) - mean / deviation


def pad_to_32(images: np.ndarray) -> np.ndarray:
    """Set 28x28 images in the middle of 32x32 background, away from the border of C1's fields."""
    return np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))


def crop_to_20x20(images: np.ndarray, middle_columns: bool = False) -> np.ndarray:
    """Return each digit's bounding box, centred in 20x20.

    MNIST's digits were scaled to fit a 20x20 box and then moved to centre their mass in 28x28.
    This reverses the move. An empty image stays empty.

    Args:
        images: uint8 (n, h, w, 1).
        middle_columns: for deslanted digits, 14 % of which are wider than 20 pixels: take only the
            rows from the bounding box, and the middle 20 columns, where `deslant` puts the centre
            of mass; what sticks out is cut off.

    Returns:
        uint8 (n, 20, 20, 1).

    Raises:
        InputError: if the ink of an image does not fit in 20x20.
    """
    top, height = _extent(np.any(images, axis=(2, 3)))
    left, width = _extent(np.any(images, axis=(1, 3)))
    if middle_columns:
        left = np.full(len(images), (images.shape[2] - 20) // 2)
        width = np.full(len(images), 20)
    too_large = np.flatnonzero((height > 20) | (width > 20))
    if too_large.size:
        i = too_large[0]
        raise InputError(
            f"{too_large.size} of {len(images)} images have ink outside a 20x20 box (the first: "
            f"image {i}, {height[i]}x{width[i]} pixels). The 20x20 format is for MNIST's "
            "size-normalised digits: use a net with 28x28 or 32x32 input here."
        )
    top, left = top - (20 - height) // 2, left - (20 - width) // 2
    # Cut a window out of each image; what lies outside the image is background.
    padded = np.pad(images, ((0, 0), (20, 20), (20, 20), (0, 0)))
    rows = (top + 20)[:, None, None] + np.arange(20)[:, None]
    columns = (left + 20)[:, None, None] + np.arange(20)
    return padded[np.arange(len(images))[:, None, None], rows, columns]


def digit_16_in_28(images: np.ndarray, middle_columns: bool = False) -> np.ndarray:
    """Return LeNet-1's input: the digit shrunk to 16x16 and centred in 28x28 (section III-C.7).

    The paper does not name its resampling. Here each of the 16x16 pixels is the mean of the area
    that it covers in the 20x20 box, 1.25 pixels wide and high.

    Images, `middle_columns` and errors are those of `crop_to_20x20`; returns uint8 (n, 28, 28, 1).
    """
    box = crop_to_20x20(images, middle_columns)[..., 0]
    share = area_shares(20, 16)
    small = np.rint(share @ box.astype(np.float32) @ share.T).astype(np.uint8)
    return np.pad(small, ((0, 0), (6, 6), (6, 6)))[..., None]


def area_shares(side: int, smaller: int) -> np.ndarray:
    """Return how much of each output pixel each input pixel is: float32 (smaller, side)."""
    factor = side / smaller
    # The edges of the input pixels as seen from the edge of each output pixel
    edges = np.arange(side + 1) - factor * np.arange(smaller + 1)[:, None]
    return (np.diff(np.clip(edges, 0, factor), axis=1)[:smaller] / factor).astype(np.float32)


def deslant(images: np.ndarray) -> np.ndarray:
    """Shear each digit horizontally so that its principal axis is vertical.

    The slant is the regression of column on row, weighted by ink: the ratio of image moments
    mu11 / mu02. Rows move, with linear interpolation, so that the axis is the middle of the
    columns: the digit is centred to a fraction of a pixel, where MNIST is to a whole one.

    uint8 (n, h, w, 1) -> uint8 (n, h, w, 1).
    """
    parts = [images[i : i + 4000] for i in range(0, len(images), 4000)]  # to use little memory
    return np.concatenate([_deslant(part) for part in parts])


def _deslant(images: np.ndarray) -> np.ndarray:
    ink = images[..., 0].astype(np.float32)
    width = ink.shape[2]
    row, column = np.arange(ink.shape[1], dtype=np.float32), np.arange(width, dtype=np.float32)
    mass = np.maximum(ink.sum(axis=(1, 2)), 1)  # an empty image has no slant
    centre = (ink.sum(axis=1) @ column / mass)[:, None]
    # (n, h): the distance of each row from the centre of mass
    row_offset = row - (ink.sum(axis=2) @ row / mass)[:, None]
    mu11 = np.einsum("nhw,nh,nw->n", ink, row_offset, column - centre, optimize=True)
    mu02 = np.einsum("nh,nh->n", ink.sum(axis=2), row_offset**2)
    # (n, h): how far the pixels of each row move
    shift = (mu11 / np.maximum(mu02, 1))[:, None] * row_offset + centre - (width - 1) / 2
    source = column + shift[..., None]  # (n, h, w)
    left = np.floor(source).astype(np.int32)
    right_share = source - left
    # One column of background on each side stands for everything outside.
    padded = np.pad(ink, ((0, 0), (0, 0), (1, 1)))

    def at(index: np.ndarray) -> np.ndarray:
        return np.take_along_axis(padded, np.clip(index + 1, 0, width + 1), axis=2)

    moved = at(left) * (1 - right_share) + at(left + 1) * right_share
    return np.rint(moved).astype(np.uint8)[..., None]


def _extent(present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return first index and length of the run from the first to the last True of each row."""
    first = present.argmax(axis=1)
    last = present.shape[1] - 1 - present[:, ::-1].argmax(axis=1)
    return first, np.where(present.any(axis=1), last - first + 1, 0)
