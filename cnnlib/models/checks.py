"""Say which arguments the nets take, for `cnnlib.validation`."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, Annotated, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from cnnlib.errors import InputError
from cnnlib.validation import WholeNumber

LARGEST_SIDE, MOST_CHANNELS = 4096, 4096
MOST_WEIGHTS = 2**29  # of one fully connected layer: 2 GiB


def _input_shape(value: object) -> tuple[int, int, int]:
    if (
        not isinstance(value, (tuple, list))
        or len(value) != 3
        or not all(isinstance(n, numbers.Integral) and not isinstance(n, bool) for n in value)
        or not all(1 <= n <= LARGEST_SIDE for n in value[:2])
        or not 1 <= value[2] <= MOST_CHANNELS
    ):
        raise PydanticCustomError(
            "input_shape",
            "expected (height, width, channels), three whole numbers from 1 to 4096, "
            "such as (32, 32, 1)",
        )
    height, width, channels = (int(n) for n in value)
    return height, width, channels


def _name(value: str) -> str:
    if not value or "/" in value or not value.isprintable():
        raise PydanticCustomError("name", "expected text of one line without '/', not empty")
    return value


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


if TYPE_CHECKING:
    from collections.abc import Sequence as Many
else:
    _Item = TypeVar("_Item")
    Many = Annotated[tuple[_Item, ...], BeforeValidator(_as_tuple), Field(min_length=1)]
InputShape = Annotated[tuple[int, int, int], BeforeValidator(_input_shape)]
Classes = Annotated[WholeNumber, Field(ge=2, le=100_000)]
Name = Annotated[str, AfterValidator(_name)]


def check_weights(net: str, inputs: int, units: int) -> None:
    """Check that a fully connected layer of `units` units for `inputs` inputs fits in memory.

    Raises:
        InputError: if it has more than MOST_WEIGHTS weights.
    """
    if inputs * units > MOST_WEIGHTS:
        raise InputError(
            f"{net}: a layer of {units:,} units for {inputs:,} inputs has {inputs * units:,} "
            f"weights, more than {MOST_WEIGHTS:,}: make the images or the layer smaller"
        )
