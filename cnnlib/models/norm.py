"""Batch norm and GELU in few passes over the maps, with the same weights and results as Keras' own.

Keras puts batch norm together from means, differences and products, each of which reads and writes
all maps, in float32 whatever the precision of the net. TensorFlow has one operation for all of it
and one for its gradient, which read and write maps of the net's precision and add up in float32.
GELU, too, is a chain of products for TensorFlow, forward and back; here XLA makes one loop of each.
For the times, see benchmarks/README.md.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import keras
from keras import layers, ops

from cnnlib import backend
from cnnlib.models.layers import register


@register
class BatchNorm(layers.BatchNormalization):
    """keras.layers.BatchNormalization, by TensorFlow's fused operation where that is the backend.

    For maps (n, height, width, channels), without a mask.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if keras.backend.backend() != "tensorflow" or len(inputs.shape) != 4:
            return super().call(inputs, training=training, mask=mask)
        learning = bool(training) and self.trainable
        channels = self.moving_mean.shape
        outputs, mean, variance = _fused(
            ops.cast(inputs, self.compute_dtype),
            ops.cast(self.gamma if self.scale else ops.ones(channels), "float32"),
            ops.cast(self.beta if self.center else ops.zeros(channels), "float32"),
            None if learning else self.moving_mean,
            None if learning else self.moving_variance,
            self.epsilon,
        )
        if learning:
            for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
                kept = self.momentum * moving
                moving.assign(kept + (1 - self.momentum) * ops.cast(value, moving.dtype))
        return outputs


def _fused(inputs, gamma, beta, mean, variance, epsilon):
    """Return TensorFlow's batch norm by these statistics, or by the batch's where they are None.

    Also mean and variance of each channel; the variance is that of a population, as in Keras.
    """
    import tensorflow as tf

    learning = mean is None
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=gamma,
        offset=beta,
        mean=tf.zeros([0]) if learning else tf.cast(mean, "float32"),
        variance=tf.zeros([0]) if learning else tf.cast(variance, "float32"),
        epsilon=epsilon,
        exponential_avg_factor=1.0,
        is_training=learning,
    )
    if learning:  # TensorFlow's is that of a sample
        count = tf.cast(tf.reduce_prod(tf.shape(inputs)[:3]), "float32")
        variance *= tf.maximum(count - 1, 1) / count
    return outputs, mean, variance


@register
def gelu(inputs: Any) -> Any:
    """Return keras.activations.gelu(inputs), x times the share of a normal distribution below x."""
    if keras.backend.backend() != "tensorflow" or not backend.on_cpu():
        return keras.activations.gelu(inputs, approximate=False)
    import tensorflow as tf

    forward, back = _gelu_loops()

    @tf.custom_gradient
    def activation(x):
        return forward(x), lambda gradient: back(x, gradient)

    return activation(tf.convert_to_tensor(inputs))


@functools.cache
def _gelu_loops():
    """GELU and its gradient, each compiled to one loop that computes in float32."""
    import tensorflow as tf

    def share_below(x):
        return 0.5 * (1 + tf.math.erf(x * math.sqrt(0.5)))

    @tf.function(jit_compile=True, autograph=False)
    def forward(inputs):
        x = tf.cast(inputs, "float32")
        return tf.cast(x * share_below(x), inputs.dtype)

    @tf.function(jit_compile=True, autograph=False)
    def back(inputs, gradient):
        x = tf.cast(inputs, "float32")
        slope = share_below(x) + x * tf.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
        return tf.cast(tf.cast(gradient, "float32") * slope, inputs.dtype)

    return forward, back
