"""Every figure that two notebooks share. Each function returns a matplotlib Figure in the course's style and shows nothing itself."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from cnnlib.errors import InputError


def image_grid(images, captions=None, columns=10, title=None, scale=0.85):
    """Draw images (n, h, w, 1 or 3), uint8 or scaled anyhow, in rows of `columns`, with a caption over each."""
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or not len(images):
        raise InputError(
            f"images must be (n, height, width, 1 or 3) with n of at least 1, got {images.shape}"
        )
    rows = -(-len(images) // columns)
    lines = (
        max((str(c).count("\n") + 1 for c in captions), default=0) if captions is not None else 0
    )
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(scale * columns, (scale + 0.2 * lines) * rows + (0.4 if title else 0)),
        squeeze=False,
    )
    low, high = (0, 255) if images.dtype == np.uint8 else (images.min(), images.max())
    for i, axis in enumerate(axes.flat):
        axis.axis("off")
        if i < len(images):
            axis.imshow(images[i].squeeze(), vmin=low, vmax=high)
            if captions is not None:
                axis.set_title(captions[i], fontsize=9, fontweight="normal", loc="center", pad=2)
    return _headed(figure, title)


def image_rows(rows):
    """Draw rows of images, {label: images (n, h, w, 1 or 3)}, each with its label at the left; all rows have the same n."""
    figure, axes = plt.subplots(
        len(rows), len(next(iter(rows.values()))), figsize=(9, 0.9 * len(rows) + 0.2), squeeze=False
    )
    for row, (label, images) in zip(axes, rows.items(), strict=True):
        row[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
        for axis, image in zip(row, images, strict=True):
            axis.imshow(image.squeeze())
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set(visible=True, color="#b0b0b0", linewidth=0.7)
    return figure


def weights_as_images(weights, captions=None, columns=10, title=None, scale=1.0):
    """Draw weights (n, h, w), one picture each on one common scale with a colour bar: dark is negative, grey zero, light positive."""
    weights = np.asarray(weights)
    if weights.ndim != 3:
        raise InputError(f"weights must be (n, height, width), got {weights.shape}")
    rows = -(-len(weights) // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(
            scale * columns + 0.8,
            (scale + (0.25 if captions is not None else 0)) * rows + 0.4,
        ),
        squeeze=False,
    )
    limit = np.abs(weights).max() or 1
    for i, axis in enumerate(axes.flat):
        axis.axis("off")
        if i < len(weights):
            picture = axis.imshow(weights[i], cmap="cividis", vmin=-limit, vmax=limit)
            if captions is not None:
                axis.set_title(captions[i], fontsize=9, fontweight="normal", loc="center", pad=2)
    figure.colorbar(picture, ax=axes, shrink=0.8, pad=0.01, label="weight")
    return _headed(figure, title)


def learning_curves(histories, title="Learning curves"):
    """Loss, and training and validation error, by epoch. histories: {name: training.History}; validation only where there is one."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    colours = plt.rcParams["axes.prop_cycle"].by_key()["color"]
    for i, (name, history) in enumerate(histories.items()):
        epochs, colour = history.epochs, colours[i % len(colours)]
        left.plot(epochs["epoch"], epochs["loss"], label=name, color=colour)
        right.plot(
            epochs["epoch"],
            epochs["train_error"],
            linestyle=":",
            marker="",
            color=colour,
            label=f"{name}, training",
        )
        if epochs["validation_error"].notna().any():
            right.plot(
                epochs["epoch"],
                epochs["validation_error"],
                color=colour,
                label=f"{name}, validation",
            )
    left.set(
        title=title, xlabel="epoch", ylabel="cross-entropy on the training images", yscale="log"
    )
    right.set(title="Error", xlabel="epoch", ylabel="error in %", yscale="log")
    _finish_by_epoch((left, right))
    return figure


def seeds_spread(histories, title="Learning, over seeds"):
    """Loss and training error by epoch: the mean over seeds as a line, from the lowest to the highest seed as a band.

    histories: {name: DataFrame as results.histories gives it, of runs that differ by their seed only}.
    """
    figure, axes = plt.subplots(1, 2, figsize=(10, 4))
    colours, styles = plt.rcParams["axes.prop_cycle"].by_key()["color"], ("-", "--", "-.", ":")
    for i, (name, runs) in enumerate(histories.items()):
        if not len(runs):
            raise InputError(
                f"there is no history of {name!r}: train it with `python -m cnnlib train`, which keeps one"
            )
        by_epoch = runs.groupby("epoch")
        label = f"{name} ({runs['run_id'].nunique()} seeds)"
        for axis, column in zip(axes, ("loss", "train_error"), strict=True):
            mean = by_epoch[column].mean()
            axis.plot(
                mean.index,
                mean,
                marker="",
                linestyle=styles[i % 4],
                color=colours[i % len(colours)],
                label=label,
            )
            axis.fill_between(
                mean.index,
                by_epoch[column].min(),
                by_epoch[column].max(),
                color=colours[i % len(colours)],
                alpha=0.25,
                linewidth=0,
            )
    axes[0].set(title=title, xlabel="epoch", ylabel="loss on the training images", yscale="log")
    axes[1].set(title="Training error", xlabel="epoch", ylabel="error in %", yscale="log")
    _finish_by_epoch(axes)
    return figure


