"""VGG16 as the lecture prints it, and the weights that were trained on ImageNet.

Paper: K. Simonyan & A. Zisserman 2014, "Very Deep Convolutional Networks for Large-Scale Image
Recognition", configuration D. Not to be confused with `cifar10.VGG16`, which has batch norm and one
dense layer.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from cnnlib import integrity, storage
from cnnlib.models.layers import register
from cnnlib.models.winograd import FastConv2D

# Maps and convolutions of each block; each block ends in a 2x2 max pooling.
BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
# The mean of ImageNet's training images, as the Caffe model of 2014 subtracts it.
MEAN_BGR = (103.939, 116.779, 123.68)
EMBEDDED = storage.DATA / "weights" / "vgg16_notop.float16.npz"


@dataclasses.dataclass(frozen=True, eq=False)
class Weights:
    """The weights of VGG16 without its top."""

    arrays: tuple[np.ndarray, ...]  # float32, kernel and bias of each layer in order
    source: str  # where they came from

    @property
    def digest(self) -> str:
        """16 hex digits of all the numbers."""
        digest = hashlib.sha256()
        for array in self.arrays:
            digest.update(np.ascontiguousarray(array, "<f4").data)
        return digest.hexdigest()[:16]


def VGG16(
    weights: Weights | None = None,
    include_top: bool = True,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    name: str = "vgg16",
) -> keras.Model:
    """Build VGG16: five blocks of 3x3 convolutions and a 2x2 max pooling, then three dense layers.

    Layers are named as the lecture prints them from PyTorch: C0, X1, C2, ... S30, avgpool,
    classifier_0 ... classifier_6. Its last line, Linear(4096, 10000), is a slip: ImageNet's
    challenge has 1,000 classes. Maps stand last, as in Keras, and the weights expect images as
    Keras prepares them (`VGGPreprocessing`).

    Args:
        weights: None for random ones, or those of `vgg16_weights`, which has none for the top.
        include_top: with avgpool, which makes 7x7 maps of any size, and classifier; without, the
            net ends in the maps of S30 (height/32, width/32, 512).
        input_shape: (height, width, channels), at least 32x32.

    Returns:
        keras.Model, images float32 (n, height, width, channels) -> logits (n, classes). It has
        138,357,544 parameters, without the top 14,714,688.
    """
    images = keras.Input(input_shape, dtype="float32", name="input")
    x, number = images, 0
    for maps, convolutions in BLOCKS:
        for _ in range(convolutions):
            x = FastConv2D(maps, 3, padding="same", name=f"C{number}")(x)
            x = layers.Activation("relu", name=f"X{number + 1}")(x)
            number += 2
        x = layers.MaxPooling2D(2, name=f"S{number}")(x)
        number += 1
    if include_top:
        x = layers.AdaptiveAveragePooling2D(7, name="avgpool")(x)
        x = layers.Flatten(name="flatten")(x)
        for number in (0, 3):
            x = layers.Dense(4096, name=f"classifier_{number}")(x)
            x = layers.Activation("relu", name=f"classifier_{number + 1}")(x)
            x = layers.Dropout(0.5, name=f"classifier_{number + 2}")(x)
        x = layers.Dense(classes, dtype="float32", name="classifier_6")(x)
    model = keras.Model(images, x, name=name)
    if weights is not None:
        model.set_weights(weights.arrays)
    return model


def vgg16_weights() -> Weights:
    """Read the weights of VGG16 without its top that were trained on ImageNet.

    They are those of Simonyan & Zisserman 2014 (CC BY 4.0), which Keras has too, rounded to float16
    (data/README.md). torchvision's are others, trained anew on images that were prepared otherwise.
    """
    with np.load(io.BytesIO(integrity.read_bytes(EMBEDDED))) as saved:
        arrays = tuple(
            saved[f"block{block}_conv{number}/{part}"].astype(np.float32)
            for block, (_, convolutions) in enumerate(BLOCKS, 1)
            for number in range(1, convolutions + 1)
            for part in ("kernel", "bias")
        )
    return Weights(arrays, f"embedded {EMBEDDED.relative_to(storage.ROOT).as_posix()}")


@register
class VGGPreprocessing(layers.Layer):
    """Turn an image into what Keras' VGG16 weights expect: blue first, minus ImageNet's mean.

    RGB, 0 to 255 (n, h, w, 3), becomes BGR about 0, float32 in mixed precision too. Before that
    images are resized (bilinear) to `image_size` pixels a side; None: as they are.
    """

    def __init__(self, image_size: int | None = None, **options: Any):
        super().__init__(**{"dtype": "float32", **options})
        self.image_size = image_size

    def call(self, images: Any) -> Any:
        if self.image_size and tuple(images.shape[1:3]) != (self.image_size, self.image_size):
            images = ops.image.resize(
                images, (self.image_size, self.image_size), interpolation="bilinear", antialias=True
            )
        return images[..., ::-1] - ops.cast(MEAN_BGR, images.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "image_size": self.image_size}
