"""One row, one trained net: what `python -m cnnlib train MODEL DATASET` does.

`plan` says what the row will be, `train_row` trains it, `record` keeps what a notebook trained.
"""

import dataclasses
import json
import numbers
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnlab import environment, identity, ledger
from cnnlib import backend, datasets, recipes, registry, results, storage
from cnnlib.errors import InputError
from cnnlib.results import rows

if TYPE_CHECKING:
    import keras


def plan(
    model: str,
    dataset: str,
    recipe: str | recipes.Recipe = "plain",
    seed: int = 0,
    train_size: int | None = None,
    *,
    sample: bool = False,
) -> dict[str, Any]:
    """Return what is known of a row before it is trained, `run_id` among it.

    Args:
        model: one of models.names().
        dataset: a name of datasets.names().
        recipe: a name of recipes.recipe_names(), with changes or without, or a Recipe.
        seed: decides the first weights, the order of the images and the subset.
        train_size: images to train on, None for all.
        sample: the repository's sample of the data set is meant, not the whole.

    Raises InputError for unknown names, for a recipe or a data set that does not suit the net, and
    for numbers that training would refuse.
    """
    recipe = recipes.recipe(recipe) if isinstance(recipe, str) else recipe
    _check_protocol(recipe, model)
    info = datasets.info(dataset)
    _check_images(registry.net(model), recipe, info)
    _check_numbers(model, info, seed, train_size)
    return _planned(model, dataset, recipe, seed, train_size, sample)


def _planned(model, dataset, recipe, seed, train_size, sample):
    """The columns of a row that are known before the training, without any check."""
    info = datasets.info(dataset)
    determining = {
        "model": model,
        "dataset": dataset,
        "image_order": "sample" if sample else datasets.image_order(dataset),
        "recipe": recipe.name,
        "seed": seed,
        "train_images": info.train_count if train_size is None else train_size,
    }
    return {
        **determining,
        "run_id": identity.run_id(settings=recipe.settings(), **determining),
        "protocol": recipe.row_protocol,
        "settings": rows.settings_text(recipe.settings()),
        "test_images": info.test_count,
        "epochs": recipe.epochs,
        "results_version": identity.RESULTS_VERSION,
    }


# What recipes are for.
_TRANSFER, _COLOUR, _DIGITS, _ANY = (
    "transfer learning",
    "the colour images of the cifar10/ nets",
    "digits",
    "training from the start",
)


