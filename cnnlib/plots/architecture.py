"""Draw a net as the papers draw it: boxes of feature maps with their sizes, and units as circles.

`net_steps` says what is drawn of a net; `block_drawings` draws what a block of it consists of.
"""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Circle, Polygon, Rectangle
from matplotlib.textpath import TextPath

from cnnlib.plots import style
from cnnlib.plots.net_steps import Step, layers_of, title_of

if TYPE_CHECKING:
    import keras

# Fills that differ in grey as well as in colour.
FILLS = {"input": "#ffffff", "convolution": "#cfe2f3", "pooling": "#eeeeee", "units": "#f2c879"}
EDGE = "#222222"
TALLEST = 1.4  # inches, of the largest maps; a fifth less in a drawing of many pictures
SHEETS = 8  # at most so many maps are drawn one behind the other
SHIFT = 0.05  # inches between two of them
CIRCLES = 10  # at most so many units are drawn
WIDEST = 11.0  # inches: a drawing that is wider has two rows
GAP = 0.34  # inches between two layers


def architecture(
    model: "keras.Model", title: str | None = None, image: np.ndarray | None = None
) -> Figure:
    """Draw a net: feature maps as boxes with number and size, units as circles.

    The sides of the boxes are in the proportion of the maps, as in the papers; where the largest
    is more than twelve times the smallest, in that of their square roots. Under each picture stand
    the operation that leads to it and its parameters. A net of more than 11 layers is drawn by
    stages: the blocks of a stage are one picture.

    Args:
        model: a net of the course, or any net of images that is one chain of layers or of blocks.
        title: over the drawing; the name and the number of parameters if None.
        image: an image to show as the input, (height, width, 1 or 3), as `plots.image_grid` takes.

    Returns:
        The figure, with an alt text that lists the layers. `plots.save` writes it as SVG or PNG.

    Raises:
        InputError: if the net does not take one image, (height, width, channels).
    """
    steps = layers_of(model)
    figure, axis = _canvas()
    tallest = TALLEST if len(steps) < 10 else 0.8 * TALLEST
    scale = _scale(steps, tallest)
    drop = SHIFT * (SHEETS - 1) / 2
    top, bottom = tallest / 2 + drop + 0.28, -tallest / 2 - drop - 0.06
    below = bottom - 0.155 * max(step.operation.count("\n") + 1 for step in steps) - 0.06
    rooms = [_room(step, scale) for step in steps]
    rows = _rows(rooms)
    pitch = top - below + 0.75
    former: tuple[Step, tuple[float, float, float, float]] | None = None
    for row, numbers in enumerate(rows):
        x, y = 0.0, -pitch * row
        for i in numbers:
            step, middle = steps[i], x + rooms[i] / 2
            anchor = _draw(axis, step, middle - _width(step, scale) / 2, y, scale)
            if step.kind == "input" and image is not None:
                _show(axis, np.asarray(image), anchor)
            if i and i == numbers[0]:  # goes on from the row above
                _row_arrow(axis, -0.45, y)
            elif former is not None:
                _connect(axis, former[0], former[1], step, anchor)
            texts: tuple[tuple[float, str, dict[str, Any]], ...] = (
                (top, step.name, {"va": "bottom", "fontsize": 10, "weight": "bold"}),
                (top - 0.04, step.size, {"va": "top", "fontsize": 10}),
                (bottom, step.operation, {"va": "top", "fontsize": 9}),
                (
                    below,
                    f"{step.parameters:,}" if step.parameters else "",
                    {"va": "top", "fontsize": 9, "color": "#555555"},
                ),
            )
            for place, text, options in texts:
                axis.text(middle, y + place, text, ha="center", **options)
            former = step, anchor
            x += rooms[i] + GAP
        if numbers[-1] + 1 < len(steps):
            _row_arrow(axis, x - GAP + 0.1, y)
        grey: dict[str, Any] = {"fontsize": 9, "color": "#555555", "va": "top", "ha": "right"}
        axis.text(-0.1, y + below, "parameters", **grey)
    left = -0.95
    right = max(sum(rooms[i] + GAP for i in numbers) for numbers in rows) - GAP + 0.1
    right += 0.4 if len(rows) > 1 else 0
    lowest = -pitch * (len(rows) - 1) + below - 0.25
    total = f"{sum(step.parameters for step in steps):,} parameters"
    heading = title if title is not None else f"{title_of(model)}: {total}"
    right = max(right, left + 0.15 + _text_width(heading, fontsize=12))
    axis.set(xlim=(left, right), ylim=(lowest, top + 0.62))
    figure.set_size_inches(right - left, top + 0.62 - lowest)
    axis.text(left + 0.05, top + 0.6, heading, ha="left", va="top", fontsize=12, weight="bold")
    return style.set_alt(figure, describe(steps, title_of(model)))


