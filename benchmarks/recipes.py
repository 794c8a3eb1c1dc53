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

from cnnlab import environment
from cnnlib import registry, storage
from cnnlib.recipes import recipe

PATH = storage.ROOT / "benchmarks" / "recipes.csv"


def measured(options: argparse.Namespace) -> dict:
    """Train one recipe and return its row."""
    from cnnlib import datasets

    settings = recipe(options.recipes[0])
    data = datasets.load(
        options.dataset,
        train_size=options.train_size,
        validation_size=options.validation_size,
        seed=0,
    )
    train = transferred if settings.transfer else from_scratch
    history, error, one_view_error = train(options.net, settings, data, options.seed)
    return {
        "net": options.net,
        "dataset": options.dataset,
        "recipe": settings.name,
        "train_size": options.train_size,
        "validation_size": options.validation_size,
        "seed": options.seed,
        "validation_error": round(float(error), 2),
        "one_view_error": round(float(one_view_error), 2),
        "training_error": round(float(history.epochs["train_error"].iloc[-1]), 2),
        "seconds": round(history.seconds),
        "threads": environment.threads(),
        "device": environment.device(),
        "date": datetime.date.today().isoformat(),
    }


def from_scratch(name, settings, data, seed):
    """Return the History of a net, and its validation errors by the recipe's and by one view."""
    import keras

    from cnnlib import models, preprocessing, training

    images, validation = (
        preprocessing.prepare_for(name, settings, part.images)
        for part in (data.train, data.validation)
    )
    keras.utils.set_random_seed(seed)
    with training.precision(settings):
        net = models.build(name)
    history = training.train(net, images, data.train.labels, settings, seed)
    labels = data.validation.labels
    return history, *(
        training.evaluate(net, validation, labels, views=v) for v in (settings.test_views, 1)
    )


def transferred(name, settings, data, seed):
    """The same for a recipe of transfer learning."""
    import numpy as np

    from cnnlab import feature_cache
    from cnnlib import preprocessing, training, transfer

    keep = feature_cache.features
    images, validation = (transfer.rgb(part.images) for part in (data.train, data.validation))
    trained = transfer.train(images, data.train.labels, settings, seed, extract=keep)
    inputs = preprocessing.prepare(validation, "rgb")
    answers = (
        transfer.probabilities(trained, validation, keep),
        training.predict(trained.model, inputs),
    )
    labels = data.validation.labels
    return trained, *(100 * np.mean(p.argmax(axis=1) != labels) for p in answers)


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
