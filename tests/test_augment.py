"""Distortions, crops and mirrored images, each against an independent computation."""

import numpy as np
import pytest
from scipy import ndimage

from cnnlib import augment, datasets, preprocessing
from cnnlib.errors import InputError


@pytest.fixture(scope="module")
def digits():
    return datasets.load("mnist", train_size=200, test_size=10, seed=3).train.images


def test_distort_equals_scipys_affine_transform(digits):
    images = preprocessing.prepare(digits[:60], "32x32")
    distortion = augment.Distortion(translation=2, scaling=0.2, squeezing=0.2, shear=0.3)
    distorted = augment.distort(images, (1, 2), distortion)
    assert distorted.shape == images.shape and distorted.dtype == np.float32
    right, down, scale, squeeze, shear = np.random.RandomState((1, 2)).uniform(-1, 1, (5, 60)) * [
        [2],
        [2],
        [0.2],
        [0.2],
        [0.3],
    ]
    for i, (image, result) in enumerate(zip(images, distorted, strict=True)):
        # where the input lands, as (row, column): moved, then scaled about the middle, then sheared
        forward = np.array([[1, 0], [-shear[i], 1]]) @ np.diag(
            [np.exp(scale[i] - squeeze[i]), np.exp(scale[i] + squeeze[i])]
        )
        backward, middle = np.linalg.inv(forward), np.array([15.5, 15.5])
        offset = middle - [down[i], right[i]] - backward @ middle
        expected = ndimage.affine_transform(
            image[..., 0], backward, offset, order=1, mode="grid-constant", cval=-0.1
        )
        assert np.abs(result[..., 0] - expected).max() < 2e-3


def test_distort_is_a_deterministic_stream(digits):
    images = preprocessing.prepare(digits[:20], "28x28")
    first, again, other = (augment.distort(images, seed) for seed in [(3, 0), (3, 0), (3, 1)])
    np.testing.assert_array_equal(first, again)
    assert (first != other).any(axis=(1, 2, 3)).all()
    np.testing.assert_array_equal(
        augment.distort(images, (3, 0), only=[7, 0, 11]), first[[7, 0, 11]]
    )
    still = augment.distort(images, 0, augment.Distortion(0, 0, 0, 0))
    np.testing.assert_allclose(still, images, atol=1e-5)


def test_crop_and_flip_moves_and_mirrors_as_its_seed_says():
    """Against a loop over the images, with the draws in the documented order."""
    images = np.random.RandomState(1).uniform(-2, 2, (12, 6, 7, 3)).astype(np.float32)
    result = augment.crop_and_flip(images, (5, 2), padding=2)
    random = np.random.RandomState((5, 2))
    top, left = random.randint(0, 5, (2, 12))
    mirrored = random.randint(0, 2, 12) == 1
    black = (0 - np.array([0.4914, 0.4822, 0.4465])) / np.array([0.2023, 0.1994, 0.2010])
    for i in range(12):
        framed = np.empty((10, 11, 3))
        framed[:] = black
        framed[2:8, 2:9] = images[i]
        window = framed[top[i] : top[i] + 6, left[i] : left[i] + 7]
        window = window[:, ::-1] if mirrored[i] else window
        np.testing.assert_allclose(result[i], window, atol=1e-6)
    given = augment.crop_and_flip(images, 0, padding=0, mirrored=np.ones(12, bool))
    np.testing.assert_array_equal(given, images[:, :, ::-1])


def test_crops_of_rgb_images_are_framed_in_black():
    white = np.full((200, 8, 8, 3), 255, np.float32)
    crops = augment.crop_and_flip(white, 0, padding=4, input_format="rgb")
    assert (
        set(np.unique(crops)) == {0, 255} and crops.min(axis=(1, 2, 3)).tolist().count(255) < 20
    )  # few are not moved at all


IMAGES = np.zeros((2, 28, 28, 1), np.float32)
BAD_DISTORTIONS = [
    ((np.zeros((2, 28, 28, 1), np.uint8), 0), "float32 images .* got uint8"),
    ((np.zeros((28, 28, 1), np.float32), 0), r"got float32 \(28, 28, 1\)"),
    ((IMAGES.tolist(), 0), "got <class 'list'>"),
    ((np.full((2, 28, 28, 1), np.nan, np.float32), 0), "finite numbers, got NaN"),
    ((IMAGES, -1), "seed is -1, expected a number of at least 0"),
    ((IMAGES, 2**32), "seed is 4294967296, expected .*at most 4,294,967,295"),
    ((IMAGES, 0.5), "seed is 0.5, expected a whole number"),
    ((IMAGES, ()), "seed"),
    ((IMAGES, "0"), "seed is '0'"),
    ((IMAGES, 0, 1.5), "distortion is 1.5, expected an instance of Distortion"),
    ((IMAGES, 0, augment.Distortion(), [2]), r"only must be the indices of images, from 0 to 1"),
    ((IMAGES, 0, augment.Distortion(), [-1]), "only must be"),
    ((IMAGES, 0, augment.Distortion(), [0.5]), "only must be"),
    ((IMAGES, 0, augment.Distortion(), 1), "only must be"),
    ((IMAGES, 0, augment.Distortion(), [[0], [0, 1]]), "only must be"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_DISTORTIONS)
def test_distort_says_what_it_takes(arguments, message):
    with pytest.raises(InputError, match=message):
        augment.distort(*arguments)


COLOUR = np.zeros((2, 32, 32, 3), np.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": IMAGES}, r"\(n, height, width, 3\) .* got float32 \(2, 28, 28, 1\)"),
        ({"images": COLOUR + np.float32(np.inf)}, "finite"),
        ({"padding": -1}, "padding is -1, expected a number of at least 0"),
        ({"padding": 2.0}, "padding is 2.0, expected a whole number"),
        ({"mirrored": [True, False]}, r"mirrored must be a bool array \(2,\)"),
        ({"mirrored": np.array([True])}, r"mirrored must be a bool array \(2,\)"),
        ({"input_format": "32x32"}, "input_format is '32x32', expected 'cifar10' or 'rgb'"),
    ],
)
def test_crop_and_flip_says_what_it_takes(change, message):
    arguments = {"images": COLOUR, "seed": 0, "padding": 4, **change}
    with pytest.raises(InputError, match=message):
        augment.crop_and_flip(**arguments)


@pytest.mark.parametrize("amount", [-0.1, np.nan, np.inf, "1", None, True])
def test_a_distortion_is_made_of_finite_amounts(amount):
    with pytest.raises(InputError, match="scaling is"):
        augment.Distortion(scaling=amount)


def test_no_images_are_no_images():
    assert augment.distort(IMAGES[:0], 0).shape == (0, 28, 28, 1)
    assert augment.distort(IMAGES, 0, only=[]).shape == (0, 28, 28, 1)
    assert augment.crop_and_flip(COLOUR[:0], 0, 4).shape == (0, 32, 32, 3)
