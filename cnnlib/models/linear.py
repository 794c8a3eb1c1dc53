"""The lecture's baselines without convolutions: a linear classifier and fully connected nets."""

import keras
from keras import layers

from cnnlib.errors import InputError, check_name
from cnnlib.models.checks import check_classes, check_input_shape, is_count
from cnnlib.models.layers import ACTIVATIONS


def Linear(input_shape=(28, 28, 1), classes=10, name="linear"):
    """Linear classifier: each class weighs the pixels and adds a bias.

    Args:
        input_shape: (height, width, channels) of the images; the lecture's row has (20, 20, 1).
        classes: number of classes.
        name: name of the model.

    Returns:
        keras.Model, images float32 (n, height, width, channels) -> logits (n, classes); 4,010 parameters on 20x20, 7,850 on 28x28.

    Raises InputError for an input shape or a number of classes that cannot be.
    Paper: LeCun et al. 1998, section III-C.1.
    """
    input_shape = check_input_shape("Linear", input_shape)
    images = keras.Input(input_shape, name="input")
    x = layers.Flatten(name="flatten")(images)
    x = layers.Dense(check_classes("Linear", classes), name="output")(x)
    return keras.Model(images, x, name=name)


def MLP(hidden=(300,), input_shape=(28, 28, 1), classes=10, activation="tanh", name="mlp"):
    """Fully connected net with hidden layers F1, F2, ...

    Args:
        hidden: number of units of each hidden layer; (300,) is the lecture's 300, (300, 100) its 300 -> 100.
        input_shape: (height, width, channels) of the images.
        classes: number of classes.
        activation: "tanh" (the paper's nets squash with a tanh), "scaled_tanh" (1.7159 tanh(2x/3)) or "relu".
        name: name of the model.

    Returns:
        keras.Model, images float32 (n, height, width, channels) -> logits (n, classes); 266,610 parameters for 784-300-100-10.

    Raises InputError for hidden layers, an input shape, a number of classes or an activation that cannot be.
    Paper: LeCun et al. 1998, sections III-C.5 and III-C.6.
    """
    if (
        not isinstance(hidden, (tuple, list))
        or not hidden
        or not all(is_count(units) for units in hidden)
    ):
        raise InputError(
            f"MLP: hidden must be positive whole numbers, one for each layer, such as (300,) or (300, 100); got {hidden!r}"
        )
    activation = ACTIVATIONS[check_name("activation", activation, ACTIVATIONS)]
    images = keras.Input(check_input_shape("MLP", input_shape), name="input")
    x = layers.Flatten(name="flatten")(images)
    for number, units in enumerate(hidden, start=1):
        x = layers.Dense(units, name=f"F{number}")(x)
        x = layers.Activation(activation, name=f"X{number}")(x)
    x = layers.Dense(check_classes("MLP", classes), name="output")(x)
    return keras.Model(images, x, name=name)
