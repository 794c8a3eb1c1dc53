"""What the nets of LeCun et al. need and Keras lacks: squashing, initial weights, table convolution, subsampling, RBF output and its loss.

Written with keras.ops alone, so that it runs on every backend. All of it is registered in the package "cnnlib": a saved net loads in any
program that has imported `cnnlib.models` before.

Paper: LeCun, Bottou, Bengio & Haffner 1998, "Gradient-Based Learning Applied to Document Recognition", section II and appendix A.
"""

import math

import keras
import numpy as np
from keras import ops

from cnnlib.errors import InputError
from cnnlib.models.checks import check_classes

register = keras.saving.register_keras_serializable(package="cnnlib")


@register
def scaled_tanh(x):
    """The paper's squashing function 1.7159 tanh(2x/3): f(1) = 1 and f(-1) = -1, the points of its largest curvature (appendix A)."""
    return 1.7159 * ops.tanh(2.0 / 3.0 * x)


ACTIVATIONS = {
    "tanh": "tanh",
    "scaled_tanh": scaled_tanh,
    "relu": "relu",
}  # what the nets take as activation=


@register
class LeCun1998(keras.initializers.Initializer):
    """Initial weights uniform in ±2.4/fan_in, where fan_in is the number of inputs of one unit (appendix A).

    Every call draws new values; `keras.utils.set_random_seed` makes them repeatable.
    """

    def __call__(self, shape, dtype=None):
        limit = 2.4 / math.prod(shape[:-1])
        return keras.initializers.RandomUniform(-limit, limit)(shape, dtype)


