"""ResNet, and ResNet with activations before the convolutions.

Papers: He, Zhang, Ren & Sun 2016, "Deep Residual Learning for Image Recognition" and "Identity
Mappings in Deep Residual Networks".
"""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import KerasTensor, layers

from cnnlib.models.checks import Classes, InputShape, Name, image_input
from cnnlib.models.cifar10 import parts
from cnnlib.validation import validated

WIDTHS = (64, 128, 256, 512)  # by stage; every stage but the first halves the maps
Block = Callable[[KerasTensor, int, int, str], KerasTensor]  # maps in, width, stride, name


@validated
def ResNet18(
    input_shape: InputShape = (32, 32, 3), classes: Classes = 10, name: Name = "resnet18"
) -> keras.Model:
    """Build ResNet18 for CIFAR-10: basic blocks 2-2-2-2; 11,173,962 trainable parameters.

    Arguments, result and errors as for every net of `cnnlib.models.cifar10`.
    """
    return _resnet("ResNet18", _basic_block, (2, 2, 2, 2), input_shape, classes, name)


@validated
def ResNet50(
    input_shape: InputShape = (32, 32, 3), classes: Classes = 10, name: Name = "resnet50"
) -> keras.Model:
    """Build ResNet50 for CIFAR-10: bottlenecks 3-4-6-3, the stride in the 3x3 convolution.

    It has 23,520,842 trainable parameters. Arguments, result and errors as for every net of
    `cnnlib.models.cifar10`.
    """
    return _resnet("ResNet50", _bottleneck, (3, 4, 6, 3), input_shape, classes, name)


@validated
def ResNet101(
    input_shape: InputShape = (32, 32, 3), classes: Classes = 10, name: Name = "resnet101"
) -> keras.Model:
    """Build ResNet101 for CIFAR-10: bottlenecks 3-4-23-3; 42,512,970 trainable parameters.

    Arguments, result and errors as for every net of `cnnlib.models.cifar10`.
    """
    return _resnet("ResNet101", _bottleneck, (3, 4, 23, 3), input_shape, classes, name)


@validated
def PreActResNet18(
    input_shape: InputShape = (32, 32, 3), classes: Classes = 10, name: Name = "preactresnet18"
) -> keras.Model:
    """Build ResNet18 with batch norm and ReLU before each convolution.

    It has 11,171,146 trainable parameters. As in the published table, the stem has no batch norm,
    and there is neither batch norm nor ReLU before the last pooling, where the paper has both.
    Arguments, result and errors as for every net of `cnnlib.models.cifar10`.
    """
    images = image_input("PreActResNet18", input_shape, parts.SMALLEST)
    x = parts.convolution(images, 64, 3, "conv1")
    x = _stages(x, _preactivation_block, (2, 2, 2, 2))
    return keras.Model(images, parts.classifier(x, classes), name=name)


def _resnet(
    net: str,
    block: Block,
    depths: tuple[int, ...],
    input_shape: tuple[int, int, int],
    classes: int,
    name: str,
) -> keras.Model:
    images = image_input(net, input_shape, parts.SMALLEST)
    x = parts.convolution_norm_relu(images, 64, 3, None, 1)
    x = _stages(x, block, depths)
    return keras.Model(images, parts.classifier(x, classes), name=name)


def _stages(x: KerasTensor, block: Block, depths: tuple[int, ...]) -> KerasTensor:
    for stage, (depth, width) in enumerate(zip(depths, WIDTHS, strict=True), 1):
        for number in range(1, depth + 1):
            stride = 2 if stage > 1 and number == 1 else 1
            x = block(x, width, stride, f"stage{stage}_block{number}")
    return x


def _basic_block(x: KerasTensor, width: int, stride: int, block: str) -> KerasTensor:
    y = parts.convolution_norm_relu(x, width, 3, block, 1, stride=stride)
    y = parts.convolution_norm(y, width, 3, block, 2)
    return parts.add_shortcut(x, y, stride, block)


def _bottleneck(x: KerasTensor, width: int, stride: int, block: str) -> KerasTensor:
    y = parts.convolution_norm_relu(x, width, 1, block, 1)
    y = parts.convolution_norm_relu(y, width, 3, block, 2, stride=stride)
    y = parts.convolution_norm(y, 4 * width, 1, block, 3)
    return parts.add_shortcut(x, y, stride, block)


def _preactivation_block(x: KerasTensor, width: int, stride: int, block: str) -> KerasTensor:
    y = parts.relu(parts.norm(x, f"{block}_bn1"), f"{block}_relu1")
    if stride > 1 or x.shape[-1] != width:
        # Computed first, so listed first: see parts.wait.
        x = parts.convolution(y, width, 1, f"{block}_shortcut_conv", stride=stride)
        for step in range(4):
            x = parts.wait(x, f"{block}_shortcut_wait{step + 1}")
    y = parts.convolution(y, width, 3, f"{block}_conv1", stride=stride)
    y = parts.relu(parts.norm(y, f"{block}_bn2"), f"{block}_relu2")
    y = parts.convolution(y, width, 3, f"{block}_conv2")
    return layers.Add(name=f"{block}_add")([x, y])
