"""How far a test error can be trusted, and whether two nets differ.

Both are exact, from the binomial distribution.
"""

from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from cnnlib.errors import InputError
from cnnlib.validation import Count, Number, validated


class McNemar(NamedTuple):
    """The p value, and how many images only a, only b, both or neither classified correctly."""

    p_value: float
    only_a: int
    only_b: int
    both: int
    neither: int


@validated
def interval(
    error_percent: Annotated[Number, Field(ge=0, le=100)],
    n: Count = 10_000,
    confidence: Annotated[Number, Field(gt=0, lt=1)] = 0.95,
) -> tuple[float, float]:
    """Return the exact (Clopper-Pearson) interval (low, high) in % of a test error in %.

    The error on `n` images is rounded to a whole number of images: a mean over seeds gets the
    interval of one run with that error.

    Raises InputError if the error is not within 0..100, `n` is not a positive whole number, or the
    confidence is not strictly between 0 and 1.
    """
    from scipy.stats import binomtest

    found = binomtest(round(error_percent / 100 * n), n)
    bounds = found.proportion_ci(confidence, method="exact")
    return 100 * float(bounds.low), 100 * float(bounds.high)


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
