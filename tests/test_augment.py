"""Distortions, crops and mirrored images, each against an independent computation."""

import numpy as np
import pytest
from scipy import ndimage

from cnnlib import augment, datasets, preprocessing


@pytest.fixture(scope="module")
def digits():
    return datasets.load("mnist", train_size=60, test_size=10, seed=3).train.images


def test_distort_equals_scipys_affine_transform(digits):
    images = preprocessing.prepare(digits, "32x32")
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
