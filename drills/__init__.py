"""Drills: what happens to wrong calls, damaged files and killed processes, counted."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from cnnlib.errors import InputError


def outcome(function: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    """Call a function, and return "accepted", "refused" for an InputError, or another error."""
    try:
        function(*arguments, **options)
        return "accepted"
    except InputError:
        return "refused"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:80]


def counted(found: Counter, good: tuple[str, ...]) -> tuple[str, bool]:
    """Return outcomes as text, and whether there are none but the good ones."""
    text = ", ".join(f"{n} {each}" for each, n in sorted(found.items()))
    return f"{found.total()}: {text}", set(found) <= set(good)
