"""The backbone of transfer learning: VGG16 without its top, with the means of its feature maps."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers

from cnnlib import models, recipes, training
from cnnlib.errors import InputError
from cnnlib.models.checks import InputShape
from cnnlib.models.vgg import Weights
from cnnlib.validation import Count, InstanceOf, validated

BLOCKS = {"3": "S16", "4": "S23", "5": "S30"}  # the layer that ends each block that a head can see
WIDTHS = {"3": 256, "4": 512, "5": 512}  # feature maps of that layer


@dataclasses.dataclass(frozen=True, eq=False)
class Backbone:
    """VGG16 without its top."""

    model: keras.Model
    """Images float32 (n, h, w, 3), RGB, 0 to 255 -> features float32 (n, 1280): the means of the
    maps of S16, S23 and S30. Its layer "vgg16" is the net of models.VGG16."""
    image_size: int
    """Side in pixels to which the images are resized."""
    weights: Weights
    pool_grid: int = 1
    """The features are means over so many by so many parts of each map, row by row. Of smaller maps
    they are the pixels."""

    @property
    def widths(self) -> dict[str, int]:
        """The number of features of each block."""
        sides = recipes.pooled_sides(self.image_size, self.pool_grid)
        return {
            block: maps * side**2 for (block, maps), side in zip(WIDTHS.items(), sides, strict=True)
        }


@validated
def backbone(
    input_shape: InputShape = (32, 32, 3),
    image_size: Count | None = None,
    weights: str | pathlib.Path | InstanceOf[Weights] = "imagenet",
    pool_grid: Count = 1,
) -> Backbone:
    """Build a Backbone.

    Args:
        input_shape: of the images, (height, width, 3).
        image_size: side in pixels to which they are resized, 32 if None.
        weights: as for `models.vgg16_weights`, or its result.
        pool_grid: parts of each map per side, whose means are the features.

    Raises:
        InputError: for an argument that VGG16 cannot take.
    """
    image_size = image_size or 32
    if input_shape[2] != 3:
        raise InputError(
            f"VGG16 takes images (height, width, 3), got {input_shape}: "
            "preprocessing.prepare(images, 'rgb') makes them"
        )
    weights = weights if isinstance(weights, Weights) else models.vgg16_weights()
    base = models.VGG16(weights, include_top=False, input_shape=(image_size, image_size, 3))
    outputs = {layer.name: layer.output for layer in base.layers}
    return backbone_of(base, outputs, input_shape, image_size, weights, pool_grid)


def backbone_of(
    base: keras.Model,
    outputs: Mapping[str, keras.KerasTensor],
    input_shape: tuple[int, ...],
    image_size: int,
    weights: Weights,
    pool_grid: int,
) -> Backbone:
    """Return a Backbone of the net `base`, of which `outputs` has those of S16, S23 and S30."""
    maps = keras.Model(base.input, [outputs[name] for name in BLOCKS.values()], name="vgg16")
    images = keras.Input(input_shape, name="images")
    x = models.VGGPreprocessing(image_size, name="preprocessing")(images)
    means = [
        _means(each, pool_grid, f"mean_{name}")
        for name, each in zip(BLOCKS.values(), maps(x), strict=True)
    ]
    model = keras.Model(images, layers.Concatenate(name="features")(means), name="backbone")
    # Compiled for predict_on_batch: a graph takes a tenth less time than single calls.
    model.compile(jit_compile=training.jit_compile())
    return Backbone(model, image_size, weights, pool_grid)


def _means(maps, pool_grid, name):
    """Return the means over the parts of each map: (n, side, side, maps) -> (n, parts * maps)."""
    side = min(pool_grid, maps.shape[1])
    if side == 1:
        return layers.GlobalAveragePooling2D(name=name)(maps)
    parts = layers.AdaptiveAveragePooling2D(side, name=f"parts_{name}")(maps)
    return layers.Flatten(name=name)(parts)


def rgb(images: np.ndarray) -> np.ndarray:
    """Return images with three channels: uint8 (n, h, w, 1 or 3) -> uint8 (n, h, w, 3)."""
    if not isinstance(images, np.ndarray) or images.ndim != 4 or images.shape[3] not in (1, 3):
        raise InputError(
            "images must be an array (n, height, width, 1 or 3), got "
            f"{getattr(images, 'shape', type(images).__name__)}"
        )
    return np.repeat(images, 3, axis=3) if images.shape[3] == 1 else images


def check_images(images: Any, shape: tuple[int, ...] | None = None) -> None:
    """Raise InputError unless the images are RGB, 0 to 255: uint8 or float (n, h, w, 3).

    Args:
        images: what is checked.
        shape: (h, w, 3) that the images must have, None for any.
    """
    if not isinstance(images, np.ndarray):
        raise InputError(
            f"images must be an array, got {type(images).__name__}: give them as `datasets.load` "
            "returns them"
        )
    wanted = shape or (None, None, 3)
    fits = images.ndim == 4 and len(images) and 0 not in images.shape
    if not fits or any(n not in (None, m) for n, m in zip(wanted, images.shape[1:], strict=True)):
        expected = f"(n, {', '.join(map(str, shape or ('height', 'width', 3)))})"
        hint = ""
        if images.shape[-1:] == (1,):
            hint = ": preprocessing.prepare(images, 'rgb') makes three channels of one"
        raise InputError(f"images must be of shape {expected}, got {images.shape}{hint}")
    if images.dtype.kind == "f":
        low, high = float(images.min()), float(images.max())
        if not (low >= 0 and high <= 255):
            raise InputError(
                f"images must be from 0 to 255, found {low:g} to {high:g}: give them as "
                "`datasets.load` returns them"
            )
        if high <= 1:
            raise InputError(
                "images must be from 0 to 255, and these look like 0 to 1 (the largest value is "
                f"{high:g}): multiply them by 255. The preprocessing that the weights expect is "
                "inside the model"
            )
    elif images.dtype != np.uint8:
        raise InputError(f"images must be uint8, or floats from 0 to 255, got {images.dtype}")
