"""Notebooks as sources of the site: nothing in them is fetched from the network."""

import pathlib
import re
from typing import Any

from cnnlab import notebooks

_WEB_IMAGE = re.compile(r"!\[([^\]]*)\]\(https?:[^)]*\)")
_WEB_TAG = re.compile(r"<(img|iframe|script|link|source)\b[^>]*https?:[^>]*>", re.IGNORECASE)
# A link to a file of the repository that the site does not have.
_REPOSITORY_LINK = re.compile(r"\]\((?:\.\./(?!notebooks/|docs/)|(?=data/|README\.md))")
# Cells that are folded: the one that sets up a hosted session, and those that check an answer.
_FOLDED = re.compile(r'find_spec\("cnnlib"\)|\bexercises\.check\w*\(')


def prepared(path: pathlib.Path, name: str, failure: str = "") -> Any:
    """Return an executed notebook as Sphinx shows it: `name` is its title if it has none.

    `failure`, why it did not run to its end, is shown above it.
    """
    from nbformat.v4 import new_markdown_cell

    nb = notebooks.read_notebook(path)
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            cell.source = without_requests(cell.source)
        else:
            cell.source = cell.source.removeprefix("# NBVAL_CHECK_OUTPUT\n")
            if _FOLDED.search(cell.source):
                cell.metadata["tags"] = sorted({*cell.metadata.get("tags", []), "hide-input"})
        for output in cell.get("outputs", []):
            html = output.get("data", {}).get("text/html")
            if html:
                output["data"]["text/html"] = _WEB_TAG.sub("", "".join(html))
    nb.metadata.pop("widgets", None)
    if not (nb.cells and nb.cells[0].source.startswith("# ")):
        nb.cells.insert(0, new_markdown_cell(f"# {name}"))
    if failure:
        title = ":::{admonition} This notebook did not run to its end\n:class: danger\n\n"
        notice = f"{title}{fenced('text', failure)}\n:::"
        nb.cells.insert(1, new_markdown_cell(notice))
    return nb


def without_requests(text: str) -> str:
    """Return Markdown whose pictures from the network are text, and whose links lead to the web."""
    text = _WEB_TAG.sub("", _WEB_IMAGE.sub(r"\1", text))
    base = f"{notebooks.repository_url()}/blob/main/"
    return _REPOSITORY_LINK.sub(lambda _: f"]({base}", text)


def title_of(nb: Any, default: str) -> str:
    """Return the title of a notebook: the heading of its first cell."""
    for cell in nb.cells:
        if cell.cell_type == "markdown" and cell.source.startswith("# "):
            return cell.source.partition("\n")[0].lstrip("# ")
    return default


def fenced(kind: str, text: str) -> str:
    """Return text as a fenced block of Markdown of this kind, whatever is in it."""
    fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", text)), default=0))
    return f"{fence}{kind}\n{text}\n{fence}"
