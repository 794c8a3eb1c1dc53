"""The net that notebook 07 arrives at: what LeNet-5 becomes with the ideas of the years after it.

It is ours, and none of the twelve nets of the lecture's table.
"""

from __future__ import annotations

import keras
from keras import layers

from cnnlib.models.checks import Classes, InputShape, Name, image_input
from cnnlib.validation import validated


@validated
def SmallNet(
    input_shape: InputShape = (32, 32, 3), classes: Classes = 10, name: Name = "small"
) -> keras.Model:
    """Build three stages of convolution, batch norm, ReLU and max pooling, and one dense layer.

    It has 10.3 million multiply-adds for an image of 32x32 pixels.

    Args:
        input_shape: (height, width, channels), at least 8x8.
        classes: number of classes.
        name: name of the model.

    Returns:
        keras.Model, images float32 (n, height, width, channels) -> logits (n, classes). It has
        114,186 trainable parameters.

    Raises:
        InputError: for an argument that it cannot take.
    """
    images = x = image_input("SmallNet", input_shape, smallest=8)
    for stage, maps in enumerate((32, 64, 128), 1):
        x = layers.Conv2D(maps, 3, padding="same", name=f"conv{stage}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"norm{stage}")(x)
        x = layers.ReLU(name=f"relu{stage}")(x)
        x = layers.MaxPooling2D(2, name=f"pool{stage}")(x)
    x = layers.Flatten(name="flatten")(x)
    return keras.Model(images, layers.Dense(classes, dtype="float32", name="output")(x), name=name)
