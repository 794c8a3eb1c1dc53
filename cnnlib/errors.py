"""Errors that the user can put right: what was wrong, what was expected, and what to do next."""

import difflib
import reprlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pydantic


class InputError(ValueError):
    """The input cannot be used. The command line prints the message without a traceback."""


class Unavailable(RuntimeError):
    """The data is not available on this machine: not prepared, not embedded, no download."""


class Damaged(Unavailable):
    """The data is on this machine but altered or cut off. No other source takes its place."""


def check_name(kind: str, name: object, known: Iterable[str]) -> str:
    """Return `name` if it is one of `known`, else raise InputError with the closest of these."""
    known = list(known)
    if isinstance(name, str) and name in known:
        return name
    folded = {str(each).lower(): each for each in known}
    text = name if isinstance(name, str) else shown(name)
    near = difflib.get_close_matches(text[:100].lower(), folded, n=3, cutoff=0.45)
    listed = ", ".join(str(folded[each]) for each in near or folded)
    hint = f"Did you mean {listed}?" if near else f"Known: {listed or 'none'}"
    raise InputError(f"unknown {kind} {shown(name)}. {hint}")


def shown(value: object) -> str:
    """Return a value as it stands in a message: short, on one line, whatever its `__repr__`."""
    return " ".join(_SHORT.repr(value).split())


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 100
_SHORT.maxlong = 40


def invalid(where: str, error: "pydantic.ValidationError") -> InputError:
    """Return an InputError that says in one line what pydantic found wrong first, and where."""
    found = error.errors()[0]
    message = found["msg"].removeprefix("Value error, ")
    if found["type"] == "value_error":  # raised by a validator, which names the field itself
        return InputError(f"{where}: {message}")
    names = [part for part in found["loc"] if isinstance(part, str) and part.isidentifier()]
    field = names[-1] if names else "the value"  # the innermost, in a part of a recipe
    message = message[0].lower() + message[1:]
    message = message.replace("input should be", "must be")
    return InputError(f"{where}: {field} {message}, got {shown(found['input'])}")
