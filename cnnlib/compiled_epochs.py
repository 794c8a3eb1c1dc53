"""A whole epoch as one program: Keras' JAX backend on a GPU.

Between two steps of `fit` Python needs several milliseconds, in which a GPU waits: it computes the
step of a net for CIFAR-10 in one or two. Here the steps are those of Keras, `train_step`, and XLA
runs them one after the other without Python.
"""

from typing import Any

import keras
import numpy as np

from cnnlib import backend


def is_supported() -> bool:
    """Return whether nets train by whole epochs on this machine."""
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
                    jax.numpy.isnan(decay), lambda *same: same[:2], _averaged, state, average, decay
                )
            return (state, average), None

        self.model, self.is_built = model, False
        self.steps = jax.jit(lambda carried, given: jax.lax.scan(step, carried, given)[0])

    def fit(
        self, inputs: np.ndarray, targets: np.ndarray, batch_size: int, decays: np.ndarray | None
    ) -> dict[str, float]:
        """Train for one pass over inputs (n, h, w, c) and targets (n,) in their order.

        `decays` is for recipes with lookahead, see `tricks.decays`. Return the means over the
        epoch, by the names of the model's metrics.
        """
        model, steps = self.model, len(targets) // batch_size
        if not self.is_built:  # the metrics make their variables at their first batch
            model.test_on_batch(inputs[:batch_size], targets[:batch_size])
            self.is_built = True
        model.reset_metrics()
        # The state of Keras' `train_step`, in its order.
        kept = (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )
        state = tuple([variable.value for variable in part] for part in kept)
        carried = state, None if decays is None else state[:2]
        decays = np.full(steps + 1, np.nan) if decays is None else decays
        decays, whole = decays.astype(np.float32), steps * batch_size
        if steps:
            stacked = (
                each[:whole].reshape(steps, batch_size, *each.shape[1:])
                for each in (inputs, targets)
            )
            carried = self.steps(carried, (*stacked, decays[:steps]))
        if whole < len(targets):
            rest = (inputs[None, whole:], targets[None, whole:], decays[None, steps])
            carried = self.steps(carried, rest)
        for variables, values in zip(kept, carried[0], strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        return {name: float(value) for name, value in model.get_metrics_result().items()}


def _averaged(state: Any, average: Any, decay: Any) -> tuple[Any, Any]:
    """Renew the average, and put the weights and running statistics back to it."""
    import jax

    def renewed(before: Any, now: Any) -> Any:
        is_float = "float" in str(now.dtype)
        return (decay * before + (1 - decay) * now).astype(now.dtype) if is_float else now

    average = jax.tree.map(renewed, average, state[:2])
    return (*average, *state[2:]), average
