"""Show a net as a table: layers, parameters, connections; and count its multiply-adds.

All numbers are counted from the built model.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import pandas as pd
from keras import layers

from cnnlib.errors import InputError
from cnnlib.models.cifar10 import DualPath, GroupedConv2D, Whitening
from cnnlib.models.layers import RBFOutput, TableConvolution, TrainableSubsampling

# What the table calls a layer, a subclass after its parent.
_TYPES = {
    layers.InputLayer: "Image",
    layers.Conv2D: "Convolution",
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
_CONVOLUTIONS = (layers.Conv2D, TableConvolution)
_POOLING = (layers.AveragePooling2D, layers.MaxPooling2D, TrainableSubsampling)
_GLOBAL_POOLING = (
    layers.AdaptiveAveragePooling2D,
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling2D,
)
# The published activation of the output, by its type: only LeNet-1's is a convolution.
_OUTPUTS = {"FC": "softmax", "RBF": "RBF", "Convolution": "sigmoid"}


def layer_table(model: keras.Model) -> pd.DataFrame:
    """Return the net as the lecture prints it: one row for each layer of the paper.

    The first row is the input, the last the totals. A layer and the activation after it are one
    row. The activation of the output is the published one, though the net returns logits: sigmoid
    for LeNet-1, as the lecture prints it, RBF for RBF units, else softmax. A connection is one use
    of a weight or a bias, as the paper counts; pooling has no weights, and its four inputs count as
    four connections.

    Args:
        model: a net of this package that takes images of one size.

    Returns:
        pandas.DataFrame, indexed by the names of the layers (C1, S2, ...; the last row is "Total"),
        with the columns Layer, Type, Feature maps, Size, Kernel, Stride and Activation as text ("-"
        where there is none), and Parameters (those that are trained) and Connections as whole
        numbers.

    Raises:
        InputError: for a layer of another kind, such as a net of a boosted one.
    """
    rows: list[dict[str, Any]] = []
    for layer in model.layers:
        if isinstance(layer, layers.ReLU):
            rows[-1]["Activation"] = "relu"
        elif isinstance(layer, layers.Activation):
            rows[-1]["Activation"] = layer.activation.__name__
        elif not isinstance(layer, _NO_ROW):
            rows.append(_row(layer, number=len(rows)))
    if rows[-1]["Type"] in _OUTPUTS:
        rows[-1] |= {"Layer": "Output", "Activation": _OUTPUTS[rows[-1]["Type"]]}
    table = pd.DataFrame(rows).set_index("name").rename_axis(None)
    counts = ["Parameters", "Connections"]
    table.loc["Total"] = {
        column: table[column].sum() if column in counts else "" for column in table
    }
    return table.astype(dict.fromkeys(counts, "int64"))


def multiply_adds(model: keras.Model) -> int:
    """Count the products that one image costs.

    There is one for each use of a weight (none for a bias), and one for each squared difference of
    RBF units; the lecture's LeNet-5 has 416,520. The numbers of the paper's figure 11 are rather
    connections, biases included: it prints 795 thousand for 784-1000-10, which has 794,000 products
    and 795,010 connections. Pooling, batch norm and activations are not counted.

    Raises:
        InputError: for a layer with weights of a kind that no net of this package has.
    """
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.Model):  # one of a boosted net's three
            total += multiply_adds(layer)
        elif isinstance(layer, (*_CONVOLUTIONS, layers.Dense)):
            total += math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:-1])
        elif isinstance(layer, TrainableSubsampling):
            total += math.prod(layer.output.shape[1:])
        elif isinstance(layer, RBFOutput):
            total += _connections(layer)
        elif layer.weights and not isinstance(layer, layers.BatchNormalization):
            raise _unknown(layer)
    return total


def _row(layer: layers.Layer, number: int) -> dict[str, Any]:
    types = [name for kind, name in _TYPES.items() if isinstance(layer, kind)]
    if not types:
        raise _unknown(layer)
    *sides, maps = layer.output.shape[1:]
    row: dict[str, Any] = {
        "name": layer.name,
        "Layer": str(number),
        "Type": types[-1],
        "Feature maps": str(maps) if sides else "-",
        "Size": "x".join(map(str, sides)) if sides else str(maps),
        "Kernel": "-",
        "Stride": "-",
        "Activation": "-",
        "Parameters": _trained(layer),
        "Connections": _connections(layer),
    }
    if isinstance(layer, layers.InputLayer):
        row |= {"name": "Input", "Layer": "Input"}
    elif isinstance(layer, _CONVOLUTIONS):
        stride = layer.strides[0] if isinstance(layer, layers.Conv2D) else 1
        kernel = "x".join(str(n) for n in layer.kernel.shape[:2])
        row |= {"Kernel": kernel, "Stride": str(stride)}
    elif isinstance(layer, _POOLING):
        row |= {"Kernel": "2x2", "Stride": "2"}
    return row


def _trained(layer: layers.Layer) -> int:
    return sum(math.prod(weight.shape) for weight in layer.trainable_weights)


def _connections(layer: layers.Layer) -> int:
    """Count the uses of weights and biases, or of inputs where a layer has no weights."""
    outputs, positions = math.prod(layer.output.shape[1:]), math.prod(layer.output.shape[1:-1])
    if isinstance(layer, TrainableSubsampling):
        return outputs * 5  # four pixels and a bias
    if isinstance(layer, _POOLING):
        return outputs * 4
    if isinstance(layer, _GLOBAL_POOLING):
        return math.prod(layer.input.shape[1:])
    if isinstance(layer, RBFOutput):
        return outputs * layer.input.shape[1]
    if isinstance(layer, layers.BatchNormalization):
        return _trained(layer) * positions
    return layer.count_params() * positions  # none of a layer without weights


def _unknown(layer: layers.Layer) -> InputError:
    return InputError(
        f"cannot count the layer {layer.name} ({type(layer).__name__}). Known: "
        f"{', '.join(kind.__name__ for kind in _TYPES)}"
    )
