"""Whether the number of threads changes a trained net: the same training with 1 thread and with 2.

    python benchmarks/threads.py

Each net is trained with one thread and twice with two, in processes of their own, as the workers of
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

from cnnlab.batch.supervisor import THREADS

# net: (recipe, training images)
TRAININGS = {
    "linear-28x28": ("plain,epochs=1", 2000),
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


def compare(name, first, second):
    """Return how two trainings of a net differ, in words."""
    pairs = zip(read(first)[1:], read(second)[1:], strict=True)
    largest = max(float(np.abs(a - b).max()) for a, b in pairs)
    different = int((read(first)[0] != read(second)[0]).sum())
    return f"{name}: weights differ by at most {largest:.1e}, {different} of 1,000 answers differ"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--train", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        for number, name in enumerate(TRAININGS):
            train(name, pathlib.Path(options.train, f"{number}.npz"))
        return
    with tempfile.TemporaryDirectory() as top:
        folders = {}
        for threads, attempt in ((1, 1), (2, 1), (2, 2)):
            folder = folders[threads, attempt] = pathlib.Path(top, f"{threads}-{attempt}")
            folder.mkdir()
            command = [sys.executable, __file__, "--train", str(folder)]
            environment = os.environ | dict.fromkeys(THREADS, str(threads))
            subprocess.run(command, env=environment, check=True)
        for number, name in enumerate(TRAININGS):
            one, two, again = (folder / f"{number}.npz" for folder in folders.values())
            print("1 and 2 threads,", compare(name, one, two))
            print("2 and 2 threads,", compare(name, two, again))


if __name__ == "__main__":
    main()
