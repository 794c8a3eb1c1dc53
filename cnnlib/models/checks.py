"""Checks of what the nets are built with; each raises InputError that says what was expected."""

import numbers

from cnnlib.errors import InputError


def is_count(value, smallest=1):
    """Whether `value` is a whole number of at least `smallest` (a bool is not a number here)."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and value >= smallest


def check_input_shape(net, shape, smallest=1):
    """Return `shape` as a tuple (height, width, channels) of ints; height and width must be at least `smallest`."""
    if (
        not isinstance(shape, (tuple, list))
        or len(shape) != 3
        or not all(is_count(n) for n in shape)
    ):
        raise InputError(
            f"{net}: input_shape must be (height, width, channels), three whole numbers, such as (32, 32, 1); got {shape!r}"
        )
    if min(shape[:2]) < smallest:
        raise InputError(
            f"{net}: its layers need images of at least {smallest}x{smallest}; got input_shape {tuple(shape)}"
        )
    return tuple(int(n) for n in shape)


def check_classes(net, classes, largest=None):
    """Return `classes`, a whole number of at least 2 and at most `largest`."""
    if not is_count(classes, 2) or (largest and classes > largest):
        upper = f" and at most {largest}, one for each code of the paper" if largest else ""
        raise InputError(
            f"{net}: classes must be a whole number, at least 2{upper}; got {classes!r}"
        )
    return int(classes)
