"""A small net that learns CIFAR-10 on two CPU cores in less than an hour. Our own: none of the twelve.

What makes it quick was found by others, in a line of work that began with DAWNBench (Page 2018, "How to train your ResNet"; Jordan 2024,
"94% on CIFAR-10 in 3.29 Seconds on a Single GPU"): a first layer that whitens patches and is not trained, most of the work at low
resolution, pooling before the norm, convolutions that begin by passing maps on, a maximum over each map at the end, and logits scaled down.
"""

import keras
import numpy as np
from keras import layers

from cnnlib.models.checks import check_classes
from cnnlib.models.cifar10 import parts
from cnnlib.models.layers import register
from cnnlib.models.norm import BatchNorm, gelu

WIDTHS = (64, 256, 256)  # by stage, each of which halves the maps


@register
class Whitening(layers.Conv2D):
    """A convolution whose kernel is not trained: it turns each patch into uncorrelated numbers of variance 1, and these with a minus sign.

    `adapt` computes the kernel from images. What an activation would cut off at zero is kept by the half with the other sign.
    """

    def __init__(self, size=2, **options):
        options = {
            name: value for name, value in options.items() if name not in ("filters", "kernel_size")
        }
        super().__init__(filters=1, kernel_size=size, **options)

    def build(self, input_shape):
        self.filters = 2 * self.kernel_size[0] * self.kernel_size[1] * input_shape[-1]
        super().build(input_shape)
        self._kernel.trainable = False

    def adapt(self, images, count=5000):
        """Set the kernel from the patches of the first `count` images, float32 (n, h, w, c)."""
        size = self.kernel_size[0]
        patches = np.lib.stride_tricks.sliding_window_view(
            images[:count], (size, size), axis=(1, 2)
        )[:, ::2, ::2]
        patches = (
            np.moveaxis(patches, 3, -1).reshape(-1, self.filters // 2).astype("float64")
        )  # row, column, channel: the kernel's order
        variances, directions = np.linalg.eigh(np.cov(patches, rowvar=False))
        whitening = directions / np.sqrt(
            variances + 5e-4
        )  # without the constant, directions of almost no variance would be mere noise
        kernel = np.concatenate([whitening, -whitening], axis=1).reshape(self.kernel.shape)
        self._kernel.assign(kernel.astype("float32"))

    def get_config(self):
        config = super().get_config()
        return {
            **{
                name: value
                for name, value in config.items()
                if name not in ("filters", "kernel_size")
            },
            "size": self.kernel_size[0],
        }


@register
class PassingOn(keras.initializers.Initializer):
    """First weights of a convolution with as many filters as input maps, or more: the first filters pass the maps on as they are, the
    others are PyTorch's. Kernel (odd size, odd size, maps in, maps out)."""

    def __init__(self):
        self.others = parts.kernel_initializer()

    def __call__(self, shape, dtype=None):
        kernel = keras.ops.convert_to_numpy(self.others(shape, dtype)).copy()
        height, width, maps, filters = shape
        passed = min(maps, filters)
        kernel[..., :passed] = 0
        kernel[height // 2, width // 2, range(passed), range(passed)] = 1
        return keras.ops.convert_to_tensor(kernel)

    def get_config(self):
        return {}


def FastNet(input_shape=(32, 32, 3), classes=10, name="fast"):
    """Whitened 2x2 patches, then three stages of two 3x3 convolutions, the second with a shortcut past it. 118 million multiply-adds.

    Args:
        input_shape: (height, width, channels), at least 16x16.
        classes: number of classes.
        name: name of the model.

    Returns:
        keras.Model, images float32 (n, height, width, channels) -> logits (n, classes).

    Raises InputError for an argument that cannot be.
    """
    images = parts.image_input("FastNet", input_shape, smallest=16)
    x = Whitening(2, name="whitening")(images)
    x = layers.Activation(gelu, name="gelu")(x)
    for stage, width in enumerate(WIDTHS, 1):
        x = parts.convolution(x, width, 3, f"stage{stage}_conv1", initializer=PassingOn())
        x = layers.MaxPooling2D(2, name=f"stage{stage}_pool")(x)
        x = _norm_gelu(x, f"stage{stage}", 1)
        y = _norm_gelu(
            parts.convolution(x, width, 3, f"stage{stage}_conv2", initializer=PassingOn()),
            f"stage{stage}",
            2,
        )
        x = layers.Add(name=f"stage{stage}_add")([y, x])
    x = layers.GlobalMaxPooling2D(name="pool")(x)
    x = layers.Dense(
        check_classes("FastNet", classes), use_bias=False, dtype="float32", name="dense"
    )(x)
    return keras.Model(
        images, layers.Rescaling(1 / 9, dtype="float32", name="output")(x), name=name
    )


def _norm_gelu(x, stage, part):
    x = BatchNorm(
        momentum=0.6, epsilon=1e-5, scale=False, name=f"{stage}_bn{part}"
    )(x)  # few steps: a short memory
    return layers.Activation(gelu, name=f"{stage}_gelu{part}")(x)
