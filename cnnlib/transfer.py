"""Transfer learning with VGG16: what it learned on ImageNet, used on another data set.

There are two kinds. Frozen: the backbone sees every image once (`features`), and heads learn from
these features in seconds. Fine-tuned: the last block or blocks of the backbone, or all of it, are
trained too, with a head that was trained on the frozen backbone before. A recipe says which, and at
what image size.

Images are RGB, 0 to 255, as `datasets.load` returns them; what the weights expect is inside the
models.
"""

import dataclasses
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import layers

from cnnlib import models, preprocessing, recipes, training
from cnnlib.errors import InputError
from cnnlib.models.norm import BatchNorm
from cnnlib.models.vgg import Weights
from cnnlib.progress import Line
from cnnlib.recipes import Recipe

BLOCKS = {"3": "S16", "4": "S23", "5": "S30"}  # the layer that ends each block that a head can see
WIDTHS = {"3": 256, "4": 512, "5": 512}  # feature maps of that layer
ALL = ("C0", "C2", "C5", "C7", "C10", "C12", "C14", "C17", "C19", "C21", "C24", "C26", "C28")
# The convolutions that are trained besides the head.
LAYERS = {"head": (), "block5": ALL[10:], "blocks345": ALL[4:], "all": ALL}
BATCH = 64  # images that the frozen backbone sees at a time
SAMPLE = 512  # training images by which `put_batch_norm` measures the maps


@dataclasses.dataclass(frozen=True, eq=False)
class Backbone:
    """VGG16 without its top."""

    model: keras.Model
    """Images float32 (n, h, w, 3), RGB, 0 to 255 -> features float32 (n, 1280): the means of the
    maps of S16, S23 and S30. Its layer "vgg16" is the net of models.VGG16."""
    image_size: int  # side in pixels to which the images are resized
    weights: Weights
    pool_grid: int = 1  # parts of each map per side, whose means are the features, row by row

    @property
    def widths(self) -> dict[str, int]:
        """The number of features of each block."""
        sides = recipes.pooled_sides(self.image_size, self.pool_grid)
        return {block: WIDTHS[block] * side**2 for block, side in zip(WIDTHS, sides, strict=True)}


def backbone(
    input_shape: tuple[int, ...] = (32, 32, 3),
    image_size: int = 32,
    weights: Weights | None = None,
    pool_grid: int = 1,
) -> Backbone:
    """Build a Backbone for images of (height, width, 3), at an `image_size` of at least 32.

    The weights are those of `models.vgg16_weights()` if None.
    """
    weights = weights or models.vgg16_weights()
    base = models.VGG16(weights, include_top=False, input_shape=(image_size, image_size, 3))
    maps = keras.Model(base.input, [base.get_layer(name).output for name in BLOCKS.values()])
    return _backbone_of(maps, input_shape, image_size, weights, pool_grid)


def _backbone_of(maps, input_shape, image_size, weights, pool_grid):
    """Return a Backbone of a net whose outputs are those of S16, S23 and S30."""
    maps = keras.Model(maps.input, maps.outputs, name="vgg16")
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
    side = min(pool_grid, maps.shape[1])
    if side == 1:
        return layers.GlobalAveragePooling2D(name=name)(maps)
    parts = layers.AdaptiveAveragePooling2D(side, name=f"parts_{name}")(maps)
    return layers.Flatten(name=name)(parts)


def rgb(images: np.ndarray) -> np.ndarray:
    """Return images with three channels: uint8 (n, h, w, 1 or 3) -> uint8 (n, h, w, 3)."""
    return np.repeat(images, 3, axis=3) if images.shape[3] == 1 else images


@dataclasses.dataclass(frozen=True, eq=False)
class Features:
    """The features of some images."""

    array: np.ndarray  # float32 (n, 1280), or as many columns as the backbone's pool grid makes
    seconds: float  # that it took to compute them
    widths: dict[str, int]  # the number of features of each block

    def of(self, blocks: str) -> np.ndarray:
        """Return the columns of some blocks, such as "45": float32 (n, columns), in memory."""
        ends = np.cumsum(list(self.widths.values()))[:-1]
        columns = dict(zip(self.widths, np.split(self.array, ends, axis=1), strict=True))
        return np.concatenate([columns[block] for block in blocks], axis=1)


