"""Figures of how nets learn, and of what they take for what."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnnlib.errors import InputError
from cnnlib.plots import style

if TYPE_CHECKING:
    import pandas as pd

    from cnnlib.training import History

LINES = ("-", "--", "-.", ":")


def learning_curves(histories: Mapping[str, "History"], title: str = "Learning curves") -> Figure:
    """Draw loss, and training and validation error, by epoch.

    Args:
        histories: {name: what `training.train` returned}; validation is drawn where there is one.
        title: of the left panel.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    texts = []
    for i, (name, history) in enumerate(histories.items()):
        epochs, look = history.epochs, _look(i)
        left.plot(epochs["epoch"], epochs["loss"], label=name, **look)
        right.plot(
            epochs["epoch"],
            epochs["train_error"],
            label=f"{name}, training",
            **look | {"linestyle": ":", "marker": ""},
        )
        last = epochs.iloc[-1]
        text = f"{name}: training error {last['train_error']:.2f} %"
        if epochs["validation_error"].notna().any():
            right.plot(
                epochs["epoch"], epochs["validation_error"], label=f"{name}, validation", **look
            )
            text += f", validation error {last['validation_error']:.2f} %"
        texts.append(f"{text} after {style.counted(int(last['epoch']), 'epoch')}")
    left.set(
        title=title, xlabel="epoch", ylabel="cross-entropy on the training images", yscale="log"
    )
    right.set(title="Error", xlabel="epoch", ylabel="error in %", yscale="log")
    _finish_by_epoch((left, right))
    return style.set_alt(figure, f"{title}: loss and error by epoch. {'; '.join(texts)}.")


def seeds_spread(
    histories: Mapping[str, "pd.DataFrame"], title: str = "Learning, over seeds"
) -> Figure:
    """Draw loss and training error by epoch: the mean over seeds in a band of their range.

    Args:
        histories: {name: what `results.histories` returns for runs that differ by their seed only}.
        title: of the left panel.

    Raises:
        InputError: if there is no run of one of the names.
    """
    figure, axes = plt.subplots(1, 2, figsize=(10, 4))
    texts = []
    for i, (name, runs) in enumerate(histories.items()):
        if not len(runs):
            raise InputError(
                f"there is no history of {name!r}: train it with `python -m cnnlib train`, "
                "which keeps one"
            )
        by_epoch = runs.groupby("epoch")
        seeds = style.counted(runs["run_id"].nunique(), "seed")
        look = _look(i) | {"marker": "", "linestyle": LINES[i % 4]}
        for axis, column in zip(axes, ("loss", "train_error"), strict=True):
            mean = by_epoch[column].mean()
            axis.plot(mean.index, mean, label=f"{name} ({seeds})", **look)
            low, high = by_epoch[column].min(), by_epoch[column].max()
            axis.fill_between(mean.index, low, high, color=look["color"], alpha=0.25, linewidth=0)
        texts.append(f"{name}, {seeds}: training error {mean.iloc[-1]:.2f} % at the end")
    axes[0].set(title=title, xlabel="epoch", ylabel="loss on the training images", yscale="log")
    axes[1].set(title="Training error", xlabel="epoch", ylabel="error in %", yscale="log")
    _finish_by_epoch(axes)
    return style.set_alt(
        figure, f"{title}: loss and training error by epoch, mean and range. {'; '.join(texts)}."
    )


def confusion_matrix(
    labels: np.ndarray,
    predicted: np.ndarray,
    class_names: Sequence[object],
    title: str = "Confusion matrix",
) -> Figure:
    """Draw how many images of each class (row) got each answer (column).

    The right answers, far more than the rest, have no colour.

    Args:
        labels, predicted: (n,), numbers of classes.
        class_names: one a class.
        title: over the matrix.
    """
    count = np.zeros((len(class_names), len(class_names)), dtype=int)
    np.add.at(count, (np.asarray(labels), np.asarray(predicted)), 1)
    wrong = count * (1 - np.eye(len(count), dtype=int))
    figure, axis = plt.subplots(figsize=(0.55 * len(count) + 2, 0.5 * len(count) + 1.2))
    axis.grid(False)
    picture = axis.imshow(wrong, cmap="Oranges", vmin=0)
    for (row, column), number in np.ndenumerate(count):
        if number:
            dark = wrong[row, column] > 0.6 * max(wrong.max(), 1)
            colour = "white" if dark else "grey" if row == column else "black"
            axis.text(column, row, number, ha="center", va="center", fontsize=9, color=colour)
    names = [str(name) for name in class_names]
    turned: dict[str, Any] = {"rotation": 45, "ha": "right"} if max(map(len, names)) > 3 else {}
    axis.set_xticks(range(len(names)), names, **turned)
    axis.set_yticks(range(len(names)), names)
    axis.set(title=title, xlabel="answer", ylabel="label")
    ticks = matplotlib.ticker.MaxNLocator(integer=True)
    figure.colorbar(picture, ax=axis, shrink=0.8, label="wrong images", ticks=ticks)
    text = f"{title}: {wrong.sum():,} of {count.sum():,} images are wrong"
    if wrong.any():
        row, column = np.unravel_index(wrong.argmax(), wrong.shape)
        text += (
            f"; most often the label {names[row]} got the answer {names[column]}, "
            f"{wrong.max():,} times"
        )
    return style.set_alt(figure, f"{text}.")


def heat_map(
    table: "pd.DataFrame",
    title: str | None = None,
    xlabel: str = "",
    unit: str = "accuracy in %",
) -> Figure:
    """Draw a table of numbers as coloured squares with the numbers in them: the larger, the darker.

    Args:
        table: what is NaN stays empty.
        title: over the squares.
        xlabel: what the columns are.
        unit: of the numbers, for the colour bar.
    """
    values = table.to_numpy(dtype=float)
    figure, axis = plt.subplots(figsize=(1.1 * values.shape[1] + 4.5, 0.45 * len(values) + 1.4))
    axis.grid(False)
    picture = axis.imshow(values, cmap="viridis_r", aspect="auto")
    middle = (np.nanmin(values) + np.nanmax(values)) / 2
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = "white" if value > middle else "black"
            axis.text(column, row, f"{value:.1f}", ha="center", va="center", color=colour)
    axis.set_xticks(range(values.shape[1]), [str(name) for name in table.columns])
    axis.set_yticks(range(len(values)), [str(name) for name in table.index])
    axis.set(title=title, xlabel=xlabel)
    figure.colorbar(picture, ax=axis, label=unit)
    best = np.unravel_index(np.nanargmax(values), values.shape)
    return style.set_alt(
        figure,
        f"{title or 'Table'}: {unit} from {np.nanmin(values):.1f} to {np.nanmax(values):.1f}, the "
        f"largest for {table.index[best[0]]} at {table.columns[best[1]]} {xlabel}.",
    )


def _look(i: int) -> dict[str, Any]:
    """Return colour and marker of the i-th line."""
    cycle = list(plt.rcParams["axes.prop_cycle"])
    return dict(cycle[i % len(cycle)])


def _finish_by_epoch(axes: Sequence[Axes]) -> None:
    """Set whole epochs, plain numbers on the logarithmic axis, and a legend."""
    for axis in axes:
        axis.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
        style.log_ticks(axis.yaxis, (1, 2, 5))
        axis.legend(fontsize=9)
