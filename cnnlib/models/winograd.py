"""3x3 convolution with a quarter of the multiplications, by which VGG16 learns about twice as fast on a CPU.

Paper: A. Lavin & S. Gray 2016, "Fast Algorithms for Convolutional Neural Networks", section 4.3: F(4x4, 3x3), shown on VGG. A tile of 6x6
inputs and a kernel of 3x3 are each turned into 6x6 numbers; their products, one by one, turned back are 4x4 outputs: 36 multiplications
for what takes 144. Summed over the input maps, the products are 36 matrix products. cuDNN does this on a GPU; what TensorFlow takes on a
CPU is slower (benchmarks/README.md). Outputs and gradients differ from those of an ordinary convolution by rounding: by about
1e-5 of the largest.
"""

import numpy as np
from keras import layers, ops

from cnnlib import backend
from cnnlib.models.layers import register

TILE = 4  # outputs a side
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
    """keras.layers.Conv2D with the same weights and the same results, that learns faster on a CPU where it can.

    Only while a net is trained, and only with a 3x3 kernel, stride 1 and padding "same", does it compute by `convolution`; tests and
    features see the ordinary convolution, bit for bit.
    """

    def call(self, inputs, training=False):
        if not training or not self._pays(inputs.shape):
            return super().call(inputs)
        outputs = convolution(inputs, self.kernel)
        outputs = outputs + self.bias if self.use_bias else outputs
        return outputs if self.activation is None else self.activation(outputs)

    def _pays(self, shape):
        """Whether the tiles cost less than they save: from 4x4 pixels and 128 maps on (benchmarks/README.md has the figures)."""
        plain = (self.kernel_size, self.strides, self.dilation_rate) == (
            (3, 3),
            (1, 1),
            (1, 1),
        ) and self.groups == 1
        plain = plain and (self.padding, self.data_format) == ("same", "channels_last")
        return plain and min(shape[1:3]) >= TILE and shape[3] >= 128 and backend.on_cpu()


def convolution(inputs, kernel):
    """Convolution with stride 1 and zeros around the maps ("same"): (n, height, width, c), (3, 3, c, k) -> (n, height, width, k)."""
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
    return ops.reshape(x, (-1, height, width, filters))


def _tiles(size):
    """For one side of the maps: matrix (6 * tiles, size) from its pixels to all tiles, matrix (size, 6 * tiles) back, number of tiles."""
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
