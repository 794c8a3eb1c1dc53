"""The lecture's nets without convolutions (LeCun et al. 1998, sections III-C.1, C.5 and C.6)."""

from __future__ import annotations

from typing import Literal

import keras
from keras import layers

from cnnlib.models.layers import ACTIVATIONS


def Linear(
    input_shape: tuple[int, int, int] = (28, 28, 1), classes: int = 10, name: str = "linear"
) -> keras.Model:
    """Build a linear classifier: each class weighs the pixels and adds a bias.

    It has 4,010 parameters on 20x20 images, as in the lecture, and 7,850 on 28x28. Arguments and
    result as for `MLP`, without hidden layers.
    """
    return MLP((), input_shape, classes, name=name)


def MLP(
    hidden: tuple[int, ...] = (300,),
    input_shape: tuple[int, int, int] = (28, 28, 1),
    classes: int = 10,
    activation: Literal["tanh", "scaled_tanh", "relu"] = "tanh",
    name: str = "mlp",
) -> keras.Model:
    """Build a fully connected net with hidden layers F1, F2, ...

    Args:
        hidden: number of units of each hidden layer, such as the lecture's (300, 100).
        input_shape: (height, width, channels) of the images.
        classes: number of classes.
        activation: "tanh" (that of the paper's nets), "scaled_tanh" (1.7159 tanh(2x/3)) or "relu".
        name: name of the model.

    Returns:
        keras.Model, images float32 (n, height, width, channels) -> logits (n, classes). It has
        266,610 parameters for 784-300-100-10.
    """
    images = keras.Input(input_shape, dtype="float32", name="input")
    x = layers.Flatten(name="flatten")(images)
    for number, units in enumerate(hidden, start=1):
        x = layers.Dense(units, name=f"F{number}")(x)
        x = layers.Activation(ACTIVATIONS[activation], name=f"X{number}")(x)
    # The outputs of all nets are float32 in mixed precision too: half is too coarse for a loss.
    x = layers.Dense(classes, dtype="float32", name="output")(x)
    return keras.Model(images, x, name=name)
