"""Build a net by its name. A boosted net is three nets that take the same images and vote."""

from __future__ import annotations

import functools
import inspect
import operator
from typing import Any

import keras

from cnnlib import backend, models, registry
from cnnlib.errors import InputError, check_name, shown
from cnnlib.models.layers import scores
from cnnlib.validation import of_python, validated

MEMBERS = ("net-1", "net-2", "net-3")
LARGEST_SIDE = 4096
_door = functools.cache(validated)


def build(name: str, **options: Any) -> keras.Model:
    """Build a net by its name, with new random weights.

    Args:
        name: one of `names()`. The model has this name too, with "-" in place of "/".
        options: keyword arguments of the net's function, such as `input_shape` and `classes`. They
            take precedence over those of the declaration.

    Raises:
        InputError: for an unknown name, an option that the net does not have, a value that it
            cannot take, or images that its layers would shrink to nothing.
    """
    declared = registry.net(name)
    if declared.members:
        return committee([build(declared.members, **options) for _ in MEMBERS], name)
    backend.check_settings()
    function = _door(operator.attrgetter(declared.function)(models))
    known = [option for option in inspect.signature(function).parameters if option != "name"]
    for option in options:
        check_name(f"option of {name}", option, known)
    options = {option: of_python(value) for option, value in options.items()}
    shape = options.get("input_shape", (1, 1, 1))
    sides = shape if isinstance(shape, tuple) and len(shape) == 3 else (0,)
    if not all(type(side) is int and 1 <= side <= LARGEST_SIDE for side in sides):
        raise InputError(
            f"input_shape is {shown(shape)}, expected (height, width, channels), three whole "
            f"numbers from 1 to {LARGEST_SIDE}, such as (32, 32, 1)"
        )
    try:
        return function(**{**declared.options, **options}, name=name.replace("/", "-"))
    except InputError:
        raise
    except (OverflowError, ValueError) as error:  # Keras' own
        asked = ", ".join(f"{option}={value!r}" for option, value in options.items())
        reason = str(error).splitlines()[0]
        raise InputError(f"{name} cannot be built with {asked}: {reason}") from error


def committee(nets: list[keras.Model], name: str) -> keras.Model:
    """Join three nets into one that votes: images -> logits, the log of the mean probabilities."""
    inputs = keras.Input(nets[0].input_shape[1:])
    members = [
        keras.Model(net.input, net.output, name=member)
        for member, net in zip(MEMBERS, nets, strict=True)
    ]
    votes = [
        keras.layers.Softmax(dtype="float32")(scores(member, member(inputs))) for member in members
    ]
    mean = keras.layers.Average(dtype="float32")(votes)
    return keras.Model(inputs, keras.ops.log(mean), name=name)


def members(model: keras.Model) -> list[keras.Model]:
    """Return the three nets of a boosted net, in order."""
    return [model.get_layer(member) for member in MEMBERS]
