"""LeNet-1, LeNet-4 and LeNet-5.

By default each net is the lecture's version: every map sees every map of the layer below, pooling
is the plain average, and tanh follows the convolutions and the pooling. Where the paper differs,
its choice is a value of a keyword: connections="paper", subsampling="trainable",
activation="scaled_tanh", initializer="lecun_1998" and, for LeNet-5, output="rbf".

Papers: LeCun et al. 1990, "Handwritten Digit Recognition with a Back-Propagation Network" (NIPS
1989), for LeNet-1; LeCun, Bottou, Bengio & Haffner 1998, "Gradient-Based Learning Applied to
Document Recognition", for all three.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import keras
from keras import layers

from cnnlib.errors import InputError
from cnnlib.models.checks import (
    Classes,
    InputShape,
    Name,
    check_classes,
    check_weights,
    image_input,
)
from cnnlib.models.layers import (
    ACTIVATIONS,
    LeCun1998,
    RBFOutput,
    TableConvolution,
    TrainableSubsampling,
)
from cnnlib.validation import validated

# The input maps of each map of C3, counted from 0.
LENET1_TABLE = [[0], [0, 1], [0, 1], [1], [0, 1], [0, 1], [2], [2, 3], [2, 3], [3], [2, 3], [2, 3]]
LENET5_TABLE = [
    *([0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5], [0, 4, 5], [0, 1, 5]),
    *([0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5], [0, 3, 4, 5], [0, 1, 4, 5], [0, 1, 2, 5]),
    *([0, 1, 3, 4], [1, 2, 4, 5], [0, 2, 3, 5]),
    [0, 1, 2, 3, 4, 5],
]
# LeNet-4's table is not published. With three inputs for each map it has 262,306 connections; the
# paper prints 260,000. The table is our choice, in the manner of LeNet-5's: each three neighbours
# of the eight maps, then each three that stand three apart. No two maps of C3 see the same three,
# and every map of S2 is seen six times.
LENET4_TABLE = [sorted((k + step * i) % 8 for i in range(3)) for step in (1, 3) for k in range(8)]
LENET4_PAIRS = [0, 0, 1, 1, 2, 2, 3, 3]  # the map of C1 that each map of S2 subsamples

# The outputs are float32 in mixed precision too: half precision is too coarse for a loss.
OUTPUT: dict[str, Any] = {"dtype": "float32"}

Connections = Literal["full", "paper"]
Subsampling = Literal["average", "trainable"]
Activation = Literal["tanh", "scaled_tanh", "relu"]
Initializer = Literal["glorot_uniform", "lecun_1998"]


@validated
def LeNet1(
    input_shape: InputShape = (28, 28, 1),
    classes: Classes = 10,
    connections: Connections = "full",
    subsampling: Subsampling = "average",
    activation: Activation = "tanh",
    initializer: Initializer = "glorot_uniform",
    name: Name = "lenet-1",
) -> keras.Model:
    """Build LeNet-1: convolutions to 4 and 12 maps, each halved by pooling, then the output.

    The output is a convolution with a kernel as large as the maps (4x4 on 28x28 images), which is
    a fully connected layer. The lecture writes kernel 3, which would leave 2x2 outputs for each
    class.

    Args:
        input_shape: (height, width, channels), at least 16x16. The paper centres a 16x16 digit in
            28x28.
        classes: number of classes.
        connections: "full", or "paper": C3 by the paper's table.
        subsampling: "average", or "trainable": the paper's, with a coefficient and a bias for each
            map.
        activation: "tanh", "scaled_tanh" (the paper's 1.7159 tanh(2x/3)) or "relu".
        initializer: "glorot_uniform", or "lecun_1998": the paper's, uniform in ±2.4/fan_in.
        name: name of the model.

    Returns:
        keras.Model, images float32 (n, height, width, channels) -> logits (n, classes). It has
        3,246 parameters, and with the paper's choices 2,578.

    Raises:
        InputError: for an argument that it cannot take.
    """
    images = image_input("LeNet1", input_shape, smallest=16)
    make = _parts(connections, subsampling, activation, initializer)
    x = layers.Conv2D(4, 5, kernel_initializer=make.initializer(), name="C1")(images)
    x = make.activation("X1")(x)
    x = make.pooling("S2")(x)
    x = make.activation("X2")(x)
    x = make.convolution(12, LENET1_TABLE, "C3")(x)
    x = make.activation("X3")(x)
    x = make.pooling("S4")(x)
    x = make.activation("X4")(x)
    check_weights("LeNet1", math.prod(x.shape[1:]), classes)
    initial, size = make.initializer(), x.shape[1:3]
    x = layers.Conv2D(classes, size, kernel_initializer=initial, name="output", **OUTPUT)(x)
    x = layers.Flatten(name="flatten", **OUTPUT)(x)
    return keras.Model(images, x, name=name)


@validated
def LeNet4(
    input_shape: InputShape = (32, 32, 1),
    classes: Classes = 10,
    connections: Connections = "full",
    subsampling: Subsampling = "average",
    activation: Activation = "tanh",
    initializer: Initializer = "glorot_uniform",
    name: Name = "lenet-4",
) -> keras.Model:
    """Build LeNet-4: convolutions to 4 and 16 maps, each halved by pooling, then C5 and the output.

    C5 and the output are fully connected; C5 has 120 units. The paper prints "about 260,000
    connections and about 17,000 free parameters". Both cannot be true: C5 alone has 48,120
    parameters.

    Args:
        input_shape: (height, width, channels), at least 16x16.
        classes: number of classes.
        connections: "full", or "paper": S2 has eight maps, two for each map of C1, and each map of
            C3 sees three of them, by a table of ours, because the paper prints none. The maps of a
            pair differ in their coefficients alone, so this needs subsampling="trainable".
        subsampling: as in LeNet1.
        activation: as in LeNet1.
        initializer: as in LeNet1.
        name: name of the model.

    Returns:
        keras.Model, images float32 (n, height, width, channels) -> logits (n, classes). It has
        51,050 parameters, and with the paper's choices 50,698.

    Raises:
        InputError: for an argument that it cannot take.
    """
    images = image_input("LeNet4", input_shape, smallest=16)
    make = _parts(connections, subsampling, activation, initializer)
    if connections == "paper" and subsampling != "trainable":
        raise InputError(
            'LeNet4: connections="paper" pairs the maps of S2, which needs subsampling="trainable"'
        )
    x = layers.Conv2D(4, 5, kernel_initializer=make.initializer(), name="C1")(images)
    x = make.activation("X1")(x)
    x = make.pooling("S2", inputs=LENET4_PAIRS if connections == "paper" else None)(x)
    x = make.activation("X2")(x)
    x = make.convolution(16, LENET4_TABLE, "C3")(x)
    x = make.activation("X3")(x)
    x = make.pooling("S4")(x)
    x = make.activation("X4")(x)
    x = layers.Flatten(name="flatten")(x)
    check_weights("LeNet4", x.shape[1], 120)
    x = layers.Dense(120, kernel_initializer=make.initializer(), name="C5")(x)
    x = make.activation("X5")(x)
    initial = make.initializer()
    x = layers.Dense(classes, kernel_initializer=initial, name="output", **OUTPUT)(x)
    return keras.Model(images, x, name=name)


@validated
def LeNet5(
    input_shape: InputShape = (32, 32, 1),
    classes: Classes = 10,
    connections: Connections = "full",
    subsampling: Subsampling = "average",
    activation: Activation = "tanh",
    initializer: Initializer = "glorot_uniform",
    output: Literal["logits", "rbf"] = "logits",
    name: Name = "lenet-5",
) -> keras.Model:
    """Build LeNet-5: convolutions to 6, 16 and 120 maps, then 84 units and the output.

    The first two convolutions are halved by pooling. C5 is a convolution: its 5x5 kernel just
    covers the maps of S4 when the images are 32x32. On larger images the maps of C5 grow, and F6
    sees all of them.

    Args:
        input_shape: (height, width, channels), at least 32x32.
        classes: number of classes.
        connections: as in LeNet1.
        subsampling: as in LeNet1.
        activation: as in LeNet1.
        initializer: as in LeNet1.
        output: "logits", or "rbf": the paper's distances of F6 to fixed codes of the ten digits
            (RBFOutput; train it with RBFLoss).
        name: name of the model.

    Returns:
        keras.Model, images float32 (n, height, width, channels) -> logits (n, classes), or with
        "rbf" distances, where smaller is better. It has 61,706 parameters, and with all of the
        paper's choices 60,000.

    Raises:
        InputError: for an argument that it cannot take, such as "rbf" with more than ten classes.
    """
    images = image_input("LeNet5", input_shape, smallest=32)
    make = _parts(connections, subsampling, activation, initializer)
    x = layers.Conv2D(6, 5, kernel_initializer=make.initializer(), name="C1")(images)
    x = make.activation("X1")(x)
    x = make.pooling("S2")(x)
    x = make.activation("X2")(x)
    x = make.convolution(16, LENET5_TABLE, "C3")(x)
    x = make.activation("X3")(x)
    x = make.pooling("S4")(x)
    x = make.activation("X4")(x)
    x = layers.Conv2D(120, 5, kernel_initializer=make.initializer(), name="C5")(x)
    x = make.activation("X5")(x)
    x = layers.Flatten(name="flatten")(x)
    check_weights("LeNet5", x.shape[1], 84)
    x = layers.Dense(84, kernel_initializer=make.initializer(), name="F6")(x)
    x = make.activation("X6")(x)
    if output == "rbf":
        check_classes("LeNet5", classes, largest=10)
        x = RBFOutput(classes, name="output", **OUTPUT)(x)
    else:
        initial = make.initializer()
        x = layers.Dense(classes, kernel_initializer=initial, name="output", **OUTPUT)(x)
    return keras.Model(images, x, name=name)


class _Parts(NamedTuple):
    """What makes the layers of a LeNet and its initial weights."""

    convolution: Callable[[int, list[list[int]], str], layers.Layer]  # C3
    pooling: Callable[..., layers.Layer]  # S layers
    activation: Callable[[str], layers.Layer]  # X layers
    initializer: Callable[[], Any]


def _parts(
    connections: Connections,
    subsampling: Subsampling,
    activation: Activation,
    initializer: Initializer,
) -> _Parts:
    def initial() -> Any:
        return LeCun1998() if initializer == "lecun_1998" else "glorot_uniform"

    def convolution(maps: int, table: list[list[int]], name: str) -> layers.Layer:
        if connections == "paper":
            return TableConvolution(table, 5, kernel_initializer=initial(), name=name)
        return layers.Conv2D(maps, 5, kernel_initializer=initial(), name=name)

    def pooling(name: str, inputs: list[int] | None = None) -> layers.Layer:
        if subsampling == "average":
            return layers.AveragePooling2D(2, name=name)
        # Glorot's rule has no meaning for a coefficient: without the paper's rule the layer starts
        # as the average.
        start = LeCun1998() if initializer == "lecun_1998" else None
        return TrainableSubsampling(inputs, coefficient_initializer=start, name=name)

    def activate(name: str) -> layers.Layer:
        return layers.Activation(ACTIVATIONS[activation], name=name)

    return _Parts(convolution, pooling, activate, initial)
