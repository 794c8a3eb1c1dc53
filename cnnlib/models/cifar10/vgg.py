"""VGG16 with batch norm and one dense layer.

Paper: Simonyan & Zisserman 2015, "Very Deep Convolutional Networks for Large-Scale Image
Recognition".
"""

from __future__ import annotations

import keras
from keras import layers

from cnnlib.models.checks import Classes, InputShape, Name, image_input
from cnnlib.models.cifar10 import parts
from cnnlib.validation import validated

# By stage, each ended by 2x2 max pooling
WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


@validated
def VGG16(
    input_shape: InputShape = (32, 32, 3), classes: Classes = 10, name: Name = "vgg16"
) -> keras.Model:
    """Build VGG16 for CIFAR-10: the 13 convolutions of configuration D, with batch norm.

    One layer 512 -> classes takes the place of the ImageNet head.

    Args:
        input_shape: (height, width, channels), at least 32x32.
        classes: number of classes.
        name: name of the model.

    Returns:
        keras.Model, images float32 (n, height, width, channels) -> logits (n, classes). It has
        14,728,266 trainable parameters.

    Raises:
        InputError: for an argument that it cannot take.
    """
    images = x = image_input("VGG16", input_shape, smallest=32)
    for stage, widths in enumerate(WIDTHS, 1):
        for part, width in enumerate(widths, 1):
            x = parts.convolution_norm_relu(x, width, 3, f"stage{stage}", part, bias=True)
        x = layers.MaxPooling2D(2, name=f"stage{stage}_pool")(x)
    return keras.Model(images, parts.classifier(x, classes), name=name)
