"""The parts of the twelve nets: convolutions, batch norm and initial weights as PyTorch has them.

PyTorch and Keras differ here by default, and each difference changes results:
- A 3x3 convolution with stride 2 pads one pixel on every side in PyTorch; Keras' "same" pads only
  below and to the right.
- Batch norm has epsilon 1e-5 and keeps 0.9 of the running statistics in PyTorch; 1e-3 and 0.99 in
  Keras. (Keras keeps the variance of a population, PyTorch that of a sample: left as it is.)
- Initial weights are uniform in ±1/sqrt(fan_in) in PyTorch, biases too; Keras takes Glorot's rule,
  and biases of 0.

Layers are named by stage and block, and stand in `model.layers` in the order in which the published
definitions compute them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from typing import Any

import keras
from keras import KerasTensor, layers, ops

from cnnlib import backend
from cnnlib.models.layers import register
from cnnlib.models.norm import BatchNorm
from cnnlib.models.winograd import FastConv2D

Block = Callable[[KerasTensor, Any, int, str], KerasTensor]  # maps in, size, stride, name


def net(features: Callable[[KerasTensor], KerasTensor]) -> Callable[..., keras.Model]:
    """Make a net of a function from images to maps: the mean of each map, and one dense layer."""

    def build(
        input_shape: tuple[int, int, int] = (32, 32, 3),
        classes: int = 10,
        name: str = features.__name__.lower().replace("_", "-"),
    ) -> keras.Model:
        images = keras.Input(input_shape, dtype="float32", name="input")
        x = layers.GlobalAveragePooling2D(name="pool")(features(images))
        x = layers.Dense(
            classes,
            kernel_initializer=kernel_initializer(),
            bias_initializer=bias_initializer(x.shape[-1]),
            dtype="float32",
            name="output",
        )(x)
        return keras.Model(images, x, name=name)

    build.__name__, build.__module__ = features.__name__, features.__module__
    build.__doc__ = features.__doc__
    return build


@register
class GroupedConv2D(layers.Conv2D):
    """Compute as keras.layers.Conv2D with `groups`, with the same weights, but fast on a CPU too.

    Keras compiles grouped convolutions with XLA on a CPU, to code that is hundreds of times slower
    than one convolution for each group. oneDNN, which TensorFlow has on x86, is two to three times
    faster still. With as many groups as input maps it is a depthwise convolution, fast everywhere.
    """

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        options = {"strides": self.strides, "padding": self.padding}
        if kernel.shape[2] == 1 and self.filters == self.groups:
            return ops.depthwise_conv(inputs, ops.transpose(kernel, (0, 1, 3, 2)), **options)
        if keras.backend.backend() != "tensorflow" or not backend.on_cpu():
            return ops.conv(inputs, kernel, **options)
        if _onednn_groups(keras.backend.standardize_dtype(inputs.dtype)):
            import tensorflow as tf

            return tf.nn.conv2d(inputs, kernel, self.strides, self.padding.upper())
        pairs = zip(
            ops.split(inputs, self.groups, axis=-1),
            ops.split(kernel, self.groups, axis=-1),
            strict=True,
        )
        return ops.concatenate([ops.conv(maps, part, **options) for maps, part in pairs], axis=-1)


@functools.cache
def _onednn_groups(dtype: str) -> bool:
    """Return whether TensorFlow computes grouped convolutions and their gradients on this CPU.

    With oneDNN it does, for the types that oneDNN has on the processor.
    """
    import tensorflow as tf

    @tf.function(autograph=False)
    def results() -> list[Any]:
        maps, kernel = tf.ones([1, 3, 3, 4], dtype), tf.ones([3, 3, 2, 4], dtype)
        outputs = tf.nn.conv2d(maps, kernel, 1, "SAME")
        return [outputs, *tf.gradients(outputs, [maps, kernel], grad_ys=maps)]

    try:
        with tf.init_scope():
            forward, back, change = (result.numpy() for result in results())
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
    """Add a convolution that pads `size // 2` pixels on every side."""
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


def norm_relu(x: KerasTensor, norm_name: str, relu_name: str) -> KerasTensor:
    return layers.ReLU(name=relu_name)(norm(x, norm_name))


def convolution_norm(
    x: KerasTensor,
    filters: int,
    size: int,
    block: str,
    part: int,
    relu: bool = True,
    **options: Any,
) -> KerasTensor:
    """Add a convolution, its batch norm and ReLU: {block}_conv{part}, _bn{part} and _relu{part}.

    `block` is "" for a stem, whose names begin without it.
    """
    prefix = f"{block}_" if block else ""
    x = convolution(x, filters, size, f"{prefix}conv{part}", **options)
    x = norm(x, f"{prefix}bn{part}")
    return layers.ReLU(name=f"{prefix}relu{part}")(x) if relu else x


def stages(
    x: KerasTensor,
    block: Block,
    depths: Iterable[int],
    sizes: Iterable[Any],
    strides: Iterable[int] = (1, 2, 2, 2),
) -> KerasTensor:
    """Add stages of `depths` blocks: block(x, size, stride, name), the first with the stride."""
    for stage, (depth, size, stride) in enumerate(zip(depths, sizes, strides, strict=False), 1):
        for number in range(1, depth + 1):
            x = block(x, size, stride if number == 1 else 1, f"stage{stage}_block{number}")
    return x


def projection(
    x: KerasTensor, y: KerasTensor, stride: int, block: str
) -> tuple[KerasTensor, KerasTensor]:
    """Give the input `x` of a block the shape of its result `y`: 1x1 convolution and batch norm."""
    x = convolution(x, y.shape[-1], 1, f"{block}_shortcut_conv", stride=stride)
    return norm(x, f"{block}_shortcut_bn"), wait(y, f"{block}_wait")


def add_shortcut(
    x: KerasTensor, y: KerasTensor, stride: int, block: str, relu: bool = True
) -> KerasTensor:
    """Add the input `x` of a block, projected where the shape changes, to its result `y`."""
    if stride > 1 or x.shape[-1] != y.shape[-1]:
        x, y = projection(x, y, stride, block)
    x = layers.Add(name=f"{block}_add")([y, x])
    return layers.ReLU(name=f"{block}_relu")(x) if relu else x


def wait(x: KerasTensor, name: str) -> KerasTensor:
    """Return `x` itself, one step later.

    Keras lists layers by their distance to the output. Without it a projection, the shorter path of
    its block, would be listed before the end of the other, as no published definition has it.
    """
    return layers.Identity(name=name)(x)


def kernel_initializer() -> keras.initializers.Initializer:
    """Return PyTorch's default for kernels (Kaiming, a = sqrt 5): uniform in ±1/sqrt(fan_in)."""
    return keras.initializers.VarianceScaling(scale=1 / 3, mode="fan_in", distribution="uniform")


def bias_initializer(fan_in: int) -> keras.initializers.Initializer:
    """Return PyTorch's default for biases: uniform in ±1/sqrt(fan_in)."""
    return keras.initializers.RandomUniform(-1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))
