"""How far a test error can be trusted, and whether two nets differ: both exact, from the binomial distribution."""

import typing

from cnnlib.errors import InputError


class McNemar(typing.NamedTuple):
    """What `mcnemar` found: the p value, and on how many images only a, only b, both or neither were right."""

    p_value: float
    only_a: int
    only_b: int
    both: int
    neither: int


def interval(error_percent, n=10000, confidence=0.95):
    """Exact (Clopper-Pearson) interval (low, high) in % for a test error in % on `n` images.

    The error is rounded to a whole number of images: a mean over seeds gets the interval of one run with that error.
    InputError if the error is not within 0..100, `n` not positive, or the confidence not strictly between 0 and 1.
    """
    if not 0 <= error_percent <= 100:  # also refuses NaN
        raise InputError(f"an error must be between 0 and 100 %, not {error_percent!r}")
    if not (n >= 1 and 0 < confidence < 1):
        raise InputError(
            f"an interval needs n of at least 1 image and a confidence between 0 and 1, not n={n!r}, confidence={confidence!r}"
        )
    from scipy.stats import binomtest

    found = binomtest(round(error_percent / 100 * n), n).proportion_ci(confidence, method="exact")
    return 100 * float(found.low), 100 * float(found.high)


def mcnemar(correct_a, correct_b):
    """Exact two-sided McNemar test of two nets on the same test images (McNemar 1947; Dietterich 1998, section 3.1).

    `correct_a`, `correct_b`: bool (n,), whether each net is right about each image. Under the null hypothesis an image that only one of
    them gets right is as likely to be a's as b's. Returns a McNemar tuple. InputError for other shapes, lengths or dtypes.
    """
    import numpy as np
    from scipy.stats import binomtest

    a, b = np.asarray(correct_a), np.asarray(correct_b)
    if a.dtype != bool or b.dtype != bool or a.ndim != 1 or a.shape != b.shape:
        raise InputError(
            f"mcnemar compares two boolean arrays (n,) of the same test images, not {a.dtype} {a.shape} with {b.dtype} {b.shape}"
        )
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    differ = only_a + only_b
    p_value = float(binomtest(only_a, differ).pvalue) if differ else 1.0
    return McNemar(p_value, only_a, only_b, int((a & b).sum()), int((~a & ~b).sum()))
