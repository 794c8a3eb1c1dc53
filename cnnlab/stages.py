"""Stages of training: what each of them keeps, so that nothing is trained twice.

A row is trained in one stage or, for transfer learning, in several: a head, blocks at 32x32, blocks
at 64x64. Each stage has the identity of a row of its own (`experiment.plan`), and a folder of that
name in `results/stages/` with

- checkpoint.npz, the state after its last epoch, while it is trained (net-1.npz and so on for
  boosting);
- result.npz, its trained weights, once it has ended, if another recipe continues from it.

A recipe that continues from another starts from the kept result of that stage, whichever row it was
trained for. The folders can be deleted at any time: what is missing is trained again.
"""

import pathlib
import shutil
from collections.abc import Callable

import keras
import numpy as np
import pandas as pd

from cnnlab import feature_cache
from cnnlib import checkpoints, models, recipes, storage, training, transfer
from cnnlib.models.vgg import Weights
from cnnlib.recipes import Recipe

CHECKPOINT = "checkpoint.npz"
RESULT = "result.npz"


def folder(run_id: str) -> pathlib.Path:
    """Return the folder of the stage with this identity."""
    return storage.results_folder() / "stages" / run_id


def finish(stage: pathlib.Path) -> None:
    """Remove what a stage kept for a run that was killed; its result stays."""
    if (stage / RESULT).exists():
        (stage / CHECKPOINT).unlink(missing_ok=True)
    else:
        shutil.rmtree(stage, ignore_errors=True)


def train_transfer(
    images: np.ndarray,
    labels: np.ndarray,
    recipe: Recipe,
    seed: int,
    classes: int,
    folder_of: Callable[[Recipe], pathlib.Path],
    weights: Weights | None = None,
) -> transfer.Trained:
    """Train VGG16 by a transfer recipe, or read the kept result of that stage.

    Args:
        images: uint8 (n, h, w, 3).
        labels: integers (n,).
        recipe: with a `transfer` part.
        seed, classes: as for `transfer.train`.
        folder_of: the folder of the stage that a recipe is.
        weights: pretrained weights; those of ImageNet if None.

    Raises:
        InputError: as `transfer.train`, and for a kept result that is damaged or of another run.
    """
    weights = weights or models.vgg16_weights()
    stage = storage.make_folder(folder_of(recipe))
    run = {
        "recipe": recipe.settings(),
        "seed": int(seed),
        "data": training.fingerprint(images, labels),
        "pretrained": weights.digest,
    }
    # One process at a time trains a stage: the next one finds its result.
    with storage.one_at_a_time(stage, f"trains {recipe.name} here"):
        if kept := checkpoints.read(stage / RESULT, run):
            return _restored(*kept, recipe, images.shape[1:], classes, weights)
        start = None
        if recipe.start is not None:
            start = train_transfer(images, labels, recipe.start, seed, classes, folder_of, weights)
        found = transfer.train(
            images,
            labels,
            recipe,
            seed,
            classes,
            start=start,
            checkpoint=stage / CHECKPOINT,
            weights=weights,
            extract=feature_cache.features,
        )
        others = [recipes.recipe(name).transfer for name in recipes.recipe_names()]
        if any(other and other.init_from == recipe.name for other in others):
            _keep(stage / RESULT, run, found)
            finish(stage)
        return found


def _keep(path, run, found):
    """Write the result of a stage: its epochs, the head, and the backbone if that was trained."""
    state = {
        "epochs": found.epochs.to_dict("records"),
        "seconds": found.seconds,
        "seed": found.seed,
        "data": found.data,
        "trainable_parameters": found.trainable_parameters,
        "source": found.backbone.weights.source,
        "head": len(found.head.variables),
    }
    # All variables: the state of the head's dropout too.
    arrays = [keras.ops.convert_to_numpy(variable) for variable in found.head.variables]
    if not transfer.settings_of(found.recipe).is_frozen:
        arrays += found.backbone.weights.arrays
    checkpoints.write(path, run, state, arrays)


def _restored(state, arrays, recipe, shape, classes, weights):
    """Return the Trained that `_keep` kept."""
    head, base = arrays[: state["head"]], arrays[state["head"] :]
    if base:
        weights = Weights(tuple(base), state["source"])
    first = transfer.first_settings(recipe)
    net = transfer.backbone(
        shape, transfer.settings_of(recipe).image_size, weights, first.pool_grid
    )
    own = transfer.head(first.blocks, classes, first.hidden, first.dropout, net.widths)
    for variable, value in zip(own.variables, head, strict=True):
        variable.assign(value)
    seed, data, seconds = state["seed"], state["data"], state["seconds"]
    history = training.History(pd.DataFrame(state["epochs"]), seconds, recipe, seed, data, "")
    return transfer.trained(net, own, history, seconds, data, state["trainable_parameters"])
