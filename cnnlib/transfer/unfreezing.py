"""Fine-tuning: which layers of the backbone are trained, and batch norm while they are."""

import dataclasses
from typing import Any

import keras
import numpy as np
from keras import layers

from cnnlib import training
from cnnlib.errors import InputError, check_name
from cnnlib.models.norm import BatchNorm
from cnnlib.transfer.backbones import Backbone, backbone, backbone_of, check_images
from cnnlib.transfer.extraction import BATCH
from cnnlib.validation import InstanceOf, validated

ALL = ("C0", "C2", "C5", "C7", "C10", "C12", "C14", "C17", "C19", "C21", "C24", "C26", "C28")
# The convolutions that are trained besides the head, and how many weights they have.
LAYERS = {"head": (), "block5": ALL[10:], "blocks345": ALL[4:], "all": ALL}
PARAMETERS = {"head": 0, "block5": 7_079_424, "blocks345": 14_454_528, "all": 14_714_688}
SAMPLE = 512  # training images by which `put_batch_norm` measures the maps


@validated
def unfreeze(model: InstanceOf[keras.Model], trainable: str) -> int:
    """Set which part of an assembled net is trained; return how many weights are.

    The head always is. Where the backbone is trained, the scale of its features stays what it was:
    the averages of batch norm lag behind a backbone that moves, and the net that is tested would
    differ from the net that was trained. Batch norm from `put_batch_norm` is trained with its
    convolution, two weights per map.

    Args:
        model: from `transfer.assemble`.
        trainable: "head", "block5", "blocks345" or "all".

    Raises:
        InputError: for an unknown part.
        AssertionError: if the weights that would be trained are not as many as they should be: a
            net in which nothing was unfrozen trains just as quietly.
    """
    names = LAYERS[check_name("part of the net to train", trainable, LAYERS)]
    if not {"vgg16", "head"} <= {layer.name for layer in model.layers}:
        raise InputError(f"{model.name} is not a net that `transfer.assemble` has made")
    base, head = model.get_layer("vgg16"), model.get_layer("head")
    norms = [layer for layer in base.layers if isinstance(layer, layers.BatchNormalization)]
    for layer in base.layers:
        layer.trainable = (_convolution(layer) if layer in norms else layer.name) in names
    head.get_layer("scale").trainable = trainable == "head"
    expected = PARAMETERS[trainable] + training.trainable_parameters(head)
    expected += sum(2 * layer.gamma.shape[0] for layer in norms if _convolution(layer) in names)
    found = training.trainable_parameters(model)
    if found != expected:
        raise AssertionError(
            f"{found:,} weights of {model.name} would be trained where {trainable!r} means "
            f"{expected:,}"
        )
    return found


@validated
def put_batch_norm(net: InstanceOf[Backbone], trainable: str, images: Any) -> Backbone:
    """Return a Backbone with batch norm after each convolution that is trained: N10 after C10.

    VGG16 is older than batch norm. Each new layer begins with the mean and the deviation that the
    convolution's maps have over SAMPLE of the images, both as what it subtracts and divides by and
    as what it adds and multiplies by, so that the net's answers stay the same. While the net is
    trained, each batch is divided by its own deviation, so that steps at a higher learning rate
    keep their size; a convolution's bias has no effect then. `fold_batch_norm` removes the layers
    again. Source of the layer: Ioffe & Szegedy 2015; that it starts without a change is the
    course's idea.

    Args:
        net: the new Backbone shares its convolutions.
        trainable: "block5", "blocks345" or "all".
        images: uint8 or float32 (n, h, w, 3), 0 to 255.

    Raises:
        InputError: for "head", where no convolution is trained, and images that do not fit.
    """
    check_images(images, net.model.input_shape[1:])
    names = LAYERS[check_name("part of the net to train", trainable, LAYERS)]
    old = net.model.get_layer("vgg16")
    if not names:
        raise InputError(
            "where only the head is trained, there is no convolution to put batch norm after: name "
            "another part of the net to train"
        )
    maps = keras.Model(old.input, [old.get_layer(name).output for name in names])
    sample = images[np.linspace(0, len(images) - 1, min(len(images), SAMPLE)).astype(int)]
    prepared = net.model.get_layer("preprocessing")(net.model.input)
    moments = dict(
        zip(names, _moments(keras.Model(net.model.input, maps(prepared)), sample), strict=True)
    )
    x = first = keras.Input(old.input_shape[1:], name="input")
    outputs = {}
    for layer in old.layers[1:]:
        x = layer(x)
        if layer.name in names:
            norm = BatchNorm(momentum=0.9, name=f"N{layer.name[1:]}")
            x = norm(x)
            mean, variance = moments[layer.name]
            norm.set_weights([np.sqrt(variance + norm.epsilon), mean, mean, variance])
        outputs[layer.name] = x
    shape = net.model.input_shape[1:]
    base = keras.Model(first, x)
    return backbone_of(base, outputs, shape, net.image_size, net.weights, net.pool_grid)


def _moments(model, images):
    """Return mean and variance of each map, over images and pixels: float64 (maps,), per output."""
    sums = [np.zeros((2, output.shape[-1])) for output in model.outputs]
    for i in range(0, len(images), BATCH):
        batch = images[i : i + BATCH].astype("float32")
        for total, maps in zip(
            sums, keras.tree.flatten(model.predict_on_batch(batch)), strict=True
        ):
            maps = maps.astype("float64")
            total += [maps.mean((1, 2)).sum(0), np.square(maps).mean((1, 2)).sum(0)]
    return [(mean, square - mean**2) for mean, square in (total / len(images) for total in sums)]


@validated
def fold_batch_norm(net: InstanceOf[Backbone]) -> Backbone:
    """Return a Backbone without batch norm that answers as `net` does in tests.

    What batch norm does to the maps of a convolution, its kernels and biases do. The new Backbone
    shares nothing with `net`.
    """
    base = net.model.get_layer("vgg16")
    norms = {
        _convolution(layer): layer
        for layer in base.layers
        if isinstance(layer, layers.BatchNormalization)
    }
    arrays = []
    for name in ALL:
        kernel, bias = base.get_layer(name).get_weights()
        if name in norms:
            gamma, beta, mean, variance = norms[name].get_weights()
            factor = gamma / np.sqrt(variance + norms[name].epsilon)
            kernel, bias = kernel * factor, (bias - mean) * factor + beta
        arrays += [kernel, bias]
    weights = dataclasses.replace(net.weights, arrays=tuple(arrays))
    return backbone(net.model.input_shape[1:], net.image_size, weights, net.pool_grid)


def _convolution(norm):
    """Return the name of the convolution before a layer of batch norm: C10 before N10."""
    return f"C{norm.name[1:]}"
