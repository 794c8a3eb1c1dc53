"""Figures of images, weights and feature maps. Ink and high values are dark, weights coloured."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from cnnlib.errors import InputError
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

    Args:
        images: (n, h, w, 1 or 3), uint8 or on any scale that all of them share.
        captions: one an image.
        columns: images in a row.
        title: over all of them.
        scale: inches, of an image's side.

    Raises:
        InputError: if the images have another shape, or there are none.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or not len(images):
        raise InputError(
            f"images must be (n, height, width, 1 or 3) with n of at least 1, got {images.shape}"
        )
    rows = -(-len(images) // columns)
    words = [str(caption) for caption in captions] if captions is not None else []
    lines = max((word.count("\n") + 1 for word in words), default=0)
    size = scale * columns, (scale + 0.2 * lines) * rows + (0.4 if title else 0)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    low, high = (0, 255) if images.dtype == np.uint8 else (images.min(), images.max())
    for axis in axes.flat:
        axis.axis("off")
    for axis, image in zip(axes.flat, images, strict=False):
        axis.imshow(image.squeeze(), vmin=low, vmax=high)
    for axis, word in zip(axes.flat, words, strict=False):
        axis.set_title(word, fontsize=9, fontweight="normal", loc="center", pad=2)
    style.headed(figure, title)
    named = [word for word in words if word]
    listed = f": {style.plain_list(named)}" if named else ""
    return style.set_alt(
        figure, f"{title or 'Images'}. {style.counted(len(images), 'image')}{listed}."
    )


def image_rows(rows: Mapping[str, np.ndarray], title: str | None = None) -> Figure:
    """Draw rows of images, {label: images (n, h, w, 1 or 3)}, all of the same n."""
    count = len(next(iter(rows.values())))
    size = (9, 0.9 * len(rows) + (0.6 if title else 0.2))
    figure, axes = plt.subplots(len(rows), count, figsize=size, squeeze=False)
    for row, (label, images) in zip(axes, rows.items(), strict=True):
        row[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
        for axis, image in zip(row, images, strict=True):
            axis.imshow(image.squeeze())
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set(visible=True, color="#b0b0b0", linewidth=0.7)
    style.headed(figure, title)
    opening = f"{title}. " if title else ""
    return style.set_alt(
        figure, f"{opening}Rows of {style.counted(count, 'image')} each: {style.plain_list(rows)}."
    )


def weights_as_images(
    weights: np.ndarray,
    captions: Sequence[object] | None = None,
    columns: int = 10,
    title: str | None = None,
    scale: float = 1.0,
    label: str = "weight",
) -> Figure:
    """Draw weights as pictures on one scale with a colour bar: blue to yellow, grey is zero.

    Yellow is positive and asks for ink, dark blue is negative and asks for none; in grey print
    light is positive. The scale ends at the 99th percentile of the absolute weights, so that a few
    large ones do not make the others look alike.

    Args:
        weights: (n, h, w).
        captions: one a picture.
        columns: pictures in a row.
        title: over all of them.
        scale: inches, of a picture's side.
        label: of the colour bar.

    Raises:
        InputError: if the weights have another shape.
    """
    weights = np.asarray(weights)
    if weights.ndim != 3 or not weights.size:
        raise InputError(f"weights must be (n, height, width), got {weights.shape}")
    rows = -(-len(weights) // columns)
    words = [str(caption) for caption in captions] if captions is not None else []
    size = scale * columns + 0.8, (scale + (0.25 if words else 0)) * rows + 0.4
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    magnitudes = np.abs(weights)
    limit = float(np.percentile(magnitudes, CLIPPED)) or float(magnitudes.max()) or 1.0
    for axis in axes.flat:
        axis.axis("off")
    for axis, picture in zip(axes.flat, weights, strict=False):
        shown = axis.imshow(picture, cmap="cividis", vmin=-limit, vmax=limit)
    for axis, word in zip(axes.flat, words, strict=False):
        axis.set_title(word, fontsize=9, fontweight="normal", loc="center", pad=2)
    extend = "both" if magnitudes.max() > limit else "neither"
    figure.colorbar(shown, ax=axes, shrink=0.8, pad=0.01, label=label, extend=extend)
    style.headed(figure, title)
    listed = f": {style.plain_list(words)}" if words else ""
    return style.set_alt(
        figure,
        f"{title or 'Weights as pictures'}. {style.counted(len(weights), 'picture')} of "
        f"{weights.shape[1]}x{weights.shape[2]} weights, yellow where positive and dark blue "
        "where negative, on a scale from "
        f"{-limit:.2g} to {limit:.2g}{listed}.",
    )


def mistakes(
    images: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[object],
    count: int = 20,
) -> Figure:
    """Draw the wrong images of which the net was surest: its answer, how sure it was, the label.

    Args:
        images: (n, h, w, 1 or 3).
        labels: (n,).
        probabilities: (n, classes).
        class_names: one a class.
        count: at most so many images.

    Raises:
        InputError: if there are no mistakes.
    """
    labels, predicted = np.asarray(labels), probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    if not wrong.size:
        raise InputError("there are no mistakes among these images: nothing to draw")
    worst = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")][:count]
    captions = [
        f"{class_names[predicted[i]]} ({100 * probabilities[i, predicted[i]]:.0f} %)\n"
        f"label {class_names[labels[i]]}"
        for i in worst
    ]
    title = f"The {len(worst)} surest of {len(wrong)} mistakes: answer, probability, label"
    short = max(len(str(name)) for name in class_names) <= 3
    return image_grid(
        images[worst],
        captions,
        columns=10 if short else 5,
        title=title,
        scale=1.0 if short else 1.8,
    )


def feature_maps(
    maps: Sequence[np.ndarray],
    names: Sequence[str],
    title: str | None = None,
    scale: float = 1.05,
) -> Figure:
    """Draw what an image becomes layer by layer, each map on a scale of its own.

    Dark is the largest value of that map and white the smallest; a map with one value is hatched.

    Args:
        maps: (h, w, n), one a layer; the first 16 maps of each are drawn.
        names: one a layer.
        title: over all of them.
        scale: inches, of a map's side, roughly.
    """
    columns = min(MOST_MAPS, max(layer.shape[-1] for layer in maps))
    size = scale * columns * 0.75 + 1.2, scale * len(maps) * 0.8 + 0.3
    figure, axes = plt.subplots(len(maps), columns, figsize=size, squeeze=False)
    for row, (layer, name) in enumerate(zip(maps, names, strict=True)):
        for column, axis in enumerate(axes[row]):
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            if column >= layer.shape[-1]:
                continue
            shown = layer[..., column]
            if shown.min() == shown.max():
                axis.imshow(np.zeros_like(shown), cmap="gray_r", vmin=0, vmax=1)
                axis.patch.set_visible(False)
                axis.add_patch(
                    plt.Rectangle(
                        (0, 0), 1, 1, transform=axis.transAxes, fill=False, hatch="///", lw=0,
                        edgecolor="#bbbbbb",
                    )
                )  # fmt: skip
            else:
                axis.imshow(shown, cmap="gray_r", vmin=shown.min(), vmax=shown.max())
            axis.spines[:].set(visible=True, color="#b0b0b0", linewidth=0.5)
        more = f"\n(first {columns})" if layer.shape[-1] > columns else ""
        size_text = f"{layer.shape[-1]}@{layer.shape[0]}x{layer.shape[1]}"
        axes[row, 0].set_ylabel(
            f"{name}\n{size_text}{more}", rotation=0, ha="right", va="center", fontsize=9
        )
    style.headed(figure, title)
    listed = style.plain_list(
        f"{name} {layer.shape[-1]} of {layer.shape[0]}x{layer.shape[1]}"
        for layer, name in zip(maps, names, strict=True)
    )
    return style.set_alt(figure, f"{title or 'Feature maps of one image'}, by layer: {listed}.")


def activation_maps(
    images: np.ndarray,
    maps: Sequence[np.ndarray],
    captions: Sequence[object] | None = None,
    title: str | None = None,
    label: str = "share of the class's logit from here",
) -> Figure:
    """Draw from which places of each image the score of a class comes: the image, and its map.

    The maps have one scale with a colour bar, dark where the place speaks for the class most, so
    that images can be compared. A line is drawn around the places above half of the largest value.

    Args:
        images: (n, h, w, 1 or 3).
        maps: n arrays (rows, columns) of what each place contributes.
        captions: one an image.
        title: over all of them.
        label: of the colour bar: what a map's number is.
    """
    images = np.asarray(images)
    count = len(images)
    figure, axes = plt.subplots(2, count, figsize=(1.5 * count + 1, 3.6), squeeze=False)
    high = max(float(np.max(each)) for each in maps)
    low = min(float(np.min(each)) for each in maps)
    height, width = images.shape[1:3]
    for i, (image, each) in enumerate(zip(images, maps, strict=True)):
        for axis in axes[:, i]:
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set(visible=True, color="#b0b0b0", linewidth=0.7)
        axes[0, i].imshow(image.squeeze())
        extent = (-0.5, width - 0.5, height - 0.5, -0.5)
        shown = axes[1, i].imshow(each, cmap="cividis_r", vmin=low, vmax=high or 1, extent=extent)
        if np.max(each) > 0 and min(np.shape(each)) > 1:
            axes[0, i].contour(
                np.asarray(each), [np.max(each) / 2], colors=["#D55E00"], linewidths=1.5,
                extent=extent, origin=None,
            )  # fmt: skip
            axes[0, i].set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        if captions is not None:
            axes[0, i].set_title(str(captions[i]), fontsize=9, fontweight="normal", loc="center")
    figure.colorbar(shown, ax=axes[1], shrink=0.9, pad=0.01).set_label(label, fontsize=8)
    style.headed(figure, title)
    listed = f": {style.plain_list(captions)}" if captions is not None else ""
    return style.set_alt(
        figure,
        f"{title or 'Class activation maps'}. Above {style.counted(count, 'image')}, below where "
        f"the score of the class comes from, dark where most{listed}.",
    )


def connection_table(
    table: Sequence[Sequence[int]], inputs: int, title: str | None = None
) -> Figure:
    """Draw a table of connections as the paper prints it.

    Args:
        table: for each output map, the numbers of the input maps that it sees.
        inputs: the number of input maps.
        title: over the table.
    """
    figure, axis = plt.subplots(figsize=(0.42 * len(table) + 1.5, 0.38 * inputs + 1.2))
    axis.grid(False)
    seen = np.array([[row in group for group in table] for row in range(inputs)])
    axis.imshow(seen, cmap="Blues", vmin=0, vmax=2, aspect="auto")
    for row, column in zip(*np.nonzero(seen), strict=True):
        axis.text(column, row, "X", ha="center", va="center", fontsize=10)
    axis.set_xticks(range(len(table)))
    axis.set_yticks(range(inputs))
    axis.set(title=title, xlabel="output map", ylabel="input map")
    return style.set_alt(
        figure,
        f"{title or 'Table of connections'}: {int(seen.sum())} of {seen.size} connections between "
        f"{inputs} input maps and {len(table)} output maps.",
    )
