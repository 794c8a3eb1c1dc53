"""Draw nets as papers do: feature maps as boxes with their sizes.

Activations, batch norm and padding have no picture of their own: the words at one name them.
"""

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Polygon, Rectangle

from cnnlib.plots import style

if TYPE_CHECKING:
    import keras

# Fills that differ in grey as well as in colour.
FILLS = {"input": "#ffffff", "convolution": "#bfd9ef", "pooling": "#eeeeee", "units": "#f2c879"}
EDGE, SEEN = "#222222", "#B03A00"
MOST_LAYERS = 11  # a net of more layers is drawn by stages
TALLEST = 1.4  # inches, of the largest maps
SHEETS, SHIFT = 8, 0.05  # so many maps are drawn one behind the other, so many inches apart
GAP = 0.32  # inches between two layers
AUTOMATIC = re.compile(r"(conv2d|dense|flatten|\w*pooling2d|sequential|functional)(_\d+)?$")
PLACE = re.compile(r"((?:stage|transition)\d+)(?:_block\d+)?_")
JOINS = ("Add", "Multiply", "Concatenate", "DualPath")

Place = tuple[float, float, float, float]  # left, bottom, width, height


@dataclasses.dataclass
class Step:
    """One picture in the drawing of a net: what a layer or a stage returns, and how."""

    kind: str  # "input", "convolution", "pooling" or "units"
    name: str
    shape: tuple[int, ...]  # (height, width, maps) or (units,)
    lines: list[str]  # the operation that leads to it
    layers: list[Any]  # the drawn layer, or those of a stage, with what belongs to them
    kernel: int = 0  # pixels on a side of what one of its pixels sees, 0 if it sees all

    @property
    def units(self) -> int:
        """How many units are drawn as circles; 0 if it is drawn as maps."""
        return self.shape[-1] if len(self.shape) == 1 or self.shape[:2] == (1, 1) else 0

    @property
    def size(self) -> str:
        maps = f"{self.shape[-1]:,}"
        return maps if len(self.shape) == 1 else f"{maps}@{self.shape[0]}x{self.shape[1]}"

    @property
    def parameters(self) -> int:
        return sum(_count(layer) for layer in self.layers)


def architecture(
    model: "keras.Model", title: str | None = None, image: np.ndarray | None = None
) -> Figure:
    """Draw a net: feature maps as boxes with number and size, units as circles.

    The sides of the boxes are in the proportion of the maps, as in the papers; where the largest
    is more than twelve times the smallest, in that of their square roots. Under each picture stand
    the operation that leads to it and its parameters. A net of more than 11 layers, or with
    shortcuts, is drawn by stages: the convolutions on maps of one size are one picture.

    Args:
        model: a net of images.
        title: over the drawing; the name and the number of parameters if None.
        image: an image to show as the input, (height, width, 1 or 3).

    Returns:
        The figure, with an alt text that lists the layers.
    """
    steps = steps_of(model)
    largest = max(max(step.shape[:2]) for step in steps if not step.units)
    smallest = min(max(step.shape[:2]) for step in steps if not step.units)
    power = 1.0 if largest <= 12 * smallest else 0.5
    depth = 0.155 * max(len(step.lines) for step in steps)
    high = TALLEST / 2 + SHIFT * SHEETS / 2
    figure = plt.figure()
    figure.set_layout_engine("none")
    axis = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axis.axis("off")
    grey: dict[str, Any] = {"va": "top", "fontsize": 9, "color": "#555555"}
    x, former = 0.0, None
    for step in steps:
        height, width = (TALLEST * (side / largest) ** power for side in (*step.shape, 0)[:2])
        whole = 0.22 if step.units else width + SHIFT * (min(step.shape[-1], SHEETS) - 1)
        room = max(whole, 0.07 * max(map(len, [step.name, step.size, *step.lines])))
        left, middle = x + (room - whole) / 2, x + room / 2
        front = _units(axis, step, left) if step.units else _maps(axis, step, left, height, width)
        if former is not None:
            _connect(axis, *former, step, front)
        elif image is not None:
            extent = front[0], front[0] + front[2], front[1], front[1] + front[3]
            axis.imshow(np.squeeze(image), extent=extent, zorder=1.5)
        count = f"{step.parameters:,}" if step.parameters else ""
        axis.text(middle, high + 0.22, step.name, ha="center", fontsize=10, weight="bold")
        axis.text(middle, high + 0.18, step.size, ha="center", va="top", fontsize=10)
        axis.text(middle, -high - 0.04, "\n".join(step.lines), ha="center", va="top", fontsize=9)
        axis.text(middle, -high - 0.12 - depth, count, ha="center", **grey)
        former, x = (step, front), x + room + GAP
    axis.text(-0.1, -high - 0.12 - depth, "parameters", ha="right", **grey)
    heading = f"{_title(model)}: {sum(step.parameters for step in steps):,} parameters"
    axis.text(-0.9, high + 0.75, title or heading, va="top", fontsize=12, weight="bold")
    right, bottom, top = x - GAP + 0.05, -high - depth - 0.35, high + 0.8
    axis.set(xlim=(-0.95, right), ylim=(bottom, top), aspect="equal")
    figure.set_size_inches(right + 0.95, top - bottom)
    words = "; ".join(map(_in_words, steps))
    return style.set_alt(
        figure, f"{_title(model)}, drawn as boxes of feature maps from left to right. {words}."
    )


