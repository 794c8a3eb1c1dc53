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

import io
import json
import pathlib
import shutil
from collections.abc import Callable

import keras
import numpy as np
import pandas as pd

from cnnlab import feature_cache
from cnnlib import models, recipes, storage, training, transfer
from cnnlib.errors import InputError
from cnnlib.models.vgg import Weights
from cnnlib.recipes import Recipe
from cnnlib.transfer.fine_tuning import first_recipe, settings_of, trained

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
        seed: decides the head's first weights and the order of the images.
        classes: number of classes.
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
        if (stage / RESULT).exists():
            return _read(stage / RESULT, run, recipe, images.shape[1:], classes, weights)
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
        if _is_continued(recipe):
            _write(stage / RESULT, run, found)
            finish(stage)
        return found


def _is_continued(recipe: Recipe) -> bool:
    """Return whether another recipe starts from the net that this one trains."""
    others = [recipes.recipe(name).transfer for name in recipes.recipe_names()]
    return any(other is not None and other.init_from == recipe.name for other in others)


def _write(path: pathlib.Path, run: dict, found: transfer.Trained) -> None:
    about = {
        **run,
        "source": found.backbone.weights.source,
        "weights": found.weights,
        "seconds": found.seconds,
        "trainable_parameters": found.trainable_parameters,
        "epochs": found.history.epochs.to_dict("records"),
        "history": {
            "seconds": found.history.seconds,
            "data": found.history.data,
            "weights": found.history.weights,
        },
    }
    # All variables: the state of the head's dropout too.
    state = [keras.ops.convert_to_numpy(variable) for variable in found.head.variables]
    arrays = {f"head_{i}": array for i, array in enumerate(state)}
    if not settings_of(found.recipe).is_frozen:
        arrays |= {f"base_{i}": array for i, array in enumerate(found.backbone.weights.arrays)}
    buffer = io.BytesIO()
    np.savez(buffer, about=json.dumps(about), **arrays)
    storage.write_atomically(path, buffer.getvalue())


def _read(path, run, recipe, shape, classes, weights):
    """Return the Trained that `_write` kept."""
    repair = "delete it to train that stage again"
    try:
        with np.load(path, allow_pickle=False) as saved:
            about = json.loads(str(saved["about"]))
            head, base = (
                [saved[f"{part}{i}"] for i in range(sum(n.startswith(part) for n in saved.files))]
                for part in ("head_", "base_")
            )
    except Exception as error:  # zipfile, zlib, json and NumPy each have their own
        raise InputError(f"the result {path} cannot be read ({error}): {repair}") from error
    if {key: about.get(key) for key in run} != run:
        raise InputError(
            f"the result {path} is of other images, settings or pretrained weights: {repair}"
        )
    first = settings_of(first_recipe(recipe))
    if base:
        weights = Weights(tuple(base), about["source"])
    net = transfer.backbone(shape, settings_of(recipe).image_size, weights, first.pool_grid)
    own = transfer.head(first.blocks, classes, first.hidden, first.dropout, net.widths)
    for variable, value in zip(own.variables, head, strict=True):
        variable.assign(value)
    history = training.History(
        epochs=pd.DataFrame(about["epochs"]), recipe=recipe, seed=run["seed"], **about["history"]
    )
    found = trained(
        net,
        own,
        recipe,
        history,
        about["seconds"],
        run["seed"],
        run["data"],
        about["trainable_parameters"],
    )
    if found.weights != about["weights"]:
        raise InputError(f"the result {path} has other weights than were kept: {repair}")
    return found
