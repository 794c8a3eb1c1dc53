"""DenseNet121.

Paper: Huang, Liu, van der Maaten & Weinberger 2017, "Densely Connected Convolutional Networks".
"""

from __future__ import annotations

import keras
from keras import KerasTensor, layers

from cnnlib.models.checks import Classes, InputShape, Name, image_input
from cnnlib.models.cifar10 import parts
from cnnlib.validation import validated

GROWTH = 32  # maps that each layer adds
DEPTHS = (6, 12, 24, 16)  # by stage


@validated
def DenseNet121(
    input_shape: InputShape = (32, 32, 3), classes: Classes = 10, name: Name = "densenet121"
) -> keras.Model:
    """Build DenseNet121 for CIFAR-10: growth 32, and each transition halves the maps.

    It has 6,956,298 trainable parameters. Arguments, result and errors as for every net of
    `cnnlib.models.cifar10`.
    """
    images = image_input("DenseNet121", input_shape, parts.SMALLEST)
    x = parts.convolution(images, 2 * GROWTH, 3, "conv1")
    for stage, depth in enumerate(DEPTHS, 1):
        for number in range(1, depth + 1):
            x = _dense_layer(x, f"stage{stage}_block{number}")
        if stage < len(DEPTHS):
            x = _transition(x, f"transition{stage}")
    x = parts.relu(parts.norm(x, "bn"), "relu")
    return keras.Model(images, parts.classifier(x, classes), name=name)


def _dense_layer(x: KerasTensor, block: str) -> KerasTensor:
    """Put 32 new maps in front of those that are there."""
    y = parts.relu(parts.norm(x, f"{block}_bn1"), f"{block}_relu1")
    y = parts.convolution(y, 4 * GROWTH, 1, f"{block}_conv1")
    y = parts.relu(parts.norm(y, f"{block}_bn2"), f"{block}_relu2")
    y = parts.convolution(y, GROWTH, 3, f"{block}_conv2")
    return layers.Concatenate(name=f"{block}_concatenate")([y, x])


def _transition(x: KerasTensor, name: str) -> KerasTensor:
    x = parts.relu(parts.norm(x, f"{name}_bn"), f"{name}_relu")
    x = parts.convolution(x, x.shape[-1] // 2, 1, f"{name}_conv")
    return layers.AveragePooling2D(2, name=f"{name}_pool")(x)
