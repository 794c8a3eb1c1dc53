"""The parts of the twelve nets: convolutions, batch norm and initial weights as PyTorch has them.

PyTorch and Keras differ here by default, and each difference changes results:
- A 3x3 convolution with stride 2 pads one pixel on every side in PyTorch; Keras' "same" pads only
  below and to the right.
- Batch norm has epsilon 1e-5 and keeps 0.9 of the running statistics in PyTorch; 1e-3 and 0.99 in
  Keras. (The running variance is that of a population in Keras and of a sample in PyTorch: a factor
  of n / (n - 1), where n is the number of images in the batch times the positions of the map. With
  batches of 128 images n is at least 512, in VGG16's last stage, and 320 in the last batch of an
  epoch of 50,000 images. This difference is left as it is.)
- Initial weights are uniform in ±1/sqrt(fan_in) in PyTorch, biases too; Keras takes Glorot's rule,
  and biases of 0.

Layers are named by stage and block, and stand in `model.layers` in the order in which the published
definitions compute them.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, layers, ops

from cnnlib import backend
from cnnlib.models.layers import register
from cnnlib.models.norm import BatchNorm
from cnnlib.models.winograd import FastConv2D

SMALLEST = 8  # height and width of images: the nets halve them three times


@register
class GroupedConv2D(layers.Conv2D):
    """Compute as keras.layers.Conv2D with `groups`, with the same weights, but fast on a CPU too.

    Keras compiles grouped convolutions with XLA on a CPU, to code that is hundreds of times slower
    than one convolution for each group. oneDNN, which TensorFlow has on x86, computes all groups in
    one operation, two to three times faster still; without it there is one convolution for each
    group. With as many groups as input maps it is a depthwise convolution, for which TensorFlow has
    a kernel everywhere. The layer's kernel is (height, width, input maps / groups, output maps),
    the maps of the first group first.
    """

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        options = {
            "strides": self.strides,
            "padding": self.padding,
            "dilation_rate": self.dilation_rate,
            "data_format": self.data_format,
        }
        if kernel.shape[2] == 1 and self.filters == self.groups:
            return ops.depthwise_conv(inputs, ops.transpose(kernel, (0, 1, 3, 2)), **options)
        if keras.backend.backend() != "tensorflow" or not backend.on_cpu():
            return ops.conv(inputs, kernel, **options)
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        if self.data_format == "channels_last" and _onednn_groups(dtype):
            import tensorflow as tf

            padding = self.padding.upper()
            return tf.nn.conv2d(inputs, kernel, self.strides, padding, dilations=self.dilation_rate)
        pairs = zip(
            ops.split(inputs, self.groups, axis=-1),
            ops.split(kernel, self.groups, axis=-1),
            strict=True,
        )
        return ops.concatenate([ops.conv(maps, part, **options) for maps, part in pairs], axis=-1)


@functools.cache
def _onednn_groups(dtype: str) -> bool:
    """Return whether TensorFlow computes grouped convolutions and their gradients on this CPU.

    With oneDNN it does, for the types that oneDNN has on the processor: float16 needs a newer one
    than bfloat16.
    """
    import tensorflow as tf

    options = {"strides": [1, 1, 1, 1], "padding": "SAME"}

    @tf.function(autograph=False)
    def results() -> tuple[Any, Any, Any]:
        maps, kernel = tf.ones([1, 3, 3, 4], dtype), tf.ones([3, 3, 2, 4], dtype)
        return (
            tf.nn.conv2d(maps, kernel, 1, "SAME"),
            tf.raw_ops.Conv2DBackpropInput(
                input_sizes=maps.shape, filter=kernel, out_backprop=maps, **options
            ),
            tf.raw_ops.Conv2DBackpropFilter(
                input=maps, filter_sizes=kernel.shape, out_backprop=maps, **options
            ),
        )

    try:
        with tf.init_scope():
            forward, back, change = (np.array(result) for result in results())
    except (tf.errors.OpError, ValueError):
        return False
    # Of the pixel in the middle, and of the kernel's middle
    return forward[0, 1, 1, 0] == 18 and back[0, 1, 1, 0] == 18 and change[1, 1, 0, 0] == 9


def convolution(
    x: KerasTensor,
    filters: int,
    size: int,
    name: str,
    stride: int = 1,
    groups: int = 1,
    bias: bool = False,
    initializer: keras.initializers.Initializer | None = None,
) -> KerasTensor:
    """Add a convolution that pads `size // 2` pixels on every side.

    Its kernel starts with PyTorch's initial weights, unless there is an `initializer`.
    """
    if size > 1 and stride > 1:
        x = layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
    kind = {"groups": groups} if groups > 1 else {}
    plain = FastConv2D if size == 3 and stride == 1 else layers.Conv2D
    return (GroupedConv2D if groups > 1 else plain)(
        filters,
        size,
        strides=stride,
        padding="valid" if stride > 1 else "same",
        use_bias=bias,
        kernel_initializer=initializer or kernel_initializer(),
        bias_initializer=bias_initializer(size * size * x.shape[-1] // groups),
        name=name,
        **kind,
    )(x)


def norm(x: KerasTensor, name: str) -> KerasTensor:
    """Add batch norm with PyTorch's settings."""
    return BatchNorm(momentum=0.9, epsilon=1e-5, name=name)(x)


