"""A boosted net: three nets that take the same images and vote (`cnnlib.boosting` trains them)."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from cnnlib.errors import InputError
from cnnlib.models.layers import scores

MEMBERS = ("net-1", "net-2", "net-3")


def committee(nets: Sequence[keras.Model], name: str) -> keras.Model:
    """Join three nets: the logits are the logarithm of the mean of their probabilities."""
    inputs = keras.Input(nets[0].input_shape[1:])
    members = [
        keras.Model(net.input, net.output, name=member)
        for member, net in zip(MEMBERS, nets, strict=True)
    ]
    votes = [keras.layers.Softmax()(scores(member, member(inputs))) for member in members]
    return keras.Model(inputs, keras.ops.log(keras.layers.Average()(votes)), name=name)


def members(model: keras.Model) -> list[keras.Model]:
    """Return the three nets of a committee, in order.

    Raises:
        InputError: if `model` is another kind of net.
    """
    nets = [layer for layer in model.layers if layer.name in MEMBERS]
    if len(nets) != len(MEMBERS):
        raise InputError(
            f"{model.name} is not a boosted net: train one with boosting.train, or load one that "
            "was"
        )
    return nets
