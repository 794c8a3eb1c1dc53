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
        every: steps between two averages.
        steps: of an epoch.
        total: of the whole training.
        done: before this epoch.
    """

    def __init__(self, net: keras.Model, every: int, steps: int, total: int, done: int):
        super().__init__()
        self.net, self.every, self.steps, self.total = net, every, steps, total
        self.step, self.last = done, done

    def on_train_begin(self, logs: Any = None) -> None:
        self.variables = [v for v in self.net.variables if "float" in str(v.dtype)]
        self.average = [np.array(v) for v in self.variables]

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.step += 1
        if self.step % self.every and (batch + 1) % self.steps:
            return
        if keras.backend.backend() == "jax":  # whose `fit` keeps the weights elsewhere meanwhile
            self.model.jax_state_sync()
        decay = FIRST_DECAY ** (self.step - self.last) * (self.step / self.total) ** 3
        if self.step == self.total:
            decay = 1.0
        self.last = self.step
        for number, variable in enumerate(self.variables):
            now = decay * self.average[number] + (1 - decay) * np.array(variable)
            self.average[number] = now.astype(self.average[number].dtype)
            variable.assign(self.average[number])


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
