"""What a recipe asks for: optimizer, learning rate, loss, average of the weights, small images.

Sources of what shortens a training: Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU"
(average, rate of the shifts, linear decay); Zhang, Lucas, Hinton & Ba 2019, "Lookahead Optimizer: k
steps forward, 1 step back"; the fast.ai team's entry to Stanford's DAWNBench in 2018, which began
with smaller images.
"""

import math
from typing import Any

import keras
import numpy as np

from cnnlib import models
from cnnlib.preprocessing import area_shares
from cnnlib.recipes import LECUN_1998_RATES, Recipe

FIRST_DECAY = 0.95  # of the average, for each step, at the end of training; it begins at 0


def optimizer(recipe: Recipe, steps: int) -> keras.optimizers.Optimizer:
    """Return the optimizer of a recipe, for epochs of so many steps."""
    rate = learning_rate(recipe, steps)
    if recipe.optimizer == "torch-sgd":
        options = {"nesterov": recipe.nesterov, "shift_rate": recipe.shift_rate}
        return TorchSGD(rate, recipe.momentum, recipe.weight_decay, **options)
    if recipe.optimizer == "sgd":
        decay = recipe.weight_decay or None
        return keras.optimizers.SGD(rate, momentum=recipe.momentum, weight_decay=decay)
    return keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay)


