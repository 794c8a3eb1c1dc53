"""The layers of the paper against plain NumPy."""

import keras
import numpy as np
import pytest
from scipy import signal

from cnnlib.models.layers import (
    LeCun1998,
    RBFLoss,
    RBFOutput,
    TableConvolution,
    TrainableSubsampling,
    digit_codes,
    scaled_tanh,
)
from cnnlib.models.lenet import LENET4_TABLE, LENET5_TABLE


def random_images(*shape):
    return np.random.RandomState(0).normal(size=shape).astype("float32")


def test_scaled_tanh_is_the_papers():
    x = np.linspace(-4, 4, 101, dtype="float32")
    np.testing.assert_allclose(
        scaled_tanh(x), 1.7159 * np.tanh(2 * x.astype("float64") / 3), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(scaled_tanh(np.float32([-1, 1])), [-1, 1], atol=1e-4)


def test_table_convolution_equals_a_plain_loop():
    table = [[0], [0, 2], [1, 2, 3], [3, 1]]
    layer = TableConvolution(table, kernel_size=3)
    images = random_images(2, 7, 6, 4)
    layer.build(images.shape)
    layer.bias.assign([0.1, -0.2, 0.3, 0.4])
    expected = np.broadcast_to(layer.bias.numpy(), (2, 5, 4, 4)).astype("float64")
    pairs = [(output, i) for output, inputs in enumerate(table) for i in inputs]
    for connection, (output_map, input_map) in enumerate(pairs):
        kernel = layer.kernel.numpy()[:, :, connection]
        for n in range(2):
            found = signal.correlate2d(images[n, ..., input_map], kernel, "valid")
            expected[n, ..., output_map] += found
    np.testing.assert_allclose(layer(images), expected, rtol=1e-4, atol=1e-5)


def test_table_convolution_has_no_weight_where_nothing_is_connected():
    layer = TableConvolution(LENET5_TABLE, kernel_size=5)
    layer.build((None, 14, 14, 6))
    assert layer.count_params() == 1516
    connected = np.zeros((6, 16), bool)
    for output_map, inputs in enumerate(LENET5_TABLE):
        connected[inputs, output_map] = True
    kernel = np.asarray(layer.dense_kernel())
    assert kernel.shape == (5, 5, 6, 16)
    assert np.array_equal((kernel != 0).all(axis=(0, 1)), connected)
    assert not kernel[:, :, ~connected].any()


def test_first_weights_are_uniform_within_the_limit_of_each_maps_fan_in():
    keras.utils.set_random_seed(3)
    layer = TableConvolution(LENET5_TABLE, 5, kernel_initializer=LeCun1998())
    layer.build((None, 14, 14, 6))
    ends = np.cumsum([len(inputs) for inputs in LENET5_TABLE])[:-1]
    kernels = np.split(layer.kernel.numpy(), ends, axis=-1)
    for kernel, inputs in zip(kernels, LENET5_TABLE, strict=True):
        limit = 2.4 / (25 * len(inputs))
        assert 0.9 * limit < np.abs(kernel).max() <= limit
    assert np.unique(layer.kernel.numpy()).size > 0.99 * layer.kernel.numpy().size
    first, second = (np.asarray(LeCun1998()((5, 5, 4, 100))) for _ in range(2))
    assert 0.99 * 2.4 / 100 < np.abs(first).max() <= 2.4 / 100
    assert abs(first.std() - 2.4 / 100 / np.sqrt(3)) < 2e-4
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("inputs", [None, [0, 0, 1, 2, 2]])
def test_trainable_subsampling_equals_numpy(inputs):
    layer = TrainableSubsampling(inputs)
    images = random_images(2, 7, 6, 3)
    layer.build(images.shape)
    maps = 3 if inputs is None else len(inputs)
    assert layer.count_params() == 2 * maps
    coefficient, bias = np.linspace(-1, 2, maps), np.linspace(3, 4, maps)
    layer.coefficient.assign(coefficient)
    layer.bias.assign(bias)
    even = images[:, :6].astype("float64")  # the odd row at the end is left out
    sums = even[:, ::2, ::2] + even[:, 1::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, 1::2]
    sums = sums if inputs is None else sums[..., inputs]
    np.testing.assert_allclose(layer(images), sums * coefficient + bias, rtol=1e-4, atol=1e-5)


def test_trainable_subsampling_begins_as_average_pooling_or_by_the_papers_rule():
    images = random_images(2, 6, 6, 3)
    np.testing.assert_allclose(
        TrainableSubsampling()(images),
        keras.layers.AveragePooling2D(2)(images),
        rtol=1e-5,
        atol=1e-6,
    )
    layer = TrainableSubsampling(coefficient_initializer=LeCun1998())
    layer.build((None, 6, 6, 500))
    assert 0.59 < np.abs(layer.coefficient.numpy()).max() <= 0.6  # 2.4 / 4 pixels


def test_digit_codes_are_ten_bitmaps():
    codes = digit_codes()
    assert codes.shape == (10, 84) and codes.dtype == np.float32
    assert set(np.unique(codes)) == {-1, 1}
    assert (codes == 1).sum(axis=1).tolist() == [35, 27, 33, 32, 41, 35, 39, 25, 43, 39]
    zero = ["".join("#" if pixel > 0 else "." for pixel in row) for row in codes[0].reshape(12, 7)]
    assert zero[:5] == [".#####.", ".......", "..###..", ".##.##.", "##...##"]


def test_rbf_output_is_the_squared_distance_to_the_codes():
    layer = RBFOutput(classes=7)
    x = random_images(5, 84)
    expected = ((x[:, None].astype("float64") - digit_codes()[:7]) ** 2).sum(axis=2)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5)
    assert layer.count_params() == 0
    np.testing.assert_array_equal(np.argmin(layer(digit_codes()[:7]), axis=1), range(7))