def features(backbone: Backbone, images: np.ndarray, progress: bool = True) -> Features:
    """Compute the features of images, uint8, or float32 from 0 to 255, (n, h, w, 3).

    Raises:
        InputError: for images of another range, which the net would take without a word.
    """
    if images.dtype.kind == "f" and not (images.min() >= 0 and 1 < images.max() <= 255):
        raise InputError(
            f"images must be from 0 to 255, found {images.min():g} to {images.max():g}: give them "
            "as `datasets.load` returns them. The preprocessing that the weights expect is inside "
            "the model"
        )
    line, start, n = Line(), time.perf_counter(), len(images)
    array = np.empty((n, sum(backbone.widths.values())), "float32")
    for i in range(0, n, BATCH):
        batch = images[i : i + BATCH].astype("float32")
        # Filled up, because a batch of another size would have the graph built again.
        filled = np.pad(batch, ((0, BATCH - len(batch)), (0, 0), (0, 0), (0, 0)))
        array[i : i + BATCH] = backbone.model.predict_on_batch(filled)[: len(batch)]
        if progress:
            done, seconds = i + len(batch), time.perf_counter() - start
            line.show(f"features of {done:,} of {n:,} images, {seconds:.0f} s", last=done == n)
    return Features(array, time.perf_counter() - start, backbone.widths)


def head(
    blocks: str = "345",
    classes: int = 10,
    hidden: int = 0,
    dropout: float = 0.0,
    widths: Mapping[str, int] = WIDTHS,
) -> keras.Model:
    """Build a head: features of `blocks`, such as "45", scaled each -> logits (n, classes).

    It has a hidden layer of `hidden` units, followed by `dropout`, or none. `widths` are those of
    the Backbone.
    """
    features = keras.Input((sum(widths[block] for block in blocks),), name="features")
    # Nothing in it is trained by gradient: it learns mean and deviation of each feature.
    scale = layers.BatchNormalization(momentum=0.9, center=False, scale=False, name="scale")
    x = scale(features)
    if hidden:
        x = layers.Dense(hidden, activation="relu", name="hidden")(x)
        x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(features, layers.Dense(classes, name="output")(x), name="head")


def assemble(backbone: Backbone, head: keras.Model, blocks: str = "345") -> keras.Model:
    """Join a backbone and a head for features of `blocks`: images -> logits (n, classes).

    The net shares its layers with both.
    """
    means = [backbone.model.get_layer(f"mean_{BLOCKS[block]}").output for block in blocks]
    seen = means[0] if len(means) == 1 else layers.Concatenate(name="features")(means)
    return keras.Model(backbone.model.input, head(seen), name="vgg16")


def unfreeze(model: keras.Model, trainable: str) -> int:
    """Set which part of an assembled net is trained, a key of LAYERS; return how many weights are.

    The head always is. Where the backbone is trained, the scale of its features stays what it was:
    averages lag behind a backbone that moves, and the net that is tested would be another one.
    Batch norm from `put_batch_norm` is trained with its convolution, two weights per map.
    """
    base, head = model.get_layer("vgg16"), model.get_layer("head")
    for layer in base.layers:
        layer.trainable = layer.name.replace("N", "C") in LAYERS[trainable]  # N10 with C10
    head.get_layer("scale").trainable = trainable == "head"
    return training.trainable_parameters(model)


