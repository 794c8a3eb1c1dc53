"""3x3 convolutions that learn faster on a CPU than the library's, with the same results.

In float32 by Winograd's algorithm: A. Lavin & S. Gray 2016, "Fast Algorithms for Convolutional
Neural Networks", section 4.3, F(4x4, 3x3). A tile of 6x6 inputs and a kernel of 3x3 are each turned
into 6x6 numbers; their products, one by one, turned back are 4x4 outputs: 36 multiplications for
what takes 144. Outputs and gradients differ from those of an ordinary convolution by rounding, by
about 1e-5 of the largest.

In bfloat16, where the rounding of 6x6 tiles would show, by the library, which uses the units for
matrix products that some processors have; but the kernel's gradient over small maps is nine matrix
products. For the times, see benchmarks/README.md.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from cnnlib import backend
from cnnlib.models.layers import register

TILE = 4  # outputs a side
SMALL = 16  # pixels of maps for `small_maps`, at most
_INPUT = np.array(  # the paper's B transposed
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
_KERNEL = (
    np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
)  # G
_OUTPUT = np.array(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
)  # A transposed


@register
class FastConv2D(layers.Conv2D):
    """keras.layers.Conv2D with the same weights and results, that learns faster on a CPU.

    It is for 3x3 kernels, stride 1 and padding "same", and computes in another way only while a net
    is trained. Tests and features see the ordinary convolution, bit for bit.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        algorithm = self._algorithm(inputs.shape) if training else None
        if algorithm is None:
            return super().call(inputs)
        outputs = algorithm(inputs, self.kernel)
        outputs = outputs + self.bias if self.use_bias else outputs
        return outputs if self.activation is None else self.activation(outputs)

    def _algorithm(self, shape):
        """Return what is faster than the library for inputs of this shape, or None."""
        if (self.kernel_size, self.strides, self.padding) != ((3, 3), (1, 1), "same"):
            return None
        if None in shape[1:] or not backend.on_cpu():
            return None
        if self.compute_dtype == "float32":
            return convolution if min(shape[1:3]) >= TILE and shape[3] >= 128 else None
        small = shape[1] * shape[2] <= SMALL and min(shape[3], self.filters) >= 256
        return small_maps if small and keras.backend.backend() == "tensorflow" else None


def convolution(inputs: Any, kernel: Any) -> Any:
    """Convolve by Winograd's algorithm, with stride 1 and padding "same", computed in float32.

    Inputs (n, height, width, c) and a kernel (3, 3, c, k) -> (n, height, width, k).
    """
    precision = inputs.dtype
    inputs, kernel = ops.cast(inputs, "float32"), ops.cast(kernel, "float32")
    (height, width, maps), filters = inputs.shape[1:], kernel.shape[3]
    (rows, rows_back, down), (columns, columns_back, across) = _tiles(height), _tiles(width)
    kernels = ops.reshape(
        ops.matmul(_constant(np.kron(_KERNEL, _KERNEL)), ops.reshape(kernel, (9, -1))),
        (36, maps, filters),
    )
    x = ops.matmul(_constant(rows), ops.reshape(inputs, (-1, height, width * maps)))
    x = ops.matmul(_constant(columns), ops.reshape(x, (-1, width, maps)))
    x = ops.transpose(ops.reshape(x, (-1, 6, down, 6, across, maps)), (1, 3, 0, 2, 4, 5))
    x = ops.matmul(ops.reshape(x, (36, -1, maps)), kernels)
    x = ops.transpose(ops.reshape(x, (6, 6, -1, down, across, filters)), (2, 0, 3, 1, 4, 5))
    x = ops.matmul(_constant(columns_back), ops.reshape(x, (-1, 6 * across, filters)))
    x = ops.matmul(_constant(rows_back), ops.reshape(x, (-1, 6 * down, width * filters)))
    return ops.cast(ops.reshape(x, (-1, height, width, filters)), precision)


def small_maps(inputs: Any, kernel: Any) -> Any:
    """Convolve by TensorFlow, with the kernel's gradient as nine matrix products."""
    import tensorflow as tf

    @tf.custom_gradient
    def convolve(maps, weights):
        def gradients(outputs):
            back = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=tf.shape(maps),
                filter=weights,
                out_backprop=outputs,
                strides=[1, 1, 1, 1],
                padding="SAME",
            )
            return back, _kernel_gradient(maps, outputs)

        return tf.nn.conv2d(maps, weights, 1, "SAME"), gradients

    return convolve(inputs, ops.convert_to_tensor(kernel))


def _kernel_gradient(maps, outputs):
    """Multiply the maps, moved to each of the kernel's nine places, by the outputs' gradient."""
    import tensorflow as tf

    height, width, channels = maps.shape[1:]
    padded = tf.pad(maps, [[0, 0], [1, 1], [1, 1], [0, 0]])
    outputs = tf.reshape(outputs, [-1, outputs.shape[3]])
    products = [
        tf.matmul(
            tf.reshape(padded[:, row : row + height, column : column + width], [-1, channels]),
            outputs,
            transpose_a=True,
        )
        for row in range(3)
        for column in range(3)
    ]
    return tf.reshape(tf.stack(products), [3, 3, channels, -1])


def _tiles(size):
    """Return matrices from the pixels of a side to its tiles and back, and the number of tiles."""
    count = -(-size // TILE)
    there, back = np.zeros((6, count, size)), np.zeros((size, 6, count))
    for tile in range(count):
        first = TILE * tile - 1  # a tile begins one pixel before its outputs
        inside = slice(max(first, 0), min(first + 6, size))
        there[:, tile, inside] = _INPUT[:, inside.start - first : inside.stop - first]
        outputs = slice(TILE * tile, min(TILE * (tile + 1), size))
        back[outputs, :, tile] = _OUTPUT[: outputs.stop - outputs.start]
    return there.reshape(-1, size), back.reshape(size, -1), count


def _constant(matrix):
    return ops.convert_to_tensor(matrix.astype("float32"))
