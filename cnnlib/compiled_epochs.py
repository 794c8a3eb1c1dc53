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

        def step(carried: Any, given: Any) -> tuple[Any, None]:
            state, average = carried
            *batch, decay = given
            state = model.train_step(state, tuple(batch))[1]
            if average is not None:
                state, average = jax.lax.cond(
                    jax.numpy.isnan(decay), _as_it_is, _to_average, state, average, decay
                )
            return (state, average), None

        self.model, self.is_built = model, False
        self.step = jax.jit(lambda carried, given: step(carried, given)[0])
        self.steps = jax.jit(lambda carried, given: jax.lax.scan(step, carried, given)[0])

    def fit(
        self,
        inputs: np.ndarray,
        targets: np.ndarray,
        batch_size: int,
        decays: np.ndarray | None = None,
    ) -> dict[str, float]:
        """Train for one pass over the images in their order.

        Args:
            inputs: float32 (n, h, w, c).
            targets: integers (n,).
            batch_size: images in a step; the last has what is left.
            decays: for recipes with lookahead, see `shortcuts.decays`.

        Returns:
            The means over the epoch, by the names of the model's metrics.
        """
        model = self.model
        if not self.is_built:  # the metrics make their variables at their first batch
            model.test_on_batch(inputs[:batch_size], targets[:batch_size])
            self.is_built = True
        model.reset_metrics()
        steps = len(targets) // batch_size
        whole = steps * batch_size
        kept = self._variables()
        state = tuple([variable.value for variable in part] for part in kept)
        carried = state, None if decays is None else [*state[:2]]
        decays = np.full(steps + 1, np.nan) if decays is None else decays
        decays = decays.astype(np.float32)
        if steps:
            stacked = tuple(
                each[:whole].reshape(-1, batch_size, *each.shape[1:]) for each in (inputs, targets)
            )
            carried = self.steps(carried, (*stacked, decays[:steps]))
        if whole < len(targets):
            carried = self.step(carried, (inputs[whole:], targets[whole:], decays[steps]))
        for variables, values in zip(kept, carried[0], strict=True):
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


def _as_it_is(state: Any, average: Any, decay: Any) -> tuple[Any, Any]:
    return state, average


def _to_average(state: Any, average: Any, decay: Any) -> tuple[Any, Any]:
    """Renew the average, and put the weights and running statistics back to it."""
    average = [
        [
            (decay * before + (1 - decay) * now).astype(now.dtype)
            if "float" in str(now.dtype)
            else now
            for before, now in zip(*parts, strict=True)
        ]
        for parts in zip(average, state[:2], strict=True)
    ]
    return (*average, *state[2:]), average
