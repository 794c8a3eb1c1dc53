"""Show a net as a table or as text: layers, parameters, connections, multiply-adds.

All numbers are counted from the built model.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import keras
import pandas as pd
from keras import layers

from cnnlib.errors import InputError
from cnnlib.models.cifar10.dpn import DualPath
from cnnlib.models.cifar10.fast import Whitening
from cnnlib.models.cifar10.parts import GroupedConv2D
from cnnlib.models.layers import RBFOutput, TableConvolution, TrainableSubsampling
from cnnlib.models.winograd import FastConv2D
from cnnlib.validation import InstanceOf, validated

_CONVOLUTIONS = (layers.Conv2D, TableConvolution)
_POOLING = (layers.AveragePooling2D, layers.MaxPooling2D, TrainableSubsampling)
_GLOBAL_POOLING = (
    layers.AdaptiveAveragePooling2D,
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling2D,
)
_JOINS = (layers.Add, layers.Multiply, layers.Concatenate, DualPath)
_TYPES = {
    layers.Conv2D: "Convolution",
    FastConv2D: "Convolution",
    GroupedConv2D: "Convolution (groups)",
    Whitening: "Convolution (whitening)",
    TableConvolution: "Convolution (table)",
    layers.AveragePooling2D: "Average Pooling",
    layers.MaxPooling2D: "Max Pooling",
    layers.AdaptiveAveragePooling2D: "Average Pooling",
    layers.GlobalAveragePooling2D: "Global Average Pooling",
    layers.GlobalMaxPooling2D: "Global Max Pooling",
    TrainableSubsampling: "Subsampling",
    layers.BatchNormalization: "Batch Norm",
    layers.Add: "Sum",
    layers.Multiply: "Product",
    layers.Concatenate: "Concatenation",
    DualPath: "Sum and Concatenation",
    layers.Dense: "FC",
    RBFOutput: "RBF",
}
# They are no layer of the table: they change no number, or belong to the layer after them.
_NO_ROW = (
    *(layers.Flatten, layers.Dropout, layers.Identity, layers.ZeroPadding2D),
    *(layers.Rescaling, layers.Softmax),
)
# They have no weights, or use each of them in a sum and a product of its own, as batch norm does:
# by custom these are not counted as multiply-adds.
_NOT_COUNTED = (
    *(layers.InputLayer, layers.Activation, layers.ReLU, layers.BatchNormalization),
    *(layers.Average, *_NO_ROW, *_JOINS, *_GLOBAL_POOLING),
    *(layers.AveragePooling2D, layers.MaxPooling2D),
)
MOST_LAYERS_IN_WORDS = 16  # `describe` sums up a net of more
_SHORTCUTS = ("Sum", "Concatenation", "Sum and Concatenation")


@validated
def layer_table(model: InstanceOf[keras.Model]) -> pd.DataFrame:
    """Return the net as the lecture prints it: one row for each layer of the paper.

    The first row is the input, the last the totals. A layer and the activation after it are one
    row. The activation of the output is the published one, though the net returns logits: sigmoid
    for LeNet-1, as the lecture prints it, RBF for RBF units, else softmax. A connection is one use
    of a weight or a bias, as the paper counts; pooling has no weights, and its four inputs count as
    four connections.

    Args:
        model: a net of this package.

    Returns:
        pandas.DataFrame, indexed by the names of the layers (C1, S2, ...; the last row is "Total"),
        with the columns Layer, Type, Feature maps, Size, Kernel, Stride and Activation as text ("-"
        where there is none), and Parameters (those that are trained) and Connections as whole
        numbers.

    Raises:
        InputError: for a layer of another kind.
    """
    _check_sizes(model)
    rows: list[dict[str, Any]] = []
    for layer in model.layers:
        if isinstance(layer, (layers.Activation, layers.ReLU)):
            is_relu = isinstance(layer, layers.ReLU)
            rows[-1]["Activation"] = "relu" if is_relu else layer.activation.__name__
        elif not isinstance(layer, _NO_ROW):
            rows.append(_row(layer, number=len(rows)))
    if _output(model) is not None:
        rows[-1].update(Layer="Output", Activation=_published_activation(model))
    table = pd.DataFrame(rows).set_index("name").rename_axis(None)
    counts = ["Parameters", "Connections"]
    table.loc["Total"] = {
        column: table[column].sum() if column in counts else "" for column in table
    }
    return table.astype(dict.fromkeys(counts, "int64"))


@validated
def multiply_adds(model: InstanceOf[keras.Model]) -> int:
    """Count the products that one image costs.

    There is one for each use of a weight (none for a bias), and one for each squared difference of
    RBF units; the lecture's LeNet-5 has 416,520. The numbers of the paper's figure 11 are rather
    connections, biases included: it prints 795 thousand for 784-1000-10, which has 794,000 products
    and 795,010 connections. Pooling, batch norm and activations are not counted.

    Raises:
        InputError: for a layer of a kind that no net of this package has.
    """
    _check_sizes(model)
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.Model):  # a member of a committee
            total += multiply_adds(layer)
        elif isinstance(layer, (*_CONVOLUTIONS, layers.Dense)):
            total += math.prod(layer.kernel.shape) * _positions(layer)
        elif isinstance(layer, TrainableSubsampling):
            total += math.prod(layer.output.shape[1:])
        elif isinstance(layer, RBFOutput):
            total += layer.classes * layer.input.shape[1]
        elif not isinstance(layer, _NOT_COUNTED):
            raise _unknown(layer)
    return total


@validated
def describe(model: InstanceOf[keras.Model]) -> str:
    """Return a net in words, made from its layer table: the alternative text of its drawing.

    A net of many layers is summed up by the size of its maps.

    Args:
        model: a net of this package.

    Raises:
        InputError: for a layer of another kind.
    """
    members = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    if members:
        return (
            f"{model.name}: {len(members)} nets that take the same image and vote, each like this. "
            f"{describe(members[0])}"
        )
    table = layer_table(model)
    rows = [row | {"name": name} for name, row in table.to_dict("index").items()]
    image, total = rows[0], rows[-1]["Parameters"]
    channels = {"1": ", one channel", "-": ""}.get(
        image["Feature maps"], f", {image['Feature maps']} channels"
    )
    parts = [f"{model.name}: an image of {image['Size']} pixels{channels}"]
    inner, last = rows[1:-2], rows[-2]
    if len(rows) <= MOST_LAYERS_IN_WORDS:
        parts += [_sentence(row) for row in inner]
    else:
        parts += _summary(inner)
    parts.append(_sentence(last))
    return f"{'; '.join(parts)}. {total:,} parameters."


def _sentence(row: dict[str, Any]) -> str:
    """Return a row of the layer table in words: "C1, 5x5 convolution to 6 maps of 28x28, tanh"."""
    if row["Type"] == "FC":
        what = f"fully connected, {row['Size']} units"
    elif row["Type"] == "RBF":
        return f"{row['name']}, {row['Size']} RBF units"
    else:
        kernel = "" if row["Kernel"] == "-" else f"{row['Kernel']} "
        what = f"{kernel}{row['Type'].lower()} to {_maps(row)}"
    return f"{row['name']}, {what}" + (f", {row['Activation']}" if row["Activation"] != "-" else "")


def _maps(row: dict[str, Any]) -> str:
    if row["Feature maps"] == "-":
        return f"{row['Size']} numbers"
    return (
        f"{row['Feature maps']} {'map' if row['Feature maps'] == '1' else 'maps'} of {row['Size']}"
    )


def _summary(rows: list[dict[str, Any]]) -> list[str]:
    """Return many rows of the layer table in words, one text for each size of maps."""
    large = [i for i, row in enumerate(rows) if "x" in row["Size"] and row["Size"] != "1x1"]
    # Means of maps that are multiplied with them again (squeeze and excitation) are left out.
    rows = [row for i, row in enumerate(rows) if row["Size"] != "1x1" or i > large[-1]]
    texts = []
    for size, group in itertools.groupby(rows, key=lambda row: row["Size"]):
        layers_of_size = list(group)
        kinds = [row["Type"] for row in layers_of_size]
        convolutions = sum(kind.startswith("Convolution") for kind in kinds)
        if convolutions:
            widest = max(int(row["Feature maps"]) for row in layers_of_size)
            plural = "convolution" if convolutions == 1 else "convolutions"
            shortcuts = ", with shortcuts" if {*_SHORTCUTS} & {*kinds} else ""
            texts.append(f"{convolutions} {plural} to {widest} maps of {size}{shortcuts}")
        elif kinds == ["FC"]:
            texts.append(f"1 fully connected layer of {size} units")
        elif "FC" in kinds:
            texts.append(f"{kinds.count('FC')} fully connected layers of {size} units")
        elif "Pooling" in kinds[-1]:
            texts.append(f"{kinds[-1].lower()} to {_maps(layers_of_size[-1])}")
    return texts


def _row(layer: layers.Layer, number: int) -> dict[str, Any]:
    shape = layer.output.shape[1:]
    row: dict[str, Any] = {
        "name": layer.name,
        "Layer": str(number),
        "Type": "Image",
        "Feature maps": "-",
        "Size": str(shape[0]),
        "Kernel": "-",
        "Stride": "-",
        "Activation": "-",
        "Parameters": _parameters(layer),
        "Connections": 0,
    }
    if len(shape) == 3:
        row |= {"Feature maps": str(shape[2]), "Size": f"{shape[0]}x{shape[1]}"}
    if isinstance(layer, layers.InputLayer):
        return row | {"name": "Input", "Layer": "Input"}
    row["Type"] = next((text for kind, text in _TYPES.items() if type(layer) is kind), None)
    if row["Type"] is None:  # a subclass of one of them
        kinds = [kind for kind in _TYPES if isinstance(layer, kind)]
        if not kinds:
            raise _unknown(layer)
        row["Type"] = _TYPES[kinds[-1]]
    if isinstance(layer, _GLOBAL_POOLING):
        return row | {"Connections": math.prod(layer.input.shape[1:])}
    if isinstance(layer, _JOINS):
        return row
    if isinstance(layer, _POOLING):
        # four pixels, and a bias if there is one
        inputs = 5 if isinstance(layer, TrainableSubsampling) else 4
        return row | {"Kernel": "2x2", "Stride": "2", "Connections": math.prod(shape) * inputs}
    if isinstance(layer, _CONVOLUTIONS):
        stride = layer.strides[0] if isinstance(layer, layers.Conv2D) else 1
        kernel = "x".join(str(n) for n in layer.kernel.shape[:2])
        row |= {"Kernel": kernel, "Stride": str(stride)}
    if isinstance(layer, RBFOutput):
        return row | {"Connections": layer.classes * layer.input.shape[1]}
    weights = layer.count_params() if isinstance(layer, Whitening) else row["Parameters"]
    return row | {"Connections": weights * _positions(layer)}


def _parameters(layer: layers.Layer) -> int:
    """Count the parameters that training changes, whether or not the layer is frozen now."""
    if isinstance(layer, layers.BatchNormalization):
        return (layer.center + layer.scale) * math.prod(layer.moving_mean.shape)
    if isinstance(layer, Whitening):
        return math.prod(layer.bias.shape) if layer.use_bias else 0
    return layer.count_params()


def _positions(layer: layers.Layer) -> int:
    """Return how often a layer uses each of its weights: once for each position of a map."""
    return math.prod(layer.output.shape[1:-1])


def _output(model: keras.Model) -> layers.Layer | None:
    """Return the last layer with a row, unless it is a pooling: a base without its head."""
    last = [layer for layer in model.layers if not isinstance(layer, _NO_ROW)][-1]
    return None if isinstance(last, (*_POOLING, *_GLOBAL_POOLING)) else last


def _published_activation(model: keras.Model) -> str:
    output = _output(model)
    if isinstance(output, RBFOutput):
        return "RBF"
    # LeNet-1 is the only net whose output is a convolution.
    return "sigmoid" if isinstance(output, layers.Conv2D) else "softmax"


def _check_sizes(model: keras.Model) -> None:
    """Raise InputError for a net that takes images of any size: its layers have no sizes."""
    if not isinstance(model.input_shape, tuple) or None in model.input_shape[1:]:
        raise InputError(
            f"{model.name} has no single input of known size, so its layers cannot be counted: "
            f"build it for images of one size. Its input shape is {model.input_shape}"
        )


def _unknown(layer: layers.Layer) -> InputError:
    if isinstance(layer, keras.Model):
        return InputError(
            f"{layer.name} is a net inside the net: give one member at a time, which "
            "models.members(model) returns"
        )
    known = ", ".join(kind.__name__ for kind in _TYPES)
    return InputError(
        f"cannot count the layer {layer.name} ({type(layer).__name__}). Known: {known}"
    )
