"""How far a test error can be trusted, and whether two nets differ.

Both are exact, from the binomial distribution.
"""

import typing

import numpy as np

from cnnlib.errors import InputError, shown
from cnnlib.validation import Number, validated


class McNemar(typing.NamedTuple):
    """The p value, and how many images only a, only b, both or neither classified correctly."""

    p_value: float
    only_a: int
    only_b: int
    both: int
    neither: int


@validated
def interval(
    error_percent: Number, n: Number = 10_000, confidence: Number = 0.95
) -> tuple[float, float]:
    """Return the exact (Clopper-Pearson) interval (low, high) in % of a test error in %.

    The error on `n` images is rounded to a whole number of images: a mean over seeds gets the
    interval of one run with that error.

    Raises InputError if the error is not within 0..100, `n` is not a positive whole number, or the
    confidence is not strictly between 0 and 1.
    """
    _check_number("an error must be between 0 and 100 %", error_percent, 0, 100)
    _check_number("an interval needs a whole number n of at least 1 image", n, 1, 10**15)
    _check_number("a confidence must be between 0 and 1", confidence, 0, 1)
    if n != int(n) or not 0 < confidence < 1:
        raise InputError(
            "an interval needs a whole number n of images and a confidence strictly between 0 and "
            f"1, not n={n!r}, confidence={confidence!r}"
        )
    from scipy.stats import binomtest

    found = binomtest(round(error_percent / 100 * n), int(n))
    bounds = found.proportion_ci(confidence, method="exact")
    return 100 * float(bounds.low), 100 * float(bounds.high)


def _check_number(expected, value, low, high):
    is_number = isinstance(value, int | float | np.integer | np.floating)
    if isinstance(value, bool) or not is_number or not low <= value <= high:  # also refuses NaN
        raise InputError(f"{expected}, not {shown(value)}")


def mcnemar(correct_a: np.ndarray, correct_b: np.ndarray) -> McNemar:
    """Return the exact two-sided McNemar test of two nets on the same test images.

    Args:
        correct_a, correct_b: bool (n,), whether each net classified each image correctly.

    Under the null hypothesis an image that only one of them gets right is as likely to be a's as
    b's (McNemar 1947; Dietterich 1998, section 3.1). Raises InputError for other shapes, lengths
    or dtypes.
    """
    from scipy.stats import binomtest

    a, b = np.asarray(correct_a), np.asarray(correct_b)
    if a.dtype != bool or b.dtype != bool or a.ndim != 1 or a.shape != b.shape:
        raise InputError(
            "mcnemar compares two boolean arrays (n,) of the same test images, not "
            f"{a.dtype} {a.shape} with {b.dtype} {b.shape}"
        )
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    differ = only_a + only_b
    p_value = float(binomtest(only_a, differ).pvalue) if differ else 1.0
    return McNemar(p_value, only_a, only_b, int((a & b).sum()), int((~a & ~b).sum()))
