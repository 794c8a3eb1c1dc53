"""MobileNetV2.

Paper: Sandler, Howard, Zhu, Zhmoginov & Chen 2018, "MobileNetV2: Inverted Residuals and Linear
Bottlenecks".
"""

from __future__ import annotations

import keras
from keras import KerasTensor, layers

from cnnlib.models.checks import Classes, InputShape, Name, image_input
from cnnlib.models.cifar10 import parts
from cnnlib.validation import validated

# By stage: expansion, width, blocks, stride. The paper has strides of 2 in the stem and in the
# second stage too.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


@validated
def MobileNetV2(
    input_shape: InputShape = (32, 32, 3), classes: Classes = 10, name: Name = "mobilenetv2"
) -> keras.Model:
    """Build MobileNetV2 for CIFAR-10.

    It has 2,296,922 trainable parameters. As in the published table, it has ReLU in place of
    ReLU6, and a shortcut with a 1x1 convolution in blocks of stride 1 that change the width, where
    the paper has none. Arguments, result and errors as for every net of `cnnlib.models.cifar10`.
    """
    images = image_input("MobileNetV2", input_shape, parts.SMALLEST)
    x = parts.convolution_norm_relu(images, 32, 3, None, 1)
    for stage, (expansion, width, blocks, stride) in enumerate(STAGES, 1):
        for number in range(1, blocks + 1):
            first_stride = stride if number == 1 else 1
            x = _block(x, expansion, width, first_stride, f"stage{stage}_block{number}")
    x = parts.convolution_norm_relu(x, 1280, 1, None, 2)
    return keras.Model(images, parts.classifier(x, classes), name=name)


def _block(x: KerasTensor, expansion: int, width: int, stride: int, block: str) -> KerasTensor:
    """Expand, filter each map by itself, and project back without an activation."""
    expanded = expansion * x.shape[-1]
    y = parts.convolution_norm_relu(x, expanded, 1, block, 1)
    y = parts.convolution_norm_relu(y, expanded, 3, block, 2, stride=stride, groups=expanded)
    y = parts.convolution_norm(y, width, 1, block, 3)
    if stride > 1:
        return y
    if x.shape[-1] != width:
        x, y = parts.projection(x, width, block, stride), parts.wait(y, f"{block}_wait")
    return layers.Add(name=f"{block}_add")([y, x])
