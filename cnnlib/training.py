"""One way to train every net of the course: a recipe, a seed, a history.

A recipe is data (`cnnlib.recipes`). The result that is reported is that of the last epoch. This is
written against Keras alone, and runs on its TensorFlow and JAX backends.
"""

import contextlib
import dataclasses
import hashlib
import math
import pathlib
import time
import zlib
from collections.abc import Iterator

import keras
import numpy as np
import pandas as pd

from cnnlib import augment, backend, checkpoints, models, optimization
from cnnlib.datasets import streams
from cnnlib.errors import InputError
from cnnlib.models import trainable_parameters as trainable_parameters
from cnnlib.progress import Line, Progress
from cnnlib.recipes import CROP_PADDING, Recipe
from cnnlib.recipes import recipe as recipe
from cnnlib.recipes import recipe_names as recipe_names

PREDICTING = 500_000_000  # bytes that the maps of the images may take which a net answers at a time


@dataclasses.dataclass(frozen=True)
class History:
    """How a net was trained, and on what."""

    epochs: pd.DataFrame
    """A row for each epoch: epoch (from 1), loss, train_error and validation_error in % (NaN
    without validation images), seconds. Loss and training error are means over the epoch, while the
    weights change; the validation error is that of the weights at its end."""
    seconds: float  # of all epochs, validation included
    recipe: Recipe
    seed: int
    data: str  # fingerprint of the images and labels that it was trained on
    weights: str  # digest of the trained weights: see `is_of`
    start: str = ""  # digest of the weights before training

    def is_of(self, model: keras.Model) -> bool:
        """Return whether `model` has the very weights that this training ended with."""
        return self.weights == weights_digest(model)


def train(
    model: keras.Model,
    images: np.ndarray,
    labels: np.ndarray,
    recipe: Recipe,
    seed: int = 0,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
    checkpoint: str | pathlib.Path | None = None,
    progress: bool = True,
) -> History:
    """Train `model` in place.

    The same built weights, images, recipe and seed give bit-identical weights on the same machine
    with the same number of threads.

    Args:
        model: a net of cnnlib.models, or any keras.Model that returns logits.
        images, labels: float32 (n, h, w, c), as `preprocessing.prepare` returns them, and whole
            numbers (n,).
        recipe: how to train.
        seed: decides the order of the images. Seed Keras before you build the net to decide its
            first weights.
        validation: (images, labels) on which the error is measured after each epoch.
        checkpoint: file to which the state is written after each epoch. A run that was killed
            continues from it, to the same weights.
        progress: show one line that updates in place.

    Raises:
        InputError: for other settings of Keras than the course's, a net built in another precision
            than the recipe's, a checkpoint of another run, or a loss that is no longer finite.
    """
    backend.check_settings()
    _check_precision(model, recipe)
    images, labels = np.asarray(images), np.asarray(labels).astype(np.int64)
    images = images.astype(images.dtype.newbyteorder("="), copy=False)
    steps = math.ceil(len(images) / recipe.batch_size)
    first = weights_digest(model)
    for layer in model.layers:
        if isinstance(layer, models.cifar10.Whitening):
            layer.adapt(images)
    _compile(model, recipe, optimization.optimizer(recipe, steps))
    model.optimizer.build(model.trainable_variables)
    small = model  # for the smaller images of the first epochs: it learns together with the other
    if recipe.small_epochs:
        small = optimization.at_size(model, recipe.small_size)
        _compile(small, recipe, model.optimizer)
    data = fingerprint(images, labels)
    run = {"recipe": recipe.settings(), "seed": int(seed), "data": data}
    rows = checkpoints.restore(checkpoint, model, run) if checkpoint else []
    # As Keras' `fit` keeps it, with all epochs: `predict` sees whether training came to its end.
    past = keras.callbacks.History()
    past.params, past.epoch = {"epochs": recipe.epochs}, list(range(len(rows)))
    model.history = past
    callbacks: list[keras.callbacks.Callback] = []
    if progress:
        callbacks.append(Progress(recipe.epochs, steps, len(rows)))
    for epoch in range(len(rows), recipe.epochs):
        start = time.perf_counter()
        averages = []
        if recipe.lookahead:
            decays = optimization.decays(recipe.lookahead, steps, epoch, recipe.epochs)
            averages.append(optimization.Lookahead(model, decays))
        found = (small if epoch < recipe.small_epochs else model).fit(
            **_batches(images, labels, recipe, seed, epoch),
            shuffle=False,
            verbose=0,
            callbacks=callbacks + averages,
        )
        model.history = past
        (loss,), (error,) = found.history["loss"], found.history["error_percent"]
        if not np.isfinite(loss):
            raise InputError(
                f"the loss is {loss} after epoch {epoch + 1}: training diverged. "
                f"Lower the recipe's learning_rate, which is {recipe.learning_rate}."
            )
        row = {"epoch": epoch + 1, "loss": loss, "train_error": error, "validation_error": math.nan}
        if validation is not None:
            probabilities = _probabilities(model, validation[0], recipe.test_views)
            row["validation_error"] = _error(probabilities, validation[1])
        rows.append(row | {"seconds": time.perf_counter() - start})
        past.epoch.append(epoch)
        if checkpoint:
            checkpoints.save(checkpoint, model, run, rows)
        if progress:
            callbacks[0].epoch_done(rows)
    seconds = sum(row["seconds"] for row in rows)
    return History(
        pd.DataFrame(rows), seconds, recipe, int(seed), data, weights_digest(model), first
    )