def _check_protocol(recipe, model):
    """Raise InputError for a recipe that is for other images or another kind of training."""
    net = registry.net(model)
    suitable = (_COLOUR, _ANY) if net.input_format == "cifar10" else (_DIGITS, _ANY)
    if net.training == "transfer":
        suitable = (_TRANSFER,)
    if _purpose(recipe) not in suitable:
        known = {name: _purpose(recipes.recipe(name)) for name in recipes.recipe_names()}
        suited = [name for purpose in suitable for name in known if known[name] == purpose]
        raise InputError(
            f"the recipe {recipe.name} is for {_purpose(recipe)}, and {model} takes the input "
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
    if recipe.small_epochs and (
        net.smallest_side is None
        or not net.smallest_side <= recipe.small_size < info.image_shape[0]
    ):
        raise InputError(
            f"the recipe {recipe.name} begins with images of {recipe.small_size}x"
            f"{recipe.small_size} pixels, which {net.name} cannot take: set small_epochs=0, such "
            f"as {recipe.name},small_epochs=0"
        )
    if recipe.protocol == "deslanted" and info.image_shape[2] != 1:
        raise InputError(
            f"the recipe {recipe.name} deslants grey images, and those of {info.name} have colours"
        )


def _check_numbers(model, info, seed, train_size):
    """Raise InputError for a seed or a number of images that training would refuse."""
    # The last member of a boosted net is trained with this much more, see cnnlib.boosting.
    most = 2**32 - 1 - (2_000_000 if registry.net(model).training == "boosting" else 0)
    if not _is_whole(seed) or not 0 <= seed <= most:
        raise InputError(f"seed must be a whole number from 0 to {most} for {model}, got {seed!r}")
    if train_size is None:
        return
    if not _is_whole(train_size) or not 1 <= train_size <= info.train_count:
        raise InputError(
            f"train_size must be a whole number from 1 to the {info.train_count} training images "
            f"of {info.name}, got {train_size!r}"
        )


def _is_whole(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _purpose(recipe):
    if recipe.transfer:
        return _TRANSFER
    if recipe.protocol in recipes.CROP_PADDING:
        return _COLOUR
    return _ANY if recipe.protocol == "plain" else _DIGITS


def is_done(
    model: str,
    dataset: str,
    recipe: str | recipes.Recipe = "plain",
    seed: int = 0,
    train_size: int | None = None,
) -> bool:
    """Return whether the results have this row, published or of this machine."""
    return find(plan(model, dataset, recipe, seed, train_size)["run_id"]) is not None


def find(run_id: str) -> dict[str, Any] | None:
    """Return the row of this run_id, published or of this machine; None if there is none."""
    found = results.measured()
    found = found[found["run_id"] == run_id]
    return found.iloc[0].drop("origin").to_dict() if len(found) else None


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
    """Train a net on `data.train`.

    Args:
        model: one of models.names().
        data: from datasets.load.
        recipe: how to train.
        seed: decides the first weights and the order of the images.
        folder_of: the folder in which the stage that a recipe is keeps its state and its result:
            see `cnnlab.stages`.

    Returns:
        The trained keras.Model, and what training returned: a History, a Boosted or a Trained.
    """
    import keras

    from cnnlab import stages
    from cnnlib import boosting, models, preprocessing, training, transfer

    classes, labels = len(data.info.class_names), data.train.labels
    if recipe.transfer:
        images = transfer.rgb(data.train.images)
        trained = stages.train_transfer(images, labels, recipe, seed, classes, folder_of)
        return trained.model, trained
    folder = storage.make_folder(folder_of(recipe))
    images = preprocessing.prepare_for(model, recipe, data.train.images)
    member = registry.net(model).members
    if member:
        boosted = boosting.train(member, images, labels, recipe, seed, folder, classes=classes)
        return boosted.model, boosted
    keras.utils.set_random_seed(seed)
    with training.precision(recipe):
        net = models.build(model, input_shape=images.shape[1:], classes=classes)
    history = training.train(
        net, images, labels, recipe, seed, checkpoint=folder / stages.CHECKPOINT
    )
    return net, history


def record(model: str, net: "keras.Model", trained: Any, data: datasets.Dataset) -> dict[str, Any]:
    """Test a net that was just trained once, and record its row; return the row.

    Args:
        model: the name of the net, one of models.names().
        net: the trained keras.Model.
        trained: what its training returned: a training.History, boosting.Boosted or
            transfer.Trained, which knows recipe, seed and images.
        data: the Dataset that it was trained on, from datasets.load.

    Raises InputError, and records nothing, if the net is not the one that this training ended with
    (it was trained on, or training was stopped), or was trained on other images.
    """
    from cnnlib import preprocessing, training, transfer

    registry.net(model)
    if not trained.is_of(net):
        raise InputError(
            f"the weights of {net.name} are not those that this training ended with: it was "
            "trained on, or stopped, since. Build the net again, train it to the end, and record "
            "that"
        )
    images = (
        transfer.rgb(data.train.images)
        if trained.recipe.transfer
        else preprocessing.prepare_for(model, trained.recipe, data.train.images)
    )
    if training.fingerprint(images, data.train.labels) != trained.data:
        raise InputError(
            "the net was trained on other images than `data` has: give the data set that it "
            "was trained on"
        )
    sample = data.source.startswith("sample ")
    size = len(data.train.labels)
    _check_protocol(trained.recipe, model)
    # The net has learned from these images already: that it takes them is no question.
    planned = _planned(model, data.info.name, trained.recipe, trained.seed, size, sample)
    return _keep(planned, net, trained, data)


def _keep(planned, net, trained, data):
    """Test a trained net once and write all that belongs to its row, the row last."""
    from cnnlib import training

    predictions = predictions_of(planned["model"], net, trained, data.test.images)
    error = 100 * float(np.mean(predictions != data.test.labels))
    # A row says that all of it is there: an earlier one goes first, so that no row of this machine
    # has another training's net or predictions after a kill.
    rows.local_file(planned["run_id"]).unlink(missing_ok=True)
    # Where only a head was trained on frozen features, only the head is kept.
    is_head = trained.recipe.transfer and trained.recipe.transfer.is_frozen
    save_net(trained.head if is_head else net, planned["run_id"])
    path = ledger.net_path(planned["run_id"]).with_suffix(".json")
    history = getattr(trained, "history", trained)
    if hasattr(trained, "counts"):
        counts = [dataclasses.asdict(each) for each in trained.counts]
        storage.write_atomically(path, json.dumps(counts, indent=2) + "\n")
    source = data.source
    if trained.recipe.transfer:
        source += f"; weights {trained.backbone.weights.source}"
    count = getattr(trained, "trainable_parameters", None)
    return ledger.record(
        **planned | {"test_images": len(data.test.labels)},
        predictions=predictions,
        history=getattr(history, "epochs", None),
        data_source=source,
        **_result(planned["dataset"], error),
        trainable_parameters=training.trainable_parameters(net) if count is None else count,
        train_seconds=trained.seconds,
        **_device(trained.recipe),
    )


def predictions_of(model: str, net: "keras.Model", trained: Any, images: np.ndarray) -> np.ndarray:
    """Return the class that the net gives to each image, as the recipe tests it: int (n,)."""
    from cnnlab import feature_cache
    from cnnlib import preprocessing, training, transfer

    recipe = trained.recipe
    if recipe.transfer:
        seen = transfer.probabilities(trained, transfer.rgb(images), feature_cache.features)
        return seen.argmax(axis=1)
    prepared = preprocessing.prepare_for(model, recipe, images)
    return training.predict(net, prepared, views=recipe.test_views).argmax(axis=1)


def _result(dataset, error):
    """The columns `metric` and `value`, in the metric of the lecture's table of that data set."""
    published = results.published()
    metrics = set(published["metric"][published["row_id"].str.startswith(f"{dataset}/")])
    if metrics == {"test_accuracy_percent"}:
        return {"metric": "test_accuracy_percent", "value": round(100 - error, 10)}
    return {"metric": "test_error_percent", "value": round(error, 10)}


def _device(recipe):
    """The column `device` if there is more to say than the processor; else nothing."""
    names = environment.gpus()
    parts = [f"{names.count(name)} GPU {name}" for name in dict.fromkeys(names)]
    note = []
    if recipe.precision == "bfloat16" and not backend.has_bfloat16():
        note = ["float32 in the place of bfloat16"]
    return {"device": "; ".join([*parts, environment.device(), *note])} if parts or note else {}


def save_net(model: "keras.Model", run_id: str) -> pathlib.Path:
    """Write the trained net of a row, without its optimizer; return the path."""
    import keras

    path = ledger.net_path(run_id)
    bare = keras.models.model_from_json(_bare(model.to_json()))
    bare.set_weights(model.get_weights())
    with storage.replacing(path, suffix=".keras") as temporary:
        bare.save(temporary)
    return path


def _bare(architecture):
    """A net's JSON without its optimizer, which is twice as large as the net, and in float32.

    It then loads and predicts on any machine, whatever precision it was trained in.
    """
    config = json.loads(architecture)
    config.pop("compile_config", None)
    text = json.dumps(config)
    return text.replace('"mixed_float16"', '"float32"').replace('"mixed_bfloat16"', '"float32"')
