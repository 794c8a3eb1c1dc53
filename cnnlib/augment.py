"""Vary the training images at random: distort digits; crop and mirror colour images. And the views
of a test image.

The functions take images as `preprocessing.prepare` returns them, and return new ones that are the
same on every machine for the same seed. None changes its argument.
"""

import numpy as np

from cnnlib.preprocessing import BACKGROUND, prepare

# How far `distort` goes: each value is drawn evenly from minus to plus these. The paper names the
# kinds, not the amounts (section III-A).
TRANSLATION = 1.5  # pixels, in x and y
SCALING = 0.12  # logarithm of the factor
SQUEEZING = 0.12  # logarithm of the factor in x, of its inverse in y
SHEAR = 0.25  # columns a row


def distort(
    images: np.ndarray, seed: int | tuple[int, ...], only: np.ndarray | list[int] | None = None
) -> np.ndarray:
    """Translate, scale, squeeze and shear each image at random about its middle.

    Args:
        images: float32 (n, h, w, c) in the paper's grey levels, as `prepare` returns them.
        seed: a whole number or a tuple of them, such as (seed, epoch).
        only: indices (k,) of the images to return, each distorted as it would be among all.

    Returns:
        float32 of the same shape (of k images with `only`), by linear interpolation, with
        background where the map leaves the image. Keras' backend computes it.
    """
    import keras

    maps = affine_maps(len(images), images.shape[1:3], seed)
    if only is not None:
        images, maps = images[only], maps[only]
    step = 2000  # images at a time: fast, and uses little memory
    parts = [
        keras.ops.image.affine_transform(
            images[i : i + step], maps[i : i + step], fill_mode="constant", fill_value=BACKGROUND
        )
        for i in range(0, len(images), step)
    ]
    return np.concatenate([keras.ops.convert_to_numpy(part) for part in parts])


def affine_maps(n: int, size: tuple[int, ...], seed: int | tuple[int, ...]) -> np.ndarray:
    """Return n random maps for images of `size` (height, width): float32 (n, 8).

    Row i is (a, b, c, 0, e, f, 0, 0), as keras.ops.image.affine_transform takes it: the output
    pixel in column x, row y is read from column a x + b y + c, row e y + f of the input.
    """
    amounts = np.array([TRANSLATION, TRANSLATION, SCALING, SQUEEZING, SHEAR])
    right, down, scale, squeeze, shear = (
        np.random.RandomState(seed).uniform(-1, 1, (5, n)) * amounts[:, None]
    )
    middle_y, middle_x = (size[0] - 1) / 2, (size[1] - 1) / 2
    a, e = np.exp(-scale - squeeze), np.exp(-scale + squeeze)
    b = a * shear
    maps = np.zeros((n, 8), np.float32)
    maps[:, 0], maps[:, 1], maps[:, 2] = a, b, middle_x - a * middle_x - b * middle_y - right
    maps[:, 4], maps[:, 5] = e, middle_y - e * middle_y - down
    return maps


def crop_and_flip(
    images: np.ndarray,
    seed: int | tuple[int, ...],
    padding: int,
    mirrored: np.ndarray | None = None,
    input_format: str = "cifar10",
    order: np.ndarray | None = None,
) -> np.ndarray:
    """Move each image by up to `padding` pixels each way, and mirror some of them.

    Args:
        images: float32 (n, h, w, 3), as `prepare` returns them.
        seed: a whole number or a tuple of them, such as (seed, epoch).
        padding: pixels of black on every side before the crop.
        mirrored: bool (n,), which images to mirror; a random half if None.
        input_format: of the images, "cifar10" or "rgb": it decides what black is.
        order: int (n,), their order in the result; as they are if None.
    """
    n, height, width, _ = images.shape
    random = np.random.RandomState(seed)
    top, left = random.randint(0, 2 * padding + 1, (2, n))
    if mirrored is None:
        mirrored = np.equal(random.randint(0, 2, n), 1)
    rows = top[:, None] + np.arange(height)
    columns = left[:, None] + np.where(mirrored[:, None], np.arange(width)[::-1], np.arange(width))
    black = prepare(np.zeros((1, 1, 1, 3), np.uint8), input_format)
    frame = (height + 2 * padding, width + 2 * padding, 3)
    result, step = np.empty_like(images), 5000  # images at a time, to use little memory
    for i in range(0, n, step):
        part = images[i : i + step] if order is None else images[order[i : i + step]]
        padded = np.broadcast_to(black, (len(part), *frame)).copy()
        padded[:, padding : padding + height, padding : padding + width] = part
        result[i : i + step] = padded[
            np.arange(len(part))[:, None, None],
            rows[i : i + step][:, :, None],
            columns[i : i + step][:, None, :],
        ]
    return result


def views(images: np.ndarray, count: int) -> list[tuple[float, np.ndarray]]:
    """Return the views of test images whose logits `training.predict` averages: [(weight, images)].

    Images float32 (n, h, w, c); `count` is 1, 2 or 6, see there.
    """
    if count == 1:
        return [(1, images)]
    both = [(images, 1 / 2)]
    if count == 6:
        wide = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
        both = [(images, 1 / 4), (wide[:, 2:, 2:], 1 / 8), (wide[:, :-2, :-2], 1 / 8)]
    return [(weight, view) for seen, weight in both for view in (seen, seen[:, :, ::-1])]
