"""Checks of arguments at the doors of the library, by pydantic and the functions' type hints.

Decorate a function that a reader calls first with `validated`, and write the type hints that its
arguments must meet. Checking is strict: "no" is not False, and 1.0 is not 1. Numbers of NumPy pass
as Python's.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import pydantic
from pydantic import Field

from cnnlib.errors import invalid

_Function = TypeVar("_Function", bound=Callable[..., Any])


def of_python(value: Any) -> Any:
    """Return numbers, texts and arrays of NumPy, and lists, as Python's own and as tuples."""
    value = value.tolist() if hasattr(value, "tolist") else value
    return tuple(map(of_python, value)) if isinstance(value, list | tuple) else value


Count = Annotated[int, Field(ge=1, le=10**15)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]


def validated(function: _Function) -> _Function:
    """Check the arguments of `function` against its type hints before each call.

    Raises:
        InputError: names the argument, its value, and what was expected.
    """

    # pydantic calls a stand-in without the hint of what is returned, whose type may not be imported
    @functools.wraps(function)
    def stand_in(**arguments: Any) -> Any:
        return function(**arguments)

    hints, names = function.__annotations__, list(inspect.signature(function).parameters)
    stand_in.__annotations__ = {name: hint for name, hint in hints.items() if name != "return"}
    strict = pydantic.ConfigDict(strict=True, arbitrary_types_allowed=True)
    checked = pydantic.validate_call(config=strict)(stand_in)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        args = of_python(args)
        kwargs = {name: of_python(value) for name, value in kwargs.items()}
        try:  # by name, so that an error names the argument
            return checked(**dict(zip(names, args, strict=False)), **kwargs)
        except pydantic.ValidationError as error:
            raise invalid(f"{function.__name__}()", error) from None

    return call  # type: ignore[return-value]
