"""RegNetX and RegNetY. Paper: Radosavovic, Kosaraju, Girshick, He & Dollár 2020, "Designing Network Design Spaces"."""

import keras
from keras import layers

from cnnlib.models.cifar10 import parts

STRIDES = (1, 1, 2, 2)  # by stage


def RegNetX_200MF(input_shape=(32, 32, 3), classes=10, name="regnetx-200mf"):
    """RegNetX for 200 million multiply-adds (on ImageNet): groups of 8 maps; 2,321,946 trainable parameters."""
    return _regnet(
        "RegNetX_200MF", (1, 1, 4, 7), (24, 56, 152, 368), 8, False, input_shape, classes, name
    )


def RegNetY_400MF(input_shape=(32, 32, 3), classes=10, name="regnety-400mf"):
    """RegNetY for 400 million: groups of 16 maps, and squeeze-and-excitation; 5,714,362 trainable parameters."""
    return _regnet(
        "RegNetY_400MF", (1, 2, 7, 12), (32, 64, 160, 384), 16, True, input_shape, classes, name
    )


def _regnet(net, depths, widths, group_width, excited, input_shape, classes, name):
    images = parts.image_input(net, input_shape)
    x = parts.convolution_norm_relu(images, 64, 3, None, 1)
    for stage, (depth, width, stride) in enumerate(zip(depths, widths, STRIDES, strict=True), 1):
        for number in range(1, depth + 1):
            x = _block(
                x,
                width,
                group_width,
                stride if number == 1 else 1,
                excited,
                f"stage{stage}_block{number}",
            )
    return keras.Model(images, parts.classifier(x, net, classes), name=name)


def _block(x, width, group_width, stride, excited, block):
    y = parts.convolution_norm_relu(x, width, 1, block, 1)
    y = parts.convolution_norm_relu(
        y, width, 3, block, 2, stride=stride, groups=width // group_width
    )
    if excited:
        y = _squeeze_and_excitation(y, round(0.25 * x.shape[-1]), block)
    y = parts.convolution_norm(y, width, 1, block, 3)
    return parts.add_shortcut(x, y, stride, block)


def _squeeze_and_excitation(x, squeezed, block):
    """Weigh each map by what the means of all maps say. Paper: Hu, Shen & Sun 2018, "Squeeze-and-Excitation Networks"."""
    y = layers.GlobalAveragePooling2D(keepdims=True, name=f"{block}_squeeze")(x)
    y = parts.relu(
        parts.convolution(y, squeezed, 1, f"{block}_se_conv1", bias=True), f"{block}_se_relu"
    )
    y = parts.convolution(y, x.shape[-1], 1, f"{block}_se_conv2", bias=True)
    y = layers.Activation("sigmoid", name=f"{block}_se_sigmoid")(y)
    return layers.Multiply(name=f"{block}_excite")([x, y])
