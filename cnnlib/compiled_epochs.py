"""A whole epoch as one program: Keras' JAX backend on a GPU.

Between two steps of `fit` Python needs several milliseconds, in which a GPU waits: it computes the
step of a net for CIFAR-10 in one or two. Here the steps are those of Keras, `train_step`, and XLA
runs them one after the other without Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cnnlib import backend

if TYPE_CHECKING:
    import keras


def is_supported() -> bool:
    """Return whether nets train by whole epochs on this machine."""
    import keras

    return keras.backend.backend() == "jax" and not backend.on_cpu()


class CompiledEpochs:
    """Trains a compiled model, an epoch a call, to what `fit` without shuffling gives."""

    def __init__(self, model: keras.Model):
        import jax

        def step(state: Any, batch: Any) -> tuple[Any, None]:
            return model.train_step(state, batch)[1], None

        self.model, self.is_built = model, False
        self.step = jax.jit(lambda state, batch: step(state, batch)[0])
        self.steps = jax.jit(lambda state, batches: jax.lax.scan(step, state, batches)[0])

    def fit(self, inputs: np.ndarray, targets: np.ndarray, batch_size: int) -> dict[str, float]:
        """Train for one pass over the images in their order.

        Args:
            inputs: float32 (n, h, w, c).
            targets: integers (n,).
            batch_size: images in a step; the last has what is left.

        Returns:
            The means over the epoch, by the names of the model's metrics.
        """
        model = self.model
        if not self.is_built:  # the metrics make their variables at their first batch
            model.test_on_batch(inputs[:batch_size], targets[:batch_size])
            self.is_built = True
        model.reset_metrics()
        whole = len(targets) // batch_size * batch_size
        kept = self._variables()
        state = tuple([variable.value for variable in part] for part in kept)
        if whole:
            stacked = tuple(
                each[:whole].reshape(-1, batch_size, *each.shape[1:]) for each in (inputs, targets)
            )
            state = self.steps(state, stacked)
        if whole < len(targets):
            state = self.step(state, (inputs[whole:], targets[whole:]))
        for variables, values in zip(kept, state, strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        return {name: float(value) for name, value in model.get_metrics_result().items()}

    def _variables(self) -> tuple[list[keras.Variable], ...]:
        """Return the variables that make the state of Keras' `train_step`, in its order."""
        model = self.model
        return (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )
