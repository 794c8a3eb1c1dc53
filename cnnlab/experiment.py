"""One row, one trained net: what `python -m cnnlib train MODEL DATASET` does.

`plan` says what the row will be, `train_row` trains it, `record` keeps what a notebook trained.

A row is identified by everything that determines its result, and nothing else: its net with
options, its data set with the order of the images, the recipe's settings, the seed, the number of
training images, and RESULTS_VERSION. A comment, another recipe or a faster loop changes none of
these, so it renames no row and stops no training under way. `python -m cnnlib results verify` finds
out whether a change of the code has changed results.
"""

import dataclasses
import hashlib
import json
import math
import pathlib
import random
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnlab import environment, ledger
from cnnlib import backend, datasets, recipes, registry, results, storage
from cnnlib.errors import InputError

if TYPE_CHECKING:
    import keras

# Raise it by one, with a line in CHANGELOG.md, when a change of the code alters results that rows
# with the same settings have. It is part of every run_id: rows measured before are kept, and count
# as runs of an older version.
RESULTS_VERSION = 1


def run_id(row: dict[str, Any]) -> str:
    """Return the name of a run, `{model}-{dataset}-{recipe}-seed{seed}-{8 hex digits}`.

    The digits are a digest of everything that determines the result, which `row` has. The recipe's
    name is there for the reader: its settings count.
    """
    net = registry.net(row["model"])
    declared = {"function": net.function, "options": dict(net.options)}
    declared["input_format"] = net.input_format
    named = ("dataset", "image_order", "seed", "train_images", "results_version")
    determining = {name: row[name] for name in named}
    determining["net"] = {"boosted": declared} if net.members else declared
    determining["settings"] = json.loads(row["settings"])
    text = json.dumps(determining, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    name = "{model}-{dataset}-{recipe}-seed{seed}".format(**row)
    return f"{re.sub(r'[^A-Za-z0-9_.-]', '-', name)[:120]}-{digest}"


def plan(
    model: str,
    dataset: str,
    recipe: str | recipes.Recipe = "plain",
    seed: int = 0,
    train_size: int | None = None,
) -> dict[str, Any]:
    """Return what is known of a row before it is trained, `run_id` among it.

    `recipe` is a name, with changes or without, or a Recipe. `seed` decides the first weights, the
    order of the images and the subset, which has `train_size` images (None: all).

    Raises InputError for unknown names, for a recipe or a data set that does not suit the net, and
    for numbers that training would refuse.
    """
    recipe = recipes.recipe(recipe) if isinstance(recipe, str) else recipe
    net, info = registry.net(model), datasets.info(dataset)
    _check_recipe(net, recipe)
    _check_images(net, recipe, info)
    # The last member of a boosted net is trained with this much more, see cnnlib.boosting.
    most = 2**32 - 1 - (2_000_000 if net.members else 0)
    if not 0 <= seed <= most:
        raise InputError(f"seed must be a whole number from 0 to {most} for {model}, got {seed!r}")
    if train_size is not None and not 1 <= train_size <= info.train_count:
        raise InputError(
            f"train_size must be a whole number from 1 to the {info.train_count} training images "
            f"of {info.name}, got {train_size!r}"
        )
    order = datasets.image_order(dataset)
    return _planned(model, info, recipe, seed, train_size or info.train_count, order)


def _planned(model, info, recipe, seed, train_images, image_order, other=None):
    """The columns of a row that are known before the training, without any check."""
    settings = recipe.settings() | ({"other": other} if other else {})
    row = {
        "model": model,
        "dataset": info.name,
        "image_order": image_order,
        "protocol": recipe.row_protocol,
        "recipe": recipe.name,
        "settings": json.dumps(settings, sort_keys=True, separators=(",", ":")),
        "seed": int(seed),
        "train_images": int(train_images),
        "test_images": info.test_count,
        "epochs": recipe.epochs,
        "results_version": RESULTS_VERSION,
    }
    return {"run_id": run_id(row)} | row


def _purpose(recipe):
    if recipe.transfer:
        return "transfer learning"
    if recipe.protocol in recipes.CROP_PADDING:
        return "the colour images of the cifar10/ nets"
    return "training from the start" if recipe.protocol == "plain" else "digits"


def _check_recipe(net, recipe):
    """Raise InputError for a recipe that is for other images or another kind of training."""
    own = "the colour images of the cifar10/ nets" if net.input_format == "cifar10" else "digits"
    suitable = (own, "training from the start")
    if net.training == "transfer":
        suitable = ("transfer learning",)
    if _purpose(recipe) not in suitable:
        known = {name: _purpose(recipes.recipe(name)) for name in recipes.recipe_names()}
        suited = [name for purpose in suitable for name in known if known[name] == purpose]
        raise InputError(
            f"the recipe {recipe.name} is for {_purpose(recipe)}, and {net.name} takes the input "
            f"format {net.input_format}: use one of {', '.join(suited)}"
        )


# The images that each input format takes, and whether those of a data set are such.
_IMAGES = {
    "20x20": ("MNIST's size-normalised digits", lambda info: info.name == "mnist"),
    "16-in-28": ("MNIST's size-normalised digits", lambda info: info.name == "mnist"),
    "28x28": ("images of 28x28 pixels", lambda info: info.image_shape[:2] == (28, 28)),
    "32x32": ("images of 28x28 or 32x32 pixels", lambda info: info.image_shape[0] in (28, 32)),
    "cifar10": ("colour images of 32x32 pixels", lambda info: info.image_shape == (32, 32, 3)),
    "rgb": ("images of one size", lambda info: True),
}


def _check_images(net, recipe, info):
    """Raise InputError if a net cannot be trained on a data set by this recipe."""
    wanted, suits = _IMAGES[net.input_format]
    if info.image_shape is None or not suits(info):
        shape = "x".join(map(str, info.image_shape)) if info.image_shape else "of many sizes"
        known = [each for each in map(datasets.info, datasets.names()) if each.image_shape]
        names = ", ".join(each.name for each in known if suits(each))
        raise InputError(
            f"{net.name} takes {wanted}, and the images of {info.name} are {shape}: use one of "
            f"{names}"
        )
    smallest = net.smallest_side or math.inf
    if recipe.small_epochs and not smallest <= recipe.small_size < info.image_shape[0]:
        raise InputError(
            f"the recipe {recipe.name} begins with images of {recipe.small_size}x"
            f"{recipe.small_size} pixels, which {net.name} cannot take: set small_epochs=0, such "
            f"as {recipe.changed(small_epochs=0).name}"
        )
    if recipe.protocol == "deslanted" and info.image_shape[2] != 1:
        raise InputError(
            f"the recipe {recipe.name} deslants grey images, and those of {info.name} have colours"
        )


def find(run_id: str) -> dict[str, Any] | None:
    """Return the row of this run_id, published or of this machine; None if there is none."""
    row = results.rows().get(run_id)
    return row and {column: row[column] for column in results.COLUMNS}


def train_row(
    model: str,
    dataset: str,
    recipe: str | recipes.Recipe = "plain",
    seed: int = 0,
    train_size: int | None = None,
    again: bool = False,
) -> dict[str, Any]:
    """Train one net, test it once after the last epoch, record the row and return it.

    A row that the results have is returned as it is, unless `again`. A run that was killed
    continues from its last whole epoch. Arguments as for `plan`.

    Raises InputError for data that the net cannot take, datasets.Unavailable without data.
    """
    planned = plan(model, dataset, recipe, seed, train_size)
    done = find(planned["run_id"])
    if done and not again:
        return done
    recipe = recipes.recipe(recipe) if isinstance(recipe, str) else recipe
    data = datasets.load(dataset, train_size=train_size, seed=seed)
    from cnnlab import stages

    def folder_of(stage: recipes.Recipe) -> pathlib.Path:
        return stages.folder(plan(model, dataset, stage, seed, train_size)["run_id"])

    folder = storage.make_folder(folder_of(recipe))
    if again:
        (folder / stages.RESULT).unlink(missing_ok=True)
    net, trained = train(model, data, recipe, seed, folder_of)
    row = _keep(planned, net, trained, data)
    stages.finish(folder)
    return row


def train(
    model: str,
    data: datasets.Dataset,
    recipe: recipes.Recipe,
    seed: int,
    folder_of: Callable[[recipes.Recipe], pathlib.Path],
) -> tuple[Any, Any]:
    """Train a net on `data.train`; return the keras.Model and its History, Boosted or Trained.

    `folder_of` returns the folder in which the stage that a recipe is keeps its state and its
    result: see `cnnlab.stages`.
    """
    import keras

    from cnnlab import stages
    from cnnlib import boosting, models, training

    classes, labels = len(data.info.class_names), data.train.labels
    images = _prepared(model, recipe, data.train.images)
    if recipe.transfer:
        trained = stages.train_transfer(images, labels, recipe, seed, classes, folder_of)
        return trained.model, trained
    folder = storage.make_folder(folder_of(recipe))
    if member := registry.net(model).members:
        boosted = boosting.train(member, images, labels, recipe, seed, folder, classes=classes)
        return boosted.model, boosted
    keras.utils.set_random_seed(seed)
    with training.precision(recipe):
        net = models.build(model, input_shape=images.shape[1:], classes=classes)
    checkpoint = folder / stages.CHECKPOINT
    return net, training.train(net, images, labels, recipe, seed, checkpoint=checkpoint)


def _prepared(model, recipe, images):
    """Images as the net takes them."""
    from cnnlib import preprocessing, transfer

    if recipe.transfer:
        return transfer.rgb(images)
    return preprocessing.prepare_for(model, recipe, images)


def record(model: str, net: "keras.Model", trained: Any, data: datasets.Dataset) -> dict[str, Any]:
    """Test a net that was just trained once, and record its row; return the row.

    Args:
        model: one of models.names().
        net: the trained keras.Model.
        trained: what its training returned: a training.History, boosting.Boosted or
            transfer.Trained, which knows recipe, seed and images.
        data: what it was trained on.

    What determines the result and is no setting of the recipe (patterns of boosting, drawn test
    images, first weights) enters the settings as `other` where it is not what `train_row` takes.

    Raises InputError, and records nothing, if the net is not the one that this training ended with
    (it was trained on, or training was stopped), was trained on other images, or is not the net
    that this name declares.
    """
    from cnnlib import training

    if not trained.is_of(net):
        raise InputError(
            f"the weights of {net.name} are not those that this training ended with: it was "
            "trained on, or stopped, since. Build the net again, train it to the end, and record "
            "that"
        )
    images = _prepared(model, trained.recipe, data.train.images)
    if training.fingerprint(images, data.train.labels) != trained.data:
        raise InputError(
            f"the net was trained on other images than `data` has, or not as {model} takes them: "
            "give the net's own name and the data set that it was trained on"
        )
    # The net has learned from these images already: that it takes them is no question.
    _check_recipe(registry.net(model), trained.recipe)
    other = _other_images(trained, data) | _other_start(model, net, trained, images, data.info)
    counts = getattr(trained, "counts", None)
    if counts and counts[0].wanted != max(2, len(images)):
        other["patterns"] = counts[0].wanted
    if counts and counts[0].cap != 100 * counts[0].wanted:
        other["candidates"] = counts[0].cap
    is_sample = data.source.startswith("sample ")
    order = "sample" if is_sample else datasets.image_order(data.info.name)
    planned = _planned(model, data.info, trained.recipe, trained.seed, len(images), order, other)
    return _keep(planned, net, trained, data)


def _other_images(trained, data):
    """What tells these images from those that `train_row` draws with this seed, if anything."""
    from cnnlib import training

    def fingerprints(of: datasets.Dataset) -> dict[str, str]:
        parts = {"train": of.train, "test": of.test}
        return {name: training.fingerprint(p.images, p.labels) for name, p in parts.items()}

    options = {"train_size": len(data.train.labels), "seed": trained.seed, "download": False}
    options["sample"] = data.source.startswith("sample ")
    try:
        usual = fingerprints(datasets.load(data.info.name, **options))
    except (InputError, datasets.Unavailable):  # a part of a set, or a Dataset of one's own
        usual = {}
    return {name: own for name, own in fingerprints(data).items() if usual.get(name) != own}


def _other_start(model, net, trained, images, info):
    """What tells the first weights from those that `train_row` begins with, if anything.

    Raises InputError if the net is not the one that `model` declares: its weights have other
    shapes, it computes something else with them, or it is trained otherwise (by dropout, a penalty
    on its weights, or with a part of them fixed).
    """
    import keras

    from cnnlib import models, training

    if trained.recipe.transfer:
        found, usual = trained.backbone.weights, models.vgg16_weights()
        # Fine-tuning has changed the arrays; where they came from is still known.
        is_usual = found.source == usual.source
        if trained.recipe.transfer.is_frozen:
            is_usual = found.digest == usual.digest
        return {} if is_usual else {"pretrained": found.digest}
    state = random.getstate()
    random.seed(trained.seed)  # Keras' initializers take their seeds from here
    with training.precision(trained.recipe):
        declared = models.build(model, input_shape=images.shape[1:], classes=len(info.class_names))
    random.setstate(state)
    start = training.weights_digest(declared)
    same = _parts(net) == _parts(declared)
    if same:
        declared.set_weights(net.get_weights())
        answers = [keras.ops.convert_to_numpy(each(images[:16])) for each in (net, declared)]
        same = np.allclose(*(np.asarray(each, np.float32) for each in answers), 1e-3, 1e-3)
    if not same:
        raise InputError(
            f"{net.name} is not the net {model}: its weights, or what it computes with them or "
            f"learns by, are not those of models.build({model!r}). Give the trained net's name"
        )
    first = getattr(trained, "start", "") or start  # a boosted net begins as its seed says
    return {} if first == start else {"start": first}


def _parts(net):
    """The shapes of all variables (of random layers too) and of trained ones, and the penalties."""
    shapes = [[v.shape for v in each] for each in (net.variables, net.trainable_variables)]
    return shapes, len(net.losses)


def _keep(planned, net, trained, data):
    """Test a trained net once and write its row with all that belongs to it."""
    from cnnlib import training

    predictions = predictions_of(planned["model"], net, trained, data.test.images)
    error = 100 * float(np.mean(predictions != data.test.labels))
    metric = results.metric_of(planned["dataset"])
    value = round(error if metric == "test_error_percent" else 100 - error, 10)
    recipe, source = trained.recipe, data.source
    if recipe.transfer:
        source += f"; weights {trained.backbone.weights.source}"
    device = environment.device()
    if recipe.precision == "bfloat16" and not backend.has_bfloat16():
        device += "; float32 in the place of bfloat16"
    count = getattr(trained, "trainable_parameters", None)
    return ledger.record(
        **planned | {"test_images": len(data.test.labels)},
        predictions=predictions,
        history=getattr(getattr(trained, "history", trained), "epochs", None),
        # Where only a head was trained on frozen features, only the head is kept.
        net=trained.head if recipe.transfer and recipe.transfer.is_frozen else net,
        counts=[dataclasses.asdict(each) for each in getattr(trained, "counts", ())],
        data_source=source,
        metric=metric,
        value=value,
        trainable_parameters=training.trainable_parameters(net) if count is None else count,
        train_seconds=trained.seconds,
        device=device,
    )


def predictions_of(model: str, net: "keras.Model", trained: Any, images: np.ndarray) -> np.ndarray:
    """Return the class that the net gives to each image, as the recipe tests it: int (n,)."""
    from cnnlab import feature_cache
    from cnnlib import training, transfer

    prepared = _prepared(model, trained.recipe, images)
    if trained.recipe.transfer:
        seen = transfer.probabilities(trained, prepared, feature_cache.features)
    else:
        seen = training.predict(net, prepared, views=trained.recipe.test_views)
    return seen.argmax(axis=1)
