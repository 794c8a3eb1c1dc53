"""Figures of images, weights and feature maps. Ink and high values are dark, weights coloured."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnnlib import results
from cnnlib.plots import style

MOST_MAPS = 16  # of a layer, in `feature_maps`
CLIPPED = 99  # percentile of the absolute weights that gets the ends of the colour scale


def image_grid(
    images: np.ndarray,
    captions: Sequence[object] | None = None,
    columns: int = 10,
    title: str | None = None,
    scale: float = 0.85,
) -> Figure:
    """Draw images in rows of `columns`, with a caption over each.

    They are (n, h, w, 1 or 3), uint8 or on any scale that all share; `scale` is inches a side.
    """
    images = np.asarray(images)
    low, high = (0, 255) if images.dtype == np.uint8 else (images.min(), images.max())
    figure, _, listed = _grid(images, captions, columns, title, scale, vmin=low, vmax=high)
    counted = results.counted(len(images), "image")
    return style.set_alt(figure, f"{title or 'Images'}. {counted}{listed}.")


def image_rows(rows: Mapping[str, np.ndarray]) -> Figure:
    """Draw rows of images, {label: images (n, h, w, 1 or 3)}, all of the same n."""
    count = len(next(iter(rows.values())))
    size = (9, 0.9 * len(rows) + 0.2)
    figure, axes = plt.subplots(len(rows), count, figsize=size, squeeze=False)
    for row, (label, images) in zip(axes, rows.items(), strict=True):
        row[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
        for axis, image in zip(row, images, strict=True):
            _show(axis, image)
    counted = results.counted(count, "image")
    return style.set_alt(figure, f"Rows of {counted} each: {style.plain_list(rows)}.")


def weights_as_images(
    weights: np.ndarray,
    captions: Sequence[object] | None = None,
    columns: int = 10,
    scale: float = 1.0,
) -> Figure:
    """Draw weights (n, h, w) as pictures on one scale with a colour bar: blue to yellow.

    Grey is zero. Yellow is positive and asks for ink, dark blue is negative and asks for none; in
    grey print light is positive. The scale ends at the 99th percentile of the absolute weights.
    """
    sizes = np.abs(weights)
    limit = float(np.percentile(sizes, CLIPPED)) or float(sizes.max()) or 1.0
    look = {"cmap": "cividis", "vmin": -limit, "vmax": limit}
    figure, axes, listed = _grid(weights, captions, columns, None, scale, **look)
    width, height = figure.get_size_inches()
    figure.set_size_inches(width + 0.8, height + 0.3)
    extend = "both" if sizes.max() > limit else "neither"
    picture = axes.flat[0].images[0]
    figure.colorbar(picture, ax=axes, shrink=0.8, pad=0.01, label="weight", extend=extend)
    return style.set_alt(
        figure,
        f"Weights as pictures. {results.counted(len(weights), 'picture')} of "
        f"{weights.shape[1]}x{weights.shape[2]} weights, yellow where positive and dark blue "
        f"where negative, on a scale from {-limit:.2g} to {limit:.2g}{listed}.",
    )


def mistakes(
    images: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[object],
    count: int = 20,
) -> Figure:
    """Draw the wrong images of which the net was surest: its answer, how sure it was, the label.

    Images are (n, h, w, 1 or 3), labels (n,), probabilities (n, classes).
    """
    predicted, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(-sure[wrong], kind="stable")][:count]
    captions = [
        f"{class_names[predicted[i]]} ({100 * sure[i]:.0f} %)\nlabel {class_names[labels[i]]}"
        for i in worst
    ]
    title = f"The {len(worst)} surest of {len(wrong)} mistakes: answer, probability, label"
    columns, scale = (10, 1.0) if max(len(str(name)) for name in class_names) <= 3 else (5, 1.8)
    return image_grid(images[worst], captions, columns, title, scale)


def feature_maps(maps: Sequence[np.ndarray], names: Sequence[str]) -> Figure:
    """Draw what an image becomes layer by layer, each map on a scale of its own.

    Dark is the largest value of that map and white the smallest. Maps of one pixel share the scale
    of their layer; in another map with one value only that value stands as a number.

    Args:
        maps: (h, w, n), one a layer; the first 16 maps of each are drawn.
        names: one a layer.
    """
    columns = min(MOST_MAPS, max(layer.shape[-1] for layer in maps))
    size = 0.79 * columns + 1.2, 0.84 * len(maps) + 0.3
    figure, axes = plt.subplots(len(maps), columns, figsize=size, squeeze=False)
    for row, layer, name in zip(axes, maps, names, strict=True):
        height, width, count = layer.shape
        more = f"\n(first {columns})" if count > columns else ""
        text = f"{name}\n{count}@{height}x{width}{more}"
        row[0].set_ylabel(text, rotation=0, ha="right", va="center", fontsize=9)
        for axis in row[count:]:
            axis.axis("off")
        for axis, shown in zip(row, np.moveaxis(layer, -1, 0), strict=False):
            scaled = layer if height == width == 1 else shown
            _show(axis, shown, vmin=scaled.min(), vmax=scaled.max() or 1, cmap="gray_r")
            if scaled.min() == scaled.max():
                axis.images[0].set_visible(False)
                middle = (width - 1) / 2, (height - 1) / 2
                axis.text(*middle, f"{scaled.min():.2g}", ha="center", va="center", fontsize=9)
    listed = style.plain_list(
        f"{name} {layer.shape[-1]} of {layer.shape[0]}x{layer.shape[1]}"
        for layer, name in zip(maps, names, strict=True)
    )
    return style.set_alt(figure, f"Feature maps of one image, by layer: {listed}.")


def _grid(
    pictures: np.ndarray,
    captions: Sequence[object] | None,
    columns: int,
    title: str | None,
    scale: float,
    **look: Any,
) -> tuple[Figure, np.ndarray, str]:
    """Draw pictures with captions over them. Return the figure, its axes, and ": the captions"."""
    rows = -(-len(pictures) // columns)
    words = [str(caption) for caption in (() if captions is None else captions)]
    lines = max((word.count("\n") + 1 for word in words), default=0)
    size = scale * columns, (scale + 0.2 * lines) * rows + (0.4 if title else 0)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for axis in axes.flat[len(pictures) :]:
        axis.axis("off")
    for axis, picture in zip(axes.flat, pictures, strict=False):
        _show(axis, picture, **look)
    for axis, word in zip(axes.flat, words, strict=False):
        axis.set_title(word, fontsize=9, fontweight="normal", loc="center", pad=2)
    style.headed(figure, title)
    named = [word for word in words if word]
    return figure, axes, f": {style.plain_list(named)}" if named else ""


def _show(axis: Axes, picture: np.ndarray, **look: Any) -> None:
    """Draw a picture in a thin frame: an empty page has a border too."""
    axis.imshow(
        picture[..., 0] if picture.ndim == 3 and picture.shape[-1] == 1 else picture, **look
    )
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set(visible=True, color=style.GREY, linewidth=0.6)
