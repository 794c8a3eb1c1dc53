"""The twelve nets of the lecture's CIFAR-10 benchmark, and FastNet, which is ours.

The twelve are those of the project whose table the lecture quotes. Each takes 32x32 images of three
channels and ends in the mean of each map and one dense layer. They are not the ImageNet nets of the
same names: the stems keep the resolution, and there are fewer strides. Common to all:

    Args:
        input_shape: (height, width, channels), at least 8x8 (VGG16: 32x32, FastNet: 16x16).
        classes: number of classes.
        name: name of the model.

    Returns:
        keras.Model, images float32 (n, height, width, channels) -> logits (n, classes).

    Raises:
        InputError: for an argument that it cannot take.

Source: the public pytorch-cifar project, github.com/kuangliu/pytorch-cifar (the definitions of the
nets and the table of accuracies).
"""

from cnnlib.models.cifar10.densenet import DenseNet121
from cnnlib.models.cifar10.dpn import DPN92
from cnnlib.models.cifar10.fast import FastNet, Whitening
from cnnlib.models.cifar10.mobilenet import MobileNetV2
from cnnlib.models.cifar10.regnet import RegNetX_200MF, RegNetY_400MF
from cnnlib.models.cifar10.resnet import PreActResNet18, ResNet18, ResNet50, ResNet101
from cnnlib.models.cifar10.resnext import ResNeXt29_2x64d, ResNeXt29_32x4d
from cnnlib.models.cifar10.small import SmallNet
from cnnlib.models.cifar10.vgg import VGG16

__all__ = [
    "DPN92",
    "VGG16",
    "DenseNet121",
    "FastNet",
    "MobileNetV2",
    "PreActResNet18",
    "RegNetX_200MF",
    "RegNetY_400MF",
    "ResNeXt29_2x64d",
    "ResNeXt29_32x4d",
    "ResNet18",
    "ResNet50",
    "ResNet101",
    "SmallNet",
    "Whitening",
]
