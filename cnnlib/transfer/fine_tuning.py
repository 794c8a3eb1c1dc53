"""Training by a transfer recipe: a head on the frozen backbone, and what continues from it."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from cnnlib import preprocessing, recipes, training
from cnnlib.errors import InputError
from cnnlib.models.checks import Classes
from cnnlib.models.vgg import Weights
from cnnlib.recipes import Recipe
from cnnlib.transfer.backbones import Backbone, backbone, check_images
from cnnlib.transfer.extraction import Features, features
from cnnlib.transfer.heads import assemble, copy_of, head
from cnnlib.transfer.unfreezing import fold_batch_norm, put_batch_norm, unfreeze
from cnnlib.validation import Count, InstanceOf, Seed, validated

# Computes the features of images: `features` itself, or a function that remembers them.
Extract = Callable[..., Features]


@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
    """A net trained by a transfer recipe, and how."""

    model: keras.Model
    """Images float32 (n, h, w, 3), RGB, 0 to 255 -> logits (n, classes)."""
    backbone: Backbone
    head: keras.Model
    recipe: Recipe
    history: training.History
    """Of the recipe's own epochs."""
    seconds: float
    """Time of training and of the features of the training images, earlier stages included."""
    trainable_parameters: int
    seed: int
    data: str
    """Fingerprint of the images and labels that it was trained on."""
    weights: str
    """Digest of the trained weights: see `is_of`."""

    def is_of(self, model: keras.Model) -> bool:
        """Return whether `model` has the very weights that this training ended with."""
        return self.weights == training.weights_digest(model)


@validated
def train(
    images: Any,
    labels: Any,
    recipe: InstanceOf[Recipe],
    seed: Seed = 0,
    classes: Classes = 10,
    *,
    start: InstanceOf[Trained] | None = None,
    checkpoint: str | pathlib.Path | None = None,
    validation: tuple[Any, Any] | None = None,
    weights: str | pathlib.Path | InstanceOf[Weights] = "imagenet",
    extract: Extract = features,
    progress: bool = True,
) -> Trained:
    """Train VGG16 by a transfer recipe.

    The same arguments give the same net on the same machine with the same number of threads. A
    recipe that trains more than the head continues from the net of the recipe that it names as
    `init_from`: a head on the frozen backbone, or a backbone that was fine-tuned at another size.

    Args:
        images: uint8 (n, h, w, 3).
        labels: integers (n,).
        recipe: with a `transfer` part.
        seed: decides the head's first weights and the order of the images.
        classes: number of classes.
        start: what training by `recipe.start` returned, with the same images and seed; it is not
            changed. None to train that first.
        checkpoint: file to which the state is written after each epoch. A run that was killed
            continues from it.
        validation: (images, labels) on which the error is measured after each epoch.
        weights: as for `backbone`.
        extract: computes features. A function that remembers them saves time.
        progress: show one line that updates in place.

    Raises:
        InputError: for images, labels, a recipe or a start that do not fit.
    """
    check_images(images)
    training.check_labels(labels, len(images), classes, "the head")
    labels = np.asarray(labels)
    settings_of(recipe)
    recipes.check_start(recipe)
    options = {"checkpoint": checkpoint, "progress": progress}
    if recipe.start is None:
        return _train_head(
            images, labels, recipe, seed, classes, validation, weights, extract, options
        )
    if start is None:
        start = train(
            images,
            labels,
            recipe.start,
            seed,
            classes,
            weights=weights,
            extract=extract,
            progress=progress,
        )
    data = training.fingerprint(images, labels)
    found = (start.recipe.settings(), start.seed, start.data)
    if found != (recipe.start.settings(), seed, data):
        raise InputError(
            f"the recipe {recipe.name} continues from a net trained by {recipe.start.name} with "
            "the same images and seed: the start that was given is another one"
        )
    return _fine_tune(start, images, labels, recipe, seed, validation, options)


def settings_of(recipe: Recipe) -> recipes.Transfer:
    """Return the `transfer` part of a recipe; raise InputError if it has none."""
    if recipe.transfer is None:
        known = [name for name in recipes.recipe_names() if recipes.recipe(name).transfer]
        raise InputError(
            f"the recipe {recipe.name} is not for transfer learning: use one of {', '.join(known)}"
        )
    return recipe.transfer