def relu(x: KerasTensor, name: str) -> KerasTensor:
    """Add ReLU."""
    return layers.ReLU(name=name)(x)


def convolution_norm(
    x: KerasTensor, filters: int, size: int, block: str | None, part: int, **options: Any
) -> KerasTensor:
    """Add a convolution and its batch norm, named {block}_conv{part} and {block}_bn{part}.

    `block` is None for a stem.
    """
    prefix = f"{block}_" if block else ""
    x = convolution(x, filters, size, f"{prefix}conv{part}", **options)
    return norm(x, f"{prefix}bn{part}")


def convolution_norm_relu(
    x: KerasTensor, filters: int, size: int, block: str | None, part: int, **options: Any
) -> KerasTensor:
    """Add a convolution, its batch norm and ReLU."""
    x = convolution_norm(x, filters, size, block, part, **options)
    return relu(x, f"{block}_relu{part}" if block else f"relu{part}")


def projection(x: KerasTensor, filters: int, block: str, stride: int) -> KerasTensor:
    """Add a shortcut that changes the shape: a 1x1 convolution and batch norm."""
    x = convolution(x, filters, 1, f"{block}_shortcut_conv", stride=stride)
    return norm(x, f"{block}_shortcut_bn")


def add_shortcut(x: KerasTensor, y: KerasTensor, stride: int, block: str) -> KerasTensor:
    """Add the input `x` of a block to its result `y`, and ReLU after it.

    Where the shape changes, `x` goes through a projection.
    """
    if stride > 1 or x.shape[-1] != y.shape[-1]:
        x, y = projection(x, y.shape[-1], block, stride), wait(y, f"{block}_wait")
    return relu(layers.Add(name=f"{block}_add")([y, x]), f"{block}_relu")


def wait(x: KerasTensor, name: str) -> KerasTensor:
    """Return `x` itself, one step later.

    Keras lists layers by their distance to the output. A projection is shorter than the other path
    of its block and would be listed before the end of that path, though the published definitions
    compute it afterwards.
    """
    return layers.Identity(name=name)(x)


def classifier(x: KerasTensor, classes: int) -> KerasTensor:
    """Add the mean of each map, and one dense layer: logits, float32 in mixed precision too."""
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return layers.Dense(
        classes,
        kernel_initializer=kernel_initializer(),
        bias_initializer=bias_initializer(x.shape[-1]),
        dtype="float32",
        name="output",
    )(x)


def kernel_initializer() -> keras.initializers.Initializer:
    """Return PyTorch's default for kernels: uniform in ±1/sqrt(fan_in).

    PyTorch calls it Kaiming uniform with a = sqrt 5.
    """
    return keras.initializers.VarianceScaling(scale=1 / 3, mode="fan_in", distribution="uniform")


def bias_initializer(fan_in: int) -> keras.initializers.Initializer:
    """Return PyTorch's default for biases: uniform in ±1/sqrt(fan_in)."""
    return keras.initializers.RandomUniform(-1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))
