"""The losses that nets are trained by, and the error that is reported while they learn."""

from typing import Annotated

import keras
from pydantic import Field

from cnnlib import models
from cnnlib.validation import InstanceOf, Number, validated

Smoothing = Annotated[Number, Field(ge=0, lt=1)]


@validated
def loss_of(model: InstanceOf[keras.Model], label_smoothing: Smoothing = 0.0) -> keras.losses.Loss:
    """Return cross-entropy from logits, or the 1998 paper's loss for a net with an RBF output."""
    if isinstance(model.layers[-1], models.RBFOutput):
        return models.RBFLoss()
    if label_smoothing:
        return SmoothedCrossEntropy(label_smoothing)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def error_metric(model: keras.Model) -> keras.metrics.Metric:
    """Return the metric "error_percent": the mean error in % of what `model` answers."""
    has_distances = isinstance(model.layers[-1], models.RBFOutput)
    function = error_percent_of_distances if has_distances else error_percent
    return keras.metrics.MeanMetricWrapper(function, name="error_percent")


@keras.saving.register_keras_serializable(package="cnnlib")
class SmoothedCrossEntropy(keras.losses.CategoricalCrossentropy):
    """Cross-entropy of whole-number labels, with a part of each target shared by all classes.

    It takes labels (n,) or (n, 1) and logits (n, classes).
    """

    def __init__(self, label_smoothing=0.1, name="smoothed_cross_entropy", **options):
        super().__init__(
            **{**options, "from_logits": True}, label_smoothing=label_smoothing, name=name
        )

    def call(self, labels: keras.KerasTensor, logits: keras.KerasTensor) -> keras.KerasTensor:
        labels = keras.ops.cast(keras.ops.reshape(labels, (-1,)), "int32")
        return super().call(keras.ops.one_hot(labels, logits.shape[-1]), logits)


@keras.saving.register_keras_serializable(package="cnnlib")
def error_percent(labels: keras.KerasTensor, scores: keras.KerasTensor) -> keras.KerasTensor:
    """Return 100 where the largest score is not the label's, else 0: its mean is the error in %.

    Args:
        labels: tensor (n,) or (n, 1).
        scores: tensor (n, classes).
    """
    answers = keras.ops.argmax(scores, axis=-1)
    wrong = answers != keras.ops.cast(keras.ops.reshape(labels, (-1,)), "int32")
    return 100 * keras.ops.cast(wrong, "float32")


@keras.saving.register_keras_serializable(package="cnnlib")
def error_percent_of_distances(
    labels: keras.KerasTensor, distances: keras.KerasTensor
) -> keras.KerasTensor:
    """Return `error_percent` for an RBF output, where the smallest distance is the answer."""
    return error_percent(labels, -distances)
