"""Seconds of a LeNet-5 epoch (60,000 images, batch 128) with fresh distortions of every image
beside one without: at most 1.3 times.

    python benchmarks/distortions.py [--rounds 3]

The two take turns; medians of the epochs after the first, which compiles. Figures:
benchmarks/README.md."""

import argparse
import statistics

from cnnlib import datasets, models, preprocessing, training


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    train = datasets.load("mnist").train
    images = preprocessing.prepare(train.images, models.input_format("lenet-5"))
    seconds = {"plain": [], "distorted": []}
    for _ in range(rounds):
        for protocol in seconds:
            recipe = training.recipe("plain", epochs=3, protocol=protocol)
            history = training.train(
                models.build("lenet-5"), images, train.labels, recipe, progress=False
            )
            seconds[protocol] += history.epochs["seconds"].tolist()[1:]
    for protocol, found in seconds.items():
        print(
            f"{protocol:10} {statistics.median(found):6.2f} s, {min(found):.2f} to {max(found):.2f}"
        )
    print(
        f"ratio {statistics.median(seconds['distorted']) / statistics.median(seconds['plain']):.2f}"
    )


if __name__ == "__main__":
    main()
