"""Compare recipes on validation images, which are split off the training set.

    python benchmarks/recipes.py NET RECIPE [RECIPE ...] [--dataset cifar10] [--train-size 10000]
        [--validation-size 5000] [--seed 0]

Each recipe is trained in a process of its own, one after another; test images are never read. A row
goes to benchmarks/recipes.csv as soon as a training is done: the errors in percent after its last
epoch, on validation images with the recipe's test views and with one view.
What was decided with the rows is in docs/recipes.md.
"""

import argparse
import csv
import datetime
import subprocess
import sys

from cnnlib import storage
from cnnlib.lab import environment
from cnnlib.models import registry
from cnnlib.recipes import recipe

PATH = storage.ROOT / "benchmarks" / "recipes.csv"


def measured(options: argparse.Namespace) -> dict:
    """Train one recipe and return its row."""
    import keras

    from cnnlib import datasets, models, preprocessing, training

    settings = recipe(options.recipes[0])
    data = datasets.load(
        options.dataset,
        train_size=options.train_size,
        validation_size=options.validation_size,
        seed=0,
    )
    images, validation = (
        preprocessing.prepare_for(options.net, settings, part.images)
        for part in (data.train, data.validation)
    )
    keras.utils.set_random_seed(options.seed)
    with training.precision(settings):
        net = models.build(options.net)
    history = training.train(net, images, data.train.labels, settings, options.seed)
    error, one_view_error = (
        training.evaluate(net, validation, data.validation.labels, views=views)
        for views in (settings.test_views, 1)
    )
    return {
        "net": options.net,
        "dataset": options.dataset,
        "recipe": settings.name,
        "train_size": options.train_size,
        "validation_size": options.validation_size,
        "seed": options.seed,
        "validation_error": round(error, 2),
        "one_view_error": round(one_view_error, 2),
        "training_error": round(float(history.epochs["train_error"].iloc[-1]), 2),
        "seconds": round(history.seconds),
        "threads": environment.threads(),
        "device": environment.device(),
        "date": datetime.date.today().isoformat(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("net")
    parser.add_argument("recipes", nargs="+", metavar="RECIPE")
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--train-size", type=int, default=10_000)
    parser.add_argument("--validation-size", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    registry.net(options.net)
    for name in options.recipes:
        recipe(name)
    if len(options.recipes) > 1:
        for name in options.recipes:
            same = ["--dataset", options.dataset, "--seed", str(options.seed)]
            same += ["--train-size", str(options.train_size)]
            same += ["--validation-size", str(options.validation_size)]
            subprocess.run([sys.executable, __file__, options.net, name, *same], check=True)
        return
    row = measured(options)
    print(row, flush=True)
    is_new = not PATH.exists()
    with PATH.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(row)


if __name__ == "__main__":
    main()
