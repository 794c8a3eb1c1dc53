"""The lecture's baselines without convolutions: a linear classifier and fully connected nets."""

from __future__ import annotations

import itertools
import math
from typing import Annotated, Literal

import keras
from keras import layers
from pydantic import Field

from cnnlib.models.checks import Classes, InputShape, Many, Name, check_weights, image_input
from cnnlib.models.layers import ACTIVATIONS
from cnnlib.validation import Count, validated


@validated
def Linear(
    input_shape: InputShape = (28, 28, 1), classes: Classes = 10, name: Name = "linear"
) -> keras.Model:
    """Build a linear classifier: each class weighs the pixels and adds a bias.

    Args:
        input_shape: (height, width, channels) of the images; the lecture's row has (20, 20, 1).
        classes: number of classes.
        name: name of the model.

    Returns:
        keras.Model, images float32 (n, height, width, channels) -> logits (n, classes). It has
        4,010 parameters on 20x20 images and 7,850 on 28x28.

    Raises:
        InputError: for an input shape or a number of classes that it cannot take.

    Paper: LeCun et al. 1998, section III-C.1.
    """
    check_weights("Linear", math.prod(input_shape), classes)
    images = image_input("Linear", input_shape)
    x = layers.Flatten(name="flatten")(images)
    x = layers.Dense(classes, dtype="float32", name="output")(x)
    return keras.Model(images, x, name=name)


@validated
def MLP(
    hidden: Annotated[Many[Count], Field(max_length=50)] = (300,),
    input_shape: InputShape = (28, 28, 1),
    classes: Classes = 10,
    activation: Literal["tanh", "scaled_tanh", "relu"] = "tanh",
    name: Name = "mlp",
) -> keras.Model:
    """Build a fully connected net with hidden layers F1, F2, ...

    Args:
        hidden: number of units of each hidden layer; (300,) is the lecture's 300, (300, 100) its
            300 -> 100.
        input_shape: (height, width, channels) of the images.
        classes: number of classes.
        activation: "tanh" (that of the paper's nets), "scaled_tanh" (1.7159 tanh(2x/3)) or "relu".
        name: name of the model.

    Returns:
        keras.Model, images float32 (n, height, width, channels) -> logits (n, classes). It has
        266,610 parameters for 784-300-100-10.

    Raises:
        InputError: for hidden layers, an input shape, a number of classes or an activation that it
            cannot take.

    Paper: LeCun et al. 1998, sections III-C.5 and III-C.6.
    """
    sizes = [math.prod(input_shape), *hidden, classes]
    for inputs, units in itertools.pairwise(sizes):
        check_weights("MLP", inputs, units)
    images = image_input("MLP", input_shape)
    x = layers.Flatten(name="flatten")(images)
    for number, units in enumerate(hidden, start=1):
        x = layers.Dense(units, name=f"F{number}")(x)
        x = layers.Activation(ACTIVATIONS[activation], name=f"X{number}")(x)
    x = layers.Dense(classes, dtype="float32", name="output")(x)
    return keras.Model(images, x, name=name)
