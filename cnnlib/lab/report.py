"""The report of `make course`: a page for each executed notebook, and an index. Everything is inside the files: no server, no network."""

import dataclasses
import logging
import re
from html import escape

import cnnlib
from cnnlib.lab import environment

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

# The page template of JupyterLab, less the scripts that it fetches from the network; long lines can be scrolled on a phone.
PAGE = """{% extends 'lab/index.html.j2' %}
{% block html_head_js %}{% endblock %}{% block html_head_js_mathjax %}{% endblock %}{% block html_head_js_mermaidjs %}{% endblock %}
{% block html_head_css %}<style>.jp-InputArea-editor, .jp-OutputArea-output { overflow-x: auto; }</style>{% endblock %}"""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One notebook of the report: its name, its page's file name, how long it took, and why it failed ("" if it did not)."""

    name: str
    page: str
    seconds: float
    failure: str = ""


def page(notebook):
    """An executed notebook (path) as one HTML page (str): pictures embedded, formulas as MathML."""
    import nbformat

    nb = nbformat.read(notebook, as_version=4)
    for cell in nb.cells:
        if (
            cell.cell_type == "markdown"
        ):  # a picture from the network (the Colab badge) becomes its text
            cell.source = re.sub(r"!\[([^\]]*)\]\(https?:[^)]*\)", r"\1", cell.source)
    logging.getLogger("traitlets").setLevel(
        logging.ERROR
    )  # it warns of each figure, which has no text to stand for it
    exporter = _exporter()(raw_template=PAGE, embed_images=True)
    html, _ = exporter.from_notebook_node(
        nb, {"metadata": {"name": notebook.stem, "path": str(notebook.parent)}}
    )
    return html


def index(entries, recap, date):
    """The report's first page (str). Args: entries: list[Entry]; recap: DataFrame of text; date: datetime."""
    rows = "\n".join(
        f'<tr><td><a href="{escape(e.page)}">{escape(e.name)}</a></td><td>{"failed" if e.failure else "done"}</td>'
        f"<td>{e.seconds:.0f} s</td></tr>"
        for e in entries
    )
    failures = "\n".join(f"<pre>{escape(e.failure)}</pre>" for e in entries if e.failure)
    return f"""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>CNN image classifiers: what this machine measured</title>
<style>{STYLE}</style>
<h1>CNN image classifiers: what this machine measured</h1>
<p>{date:%Y-%m-%d %H:%M}. {escape(f"cnnlib {cnnlib.__version__}; {environment.versions()}; {environment.device()}")}.</p>
<h2>Notebooks</h2>
<div class="wide"><table>
<tr><th>Notebook</th><th>State</th><th>Time</th></tr>
{rows}
</table></div>
{failures}
<h2>Published and measured</h2>
<div class="wide">{recap.to_html(index=False, border=0)}</div>
</html>
"""


def _exporter():
    """nbconvert's HTMLExporter with formulas as MathML, which browsers draw themselves, in the place of a script from the network."""
    from jinja2 import pass_context
    from latex2mathml.converter import convert
    from nbconvert import HTMLExporter
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    def mathml(tex, display):
        try:
            return convert(tex, display=display)
        except (
            Exception
        ):  # latex2mathml has many of its own, and raises IndexError too: show what was written
            return f"<code>{escape(tex)}</code>"

    class Renderer(IPythonRenderer):
        def inline_math(self, body):
            return mathml(body, "inline")

        def block_math(self, body):
            return mathml(body, "block")

    class Exporter(HTMLExporter):
        @pass_context
        def markdown2html(self, context, source):
            attachments = context.get("cell", {}).get("attachments", {})
            folder = context["resources"]["metadata"]["path"]
            renderer = Renderer(
                escape=False,
                embed_images=True,
                path=folder,
                attachments=attachments,
                anchor_link_text="¶",
            )
            return MarkdownWithMath(renderer=renderer).render(source)

    return Exporter
