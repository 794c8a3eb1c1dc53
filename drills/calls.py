"""Call the public functions of cnnlib with bad arguments, and count what is not an InputError.

    python -m drills.calls [CALLS] [SEED]

10,000 calls, the default, take about a minute. Each has one to three arguments that cannot be
meant, drawn at random; the others are good. The aim: none raises another error, none is accepted.
"""

import collections
import os
import pathlib
import random
import sys
import warnings

import numpy as np

from cnnlib import augment, datasets, models, preprocessing, recipes, results, training, transfer
from cnnlib.errors import InputError


class BadText:
    """An object that cannot be printed."""

    def __repr__(self):
        raise RuntimeError("no text")


THINGS = [object(), BadText(), {}, {"a": 1}, set(), b"mnist", lambda: 0, int, np.zeros((2, 3)), ...]
NOT_NAMES = [
    *THINGS,
    None,
    True,
    5,
    1.5,
    "",
    "no-such",
    "../mnist",
    "x" * 10_000,
    "\0",
    [],
    ["mnist"],
]
NOT_NAMES_OR_NONE = [each for each in NOT_NAMES if each is not None]
NOT_FLAGS = [*THINGS, "no", "True", "", 0, 1, 0.0, [], [True], np.ones(2), float("nan")]
NOT_NUMBERS = [*THINGS, "5", "", True, [], [5], float("nan"), float("inf"), 5j, 10**400]
NOT_WHOLE = [*NOT_NUMBERS, 5.0, 1.5, np.float32(3), np.array([1, 2])]
NOT_COUNTS = [*NOT_WHOLE, 0, -1, -(10**30)]
NOT_SEEDS = [*NOT_WHOLE, -1, 2**64, 10**30]
NOT_PATHS = [object(), {}, 5, 1.5, True, [], np.zeros(2)]
NOT_PIXELS = [
    *(None, "x", 5, [], {}, object(), b"x", np.zeros(3), np.zeros((2, 2), np.uint8)),
    *(np.zeros((2, 28, 28, 1), object), np.zeros((2, 28, 28, 1), complex), np.zeros((2, 28))),
]
NOT_INPUTS = [*NOT_PIXELS, np.full((20, 28, 28, 1), np.nan, np.float32), np.zeros((20, 7, 7, 1))]
NOT_LABELS = [
    *(None, "x", 5, {}, object(), np.zeros(3, int), np.zeros((20, 2), int), np.full(20, -1)),
    *(np.full(20, 10), np.zeros(20) + 0.5, np.full(20, np.nan), np.zeros(20, object)),
]
NOT_MODELS = [None, 5, "lenet-5", object(), {}, [], int, lambda x: x]

IMAGES = np.random.RandomState(0).randint(0, 256, (20, 28, 28, 1)).astype(np.uint8)
INPUTS = IMAGES.astype(np.float32) / 255
LABELS = np.arange(20) % 10


