"""The look of every figure of the course, and the text that stands for it where it cannot be seen.

In a notebook each figure is shown as an HTML image with its alt text (`set_alt`), which so stays in
JupyterLab, in nbconvert's pages and in the site.
"""

import base64
import html
import io
import os
import pathlib
import sys
from collections.abc import Iterable
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from PIL import Image

STYLE = pathlib.Path(__file__).with_name("course.mplstyle")
GREY = "#b0b0b0"  # of the frame around a picture

# One colour and one marker for each protocol, in every figure.
PROTOCOLS: dict[str, dict[str, Any]] = {
    "plain": {"color": "#0072B2", "marker": "o"},
    "deslanted": {"color": "#E69F00", "marker": "s"},
    "distorted": {"color": "#009E73", "marker": "^"},
    "augmented": {"color": "#009E73", "marker": "^"},
    "transfer": {"color": "#CC79A7", "marker": "D"},
}


def use() -> None:
    """Give all figures of this process the course's look, and alt texts if it is a notebook.

    The look replaces the user's matplotlibrc, which may turn pictures upside down or call LaTeX.
    """
    plt.style.use(["default", STYLE])
    if "IPython" in sys.modules:
        _show_with_alt()


def set_alt(figure: Figure, text: str) -> Figure:
    """Give a figure its alt text: what it shows, for those who cannot see it. Return the figure."""
    figure.set_label(" ".join(text.split()))
    return figure


def alt_text(figure: Figure) -> str:
    """Return a figure's alt text, or the titles of its axes where it was given none."""
    titles = [axis.get_title("left") for axis in figure.axes]
    return str(figure.get_label()) or ", ".join(filter(None, titles)) or "A figure."


def save(figure: Figure, path: str | os.PathLike) -> None:
    """Write a figure as an SVG file with its alt text: the same figure gives the same file."""
    path, text = pathlib.Path(path), alt_text(figure)
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "cnnlib"}):
        figure.savefig(path, format="svg", metadata={"Description": text, "Date": None})
    label = f'<svg role="img" aria-label="{html.escape(text)}" '
    source = path.read_text(encoding="utf-8")
    path.write_text(source.replace("<svg ", label, 1), encoding="utf-8")


def to_html(figure: Figure) -> str:
    """Return a figure as an HTML image with its alt text: what a notebook shows."""
    from IPython.core.pylabtools import print_figure

    picture = base64.b64encode(_small_png(print_figure(figure, "png"))).decode("ascii")
    alt = html.escape(alt_text(figure), quote=True)
    return f'<img src="data:image/png;base64,{picture}" alt="{alt}">'


def _small_png(content: bytes) -> bytes:
    """Return an opaque PNG file with the same pixels in fewer bytes."""
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    if picture.getcolors(256):  # not more colours than a palette has
        pixels = np.asarray(picture)
        palette, indices = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
        picture = Image.fromarray(indices.reshape(pixels.shape[:2]).astype("uint8"), "P")
        picture.putpalette(palette.tobytes())
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def _show_with_alt() -> None:
    """Show figures of this notebook by `to_html` instead of as pictures without a text."""
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    if not hasattr(shell, "kernel"):
        return
    from matplotlib_inline.config import InlineBackend

    if not matplotlib.get_backend().startswith(("module:", "inline", "widget")):
        shell.enable_matplotlib("inline")  # whatever a user's MPLBACKEND is
    InlineBackend.instance(parent=shell).figure_formats = set()
    shell.display_formatter.formatters["text/html"].for_type(Figure, to_html)


def headed(figure: Figure, title: str | None) -> None:
    """Set a title over all axes of a figure unless it is None."""
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)


def log_ticks(axis: Axis, digits: Iterable[float]) -> None:
    """Label a logarithmic axis with plain numbers that begin with these digits: 0.5, 1, 2, 5."""
    axis.set_major_locator(matplotlib.ticker.LogLocator(subs=tuple(digits)))
    axis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axis.set_minor_formatter(matplotlib.ticker.NullFormatter())


def plain_list(items: Iterable[object]) -> str:
    """Return things as a list in a sentence, at most 12 of them."""
    texts = [" ".join(str(item).split()) for item in items]
    return ", ".join(texts[:12]) + (f" and {len(texts) - 12} more" if len(texts) > 12 else "")
