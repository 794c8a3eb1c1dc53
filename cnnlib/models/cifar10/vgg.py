"""VGG16 with one dense layer. Paper: Simonyan & Zisserman 2015, "Very Deep Convolutional Networks for Large-Scale Image Recognition"."""

import keras
from keras import layers

from cnnlib.models.cifar10 import parts

WIDTHS = (
    (64, 64),
    (128, 128),
    (256, 256, 256),
    (512, 512, 512),
    (512, 512, 512),
)  # by stage, each ended by 2x2 max pooling


def VGG16(input_shape=(32, 32, 3), classes=10, name="vgg16"):
    """VGG16 for CIFAR-10: the 13 convolutions of configuration D with batch norm, then 512 -> classes in the place of the ImageNet head.

    Args:
        input_shape: (height, width, channels), at least 32x32.
        classes: number of classes.
        name: name of the model.

    Returns:
        keras.Model, images float32 (n, height, width, channels) -> logits (n, classes); 14,728,266 trainable parameters.

    Raises InputError for an argument that cannot be.
    """
    images = x = parts.image_input("VGG16", input_shape, smallest=32)
    for stage, widths in enumerate(WIDTHS, 1):
        for part, width in enumerate(widths, 1):
            x = parts.convolution_norm_relu(x, width, 3, f"stage{stage}", part, bias=True)
        x = layers.MaxPooling2D(2, name=f"stage{stage}_pool")(x)
    return keras.Model(images, parts.classifier(x, "VGG16", classes), name=name)
