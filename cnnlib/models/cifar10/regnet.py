"""RegNetX and RegNetY.

Paper: Radosavovic, Kosaraju, Girshick, He & Dollár 2020, "Designing Network Design Spaces".
"""

from __future__ import annotations

import keras
from keras import KerasTensor, layers

from cnnlib.models.checks import Classes, InputShape, Name, image_input
from cnnlib.models.cifar10 import parts
from cnnlib.validation import validated

STRIDES = (1, 1, 2, 2)  # by stage


@validated
def RegNetX_200MF(
    input_shape: InputShape = (32, 32, 3), classes: Classes = 10, name: Name = "regnetx-200mf"
) -> keras.Model:
    """Build RegNetX for 200 million multiply-adds (on ImageNet), with groups of 8 maps.

    It has 2,321,946 trainable parameters. Arguments, result and errors as for every net of
    `cnnlib.models.cifar10`.
    """
    depths, widths = (1, 1, 4, 7), (24, 56, 152, 368)
    return _regnet("RegNetX_200MF", depths, widths, 8, False, input_shape, classes, name)


@validated
def RegNetY_400MF(
    input_shape: InputShape = (32, 32, 3), classes: Classes = 10, name: Name = "regnety-400mf"
) -> keras.Model:
    """Build RegNetY for 400 million multiply-adds, with groups of 16 maps.

    It has squeeze-and-excitation, and 5,714,362 trainable parameters. Arguments, result and errors
    as for every net of `cnnlib.models.cifar10`.
    """
    depths, widths = (1, 2, 7, 12), (32, 64, 160, 384)
    return _regnet("RegNetY_400MF", depths, widths, 16, True, input_shape, classes, name)


def _regnet(
    net: str,
    depths: tuple[int, ...],
    widths: tuple[int, ...],
    group_width: int,
    excited: bool,
    input_shape: tuple[int, int, int],
    classes: int,
    name: str,
) -> keras.Model:
    images = image_input(net, input_shape, parts.SMALLEST)
    x = parts.convolution_norm_relu(images, 64, 3, None, 1)
    for stage, (depth, width, stride) in enumerate(zip(depths, widths, STRIDES, strict=True), 1):
        for number in range(1, depth + 1):
            first_stride = stride if number == 1 else 1
            x = _block(x, width, group_width, first_stride, excited, f"stage{stage}_block{number}")
    return keras.Model(images, parts.classifier(x, classes), name=name)


def _block(
    x: KerasTensor, width: int, group_width: int, stride: int, excited: bool, block: str
) -> KerasTensor:
    groups = width // group_width
    y = parts.convolution_norm_relu(x, width, 1, block, 1)
    y = parts.convolution_norm_relu(y, width, 3, block, 2, stride=stride, groups=groups)
    if excited:
        y = _squeeze_and_excitation(y, round(0.25 * x.shape[-1]), block)
    y = parts.convolution_norm(y, width, 1, block, 3)
    return parts.add_shortcut(x, y, stride, block)


def _squeeze_and_excitation(x: KerasTensor, squeezed: int, block: str) -> KerasTensor:
    """Weigh each map by what is computed from the means of all maps.

    Paper: Hu, Shen & Sun 2018, "Squeeze-and-Excitation Networks".
    """
    y = layers.GlobalAveragePooling2D(keepdims=True, name=f"{block}_squeeze")(x)
    y = parts.convolution(y, squeezed, 1, f"{block}_se_conv1", bias=True)
    y = parts.relu(y, f"{block}_se_relu")
    y = parts.convolution(y, x.shape[-1], 1, f"{block}_se_conv2", bias=True)
    y = layers.Activation("sigmoid", name=f"{block}_se_sigmoid")(y)
    return layers.Multiply(name=f"{block}_excite")([x, y])
