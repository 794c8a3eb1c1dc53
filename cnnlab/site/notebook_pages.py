"""Notebooks as sources of the site: nothing in them is fetched from the network."""

import pathlib
import re
from typing import Any

from cnnlab import notebooks

_WEB_IMAGE = re.compile(r"!\[([^\]]*)\]\(https?:[^)]*\)")
_WEB_TAG = re.compile(r"<(img|iframe|script|link|source)\b[^>]*https?:[^>]*>", re.IGNORECASE)
# A link to another file of the repository than notebooks and docs, which the site does not have.
_REPOSITORY_LINK = re.compile(r"\]\(\.\./(?!notebooks/|docs/)")


def prepared(path: pathlib.Path, name: str, failure: str = "") -> Any:
    """Return an executed notebook as Sphinx shows it: `name` is its title if it has none.

    `failure`, why it did not run to its end, is shown above it.
    """
    from nbformat.v4 import new_markdown_cell

    nb = notebooks.read_notebook(path)
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            cell.source = without_requests(cell.source)
        for output in cell.get("outputs", []):
            _keep_alternative_text(cell, output)
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


def cost_of(nb: Any) -> str:
    """Return the line of a notebook that says what it costs, without its label; "" if none."""
    for cell in nb.cells[:4]:
        for line in cell.source.splitlines():
            if match := re.match(r"\W*Cost\W*(.*)", line):
                return re.sub(r"[*_]", "", match[1]).strip()
    return ""


def _keep_alternative_text(cell, output):
    """Give MyST-NB the alternative text that an output has."""
    metadata = output.get("metadata", {})
    texts = [metadata.get("alt"), metadata.get("image/png", {}).get("alt")]
    texts += [metadata.get("image/svg+xml", {}).get("alt")]
    for text in filter(None, texts):
        cell.metadata.setdefault("mystnb", {})["image"] = {"alt": text}


def fenced(kind: str, text: str) -> str:
    """Return text as a fenced block of Markdown of this kind, whatever is in it."""
    fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", text)), default=0))
    return f"{fence}{kind}\n{text}\n{fence}"
