"""Heads: small nets that classify by the features of a backbone, and both joined in one net."""

from collections.abc import Mapping

import keras
from keras import layers

from cnnlib import backend
from cnnlib.errors import InputError, check_name
from cnnlib.models.checks import Classes, Name, check_weights
from cnnlib.transfer.backbones import BLOCKS, WIDTHS, Backbone
from cnnlib.transfer.extraction import columns_of
from cnnlib.validation import InstanceOf, Number, WholeNumber, validated


@validated
def head(
    blocks: str = "345",
    classes: Classes = 10,
    hidden: WholeNumber = 0,
    dropout: Number = 0.0,
    widths: Mapping[str, int] = WIDTHS,
) -> keras.Model:
    """Build a head: features -> logits (n, classes).

    It scales each feature, and has a hidden layer or none.

    Args:
        blocks: whose features it sees, such as "45".
        classes: number of classes.
        hidden: units of the hidden layer, 0 for none.
        dropout: rate after the hidden layer.
        widths: features of each block, `Backbone.widths`.

    Raises:
        InputError: for an argument that cannot be.
    """
    backend.check_settings()
    if not blocks or len(set(blocks)) < len(blocks):
        raise InputError(f"blocks must be different digits from 3 to 5, got {blocks!r}")
    if hidden < 0 or not 0 <= dropout < 1:
        raise InputError(
            "hidden must be at least 0 and dropout at least 0 and below 1, got "
            f"{hidden} and {dropout}"
        )
    width = sum(widths[check_name("block", block, widths)] for block in blocks)
    check_weights("head", width, hidden or classes)
    features = keras.Input((width,), dtype="float32", name="features")
    # Nothing in it is trained by gradient: it learns mean and deviation of each feature.
    scale = layers.BatchNormalization(momentum=0.9, center=False, scale=False, name="scale")
    x = scale(features)
    if hidden:
        x = layers.Dense(hidden, activation="relu", name="hidden")(x)
        x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(features, layers.Dense(classes, name="output")(x), name="head")


def copy_of(head: keras.Model) -> keras.Model:
    """Return a head with the same weights, and the same state of its dropout, as `head`."""
    copy = keras.models.clone_model(head)
    for variable, value in zip(copy.variables, head.variables, strict=True):
        variable.assign(value)
    return copy


@validated
def assemble(
    backbone: InstanceOf[Backbone],
    head: InstanceOf[keras.Model],
    blocks: str = "345",
    name: Name = "vgg16",
) -> keras.Model:
    """Join a backbone and a head in one net: images -> logits (n, classes).

    It shares its layers with both.

    Args:
        backbone: from `transfer.backbone`.
        head: from `transfer.head`, for features of `blocks`.
        blocks: whose features the head sees.
        name: name of the model.

    Raises:
        InputError: for a head of other blocks.
    """
    if not blocks:
        raise InputError("blocks must be digits from 3 to 5, such as '45', got ''")
    width = sum(part.stop - part.start for part in columns_of(blocks, backbone.widths))
    if head.input_shape[1:] != (width,):
        raise InputError(
            f"the head takes {head.input_shape[1]} features, and blocks {blocks} have {width}: "
            "give the blocks it was made for"
        )
    means = [backbone.model.get_layer(f"mean_{BLOCKS[block]}").output for block in blocks]
    seen = means[0] if len(means) == 1 else layers.Concatenate(name="features")(means)
    return keras.Model(backbone.model.input, head(seen), name=name)
