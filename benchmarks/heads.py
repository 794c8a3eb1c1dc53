"""The choice of a head for transfer learning, by validation on a tenth of the training images.

    python benchmarks/heads.py cifar10 [--image-size 32] [--train-size 10000] [--blocks 345]

A head is trained by each of the settings on the other nine tenths. The split is random, and the
same for all; the test images have no part in it. What was found: docs/recipes.md."""

import argparse

import keras
import numpy as np
import pandas as pd

import cnnlab
from cnnlib import datasets, recipes, training, transfer

# What is tried: (hidden, dropout, learning rate, weight decay)
SETTINGS = [
    *((0, 0.0, rate, decay) for rate in (5e-4, 2e-3) for decay in (0.02, 0.2)),
    *(
        (hidden, dropout, 1e-3, decay)
        for hidden in (512, 1024, 2048)
        for dropout in (0.3, 0.6)
        for decay in (0.05, 0.3)
    ),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dataset")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--train-size", type=int)
    parser.add_argument("--blocks", default="345")
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()
    train = datasets.load(options.dataset, train_size=options.train_size).train
    images, labels, n = transfer.rgb(train.images), train.labels, len(train.labels)
    net = transfer.backbone(images.shape[1:], options.image_size)
    seen = cnnlab.features(net, images).of(options.blocks)
    order = np.random.RandomState(0).permutation(n)
    held_out, kept = np.sort(order[: n // 10]), np.sort(order[n // 10 :])
    rows = []
    for hidden, dropout, rate, decay in SETTINGS:
        keras.utils.set_random_seed(0)
        head = transfer.head(options.blocks, int(labels.max()) + 1, hidden, dropout)
        recipe = recipes.recipe(
            "quick-frozen",
            epochs=options.epochs,
            batch_size=256,
            learning_rate=rate,
            weight_decay=decay,
        )
        history = training.train(head, seen[kept], labels[kept], recipe, progress=False)
        errors = {
            f"{part} error %": training.evaluate(head, seen[chosen], labels[chosen])
            for part, chosen in (("validation", held_out), ("training", kept))
        }
        row = {"hidden": hidden, "dropout": dropout, "rate": rate, "weight decay": decay}
        rows.append({**row, **errors, "seconds": history.seconds})
    print(pd.DataFrame(rows).sort_values("validation error %").to_string(index=False))


if __name__ == "__main__":
    main()