def describe(steps: Sequence[Step], name: str) -> str:
    """Return in words what a drawing of `steps` shows."""
    parts = []
    for step in steps:
        if step.units:
            what = f"{step.units:,} units"
        else:
            height, width, maps = step.shape
            what = f"{maps:,} {'map' if maps == 1 else 'maps'} of {height}x{width}"
        how = " ".join(step.operation.split())
        count = f", {step.parameters:,} parameters" if step.parameters else ""
        label = f"{step.name}: " if step.name else ""
        parts.append(f"{label}{what}" + (f" by {how}" if how else "") + count)
    return f"{name}, drawn as boxes of feature maps from left to right. " + "; ".join(parts) + "."


@dataclasses.dataclass(frozen=True)
class _Scale:
    """From a map's side in pixels to inches."""

    tallest: float
    largest: int
    power: float

    def __call__(self, side: int) -> float:
        return max(0.1, self.tallest * (side / self.largest) ** self.power)


def _canvas() -> tuple[Figure, Axes]:
    figure = plt.figure()
    figure.set_layout_engine("none")
    axis = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axis.set_aspect("equal")
    axis.axis("off")
    return figure, axis


def _text_width(text: str, fontsize: float) -> float:
    """Return the width of a bold line in inches."""
    path = TextPath((0, 0), text or " ", size=fontsize, prop=FontProperties(weight="bold"))
    return 1.03 * path.get_extents().width / 72  # pixels round letters up


def _room(step: Step, scale: _Scale) -> float:
    """Return the width of a step's picture with the texts under and over it, in inches."""
    lines = [step.size, step.name, *step.operation.split("\n")]
    return max(_width(step, scale), 0.067 * max(map(len, lines)))


def _rows(rooms: Sequence[float]) -> list[range]:
    """Return which steps stand in which row: one row, or two of about the same width."""
    ends = np.cumsum([room + GAP for room in rooms])
    if ends[-1] <= WIDEST:
        return [range(len(rooms))]
    split = int(np.argmin(np.abs(ends - ends[-1] / 2))) + 1
    return [range(split), range(split, len(rooms))]


def _row_arrow(axis: Axes, x: float, y: float) -> None:
    arrow(axis, (x, y), (x + 0.3, y))


def _scale(steps: Sequence[Step], tallest: float) -> _Scale:
    """Return the function from a map's side in pixels to inches."""
    sides = [max(step.shape[:2]) for step in steps if not step.units]
    largest, smallest = max(sides), min(sides)
    power = 1.0 if largest <= 12 * smallest else 0.5
    return _Scale(tallest, largest, power)


def _width(step: Step, scale: _Scale) -> float:
    if step.units:
        return 0.22
    return scale(step.shape[1]) + SHIFT * (min(step.shape[2], SHEETS) - 1)


