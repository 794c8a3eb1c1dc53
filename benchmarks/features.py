"""Transfer learning's speed: features computed once, beside a bare `predict_on_batch` loop, and
beside a base that runs in every epoch.

    python benchmarks/features.py [--images 2000] [--rounds 9] [--epochs 10] [--image-size 32]

1. Images a second of `cnnlab.features` (the images' digest, writing, checking the file: all of
   it) and of a plain loop over `predict_on_batch` of the same net with the same batches, whose
   outputs are kept in memory. They take turns. To be at least 0.9. 2. End to end: features of the
   images and `--epochs` epochs of training a linear head through cnnlib.transfer, beside the usual
   way, the frozen base inside the model and run in every epoch, by a plain `model.fit`. Once each.
   To be at most 0.15.

CIFAR-10 if it is there, else random images: what they show costs nothing. Figures:
benchmarks/README.md."""

import argparse
import pathlib
import statistics
import tempfile
import time

import keras
import numpy as np

from cnnlab import feature_cache
from cnnlib import datasets, recipes, training, transfer


def images_and_labels(n):
    try:
        train = datasets.load("cifar10", train_size=n, download=False).train
        return train.images, train.labels
    except datasets.Unavailable:
        random = np.random.RandomState(0)
        return random.randint(0, 256, (n, 32, 32, 3)).astype(np.uint8), random.randint(0, 10, n)


def seconds_of(function, *arguments, **options):
    start = time.perf_counter()
    function(*arguments, **options)
    return time.perf_counter() - start


def kept_features(net, images, folder):
    for path in pathlib.Path(folder).glob("*"):
        path.unlink()
    feature_cache.features(net, images, progress=False, folder=folder)


def bare_loop(model, images):
    batches = range(0, len(images), transfer.BATCH)
    return np.concatenate(
        [model.predict_on_batch(images[i : i + transfer.BATCH].astype("float32")) for i in batches]
    )


def our_way(net, images, labels, epochs, folder):
    kept_features(net, images, folder)
    seen = feature_cache.features(net, images, progress=False, folder=folder).of("345")
    recipe = recipes.recipe("quick-frozen", epochs=epochs, batch_size=128)
    training.train(transfer.head(), seen, labels, recipe, progress=False)


def usual_way(net, images, labels, epochs):
    model = transfer.assemble(net, transfer.head())
    transfer.unfreeze(model, "head")
    recipe = recipes.recipe("quick-frozen", batch_size=128)
    model.compile(
        keras.optimizers.AdamW(recipe.learning_rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    model.fit(
        images.astype("float32"), labels, batch_size=recipe.batch_size, epochs=epochs, verbose=0
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--image-size", type=int, default=32)
    options = parser.parse_args()
    images, labels = images_and_labels(options.images)
    net = transfer.backbone(images.shape[1:], options.image_size)
    contenders = {
        "features": lambda: kept_features(net, images, folder),
        "predict_on_batch": lambda: bare_loop(net.model, images),
    }
    with tempfile.TemporaryDirectory() as folder:
        bare_loop(net.model, images[: 2 * transfer.BATCH])  # builds its graph
        rates = {name: [] for name in contenders}
        for number in range(options.rounds):
            for name, function in contenders.items():
                rates[name].append(len(images) / seconds_of(function))
                print(
                    f"round {number + 1}: {name} {rates[name][-1]:.0f} images a second", flush=True
                )
        median = {name: statistics.median(values) for name, values in rates.items()}
        print(
            f"features / predict_on_batch = {median['features'] / median['predict_on_batch']:.2f}",
            flush=True,
        )
        if options.epochs:
            ours = seconds_of(our_way, net, images, labels, options.epochs, folder)
            usual = seconds_of(usual_way, net, images, labels, options.epochs)
            print(
                f"{options.epochs} epochs: cnnlib {ours:.1f} s, base in the model {usual:.1f} "
                f"s, ratio {ours / usual:.2f}"
            )


if __name__ == "__main__":
    main()
