"""Draw what a block of a net consists of: its layers as boxes, and the lines between them."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from cnnlib.errors import InputError
from cnnlib.plots import style
from cnnlib.plots.architecture import EDGE, FILLS, arrow
from cnnlib.plots.net_steps import PLACE, activation_of, kind_of, operation_of, title_of

if TYPE_CHECKING:
    import keras

HALF = 1.15  # of a box's width; one row of a block is one unit high
BESIDE = 2.95  # from the main column to the one beside it
ROW_INCHES = 0.8  # the height of a row
DETOUR = 1.4  # where a line goes past the boxes between its ends


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
            if (place := PLACE.match(layer.name))
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
    title = f"{title_of(model)}: {name.replace('_', ', ').replace('stage', 'stage ')}"
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
    kind = kind_of(layer)
    if kind == "convolution":
        first, *more = operation_of(layer, kind).replace("\nconvolution", "").split("\n")
        groups = [part for part in more if not part.startswith("stride")]
        stride = [part for part in more if part.startswith("stride")]
        lines = [", ".join([first, f"{layer.filters} maps", *stride]), *groups]
        return kind, "\n".join(lines)
    if kind == "pooling":
        return "pooling", operation_of(layer, kind).replace("\n", " ")
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
    activation = activation_of(layer)
    return ("after", activation) if activation else ("", "")


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
    arrow(axis, where[last], (0, lowest + 0.16))
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
        arrow(axis, (x, y), (end, target + high))
    elif column == nodes[key].column:  # past the boxes between, on the right
        _line(axis, [x, DETOUR, DETOUR], [branch, branch, target])
        arrow(axis, (DETOUR, target), (end + half, target))
    elif nodes[key].column:  # out to the column beside
        _line(axis, [x, end, end], [branch, branch, target + 0.5])
        arrow(axis, (end, target + 0.5), (end, target + high))
    else:  # back from there
        _line(axis, [x, x], [y, target])
        arrow(axis, (x, target), (end + half, target))


def _line(axis: Axes, x: Sequence[float], y: Sequence[float]) -> None:
    axis.plot(x, y, color=EDGE, linewidth=1.2, marker="", zorder=1)


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