def confusion_matrix(labels, predicted, class_names, title="Confusion matrix"):
    """Counts of true class (row) against predicted class (column). The right answers, far more than the rest, are left uncoloured."""
    count = np.zeros((len(class_names), len(class_names)), dtype=int)
    np.add.at(count, (np.asarray(labels), np.asarray(predicted)), 1)
    wrong = count * (1 - np.eye(len(count), dtype=int))
    figure, axis = plt.subplots(figsize=(0.55 * len(count) + 2, 0.5 * len(count) + 1.2))
    axis.grid(False)
    picture = axis.imshow(wrong, cmap="Oranges", vmin=0)
    for (row, column), n in np.ndenumerate(count):
        if n:
            dark = wrong[row, column] > 0.6 * max(wrong.max(), 1)
            axis.text(
                column,
                row,
                n,
                ha="center",
                va="center",
                fontsize=9,
                color="white" if dark else "grey" if row == column else "black",
            )
    names = [str(name) for name in class_names]
    turned = {"rotation": 45, "ha": "right"} if max(map(len, names)) > 3 else {}
    axis.set_xticks(range(len(names)), names, **turned)
    axis.set_yticks(range(len(names)), names)
    axis.set(title=title, xlabel="the net says", ylabel="the label says")
    figure.colorbar(
        picture,
        ax=axis,
        shrink=0.8,
        label="images that are wrong",
        ticks=matplotlib.ticker.MaxNLocator(integer=True),
    )
    return figure


def heat_map(table, title=None, xlabel="", unit="accuracy in %"):
    """A DataFrame of numbers as coloured squares with the numbers in them; what is NaN stays empty."""
    values = table.to_numpy(dtype=float)
    figure, axis = plt.subplots(figsize=(1.1 * values.shape[1] + 4.5, 0.45 * len(values) + 1.4))
    axis.grid(False)
    picture = axis.imshow(values, cmap="viridis", aspect="auto")
    middle = (np.nanmin(values) + np.nanmax(values)) / 2
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            axis.text(
                column,
                row,
                f"{value:.1f}",
                ha="center",
                va="center",
                color="white" if value < middle else "black",
            )
    axis.set_xticks(range(values.shape[1]), [str(name) for name in table.columns])
    axis.set_yticks(range(len(values)), [str(name) for name in table.index])
    axis.set(title=title, xlabel=xlabel)
    figure.colorbar(picture, ax=axis, label=unit)
    return figure


def mistakes(images, labels, probabilities, class_names, count=20):
    """Draw the wrong images that the net was surest of: what it said, how sure it was, and the label."""
    labels, predicted = np.asarray(labels), probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    if not wrong.size:
        raise InputError("there are no mistakes among these images: nothing to draw")
    worst = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")][:count]
    captions = [
        f"{class_names[predicted[i]]} ({100 * probabilities[i, predicted[i]]:.0f} %)\nlabel {class_names[labels[i]]}"
        for i in worst
    ]
    title = f"The {len(worst)} surest of {len(wrong)} mistakes: what the net says, how sure it is, and the label"
    short = max(len(str(name)) for name in class_names) <= 3
    return image_grid(
        images[worst],
        captions,
        columns=10 if short else 5,
        title=title,
        scale=1.0 if short else 1.8,
    )


def feature_maps(maps, names, title=None, scale=1.05):
    """Draw what an image becomes layer by layer. maps: list of (h, w, n), one a layer; names: one a layer. At most 16 maps a layer."""
    columns = min(16, max(m.shape[-1] for m in maps))
    figure, axes = plt.subplots(
        len(maps),
        columns,
        figsize=(scale * columns * 0.75 + 1.2, scale * len(maps) * 0.8 + 0.3),
        squeeze=False,
    )
    for row, (layer, name) in enumerate(zip(maps, names, strict=True)):
        limits = {"vmin": layer.min(), "vmax": layer.max()}
        for column, axis in enumerate(axes[row]):
            axis.set_xticks([])
            axis.set_yticks([])
            axis.spines[:].set_visible(False)
            if column < layer.shape[-1]:
                axis.imshow(layer[..., column], cmap="gray", **limits)
        more = f"\n(first {columns})" if layer.shape[-1] > columns else ""
        axes[row, 0].set_ylabel(
            f"{name}\n{layer.shape[-1]}@{layer.shape[0]}x{layer.shape[1]}{more}",
            rotation=0,
            ha="right",
            va="center",
            fontsize=9,
        )
    return _headed(figure, title)


