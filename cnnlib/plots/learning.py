"""Figures of how nets learn, and of what they take for what."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from cnnlib import results
from cnnlib.plots import style

if TYPE_CHECKING:
    import pandas as pd

LINES = ("-", "--", "-.", ":")


def learning_curves(
    histories: Mapping[str, "pd.DataFrame"], title: str = "Learning curves"
) -> Figure:
    """Draw loss and error by epoch: the mean over seeds in a band of their range.

    Args:
        histories: {name: the epochs of a training, `history.epochs`, or of runs that differ by
            their seed only, `results.histories(...)`}; a validation error is drawn with marks.
    """
    figure, axes = plt.subplots(1, 2, figsize=(10, 4))
    texts = []
    for i, (name, runs) in enumerate(histories.items()):
        seeds = runs["run_id"].nunique() if "run_id" in runs else 1
        look: dict[str, Any] = {"color": f"C{i}", "linestyle": LINES[i % 4]}
        ends = []
        for column in ("loss", "train_error", "validation_error"):
            if column not in runs or runs[column].isna().all():
                continue
            axis = axes[0] if column == "loss" else axes[1]
            mark = "o" if column == "validation_error" else ""
            by_epoch = runs.groupby("epoch")[column].agg(["mean", "min", "max"])
            low, high = by_epoch[["min", "max"]].iloc[-1]
            kind = {"loss": "", "train_error": ", training"}.get(column, ", validation")
            if seeds > 1:
                kind = f" ({seeds} seeds)" if axis is axes[0] else f": ends at {low:.2g}–{high:.2g}"
            axis.plot(by_epoch["mean"], label=f"{name}{kind}", marker=mark, **look)
            band = by_epoch.index, by_epoch["min"], by_epoch["max"]
            axis.fill_between(*band, color=look["color"], alpha=0.3, linewidth=0)
            if column != "loss":
                said = column.replace("_", " ").replace("train ", "training ")
                ends.append(f"{said} {by_epoch['mean'].iloc[-1]:.2f} %")
        last = results.counted(int(runs["epoch"].max()), "epoch")
        over = f", mean of {seeds} seeds" if seeds > 1 else ""
        texts.append(f"{name}{over}: {', '.join(ends)} after {last}")
    axes[0].set(title=title, ylabel="loss on the training images")
    axes[1].set(title="Error", ylabel="error in %")
    for axis in axes:
        axis.set(xlabel="epoch", yscale="log")
        axis.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
        style.log_ticks(axis.yaxis, (1, 2, 5))
        axis.legend(fontsize=9)
    return style.set_alt(figure, f"{title}: loss and error by epoch. {'; '.join(texts)}.")


def confusion_matrix(
    labels: np.ndarray,
    predicted: np.ndarray,
    class_names: Sequence[object],
    title: str = "Confusion matrix",
) -> Figure:
    """Draw how many images of each class (row) got each answer (column).

    The right answers, far more than the rest, have no colour. Labels and answers are (n,).
    """
    count = np.zeros((len(class_names), len(class_names)), dtype=int)
    np.add.at(count, (np.asarray(labels), np.asarray(predicted)), 1)
    wrong = count * (1 - np.eye(len(count), dtype=int))
    names = [str(name) for name in class_names]
    figure, axis = plt.subplots(figsize=(0.55 * len(count) + 2, 0.5 * len(count) + 1.2))
    axis.grid(False)
    picture = axis.imshow(wrong, cmap="Oranges", vmin=0)
    for (row, column), number in np.ndenumerate(count):
        if number:
            dark = wrong[row, column] > 0.6 * max(wrong.max(), 1)
            colour = "white" if dark else "#666666" if row == column else "black"
            axis.text(column, row, number, ha="center", va="center", fontsize=9, color=colour)
    turned: dict[str, Any] = {"rotation": 45, "ha": "right"} if max(map(len, names)) > 3 else {}
    axis.set_xticks(range(len(names)), names, **turned)
    axis.set_yticks(range(len(names)), names)
    axis.set(title=title, xlabel="answer", ylabel="label")
    ticks = matplotlib.ticker.MaxNLocator(integer=True)
    figure.colorbar(picture, ax=axis, shrink=0.8, label="wrong images", ticks=ticks)
    text = f"{title}: {wrong.sum():,} of {count.sum():,} images are wrong"
    if wrong.any():
        row, column = np.unravel_index(wrong.argmax(), wrong.shape)
        text += f"; most often the label {names[row]} got the answer {names[column]}"
        text += f", {wrong.max():,} times"
    return style.set_alt(figure, f"{text}.")
