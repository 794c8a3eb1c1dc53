"""Means by which a short training reaches further: recipes' lookahead and smaller images first.

Sources: Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (average, rate of the
shifts, linear decay); Zhang, Lucas, Hinton & Ba 2019, "Lookahead Optimizer: k steps forward, 1 step
back"; the fast.ai team's entry to Stanford's DAWNBench in 2018, which began with smaller images.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

FIRST_DECAY = 0.95  # of the average, for each step, at the end of training; it begins at 0


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


class Lookahead(keras.callbacks.Callback):
    """Every few steps, and after each epoch, put the net part of the way back to its average.

    The average is kept of everything that is not a whole number, batch norm's running statistics
    too. It forgets the less the longer training goes on, and the net ends as the average. Between
    epochs net and average are the same, so a checkpoint needs nothing more than the net.

    Args:
        net: what is trained.
        decays: from `decays`, for this epoch.
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
    """Return how much of the average is kept after each step of an epoch in which it is renewed.

    Args:
        every: steps between two averages; there is one after the last step of each epoch too.
        steps: of an epoch.
        epoch: which one, from 0.
        epochs: of the whole training.

    Returns:
        float64 (steps,), NaN after the steps that leave net and average alone. It is 1 after the
        last step of the training: the net ends as the average.
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
    """Shrink images to `size` by `size`: each pixel is the mean of the area that it covers.

    Args:
        images: float32 (n, side, side, c).
        size: of the new images, at most `side`.
    """
    factor = images.shape[1] / size
    edges = np.arange(images.shape[1] + 1) - factor * np.arange(size + 1)[:, None]
    share = (np.diff(np.clip(edges, 0, factor), axis=1)[:size] / factor).astype(np.float32)
    wide = np.einsum("sh,nhwc->nswc", share, images, optimize=True)
    return np.ascontiguousarray(np.einsum("tw,nswc->nstc", share, wide, optimize=True))


def at_size(net: keras.Model, size: int) -> keras.Model:
    """Return the net for images of another size, made of the same layers: both learn together."""
    images = keras.Input((size, size, net.input_shape[-1]))
    return keras.models.clone_model(net, images, clone_function=lambda layer: layer)
