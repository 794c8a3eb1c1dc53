"""The report of `make course`: a page for each executed notebook, and an index.

Everything is inside the files: they open without a server and without a network.
"""

import dataclasses
import functools
import logging
import pathlib
import re
from datetime import datetime
from html import escape
from typing import Any
from urllib.parse import quote

import cnnlib
from cnnlib.lab import environment, notebooks

STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { padding: .3rem .8rem; text-align: left; border-bottom: 1px solid #8888; }
td { font-variant-numeric: tabular-nums; }
td:not(:nth-child(4)) { white-space: nowrap; }
pre { white-space: pre-wrap; border-left: .3rem solid #c33; padding-left: .7rem; }
"""

# JupyterLab's page without the scripts that it fetches from the network. Long lines can be scrolled
# on a phone.
_PAGE = """{% extends 'lab/index.html.j2' %}
{% block html_head_js %}{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}
{% block html_head_css %}
<style>.jp-InputArea-editor, .jp-OutputArea-output { overflow-x: auto; }</style>
{% endblock %}"""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One notebook of the report."""

    name: str
    notebook: str  # file name of the executed notebook
    page: str  # file name of its page
    seconds: float
    failure: str = ""  # why it failed, "" if it did not


def page(notebook: pathlib.Path) -> str:
    """Return an executed notebook as one HTML page: figures embedded, formulas as MathML."""
    nb = notebooks.read_notebook(notebook)
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            # A picture from the network, such as the Colab badge, becomes its text.
            cell.source = re.sub(r"!\[([^\]]*)\]\(https?:[^)]*\)", r"\1", cell.source)
    # It warns of each figure that has no alternative text.
    logging.getLogger("traitlets").setLevel(logging.ERROR)
    exporter = _exporter()(raw_template=_PAGE, embed_images=True)
    metadata = {"name": notebook.stem, "path": str(notebook.parent)}
    html, _ = exporter.from_notebook_node(nb, {"metadata": metadata})
    return html


def index(
    entries: list[Entry], recap: Any, date: datetime, folder: pathlib.Path | None = None
) -> str:
    """Return the report's first page.

    Args:
        entries: the notebooks.
        recap: a pandas.DataFrame of text, published results beside measured ones.
        date: when the report was made.
        folder: where the pages are; a notebook without a page there has no link.
    """
    rows = "\n".join(_row(entry, folder) for entry in entries)
    failures = "\n".join(f"<pre>{escape(e.failure)}</pre>" for e in entries if e.failure)
    machine = f"cnnlib {cnnlib.__version__}; {environment.versions()}; {environment.device()}"
    failed = sum(bool(entry.failure) for entry in entries)
    outcome = f"{failed} of {len(entries)} notebooks failed." if failed else "All notebooks ran."
    return f"""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>CNN image classifiers: measured on this machine</title>
<style>{STYLE}</style>
<h1>CNN image classifiers: measured on this machine</h1>
<p>{date:%Y-%m-%d %H:%M}. {outcome} {escape(machine)}.</p>
<h2>Notebooks</h2>
<div class="wide"><table>
<tr><th>Notebook</th><th>Status</th><th>Time</th></tr>
{rows}
</table></div>
{failures}
<h2>Published and measured</h2>
<div class="wide">{recap.to_html(index=False, border=0)}</div>
</html>
"""


def _row(entry, folder):
    name = escape(entry.name)
    if folder is None or (folder / entry.page).exists():
        name = f'<a href="{escape(quote(entry.page))}">{name}</a>'
    status = "failed" if entry.failure else "done"
    return f"<tr><td>{name}</td><td>{status}</td><td>{entry.seconds:.0f} s</td></tr>"


@functools.cache
def _exporter():
    """nbconvert's HTMLExporter with formulas as MathML, which browsers draw without a script."""
    from jinja2 import pass_context
    from latex2mathml.converter import convert
    from nbconvert import HTMLExporter
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    def mathml(tex, display):
        try:
            return convert(tex, display=display)
        except Exception:  # latex2mathml raises many kinds: show the source
            return f"<code>{escape(tex)}</code>"

    class Renderer(IPythonRenderer):
        def inline_math(self, body):
            return mathml(body, "inline")

        def block_math(self, body):
            return mathml(body, "block")

    class Exporter(HTMLExporter):
        @pass_context
        def markdown2html(self, context, source):
            renderer = Renderer(
                escape=False,
                embed_images=True,
                path=context["resources"]["metadata"]["path"],
                attachments=context.get("cell", {}).get("attachments", {}),
                anchor_link_text="¶",
            )
            return MarkdownWithMath(renderer=renderer).render(source)

    return Exporter