def plain_loss(labels, distances, j):
    right = distances[np.arange(len(labels)), labels]
    return right + np.log(np.exp(-j) + np.exp(-distances).sum(axis=1))


@pytest.mark.parametrize("labels_shape", [(-1,), (-1, 1)])
@pytest.mark.parametrize("j", [0.1, 3.0])
def test_rbf_loss_is_equation_9(labels_shape, j):
    random = np.random.RandomState(1)
    distances, labels = random.uniform(0, 20, (50, 10)), random.randint(0, 10, 50)
    expected = plain_loss(labels, distances, j)
    assert (expected > 0).all()
    labels_given, distances_given = labels.reshape(labels_shape), distances.astype("float32")
    np.testing.assert_allclose(
        RBFLoss(j, reduction="none")(labels_given, distances_given), expected, rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(
        RBFLoss(j)(labels_given, distances_given), expected.mean(), rtol=1e-5
    )


def test_rbf_loss_stays_finite_for_far_codes_and_is_saved_with_its_constant():
    saved = keras.losses.serialize(RBFLoss(reduction="none"))
    loss = keras.losses.deserialize(saved)(np.array([0, 1]), np.float32([[2000, 3000], [2000, 0]]))
    np.testing.assert_allclose(loss, [2000 - 0.1, np.log(np.exp(-0.1) + 1)], rtol=1e-6)


def test_tables_connect_each_map_as_often_as_any_other():
    """Table I of the paper has ten crosses in each row; LeNet-4's table is as its comment says."""
    assert np.bincount(np.concatenate(LENET5_TABLE)).tolist() == [10] * 6
    assert len(LENET4_TABLE) == len({tuple(inputs) for inputs in LENET4_TABLE}) == 16
    assert all(len(set(inputs)) == 3 for inputs in LENET4_TABLE)
    assert np.bincount(np.ravel(LENET4_TABLE)).tolist() == [6] * 8
