"""LeNet-1, LeNet-4 and LeNet-5.

By default each net has the lecture's form: every map sees every map of the layer below, pooling is the plain average, and tanh follows the
convolutions and the pooling. Where the paper differs, its choice is a value of a keyword: connections="paper", subsampling="trainable",
activation="scaled_tanh", initializer="lecun_1998" and, for LeNet-5, output="rbf".

Papers: LeCun et al. 1990, "Handwritten Digit Recognition with a Back-Propagation Network" (NIPS 1989), for LeNet-1; LeCun, Bottou, Bengio &
Haffner 1998, "Gradient-Based Learning Applied to Document Recognition", for all three.
"""

import keras
from keras import layers

from cnnlib.errors import InputError, check_name
from cnnlib.models.checks import check_classes, check_input_shape
from cnnlib.models.layers import (
    ACTIVATIONS,
    LeCun1998,
    RBFOutput,
    TableConvolution,
    TrainableSubsampling,
)

# Input maps of each map of C3, counted from 0.
LENET1_TABLE = [[0], [0, 1], [0, 1], [1], [0, 1], [0, 1], [2], [2, 3], [2, 3], [3], [2, 3], [2, 3]]
LENET5_TABLE = [
    *([0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5], [0, 4, 5], [0, 1, 5]),
    *([0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5], [0, 3, 4, 5], [0, 1, 4, 5], [0, 1, 2, 5]),
    *([0, 1, 3, 4], [1, 2, 4, 5], [0, 2, 3, 5]),
    [0, 1, 2, 3, 4, 5],
]
# LeNet-4's table is not published. Three inputs for each map give the 260,000 connections that the paper prints (262,306). The choice is
# ours, in the manner of LeNet-5's: every run of three neighbours of the eight maps, then every three that stand three apart. No two maps
# of C3 see the same three, and every map of S2 is seen six times.
LENET4_TABLE = [sorted((k + step * i) % 8 for i in range(3)) for step in (1, 3) for k in range(8)]
LENET4_PAIRS = [0, 0, 1, 1, 2, 2, 3, 3]  # the map of C1 that each map of S2 subsamples


def LeNet1(
    input_shape=(28, 28, 1),
    classes=10,
    connections="full",
    subsampling="average",
    activation="tanh",
    initializer="glorot_uniform",
    name="lenet-1",
):
    """LeNet-1: convolutions to 4 and 12 maps, each halved by pooling, then the output.

    The output is a convolution with a kernel as large as the maps (4x4 on 28x28 images), which is a fully connected layer. The lecture
    writes kernel 3, which would leave 2x2 outputs for each class.

    Args:
        input_shape: (height, width, channels), at least 16x16. The paper centres a 16x16 digit in 28x28.
        classes: number of classes.
        connections: "full", or "paper": C3 by the paper's table.
        subsampling: "average", or "trainable": the paper's, with a coefficient and a bias for each map.
        activation: "tanh", "scaled_tanh" (the paper's 1.7159 tanh(2x/3)) or "relu".
        initializer: "glorot_uniform", or "lecun_1998": the paper's, uniform in ±2.4/fan_in.
        name: name of the model.

    Returns:
        keras.Model, images float32 (n, height, width, channels) -> logits (n, classes); 3,246 parameters, with the paper's choices 2,578.

    Raises InputError for an argument that cannot be.
    """
    images = keras.Input(check_input_shape("LeNet1", input_shape, smallest=16), name="input")
    convolution, pooling, squashing, initial = _parts(
        connections, subsampling, activation, initializer
    )
    x = layers.Conv2D(4, 5, kernel_initializer=initial(), name="C1")(images)
    x = squashing("X1")(x)
    x = pooling("S2")(x)
    x = squashing("X2")(x)
    x = convolution(12, LENET1_TABLE, "C3")(x)
    x = squashing("X3")(x)
    x = pooling("S4")(x)
    x = squashing("X4")(x)
    x = layers.Conv2D(
        check_classes("LeNet1", classes), x.shape[1:3], kernel_initializer=initial(), name="output"
    )(x)
    x = layers.Flatten(name="flatten")(x)
    return keras.Model(images, x, name=name)