def connection_table(table, inputs, title=None):
    """Draw a table of connections as the paper prints it: an X where output map (column) sees input map (row)."""
    figure, axis = plt.subplots(figsize=(0.42 * len(table) + 1.5, 0.38 * inputs + 1.2))
    axis.grid(False)
    seen = np.array([[row in group for group in table] for row in range(inputs)])
    axis.imshow(seen, cmap="Blues", vmin=0, vmax=2, aspect="auto")
    for row, column in zip(*np.nonzero(seen), strict=True):
        axis.text(column, row, "X", ha="center", va="center", fontsize=10)
    axis.set_xticks(range(len(table)))
    axis.set_yticks(range(inputs))
    axis.set(title=title, xlabel="output map", ylabel="input map")
    return figure


def published_beside_measured(recap, title="Published and measured"):
    """One line a net of results.recap() of a table of errors: the published figure, each measured mean and its standard deviation."""
    titles = list(dict.fromkeys(recap["title"]))
    place = {name: -i for i, name in enumerate(titles)}
    figure, axis = plt.subplots(figsize=(9, 0.5 * len(titles) + 2))
    published = recap.drop_duplicates("title")
    style = {
        "linestyle": "",
        "marker": "|",
        "markersize": 18,
        "markeredgewidth": 3,
        "color": "black",
    }
    axis.plot(published["published"], published["title"].map(place), label="published", **style)
    for recipe, rows in recap[recap["n"] > 0].groupby("recipe", sort=False):
        spread = rows["measured_std"].fillna(0)
        axis.errorbar(
            rows["measured_mean"],
            rows["title"].map(place),
            xerr=spread,
            linestyle="",
            capsize=4,
            label=f"measured, {recipe}",
        )
    axis.set_yticks([place[name] for name in titles], titles)
    axis.set(
        title=title,
        xlabel="test error in % (log scale)",
        xscale="log",
        ylim=(0.6 - len(titles), 0.6),
    )
    _log_ticks(axis.xaxis, (1, 2, 3, 5))
    figure.legend(
        loc="outside lower center", ncols=3
    )  # beside the axes: marks can be anywhere in them
    return figure


PROTOCOL_MARKS = {"plain": "o", "deslanted": "s", "distorted": "^"}


def error_against_cost(recap, costs, labels=None):
    """Test error against what a net costs, both axes logarithmic: the published figure and each measured mean with its standard deviation.

    Args: recap: results.recap() of a table of errors; costs: DataFrame, one row a title of it (others are left out), one panel a column;
        labels: {title: (dx, dy)}, where the title stands beside its published mark, in points; (8, 0) unless given.
    """
    figure, axes = plt.subplots(
        1, len(costs.columns), figsize=(5.6 * len(costs.columns), 5.2), sharey=True, squeeze=False
    )
    colours = plt.rcParams["axes.prop_cycle"].by_key()["color"]
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
        for (protocol, mark), colour in zip(PROTOCOL_MARKS.items(), colours, strict=False):
            rows = recap[
                (recap["protocol"] == protocol)
                & (recap["n"] > 1)
                & recap["title"].isin(costs.index)
            ]
            if len(rows):
                style = {
                    "linestyle": "",
                    "marker": mark,
                    "capsize": 3,
                    "color": colour,
                    "label": f"measured, {protocol}",
                }
                axis.errorbar(
                    rows["title"].map(place),
                    rows["measured_mean"],
                    yerr=rows["measured_std"],
                    **style,
                )
        for title in costs.index:
            dx, dy = (labels or {}).get(title, (8, 0))
            side = "left" if dx > 0 else "right" if dx < 0 else "center"
            offset = {
                "xytext": (dx, dy),
                "textcoords": "offset points",
                "ha": side,
                "va": "center",
                "fontsize": 9,
            }
            axis.annotate(title, (place[title], published[title]), **offset)
        axis.set(
            xlabel=f"{cost} (log scale)",
            xscale="log",
            yscale="log",
            xlim=(place.min() / 2, place.max() * 12),
        )
        _log_ticks(axis.yaxis, (1, 2, 5))
    axes[0, 0].set_ylabel("test error in % (log scale)")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names))
    return figure