def _compile(model, recipe, optimizer):
    loss = optimization.loss_of(model, recipe.label_smoothing)
    metrics = [optimization.error_metric(model)]
    model.compile(optimizer, loss, metrics=metrics, jit_compile=jit_compile())


def _batches(images, labels, recipe, seed, epoch):
    """Return what Keras' `fit` takes for an epoch (from 0) of these images, in its order."""
    # The order depends on nothing before, so that a run that continues is the same run.
    order = np.random.RandomState((seed, epoch)).permutation(len(images))
    inputs = epoch_images(images, order, recipe, seed, epoch)
    if epoch < recipe.small_epochs:
        inputs = optimization.smaller(inputs, recipe.small_size)
    if keras.backend.backend() == "tensorflow":
        return {"x": streams.batches(inputs, labels[order], recipe.batch_size)}
    return {"x": inputs, "y": labels[order], "batch_size": recipe.batch_size}


def epoch_images(
    images: np.ndarray, order: np.ndarray, recipe: Recipe, seed: int, epoch: int
) -> np.ndarray:
    """Return the images of an epoch (from 0), in this order, as the recipe's protocol has them."""
    if recipe.protocol == "distorted":
        return augment.distort(images[order], (seed, epoch, 1))
    if recipe.protocol not in CROP_PADDING:
        return images[order]
    mirrored = None
    if recipe.protocol == "crop-alternating":
        # A coin for each image decides whether it begins mirrored.
        coins = np.random.RandomState((seed, 2)).randint(0, 2, len(images))
        mirrored = (coins[order] + epoch) % 2 == 1
    padding, form = CROP_PADDING[recipe.protocol], "rgb" if recipe.transfer else "cifar10"
    return augment.crop_and_flip(images, (seed, epoch, 1), padding, mirrored, form, order)


def predict(model: keras.Model, images: np.ndarray, views: int = 1) -> np.ndarray:
    """Return class probabilities, float32 (n, classes).

    They are the softmax of the logits, or of minus the distances for an RBF output. One line says
    so where the training of the net, by `train` or Keras' `fit`, was stopped before its end.

    Args:
        model: a net that returns logits or, with an RBF output, distances.
        images: float32 (n, h, w, c), as `preprocessing.prepare` returns them.
        views: 2 for the mean of the logits of each image and of its mirror image; 6 for half of
            that, and half of the mean of both moved by a pixel up and left, and down and right,
            where the border repeats (after Jordan 2024, who mirrors it).
    """
    past = getattr(model, "history", None)  # of Keras' `fit`
    if past is not None and not model.stop_training:
        done, epochs = past.epoch[-1] + 1 if past.epoch else 0, past.params["epochs"]
        if done < epochs:
            Line().show(
                f"The training of {model.name} was stopped after {done} of {epochs} epochs: what "
                "follows are results of a half-trained net. Build it and train it again.",
                last=True,
            )
    return _probabilities(model, images, views)