def first_recipe(recipe: Recipe) -> Recipe:
    """Return the recipe by which a recipe's head is trained first."""
    return recipe if recipe.start is None else first_recipe(recipe.start)


def _train_head(images, labels, recipe, seed, classes, validation, weights, extract, options):
    settings, progress = settings_of(recipe), options["progress"]
    net = backbone(images.shape[1:], settings.image_size, weights, settings.pool_grid)
    views = [extract(net, view, progress=progress) for view in _views(images, recipe)]
    seen = np.concatenate([view.of(settings.blocks) for view in views])
    if validation is not None:
        inputs = extract(net, validation[0], progress=progress).of(settings.blocks)
        validation = (inputs, validation[1])
    keras.utils.set_random_seed(seed)
    own = head(settings.blocks, classes, settings.hidden, settings.dropout, net.widths)
    targets = np.tile(labels, len(views))
    history = training.train(own, seen, targets, recipe, seed, validation, **options)
    seconds = sum(view.seconds for view in views) + history.seconds
    data = training.fingerprint(images, labels)
    return trained(net, own, recipe, history, seconds, seed, data)


def _fine_tune(start, images, labels, recipe, seed, validation, options):
    settings, first = settings_of(recipe), settings_of(first_recipe(recipe))
    net = backbone(images.shape[1:], settings.image_size, start.backbone.weights, first.pool_grid)
    if settings.batch_norm:
        net = put_batch_norm(net, settings.trainable, images)
    own = copy_of(start.head)  # `start` stays as it is
    model = assemble(net, own, first.blocks)
    count = unfreeze(model, settings.trainable)
    if validation is not None:
        validation = (preprocessing.prepare(validation[0], "rgb"), validation[1])
    inputs = preprocessing.prepare(images, "rgb")
    history = training.train(model, inputs, labels, recipe, seed, validation, **options)
    seconds = start.seconds + history.seconds
    return trained(fold_batch_norm(net), own, recipe, history, seconds, seed, start.data, count)


def trained(
    net: Backbone,
    own_head: keras.Model,
    recipe: Recipe,
    history: training.History,
    seconds: float,
    seed: int,
    data: str,
    count: int | None = None,
) -> Trained:
    """Return the Trained of a backbone and a head that training by `recipe` has ended with.

    Its `trainable_parameters` are `count`, or the head's.
    """
    model = assemble(net, own_head, settings_of(first_recipe(recipe)).blocks)
    if count is None:
        count = unfreeze(model, "head")
    digest = training.weights_digest(model)
    return Trained(model, net, own_head, recipe, history, seconds, count, seed, data, digest)


def _views(images, recipe):
    """Return what the frozen backbone sees: the images, and mirrored ones if the recipe says so."""
    return [images, images[:, :, ::-1]] if recipe.transfer.mirrored else [images]


@validated
def predict(
    model: InstanceOf[keras.Model],
    images: Any,
    batch_size: Count = 100,
    views: training.Views = 1,
) -> np.ndarray:
    """Return class probabilities of an assembled net, float32 (n, classes).

    Args:
        model: from `assemble`, or the `model` of a Trained.
        images: uint8, or float32 from 0 to 255, (n, h, w, 3).
        batch_size: images at a time.
        views: as for `training.predict`.

    Raises:
        InputError: for images that the net does not take.
    """
    check_images(images, model.input_shape[1:])
    return training.predict(model, images.astype(np.float32), batch_size, views)


@validated
def probabilities(
    trained: InstanceOf[Trained], images: Any, extract: Extract = features, progress: bool = True
) -> np.ndarray:
    """Return class probabilities as the recipe tests its net, float32 (n, classes).

    Where the backbone is frozen they are computed from features.

    Args:
        trained: what `train` returned.
        images: uint8, or float32 from 0 to 255, (n, h, w, 3).
        extract: computes features, as for `train`.
        progress: show one line that updates in place.
    """
    recipe, settings = trained.recipe, settings_of(trained.recipe)
    if not settings.is_frozen:
        return predict(trained.model, images, views=recipe.test_views)
    seen = [
        extract(trained.backbone, view, progress=progress).of(settings.blocks)
        for view in _views(images, recipe)
    ]
    each = [trained.head.predict(view, batch_size=1000, verbose=0) for view in seen]
    return keras.ops.convert_to_numpy(keras.ops.softmax(np.mean(each, axis=0), axis=-1))
