"""Figures that compare nets: published and measured results, cost, and forty years."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from cnnlib.plots import style

if TYPE_CHECKING:
    import pandas as pd

LONGEST_GAP = 10  # years without a net: the axis is broken there
# Where a label may stand beside its mark, times the mark's reach, the most readable first.
PLACES = ((1, 0), (-1, 0), (0, 1.1), (0, -1.1), (0.8, 1), (-0.8, 1), (0.8, -1), (-0.8, -1))


def published_beside_measured(
    recap: "pd.DataFrame", title: str = "Published and measured"
) -> Figure:
    """Draw one line a net: its published result as a black bar, what was measured as marks.

    A mark is the mean over seeds, with the standard deviation; its colour and form are those of the
    protocol. Several recipes of one protocol have a mark each.

    Args:
        recap: `results.recap()` of a table of errors, or some rows of it.
        title: over the figure.
    """
    titles = list(dict.fromkeys(recap["title"]))
    place = {name: -float(i) for i, name in enumerate(titles)}
    figure, axis = plt.subplots(figsize=(9, 0.5 * len(titles) + 2))
    published = recap.drop_duplicates("title")
    look: dict[str, Any] = style.PUBLISHED | {
        "linestyle": "",
        "markersize": 18,
        "markeredgewidth": 3,
    }
    axis.plot(published["published"], published["title"].map(place), label="published", **look)
    measured = recap[recap["n"] > 0].copy()
    rank = measured.groupby("title").cumcount()
    count = measured.groupby("title")["n"].transform("size")
    measured["place"] = measured["title"].map(place) - 0.22 * (rank - (count - 1) / 2)
    for protocol, rows in measured.groupby("protocol", sort=False):
        axis.errorbar(
            rows["measured_mean"],
            rows["place"],
            xerr=rows["measured_std"].fillna(0),
            linestyle="",
            capsize=4,
            label=f"measured, {protocol}",
            **_of_protocol(str(protocol)),
        )
    axis.set_yticks([place[name] for name in titles], titles)
    axis.set(
        title=title,
        xlabel="test error in % (log scale)",
        xscale="log",
        ylim=(0.4 - len(titles), 0.6),
    )
    style.log_ticks(axis.xaxis, (1, 2, 3, 5))
    figure.legend(loc="outside lower center", ncols=4)
    texts = []
    for name in titles:
        rows = measured[measured["title"] == name]
        values = [f"{row.measured_mean:.2f} ({row.protocol})" for row in rows.itertuples()]
        value = published.set_index("title")["published"][name]
        known = f"published {value:g}" if np.isfinite(value) else "not published"
        texts.append(f"{name}: {known}, measured {', '.join(values) or 'nothing yet'}")
    return style.set_alt(figure, f"{title}, test error in %. {'; '.join(texts)}.")


def error_against_cost(
    recap: "pd.DataFrame",
    costs: "pd.DataFrame",
    labels: Mapping[str, tuple[float, float]] | None = None,
) -> Figure:
    """Draw test error against what a net costs, both axes logarithmic.

    The published result is a black bar, each measured mean a mark with its standard deviation.

    Args:
        recap: `results.recap()` of a table of errors; means over several seeds are drawn.
        costs: one row a title of it (others are left out), one panel a column.
        labels: {title: (dx, dy)}, where a title stands beside its published mark, in points; places
            that do not collide are found for the others.
    """
    panels = len(costs.columns)
    figure, axes = plt.subplots(1, panels, figsize=(5.6 * panels, 5.2), sharey=True, squeeze=False)
    published = recap.drop_duplicates("title").set_index("title")["published"][list(costs.index)]
    best = recap.groupby("title")["measured_mean"].min()[list(costs.index)]
    for axis, cost in zip(axes[0], costs.columns, strict=True):
        place = costs[cost]
        axis.vlines(place, best.fillna(published), published, color="lightgrey", zorder=0)
        axis.plot(
            place,
            published,
            linestyle="",
            marker="_",
            markersize=16,
            markeredgewidth=3,
            color="black",
            label="published",
        )
        drawn = recap[(recap["n"] > 1) & recap["title"].isin(costs.index)]
        for protocol, rows in drawn.groupby("protocol", sort=False):
            axis.errorbar(
                rows["title"].map(place),
                rows["measured_mean"],
                yerr=rows["measured_std"],
                linestyle="",
                capsize=3,
                label=f"measured, {protocol}",
                **_of_protocol(str(protocol)),
            )
        axis.set(
            xlabel=f"{cost} (log scale)",
            xscale="log",
            yscale="log",
            xlim=(place.min() / 3, place.max() * 8),
        )
        style.log_ticks(axis.yaxis, (1, 2, 5))
    axes[0, 0].set_ylabel("test error in % (log scale)")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names))
    for axis, cost in zip(axes[0], costs.columns, strict=True):
        points = {title: (costs[cost][title], published[title]) for title in costs.index}
        marks = list(zip(drawn["title"].map(costs[cost]), drawn["measured_mean"], strict=True))
        _label(axis, points, labels, marks, reach=11)
    texts = [f"{title}, published {published[title]:g}" for title in costs.index]
    return style.set_alt(
        figure,
        f"Test error in % against {style.plain_list(costs.columns)}, published and measured: "
        f"{style.plain_list(texts)}.",
    )


def pareto_front(costs: "pd.Series", accuracy: "pd.Series") -> list[str]:
    """Return the nets that no other one beats, by rising cost.

    A net is beaten if another is as accurate or more for the same cost or less. Nets without a cost
    or an accuracy are left out.

    Args:
        costs, accuracy: by net.
    """
    import pandas as pd

    table = (
        pd.DataFrame({"cost": costs, "accuracy": accuracy})
        .dropna()
        .sort_values(["cost", "accuracy"], ascending=[True, False])
    )
    best_before = table["accuracy"].cummax().shift(fill_value=-np.inf)
    return list(table.index[table["accuracy"] > best_before])


def accuracy_against_costs(
    accuracy: "pd.Series",
    costs: "pd.DataFrame",
    labels: Mapping[str, tuple[float, float]] | None = None,
    spread: "tuple[pd.Series, pd.Series] | None" = None,
    title: str | None = None,
    ylabel: str = "test accuracy in %",
) -> Figure:
    """Draw accuracy against what a net costs, with a line through the Pareto front.

    Args:
        accuracy: in %, by net.
        costs: by net, one panel a column, on a logarithmic axis.
        labels: {net: (dx, dy)}, where its name stands beside the mark, in points. Places that do
            not collide are found for the others. Of more than 20 nets only these and those of the
            front are named.
        spread: (low, high), in %, drawn as bars.
        title: over all panels.
        ylabel: what the accuracy is.
    """
    panels = len(costs.columns)
    figure, axes = plt.subplots(1, panels, figsize=(5.6 * panels, 5.4), sharey=True, squeeze=False)
    fronts = []
    for axis, cost in zip(axes[0], costs.columns, strict=True):
        place = costs[cost].dropna()
        values = accuracy[place.index]
        if spread is not None:
            low, high = (bound[place.index] for bound in spread)
            bars = [values - low, high - values]
            axis.errorbar(
                place, values, yerr=bars, linestyle="", marker="", color="lightgrey", zorder=0
            )
        front = pareto_front(place, values)
        fronts.append(f"by {cost}: {', '.join(front)}")
        axis.step(
            place[front],
            values[front],
            where="post",
            marker="",
            color="grey",
            linestyle="--",
            label="Pareto front",
        )
        dots = {"linestyle": "", "marker": "o", "color": "black"}
        axis.plot(place, values, markerfacecolor="white", **dots)
        axis.plot(place[front], values[front], **dots)
        axis.set(
            xlabel=f"{cost} (log scale)", xscale="log", xlim=(place.min() / 2.5, place.max() * 3.5)
        )
        style.log_ticks(axis.xaxis, (1, 2, 5) if place.max() < 30 * place.min() else (1,))
    axes[0, 0].set_ylabel(ylabel)
    axes[0, 0].legend(loc="lower right", fontsize=9)
    style.headed(figure, title)
    for axis, cost in zip(axes[0], costs.columns, strict=True):
        place = costs[cost].dropna()
        named = list(place.index)
        if len(accuracy) > 20:
            front = pareto_front(place, accuracy[place.index])
            named = [net for net in named if net in (labels or {}) or net in front]
        points = {net: (place[net], accuracy[net]) for net in named}
        marks = list(zip(place, accuracy[place.index], strict=True))
        _label(axis, points, labels, marks, fontsize=8)
    return style.set_alt(
        figure,
        f"{title or ylabel}: {len(accuracy)} nets, {ylabel} from {accuracy.min():.1f} to "
        f"{accuracy.max():.1f}. Not beaten by any other {'; '.join(fronts)}.",
    )


def error_by_year(tables: "Mapping[str, pd.DataFrame]", title: str | None = None) -> Figure:
    """Draw error rates by the year of the net's paper, with a line through the best so far.

    The nets of one year stand side by side. Where more than ten years have no net the axis is
    broken, so that the years with many nets get the room.

    Args:
        tables: {data set: DataFrame with the columns net, year, and error in %}.
        title: over the figure.
    """
    years = sorted({int(year) for table in tables.values() for year in table["year"]})
    spans = _spans(years)
    lengths = [last - first + 2 for first, last in spans]
    figure, panels = plt.subplots(
        1,
        len(spans),
        figsize=(10, 5.4),
        sharey=True,
        squeeze=False,
        width_ratios=[max(length, sum(lengths) / 6) for length in lengths],
    )
    looks = list(plt.rcParams["axes.prop_cycle"])
    sets = list(dict.fromkeys(name.split(",")[0] for name in tables))
    texts = []
    for name, table in tables.items():
        # What was measured on a data set has its colour and marker, and is hollow.
        look = dict(looks[sets.index(name.split(",")[0]) % len(looks)])
        if "measured" in name:
            look["markerfacecolor"] = "white"
        best = table.groupby("year")["error"].min().cummin()
        winner = table.iloc[int(table["error"].to_numpy().argmin())]
        texts.append(f"{name}: best {winner['error']:.3g} % by {winner['net']}, {winner['year']}")
        for axis, (first, last) in zip(panels[0], spans, strict=True):
            inside = table[table["year"].between(first, last)]
            options: dict[str, Any] = {"linestyle": "", "alpha": 0.8, "label": name} | look
            axis.plot(_spread(inside), inside["error"], **options)
            until = best[best.index <= last]
            if len(until) and len(best) > 1:
                # a record stands until the next one, in the panels after its own too
                at = np.append(np.clip(until.index, first - 1, None), last + 0.5)
                axis.step(
                    at,
                    np.append(until, until.iloc[-1]),
                    where="post",
                    marker="",
                    color=look["color"],
                    linewidth=1,
                )
            if first <= winner["year"] <= last:
                axis.annotate(
                    winner["net"],
                    (winner["year"], winner["error"]),
                    xytext=(0, -14),
                    textcoords="offset points",
                    ha="center",
                    fontsize=9,
                )
    for axis, (first, last) in zip(panels[0], spans, strict=True):
        axis.set(yscale="log", xlim=(first - 0.8, last + 0.8))
        axis.set_xticks([year for year in range(first, last + 1) if _is_tick(year, first, last)])
        axis.margins(y=0.12)
        style.log_ticks(axis.yaxis, (1, 2, 5))
    for left, right in zip(panels[0], panels[0][1:], strict=False):
        right.tick_params(left=False)
        right.spines["left"].set_visible(False)
        mark: dict[str, Any] = {
            "marker": [(-1, -2), (1, 2)], "markersize": 10, "linestyle": "none", "color": "black",
            "clip_on": False,
        }  # fmt: skip
        left.plot([1], [0], transform=left.transAxes, **mark)
        right.plot([0], [0], transform=right.transAxes, **mark)
    panels[0, 0].set_ylabel("test error in % (log scale)")
    more = "; the axis leaves out years without a net" if len(spans) > 1 else ""
    panels[0, -1].set_xlabel(f"year of the paper{more}")
    handles, names = panels[0, -1].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3)
    style.headed(figure, title)
    return style.set_alt(
        figure,
        f"{title or 'Error rates by year'}, {years[0]} to {years[-1]}. {'; '.join(texts)}.",
    )


def _of_protocol(protocol: str) -> dict[str, Any]:
    """Return colour and marker of a protocol: the same in every figure."""
    return style.PROTOCOLS.get(protocol, {"color": "#56B4E9", "marker": "P"})


def _spans(years: Sequence[int]) -> list[tuple[int, int]]:
    """Return (first, last) of the runs of years that no long gap breaks."""
    spans = [[years[0], years[0]]]
    for year in years[1:]:
        if year - spans[-1][1] > LONGEST_GAP:
            spans.append([year, year])
        spans[-1][1] = year
    return [(first, last) for first, last in spans]


def _spread(table: "pd.DataFrame") -> np.ndarray:
    """Return the years, the nets of one year side by side within it, the worst at the left."""
    order = table.groupby("year")["error"].rank(method="first", ascending=False) - 1
    count = table.groupby("year")["error"].transform("size")
    return (table["year"] + 0.6 * (order - (count - 1) / 2) / count.clip(lower=2)).to_numpy(float)


def _is_tick(year: int, first: int, last: int) -> bool:
    """Return whether a year is written on the axis: the ends, and round ones not near them."""
    inside = min(year - first, last - year)
    return inside == 0 or (year % 5 == 0 and inside > 1)


def _label(
    axis: Axes,
    points: Mapping[str, tuple[float, float]],
    wanted: Mapping[str, tuple[float, float]] | None,
    marks: Sequence[tuple[float, float]],
    fontsize: float = 9,
    reach: float = 8,
) -> None:
    """Write a name beside each point where it covers neither a mark nor another name."""
    axis.figure.draw_without_rendering()  # type: ignore[union-attr]
    renderer = axis.figure.canvas.get_renderer()  # type: ignore[union-attr, attr-defined]
    places = np.array([*points.values(), *marks], dtype=float).reshape(-1, 2)
    dots = axis.transData.transform(places[np.isfinite(places).all(axis=1)])
    taken: list[Any] = []
    for name, point in points.items():
        free = [(reach * x, max(reach, 9) * y) for x, y in PLACES]
        options = [(wanted or {}).get(name), *free]
        best, fewest = None, np.inf
        for rank, offset in enumerate(option for option in options if option is not None):
            side = "left" if offset[0] > 0 else "right" if offset[0] < 0 else "center"
            text = axis.annotate(
                name,
                point,
                xytext=offset,
                textcoords="offset points",
                ha=side,
                va="center",
                fontsize=fontsize,
            )
            box = text.get_window_extent(renderer)
            covered = box.count_contains(dots) + 3 * box.count_overlaps(taken)
            covered += 2 * (box.x0 < axis.bbox.x0 or box.x1 > axis.bbox.x1)
            text.remove()
            if covered + 0.01 * rank < fewest:
                best, fewest = (offset, side, box), covered + 0.01 * rank
            if not covered:
                break
        assert best is not None
        offset, side, box = best
        taken.append(box)
        axis.annotate(
            name,
            point,
            xytext=offset,
            textcoords="offset points",
            ha=side,
            va="center",
            fontsize=fontsize,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],  # readable over lines
        )
