"""Seconds of an MNIST epoch (60,000 images, batch 128) with and without XLA, for each kind of net:
why training leaves it off on a CPU.

    python benchmarks/xla.py [--rounds 3]

The two take turns; medians of the second epoch (the first compiles). Figures: benchmarks/README.md.
"""

import argparse
import statistics

from cnnlib import datasets, models, preprocessing, training

NETS = [
    "linear-20x20",
    "mlp-28x28-300-100",
    "mlp-28x28-1000-150",
    "lenet-1",
    "lenet-4",
    "lenet-5",
    "lenet-5-paper",
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    train = datasets.load("mnist").train
    print(f"{'net':20} {'without':>8} {'with XLA':>9} {'ratio':>6}")
    for name in NETS:
        images = preprocessing.prepare(train.images, models.input_format(name))
        seconds = {False: [], True: []}
        for _ in range(rounds):
            for xla in seconds:
                training.jit_compile = lambda xla=xla: (
                    xla
                )  # the choice is measured here, so that it need not be an option there
                recipe = training.recipe("plain", epochs=2)
                history = training.train(
                    models.build(name), images, train.labels, recipe, progress=False
                )
                seconds[xla].append(history.epochs["seconds"].iloc[1])
        without, with_xla = (statistics.median(seconds[xla]) for xla in (False, True))
        print(f"{name:20} {without:8.2f} {with_xla:9.2f} {with_xla / without:6.2f}", flush=True)


if __name__ == "__main__":
    main()
