"""The figure that compares nets: published and measured results."""

import math
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnnlib.plots import style

if TYPE_CHECKING:
    import pandas as pd

PUBLISHED: dict[str, Any] = {
    "color": "black", "linestyle": "", "markersize": 17, "markeredgewidth": 3,
    "label": "published",
}  # fmt: skip


def published_beside_measured(
    recap: "pd.DataFrame", title: str = "Published and measured"
) -> Figure:
    """Draw one line a net: its published result as a black bar, what was measured as marks.

    A mark is the mean over seeds, with the standard deviation; its colour and form are those of the
    protocol. `recap` is `results.recap()` of a table of errors, or some rows of it.
    """
    published = recap.drop_duplicates("title").set_index("title")["published"]
    place = dict(zip(published.index, -np.arange(len(published), dtype=float), strict=True))
    figure, axis = plt.subplots(figsize=(9, 0.5 * len(published) + 2))
    axis.plot(published, list(place.values()), marker="|", **PUBLISHED)
    measured = recap[recap["n"] > 0]
    of_net = measured.groupby("title")["n"]
    beside = 0.22 * (of_net.cumcount() - (of_net.transform("size") - 1) / 2)
    _measured(axis, measured, measured["title"].map(place) - beside)
    axis.set_yticks(list(place.values()), list(place))
    axis.set(title=title, xlabel="test error in % (log scale)", xscale="log")
    axis.set_ylim(0.4 - len(published), 0.6)
    style.log_ticks(axis.xaxis, (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8))
    figure.legend(loc="outside lower center", ncols=4)
    best = measured.groupby("title")["measured_mean"].min()
    texts = [
        f"{name}: published {value:g}, measured {best.get(name, math.nan):.2f}"
        for name, value in published.items()
    ]
    return style.set_alt(figure, f"{title}, test error in %. {'; '.join(texts)}.")


def _measured(axis: Axes, rows: "pd.DataFrame", place: "pd.Series") -> None:
    """Draw measured means with their spread at `place`; marks of this machine's runs are hollow."""
    for (protocol, origin), part in rows.groupby(["protocol", "origin"], sort=False):
        own = origin == "this machine"
        axis.errorbar(
            part["measured_mean"],
            place[part.index],
            xerr=part["measured_std"].fillna(0),
            linestyle="",
            capsize=4,
            label=f"{'this machine' if own else 'measured'}, {protocol}",
            markerfacecolor="none" if own else None,
            **style.PROTOCOLS.get(str(protocol), {"color": "#56B4E9", "marker": "P"}),
        )