def _kind(layer: Any) -> str:
    """Return what a layer is drawn as, "" for what is not drawn."""
    parents = " ".join(each.__name__ for each in type(layer).__mro__)
    if "Conv2D" in parents or "TableConvolution" in parents:
        return "convolution"
    if "Pooling2D" in parents or "Subsampling" in parents:
        return "pooling"
    if "Dense" in parents or "RBFOutput" in parents:
        return "units"
    return "join" if type(layer).__name__ in JOINS else "after" if _after(layer) else ""


def _operation(layer: Any) -> list[str]:
    """Return what a layer does, in a few words, one idea a line."""
    kind, name = _kind(layer), type(layer).__name__
    if kind == "convolution":
        size = "x".join(map(str, layer.kernel.shape[:2]))
        if name == "TableConvolution":
            return [f"{size} convolution", "by a table"]
        groups, stride = getattr(layer, "groups", 1), layer.strides[0]
        depthwise = groups == layer.output.shape[-1]
        split = ["one for each map" if depthwise else f"{groups} groups"] if groups > 1 else []
        return [size, "convolution", *split, *([f"stride {stride}"] if stride > 1 else [])]
    if kind == "pooling":
        how = "maximum" if "Max" in name else "average"
        if "Global" in name:
            return [f"{how} of", "each map"]
        if "Adaptive" in name:
            return [f"{how} pooling", f"to {layer.output.shape[1]}x{layer.output.shape[2]}"]
        size = "x".join(map(str, getattr(layer, "pool_size", (2, 2))))
        return [f"{size} subsampling"] if "Sub" in name else [f"{size} {how}", "pooling"]
    return ["distance to", "10 codes"] if name == "RBFOutput" else ["full", "connection"]


def _after(layer: Any) -> str:
    """Return the name of the batch norm or activation that a layer is, or of its activation."""
    name = type(layer).__name__
    if "Batch" in name:
        return "batch norm"
    if name in ("ReLU", "LeakyReLU", "Softmax"):
        return name.replace("Softmax", "softmax")
    found = getattr(getattr(layer, "activation", None), "__name__", "linear")
    known = {"linear": "", "relu": "ReLU", "gelu": "GELU", "scaled_tanh": "scaled tanh"}
    return known.get(found, found)


def _count(layer: Any, fixed: bool = False) -> int:
    """Return how many weights of a layer training changes, or the number of those that it cannot.

    Running statistics of batch norm do not count; the kernel of a whitening cannot change; the
    weights of a layer that is frozen could.
    """
    return sum(
        math.prod(weight.shape)
        for weight in layer.weights
        if "moving_" not in weight.name and fixed != (weight.trainable or not layer.trainable)
    )


def _title(model: Any) -> str:
    """Return the name of a net as the literature writes it, where it is a net of the course."""
    from cnnlib import registry

    for known in registry.names():
        if known.replace("/", "-") == model.name:
            return registry.net(known).about.split(", ")[0]
    return "Net" if AUTOMATIC.match(model.name) else model.name


def steps_of(model: "keras.Model") -> list[Step]:
    """Return what `architecture` draws of a net: a step a layer, or a stage of a large net."""
    steps: list[Step] = []
    layers = _flat(model)
    for layer in layers:
        if (kind := _kind(layer)) in FILLS:
            name = "" if AUTOMATIC.match(layer.name) else layer.name.replace("_", " ")
            steps.append(Step(kind, name, layer.output.shape[1:], _operation(layer), []))
            if kind == "convolution":
                steps[-1].kernel = layer.kernel.shape[0]
            elif kind == "pooling":
                steps[-1].kernel = max(1, round(layer.input.shape[1] / layer.output.shape[1]))
        if steps:
            steps[-1].layers.append(layer)
    if len(steps) > MOST_LAYERS or any(_kind(layer) == "join" for layer in layers):
        stages: dict[Any, list[Step]] = {}
        for step in steps:
            first = step.layers[0].name
            place = PLACE.match(first)
            key = place[1] if place else first if step.units else step.shape[:2]
            stages.setdefault(key, []).append(step)
        steps = [_stage(key, stage) for key, stage in stages.items()]
    else:
        for step in steps:
            step.lines += filter(None, map(_after, step.layers))
    for step in steps:
        if fixed := sum(_count(layer, fixed=True) for layer in step.layers):
            step.lines.append(f"{fixed:,} fixed")
    return [Step("input", "input", model.input_shape[1:], [], []), *steps]


