"""Validation of arguments at the public boundary, by pydantic and the functions' type hints.

Decorate a public function with `validated`, and write the type hints that its arguments must meet:

    @validated
    def draw(labels: InstanceOf[np.ndarray], size: Count, seed: Seed = 0, quick: bool = False): ...

Checking is strict: "no" is not False, and 1.0 is not 1. Numbers of NumPy pass as Python's.
"""

import functools
import inspect
import math
import numbers
from collections.abc import Callable
from typing import Annotated, Any, ParamSpec, TypeVar

import pydantic
from pydantic import BeforeValidator, Field, InstanceOf
from pydantic_core import PydanticCustomError

from cnnlib.errors import InputError, shown

__all__ = ["Count", "InstanceOf", "Number", "Seed", "WholeNumber", "validated"]


def _whole(value: object) -> int:
    """Return `value` as an int if it is a whole number of Python or NumPy."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise PydanticCustomError("whole_number", "expected a whole number")
    return int(value)


def _number(value: object) -> float:
    """Return `value` as a float if it is a finite number of Python or NumPy."""
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise PydanticCustomError("number", "expected a finite number")


WholeNumber = Annotated[int, BeforeValidator(_whole)]
Count = Annotated[WholeNumber, Field(ge=1, le=10**15)]
Seed = Annotated[WholeNumber, Field(ge=0, le=2**32 - 1)]
Number = Annotated[float, BeforeValidator(_number)]

# What pydantic says in its own words, in the words of the course.
_EXPECTED = {
    "bool_type": "expected True or False",
    "string_type": "expected text",
    "greater_than_equal": "expected a number of at least {ge:,}",
    "greater_than": "expected a number above {gt:,}",
    "less_than_equal": "expected a number of at most {le:,}",
    "less_than": "expected a number below {lt:,}",
    "literal_error": "expected {expected}",
    "none_required": "expected None",
    "path_type": "expected a path",
    "too_short": "expected at least {min_length} of them",
    "too_long": "expected at most {max_length} of them",
    "is_instance_of": "expected an instance of {class}",
}


_Parameters = ParamSpec("_Parameters")
_Returned = TypeVar("_Returned")


def validated(function: Callable[_Parameters, _Returned]) -> Callable[_Parameters, _Returned]:
    """Check the arguments of `function` against its type hints before each call.

    Raises:
        InputError: names the argument, its value, and what was expected.
    """

    # pydantic calls a stand-in, so that an error inside `function` is no bad argument.
    @functools.wraps(function)
    def stand_in(*args: object, **kwargs: object) -> tuple[tuple, dict]:
        return args, kwargs

    # The type that is returned may be one that is imported only for type checkers.
    hints = function.__annotations__
    stand_in.__annotations__ = {name: hint for name, hint in hints.items() if name != "return"}

    @functools.cache
    def checker() -> Callable[..., tuple[tuple, dict]]:
        strict = pydantic.ConfigDict(strict=True, arbitrary_types_allowed=True)
        return pydantic.validate_call(config=strict)(stand_in)

    @functools.wraps(function)
    def call(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Returned:
        try:
            checked: tuple[Any, Any] = checker()(*args, **kwargs)
        except pydantic.ValidationError as error:
            raise InputError(_explain(function, error)) from None
        return function(*checked[0], **checked[1])

    return call


def _explain(function: Callable, error: pydantic.ValidationError) -> str:
    """Return one line for each bad argument of a call of `function`."""
    parameters = list(inspect.signature(function).parameters)
    problems: dict[str, list[str]] = {}
    for each in error.errors(include_url=False):
        first = each["loc"][0]
        if isinstance(first, int) and first < len(parameters):
            first = parameters[first]
        name = str(first)
        problems.setdefault(name, []).append(_problem(function, name, each))
    lines = []
    for found in problems.values():
        # A value that fits no member of a union has one problem for each member.
        head, expected, _ = found[0].rpartition("expected ")
        wanted = dict.fromkeys(each.rpartition("expected ")[2] for each in found)
        lines.append(f"{head}{expected}{' or '.join(wanted)}")
    return "\n".join(lines)


def _problem(function: Callable, name: str, error: Any) -> str:
    known = ", ".join(inspect.signature(function).parameters)
    match error["type"]:
        case "missing_argument" | "missing_keyword_only_argument":
            return f"{function.__name__}() needs the argument {name}"
        case "unexpected_keyword_argument":
            return f"{function.__name__}() has no argument {name}. Its arguments: {known}"
        case "unexpected_positional_argument":
            return f"{function.__name__}() has too many arguments by position. It takes: {known}"
        case "multiple_argument_values":
            return f"{function.__name__}() has two values for the argument {name}"
    context = error.get("ctx", {})
    if isinstance(context.get("error"), InputError):
        return str(context["error"])
    expected = _EXPECTED.get(error["type"], "").format(**context) or error["msg"]
    expected = expected.replace("Input should be a valid ", "expected a ")
    expected = expected.replace("Input should be ", "expected ").removeprefix("Value error, ")
    return f"{name} is {shown(error['input'])}, {expected}"
