"""Each step against an independent computation, on real digits."""

import numpy as np
import pytest
from scipy import ndimage

from cnnlib import augment, datasets, preprocessing
from cnnlib.errors import InputError


@pytest.fixture(scope="module")
def digits():
    return datasets.load("mnist", train_size=200, test_size=10, seed=3).train.images


def test_grey_levels_are_the_papers(digits):
    grey = preprocessing.grey_levels(digits)
    assert grey.dtype == np.float32 and grey.shape == digits.shape
    np.testing.assert_allclose(grey, -0.1 + digits / 255 * 1.275, atol=1e-6)
    assert grey[digits == 0].max() == np.float32(-0.1)
    assert abs(grey[digits == 255].min() - 1.175) < 1e-6


def test_crop_to_20x20_is_the_bounding_box_in_the_middle(digits):
    for image, cropped in zip(digits, preprocessing.crop_to_20x20(digits), strict=True):
        (rows, columns, _) = ndimage.find_objects(image > 0, max_label=1)[0]
        expected = np.zeros((20, 20, 1), np.uint8)
        height, width = rows.stop - rows.start, columns.stop - columns.start
        expected[(20 - height) // 2 :, (20 - width) // 2 :][:height, :width] = image[rows, columns]
        np.testing.assert_array_equal(cropped, expected)


def test_crop_to_20x20_at_the_border_of_the_image_and_without_ink():
    images = np.zeros((2, 28, 28, 1), np.uint8)
    images[0, 25:28, 0:2] = 9
    cropped = preprocessing.crop_to_20x20(images)
    assert (cropped[0, 8:11, 9:11] == 9).all() and cropped.sum() == 9 * 6
    images = datasets.load("mnist", train_size=10).test.images  # all ink is kept
    assert preprocessing.crop_to_20x20(images).sum(dtype=np.int64) == images.sum(dtype=np.int64)


def test_crop_to_20x20_refuses_what_is_no_size_normalised_digit():
    images = np.zeros((3, 28, 28, 1), np.uint8)
    images[1, 2:25, 4] = 200
    with pytest.raises(InputError, match=r"1 of 3 images .* image 1, 23x1 pixels.*28x28 or 32x32"):
        preprocessing.crop_to_20x20(images)


def test_crop_of_deslanted_digits_takes_the_middle_columns(digits):
    images = np.zeros((1, 28, 28, 1), np.uint8)
    images[0, 9:15, 2:27] = 200
    cropped = preprocessing.crop_to_20x20(images, middle_columns=True)
    assert (cropped[0, 7:13] == 200).all() and cropped.sum() == 6 * 20 * 200
    straight = preprocessing.deslant(digits)
    kept = preprocessing.crop_to_20x20(straight, middle_columns=True).sum() / straight.sum()
    assert 0.995 < kept < 1


def test_digit_16_in_28_averages_areas(digits):
    small = preprocessing.digit_16_in_28(digits)
    assert small.shape == (200, 28, 28, 1) and small.dtype == np.uint8
    # independently: repeat each pixel 4x4 (20 -> 80), then average blocks of 5x5 (80 -> 16)
    box = preprocessing.crop_to_20x20(digits)[..., 0].repeat(4, axis=1).repeat(4, axis=2)
    mean = box.reshape(200, 16, 5, 16, 5).mean(axis=(2, 4))
    assert np.abs(small[:, 6:22, 6:22, 0] - mean).max() <= 0.5 + 1e-3
    assert small.sum() == small[:, 6:22, 6:22].sum()


def slant(image):
    """mu11 / mu02 by ndimage's centre of mass and plain sums."""
    ink = image[..., 0].astype(float)
    row, column = ndimage.center_of_mass(ink)
    r, c = np.indices(ink.shape)
    return ((r - row) * (c - column) * ink).sum() / ((r - row) ** 2 * ink).sum()


def test_deslant_equals_scipys_affine_transform(digits):
    straight = preprocessing.deslant(digits)
    assert straight.shape == digits.shape and straight.dtype == np.uint8
    for image, result in zip(digits, straight, strict=True):
        shear, (row, column) = slant(image), ndimage.center_of_mass(image[..., 0])
        # output pixel -> input pixel
        matrix, offset = [[1, 0], [shear, 1]], [0, column - 13.5 - shear * row]
        expected = ndimage.affine_transform(
            image[..., 0].astype(float), matrix, offset, order=1, mode="grid-constant"
        )
        assert np.abs(result[..., 0] - expected).max() <= 0.51


@pytest.mark.parametrize(
    ("input_format", "shape"),
    [("20x20", (20, 20)), ("28x28", (28, 28)), ("16-in-28", (28, 28)), ("32x32", (32, 32))],
)
@pytest.mark.parametrize("deslanted", [False, True])
def test_prepare_gives_the_input_of_each_format(digits, input_format, shape, deslanted):
    before = digits.copy()
    prepared = preprocessing.prepare(digits, input_format, deslanted)
    assert prepared.shape == (200, *shape, 1) and prepared.dtype == np.float32
    assert prepared.min() == np.float32(-0.1) and prepared.max() <= np.float32(1.1751)
    np.testing.assert_array_equal(digits, before)


def test_colour_images_and_rgb():
    colour = np.random.RandomState(0).randint(0, 256, (2, 32, 32, 3)).astype(np.uint8)
    grey_levels = preprocessing.grey_levels(colour)
    np.testing.assert_array_equal(preprocessing.prepare(colour, "32x32"), grey_levels)
    prepared = preprocessing.prepare(colour, "rgb")
    assert prepared.dtype == np.float32 and np.array_equal(prepared, colour)
    grey = preprocessing.prepare(colour[..., :1], "rgb")
    assert np.array_equal(grey, np.repeat(colour[..., :1], 3, axis=3))


def test_prepare_says_what_is_wrong():
    with pytest.raises(InputError, match=r"must be uint8 .* got float32"):
        preprocessing.prepare(np.zeros((2, 28, 28, 1), np.float32), "32x32")
    with pytest.raises(InputError, match=r"unknown input format '30x30'. Did you mean .*20x2"):
        preprocessing.prepare(np.zeros((2, 28, 28, 1), np.uint8), "30x30")


# Distortions, crops and mirrored images


def test_distort_equals_scipys_affine_transform(digits):
    images = preprocessing.prepare(digits[:60], "32x32")
    distorted = augment.distort(images, (1, 2))
    assert distorted.shape == images.shape and distorted.dtype == np.float32
    amounts = np.array([1.5, 1.5, 0.12, 0.12, 0.25])[:, None]
    drawn = np.random.RandomState((1, 2)).uniform(-1, 1, (5, 60)) * amounts
    for image, result, (right, down, scale, squeeze, shear) in zip(
        images, distorted, drawn.T, strict=True
    ):
        # where the input lands, as (row, column): moved, then scaled about the middle, then sheared
        forward = np.array([[1, 0], [-shear, 1]]) @ np.diag(
            [np.exp(scale - squeeze), np.exp(scale + squeeze)]
        )
        backward, middle = np.linalg.inv(forward), np.array([15.5, 15.5])
        offset = middle - [down, right] - backward @ middle
        expected = ndimage.affine_transform(
            image[..., 0], backward, offset, order=1, mode="grid-constant", cval=-0.1
        )
        assert np.abs(result[..., 0] - expected).max() < 2e-3


def test_distort_is_a_deterministic_stream(digits):
    images = preprocessing.prepare(digits[:20], "28x28")
    first, again, other = (augment.distort(images, seed) for seed in [(3, 0), (3, 0), (3, 1)])
    np.testing.assert_array_equal(first, again)
    assert (first != other).any(axis=(1, 2, 3)).all()
    some = augment.distort(images, (3, 0), only=[7, 0, 11])
    np.testing.assert_array_equal(some, first[[7, 0, 11]])


@pytest.mark.parametrize("padding", [2, 4])
def test_crop_and_flip_moves_and_mirrors_as_its_seed_says(padding):
    """Against a loop over the images, with the draws in the documented order."""
    images = np.random.RandomState(1).uniform(-2, 2, (60, 6, 7, 3)).astype(np.float32)
    result = augment.crop_and_flip(images, (5, 2), padding)
    random = np.random.RandomState((5, 2))
    top, left = random.randint(0, 2 * padding + 1, (2, 60))
    mirrored = random.randint(0, 2, 60) == 1
    assert {0, 2 * padding} <= set(top) | set(left) and 0 < mirrored.sum() < 60
    framed = np.empty((6 + 2 * padding, 7 + 2 * padding, 3))
    framed[:] = (0 - np.array([0.4914, 0.4822, 0.4465])) / np.array([0.2023, 0.1994, 0.2010])
    for i in range(60):
        framed[padding:-padding, padding:-padding] = images[i]
        window = framed[top[i] : top[i] + 6, left[i] : left[i] + 7]
        window = window[:, ::-1] if mirrored[i] else window
        np.testing.assert_allclose(result[i], window, atol=1e-6)
    given = augment.crop_and_flip(images, 0, padding=0, mirrored=np.ones(60, bool))
    np.testing.assert_array_equal(given, images[:, :, ::-1])


def test_crops_of_rgb_images_are_framed_in_black():
    white = np.full((200, 8, 8, 3), 255, np.float32)
    crops = augment.crop_and_flip(white, 0, padding=4, input_format="rgb")
    assert set(np.unique(crops)) == {0, 255}
    assert crops.min(axis=(1, 2, 3)).tolist().count(255) < 20  # few are not moved at all
