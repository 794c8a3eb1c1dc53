"""Draw a net as the papers draw it: boxes of feature maps with their sizes, and units as circles.

`architecture` draws a whole net, one picture a layer, or a stage where there are many layers;
`block` draws what one block of a net of stages consists of, `blocks` those of several nets.
"""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Circle, FancyBboxPatch, Polygon, Rectangle
from matplotlib.textpath import TextPath

from cnnlib.errors import InputError
from cnnlib.plots import style

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
MOST_LAYERS = 11  # a net of more layers is drawn by stages
GAP = 0.34  # inches between two layers

_AUTOMATIC = re.compile(
    r"(input|conv2d|dense|flatten|(max|average|global_average)_pooling2d|sequential|functional)"
    r"(_layer)?(_\d+)?$"
)
_PLACE = re.compile(r"((?:stage|transition)\d+)(?:_(block\d+))?_")


@dataclasses.dataclass
class Step:
    """One picture in a drawing: what a layer or a stage returns, and how it was computed."""

    kind: str  # "input", "convolution", "pooling" or "units"
    name: str
    shape: tuple[int, ...]  # (height, width, maps) or (units,)
    operation: str  # what leads to it, in a few words, one idea a line
    kernel: int = 0  # pixels on a side of what one of its pixels sees, 0 if it sees all
    parameters: int = 0

    @property
    def units(self) -> int:
        """How many units are drawn as circles; 0 if it is drawn as maps."""
        if len(self.shape) == 1:
            return self.shape[0]
        return self.shape[2] if self.shape[:2] == (1, 1) else 0

    @property
    def size(self) -> str:
        if len(self.shape) == 1:
            return f"{self.shape[0]:,}"
        height, width, maps = self.shape
        return f"{maps:,}@{height}x{width}"


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
    heading = title if title is not None else f"{_title(model)}: {total}"
    right = max(right, left + 0.15 + _text_width(heading, fontsize=12))
    axis.set(xlim=(left, right), ylim=(lowest, top + 0.62))
    figure.set_size_inches(right - left, top + 0.62 - lowest)
    axis.text(left + 0.05, top + 0.6, heading, ha="left", va="top", fontsize=12, weight="bold")
    return style.set_alt(figure, describe(steps, _title(model)))


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


# From a Keras model to steps


