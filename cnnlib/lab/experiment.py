"""One row, one trained net: what `python -m cnnlib train MODEL DATASET --recipe NAME --seed N` does."""

import dataclasses
import functools
import json
import shutil

from cnnlib import datasets, recipes, results, storage
from cnnlib.errors import InputError
from cnnlib.lab import distributed, environment, ledger
from cnnlib.models import registry
from cnnlib.models.trained import trained_path

LARGEST_COURSE_NET = 4_000_000  # bytes


def plan(model, dataset, recipe="plain", seed=0, train_size=None):
    """Return what is known of a row before it is trained (dict of the ledger's columns, `run_id` among them).

    Args: model: one of models.names(); dataset: a name of datasets.names(); recipe: a name of training.recipe_names() or a Recipe;
        seed: of the first weights, the order of the images and the subset; train_size: images to train on, None for all.
    Raises InputError for unknown names.
    """
    recipe = recipes.recipe(recipe) if isinstance(recipe, str) else recipe
    _check_protocol(recipe, model)
    what = {
        "model": model,
        "dataset": dataset,
        "protocol": recipe.row_protocol,
        "recipe": recipe.name,
        "seed": seed,
        "train_images": datasets.info(dataset).train_count if train_size is None else train_size,
        "epochs": recipe.epochs,
    }
    return {"run_id": ledger.run_id(**what), **what}


# What recipes are for.
_TRANSFER, _COLOUR, _DIGITS, _ANY = (
    "transfer learning",
    "the colour images of the cifar10/ nets",
    "digits",
    "training from the start",
)


def _check_protocol(recipe, model):
    """InputError for a recipe that is for other images than the net takes, or for another way to train."""
    net = registry.net(model)
    suitable = (_COLOUR, _ANY) if net.input_format == "cifar10" else (_DIGITS, _ANY)
    if net.training == "transfer":
        suitable = (_TRANSFER,)
    if _purpose(recipe) not in suitable:
        suited = [
            name
            for purpose in suitable
            for name in recipes.recipe_names()
            if _purpose(recipes.recipe(name)) == purpose
        ]
        raise InputError(
            f"the recipe {recipe.name} is for {_purpose(recipe)}, and {model} takes the input format {net.input_format}: use one of {', '.join(suited)}"
        )


def _purpose(recipe):
    if isinstance(recipe, recipes.Transfer):
        return _TRANSFER
    if recipe.protocol in recipes.CROPPED:
        return _COLOUR
    return _ANY if recipe.protocol == "plain" else _DIGITS


def is_done(model, dataset, recipe="plain", seed=0, train_size=None):
    """True if the ledger has this row, from this source code of cnnlib."""
    return _find(plan(model, dataset, recipe, seed, train_size)["run_id"]) is not None


def train_row(model, dataset, recipe="plain", seed=0, train_size=None, again=False):
    """Train one net, test it once after the last epoch, record the row. Returns the row (dict). Arguments as for `plan`.

    Of a training over several processes (cnnlib.lab.distributed) the first does all of this; the others return the plan.

    A row that the ledger has already is returned as it is, unless `again`. The trained net is kept at `net_path(run_id)`, and how it
    learned by ledger.record_history; for a boosted net a JSON file beside it says what its filters counted. A run that was killed goes
    on from its last whole epoch. Raises InputError for data that the net cannot take, datasets.Unavailable without data.
    """
    what = plan(model, dataset, recipe, seed, train_size)
    done = _find(what["run_id"])
    if done and not again:
        return done

    from cnnlib import preprocessing, training

    recipe = recipes.recipe(recipe) if isinstance(recipe, str) else recipe
    data = datasets.load(dataset, train_size=train_size, seed=seed)
    checkpoints = storage.make_folder(storage.results_folder() / "checkpoints" / what["run_id"])
    if registry.net(model).training == "transfer":
        return _transfer_row(what, data, recipe, checkpoints)
    prepare = functools.partial(preprocessing.prepare_for, model, recipe)
    classes = len(data.info.class_names)
    net, history, counts = _trained(
        model, prepare(data.train.images), data.train.labels, recipe, seed, classes, checkpoints
    )
    if not distributed.is_first():
        return what
    error = training.evaluate(net, prepare(data.test.images), data.test.labels, recipe.test_views)
    row = keep(net, what, data.source, error, history.seconds)
    if counts:
        text = json.dumps([dataclasses.asdict(each) for each in counts], indent=2)
        storage.write_atomically(net_path(row["run_id"]).with_suffix(".json"), text + "\n")
    else:
        ledger.record_history(row["run_id"], history.epochs)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return row


