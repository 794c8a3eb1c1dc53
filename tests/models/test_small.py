"""The net of notebook 07: its counts, worked out by hand."""

import math

import pytest

from cnnlib import models
from cnnlib.errors import InputError

# Convolutions of 3x3 with biases, two trained numbers of batch norm per map, a dense layer.
BY_HAND = sum(9 * a * b + b + 2 * b for a, b in ((3, 32), (32, 64), (64, 128))) + 2048 * 10 + 10


def test_its_counts():
    net = models.build("cifar10/small")
    assert sum(math.prod(v.shape) for v in net.trainable_variables) == BY_HAND == 114_186
    by_hand = 9 * (3 * 32 * 32**2 + 32 * 64 * 16**2 + 64 * 128 * 8**2) + 2048 * 10
    assert models.multiply_adds(net) == by_hand == 10_342_400


def test_images_that_are_too_small():
    with pytest.raises(InputError, match="8x8"):
        models.build("cifar10/small", input_shape=(4, 4, 3))
