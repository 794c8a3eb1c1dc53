"""A net as a table: layers, parameters, connections, multiply-adds, counted from the built model."""

import math

import keras
import pandas as pd
from keras import layers

from cnnlib.errors import InputError
from cnnlib.models.cifar10.dpn import DualPath
from cnnlib.models.layers import RBFOutput, TableConvolution, TrainableSubsampling
from cnnlib.models.winograd import FastConv2D

_TYPES = {
    layers.Conv2D: "Convolution",
    FastConv2D: "Convolution",
    TableConvolution: "Convolution (table)",
    layers.AveragePooling2D: "Average Pooling",
    layers.MaxPooling2D: "Max Pooling",
    layers.AdaptiveAveragePooling2D: "Average Pooling",
    TrainableSubsampling: "Subsampling",
    layers.Dense: "FC",
    RBFOutput: "RBF",
}
# What has no weights, or uses each of its weights in a sum and a product of its own, as batch norm does: by custom not counted.
_NOT_COUNTED = (
    *(
        layers.InputLayer,
        layers.Activation,
        layers.ReLU,
        layers.Identity,
        layers.Flatten,
        layers.ZeroPadding2D,
        layers.Rescaling,
    ),
    *(
        layers.AveragePooling2D,
        layers.MaxPooling2D,
        layers.GlobalAveragePooling2D,
        layers.GlobalMaxPooling2D,
    ),
    *(layers.AdaptiveAveragePooling2D, layers.BatchNormalization, layers.Dropout),
    *(layers.Add, layers.Average, layers.Multiply, layers.Concatenate, layers.Softmax, DualPath),
)


def layer_table(model):
    """The net as the lecture prints it: one row for each layer of the paper, with the input above and the totals below.

    Args:
        model: a net of this package.

    Returns:
        pandas.DataFrame, indexed by the layers' names (C1, S2, ...; the last row is "Total"), with the columns Layer, Type, Feature maps,
        Size, Kernel, Stride and Activation as text ("-" where there is none), and Parameters and Connections as whole numbers.

    A layer and the activation after it are one row. The output's activation is the published one, though the net gives logits: sigmoid for
    LeNet-1, as the lecture prints it, RBF for RBF units, else softmax. A connection is one use of a weight or a bias, as the paper counts;
    pooling has no weights, and its four inputs count as four connections.

    Raises InputError for a layer of another kind.
    """
    rows = []
    for layer in model.layers:
        if isinstance(layer, layers.Activation):
            rows[-1]["Activation"] = layer.activation.__name__
        elif not isinstance(layer, (layers.Flatten, layers.Dropout)):
            rows.append(_row(layer, number=len(rows)))
    if not isinstance(
        model.layers[-1], layers.MaxPooling2D
    ):  # VGG16 without its top has no output layer
        rows[-1].update(Layer="Output", Activation=_published_output(model))
    table = pd.DataFrame(rows).set_index("name").rename_axis(None)
    counts = ["Parameters", "Connections"]
    table.loc["Total"] = {
        column: table[column].sum() if column in counts else "" for column in table
    }
    return table.astype(dict.fromkeys(counts, "int64"))


def multiply_adds(model):
    """Products that one image costs, as int: one for each use of a weight (none for a bias), one for each squared difference of RBF units.

    416,520 for the lecture's LeNet-5. The numbers of the paper's figure 11 are rather connections, biases included: it prints 795 thousand
    for 784-1000-10, which has 794,000 products and 795,010 connections. Pooling, batch norm and activations are not counted.

    Raises InputError for a layer of a kind that no net of this package has.
    """
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.Model):  # a member of a committee
            total += multiply_adds(layer)
        elif isinstance(layer, (layers.Conv2D, TableConvolution, layers.Dense)):
            total += math.prod(layer.kernel.shape) * _positions(layer)
        elif isinstance(layer, TrainableSubsampling):
            total += math.prod(layer.output.shape[1:])
        elif isinstance(layer, RBFOutput):
            total += layer.classes * layer.input.shape[1]
        elif not isinstance(layer, _NOT_COUNTED):
            raise _unknown(layer)
    return total


def _row(layer, number):
    shape = layer.output.shape[1:]
    row = {
        "name": layer.name,
        "Layer": str(number),
        "Type": "Image",
        "Feature maps": "-",
        "Size": str(shape[0]),
    }
    row |= {
        "Kernel": "-",
        "Stride": "-",
        "Activation": "-",
        "Parameters": layer.count_params(),
        "Connections": 0,
    }
    if len(shape) == 3:
        row |= {"Feature maps": str(shape[2]), "Size": f"{shape[0]}x{shape[1]}"}
    if isinstance(layer, layers.InputLayer):
        return row | {"name": "Input", "Layer": "Input"}
    if type(layer) not in _TYPES:
        raise _unknown(layer)
    row["Type"] = _TYPES[type(layer)]
    if isinstance(layer, layers.AdaptiveAveragePooling2D):
        return row | {"Connections": math.prod(layer.input.shape[1:])}
    if isinstance(layer, (layers.AveragePooling2D, layers.MaxPooling2D, TrainableSubsampling)):
        inputs = (
            5 if isinstance(layer, TrainableSubsampling) else 4
        )  # four pixels, and a bias if there is one
        return row | {"Kernel": "2x2", "Stride": "2", "Connections": math.prod(shape) * inputs}
    if isinstance(layer, (layers.Conv2D, TableConvolution)):
        row |= {"Kernel": "x".join(str(n) for n in layer.kernel.shape[:2]), "Stride": "1"}
    if isinstance(layer, RBFOutput):
        return row | {"Connections": layer.classes * layer.input.shape[1]}
    return row | {"Connections": layer.count_params() * _positions(layer)}


def _positions(layer):
    """How often a layer uses each of its weights: once for each place of a map, once in a fully connected layer."""
    return math.prod(layer.output.shape[1:-1])


def _published_output(model):
    if any(isinstance(layer, RBFOutput) for layer in model.layers):
        return "RBF"
    return "sigmoid" if model.name.startswith("lenet-1") else "softmax"


def _unknown(layer):
    return InputError(
        f"cannot count the layer {layer.name} ({type(layer).__name__}). Known: {', '.join(kind.__name__ for kind in _TYPES)}"
    )