def pareto_front(costs, accuracy):
    """The nets (list of str, by rising cost) that no other one beats: none is as accurate or more for the same cost or less.

    Args: costs, accuracy: pandas.Series by net. Nets without a cost or an accuracy are left out.
    """
    table = (
        pd.DataFrame({"cost": costs, "accuracy": accuracy})
        .dropna()
        .sort_values(["cost", "accuracy"], ascending=[True, False])
    )
    best_before = table["accuracy"].cummax().shift(fill_value=-np.inf)
    return list(table.index[table["accuracy"] > best_before])


def accuracy_against_costs(
    accuracy, costs, labels=None, spread=None, title=None, ylabel="test accuracy in %"
):
    """Accuracy against what a net costs, one panel a cost, its axis logarithmic, with a line through the Pareto front.

    Args: accuracy: Series in % by net; costs: DataFrame by net, one panel a column; labels: {net: (dx, dy)}, where its name stands beside
        the mark, in points; (7, 3) unless given, and only these are named if there are more than 20 nets; spread: (low, high), two Series
        in %, drawn as bars.
    """
    figure, axes = plt.subplots(
        1, len(costs.columns), figsize=(5.6 * len(costs.columns), 5.4), sharey=True, squeeze=False
    )
    for axis, cost in zip(axes[0], costs.columns, strict=True):
        place = costs[cost].dropna()
        values = accuracy[place.index]
        if spread is not None:
            low, high = (bound[place.index] for bound in spread)
            axis.errorbar(
                place,
                values,
                yerr=[values - low, high - values],
                linestyle="",
                marker="",
                color="lightgrey",
                zorder=0,
            )
        front = pareto_front(place, values)
        axis.step(
            place[front],
            values[front],
            where="post",
            marker="",
            color="grey",
            linestyle="--",
            label="Pareto front",
        )
        axis.plot(place, values, linestyle="", marker="o", color="black", markerfacecolor="white")
        axis.plot(place[front], values[front], linestyle="", marker="o", color="black")
        named = (
            place.index
            if len(accuracy) <= 20
            else [net for net in place.index if net in (labels or {})]
        )
        for net in named:
            dx, dy = (labels or {}).get(net, (7, 3))
            side = "left" if dx >= 0 else "right"
            offset = {"xytext": (dx, dy), "textcoords": "offset points", "ha": side, "fontsize": 8}
            axis.annotate(net, (place[net], values[net]), **offset)
        axis.set(
            xlabel=f"{cost} (log scale)", xscale="log", xlim=(place.min() / 2.5, place.max() * 3.5)
        )
        _log_ticks(axis.xaxis, (1, 2, 5) if place.max() < 30 * place.min() else (1,))
    axes[0, 0].set_ylabel(ylabel)
    axes[0, 0].legend(loc="lower right", fontsize=9)
    return _headed(figure, title)


def error_by_year(tables, title=None):
    """Error rates by the year of the net's paper, on one logarithmic axis, one mark a net and a line through the best so far.

    Args: tables: {data set: DataFrame with the columns net, year and error in %}.
    """
    figure, axis = plt.subplots(figsize=(10, 5.4))
    colours = plt.rcParams["axes.prop_cycle"].by_key()["color"]
    for (name, table), colour, marker in zip(tables.items(), colours, "os^Dv", strict=False):
        axis.plot(
            table["year"],
            table["error"],
            linestyle="",
            marker=marker,
            color=colour,
            label=name,
            alpha=0.8,
        )
        best = table.groupby("year")["error"].min().cummin()
        axis.step(best.index, best, where="post", marker="", color=colour, linewidth=1)
        last = table.iloc[table["error"].to_numpy().argmin()]
        axis.annotate(
            last["net"],
            (last["year"], last["error"]),
            xytext=(0, -14),
            textcoords="offset points",
            ha="center",
            fontsize=9,
        )
    axis.set(xlabel="year of the paper", ylabel="test error in % (log scale)", yscale="log")
    axis.margins(y=0.12)
    axis.xaxis.get_major_locator().set_params(integer=True)
    _log_ticks(axis.yaxis, (1, 2, 5))
    figure.legend(loc="outside lower center", ncols=len(tables))
    return _headed(figure, title)


def _finish_by_epoch(axes):
    """Whole epochs, plain numbers on the logarithmic axis, and a legend."""
    for axis in axes:
        axis.xaxis.get_major_locator().set_params(integer=True)
        _log_ticks(axis.yaxis, (1, 2, 5))
        axis.legend(fontsize=9)


def _headed(figure, title):
    """The figure, with a title over all of its axes unless it is None."""
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return figure


def _log_ticks(axis, digits):
    """Label a logarithmic axis (an XAxis or YAxis) with plain numbers that begin with these digits: 0.5, 1, 2, 5, 10 and so on."""
    axis.set_major_locator(matplotlib.ticker.LogLocator(subs=digits))
    axis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axis.set_minor_formatter(matplotlib.ticker.NullFormatter())