def LeNet4(
    input_shape=(32, 32, 1),
    classes=10,
    connections="full",
    subsampling="average",
    activation="tanh",
    initializer="glorot_uniform",
    name="lenet-4",
):
    """LeNet-4: convolutions to 4 and 16 maps, each halved by pooling, then two fully connected layers, C5 with 120 units and the output.

    The paper prints "about 260,000 connections and about 17,000 free parameters", which cannot both be: C5 alone has 48,120 parameters.

    Args:
        input_shape: (height, width, channels), at least 16x16.
        classes: number of classes.
        connections: "full", or "paper": S2 has eight maps, two for each map of C1, and each map of C3 sees three of them, by a table of
            ours, as the paper prints none. The maps of a pair differ in their coefficients alone: it needs subsampling="trainable".
        subsampling, activation, initializer, name: as in LeNet1.

    Returns:
        keras.Model, images float32 (n, height, width, channels) -> logits (n, classes); 51,050 parameters, with the paper's choices 50,698.

    Raises InputError for an argument that cannot be.
    """
    images = keras.Input(check_input_shape("LeNet4", input_shape, smallest=16), name="input")
    convolution, pooling, squashing, initial = _parts(
        connections, subsampling, activation, initializer
    )
    if connections == "paper" and subsampling != "trainable":
        raise InputError(
            'LeNet4: connections="paper" pairs the maps of S2, which needs subsampling="trainable"'
        )
    x = layers.Conv2D(4, 5, kernel_initializer=initial(), name="C1")(images)
    x = squashing("X1")(x)
    x = pooling("S2", inputs=LENET4_PAIRS if connections == "paper" else None)(x)
    x = squashing("X2")(x)
    x = convolution(16, LENET4_TABLE, "C3")(x)
    x = squashing("X3")(x)
    x = pooling("S4")(x)
    x = squashing("X4")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(120, kernel_initializer=initial(), name="C5")(x)
    x = squashing("X5")(x)
    x = layers.Dense(check_classes("LeNet4", classes), kernel_initializer=initial(), name="output")(
        x
    )
    return keras.Model(images, x, name=name)


def LeNet5(
    input_shape=(32, 32, 1),
    classes=10,
    connections="full",
    subsampling="average",
    activation="tanh",
    initializer="glorot_uniform",
    output="logits",
    name="lenet-5",
):
    """LeNet-5: convolutions to 6, 16 and 120 maps, the first two halved by pooling, then 84 units and the output.

    C5 is a convolution: its 5x5 kernel just covers the maps of S4 when the images are 32x32. On larger images the maps of C5 grow, and F6
    sees all of them.

    Args:
        input_shape: (height, width, channels), at least 32x32.
        classes: number of classes.
        connections, subsampling, activation, initializer, name: as in LeNet1.
        output: "logits", or "rbf": the paper's distances of F6 to fixed codes of the ten digits (RBFOutput; train it with RBFLoss).

    Returns:
        keras.Model, images float32 (n, height, width, channels) -> logits (n, classes), or with "rbf" distances, where smaller is better;
        61,706 parameters, with all of the paper's choices 60,000.

    Raises InputError for an argument that cannot be, such as "rbf" with more than ten classes.
    """
    images = keras.Input(check_input_shape("LeNet5", input_shape, smallest=32), name="input")
    convolution, pooling, squashing, initial = _parts(
        connections, subsampling, activation, initializer
    )
    x = layers.Conv2D(6, 5, kernel_initializer=initial(), name="C1")(images)
    x = squashing("X1")(x)
    x = pooling("S2")(x)
    x = squashing("X2")(x)
    x = convolution(16, LENET5_TABLE, "C3")(x)
    x = squashing("X3")(x)
    x = pooling("S4")(x)
    x = squashing("X4")(x)
    x = layers.Conv2D(120, 5, kernel_initializer=initial(), name="C5")(x)
    x = squashing("X5")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(84, kernel_initializer=initial(), name="F6")(x)
    x = squashing("X6")(x)
    if check_name("output", output, ("logits", "rbf")) == "rbf":
        x = RBFOutput(check_classes("LeNet5", classes, largest=10), name="output")(x)
    else:
        x = layers.Dense(
            check_classes("LeNet5", classes), kernel_initializer=initial(), name="output"
        )(x)
    return keras.Model(images, x, name=name)


def _parts(connections, subsampling, activation, initializer):
    """Check the four choices and return what makes a C3, an S, an X layer and an initialiser by them."""
    check_name("connections", connections, ("full", "paper"))
    check_name("subsampling", subsampling, ("average", "trainable"))
    check_name("activation", activation, ACTIVATIONS)
    check_name("initializer", initializer, ("glorot_uniform", "lecun_1998"))

    def initial():
        return LeCun1998() if initializer == "lecun_1998" else "glorot_uniform"

    def convolution(maps, table, name):
        if connections == "paper":
            return TableConvolution(table, 5, kernel_initializer=initial(), name=name)
        return layers.Conv2D(maps, 5, kernel_initializer=initial(), name=name)

    def pooling(name, inputs=None):
        if subsampling == "average":
            return layers.AveragePooling2D(2, name=name)
        # Glorot's rule has no meaning for a coefficient: without the paper's rule it begins as the average.
        start = LeCun1998() if initializer == "lecun_1998" else None
        return TrainableSubsampling(inputs, coefficient_initializer=start, name=name)

    def squashing(name):
        return layers.Activation(ACTIVATIONS[activation], name=name)

    return convolution, pooling, squashing, initial
