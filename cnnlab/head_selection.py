"""The choice of a head for transfer learning, on a part of the training images."""

from collections.abc import Iterable

import keras
import numpy as np
import pandas as pd

from cnnlab import feature_cache
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


def compare_heads(
    dataset: str,
    image_size: int = 32,
    train_size: int | None = None,
    blocks: str = "345",
    epochs: int = 30,
    settings: Iterable[tuple[int, float, float, float]] = SETTINGS,
) -> pd.DataFrame:
    """Train a head by each of the settings on 90 % of the training images, and test it on 10 %.

    The split is random, and the same for all. The test images have no part in it.

    Returns:
        A row for each of the settings, best first: the settings, validation and training error in %
        after the last epoch, seconds of training.
    """
    data = datasets.load(dataset, train_size=train_size)
    labels, n = data.train.labels, len(data.train.labels)
    net = transfer.backbone((*data.train.images.shape[1:3], 3), image_size)
    seen = feature_cache.features(net, transfer.rgb(data.train.images)).of(blocks)
    order = np.random.RandomState(0).permutation(n)
    held_out, kept = np.sort(order[: n // 10]), np.sort(order[n // 10 :])
    base = recipes.recipe(
        "quick-frozen", epochs=epochs, batch_size=256, blocks=blocks, image_size=image_size
    )
    rows = []
    for hidden, dropout, rate, decay in settings:
        keras.utils.set_random_seed(0)
        head = transfer.head(blocks, len(data.info.class_names), hidden, dropout)
        recipe = base.changed(learning_rate=rate, weight_decay=decay)
        history = training.train(head, seen[kept], labels[kept], recipe, progress=False)
        rows.append(
            {
                "hidden": hidden,
                "dropout": dropout,
                "learning_rate": rate,
                "weight_decay": decay,
                "validation_error": training.evaluate(head, seen[held_out], labels[held_out]),
                "train_error": training.evaluate(head, seen[kept], labels[kept]),
                "seconds": history.seconds,
            }
        )
    return pd.DataFrame(rows).sort_values("validation_error")