def learning_rate(
    recipe: Recipe, steps: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Return the learning rate of a recipe by step."""
    rate, warmup = recipe.learning_rate, round(recipe.warmup_epochs * steps)
    if recipe.schedule == "linear":
        return LinearDecay(rate, warmup, recipe.epochs * steps)
    if recipe.schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else rate,
            max(recipe.epochs * steps - warmup, 1),
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
    if recipe.schedule == "constant":
        return rate
    if recipe.schedule == "lecun-1998":
        rates = [part * rate for _, part in LECUN_1998_RATES]
        changes = [last for last, _ in LECUN_1998_RATES if last]
    else:
        turns = [math.pi * epoch / recipe.epochs for epoch in range(recipe.epochs)]
        rates = [rate * (1 + math.cos(turn)) / 2 for turn in turns]
        changes = list(range(1, recipe.epochs))
    if not changes:  # one epoch, for which Keras has no piecewise rate
        return rates[0]
    # A boundary is the last step at which a rate holds.
    boundaries = [epoch * steps - 1 for epoch in changes]
    return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates)


@keras.saving.register_keras_serializable(package="cnnlib")
class LinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Rise from 0 to `peak` in `warmup` steps, then fall to 0 at step `total`, both linearly."""

    def __init__(self, peak: float, warmup: int, total: int):
        self.peak, self.warmup, self.total = peak, warmup, total

    def __call__(self, step: Any) -> Any:
        step = keras.ops.cast(step, "float32")
        falling = (self.total - step) / max(self.total - self.warmup, 1)
        part = keras.ops.minimum(step / self.warmup, falling) if self.warmup else falling
        return self.peak * keras.ops.maximum(part, 0.0)

    def get_config(self) -> dict[str, Any]:
        return {"peak": self.peak, "warmup": self.warmup, "total": self.total}


@keras.saving.register_keras_serializable(package="cnnlib")
class TorchSGD(keras.optimizers.SGD):
    """SGD as PyTorch defines it, and as published PyTorch recipes mean it.

    What the momentum adds up is gradient + weight_decay * weight, and the learning rate multiplies
    the sum. (In Keras weight decay is not part of the sum, and each gradient keeps the rate of its
    step.) The gradients of batch norm's shifts, its variables `beta`, count `shift_rate` times.
    """

    def __init__(
        self, learning_rate=0.1, momentum=0.9, coupled_decay=0.0, *, shift_rate=1.0, **options
    ):
        super().__init__(learning_rate, momentum=momentum, **options)
        self.coupled_decay, self.shift_rate = coupled_decay, shift_rate

    def build(self, variables: list[keras.Variable]) -> None:
        super().build(variables)
        self._shifts = {i for i, variable in enumerate(variables) if variable.name == "beta"}

    def update_step(self, gradient: Any, variable: keras.Variable, learning_rate: Any) -> None:
        rate = keras.ops.cast(learning_rate, variable.dtype)
        step = keras.ops.cast(gradient, variable.dtype)
        if self.shift_rate != 1 and self._get_variable_index(variable) in self._shifts:
            step = self.shift_rate * step
        step = step + self.coupled_decay * variable
        if self.momentum:
            velocity = self.momentums[self._get_variable_index(variable)]
            self.assign(velocity, self.momentum * velocity + step)
            step = step + self.momentum * velocity if self.nesterov else velocity
        self.assign_sub(variable, rate * step)

    def get_config(self) -> dict:
        own = {"coupled_decay": self.coupled_decay, "shift_rate": self.shift_rate}
        return {**super().get_config(), **own}


def loss_of(model: keras.Model, label_smoothing: float = 0.0) -> keras.losses.Loss:
    """Return cross-entropy from logits, or the 1998 paper's loss for a net with an RBF output."""
    if isinstance(model.layers[-1], models.RBFOutput):
        return models.RBFLoss()
    if label_smoothing:
        return SmoothedCrossEntropy(label_smoothing)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@keras.saving.register_keras_serializable(package="cnnlib")
class SmoothedCrossEntropy(keras.losses.CategoricalCrossentropy):
    """Cross-entropy of labels (n,) or (n, 1) and logits, a part shared by all classes."""

    def __init__(self, label_smoothing=0.1, name="smoothed_cross_entropy", **options):
        options["from_logits"] = True
        super().__init__(label_smoothing=label_smoothing, name=name, **options)

    def call(self, labels: Any, logits: Any) -> Any:
        labels = keras.ops.cast(keras.ops.reshape(labels, (-1,)), "int32")
        return super().call(keras.ops.one_hot(labels, logits.shape[-1]), logits)


def error_metric(model: keras.Model) -> keras.metrics.Metric:
    """Return the metric "error_percent": the mean error in % of what `model` answers."""
    sign = -1 if isinstance(model.layers[-1], models.RBFOutput) else 1
    return keras.metrics.MeanMetricWrapper(error_percent, name="error_percent", sign=sign)


@keras.saving.register_keras_serializable(package="cnnlib")
def error_percent(labels: Any, scores: Any, sign: int = 1) -> Any:
    """Return 100 where the answer of the scores (n, classes) is not the label, else 0.

    The answer is the largest score or, with the sign -1, the smallest.
    """
    answers = keras.ops.argmax(sign * scores, axis=-1)
    wrong = answers != keras.ops.cast(keras.ops.reshape(labels, (-1,)), "int32")
    return 100 * keras.ops.cast(wrong, "float32")


class Lookahead(keras.callbacks.Callback):
    """Every few steps, and after each epoch, put the net part of the way back to its average.

    The average is kept of everything that is not a whole number, batch norm's running statistics
    too. Between epochs net and average are the same, so a checkpoint needs only the net. `decays`
    are those of this epoch, from the function of that name.
    """

    def __init__(self, net: keras.Model, decays: np.ndarray):
        super().__init__()
        self.net, self.decays = net, decays

    def on_train_begin(self, logs: Any = None) -> None:
        self.variables = [v for v in self.net.variables if "float" in str(v.dtype)]
        self.average = [np.array(v) for v in self.variables]

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        decay = self.decays[batch]
        if np.isnan(decay):
            return
        if keras.backend.backend() == "jax":  # whose `fit` keeps the weights elsewhere meanwhile
            self.model.jax_state_sync()
        for number, variable in enumerate(self.variables):
            now = decay * self.average[number] + (1 - decay) * np.array(variable)
            self.average[number] = now.astype(self.average[number].dtype)
            variable.assign(self.average[number])


def decays(every: int, steps: int, epoch: int, epochs: int) -> np.ndarray:
    """Return how much of the average is kept after each of the `steps` of an epoch (from 0).

    float64 (steps,), NaN after the steps that leave net and average alone. The average is renewed
    every so many steps, and after the last one of each epoch; the net ends as the average.
    """
    kept, last, total = np.full(steps, np.nan), epoch * steps, epochs * steps
    for batch, step in enumerate(range(last + 1, last + steps + 1)):
        if step % every == 0 or batch == steps - 1:
            kept[batch] = FIRST_DECAY ** (step - last) * (step / total) ** 3
            last = step
    if epoch == epochs - 1:
        kept[-1] = 1.0
    return kept


def smaller(images: np.ndarray, size: int) -> np.ndarray:
    """Shrink (n, side, side, c) to float32 (n, size, size, c): a pixel is the mean of its area."""
    share = area_shares(images.shape[1], size)
    wide = np.einsum("sh,nhwc->nswc", share, images, optimize=True)
    return np.ascontiguousarray(np.einsum("tw,nswc->nstc", share, wide, optimize=True))


def at_size(net: keras.Model, size: int) -> keras.Model:
    """Return the net for images of another size, made of the same layers: both learn together."""
    images = keras.Input((size, size, net.input_shape[-1]))
    return keras.models.clone_model(net, images, clone_function=lambda layer: layer)
