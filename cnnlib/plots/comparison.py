"""Figures that compare nets: published and measured results, and what they cost."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from cnnlib.plots import style

if TYPE_CHECKING:
    import pandas as pd

PUBLISHED: dict[str, Any] = {
    "color": "black", "linestyle": "", "markersize": 17, "markeredgewidth": 3,
    "label": "published",
}  # fmt: skip
# Where a label may stand beside its mark, times the mark's reach, the most readable first.
PLACES = ((1, 0), (-1, 0), (0, 1.2), (0, -1.2), (0.8, 1), (-0.8, 1), (0.8, -1), (-0.8, -1))


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


def accuracy_against_costs(
    accuracy: "pd.Series",
    costs: "pd.DataFrame",
    title: str,
    spread: "tuple[pd.Series, pd.Series] | None" = None,
    named: Sequence[str] = (),
    ylabel: str = "test accuracy in %",
) -> Figure:
    """Draw accuracy against what a net costs, with a line through the Pareto front.

    On the front are the nets that no other one beats by as much accuracy or more for the same cost
    or less.

    Args:
        accuracy: in %, by net.
        costs: by net, one panel a column, on a logarithmic axis; what is NaN is left out.
        spread: (low, high), in %, drawn as bars.
        named: of more than 20 nets these, and those of the front, have their names beside them.
    """
    count = len(costs.columns)
    figure, axes = plt.subplots(1, count, figsize=(5.6 * count, 5.4), sharey=True, squeeze=False)
    axes[0, 0].set_ylabel(ylabel)
    style.headed(figure, title)
    fronts, labelled = [], []
    for axis, cost in zip(axes[0], costs.columns, strict=True):
        axis.set(xlabel=f"{cost} (log scale)", xscale="log")
        place = costs[cost].dropna()
        values = accuracy[place.index]
        if spread is not None:
            low, high = (end[place.index] for end in spread)
            axis.vlines(place, low, high, color="lightgrey", zorder=0)
        front = _front(place, values)
        fronts.append(f"by {cost}: {', '.join(front)}")
        steps = np.repeat(place[front], 2)[1:], np.repeat(values[front], 2)[:-1]
        axis.plot(*steps, marker="", color="grey", linestyle="--", label="Pareto front")
        dots: dict[str, Any] = {"linestyle": "", "marker": "o", "color": "black"}
        axis.plot(place, values, markerfacecolor="white", **dots)
        axis.plot(place[front], values[front], **dots)
        axis.set_xlim(place.min() / 2.5, place.max() * 3.5)
        style.log_ticks(axis.xaxis, (1, 2, 5) if place.max() < 30 * place.min() else (1,))
        chosen = [net for net in place.index if len(accuracy) <= 20 or net in (*named, *front)]
        labelled.append((axis, place[chosen], values[chosen]))
    axes[0, 0].legend(loc="lower right", fontsize=9)
    for each in labelled:
        _label(*each, reach=8)
    return style.set_alt(
        figure,
        f"{title}: {len(accuracy)} nets, {ylabel} from {accuracy.min():.1f} to "
        f"{accuracy.max():.1f}. Not beaten by any other {'; '.join(fronts)}.",
    )


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


def _front(costs: "pd.Series", accuracy: "pd.Series") -> list[str]:
    """Return the nets that no other one beats, by rising cost."""
    order = accuracy.sort_values(ascending=False).index
    by_cost = accuracy[costs[order].sort_values(kind="stable").index]
    best_before = by_cost.cummax().shift(fill_value=-np.inf)
    return list(by_cost.index[by_cost > best_before])


def _label(axis: Axes, x: "pd.Series", y: "pd.Series", reach: float) -> None:
    """Write its name beside each point, where it covers least of marks, lines and other names."""
    axis.figure.draw_without_rendering()  # type: ignore[union-attr]
    dots: list[Any] = []
    artists: list[Any] = [*axis.lines, *axis.collections]
    for artist in artists:
        joined = not isinstance(artist, Line2D) or artist.get_linestyle() != "None"
        for path in [artist.get_path()] if isinstance(artist, Line2D) else artist.get_paths():
            shown = axis.transData.transform_path(path)  # a mark counts as three points of a line
            dots += [shown.interpolated(12).vertices] if joined else 3 * [shown.vertices]
    places = np.concatenate(dots)
    places = places[np.isfinite(places).all(axis=1)]
    taken: list[Any] = []
    for name in x.index:
        options = []
        for rank, (right, up) in enumerate([*PLACES, *(np.array(PLACES) * 1.7)]):
            text = axis.annotate(
                name,
                (x[name], y[name]),
                xytext=(reach * right, max(reach, 9) * up),
                textcoords="offset points",
                ha="left" if right > 0 else "right" if right < 0 else "center",
                va="center",
                fontsize=8,
                path_effects=[withStroke(linewidth=2.5, foreground="white")],  # over lines
            )
            box = text.get_window_extent()
            text.set_visible(False)
            outside = not all(axis.bbox.contains(*corner) for corner in (box.p0, box.p1))
            cost = box.count_contains(places) + 4 * box.count_overlaps(taken) + 3 * outside
            options.append((cost + 0.1 * rank, rank, text, box))
        *_, text, box = min(options, key=lambda option: option[:2])
        for option in options:
            if option[2] is not text:
                option[2].remove()
        text.set_visible(True)
        taken.append(box)
