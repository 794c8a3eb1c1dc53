"""The net that notebook 07 arrives at: what LeNet-5 becomes with the ideas of the years after
it."""

import keras
from keras import layers

from cnnlib.models.checks import check_classes
from cnnlib.models.cifar10 import parts


def SmallNet(
    input_shape: tuple[int, int, int] = (32, 32, 3), classes: int = 10, name: str = "small"
) -> keras.Model:
    """Build three stages of convolution, batch norm, ReLU and max pooling, and one dense layer.

    Our own, none of the twelve nets of the lecture's table. 10.4 million multiply-adds.

    Args:
        input_shape: (height, width, channels), at least 8x8.
        classes: number of classes.
        name: name of the model.

    Returns:
        keras.Model, images float32 (n, height, width, channels) -> logits (n, classes); 114,186
        trainable parameters.

    Raises InputError for an argument that cannot be.
    """
    images = x = parts.image_input("SmallNet", input_shape)
    for stage, maps in enumerate((32, 64, 128), 1):
        x = layers.Conv2D(maps, 3, padding="same", name=f"conv{stage}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"norm{stage}")(x)
        x = layers.ReLU(name=f"relu{stage}")(x)
        x = layers.MaxPooling2D(2, name=f"pool{stage}")(x)
    x = layers.Flatten(name="flatten")(x)
    output = layers.Dense(check_classes("SmallNet", classes), name="output")(x)
    return keras.Model(images, output, name=name)