def _transfer_row(what, data, recipe, folder):
    """`train_row` for VGG16 by a recipe of transfer learning. Where only the head was trained, only the head is kept."""
    import numpy as np

    from cnnlib import transfer

    images, classes = transfer.rgb(data.train.images), len(data.info.class_names)
    trained = transfer.train(images, data.train.labels, recipe, what["seed"], classes, folder)
    answers = transfer.probabilities(trained, transfer.rgb(data.test.images)).argmax(axis=1)
    error = 100 * float(np.mean(answers != data.test.labels))
    net = trained.head if recipe.trained == "head" else trained.model
    source = f"{data.source}; weights {trained.backbone.weights.source}"
    row = keep(net, what, source, error, trained.seconds, trained.trainable_parameters)
    ledger.record_history(row["run_id"], trained.history.epochs)
    shutil.rmtree(folder, ignore_errors=True)
    return row


def _trained(model, images, labels, recipe, seed, classes, folder):
    """Train the net of a batch name, with its state in `folder`.

    Returns (keras.Model, training.History or boosting.Boosted, counts of a boosted net's filters).
    """
    import keras

    from cnnlib import boosting, models, training

    member = registry.net(model).members
    if member:
        boosted = boosting.train(member, images, labels, recipe, seed, folder, classes=classes)
        return boosted.model, boosted, boosted.counts
    keras.utils.set_random_seed(seed)
    with training.precision(recipe):
        net = models.build(model, input_shape=images.shape[1:], classes=classes)
    history = training.train(net, images, labels, recipe, seed, checkpoint=folder / "net.npz")
    return distributed.gather(net), history, ()


def keep(net, plan, data_source, error, seconds, trained_weights=None):
    """Save a trained net and record its row. Returns the row (dict).

    Args: net: keras.Model; plan: what `plan` returned for it; data_source: `.source` of its data; error: on the test images, in %;
        seconds: of training; trained_weights: how many learned, if not all that can learn in `net`.
    Raises InputError as ledger.record, and if the folder cannot be written to.
    """
    from cnnlib import training

    save_net(net, plan["run_id"])
    return ledger.record(
        **plan,
        data_source=data_source,
        **_figure(plan["dataset"], error),
        trainable_parameters=training.trainable_parameters(net)
        if trained_weights is None
        else trained_weights,
        train_seconds=seconds,
        **_accelerator(),
    )


def _figure(dataset, error):
    """The columns `metric` and `value`, in the metric of the lecture's table of that data set."""
    published = results.published()
    metrics = set(published["metric"][published["row_id"].str.startswith(f"{dataset}/")])
    if metrics == {"test_accuracy_percent"}:
        return {"metric": "test_accuracy_percent", "value": round(100 - error, 10)}
    return {"metric": "test_error_percent", "value": error}


def _accelerator():
    """The column `device` if Keras trained on GPUs or over several processes; else nothing, and the ledger names the processor."""
    import keras

    gpus = [device for device in keras.distribution.list_devices() if device.startswith("gpu")]
    count = distributed.processes()
    parts = [
        *([f"{count} processes"] if count > 1 else []),
        *([f"{len(gpus)} GPU"] if gpus else []),
    ]
    return {"device": "; ".join([*parts, environment.device()])} if parts else {}


def net_path(run_id):
    """Where the trained net of a row is kept."""
    return storage.results_folder() / "nets" / f"{run_id}.keras"


def publish_nets(run_ids):
    """Copy the trained nets of published runs, with what their filters counted, to data/nets/. Returns the paths of the nets.

    Those of seed 0 that belong to a published figure and are small (LARGEST_COURSE_NET); a net trained anew takes the place of the old one.
    """
    rows = results.measured(local=False)
    rows = rows[rows["run_id"].isin(run_ids) & (rows["seed"] == 0) & (rows["row_id"] != "")]
    paths = []
    for row in rows.itertuples():
        net, path = net_path(row.run_id), trained_path(row.model, row.recipe)
        if not net.exists() or net.stat().st_size > LARGEST_COURSE_NET:
            continue
        paths.append(storage.write_atomically(path, net.read_bytes()))
        if net.with_suffix(".json").exists():
            storage.write_atomically(
                path.with_suffix(".json"), net.with_suffix(".json").read_bytes()
            )
    return paths


def save_net(model, run_id):
    """Write the trained net of a row, without what only training needs: whole or not at all. Returns the path."""
    import keras

    path = net_path(run_id)
    bare = keras.models.model_from_json(_bare(model.to_json()))
    bare.set_weights(model.get_weights())
    with storage.replacing(path, suffix=".keras") as temporary:
        bare.save(temporary)
    return path


def _bare(architecture):
    """A net's JSON without its optimizer, which is twice as large as the net, and in float32 whatever it was trained in, so that it
    loads and predicts on any machine."""
    config = json.loads(architecture)
    config.pop("compile_config", None)
    return json.dumps(config).replace('"mixed_float16"', '"float32"')


def _find(run_id):
    rows = results.measured()
    rows = rows[rows["run_id"] == run_id]
    return rows.iloc[0].drop("origin").to_dict() if len(rows) else None
