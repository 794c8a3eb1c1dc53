"""A training step of VGG16's last three blocks, with 3x3 convolutions by Winograd's algorithm and
by the library's: milliseconds an image.

    python benchmarks/winograd.py [--sizes 32 64] [--batch 128] [--rounds 3]

The two nets are the same but for `cnnlib.models.winograd.FastConv2D`, and take turns. The images
are random: what they show costs nothing. Figures: benchmarks/README.md."""

import argparse
import statistics
import time

import numpy as np

from cnnlib import losses, optimizers, preprocessing, recipes, training, transfer
from cnnlib.models import winograd

STEPS = 4  # in a round


def _library(layer, shape):
    """In the place of FastConv2D._algorithm: always the library."""


def net_of(size, recipe, images):
    """An assembled VGG16 with batch norm, of which the last three blocks learn, compiled."""
    base = transfer.put_batch_norm(
        transfer.backbone(images.shape[1:], size), recipe.transfer.trainable, images
    )
    net = transfer.assemble(base, transfer.head(hidden=1024, dropout=0.5))
    transfer.unfreeze(net, recipe.transfer.trainable)
    net.compile(
        optimizers.optimizer(recipe, 100),
        losses.loss_of(net),
        jit_compile=training.jit_compile(),
    )
    return net


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    random = np.random.RandomState(0)
    images, labels = (
        random.randint(0, 256, (options.batch, 32, 32, 3)).astype(np.uint8),
        random.randint(0, 10, options.batch),
    )
    recipe, inputs = (
        recipes.recipe("fine-tuned-32", warmup_epochs=0.0),
        preprocessing.prepare(images, "rgb"),
    )
    algorithm = winograd.FastConv2D._algorithm
    for size in options.sizes:
        nets = {}
        for way in ("winograd", "library"):
            winograd.FastConv2D._algorithm = algorithm if way == "winograd" else _library
            nets[way] = net_of(size, recipe, images)
            nets[way].train_on_batch(inputs, labels)  # builds its graph
        times = {way: [] for way in nets}
        for _ in range(options.rounds):
            for way, net in nets.items():
                start = time.perf_counter()
                for _ in range(STEPS):
                    net.train_on_batch(inputs, labels)
                times[way].append(1000 * (time.perf_counter() - start) / STEPS / options.batch)
                print(f"{size}x{size}, {way}: {times[way][-1]:.1f} ms an image", flush=True)
        median = {way: statistics.median(values) for way, values in times.items()}
        print(
            f"{size}x{size}: {median['winograd']:.1f} and {median['library']:.1f} ms an image, "
            f"ratio",
            end=" ",
        )
        print(f"{median['winograd'] / median['library']:.2f}", flush=True)


if __name__ == "__main__":
    main()
