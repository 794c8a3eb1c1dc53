"""Say in a notebook what to do about two errors: a cell run too early, and a training stopped.

`import cnnlib` calls `install`. Outside of IPython nothing happens.
"""

import json
import os
import symtable
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
    """Show an error as IPython does, but for these differences."""
    if issubclass(kind, KeyboardInterrupt):
        lines = ["KeyboardInterrupt: stopped. What this cell computes is not complete."]
    else:
        lines = shell.InteractiveTB.structured_traceback(kind, error, traceback, tb_offset)
        if hint := _hint(getattr(error, "name", None)):
            lines = [*lines, hint]
    shell._showtraceback(kind, error, lines)


def _hint(name: str | None) -> str:
    """Return which cell makes the missing name, as far as it is known."""
    if not name:
        return ""
    cell = _first_cell_with(name, os.environ.get("JPY_SESSION_NAME", ""))
    if cell:
        first = cell.strip().splitlines()[0]
        return f"`{name}` is made by the cell that begins with: {first}\nRun that cell first."
    return (
        f"If a cell above makes `{name}`, run that cell first: "
        "Run > Run All Above Selected Cell runs all of them."
    )


def _first_cell_with(name: str, path: str) -> str:
    """Return the source of the first code cell that gives `name` a value, "" if none is found."""
    try:
        with open(path, encoding="utf-8") as file:
            cells = json.load(file)["cells"]
        sources = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return next((source for source in sources if name in _names_made_by(source)), "")


def _names_made_by(source: str) -> set[str]:
    try:
        symbols = symtable.symtable(source, "cell", "exec").get_symbols()
    except SyntaxError:
        return set()
    return {each.get_name() for each in symbols if each.is_assigned() or each.is_imported()}
