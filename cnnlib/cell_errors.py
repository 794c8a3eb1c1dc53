"""Say in a notebook what to do about two errors: a cell run too early, and a training stopped."""

import sys
from typing import Any


def install() -> None:
    """Have IPython show NameError with a hint, and KeyboardInterrupt in one line."""
    if "IPython" not in sys.modules:
        return
    from IPython import get_ipython

    shell = get_ipython()
    if shell is not None and not shell.custom_exceptions:  # what a user has set stays
        shell.set_custom_exc((NameError, KeyboardInterrupt), _show)


def _show(
    shell: Any, kind: type, error: BaseException, traceback: Any, tb_offset: int | None = None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        lines = ["KeyboardInterrupt: stopped. What this cell computes is not complete."]
    else:
        lines = [
            *shell.InteractiveTB.structured_traceback(kind, error, traceback, tb_offset),
            f"If a cell above makes `{getattr(error, 'name', '')}`, run that cell first: "
            "Run > Run All Above Selected Cell runs all of them.",
        ]
    shell._showtraceback(kind, error, lines)
