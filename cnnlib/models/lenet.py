"""LeNet-1, LeNet-4 and LeNet-5.

By default each net is the lecture's version: every map sees every map of the layer below, pooling
is the plain average, and tanh follows the convolutions and the pooling. Where the paper differs,
its choice is a value of a keyword, the same in all three:

    connections: "full", or "paper": C3 by the paper's table.
    subsampling: "average", "trainable" (a coefficient and a bias for each map) or "maximum".
    activation: "tanh", "scaled_tanh" (1.7159 tanh(2x/3)) or "relu".
    initializer: "glorot_uniform", or "lecun_1998": uniform in ±2.4/fan_in.

The others are input_shape, (height, width, channels) of the images; classes, their number; and the
name of the model. Each function returns a keras.Model, images float32 (n, height, width, channels)
-> logits (n, classes).

Papers: LeCun et al. 1990, "Handwritten Digit Recognition with a Back-Propagation Network" (NIPS
1989), for LeNet-1; LeCun, Bottou, Bengio & Haffner 1998, "Gradient-Based Learning Applied to
Document Recognition", for all three.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import keras
from keras import KerasTensor, layers

from cnnlib.models.layers import (
    ACTIVATIONS,
    LeCun1998,
    RBFOutput,
    TableConvolution,
    TrainableSubsampling,
)

# The input maps of each map of C3, counted from 0.
LENET1_TABLE = [[0], [0, 1], [0, 1], [1], [0, 1], [0, 1], [2], [2, 3], [2, 3], [3], [2, 3], [2, 3]]
LENET5_TABLE = [
    *([0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5], [0, 4, 5], [0, 1, 5]),
    *([0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5], [0, 3, 4, 5], [0, 1, 4, 5], [0, 1, 2, 5]),
    *([0, 1, 3, 4], [1, 2, 4, 5], [0, 2, 3, 5]),
    [0, 1, 2, 3, 4, 5],
]
# LeNet-4's table is not published. This is ours, in the manner of LeNet-5's: each three neighbours
# of the eight maps, then each three that stand three apart. With it the net has 262,306
# connections; the paper prints 260,000.
LENET4_TABLE = [sorted((k + step * i) % 8 for i in range(3)) for step in (1, 3) for k in range(8)]
LENET4_PAIRS = [0, 0, 1, 1, 2, 2, 3, 3]  # the map of C1 that each map of S2 subsamples

Connections = Literal["full", "paper"]
Subsampling = Literal["average", "trainable", "maximum"]
Activation = Literal["tanh", "scaled_tanh", "relu"]
Initializer = Literal["glorot_uniform", "lecun_1998"]


def LeNet1(
    input_shape: tuple[int, int, int] = (28, 28, 1),
    classes: int = 10,
    connections: Connections = "full",
    subsampling: Subsampling = "average",
    activation: Activation = "tanh",
    initializer: Initializer = "glorot_uniform",
    name: str = "lenet-1",
) -> keras.Model:
    """Build LeNet-1: convolutions to 4 and 12 maps, each halved by pooling, then the output.

    The output is a convolution with a kernel as large as the maps (4x4 on 28x28 images), which is
    a fully connected layer. The lecture writes kernel 3, which would leave 2x2 outputs for each
    class. The paper centres a 16x16 digit in 28x28, the least that the net takes. It has 3,246
    parameters, and with the paper's choices 2,578.
    """
    make = _Choices(connections, subsampling, activation, initializer)
    images = keras.Input(input_shape, dtype="float32", name="input")
    x = _c1_to_s4(images, (4, 12), LENET1_TABLE, make)
    output = {"kernel_initializer": make.weights(), "dtype": "float32", "name": "output"}
    x = layers.Conv2D(classes, x.shape[1:3], **output)(x)
    x = layers.Flatten(name="flatten", dtype="float32")(x)
    return keras.Model(images, x, name=name)


def LeNet4(
    input_shape: tuple[int, int, int] = (32, 32, 1),
    classes: int = 10,
    connections: Connections = "full",
    subsampling: Subsampling = "average",
    activation: Activation = "tanh",
    initializer: Initializer = "glorot_uniform",
    name: str = "lenet-4",
) -> keras.Model:
    """Build LeNet-4: convolutions to 4 and 16 maps, each halved by pooling, then C5 and the output.

    C5 and the output are fully connected; C5 has 120 units. By the paper's connections S2 has eight
    maps, two for each map of C1, and each map of C3 sees three of them, by a table of ours, because
    the paper prints none. The maps of a pair differ in their coefficients alone, so this needs
    subsampling="trainable". It has 51,050 parameters, and with the paper's choices 50,698. (The
    paper prints "about 260,000 connections and about 17,000 free parameters". Both cannot be true:
    C5 alone has 48,120 parameters.)
    """
    if connections == "paper" and subsampling != "trainable":
        raise ValueError('connections="paper" needs subsampling="trainable"')
    make = _Choices(connections, subsampling, activation, initializer)
    images = keras.Input(input_shape, dtype="float32", name="input")
    pairs = LENET4_PAIRS if connections == "paper" else None
    x = _c1_to_s4(images, (4, 16), LENET4_TABLE, make, pairs)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(120, kernel_initializer=make.weights(), name="C5")(x)
    x = make.activate("X5")(x)
    output = {"kernel_initializer": make.weights(), "dtype": "float32", "name": "output"}
    return keras.Model(images, layers.Dense(classes, **output)(x), name=name)


def LeNet5(
    input_shape: tuple[int, int, int] = (32, 32, 1),
    classes: int = 10,
    connections: Connections = "full",
    subsampling: Subsampling = "average",
    activation: Activation = "tanh",
    initializer: Initializer = "glorot_uniform",
    output: Literal["logits", "rbf"] = "logits",
    name: str = "lenet-5",
) -> keras.Model:
    """Build LeNet-5: convolutions to 6, 16 and 120 maps, then 84 units and the output.

    The first two convolutions are halved by pooling. C5 is a convolution: its 5x5 kernel just
    covers the maps of S4 when the images are 32x32, the smallest that the net takes. It has 61,706
    parameters, and with all of the paper's choices, output="rbf" too, 60,000. "rbf" is the paper's
    output: distances of F6 to fixed codes of the ten digits, where smaller is better (RBFOutput;
    train it with RBFLoss).
    """
    make = _Choices(connections, subsampling, activation, initializer)
    images = keras.Input(input_shape, dtype="float32", name="input")
    x = _c1_to_s4(images, (6, 16), LENET5_TABLE, make)
    x = layers.Conv2D(120, 5, kernel_initializer=make.weights(), name="C5")(x)
    x = make.activate("X5")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(84, kernel_initializer=make.weights(), name="F6")(x)
    x = make.activate("X6")(x)
    if output == "rbf":
        x = RBFOutput(classes, dtype="float32", name="output")(x)
    else:
        options = {"kernel_initializer": make.weights(), "dtype": "float32", "name": "output"}
        x = layers.Dense(classes, **options)(x)
    return keras.Model(images, x, name=name)


class _Choices(NamedTuple):
    """Make layers and initial weights by the four keywords."""

    connections: Connections
    subsampling: Subsampling
    activation: Activation
    initializer: Initializer

    def weights(self) -> Any:
        return LeCun1998() if self.initializer == "lecun_1998" else "glorot_uniform"

    def convolve(self, maps: int, table: list[list[int]], name: str) -> layers.Layer:
        if self.connections == "paper":
            return TableConvolution(table, 5, kernel_initializer=self.weights(), name=name)
        return layers.Conv2D(maps, 5, kernel_initializer=self.weights(), name=name)

    def pool(self, name: str, inputs: list[int] | None = None) -> layers.Layer:
        if self.subsampling == "average":
            return layers.AveragePooling2D(2, name=name)
        if self.subsampling == "maximum":
            return layers.MaxPooling2D(2, name=name)
        # Glorot's rule has no meaning for a coefficient: without the paper's rule the layer starts
        # as the average.
        start = LeCun1998() if self.initializer == "lecun_1998" else None
        return TrainableSubsampling(inputs, coefficient_initializer=start, name=name)

    def activate(self, name: str) -> layers.Layer:
        return layers.Activation(ACTIVATIONS[self.activation], name=name)


def _c1_to_s4(
    images: KerasTensor,
    maps: tuple[int, int],
    table: list[list[int]],
    make: _Choices,
    pairs: list[int] | None = None,
) -> KerasTensor:
    """Add C1 and C3, of so many maps, each halved by pooling, and an activation after each."""
    x = layers.Conv2D(maps[0], 5, kernel_initializer=make.weights(), name="C1")(images)
    x = make.activate("X1")(x)
    x = make.pool("S2", pairs)(x)
    x = make.activate("X2")(x)
    x = make.convolve(maps[1], table, "C3")(x)
    x = make.activate("X3")(x)
    x = make.pool("S4")(x)
    return make.activate("X4")(x)