def put_batch_norm(net: Backbone, trainable: str, images: np.ndarray) -> Backbone:
    """Return a Backbone with batch norm after each convolution that is trained: N10 after C10.

    VGG16 is older than batch norm. Each new layer begins with the mean and the deviation that the
    convolution's maps have over SAMPLE of the images, both as what it subtracts and divides by and
    as what it adds and multiplies by, so that the net's answers stay the same. While the net is
    trained, each batch is divided by its own deviation, so that steps at a higher learning rate
    keep their size. `fold_batch_norm` removes the layers again. Source of the layer: Ioffe &
    Szegedy 2015; that it starts without a change is the course's idea.

    `trainable` is a key of LAYERS; images are uint8 (n, h, w, 3). The new Backbone shares the
    convolutions of `net`.
    """
    old, norms = net.model.get_layer("vgg16"), {}

    def with_norm(layer, *args, **kwargs):
        x = layer(*args, **kwargs)
        if layer.name not in LAYERS[trainable]:
            return x
        norms[layer.name] = BatchNorm(momentum=0.9, name=f"N{layer.name[1:]}")
        return norms[layer.name](x)

    maps = keras.models.clone_model(
        old, clone_function=lambda layer: layer, call_function=with_norm
    )
    prepared = net.model.get_layer("preprocessing")(net.model.input)
    outputs = keras.Model(old.input, [old.get_layer(name).output for name in norms])(prepared)
    sample = images[np.linspace(0, len(images) - 1, min(len(images), SAMPLE)).astype(int)]
    moments = _moments(keras.Model(net.model.input, outputs), sample)
    for norm, (mean, variance) in zip(norms.values(), moments, strict=True):
        norm.set_weights([np.sqrt(variance + norm.epsilon), mean, mean, variance])
    shape = net.model.input_shape[1:]
    return _backbone_of(maps, shape, net.image_size, net.weights, net.pool_grid)


def _moments(model, images):
    """Return mean and variance of each map, over images and pixels: float64 (maps,), per output."""
    sums = [np.zeros((2, output.shape[-1])) for output in model.outputs]
    for i in range(0, len(images), BATCH):
        outputs = model.predict_on_batch(images[i : i + BATCH].astype("float32"))
        for total, maps in zip(sums, keras.tree.flatten(outputs), strict=True):
            maps = maps.astype("float64")
            total += [maps.mean((1, 2)).sum(0), np.square(maps).mean((1, 2)).sum(0)]
    return [(mean, square - mean**2) for mean, square in (total / len(images) for total in sums)]


def fold_batch_norm(net: Backbone) -> Backbone:
    """Return a new Backbone that answers as `net` does in tests, with batch norm in its kernels."""
    found = {layer.name: layer for layer in net.model.get_layer("vgg16").layers}
    arrays = []
    for name in ALL:
        kernel, bias = found[name].get_weights()
        if norm := found.get(name.replace("C", "N")):
            gamma, beta, mean, variance = norm.get_weights()
            factor = gamma / np.sqrt(variance + norm.epsilon)
            kernel, bias = kernel * factor, (bias - mean) * factor + beta
        arrays += [kernel, bias]
    weights = dataclasses.replace(net.weights, arrays=tuple(arrays))
    return backbone(net.model.input_shape[1:], net.image_size, weights, net.pool_grid)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Trained(training.History):
    """A net trained by a transfer recipe, and how.

    Its epochs are those of the recipe itself, its seconds those of all stages and of the features
    of the training images.
    """

    model: keras.Model  # images float32 (n, h, w, 3), RGB, 0 to 255 -> logits (n, classes)
    backbone: Backbone
    head: keras.Model
    trainable_parameters: int


