"""MobileNetV2. Paper: Sandler, Howard, Zhu, Zhmoginov & Chen 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks"."""

import keras
from keras import layers

from cnnlib.models.cifar10 import parts

# (expansion, width, blocks, stride) by stage; the paper has strides of 2 in the stem and in the second stage too
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def MobileNetV2(input_shape=(32, 32, 3), classes=10, name="mobilenetv2"):
    """MobileNetV2 for CIFAR-10; 2,296,922 trainable parameters. As in the published table, ReLU in the place of ReLU6, and a shortcut
    with a 1x1 convolution in blocks of stride 1 that change the width, where the paper has none."""
    images = parts.image_input("MobileNetV2", input_shape)
    x = parts.convolution_norm_relu(images, 32, 3, None, 1)
    for stage, (expansion, width, blocks, stride) in enumerate(STAGES, 1):
        for number in range(1, blocks + 1):
            x = _block(
                x, expansion, width, stride if number == 1 else 1, f"stage{stage}_block{number}"
            )
    x = parts.convolution_norm_relu(x, 1280, 1, None, 2)
    return keras.Model(images, parts.classifier(x, "MobileNetV2", classes), name=name)


def _block(x, expansion, width, stride, block):
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
