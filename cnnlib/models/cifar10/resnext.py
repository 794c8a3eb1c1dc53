"""ResNeXt29.

Paper: Xie, Girshick, Dollár, Tu & He 2017, "Aggregated Residual Transformations for Deep Neural
Networks".
"""

from __future__ import annotations

import keras
from keras import KerasTensor

from cnnlib.models.checks import Classes, InputShape, Name, image_input
from cnnlib.models.cifar10 import parts
from cnnlib.validation import validated


@validated
def ResNeXt29_32x4d(
    input_shape: InputShape = (32, 32, 3), classes: Classes = 10, name: Name = "resnext29-32x4d"
) -> keras.Model:
    """Build ResNeXt29 with 32 groups of 4 maps in the first stage.

    It has 4,774,218 trainable parameters. Arguments, result and errors as for every net of
    `cnnlib.models.cifar10`.
    """
    return _resnext("ResNeXt29_32x4d", 32, 4, input_shape, classes, name)


@validated
def ResNeXt29_2x64d(
    input_shape: InputShape = (32, 32, 3), classes: Classes = 10, name: Name = "resnext29-2x64d"
) -> keras.Model:
    """Build ResNeXt29 with 2 groups of 64 maps in the first stage.

    It has 9,128,778 trainable parameters. Arguments, result and errors as for every net of
    `cnnlib.models.cifar10`.
    """
    return _resnext("ResNeXt29_2x64d", 2, 64, input_shape, classes, name)


def _resnext(
    net: str,
    cardinality: int,
    group_width: int,
    input_shape: tuple[int, int, int],
    classes: int,
    name: str,
) -> keras.Model:
    """Build three stages of three blocks; the groups' width doubles with each stage."""
    images = image_input(net, input_shape, parts.SMALLEST)
    x = parts.convolution_norm_relu(images, 64, 1, None, 1)
    for stage in (1, 2, 3):
        width = cardinality * group_width * 2 ** (stage - 1)
        for number in (1, 2, 3):
            stride = 2 if stage > 1 and number == 1 else 1
            x = _block(x, width, cardinality, stride, f"stage{stage}_block{number}")
    return keras.Model(images, parts.classifier(x, classes), name=name)


def _block(x: KerasTensor, width: int, cardinality: int, stride: int, block: str) -> KerasTensor:
    y = parts.convolution_norm_relu(x, width, 1, block, 1)
    y = parts.convolution_norm_relu(y, width, 3, block, 2, stride=stride, groups=cardinality)
    y = parts.convolution_norm(y, 2 * width, 1, block, 3)
    return parts.add_shortcut(x, y, stride, block)