def train(
    images: np.ndarray,
    labels: np.ndarray,
    recipe: Recipe,
    seed: int = 0,
    classes: int = 10,
    *,
    start: Trained | None = None,
    checkpoint: str | pathlib.Path | None = None,
    weights: Weights | None = None,
    extract: Callable[..., Features] = features,
    progress: bool = True,
) -> Trained:
    """Train VGG16 by a transfer recipe.

    The same arguments give the same net on the same machine with the same number of threads. A
    recipe that trains more than the head continues from the net of the recipe that it names as
    `init_from`: a head on the frozen backbone, or a backbone that was fine-tuned at another size.

    Args:
        images, labels: uint8 (n, h, w, 3) and whole numbers (n,).
        recipe: with a `transfer` part.
        seed: decides the head's first weights and the order of the images.
        classes: number of classes.
        start: what training by `recipe.start` returned, with the same images and seed; it is not
            changed. None to train that first.
        checkpoint: as for `training.train`.
        weights: as for `backbone`.
        extract: computes features, as `features` does. A function that keeps them saves time.
        progress: show one line that updates in place.

    Raises:
        InputError: for a `start` of another recipe, seed or images.
    """
    settings = settings_of(recipe)
    options: dict[str, Any] = {"weights": weights, "extract": extract, "progress": progress}
    if recipe.start is None:
        net = backbone(images.shape[1:], settings.image_size, weights, settings.pool_grid)
        views = [extract(net, view, progress=progress) for view in _views(images, recipe)]
        inputs = np.concatenate([view.of(settings.blocks) for view in views])
        targets, seconds = np.tile(labels, len(views)), sum(view.seconds for view in views)
        keras.utils.set_random_seed(seed)
        own = head(settings.blocks, classes, settings.hidden, settings.dropout, net.widths)
        model, count = own, None
    else:
        start = start or train(images, labels, recipe.start, seed, classes, **options)
        found = (start.recipe.settings(), start.seed, start.data)
        if found != (recipe.start.settings(), seed, training.fingerprint(images, labels)):
            raise InputError(
                f"the recipe {recipe.name} continues from a net trained by {recipe.start.name} "
                "with the same images and seed: the start that was given is another one"
            )
        net, own, model = _continued(start, recipe, images)
        count = unfreeze(model, settings.trainable)
        inputs, targets, seconds = preprocessing.prepare(images, "rgb"), labels, start.seconds
    history = training.train(
        model, inputs, targets, recipe, seed, checkpoint=checkpoint, progress=progress
    )
    net = net if settings.is_frozen else fold_batch_norm(net)
    data = training.fingerprint(images, labels)
    return trained(net, own, history, seconds + history.seconds, data, count)


def _continued(start, recipe, images):
    """Return a copy of `start`: its backbone, its head, and the net of both."""
    settings, first = settings_of(recipe), first_settings(recipe)
    weights, shape = start.backbone.weights, images.shape[1:]
    net = backbone(shape, settings.image_size, weights, first.pool_grid)
    if settings.batch_norm:
        net = put_batch_norm(net, settings.trainable, images)
    own = keras.models.clone_model(start.head)
    for variable, value in zip(own.variables, start.head.variables, strict=True):
        variable.assign(value)  # the state of its dropout too
    return net, own, assemble(net, own, first.blocks)


def settings_of(recipe: Recipe) -> recipes.Transfer:
    """Return the `transfer` part of a recipe."""
    if recipe.transfer is None:
        raise InputError(f"the recipe {recipe.name} is not for transfer learning")
    return recipe.transfer


def first_settings(recipe: Recipe) -> recipes.Transfer:
    """Return the `transfer` part of the recipe by which a recipe's head is trained first."""
    return first_settings(recipe.start) if recipe.start else settings_of(recipe)


def trained(
    net: Backbone,
    own_head: keras.Model,
    history: training.History,
    seconds: float,
    data: str,
    count: int | None = None,
) -> Trained:
    """Return the Trained of a backbone and a head; `count` weights were trained, or the head's."""
    model = assemble(net, own_head, first_settings(history.recipe).blocks)
    count = unfreeze(model, "head") if count is None else count
    digest = training.weights_digest(model)
    common = (history.epochs, seconds, history.recipe, history.seed, data, digest)
    return Trained(*common, model=model, backbone=net, head=own_head, trainable_parameters=count)


def _views(images, recipe):
    """Return what the frozen backbone sees: the images, and mirrored ones if the recipe says so."""
    return [images, images[:, :, ::-1]] if recipe.transfer.mirrored else [images]


def probabilities(
    trained: Trained,
    images: np.ndarray,
    extract: Callable[..., Features] = features,
    progress: bool = True,
) -> np.ndarray:
    """Return class probabilities as the recipe tests its net, float32 (n, classes).

    Where the backbone is frozen they are computed from features.
    """
    recipe, settings = trained.recipe, settings_of(trained.recipe)
    if not settings.is_frozen:
        inputs = preprocessing.prepare(images, "rgb")
        return training.predict(trained.model, inputs, recipe.test_views)
    seen = [
        extract(trained.backbone, view, progress=progress).of(settings.blocks)
        for view in _views(images, recipe)
    ]
    each = [trained.head.predict(view, batch_size=1000, verbose=0) for view in seen]
    return keras.ops.convert_to_numpy(keras.ops.softmax(np.mean(each, axis=0), axis=-1))
