import keras
import numpy as np
import pytest

from cnnlib import transfer
from cnnlib.errors import InputError


def test_features_are_the_means_of_the_maps_of_keras_own_net(vgg16, weights, images, expected):
    theirs = keras.applications.VGG16(weights=None, include_top=False, input_shape=(32, 32, 3))
    theirs.set_weights(weights.arrays)
    maps = keras.Model(theirs.input, [theirs.get_layer(f"block{b}_pool").output for b in (3, 4, 5)])
    prepared = keras.applications.vgg16.preprocess_input(images[:8].astype("float32"))
    means = np.concatenate([m.mean(axis=(1, 2)) for m in maps.predict_on_batch(prepared)], axis=1)
    np.testing.assert_allclose(
        expected(vgg16, images[:8]), means, rtol=1e-4, atol=1e-4 * means.max()
    )


def test_colours_in_the_wrong_order_are_noticed(vgg16, images, expected):
    right, wrong = expected(vgg16, images[:8]), expected(vgg16, images[:8, ..., ::-1])
    assert np.abs(right - wrong).max() > 0.05 * right.max()


def test_images_are_resized_inside(weights):
    large = transfer.backbone((28, 30, 3), 64, weights)
    assert large.model.input_shape == (None, 28, 30, 3)
    assert large.model.get_layer("vgg16").input_shape == (None, 64, 64, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x / np.float32(255), r"look like 0 to 1 \(the largest value is 1\)"),
        (lambda x: x - np.float32(128), "from 0 to 255, found -128 to 127"),
        (lambda x: np.full((2, 32, 32, 3), np.nan, "float32"), "found nan"),
        (lambda x: x[..., :1], r"\(n, 32, 32, 3\), got \(50, 32, 32, 1\).*three channels"),
        (lambda x: x[:, :28], r"got \(50, 28, 32, 3\)"),
        (lambda x: x[0], r"got \(32, 32, 3\)"),
        (lambda x: x[:0], r"got \(0, 32, 32, 3\)"),
        (lambda x: x.astype(int), "uint8, or floats from 0 to 255, got int64"),
        (lambda x: x.tolist(), "images must be an array, got list"),
        (lambda x: None, "images must be an array, got NoneType"),
    ],
)
def test_other_images_are_refused(tiny, images, change, message):
    wrong = change(images)
    with pytest.raises(InputError, match=message):
        transfer.features(tiny, wrong, progress=False)
    with pytest.raises(InputError, match=message):
        transfer.predict(tiny.model, wrong)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (28, 28, 1)}, r"got .28, 28, 1.: preprocessing.prepare"),
        ({"input_shape": 32}, "input_shape is 32, expected .height, width, channels"),
        ({"input_shape": (32, "32x", 3)}, "expected .height, width, channels"),
        ({"image_size": 32.5}, "image_size is 32.5, expected a whole number"),
        ({"pool_grid": 0}, "pool_grid is 0, expected a number of at least 1"),
        ({"size": 32}, "has no argument size"),
    ],
)
def test_arguments_that_vgg16_cannot_take_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        transfer.backbone(**arguments)


@pytest.mark.parametrize("size", [32, 64, 96])
def test_features_of_a_pool_grid_are_the_means_of_parts_of_each_map(weights, images, size):
    whole = transfer.backbone(image_size=size, weights=weights)
    parts = transfer.backbone(image_size=size, weights=weights, pool_grid=2)
    two = images[:2].astype("float32")
    maps = whole.model.get_layer("vgg16")(whole.model.get_layer("preprocessing")(two))
    means = []
    for each in map(keras.ops.convert_to_numpy, maps):
        # Of three rows, the one in the middle is in both halves.
        half, rest = -(-each.shape[1] // 2), each.shape[1] // 2
        halves = (slice(None, half), slice(rest, None)) if rest else (slice(None),)
        means += [each[:, rows, columns].mean((1, 2)) for rows in halves for columns in halves]
    means = np.concatenate(means, axis=1)
    found = parts.model.predict_on_batch(two)
    np.testing.assert_allclose(found, means, rtol=1e-3, atol=1e-4 * np.abs(means).max())
    widths = {32: 3_584, 64: 5_120, 96: 5_120}
    assert sum(parts.widths.values()) == means.shape[1] == widths[size]
    assert whole.widths == transfer.WIDTHS


def test_grey_images_are_taken_three_times(images):
    grey = images[..., :1]
    assert transfer.rgb(images) is images
    np.testing.assert_array_equal(transfer.rgb(grey), np.concatenate([grey] * 3, axis=3))
