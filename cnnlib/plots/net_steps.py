"""What of a Keras net is drawn: a step for each layer, or for each stage where there are many.

Activations, batch norm and padding have no picture of their own; the words under one name them.
"""

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cnnlib.errors import InputError

if TYPE_CHECKING:
    import keras

MOST_LAYERS = 11  # a net of more layers is drawn by stages

AUTOMATIC = re.compile(
    r"(input|conv2d|dense|flatten|(max|average|global_average)_pooling2d|sequential|functional)"
    r"(_layer)?(_\d+)?$"
)
PLACE = re.compile(r"((?:stage|transition)\d+)(?:_(block\d+))?_")


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
    joins = [layer for layer in flat if has_several_inputs(layer)]
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


def kind_of(layer: Any) -> str:
    kinds = [each.__name__ for each in type(layer).__mro__]
    if "Conv2D" in kinds or "DepthwiseConv2D" in kinds or "TableConvolution" in kinds:
        return "convolution"
    if any("Pooling2D" in kind or "Subsampling" in kind for kind in kinds):
        return "pooling"
    if "Dense" in kinds or "RBFOutput" in kinds:
        return "units"
    return ""


def has_several_inputs(layer: Any) -> bool:
    return isinstance(layer.input, (list, tuple)) and len(layer.input) > 1


def _step(layer: Any) -> Step | None:
    """Return a layer as a step, None for what is not drawn: activations, batch norm, padding."""
    kind = kind_of(layer)
    if not kind:
        return None
    shape = tuple(int(side) for side in layer.output.shape[1:])
    step = Step(
        kind,
        "" if AUTOMATIC.match(layer.name) else _readable(layer.name),
        shape,
        operation_of(layer, kind),
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


def operation_of(layer: Any, kind: str) -> str:
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


def activation_of(layer: Any) -> str:
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
        activation = activation_of(layer)
        if steps and activation:
            steps[-1].operation += f"\n{activation.replace('_', ' ')}"
    return steps


def _stages(flat: Sequence[Any]) -> list[Step]:
    """Return one step for each stage: by its name, else a run of maps of one size and number."""
    groups: list[tuple[str, list[Any]]] = []
    for layer in flat:
        kind, place = kind_of(layer), PLACE.match(layer.name)
        if place:
            key = place[1]
        elif kind == "units" or (kind == "pooling" and len(layer.output.shape) == 2):
            key = layer.name
        elif kind == "pooling":  # it leads to the next stage
            key = f"after {layer.name}"
        elif groups and not groups[-1][0].startswith(("stage", "transition")):
            last = next((each for each in groups[-1][1][::-1] if kind_of(each)), None)
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
    return kind_of(last) == "convolution" and last.output.shape[1:] != layer.output.shape[1:]


def _stage(key: str, layers: Sequence[Any]) -> Step | None:
    drawn = [layer for layer in layers if kind_of(layer)]
    if not drawn:
        return None
    last = next(
        (layer for layer in reversed(layers) if kind_of(layer) or has_several_inputs(layer)),
        drawn[-1],
    )
    shape = tuple(int(side) for side in last.output.shape[1:])
    parameters = sum(map(_parameters, layers))
    convolutions = [
        layer for layer in drawn if kind_of(layer) == "convolution" and "shortcut" not in layer.name
    ]
    name = re.sub(r"(\d)$", r" \1", key) if re.match(r"(stage|transition)\d", key) else ""
    if not convolutions:
        step = _step(drawn[-1])
        assert step is not None
        if activation_of(drawn[-1]):
            step.operation += f"\n{activation_of(drawn[-1])}"
        step.parameters = parameters
        return step
    named = [layer.name for layer in convolutions if not AUTOMATIC.match(layer.name)]
    if not name and named:
        name = "–".join(dict.fromkeys((named[0], named[-1])))
    blocks = list(dict.fromkeys(place[2] for layer in layers if (place := PLACE.match(layer.name))))
    pooling = [
        layer for layer in drawn if kind_of(layer) == "pooling" and "squeeze" not in layer.name
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
        joins = sum(has_several_inputs(layer) for layer in layers)
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


def title_of(model: Any) -> str:
    """Return the name of a net as the literature writes it, where it is a net of the course."""
    name = str(model.name)
    from cnnlib import registry

    for known in registry.names():
        if known.replace("/", "-") == name:
            return registry.net(known).about.split(", ")[0]
    return "Net" if AUTOMATIC.match(name) else name
