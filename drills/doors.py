"""Hand wrong arguments to the doors of the course, and count what is not an InputError.

The doors are what a reader calls by hand: `recipes.recipe`, `datasets.load` and `stream`,
`models.build`, the values of a notebook's parameters and the command line. Each call has one to
three arguments that cannot be meant, drawn at random; the others are good. The aim: none raises
another error, none is accepted. On the command line click refuses some of them by itself.
"""

import collections
import random

import click.testing
import numpy as np

from cnnlab import cli, notebooks
from cnnlib import datasets, models, recipes
from cnnlib.errors import InputError
from drills import counted, outcome

THINGS = [object(), {}, {"a": 1}, set(), b"mnist", lambda: 0, int, np.zeros((2, 3)), ...]
NOT_NAMES = [*THINGS, None, True, 5, 1.5, "", "no-such", "../mnist", "x" * 10_000, "\0", ["mnist"]]
NOT_FLAGS = [*THINGS, "no", "True", "", 2, 0.5, [], [True], float("nan")]
NOT_NUMBERS = [*THINGS, "5", "", [], [5], float("nan"), float("inf"), 5j, 10**400]
NOT_COUNTS = [*NOT_NUMBERS, 1.5, np.array([1, 2, 3]), 0, -1, -(10**30)]
NOT_SEEDS = [*NOT_NUMBERS, 1.5, -1, 2**64]
NOT_SHAPES = [*THINGS, 0, "28x28", (28,), (0, 0, 0), (28, 28, 1.5), (-1, 28, 1)]


def doors():
    """[(function, good arguments, {argument: bad values})]."""
    sample = {"name": "cifar100", "sample": True, "download": False}
    flags = {"sample": NOT_FLAGS, "download": NOT_FLAGS}
    return [
        (
            datasets.load,
            sample,
            {"name": NOT_NAMES, "train_size": NOT_COUNTS[:-3], "seed": NOT_SEEDS, **flags},
        ),
        (
            datasets.stream,
            sample | {"split": "test"},
            {
                "name": [*NOT_NAMES, "imagenet"],
                "split": NOT_NAMES,
                "image_size": [*NOT_COUNTS, (1, 2, 3), (0, 5)],
                "batch_size": NOT_COUNTS,
                "seed": NOT_SEEDS,
                **flags,
            },
        ),
        (
            models.build,
            {"name": "linear-28x28"},
            {"name": NOT_NAMES, "input_shape": NOT_SHAPES, "no_such_option": [1]},
        ),
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
            run_values,
            {"net": "lenet-1"},
            {"net": [5, None, 1.5], "epochs": ["x", 1.5, None, [5]], "no_such_name": [1]},
        ),
        (
            command,
            {"net": "lenet-1", "data": "mnist", "recipe": "plain", "seed": 0, "train_size": 100},
            {
                "net": ["", "no-such", "../x", 5],
                "data": ["", "no-such", "mnist2"],
                "recipe": ["", "no-such", "plain,epochs=x", "plain,no=1", "plain,epochs"],
                "seed": ["x", -1, 2**40, 1.5],
                "train_size": ["x", 0, -1, 10**9],
            },
        ),
    ]


def run_values(**values):
    """Check values for the parameters of notebook 04, as `batch` and `run` do."""
    notebooks.checked("04_lenet1", values)


def command(net, data, recipe, seed, train_size):
    """`python -m cnnlib train` in this process; its error message becomes an InputError."""
    words = [net, data, "--recipe", recipe, "--seed", seed, "--train-size", train_size]
    found = click.testing.CliRunner().invoke(cli.cli, ["train", *map(str, words)])
    if found.exit_code == 2 and "Error: " in found.output:
        raise InputError(found.output)
    if found.exception and not isinstance(found.exception, SystemExit):
        raise found.exception


def drill(count):
    """Make `count` bad calls; return what they came to, and whether all were refused."""
    draw, table = random.Random(0), doors()
    found = collections.Counter()
    for _ in range(count):
        function, good, bad = draw.choice(table)
        names = draw.sample(sorted(bad), k=min(len(bad), draw.choice([1, 1, 1, 2, 3])))
        wrong = {name: draw.choice(bad[name]) for name in names}
        if (problem := outcome(function, **good | wrong)) != "refused":
            problem += f" {function.__name__}({wrong!r:.200})"
        found[problem] += 1
    return counted(found, ("refused",))
