"""Whether the number of threads changes a trained net: the same training with 1 thread and with 2.

    python benchmarks/threads.py [--threads 1 2]

Each net is trained twice with each number of threads, in processes of their own, as the workers of
a batch start them. Compared are the weights, bit for bit, and the classes of 1,000 test images.
Results: docs/architecture.md.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from cnnlib.lab.batch.worker import THREADS

# net: (recipe, training images)
TRAININGS = {
    "linear-28x28": ("plain,epochs=1", 2000),
    "lenet-1": ("plain,epochs=1", 2000),
    "lenet-5": ("distorted,epochs=1", 2000),
    "cifar10/fast": ("fast,epochs=1,batch_size=64", 256),
}


def train(name, path):
    """Train one net and write its weights and its answers to `path`."""
    import keras

    from cnnlib import datasets, models, preprocessing, recipes, training

    text, size = TRAININGS[name]
    recipe = recipes.recipe(text)
    if name.startswith("cifar10/"):
        random = np.random.RandomState(0)
        images = random.randint(0, 256, (size + 1000, 32, 32, 3)).astype(np.uint8)
        images, test, labels = images[:size], images[size:], random.randint(0, 10, size)
    else:
        data = datasets.load("mnist", train_size=size, test_size=1000)
        images, labels, test = data.train.images, data.train.labels, data.test.images
    keras.utils.set_random_seed(0)
    net = models.build(name)
    prepared = preprocessing.prepare_for(name, recipe, images)
    training.train(net, prepared, labels, recipe, progress=False)
    answers = training.predict(net, preprocessing.prepare_for(name, recipe, test)).argmax(axis=1)
    np.savez(path, answers, *net.get_weights())


def read(path):
    with np.load(path) as saved:
        return [saved[name] for name in saved.files]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--train", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        train(*options.train)
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in TRAININGS:
            found = {}
            for threads in options.threads:
                for attempt in (1, 2):
                    path = pathlib.Path(folder, f"{threads}-{attempt}.npz")
                    command = [sys.executable, __file__, "--train", name, str(path)]
                    environment = os.environ | dict.fromkeys(THREADS, str(threads))
                    subprocess.run(command, env=environment, check=True)
                    found[threads, attempt] = read(path)
            first = found[options.threads[0], 1]
            for (threads, attempt), arrays in list(found.items())[1:]:
                largest = max(
                    float(np.abs(a - b).max()) for a, b in zip(first[1:], arrays[1:], strict=True)
                )
                different = int((first[0] != arrays[0]).sum())
                print(
                    f"{name}: {threads} threads, run {attempt}, beside {options.threads[0]} "
                    f"threads, run 1: weights differ by at most {largest:.1e}, {different} of "
                    f"{len(first[0]):,} answers differ",
                    flush=True,
                )


if __name__ == "__main__":
    main()