def layers_of(model: "keras.Model") -> list[Step]:
    """Return what `architecture` draws of a net: one step a layer, or a stage of a large net.

    Raises:
        InputError: if the net does not take one image, (height, width, channels).
    """
    shape = getattr(model, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4 or None in shape[1:]:
        raise InputError(
            f"a net with an input of (height, width, channels) can be drawn, and this one takes "
            f"{shape}: build it with keras.layers.Input((28, 28, 1)) or another size"
        )
    steps = [Step("input", "input", shape[1:], "")]
    flat, members = _flat(model)
    single = [step for layer in flat if (step := _step(layer))]
    joins = [layer for layer in flat if _joins(layer)]
    if len(single) <= MOST_LAYERS and not joins:
        steps += _with_activations(flat)
    else:
        steps += _stages(flat)
    if members > 1:
        steps[-1].operation += f"\none of {members} nets"
    return steps


def _flat(model: Any) -> tuple[list[Any], int]:
    """Return the layers of a net and of nets inside it, and how many equal nets vote in it."""
    inner = [layer for layer in model.layers if hasattr(layer, "layers")]
    if len(inner) > 1:  # a committee: its members are alike
        return _flat(inner[0])[0], len(inner)
    flat: list[Any] = []
    for layer in model.layers:
        flat += _flat(layer)[0] if hasattr(layer, "layers") else [layer]
    return flat, 1


def _kind(layer: Any) -> str:
    kinds = [each.__name__ for each in type(layer).__mro__]
    if "Conv2D" in kinds or "DepthwiseConv2D" in kinds or "TableConvolution" in kinds:
        return "convolution"
    if any("Pooling2D" in kind or "Subsampling" in kind for kind in kinds):
        return "pooling"
    if "Dense" in kinds or "RBFOutput" in kinds:
        return "units"
    return ""


def _joins(layer: Any) -> bool:
    return isinstance(layer.input, (list, tuple)) and len(layer.input) > 1


def _step(layer: Any) -> Step | None:
    """Return a layer as a step, None for what is not drawn: activations, batch norm, padding."""
    kind = _kind(layer)
    if not kind:
        return None
    shape = tuple(int(side) for side in layer.output.shape[1:])
    step = Step(
        kind,
        "" if _AUTOMATIC.match(layer.name) else _readable(layer.name),
        shape,
        _operation(layer, kind),
        parameters=_parameters(layer),
    )
    if kind == "convolution":
        step.kernel = int(layer.kernel.shape[0])
    elif kind == "pooling" and len(shape) == 3 and shape[:2] != (1, 1):
        step.kernel = max(1, round(layer.input.shape[1] / shape[0]))
    return step


def _parameters(layer: Any) -> int:
    """Return how many weights of a layer gradients change, or would if it were not frozen.

    The running statistics of batch norm and the kernel of a whitening do not count.
    """
    counted = [
        weight.shape
        for weight in layer.weights
        if "moving_" not in weight.name and (weight.trainable or not layer.trainable)
    ]
    return sum(math.prod(shape) for shape in counted)


def _fixed(layer: Any) -> str:
    """Return in words how many weights no training changes: the kernel of a whitening."""
    fixed = layer.non_trainable_weights if layer.trainable else []
    count = sum(math.prod(each.shape) for each in fixed if "moving_" not in each.name)
    return f"{count:,} fixed" if count else ""


def _readable(name: str) -> str:
    return re.sub(r"^classifier_(\d)$", r"classifier \1", name)


def _operation(layer: Any, kind: str) -> str:
    name = type(layer).__name__
    if kind == "convolution":
        side = layer.kernel.shape[0]
        stride = getattr(layer, "strides", (1, 1))[0]
        groups = int(getattr(layer, "groups", 1))
        parts = [f"{side}x{side}", "convolution"]
        if name == "TableConvolution":
            parts = [f"{side}x{side} convolution", "by a table"]
        if groups > 1:
            depthwise = groups == layer.filters
            parts.append("one for each map" if depthwise else f"in {groups} groups")
        if stride > 1:
            parts.append(f"stride {stride}")
        return "\n".join(parts)
    if kind == "pooling":
        if "Subsampling" in name:
            return "2x2 subsampling"
        how = "maximum" if "Max" in name else "average"
        if "Global" in name:
            return f"{how} of\neach map"
        if "Adaptive" in name:
            return f"{how} pooling\nto {layer.output.shape[1]}x{layer.output.shape[2]}"
        side = layer.pool_size[0]
        return f"{side}x{side} {how}\npooling"
    return "distance to\n10 codes" if name == "RBFOutput" else "full\nconnection"


def _activation(layer: Any) -> str:
    """Return the name of the activation that a layer is or has, "" if it has none."""
    name = type(layer).__name__
    if name in ("ReLU", "Softmax", "LeakyReLU", "ELU"):
        return {"Softmax": "softmax"}.get(name, name)
    function = getattr(layer, "activation", None)
    found = getattr(function, "__name__", "")
    return "" if found == "linear" else {"relu": "ReLU", "gelu": "GELU"}.get(found, found)


def _with_activations(flat: Sequence[Any]) -> list[Step]:
    steps: list[Step] = []
    for layer in flat:
        step = _step(layer)
        if step:
            steps.append(step)
        elif steps:  # batch norm belongs to the convolution before it
            steps[-1].parameters += _parameters(layer)
            if "Batch" in type(layer).__name__:
                steps[-1].operation += "\nbatch norm"
        activation = _activation(layer)
        if steps and activation:
            steps[-1].operation += f"\n{activation.replace('_', ' ')}"
    return steps


def _stages(flat: Sequence[Any]) -> list[Step]:
    """Return one step for each stage: by its name, else a run of maps of one size and number."""
    groups: list[tuple[str, list[Any]]] = []
    for layer in flat:
        kind, place = _kind(layer), _PLACE.match(layer.name)
        if place:
            key = place[1]
        elif kind == "units" or (kind == "pooling" and len(layer.output.shape) == 2):
            key = layer.name
        elif kind == "pooling":  # it leads to the next stage
            key = f"after {layer.name}"
        elif groups and not groups[-1][0].startswith(("stage", "transition")):
            last = next((each for each in groups[-1][1][::-1] if _kind(each)), None)
            new = kind == "convolution" and last is not None and _changes(last, layer)
            key = layer.name if new else groups[-1][0]
        else:
            key = layer.name if kind else groups[-1][0] if groups else layer.name
        if not groups or groups[-1][0] != key:
            groups.append((key, []))
        groups[-1][1].append(layer)
    steps = [_stage(key, layers) for key, layers in groups]
    return [step for step in steps if step]


def _changes(last: Any, layer: Any) -> bool:
    return _kind(last) == "convolution" and last.output.shape[1:] != layer.output.shape[1:]


def _stage(key: str, layers: Sequence[Any]) -> Step | None:
    drawn = [layer for layer in layers if _kind(layer)]
    if not drawn:
        return None
    last = next((layer for layer in reversed(layers) if _kind(layer) or _joins(layer)), drawn[-1])
    shape = tuple(int(side) for side in last.output.shape[1:])
    parameters = sum(map(_parameters, layers))
    convolutions = [
        layer for layer in drawn if _kind(layer) == "convolution" and "shortcut" not in layer.name
    ]
    name = re.sub(r"(\d)$", r" \1", key) if re.match(r"(stage|transition)\d", key) else ""
    if not convolutions:
        step = _step(drawn[-1])
        assert step is not None
        if _activation(drawn[-1]):
            step.operation += f"\n{_activation(drawn[-1])}"
        step.parameters = parameters
        return step
    named = [layer.name for layer in convolutions if not _AUTOMATIC.match(layer.name)]
    if not name and named:
        name = "–".join(dict.fromkeys((named[0], named[-1])))
    blocks = list(
        dict.fromkeys(place[2] for layer in layers if (place := _PLACE.match(layer.name)))
    )
    pooling = [
        layer for layer in drawn if _kind(layer) == "pooling" and "squeeze" not in layer.name
    ]
    lines = []
    if pooling and pooling[0] is drawn[0]:
        lines.append("2x2 " + ("maximum" if "Max" in type(pooling[0]).__name__ else "average"))
    if blocks and blocks[0] and len(blocks) >= 1:
        of_last = [layer for layer in convolutions if f"_{blocks[-1]}_" in layer.name]
        lines.append(f"{len(blocks)} {'block' if len(blocks) == 1 else 'blocks'} of")
        lines.append(" ".join(_brief(layer) for layer in of_last if "_se_" not in layer.name))
    else:
        count = f"{len(convolutions)} times " if len(convolutions) > 1 else ""
        lines.append(f"{count}{_brief(convolutions[-1])}")
        lines.append("convolution")
        joins = sum(_joins(layer) for layer in layers)
        if joins:
            lines.append(f"{joins} shortcut{'s' if joins > 1 else ''}")
    lines += [words for layer in convolutions if (words := _fixed(layer))]
    if pooling and pooling[0] is not drawn[0]:
        lines.append("then 2x2 " + ("max." if "Max" in type(pooling[0]).__name__ else "average"))
    return Step(
        "convolution",
        name,
        shape,
        "\n".join(lines),
        kernel=int(convolutions[-1].kernel.shape[0]),
        parameters=parameters,
    )


def _brief(layer: Any) -> str:
    side = layer.kernel.shape[0]
    return f"{side}x{side}"


def _title(model: Any) -> str:
    """Return the name of a net as the literature writes it, where it is a net of the course."""
    name = str(model.name)
    from cnnlib.models import registry

    for known in registry.names():
        if known.replace("/", "-") == name:
            return registry.net(known).about.split(", ")[0]
    return "Net" if _AUTOMATIC.match(name) else name


# From steps to a drawing


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
    _arrow(axis, (x, y), (x + 0.3, y))


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


# Blocks


@dataclasses.dataclass
class _Node:
    """A box in the drawing of a block: a layer, with the batch norm and activation after it."""

    lines: list[str]
    kind: str
    inputs: list[str]
    own: int = 1  # so many lines are the layer's own
    row: int = 0
    column: int = 0


def block(model: "keras.Model", name: str | None = None, axis: Axes | None = None) -> Figure:
    """Draw what one block of a net consists of, from its input at the top to its output.

    Args:
        model: a net whose layers are named after stage and block, such as the cifar10/ nets.
        name: of the block, such as "stage2_block1"; the first block of stage 2 if None, or the
            first of stage 1 if there is no other.
        axis: where to draw; a figure of its own if None.

    Raises:
        InputError: if the net has no such block.
    """
    names = list(
        dict.fromkeys(
            f"{place[1]}_{place[2]}" if place[2] else place[1]
            for layer in model.layers
            if (place := _PLACE.match(layer.name))
        )
    )
    if not names:
        raise InputError(
            f"{model.name} has no layers that are named after stage and block, such as "
            "stage1_block1_conv1: draw it by plots.architecture"
        )
    if name is None:
        name = next((each for each in names if each.startswith("stage2")), names[0])
    if name not in names:
        raise InputError(f"{model.name} has no block {name!r}. It has {', '.join(names)}")
    nodes, source = _nodes([layer for layer in model.layers if layer.name.startswith(f"{name}_")])
    last = [layer for layer in model.layers if layer.name.startswith(f"{name}_")][-1]
    title = f"{_title(model)}: {name.replace('_', ', ').replace('stage', 'stage ')}"
    title = title.replace("block", "block ")
    return _draw_block(nodes, _maps(source), _maps(last.output.shape), title, axis)


def blocks(models: Mapping[str, "keras.Model"] | Sequence["keras.Model"]) -> Figure:
    """Draw a block of each of several nets, two side by side. models: a list, or {title: net}."""
    pairs = list(models.items()) if isinstance(models, Mapping) else [(None, m) for m in models]
    columns = min(2, len(pairs))
    rows = -(-len(pairs) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(4.4 * columns, 5.4 * rows), squeeze=False, layout="constrained"
    )
    texts = []
    for axis, (title, model) in zip(axes.flat, pairs, strict=False):
        block(model, axis=axis)
        texts.append(axis.get_gid())
        if title:
            axis.set_title("", loc="left")  # the block's own
            axis.set_title(title, fontsize=11, loc="center")
    for axis in axes.flat[len(pairs) :]:
        axis.axis("off")
    # One scale for all; each row of the figure is as high as its deepest block.
    drawn = axes.flat[: len(pairs)]
    left, right = (pick(axis.get_xlim()[k] for axis in drawn) for k, pick in ((0, min), (1, max)))
    heights = []
    for row in axes:
        low, high = min(axis.get_ylim() for axis in row if axis in drawn)
        for axis in row:
            axis.set(xlim=(left, right), ylim=(low, high))
        heights.append(high - low)
    axes[0, 0].get_gridspec().set_height_ratios(heights)
    figure.set_figheight(ROW_INCHES * sum(heights) + 0.45 * rows)
    return style.set_alt(figure, " ".join(texts))


def _maps(shape: Sequence[int | None]) -> str:
    _, height, width, maps = shape
    return f"{maps} maps of {height}x{width}"


def _nodes(layers: Sequence[Any]) -> tuple[dict[str, _Node], Sequence[int | None]]:
    """Return the boxes of a block by name, and the shape of its input, which is named "input"."""
    inside = {layer.name: layer for layer in layers}
    users: dict[str, int] = {}
    for layer in layers:
        for former in _formers(layer):
            users[former] = users.get(former, 0) + 1
    nodes: dict[str, _Node] = {}
    at: dict[str, str] = {}  # layer name -> the box that it is part of
    source: Sequence[int | None] = ()
    for layer in layers:
        formers = _formers(layer)
        for former, tensor in zip(formers, _tensors(layer), strict=True):
            if former not in inside and not source:
                source = tensor.shape
        boxes = [at.get(former, "input") for former in formers]
        kind, line = _box(layer)
        follows = len(boxes) == 1 and boxes[0] != "input" and users[formers[0]] == 1
        former_kind = nodes[boxes[0]].kind if follows else ""
        if not line:  # padding and the like are not drawn
            at[layer.name] = boxes[0]
            users[boxes[0]] = users.get(boxes[0], 0)
            users[layer.name] = users.get(layer.name, 1)
            if boxes[0] == "input":
                at[layer.name] = "input"
            continue
        if kind == "after" and follows and former_kind in ("convolution", "after", "join"):
            box = nodes[boxes[0]]
            if former_kind == "after" or len(box.lines) > box.own:
                box.lines[-1] += f", {line}"
            else:
                box.lines.append(line)
            at[layer.name] = boxes[0]
            continue
        lines = line.split("\n")
        nodes[layer.name] = _Node(lines, kind, boxes, own=len(lines))
        at[layer.name] = layer.name
    return nodes, source


def _formers(layer: Any) -> list[str]:
    return [tensor._keras_history.operation.name for tensor in _tensors(layer)]


def _tensors(layer: Any) -> list[Any]:
    return list(layer.input) if isinstance(layer.input, (list, tuple)) else [layer.input]


def _box(layer: Any) -> tuple[str, str]:
    """Return a layer's kind and its words; no words for what is not drawn."""
    name = type(layer).__name__
    kind = _kind(layer)
    if kind == "convolution":
        first, *more = _operation(layer, kind).replace("\nconvolution", "").split("\n")
        groups = [part for part in more if not part.startswith("stride")]
        stride = [part for part in more if part.startswith("stride")]
        lines = [", ".join([first, f"{layer.filters} maps", *stride]), *groups]
        return kind, "\n".join(lines)
    if kind == "pooling":
        return "pooling", _operation(layer, kind).replace("\n", " ")
    if name == "Add":
        return "join", "+"
    if name == "Multiply":
        return "join", "×"
    if name == "Concatenate":
        return "join", "concatenate"
    if name == "DualPath":
        return "join", "sum and concatenate"
    if "Batch" in name:
        return "after", "batch norm"
    activation = _activation(layer)
    return ("after", activation) if activation else ("", "")


HALF = 1.15  # of a box's width; one row of a block is one unit high
BESIDE = 2.95  # from the main column to the one beside it
ROW_INCHES = 0.8  # the height of a row
DETOUR = 1.4  # where a line goes past the boxes between its ends


def _draw_block(
    nodes: dict[str, _Node], source: str, result: str, title: str, axis: Axes | None
) -> Figure:
    _place(nodes)
    last = list(nodes)[-1]
    lowest = -float(max(node.row for node in nodes.values()) + 1)
    aside = max(node.column for node in nodes.values())
    skips = any(
        node.row - (nodes[former].row if former in nodes else 0) > 1
        and node.column == (nodes[former].column if former in nodes else 0)
        for node in nodes.values()
        for former in node.inputs
    )
    right = BESIDE + HALF if aside else DETOUR if skips else HALF
    limits = {"xlim": (-HALF - 0.1, right + 0.1), "ylim": (lowest - 0.25, 0.25)}
    if axis is None:
        width, height = (high - low for low, high in limits.values())
        figure = plt.figure(figsize=(0.92 * width, ROW_INCHES * height + 0.35))
        axis = figure.add_subplot()
    else:
        figure = axis.figure  # type: ignore[assignment]
    axis.axis("off")
    where = {key: (BESIDE * node.column, -float(node.row)) for key, node in nodes.items()}
    where["input"] = 0.0, -0.14
    for key, node in nodes.items():
        for former in node.inputs:
            _edge(axis, nodes, where, former, key)
    _arrow(axis, where[last], (0, lowest + 0.16))
    for y, text in ((0.0, source), (lowest, result)):
        axis.text(0, y, text, ha="center", va="center", fontsize=10, style="italic")
    for key, node in nodes.items():
        x, y = where[key]
        half, high = _extent(node)
        small = node.kind == "join" and len(node.lines[0]) == 1
        axis.add_patch(
            FancyBboxPatch(
                (x - half, y - high),
                2 * half,
                2 * high,
                boxstyle=f"round,pad=0,rounding_size={0.16 if node.kind == 'join' else 0.05}",
                facecolor=FILLS.get(node.kind, "#ffffff"),
                edgecolor=EDGE,
                zorder=3,
            )
        )
        lines = node.lines[:1] if small else node.lines
        text = (", " if node.kind == "join" else "\n").join(lines)
        size = 11 if small else 9
        axis.text(x, y, text, ha="center", va="center", fontsize=size, linespacing=1.1, zorder=4)
        if small and node.lines[1:]:
            note = ", ".join(node.lines[1:])
            axis.text(x - 0.26, y, note, ha="right", va="center", fontsize=9)
    axis.set(**limits)
    axis.set_title(title, fontsize=11, loc="left")
    text = _words(nodes, source, result, title)
    axis.set_gid(text)
    return style.set_alt(figure, text)


def _extent(node: _Node) -> tuple[float, float]:
    """Return half the width and half the height of a box."""
    if node.kind == "join":
        return (0.18 if len(node.lines[0]) == 1 else HALF), 0.18
    return HALF, 0.36 if len(node.lines) < 3 else 0.42


def _place(nodes: dict[str, _Node]) -> None:
    """Give each box its row: after all of its inputs; and its column: 0 on the longest way."""
    for node in nodes.values():
        node.row = 1 + max((nodes[key].row for key in node.inputs if key != "input"), default=0)
    key = list(nodes)[-1]
    main = [key]
    while True:
        formers = [each for each in nodes[key].inputs if each != "input"]
        if not formers:
            break
        key = max(formers, key=lambda each: nodes[each].row)
        main.append(key)
    for key, node in nodes.items():
        node.column = 0 if key in main else 1
    for key, node in nodes.items():  # in the middle of what it is beside
        if key not in main:
            user = min(n.row for n in nodes.values() if key in n.inputs)
            start = max((nodes[k].row for k in node.inputs if k != "input"), default=0)
            node.row = max(start + 1, (start + user + 1) // 2)


def _edge(
    axis: Axes,
    nodes: Mapping[str, _Node],
    where: Mapping[str, tuple[float, float]],
    former: str,
    key: str,
) -> None:
    """Draw the line from a box, or the block's input, to a box that takes what it returns."""
    (x, y), (end, target) = where[former], where[key]
    half, high = _extent(nodes[key])
    column, row = (nodes[former].column, nodes[former].row) if former in nodes else (0, 0)
    branch = -row - 0.5  # between two rows: where a line leaves the main column
    if column == nodes[key].column and nodes[key].row - row == 1:
        _arrow(axis, (x, y), (end, target + high))
    elif column == nodes[key].column:  # past the boxes between, on the right
        _line(axis, [x, DETOUR, DETOUR], [branch, branch, target])
        _arrow(axis, (DETOUR, target), (end + half, target))
    elif nodes[key].column:  # out to the column beside
        _line(axis, [x, end, end], [branch, branch, target + 0.5])
        _arrow(axis, (end, target + 0.5), (end, target + high))
    else:  # back from there
        _line(axis, [x, x], [y, target])
        _arrow(axis, (x, target), (end + half, target))


def _line(axis: Axes, x: Sequence[float], y: Sequence[float]) -> None:
    axis.plot(x, y, color=EDGE, linewidth=1.2, marker="", zorder=1)


def _arrow(axis: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
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


def _words(nodes: Mapping[str, _Node], source: str, result: str, title: str) -> str:
    numbers = {key: i for i, key in enumerate(nodes, 1)}
    parts = []
    for key, node in nodes.items():
        origin = " and ".join(
            "the block's input" if former == "input" else f"box {numbers[former]}"
            for former in node.inputs
        )
        first = {"+": "sum", "×": "product"}.get(node.lines[0], node.lines[0])
        words = ", ".join([first, *node.lines[1:]])
        parts.append(f"({numbers[key]}) {words}, from {origin}")
    return f"{title}, from {source} to {result}: " + "; ".join(parts) + "."