@register
class TableConvolution(keras.layers.Layer):
    """Convolution (stride 1, no padding) in which each output map sees only the input maps that a table gives it.

    The weights are a kernel (height, width, connections), where the connections of output map 0 come first, then those of map 1, and so on,
    and a bias for each output map: what the table leaves out is no weight, so that Keras' parameter count is the paper's.

    Args:
        table: for each output map the input maps that it sees, counted from 0, such as [[0, 1], [1, 2]].
        kernel_size: height and width of the kernel, one whole number.
        kernel_initializer: as in keras.layers.Conv2D; it sees the fan-in of each output map.

    Raises InputError when it is built on an input that lacks a map which the table names, or has one that the table never uses.
    """

    def __init__(self, table, kernel_size, kernel_initializer="glorot_uniform", **options):
        super().__init__(**options)
        self.table = [[int(i) for i in inputs] for inputs in table]
        self.kernel_size = kernel_size
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        maps, filters = input_shape[-1], len(self.table)
        pairs = [(i, j) for j, inputs in enumerate(self.table) for i in inputs]
        connected = sorted({i for i, _ in pairs})
        if connected != list(range(maps)):
            raise InputError(
                f"{self.name}: its table connects the input maps {connected}, but its input has {maps} maps, counted from 0"
            )
        # 0/1 matrix (connections, maps * filters): where each connection stands in the kernel of an ordinary convolution.
        self._places = np.zeros((len(pairs), maps * filters), "float32")
        self._places[np.arange(len(pairs)), [i * filters + j for i, j in pairs]] = 1
        shape = (self.kernel_size, self.kernel_size, len(pairs))
        self.kernel = self.add_weight(shape=shape, initializer=self._initial_kernel, name="kernel")
        self.bias = self.add_weight(shape=(filters,), initializer="zeros", name="bias")

    def _initial_kernel(self, shape, dtype=None):
        # Map j is column j of a convolution from as many maps as j sees: the right fan-in. An initialiser repeats its values where the
        # shape repeats, so that one column for all maps would make them equal.
        size, filters = self.kernel_size, len(self.table)
        columns = [
            self.kernel_initializer((size, size, len(inputs), filters), dtype)[..., j]
            for j, inputs in enumerate(self.table)
        ]
        return ops.concatenate(columns, axis=-1)

    def dense_kernel(self):
        """The kernel as keras.layers.Conv2D would hold it, (height, width, input maps, output maps), with 0 where nothing is connected."""
        places = ops.cast(self._places, self.compute_dtype)
        # A matrix product rather than a scatter: its gradient is one too, which is fast and the same in every run.
        return ops.reshape(
            ops.matmul(self.kernel, places),
            (self.kernel_size, self.kernel_size, -1, len(self.table)),
        )

    def call(self, inputs):
        return ops.conv(inputs, self.dense_kernel(), padding="valid") + self.bias

    def get_config(self):
        return {
            **super().get_config(),
            "table": self.table,
            "kernel_size": self.kernel_size,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


@register
class TrainableSubsampling(keras.layers.Layer):
    """The paper's S layers: the 2x2 inputs of a unit are added, times a trainable coefficient, plus a trainable bias, one of each per map.

    Squashing is not part of it. Odd rows and columns at the end are left out, as in keras.layers.AveragePooling2D.

    Args:
        inputs: for each output map the input map that it subsamples, counted from 0 (LeNet-4 has two for each); None: each its own.
        coefficient_initializer: it sees a fan-in of 4; None: 1/4, with which the layer begins as average pooling.
    """

    def __init__(self, inputs=None, coefficient_initializer=None, **options):
        super().__init__(**options)
        self.inputs_of_maps = None if inputs is None else [int(i) for i in inputs]
        self.coefficient_initializer = keras.initializers.get(coefficient_initializer)

    def build(self, input_shape):
        if self.inputs_of_maps is not None and not set(self.inputs_of_maps) <= set(
            range(input_shape[-1])
        ):
            raise InputError(
                f"{self.name}: it has {input_shape[-1]} input maps, counted from 0; got inputs={self.inputs_of_maps}"
            )
        maps = input_shape[-1] if self.inputs_of_maps is None else len(self.inputs_of_maps)
        initializer = self.coefficient_initializer or keras.initializers.Constant(0.25)
        self.coefficient = self.add_weight(
            shape=(maps,),
            initializer=lambda shape, dtype: initializer((2, 2, 1, *shape), dtype)[0, 0, 0],
            name="coefficient",
        )
        self.bias = self.add_weight(shape=(maps,), initializer="zeros", name="bias")

    def call(self, inputs):
        sums = 4 * ops.average_pool(inputs, 2, strides=2, padding="valid")
        if self.inputs_of_maps is not None:
            sums = ops.take(sums, self.inputs_of_maps, axis=-1)
        return sums * self.coefficient + self.bias

    def get_config(self):
        return {
            **super().get_config(),
            "inputs": self.inputs_of_maps,
            "coefficient_initializer": keras.initializers.serialize(self.coefficient_initializer),
        }


# The ten digits of the paper's figure 3, 7x12 pixels each, 0 to 9 from left to right; the bar above 0, 2, 4 and 5 is part of the code.
# From two public transcriptions of the figure (the figure itself was not at hand): they agree in 839 of the 840 pixels. The one in doubt,
# the second pixel of row 9 in the digit 3, is drawn black, as at the same place in the digit 5.
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


def digit_codes():
    """The codes of the ten digits, float32 (10, 84): +1 for black, -1 for white, the 12 rows of 7 pixels one after the other (figure 3)."""
    rows = [line.split() for line in _DIGITS.split("\n") if line]
    return np.array(
        [
            [1 if pixel == "#" else -1 for row in rows for pixel in row[digit]]
            for digit in range(10)
        ],
        "float32",
    )


@register
class RBFOutput(keras.layers.Layer):
    """Squared Euclidean distance of the 84 units of F6 to the code of each digit (equation 7): (n, 84) -> (n, classes), smaller is better.

    The codes are fixed: they are no weights, and Keras counts no parameter here. `classes` is at most 10: the digits from 0 on.
    """

    def __init__(self, classes=10, **options):
        super().__init__(**options)
        self.classes = check_classes("RBFOutput", classes, largest=10)
        self._codes = digit_codes()[: self.classes]

    def build(self, input_shape):
        if tuple(input_shape[1:]) != (84,):
            raise InputError(
                f"{self.name}: the codes have 84 elements, so the input must be (n, 84); got {tuple(input_shape)}"
            )

    def call(self, inputs):
        codes = ops.cast(self._codes, inputs.dtype)
        return ops.sum(ops.square(ops.expand_dims(inputs, 1) - codes), axis=-1)

    def get_config(self):
        return {**super().get_config(), "classes": self.classes}


@register
class RBFLoss(keras.losses.Loss):
    """The paper's loss for distances y (equation 9): y_label + log(exp(-j) + sum_i exp(-y_i)), the mean over the patterns.

    It pulls the right code nearer and pushes the others away, but only while they are about as near as the constant `j`, the distance of a
    class "none of these". The paper says that j is positive and gives no value: 0.1 is a choice.
    Labels are whole numbers, (n,) or (n, 1); distances are (n, classes), as RBFOutput gives them.
    """

    def __init__(self, j=0.1, reduction="sum_over_batch_size", name="rbf_loss", **options):
        super().__init__(reduction=reduction, name=name, **options)
        if not j > 0:
            raise InputError(f"RBFLoss: the constant j must be positive; got {j!r}")
        self.j = float(j)

    def call(self, labels, distances):
        labels = ops.reshape(ops.cast(labels, "int32"), (-1, 1))
        right = ops.take_along_axis(distances, labels, axis=1)[:, 0]
        none = ops.full_like(distances[:, :1], -self.j)
        return right + ops.logsumexp(ops.concatenate([none, -distances], axis=1), axis=1)

    def get_config(self):
        return {**super().get_config(), "j": self.j}


def scores(model, outputs):
    """Return the outputs of `model`, an array or tensor (n, classes), so that larger is better: distances change their sign."""
    return -outputs if isinstance(model.layers[-1], RBFOutput) else outputs
