"""List the public names of cnnlib that a reader of the notebooks meets, for docs/architecture.md.

They are read from the notebooks themselves: a name is listed when two or more of them use it.
`python -m cnnlab.public_names` writes the list, and with `--check` fails where it differs.
"""

import ast
import importlib.util
import json
import pathlib
import sys
from collections import defaultdict

from cnnlib import storage

PAGE = storage.ROOT / "docs" / "architecture.md"
BEGIN = "<!-- names: begin (made by `python -m cnnlab.public_names`) -->"
END = "<!-- names: end -->"


def used_names(notebook: pathlib.Path) -> set[str]:
    """Return the full names of cnnlib that a notebook uses: {"cnnlib.datasets.load", ...}."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    tree = ast.parse(code)
    imported = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "cnnlib"
        for alias in node.names
    }
    return {
        imported[n.id] for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id in imported
    } | {
        f"{imported[n.value.id]}.{n.attr}"
        for n in ast.walk(tree)
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id in imported
    }


def shared_names(notebooks: list[pathlib.Path]) -> dict[str, list[str]]:
    """Return {module: names} of the names that two or more notebooks use, without modules."""
    users = defaultdict(set)
    for notebook in notebooks:
        for name in used_names(notebook):
            users[name].add(notebook)
    found = defaultdict(list)
    for name in sorted(name for name, files in users.items() if len(files) > 1):
        if not _is_module(name):
            module, _, attribute = name.rpartition(".")
            found[module].append(attribute)
    return dict(found)


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # its parent is a module, not a package
        return False


def table() -> str:
    """Return the list as a table in Markdown."""
    names = shared_names(sorted(storage.NOTEBOOKS.glob("*.ipynb")))
    lines = [
        f"| `{module}` | {', '.join(f'`{name}`' for name in found)} |"
        for module, found in names.items()
    ]
    count = sum(map(len, names.values()))
    return "\n".join([f"| module | {count} names |", "|---|---|", *lines])


def updated_page() -> str:
    """Return the text of docs/architecture.md with the list as it is now."""
    head, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{table()}\n\n{END}{tail}"


if __name__ == "__main__":
    if "--check" not in sys.argv:
        storage.write_atomically(PAGE, updated_page())
    elif PAGE.read_text(encoding="utf-8") != updated_page():
        sys.exit("docs/architecture.md: renew the names by python -m cnnlab.public_names")
