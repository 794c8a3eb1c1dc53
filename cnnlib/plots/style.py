"""The look of every figure of the course, and the text that stands for it where it cannot be seen.

In a notebook each figure is shown as a picture with an alt text: the one that `set_alt` gave it,
else one made of its titles, axes and legends. It is part of the output itself (an HTML image), so
that it stays in JupyterLab, in nbconvert's pages and in the site.
"""

import base64
import html
import io
import os
import pathlib
import re
import sys
from collections.abc import Iterable
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from PIL import Image

from cnnlib.errors import InputError

STYLE = pathlib.Path(__file__).with_name("course.mplstyle")

# One colour and one marker for each protocol, in every figure.
PROTOCOLS: dict[str, dict[str, Any]] = {
    "plain": {"color": "#0072B2", "marker": "o"},
    "deslanted": {"color": "#E69F00", "marker": "s"},
    "distorted": {"color": "#009E73", "marker": "^"},
    "augmented": {"color": "#009E73", "marker": "^"},
    "transfer": {"color": "#CC79A7", "marker": "D"},
}
PUBLISHED: dict[str, Any] = {"color": "black", "marker": "|"}


def use() -> None:
    """Give all figures of this process the course's look, and alt texts if it is a notebook."""
    plt.style.use(STYLE)
    if "IPython" in sys.modules:
        _show_with_alt()


def set_alt(figure: Figure, text: str) -> Figure:
    """Give a figure its alt text: what it shows, for those who cannot see it. Return the figure."""
    figure.set_label(" ".join(text.split()))
    return figure


def alt_text(figure: Figure) -> str:
    """Return a figure's alt text: the one that it was given, else its titles, axes and legends."""
    return str(figure.get_label()) or _made_of_texts(figure)


def save(figure: Figure, path: str | os.PathLike) -> pathlib.Path:
    """Write a figure as an SVG or PNG file, with its alt text in the file.

    Raises:
        InputError: if the file's name ends in anything else.
    """
    path = pathlib.Path(path)
    if path.suffix == ".svg":
        # Text stays text, and the same figure gives the same file.
        with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "cnnlib"}):
            metadata = {"Description": alt_text(figure), "Date": None}
            figure.savefig(path, metadata=metadata)
        text = html.escape(alt_text(figure))
        source = path.read_text(encoding="utf-8")
        label = f'role="img" aria-label="{text}"'
        path.write_text(source.replace("<svg ", f"<svg {label} ", 1), encoding="utf-8")
    elif path.suffix == ".png":
        figure.savefig(path, metadata={"Description": alt_text(figure)})
    else:
        raise InputError(f"{path}: give a name that ends in .svg or .png")
    return path


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

    shell = get_ipython()
    formatter = getattr(shell, "display_formatter", None)
    if formatter is None or not hasattr(shell, "kernel"):
        return
    from matplotlib_inline.config import InlineBackend

    InlineBackend.instance(parent=shell).figure_formats = set()
    formatter.formatters["text/html"].for_type(Figure, to_html)


def _made_of_texts(figure: Figure) -> str:
    parts = [figure.get_suptitle()]
    for axis in figure.axes:
        texts = [_title(axis)]
        for name, label in (("x", axis.get_xlabel()), ("y", axis.get_ylabel())):
            if label and axis.axison:
                texts.append(f"{name} axis: {label}")
        legend = axis.get_legend()
        if legend is not None:
            texts.append("lines: " + ", ".join(text.get_text() for text in legend.get_texts()))
        if any(texts):
            parts.append("; ".join(text for text in texts if text))
    text = ". ".join(dict.fromkeys(" ".join(part.split()) for part in parts if part))
    return text or "A figure without a description."


def _title(axis: plt.Axes) -> str:
    return " ".join(filter(None, (axis.get_title(loc=loc) for loc in ("left", "center", "right"))))


def headed(figure: Figure, title: str | None) -> Figure:
    """Set a title over all axes of a figure unless it is None. Return the figure."""
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return figure


def log_ticks(axis: Axis, digits: Iterable[float]) -> None:
    """Label a logarithmic axis with plain numbers that begin with these digits: 0.5, 1, 2, 5."""
    axis.set_major_locator(matplotlib.ticker.LogLocator(subs=tuple(digits)))
    axis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axis.set_minor_formatter(matplotlib.ticker.NullFormatter())


def plain_list(items: Iterable[object], limit: int = 12) -> str:
    """Return things as a list in a sentence, at most `limit` of them."""
    texts = [re.sub(r"\s+", " ", str(item)) for item in items]
    more = f" and {len(texts) - limit} more" if len(texts) > limit else ""
    return ", ".join(texts[:limit]) + more


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 seed", "5 seeds"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