def calls():
    """[(function, good arguments, {argument: bad values})]."""
    net = models.Linear()
    quick = recipes.recipe("plain", epochs=1)
    of_sets = {"sample": NOT_FLAGS, "partial": NOT_FLAGS, "download": NOT_FLAGS}
    sample = {"name": "cifar100", "sample": True, "download": False}
    return [
        (datasets.info, {}, {"name": NOT_NAMES}),
        (datasets.status, {}, {"name": NOT_NAMES}),
        (datasets.image_order, {"name": "cifar10"}, {"name": NOT_NAMES, "sample": NOT_FLAGS}),
        (datasets.class_counts, sample, {"name": NOT_NAMES, **of_sets}),
        (
            datasets.load,
            sample,
            {
                "name": [*NOT_NAMES, "caltech101", "imagenet"],
                "train_size": NOT_COUNTS,
                "test_size": [*NOT_COUNTS, 21],
                "validation_size": [*NOT_WHOLE, -1, None, 10**9],
                "seed": [*NOT_SEEDS, None],
                **of_sets,
            },
        ),
        (
            datasets.stream,
            sample | {"split": "test"},
            {
                "name": [*NOT_NAMES, "imagenet"],
                "split": NOT_NAMES,
                "image_size": [*NOT_COUNTS, (1, 2, 3), (0, 5), [1.5, 2], 10**9],
                "batch_size": NOT_COUNTS,
                "shuffle": NOT_FLAGS,
                "seed": [*NOT_SEEDS, None],
                "fit": NOT_NAMES,
                **of_sets,
            },
        ),
        (
            datasets.prepare,
            {"name": "mnist", "archive": "a.tar"},
            {"name": NOT_NAMES, "archive": NOT_PATHS, "partial": NOT_FLAGS},
        ),
        (
            preprocessing.prepare,
            {"images": IMAGES, "input_format": "28x28"},
            {"images": NOT_PIXELS, "input_format": NOT_NAMES, "deslanted": NOT_FLAGS},
        ),
        (
            preprocessing.prepare_for,
            {"net": "linear-28x28", "recipe": quick, "images": IMAGES},
            {"net": NOT_NAMES, "recipe": [*NOT_MODELS, "no-such"], "images": NOT_PIXELS},
        ),
        (augment.distort, {"images": INPUTS, "seed": 0}, {"images": NOT_PIXELS, "seed": NOT_SEEDS}),
        (models.build, {"name": "linear-28x28"}, {"name": NOT_NAMES, "classes": NOT_COUNTS}),
        (
            models.LeNet5,
            {},
            {
                "input_shape": [*NOT_COUNTS, (28,), (0, 0, 0), "28x28"],
                "classes": NOT_COUNTS,
                "connections": NOT_NAMES,
                "subsampling": NOT_NAMES,
                "activation": NOT_NAMES,
            },
        ),
        (
            models.MLP,
            {},
            {"hidden": [0, -1, "5", 1.5, {}, None, (0,), ("a",), (1.5,)], "activation": NOT_NAMES},
        ),
        (models.VGG16, {"input_shape": (32, 32, 3)}, {"include_top": NOT_FLAGS}),
        (models.net, {}, {"name": NOT_NAMES}),
        (models.input_format, {}, {"name": NOT_NAMES}),
        (models.layer_table, {}, {"model": NOT_MODELS}),
        (models.load_trained, {"name": "lenet-5"}, {"name": NOT_NAMES, "recipe": NOT_NAMES}),
        (models.load, {}, {"path": [*NOT_PATHS, "no-such.keras", ""]}),
        (
            recipes.recipe,
            {"name": "plain"},
            {
                "name": NOT_NAMES,
                "epochs": NOT_COUNTS,
                "batch_size": NOT_COUNTS,
                "learning_rate": [*NOT_NUMBERS, -1.0],
                "label_smoothing": [*NOT_NUMBERS, -0.1, 7],
                "momentum": [*NOT_NUMBERS, -1, 2],
                "nesterov": NOT_FLAGS,
                "optimizer": NOT_NAMES,
                "schedule": NOT_NAMES,
                "no_such_field": [1],
            },
        ),
        (
            training.train,
            {"model": net, "images": INPUTS, "labels": LABELS, "recipe": quick},
            {
                "model": NOT_MODELS,
                "images": NOT_INPUTS,
                "labels": NOT_LABELS,
                "recipe": NOT_MODELS,
                "seed": [*NOT_SEEDS, None],
            },
        ),
        (
            training.evaluate,
            {"model": net, "images": INPUTS, "labels": LABELS},
            {"model": NOT_MODELS, "images": NOT_INPUTS, "labels": NOT_LABELS},
        ),
        (
            training.predict,
            {"model": net, "images": INPUTS},
            {"model": NOT_MODELS, "images": NOT_INPUTS, "batch_size": NOT_COUNTS},
        ),
        (results.published, {}, {"benchmark": NOT_NAMES_OR_NONE}),
        (results.measured, {}, {"benchmark": NOT_NAMES_OR_NONE, "local": NOT_FLAGS}),
        (results.recap, {}, {"benchmark": NOT_NAMES, "local": NOT_FLAGS}),
        (
            results.interval,
            {"error_percent": 1.0},
            {
                "error_percent": [*NOT_NUMBERS, -1, 101],
                "n": NOT_COUNTS,
                "confidence": [*NOT_NUMBERS, 0, 1, 95],
            },
        ),
        (
            results.mcnemar,
            {"correct_a": LABELS == 1, "correct_b": LABELS == 2},
            {"correct_a": [None, "x", 5, [], np.zeros(3)], "correct_b": [None]},
        ),
        (transfer.head, {}, {"blocks": NOT_NAMES, "classes": NOT_COUNTS, "hidden": [-1, "x"]}),
        (transfer.backbone, {}, {"image_size": [*NOT_COUNTS], "input_shape": NOT_NAMES}),
    ]


def problems(count, seed=0):
    """Make `count` bad calls; return {(function, what happened, bad arguments): how often}."""
    draw, table = random.Random(seed), calls()
    found = collections.Counter()
    for _ in range(count):
        function, good, bad = draw.choice(table)
        names = draw.sample(sorted(bad), k=min(len(bad), draw.choice([1, 1, 1, 2, 3])))
        arguments = good | {name: draw.choice(bad[name]) for name in names}
        try:
            function(**arguments)
            problem = "accepted"
        except InputError:
            continue
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"[:80]
        shown = ", ".join(f"{name}={_text(arguments[name])}" for name in names)
        found[function.__module__ + "." + function.__name__, problem, shown] += 1
    return found


def _text(value):
    try:
        return repr(value).replace("\n", " ")[:60]
    except Exception:
        return "an object that cannot be printed"


if __name__ == "__main__":
    os.environ.setdefault("CNNLIB_DATA", str(pathlib.Path("no-such-folder").absolute()))
    warnings.simplefilter("ignore")
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    found = problems(count, int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    accepted = sum(n for (_, problem, _), n in found.items() if problem == "accepted")
    for (name, problem, shown), n in sorted(found.items()):
        print(f"{n:4} {name}({shown}): {problem}")
    print(f"{count} bad calls: {accepted} accepted, {sum(found.values()) - accepted} other errors")
