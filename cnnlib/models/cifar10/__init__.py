"""The twelve nets of the lecture's CIFAR-10 benchmark, and three nets of ours.

The twelve are those of the project whose table the lecture quotes. They are not the ImageNet nets
of the same names: the stems keep the resolution, and there are fewer strides. Common to all:

    Args:
        input_shape: (height, width, channels), at least 8x8 (VGG16: 32x32, FastNet: 16x16).
        classes, name: number of classes, name of the model.

    Returns:
        keras.Model, images float32 (n, height, width, channels) -> logits (n, classes).

Source: the public pytorch-cifar project, github.com/kuangliu/pytorch-cifar (the definitions of the
nets and the table of accuracies).
"""

from cnnlib.models.cifar10.fast import FastNet, SmallNet, TwentyLayers, Whitening
from cnnlib.models.cifar10.nets import (
    DPN92,
    VGG16,
    DenseNet121,
    DualPath,
    MobileNetV2,
    PreActResNet18,
    RegNetX_200MF,
    RegNetY_400MF,
    ResNet18,
    ResNet50,
    ResNet101,
    ResNeXt29_2x64d,
    ResNeXt29_32x4d,
)
from cnnlib.models.cifar10.parts import GroupedConv2D
