"""A boosted net: three nets that take the same images and vote (`cnnlib.boosting` trains them)."""

from __future__ import annotations

from typing import Annotated

import keras
from pydantic import Field

from cnnlib.errors import InputError
from cnnlib.models.checks import Many, Name
from cnnlib.models.layers import scores
from cnnlib.validation import InstanceOf, validated

MEMBERS = ("net-1", "net-2", "net-3")


@validated
def committee(
    nets: Annotated[Many[InstanceOf[keras.Model]], Field(min_length=3, max_length=3)], name: Name
) -> keras.Model:
    """Join three nets into one that votes.

    Args:
        nets: three nets that take the same images and have the same classes.
        name: name of the model.

    Returns:
        keras.Model, images float32 (n, height, width, channels) -> logits (n, classes), the
        logarithm of the mean of the nets' probabilities.

    Raises:
        InputError: for another number of nets, or nets of different images or classes.
    """
    shapes = {(net.input_shape, net.output_shape) for net in nets}
    if len(shapes) > 1:
        raise InputError(f"the nets of a committee must have one input and output, got {shapes}")
    inputs = keras.Input(nets[0].input_shape[1:])
    members = [
        keras.Model(net.input, net.output, name=member)
        for member, net in zip(MEMBERS, nets, strict=True)
    ]
    votes = [
        keras.layers.Softmax(dtype="float32")(scores(member, member(inputs))) for member in members
    ]
    return keras.Model(
        inputs, keras.ops.log(keras.layers.Average(dtype="float32")(votes)), name=name
    )


@validated
def members(model: InstanceOf[keras.Model]) -> list[keras.Model]:
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