def _flat(model: Any) -> list[Any]:
    """Return the layers of a net and of a net inside it; of nets that vote, of the first."""
    inner = [layer for layer in model.layers if hasattr(layer, "layers")]
    if len(inner) > 1:
        return _flat(inner[0])
    return [each for one in model.layers for each in (_flat(one) if one in inner else [one])]


def _stage(key: Any, steps: Sequence[Step]) -> Step:
    """Return the steps of a stage as one."""
    layers = [layer for step in steps for layer in step.layers]
    drawn = [s for s in steps if s.kind == "convolution" and "shortcut" not in s.layers[0].name]
    named = [step.name for step in drawn or steps if step.name]
    name = "–".join(dict.fromkeys(named[:1] + named[-1:]))
    if not drawn:
        lines = [line for step in steps for line in step.lines]
        lines += filter(None, map(_after, layers))
        return dataclasses.replace(steps[-1], name=name, lines=lines, layers=layers)
    if isinstance(key, str):
        name = re.sub(r"(\d)$", r" \1", key)
    sizes = {step.lines[0] for step in drawn}
    times = f"{len(drawn)} times {' or '.join(sorted(sizes))}"
    lines = [times if len(drawn) > 1 else drawn[0].lines[0], "convolution"]
    if joins := sum(_kind(layer) == "join" for layer in layers):
        lines.append(f"{joins} shortcut{'s' * (joins > 1)}")
    pooling = [step.lines[0] for step in steps if step.kind == "pooling" and not step.units]
    lines = pooling + lines if steps[0].kind == "pooling" else lines + pooling
    last = next(one for one in layers[::-1] if _kind(one) and len(one.output.shape) == 4)
    return Step("convolution", name, last.output.shape[1:], lines, layers, drawn[-1].kernel)


def _in_words(step: Step) -> str:
    """Return a step as the alt text has it: "C1: 6 maps of 28x28 by 5x5 convolution"."""
    maps, _, size = step.size.partition("@")
    what = f"{maps} units" if step.units else f"{maps} map{'s' * (maps != '1')} of {size}"
    how = f" by {' '.join(step.lines)}" if step.lines else ""
    count = f", {step.parameters:,} parameters" if step.parameters else ""
    return f"{step.name}: {what}{how}{count}".removeprefix(": ")


def _maps(axis: Axes, step: Step, left: float, height: float, width: float) -> Place:
    """Draw feature maps, one behind the other. Return the place of the one in front."""
    count = min(step.shape[-1], SHEETS)
    for i in range(count):
        corner = left + SHIFT * i, SHIFT * ((count - 1) / 2 - i) - height / 2
        axis.add_patch(Rectangle(corner, width, height, fc=FILLS[step.kind], ec=EDGE, lw=0.8))
    return *corner, width, height


def _units(axis: Axes, step: Step, left: float) -> Place:
    """Draw units as circles, more for a larger layer; dots stand for those that are left out."""
    count = min(step.units, 2 * round(5 + 1.2 * math.log10(max(step.units, 10) / 10)))
    pitch = TALLEST / 15
    top = pitch * (count - 1) / 2
    for i in range(count):
        is_unit = count == step.units or i not in (count // 2 - 1, count // 2)
        radius, fill = (0.4 * pitch, FILLS["units"]) if is_unit else (0.015, EDGE)
        axis.add_patch(Circle((left + 0.11, top - pitch * i), radius, fc=fill, ec=EDGE, lw=0.8))
    return left, -top - 0.4 * pitch, 0.22, 2 * top + 0.8 * pitch


def _connect(axis: Axes, former: Step, front: Place, step: Step, place: Place) -> None:
    """Draw how a step sees the former: a window and the pixel that it leads to, or a fan."""
    (left, bottom, width, height), (end, low, wide, tall) = front, place
    if not step.kernel or step.units:
        start = left + width
        corners = [(start, bottom + height), (end, low + tall), (end, low), (start, bottom)]
        axis.add_patch(Polygon(corners, fc="#f4f4f4", ec="#999999", lw=0.6, zorder=0))
        return
    across = min(step.kernel / former.shape[1], 1) * width
    down = min(step.kernel / former.shape[0], 1) * height
    x, y = left + 0.62 * (width - across), bottom + 0.7 * (height - down)
    axis.add_patch(Rectangle((x, y), across, down, fill=False, ec=SEEN, lw=1.1))
    pixel = end + 0.3 * wide, low + 0.72 * tall
    for corner in (y, y + down):
        axis.plot([x + across, pixel[0]], [corner, pixel[1]], color=SEEN, linewidth=0.8, marker="")
    axis.plot(*pixel, marker="s", markersize=3, color=SEEN)
