"""A small net that learns CIFAR-10 on two CPU cores in less than an hour. It is ours.

What makes it quick was found by others, in a line of work that began with DAWNBench (Page 2018,
"How to train your ResNet"; Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU"): a first
layer that whitens patches and is not trained, most of the work at low resolution, pooling before
the norm, convolutions that start by passing maps on, a maximum over each map at the end, and logits
that are scaled down.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, layers

from cnnlib.errors import InputError
from cnnlib.models.checks import Classes, InputShape, Name, image_input
from cnnlib.models.cifar10 import parts
from cnnlib.models.layers import register
from cnnlib.models.norm import BatchNorm, gelu
from cnnlib.validation import Count, validated

WIDTHS = (64, 256, 256)  # by stage, each of which halves the maps


@register
class Whitening(layers.Conv2D):
    """Turn each patch into uncorrelated numbers of variance 1, and these with a minus sign.

    It is a convolution whose kernel is not trained: `adapt` computes it from images. What an
    activation would cut off at zero is kept by the half with the other sign.

    Args:
        size: height and width of the patches.
        options: as for keras.layers.Conv2D.
    """

    def __init__(self, size: int = 2, **options: Any):
        options = {
            name: value for name, value in options.items() if name not in ("filters", "kernel_size")
        }
        super().__init__(filters=1, kernel_size=size, **options)

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.filters = 2 * self.kernel_size[0] * self.kernel_size[1] * input_shape[-1]
        super().build(input_shape)
        self._kernel.trainable = False

    @validated
    def adapt(self, images: Any, count: Count = 5000) -> None:
        """Set the kernel from the patches of the first `count` images.

        Args:
            images: float32 (n, h, w, c), with the channels for which the layer was built.
            count: number of images, at least 1.

        Raises:
            InputError: for other images, or images of other channels.
        """
        size, channels = self.kernel_size[0], self._kernel.shape[2]
        if (
            not isinstance(images, np.ndarray)
            or images.ndim != 4
            or images.shape[3] != channels
            or min(images.shape[1:3]) < size
            or not len(images)
            or not np.isfinite(np.sum(images[:count], dtype="float64"))
        ):
            raise InputError(
                f"{self.name}: expected finite images float32 (n, height, width, {channels}), from "
                f"{size}x{size}; got {getattr(images, 'shape', type(images))}"
            )
        patches = np.lib.stride_tricks.sliding_window_view(
            images[:count], (size, size), axis=(1, 2)
        )[:, ::2, ::2]
        # row, column, channel: the order of the kernel
        patches = np.moveaxis(patches, 3, -1).reshape(-1, self.filters // 2).astype("float64")
        variances, directions = np.linalg.eigh(np.cov(patches, rowvar=False))
        # Without the constant, directions of almost no variance would be mere noise.
        whitening = directions / np.sqrt(variances + 5e-4)
        kernel = np.concatenate([whitening, -whitening], axis=1).reshape(self.kernel.shape)
        self._kernel.assign(kernel.astype("float32"))

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        kept = {
            key: value for key, value in config.items() if key not in ("filters", "kernel_size")
        }
        return {**kept, "size": self.kernel_size[0]}


@register
class PassingOn(keras.initializers.Initializer):
    """Make the first filters of a convolution pass its maps on as they are.

    The other filters start with PyTorch's initial weights. The kernel is (odd size, odd size, maps
    in, maps out), with as many maps out as in, or more.
    """

    def __init__(self) -> None:
        self.others = parts.kernel_initializer()

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Any:
        kernel = keras.ops.convert_to_numpy(self.others(shape, dtype)).copy()
        height, width, maps, filters = shape
        passed = min(maps, filters)
        kernel[..., :passed] = 0
        kernel[height // 2, width // 2, range(passed), range(passed)] = 1
        return keras.ops.convert_to_tensor(kernel, dtype)

    def get_config(self) -> dict[str, Any]:
        return {}


@validated
def FastNet(
    input_shape: InputShape = (32, 32, 3), classes: Classes = 10, name: Name = "fast"
) -> keras.Model:
    """Build FastNet: whitened 2x2 patches, then three stages of two 3x3 convolutions each.

    The second convolution of a stage has a shortcut past it. An image costs 118 million
    multiply-adds.

    Args:
        input_shape: (height, width, channels), at least 16x16.
        classes: number of classes.
        name: name of the model.

    Returns:
        keras.Model, images float32 (n, height, width, channels) -> logits (n, classes).

    Raises:
        InputError: for an argument that it cannot take.
    """
    images = image_input("FastNet", input_shape, smallest=16)
    x = Whitening(2, name="whitening")(images)
    x = layers.Activation(gelu, name="gelu")(x)
    for stage, width in enumerate(WIDTHS, 1):
        block = f"stage{stage}"
        x = parts.convolution(x, width, 3, f"{block}_conv1", initializer=PassingOn())
        x = layers.MaxPooling2D(2, name=f"{block}_pool")(x)
        x = _norm_gelu(x, block, 1)
        y = parts.convolution(x, width, 3, f"{block}_conv2", initializer=PassingOn())
        y = _norm_gelu(y, block, 2)
        x = layers.Add(name=f"{block}_add")([y, x])
    x = layers.GlobalMaxPooling2D(name="pool")(x)
    x = layers.Dense(classes, use_bias=False, dtype="float32", name="dense")(x)
    x = layers.Rescaling(1 / 9, dtype="float32", name="output")(x)
    return keras.Model(images, x, name=name)


def _norm_gelu(x: KerasTensor, stage: str, part: int) -> KerasTensor:
    # A short memory, because there are few steps.
    norm = BatchNorm(momentum=0.6, epsilon=1e-5, scale=False, name=f"{stage}_bn{part}")
    return layers.Activation(gelu, name=f"{stage}_gelu{part}")(norm(x))
