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
_CONVOLUTIONS = (layers.Conv2D, TableConvolution)
_POOLING = (layers.AveragePooling2D, layers.MaxPooling2D, TrainableSubsampling)
# The published activation of the output, by its type: only LeNet-1's is a convolution.
_OUTPUTS = {"FC": "softmax", "RBF": "RBF", "Convolution": "sigmoid"}


def layer_table(model: keras.Model) -> pd.DataFrame:
    """Return the net as the lecture prints it: one row for each layer of the paper.

    The first row is the input, the last the totals. A layer and the activation after it are one
    row. The activation of the output is the published one, though the net returns logits: sigmoid
    for LeNet-1, as the lecture prints it, RBF for RBF units, none for the linear classifier, else
    softmax. A connection is one use of a weight or a bias, as the paper counts; pooling has no
    weights, and its four inputs count as four connections.

    Returns:
        pandas.DataFrame, indexed by the names of the layers (C1, S2, ..., "Total"), with the
        columns Layer, Type, Feature maps, Size, Kernel, Stride and Activation as text ("-" where
        there is none), and Parameters (those that are trained) and Connections as whole numbers.
    """
    rows: list[dict[str, Any]] = []
    for layer in model.layers:
        if isinstance(layer, layers.ReLU):
            rows[-1]["Activation"] = "relu"
        elif isinstance(layer, layers.Activation):
            rows[-1]["Activation"] = layer.activation.__name__
        elif types := [name for kind, name in _TYPES.items() if isinstance(layer, kind)]:
            rows.append(_row(layer, types[-1], number=len(rows)))
        elif layer.weights:
            raise _unknown(layer)
    if rows[-1]["Type"] in _OUTPUTS:
        activation = "-" if len(rows) == 2 else _OUTPUTS[rows[-1]["Type"]]
        rows[-1] |= {"Layer": "Output", "Activation": activation}
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


def _unknown(layer: layers.Layer) -> InputError:
    return InputError(f"cannot count the layer {layer.name} ({type(layer).__name__})")


def trainable_parameters(model: layers.Layer) -> int:
    """Return the number of weights of a net, or of a layer, that training changes."""
    return sum(math.prod(weight.shape) for weight in model.trainable_variables)


def _row(layer: layers.Layer, kind: str, number: int) -> dict[str, Any]:
    *sides, maps = layer.output.shape[1:]
    row: dict[str, Any] = {
        "name": layer.name,
        "Layer": str(number),
        "Type": kind,
        "Feature maps": str(maps) if sides else "-",
        "Size": "x".join(map(str, sides)) if sides else str(maps),
        "Kernel": "-",
        "Stride": "-",
        "Activation": "-",
        "Parameters": trainable_parameters(layer),
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


def _connections(layer: layers.Layer) -> int:
    """Count the uses of weights and biases, or of inputs where pooling has no weights."""
    outputs, positions = math.prod(layer.output.shape[1:]), math.prod(layer.output.shape[1:-1])
    if isinstance(layer, _POOLING):
        return outputs * (4 + isinstance(layer, TrainableSubsampling))  # four pixels, and a bias
    if "Pooling" in type(layer).__name__:  # of whole maps, or of parts without overlap
        return math.prod(layer.input.shape[1:])
    if isinstance(layer, RBFOutput):
        return outputs * layer.input.shape[1]
    if isinstance(layer, layers.BatchNormalization):
        return trainable_parameters(layer) * positions
    return layer.count_params() * positions  # none of a layer without weights
