"""The layers, activation, initial weights and loss of LeCun et al. that Keras lacks.

They are written with keras.ops alone, so that they run on every backend. All are registered with
Keras in the package "cnnlib".

Paper: LeCun, Bottou, Bengio & Haffner 1998, "Gradient-Based Learning Applied to Document
Recognition", section II and appendix A.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

register = keras.saving.register_keras_serializable(package="cnnlib")


@register
def scaled_tanh(x: Any) -> Any:
    """Return the paper's activation 1.7159 tanh(2x/3).

    f(1) = 1 and f(-1) = -1, the points of its largest curvature (appendix A).
    """
    return 1.7159 * ops.tanh(2.0 / 3.0 * x)


# What the nets take as activation=
ACTIVATIONS = {"tanh": "tanh", "scaled_tanh": scaled_tanh, "relu": "relu"}


@register
class LeCun1998(keras.initializers.Initializer):
    """Draw initial weights uniform in ±2.4/fan_in, the number of inputs of a unit (appendix A)."""

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Any:
        limit = 2.4 / math.prod(shape[:-1])
        return keras.initializers.RandomUniform(-limit, limit)(shape, dtype)


@register
class TableConvolution(keras.layers.Layer):
    """Convolve (stride 1, no padding) so that each output map sees only the input maps of a table.

    The weights are a kernel (height, width, connections), with the connections of output map 0
    first, and a bias for each output map. What the table leaves out is no weight, so that Keras'
    parameter count is the paper's.

    Args:
        table: for each output map the input maps that it sees, counted from 0: [[0, 1], [1, 2]].
        kernel_size: height and width of the kernel, one whole number.
        kernel_initializer: as in keras.layers.Conv2D; it sees the fan-in of each output map.
    """

    def __init__(
        self,
        table: Sequence[Sequence[int]],
        kernel_size: int,
        kernel_initializer: Any = "glorot_uniform",
        **options: Any,
    ):
        super().__init__(**options)
        self.table = [list(inputs) for inputs in table]
        self.kernel_size = kernel_size
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: Sequence[int]) -> None:
        filters, size = len(self.table), self.kernel_size
        pairs = [i * filters + j for j, inputs in enumerate(self.table) for i in inputs]
        # 0/1 matrix (connections, maps * filters): where each connection stands in the kernel of
        # an ordinary convolution.
        self._positions = np.eye(input_shape[-1] * filters, dtype="float32")[pairs]
        self.kernel = self.add_weight(
            shape=(size, size, len(pairs)), initializer=self._initial_kernel, name="kernel"
        )
        self.bias = self.add_weight(shape=(filters,), initializer="zeros", name="bias")

    def _initial_kernel(self, shape: Sequence[int], dtype: str | None = None) -> Any:
        # Map j is column j of a convolution from as many maps as j sees, which has the right
        # fan-in. An initializer repeats its values where the shape repeats: from one column for
        # all maps they would be equal.
        size, filters = self.kernel_size, len(self.table)
        columns = [
            self.kernel_initializer((size, size, len(inputs), filters), dtype)[..., j]
            for j, inputs in enumerate(self.table)
        ]
        return ops.concatenate(columns, axis=-1)

    def dense_kernel(self) -> Any:
        """Return the kernel as keras.layers.Conv2D holds it, with 0 where nothing is connected."""
        positions = ops.cast(self._positions, self.compute_dtype)
        # A matrix product rather than a scatter: its gradient is one too, which is fast and the
        # same in every run.
        return ops.reshape(
            ops.matmul(self.kernel, positions),
            (self.kernel_size, self.kernel_size, -1, len(self.table)),
        )

    def call(self, inputs: Any) -> Any:
        return ops.conv(inputs, self.dense_kernel(), padding="valid") + self.bias

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "table": self.table,
            "kernel_size": self.kernel_size,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


@register
class TrainableSubsampling(keras.layers.Layer):
    """Subsample as the S layers of the paper: a sum, times a coefficient, plus a bias.

    The 2x2 inputs of a unit are added. Coefficient and bias are trainable, one of each per map.
    The activation is not part of it.

    Args:
        inputs: for each output map the input map that it subsamples, counted from 0 (LeNet-4 has
            two for each); None: each its own.
        coefficient_initializer: it sees a fan-in of 4; None: 1/4, with which the layer starts as
            average pooling.
    """

    def __init__(
        self,
        inputs: Sequence[int] | None = None,
        coefficient_initializer: Any = None,
        **options: Any,
    ):
        super().__init__(**options)
        self.inputs_of_maps = inputs
        self.coefficient_initializer = keras.initializers.get(coefficient_initializer)

    def build(self, input_shape: Sequence[int]) -> None:
        maps = input_shape[-1] if self.inputs_of_maps is None else len(self.inputs_of_maps)
        initializer = self.coefficient_initializer or keras.initializers.Constant(0.25)
        self.coefficient = self.add_weight(
            shape=(maps,),
            initializer=lambda shape, dtype: initializer((2, 2, 1, *shape), dtype)[0, 0, 0],
            name="coefficient",
        )
        self.bias = self.add_weight(shape=(maps,), initializer="zeros", name="bias")

    def call(self, inputs: Any) -> Any:
        sums = 4 * ops.average_pool(inputs, 2, strides=2, padding="valid")
        if self.inputs_of_maps is not None:
            sums = ops.take(sums, self.inputs_of_maps, axis=-1)
        return sums * self.coefficient + self.bias

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "inputs": self.inputs_of_maps,
            "coefficient_initializer": keras.initializers.serialize(self.coefficient_initializer),
        }


# The ten digits of the paper's figure 3, 7x12 pixels each, 0 to 9 from left to right; the bar above
# 0, 2, 4 and 5 is part of the code. They come from two public transcriptions of the figure, which
# agree in 839 of the 840 pixels. The one in doubt, the second pixel of row 9 in the digit 3, is
# drawn black, as at the same position in the digit 5.
_DIGITS = """
.#####.  ...##..  .#####.  #######  .#####.  .#####.  ..####.  #######  .#####.  .#####.
.......  ..###..  .......  .....##  .......  .......  .##....  .....##  ##...##  ##..###
..###..  .####..  .#####.  ....##.  .......  #######  ##.....  .....##  ##...##  ##...##
.##.##.  ...##..  ##...##  ...##..  .##..##  ##.....  ##.....  ....##.  ##...##  ##...##
##...##  ...##..  #....##  ..####.  .##..##  ##.....  ######.  ...##..  .#####.  ##..###
##...##  ...##..  ....##.  .....##  ###..##  .####..  ###..##  ...##..  ##...##  .######
##...##  ...##..  ..###..  .....##  ##...##  ..####.  ##...##  ..##...  ##...##  .....##
##...##  ...##..  .##....  .....##  ##...##  .....##  ##...##  ..##...  ##...##  .....##
.##.##.  ...##..  ##.....  ##...##  ##..###  ##...##  ###..##  ..##...  ##...##  ....##.
..###..  .######  #######  .#####.  .######  .#####.  .#####.  ..##...  .#####.  .####..
.......  .......  .......  .......  .....##  .......  .......  .......  .......  .......
.......  .......  .......  .......  .....##  .......  .......  .......  .......  .......
"""


def digit_codes() -> np.ndarray:
    """Return the codes of the ten digits (figure 3), float32 (10, 84): +1 for black, -1 for white.

    The 12 rows of 7 pixels stand one after the other.
    """
    rows = [line.split() for line in _DIGITS.split("\n") if line]
    pixels = ["".join(row[digit] for row in rows) for digit in range(10)]
    return np.array([[1 if pixel == "#" else -1 for pixel in code] for code in pixels], "float32")


@register
class RBFOutput(keras.layers.Layer):
    """Return the squared Euclidean distance of F6 to the code of each digit (equation 7).

    (n, 84) -> (n, classes), smaller is better; at most 10 classes, the digits from 0 on. The codes
    are fixed: they are no weights, and Keras counts no parameter here.
    """

    def __init__(self, classes: int = 10, **options: Any):
        super().__init__(**options)
        if classes > 10:
            raise ValueError(f"there are 10 codes of digits, and classes is {classes}")
        self.classes = classes
        self._codes = digit_codes()[:classes]

    def call(self, inputs: Any) -> Any:
        codes = ops.cast(self._codes, inputs.dtype)
        return ops.sum(ops.square(ops.expand_dims(inputs, 1) - codes), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "classes": self.classes}


@register
class RBFLoss(keras.losses.Loss):
    """Compute the paper's loss of distances (equation 9), as the mean over the patterns.

    For distances y it is y_label + log(exp(-j) + sum_i exp(-y_i)). It pulls the right code nearer
    and pushes the others away, but only while they are about as near as the constant `j`, the
    distance of a class "none of these". The paper says that j is positive and gives no value: 0.1
    is our choice. Labels are (n,) or (n, 1), distances (n, classes).
    """

    def __init__(self, j: float = 0.1, name: str = "rbf_loss", **options: Any):
        super().__init__(name=name, **options)
        self.j = j

    def call(self, labels: Any, distances: Any) -> Any:
        labels = ops.reshape(ops.cast(labels, "int32"), (-1, 1))
        right = ops.take_along_axis(distances, labels, axis=1)[:, 0]
        none = ops.full_like(distances[:, :1], -self.j)
        return right + ops.logsumexp(ops.concatenate([none, -distances], axis=1), axis=1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "j": self.j}


def scores(model: keras.Model, outputs: Any) -> Any:
    """Return the outputs (n, classes) of a net so that larger is better: minus the distances."""
    return -outputs if isinstance(model.layers[-1], RBFOutput) else outputs
