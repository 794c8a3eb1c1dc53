"""Checks of arguments at the doors of the library, by pydantic and the functions' type hints.

Decorate a function that a reader calls first with `validated`, and write the type hints that its
arguments must meet. Checking is strict: "no" is not False, and 1.0 is not 1. Numbers of NumPy pass
as Python's.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, ParamSpec, TypeVar

import pydantic
from pydantic import BeforeValidator, Field

from cnnlib.errors import InputError, invalid

_Parameters = ParamSpec("_Parameters")
_Returned = TypeVar("_Returned")


def _of_python(value: object) -> object:
    """Return a number of NumPy as Python's."""
    return value.item() if getattr(value, "ndim", None) == 0 else value  # type: ignore[attr-defined]


WholeNumber = Annotated[int, BeforeValidator(_of_python)]
Count = Annotated[WholeNumber, Field(ge=1, le=10**15)]
Seed = Annotated[WholeNumber, Field(ge=0, le=2**32 - 1)]


def validated(function: Callable[_Parameters, _Returned]) -> Callable[_Parameters, _Returned]:
    """Check the arguments of `function` against its type hints before each call.

    Raises:
        InputError: names the argument, its value, and what was expected.
    """

    # pydantic calls a stand-in: what is returned may have a type that is not imported here.
    @functools.wraps(function)
    def stand_in(*args: object, **kwargs: object) -> object:
        return function(*args, **kwargs)  # type: ignore[arg-type]

    hints = function.__annotations__
    stand_in.__annotations__ = {name: hint for name, hint in hints.items() if name != "return"}

    @functools.cache
    def checked() -> Callable[..., Any]:
        strict = pydantic.ConfigDict(strict=True, arbitrary_types_allowed=True)
        return pydantic.validate_call(config=strict)(stand_in)

    names = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def call(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Returned:
        # By name, so that an error names the argument.
        by_name: dict[str, object] = dict(zip(names, args, strict=False))
        if twice := by_name.keys() & kwargs:
            raise InputError(f"{function.__name__}(): two values for {', '.join(sorted(twice))}")
        try:
            return checked()(*args[len(names) :], **by_name | kwargs)
        except pydantic.ValidationError as error:
            raise invalid(f"{function.__name__}()", error) from None

    return call
