"""Optimizers and learning rates, made from a recipe."""

import math

import keras

from cnnlib.recipes import LECUN_1998_RATES, Recipe
from cnnlib.shortcuts import LinearDecay
from cnnlib.validation import Count, InstanceOf, validated


@validated
def optimizer(recipe: InstanceOf[Recipe], steps: Count) -> keras.optimizers.Optimizer:
    """Return the optimizer of a recipe, for epochs of so many steps."""
    rate = learning_rate(recipe, steps)
    if recipe.optimizer == "torch-sgd":
        return TorchSGD(
            rate, recipe.momentum, recipe.weight_decay, recipe.nesterov, recipe.shift_rate
        )
    if recipe.optimizer == "sgd":
        decay = recipe.weight_decay or None
        return keras.optimizers.SGD(rate, momentum=recipe.momentum, weight_decay=decay)
    return keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay)


@validated
def learning_rate(
    recipe: InstanceOf[Recipe], steps: Count
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Return the learning rate of a recipe, by step, for epochs of so many steps."""
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
    if recipe.schedule == "cosine-by-epoch":
        by_epoch = [
            rate * (1 + math.cos(math.pi * epoch / recipe.epochs)) / 2
            for epoch in range(recipe.epochs)
        ]
        return _by_epoch(by_epoch, range(1, recipe.epochs), steps)
    if recipe.schedule == "lecun-1998":
        rates = [part * rate for _, part in LECUN_1998_RATES]
        return _by_epoch(rates, [last for last, _ in LECUN_1998_RATES if last], steps)
    return rate


def _by_epoch(rates, changes, steps):
    """Return a rate that takes the next of `rates` after each of the epochs `changes`."""
    if len(rates) == 1:
        return rates[0]
    # A boundary is the last step at which a rate holds.
    boundaries = [epoch * steps - 1 for epoch in changes]
    return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates)


@keras.saving.register_keras_serializable(package="cnnlib")
class TorchSGD(keras.optimizers.SGD):
    """SGD as PyTorch defines it, and as published PyTorch recipes mean it.

    What the momentum adds up is gradient + weight_decay * weight, and the learning rate multiplies
    the sum. In Keras weight decay is not part of the sum, so that the same number decays ten times
    less with a momentum of 0.9, and each gradient keeps the learning rate of its step. The
    gradients of batch norm's shifts, its variables `beta`, count `shift_rate` times.
    """

    def __init__(
        self,
        learning_rate=0.1,
        momentum=0.9,
        coupled_decay=0.0,
        nesterov=False,
        shift_rate=1.0,
        **options,
    ):
        super().__init__(learning_rate, momentum=momentum, nesterov=nesterov, **options)
        self.coupled_decay, self.shift_rate = coupled_decay, shift_rate

    def build(self, variables: list[keras.Variable]) -> None:
        """Make the variables of the optimizer, for these of a net."""
        super().build(variables)
        self._shifts = {i for i, variable in enumerate(variables) if variable.name == "beta"}

    def update_step(
        self,
        gradient: keras.KerasTensor,
        variable: keras.Variable,
        learning_rate: keras.KerasTensor,
    ) -> None:
        """Change one variable by one step."""
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
        """Return the arguments that make this optimizer again."""
        own = {"coupled_decay": self.coupled_decay, "shift_rate": self.shift_rate}
        return {**super().get_config(), **own}
