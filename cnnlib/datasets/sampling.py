"""Which images of a data set are drawn: possible sizes, and stratified draws that never change."""

from collections.abc import Sequence

import numpy as np

from cnnlib.datasets.catalogue import Info
from cnnlib.errors import InputError


def check_sizes(
    info: Info,
    counts: tuple[int, int],
    train_size: int | None,
    test_size: int | None,
    validation_size: int,
) -> None:
    """Raise InputError for a size that cannot be: `counts` training and test images there are."""
    train_count, test_count = counts
    for argument, value, least, most in (
        ("train_size", train_size, 1, train_count),
        ("test_size", test_size, 1, test_count),
        ("validation_size", validation_size, 0, max(train_count - 1, 0)),
    ):
        if value is not None and not least <= value <= most:
            raise InputError(
                f"{argument} for {info.name} is {value}, "
                f"expected a whole number from {least} to {most}"
            )
    if train_size and train_size + validation_size > train_count:
        raise InputError(
            f"train_size {train_size} and validation_size {validation_size} together exceed the "
            f"{train_count} training images of {info.name}: make one of them smaller"
        )


def draw(labels: np.ndarray, size: int, seed: Sequence[int]) -> np.ndarray:
    """Draw `size` images, with the classes in proportion; return their indices in rising order.

    Shares are rounded by the largest remainder, ties going to the lower label. Of a class, the
    draw for a smaller size is the beginning of the draw for a larger one. RandomState, because
    NumPy guarantees that its numbers never change (NEP 19); those of `default_rng` may.

    Args:
        labels: of all images to draw from.
        size: number of images to draw.
        seed: the user's seed and the number of the draw.
    """
    if not size:
        return np.arange(0)
    random = np.random.RandomState(seed)
    classes, counts = np.unique(labels, return_counts=True)
    shares, remainders = np.divmod(size * counts, len(labels))
    shares[np.argsort(-remainders, kind="stable")[: size - shares.sum()]] += 1
    orders = [random.permutation(np.flatnonzero(labels == label)) for label in classes]
    return np.sort(
        np.concatenate([order[:share] for order, share in zip(orders, shares, strict=True)])
    )