def _probabilities(model, images, views):
    outputs, batch_size = [], _images_at_a_time(model, len(images))
    for i in range(0, len(images), batch_size):
        seen = augment.views(images[i : i + batch_size], views)
        outputs.append(sum(weight * _scores_of(model, view) for weight, view in seen))
    scores = models.scores(model, np.concatenate(outputs))
    return keras.ops.convert_to_numpy(keras.ops.softmax(scores, axis=-1))


def _images_at_a_time(model, count):
    """Return how many of `count` images a net answers at a time, in about half a gigabyte."""
    # Called so, it keeps what all of its layers put out until the last one has answered.
    most = max(1, PREDICTING // (4 * _numbers_of(model)))
    if most >= 1000:
        return 1000
    # Better a number that leaves no rest: for another size some programs are compiled anew.
    return next((size for size in range(most, most // 2, -1) if count % size == 0), most)


def _numbers_of(model):
    """Return how many numbers all layers of a net together put out for one image."""
    outputs = keras.tree.flatten([layer.output for layer in model.layers])
    within = sum(_numbers_of(layer) for layer in model.layers if isinstance(layer, keras.Model))
    return within + sum(math.prod(output.shape[1:]) for output in outputs)


def _scores_of(model, images):
    if keras.backend.backend() == "jax":  # which is slow at one operation after the other
        return model.predict_on_batch(images)
    return keras.ops.convert_to_numpy(model(images, training=False))


def evaluate(model: keras.Model, images: np.ndarray, labels: np.ndarray, views: int = 1) -> float:
    """Return the error in %: of the images whose most probable class is not their label.

    Arguments as for `predict`, and labels: integers (n,).
    """
    return _error(predict(model, images, views=views), labels)


def _error(probabilities, labels):
    return 100 * float(np.mean(probabilities.argmax(axis=1) != np.asarray(labels)))


@contextlib.contextmanager
def precision(recipe: Recipe) -> Iterator[None]:
    """Set Keras' precision while a net is built: `with precision(recipe): build(...)`.

    It is what the recipe says, whatever the user's own policy is.
    """
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(_policy(recipe))
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


def _policy(recipe):
    """Return Keras' name of the precision in which a recipe trains on this machine."""
    if recipe.precision == "bfloat16":
        return "mixed_bfloat16" if backend.has_bfloat16() else "float32"
    return "mixed_float16" if recipe.precision == "mixed" and not backend.on_cpu() else "float32"


def _check_precision(model, recipe):
    """Raise InputError for a net that was built in another precision than the recipe's."""
    built = {layer.dtype_policy.name for layer in model.layers if layer.weights}
    if {_policy(recipe), "float32"} != built | {"float32"}:
        raise InputError(
            f"{model.name} was built in {' and '.join(sorted(built))}, and the recipe "
            f"{recipe.name} trains in {_policy(recipe)} here: build the net inside "
            "`with training.precision(recipe):`"
        )


def jit_compile() -> bool | str:
    """Return what Keras' `compile` takes as jit_compile.

    On a CPU XLA slows TensorFlow's convolutions with oneDNN down (benchmarks/README.md has the
    times). Elsewhere Keras decides.
    """
    return False if keras.backend.backend() == "tensorflow" and backend.on_cpu() else "auto"


def fingerprint(images: np.ndarray, labels: np.ndarray) -> str:
    """Return a short text that differs for other images, other labels or another order of them.

    The type of the labels and of real numbers, which a net takes as float32, and the order of the
    bytes in memory, make no difference.
    """
    kind = np.float32 if images.dtype.kind == "f" else images.dtype
    images = images.astype(np.dtype(kind).newbyteorder("<"), copy=False)
    labels = np.asarray(labels).astype("<i8")
    sums = [zlib.crc32(np.ascontiguousarray(array).data) for array in (images, labels)]
    return "-".join(f"{value:08x}" for value in sums)


def weights_digest(model: keras.Model) -> str:
    """Return 16 hex digits that differ for other weights of `model`."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).data)
    return digest.hexdigest()[:16]
