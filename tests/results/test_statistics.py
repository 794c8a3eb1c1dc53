"""Intervals and the paired test, against sums over the binomial distribution written out with
math.comb."""

import math

import numpy as np
import pytest

from cnnlib import results
from cnnlib.errors import InputError


def at_least(k, n, p):
    return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))


@pytest.mark.parametrize(
    "n, wrong, confidence", [(200, 3, 0.95), (200, 199, 0.95), (50, 20, 0.99), (10, 1, 0.9)]
)
def test_interval_leaves_half_the_rest_in_each_tail(n, wrong, confidence):
    low, high = results.interval(100 * wrong / n, n, confidence)
    tail = (1 - confidence) / 2
    assert at_least(wrong, n, low / 100) == pytest.approx(tail)
    assert 1 - at_least(wrong + 1, n, high / 100) == pytest.approx(tail)


def test_interval_at_the_ends():
    # With no error, (1 - high)^n = 2.5 %; with nothing but errors it is the mirror image.
    assert results.interval(0, 100) == pytest.approx((0, 100 * (1 - 0.025 ** (1 / 100))))
    assert results.interval(100, 100) == pytest.approx((100 * 0.025 ** (1 / 100), 100))


@pytest.mark.parametrize("only_a, only_b", [(12, 3), (3, 12), (5, 5), (1, 0), (0, 9)])
def test_mcnemar_is_twice_the_smaller_tail(only_a, only_b):
    both, neither = 100, 7
    a = np.repeat([True, True, False, False], [both, only_a, only_b, neither])
    b = np.repeat([True, False, True, False], [both, only_a, only_b, neither])
    found = results.mcnemar(a, b)
    assert found[1:] == (only_a, only_b, both, neither)
    assert found.p_value == pytest.approx(
        min(1, 2 * at_least(max(only_a, only_b), only_a + only_b, 0.5))
    )


def test_mcnemar_of_nets_that_err_on_the_same_images():
    correct = np.array([True, False, True])
    assert results.mcnemar(correct, correct) == (1.0, 0, 0, 2, 1)


def test_mcnemar_refuses_other_lengths_and_labels_instead_of_right_or_wrong():
    for a in (np.ones(4, bool), np.ones(3, int)):
        with pytest.raises(InputError, match="bool arrays"):
            results.mcnemar(a, np.ones(3, bool))
