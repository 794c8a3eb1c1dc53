"""A Sphinx extension that writes formulas as MathML, which browsers draw without a script."""

from html import escape
from typing import Any

from docutils.nodes import SkipNode
from latex2mathml.converter import convert


def setup(app: Any) -> dict[str, Any]:
    """Register the renderer with Sphinx, under the name `mathml`."""
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def mathml(tex: str, display: str) -> str:
    """Return a formula as MathML; the source in a code element if it cannot be converted."""
    try:
        return convert(tex, display=display)
    except Exception:  # latex2mathml raises errors of many kinds
        return f"<code>{escape(tex)}</code>"


def _inline(visitor, node):
    visitor.body.append(mathml(node.astext(), "inline"))
    raise SkipNode


def _display(visitor, node):
    visitor.body.append(f'<div class="math">{mathml(node.astext(), "block")}</div>')
    raise SkipNode
