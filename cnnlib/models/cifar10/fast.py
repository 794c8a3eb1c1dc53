"""Nets of ours, which are none of the twelve: FastNet, SmallNet and TwentyLayers.

FastNet learns CIFAR-10 on two CPU cores in less than an hour. What makes it quick was found by
others, in a line of work that began with DAWNBench (Page 2018, "How to train your ResNet"; Jordan
2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU"): a first layer that whitens patches and is
not trained, most of the work at low resolution, pooling before the norm, convolutions that start by
passing maps on, a maximum over each map at the end, and logits that are scaled down.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, layers

from cnnlib.models.cifar10 import parts
from cnnlib.models.layers import register
from cnnlib.models.norm import BatchNorm, gelu


@register
class Whitening(layers.Conv2D):
    """Turn each patch into uncorrelated numbers of variance 1, and these with a minus sign.

    It is a convolution of `size` by `size` whose kernel is not trained: `adapt` computes it from
    images. What an activation would cut off at zero is kept by the half with the other sign.
    """

    def __init__(self, size: int = 2, **options: Any):
        super().__init__(filters=1, kernel_size=size, **options)

    def build(self, input_shape: Sequence[int]) -> None:
        self.filters = 2 * self.kernel_size[0] * self.kernel_size[1] * input_shape[-1]
        super().build(input_shape)
        self._kernel.trainable = False

    def adapt(self, images: np.ndarray, count: int = 5000) -> None:
        """Set the kernel from the patches of the first `count` images, float32 (n, h, w, c)."""
        size = self.kernel_size[0]
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
        del config["filters"], config["kernel_size"]
        return {**config, "size": self.kernel_size[0]}


@register
class PassingOn(keras.initializers.Initializer):
    """Make the first filters pass the maps on; the others start with PyTorch's initial weights."""

    def __init__(self) -> None:
        self.others = parts.kernel_initializer()

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Any:
        kernel = keras.ops.convert_to_numpy(self.others(shape, dtype)).copy()
        height, width, maps, filters = shape
        passed = min(maps, filters)
        kernel[..., :passed] = 0
        kernel[height // 2, width // 2, range(passed), range(passed)] = 1
        return keras.ops.convert_to_tensor(kernel, dtype)


def FastNet(
    input_shape: tuple[int, int, int] = (32, 32, 3), classes: int = 10, name: str = "fast"
) -> keras.Model:
    """Build FastNet: whitened 2x2 patches, then three stages of two 3x3 convolutions each.

    The second convolution of a stage has a shortcut past it. An image costs 118 million
    multiply-adds. Arguments and result as for every net of `cnnlib.models.cifar10`.
    """
    images = keras.Input(input_shape, dtype="float32", name="input")
    x = Whitening(2, name="whitening")(images)
    x = layers.Activation(gelu, name="gelu")(x)
    for stage, width in enumerate((64, 256, 256), 1):
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


def SmallNet(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    batch_norm: bool = True,
    name: str = "small",
) -> keras.Model:
    """Build the net that notebook 07 arrives at, LeNet-5 with the ideas of the years after it.

    It has three stages of convolution, batch norm, ReLU and max pooling, and one dense layer:
    114,186 trainable parameters, and 10.3 million multiply-adds for an image of 32x32 pixels.
    `batch_norm=False` leaves its 448 numbers out. Other arguments and the result as for every net
    of `cnnlib.models.cifar10`.
    """
    images = x = keras.Input(input_shape, dtype="float32", name="input")
    for stage, maps in enumerate((32, 64, 128), 1):
        x = layers.Conv2D(maps, 3, padding="same", name=f"conv{stage}")(x)
        if batch_norm:
            x = layers.BatchNormalization(momentum=0.9, name=f"norm{stage}")(x)
        x = layers.ReLU(name=f"relu{stage}")(x)
        x = layers.MaxPooling2D(2, name=f"pool{stage}")(x)
    x = layers.Flatten(name="flatten")(x)
    return keras.Model(images, layers.Dense(classes, dtype="float32", name="output")(x), name=name)


def TwentyLayers(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    classes: int = 10,
    shortcuts: bool = True,
    name: str = "twenty-layers",
) -> keras.Model:
    """Build a net of twenty layers that costs as much as SmallNet, with or without shortcuts.

    Nineteen 3x3 convolutions and one dense layer: 242,570 trainable parameters, with shortcuts or
    without, and 10.5 million multiply-adds. A block is batch norm, ReLU and a convolution, twice,
    and with shortcuts its input is added to its result. Between the stages stands a convolution of
    stride 2, so that no shortcut needs weights. Arguments and result as for every net of
    `cnnlib.models.cifar10`.

    Papers: He, Zhang, Ren & Sun 2015, "Delving Deep into Rectifiers", for the initial weights;
    2016, "Identity Mappings in Deep Residual Networks", for the blocks. The nets of 20 layers of
    "Deep Residual Learning for Image Recognition" have no pooling after the first convolution, and
    cost four times as much.
    """

    def convolve(x: KerasTensor, maps: int, name: str, stride: int = 1) -> KerasTensor:
        options = {"strides": stride, "padding": "same", "kernel_initializer": "he_normal"}
        return layers.Conv2D(maps, 3, **options, name=name)(x)

    def norm_relu(x: KerasTensor, block: str, part: int | str) -> KerasTensor:
        x = layers.BatchNormalization(momentum=0.9, name=f"{block}norm{part}")(x)
        return layers.ReLU(name=f"{block}relu{part}")(x)

    images = keras.Input(input_shape, dtype="float32", name="input")
    x = layers.MaxPooling2D(2, name="pool")(convolve(images, 16, "conv"))
    for stage, (maps, depth) in enumerate(((16, 3), (32, 3), (64, 2)), 1):
        if stage > 1:
            x = convolve(x, maps, f"stage{stage}_conv", stride=2)
        for number in range(1, depth + 1):
            block, y = f"stage{stage}_block{number}_", x
            for part in (1, 2):
                y = convolve(norm_relu(y, block, part), maps, f"{block}conv{part}")
            x = layers.Add(name=f"{block}add")([x, y]) if shortcuts else y
    x = layers.GlobalAveragePooling2D(name="mean")(norm_relu(x, "", ""))
    return keras.Model(images, layers.Dense(classes, dtype="float32", name="output")(x), name=name)
