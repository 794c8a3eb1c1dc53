"""Each step against an independent computation, on real digits."""

import numpy as np
import pytest
from scipy import ndimage

from cnnlib import datasets, preprocessing
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


def test_pad_to_32_sets_the_image_in_the_middle(digits):
    padded = preprocessing.pad_to_32(digits)
    assert padded.shape == (200, 32, 32, 1)
    np.testing.assert_array_equal(padded[:, 2:30, 2:30], digits)
    assert padded.sum() == digits.sum()


def test_crop_to_20x20_is_the_bounding_box_in_the_middle(digits):
    for image, cropped in zip(digits, preprocessing.crop_to_20x20(digits), strict=True):
        (rows, columns, _) = ndimage.find_objects(image > 0, max_label=1)[0]
        expected = np.zeros((20, 20, 1), np.uint8)
        height, width = rows.stop - rows.start, columns.stop - columns.start
        expected[(20 - height) // 2 :, (20 - width) // 2 :][:height, :width] = image[rows, columns]
        np.testing.assert_array_equal(cropped, expected)


def test_crop_to_20x20_keeps_all_ink_of_mnists_test_images():
    images = datasets.load("mnist", train_size=10).test.images
    assert preprocessing.crop_to_20x20(images).sum(dtype=np.int64) == images.sum(dtype=np.int64)


def test_crop_to_20x20_at_the_border_of_the_image_and_without_ink():
    images = np.zeros((2, 28, 28, 1), np.uint8)
    images[0, 25:28, 0:2] = 9
    cropped = preprocessing.crop_to_20x20(images)
    expected = np.zeros((20, 20, 1), np.uint8)
    expected[8:11, 9:11] = 9
    np.testing.assert_array_equal(cropped[0], expected)
    assert not cropped[1].any()


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


def test_deslant_leaves_hardly_any_slant(digits):
    straight = preprocessing.deslant(digits)
    before, after = (np.mean([abs(slant(i)) for i in images]) for images in (digits, straight))
    assert before > 0.15 and after < 0.01
    columns = [ndimage.center_of_mass(i[..., 0])[1] for i in straight]
    # but for a long digit whose end leaves the image
    assert np.mean(np.abs(np.array(columns) - 13.5) < 0.01) > 0.98


def test_deslant_leaves_an_empty_image_empty():
    assert not preprocessing.deslant(np.zeros((1, 28, 28, 1), np.uint8)).any()


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


def test_prepare_takes_colour_images_of_32x32_as_they_are():
    images = np.random.RandomState(0).randint(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(
        preprocessing.prepare(images, "32x32"), preprocessing.grey_levels(images)
    )


def test_rgb_is_the_image_as_it_is_and_grey_three_times():
    colour = np.random.RandomState(0).randint(0, 256, (2, 40, 50, 3)).astype(np.uint8)
    prepared = preprocessing.prepare(colour, "rgb")
    assert prepared.dtype == np.float32 and np.array_equal(prepared, colour)
    grey = preprocessing.prepare(colour[..., :1], "rgb")
    assert np.array_equal(grey, np.repeat(colour[..., :1], 3, axis=3))


@pytest.mark.parametrize(
    ("images", "input_format", "message"),
    [
        (np.zeros((2, 28, 28, 1), np.float32), "32x32", "must be uint8 .* got float32"),
        (np.zeros((28, 28), np.uint8), "28x28", r"got uint8 \(28, 28\)"),
        (
            np.zeros((2, 28, 28, 1), np.uint8),
            "30x30",
            "unknown input format '30x30'. Known: .*20x2",
        ),
    ],
)
def test_prepare_says_what_is_wrong(images, input_format, message):
    with pytest.raises(InputError, match=message):
        preprocessing.prepare(images, input_format)