def _draw(
    axis: Axes, step: Step, left: float, y: float, scale: _Scale
) -> tuple[float, float, float, float]:
    """Draw one step at `left`. Return the front picture's (left, bottom, width, height)."""
    if step.units:
        return _draw_units(axis, step, left, y, scale.tallest)
    height, width = scale(step.shape[0]), scale(step.shape[1])
    count = min(step.shape[2], SHEETS)
    drop = SHIFT * (count - 1)
    for i in range(count):
        corner = left + SHIFT * i, y + drop / 2 - SHIFT * i - height / 2
        fill = FILLS[step.kind]
        axis.add_patch(
            Rectangle(corner, width, height, facecolor=fill, edgecolor=EDGE, linewidth=0.8)
        )
    return corner[0], corner[1], width, height


def _show(axis: Axes, image: np.ndarray, place: tuple[float, float, float, float]) -> None:
    left, bottom, width, height = place
    whole = (left, left + width, bottom, bottom + height)
    if image.shape[-1] == 1:
        axis.imshow(image[..., 0], extent=whole, zorder=1.5)
    else:
        axis.imshow(image, extent=whole, zorder=1.5)


def _draw_units(
    axis: Axes, step: Step, left: float, middle: float, tallest: float
) -> tuple[float, float, float, float]:
    shown = step.units if step.units <= CIRCLES else CIRCLES - 2
    places = CIRCLES if step.units > CIRCLES else shown
    pitch = 0.98 * tallest / CIRCLES
    start = middle + pitch * (places - 1) / 2
    radius = 0.4 * pitch
    for i in range(places):
        y = start - pitch * i
        if places > shown and i in (places // 2 - 1, places // 2):  # left out: three dots
            for dot in (-1, 0, 1) if i == places // 2 else ():
                y_dot = y + pitch / 2 + 0.6 * radius * dot
                axis.add_patch(Circle((left + 0.11, y_dot), 0.018, color=EDGE))
            continue
        axis.add_patch(
            Circle(
                (left + 0.11, y), radius, facecolor=FILLS["units"], edgecolor=EDGE, linewidth=0.8
            )
        )
    half = start - middle + radius
    return left, middle - half, 0.22, 2 * half


def _connect(
    axis: Axes,
    former: Step,
    front: tuple[float, float, float, float],
    step: Step,
    anchor: tuple[float, float, float, float],
) -> None:
    """Draw how one step sees the former: a window and the pixel that it leads to, or a fan."""
    left, bottom, width, height = front
    if step.kernel and not step.units and not former.units:
        rows, columns = former.shape[:2]
        window = min(step.kernel / columns, 1) * width, min(step.kernel / rows, 1) * height
        x, y = left + 0.62 * (width - window[0]), bottom + 0.7 * (height - window[1])
        axis.add_patch(
            Rectangle((x, y), *window, facecolor="#ffffff", edgecolor="#B03A00", linewidth=1.1)
        )
        pixel = (
            anchor[0] + 0.3 * anchor[2],
            anchor[1] + 0.72 * anchor[3],
        )
        for corner in (y, y + window[1]):
            axis.plot(
                [x + window[0], pixel[0]],
                [corner, pixel[1]],
                color="#B03A00",
                linewidth=0.8,
                marker="",
            )
        axis.plot(*pixel, marker="s", markersize=3, color="#B03A00")
        return
    start, end = left + width, anchor[0]
    fan = Polygon(
        [
            (start, bottom + height),
            (end, anchor[1] + anchor[3]),
            (end, anchor[1]),
            (start, bottom),
        ],
        facecolor="#f4f4f4",
        edgecolor="#999999",
        linewidth=0.6,
        zorder=0,
    )
    axis.add_patch(fan)


def arrow(axis: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axis.annotate(
        "",
        end,
        start,
        arrowprops={
            "arrowstyle": "-|>",
            "color": EDGE,
            "linewidth": 1.2,
            "shrinkA": 0,
            "shrinkB": 0,
        },
        zorder=1,
    )
