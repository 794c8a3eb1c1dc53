"""Seconds between the last batch of `model.fit` and its return, on TensorFlow: arrays given to
Keras, and what cnnlib.training gives it.

    python benchmarks/end_of_fit.py [--rounds 5]

A LeNet-5 sees 60,000 MNIST images once, in batches of 128; the two ways take turns. tf.data tunes
the pipeline that Keras makes of arrays in a thread that sleeps 10 ms, 20 ms, 40 ms and so on up to
a minute at a time, and the end of `fit` waits until it wakes next. Another program on the same
cores changes the seconds before the last batch, not those after it. Figures: benchmarks/README.md.
"""

import argparse
import statistics
import time

import keras

from cnnlib import datasets, losses, models, preprocessing, training

WAYS = {
    "arrays": lambda images, labels: {"x": images, "y": labels, "batch_size": 128},
    "cnnlib": lambda images, labels: training._batches(images, labels, 128),
}


class Stamp(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.time = time.perf_counter()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    train = datasets.load("mnist").train
    images, net = preprocessing.prepare(train.images, "32x32"), models.build("lenet-5")
    net.compile(
        keras.optimizers.AdamW(5e-3), losses.loss_of(net), jit_compile=training.jit_compile()
    )
    net.fit(images[:128], train.labels[:128], verbose=0)
    seconds = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way, give in WAYS.items():
            stamp, start = Stamp(), time.perf_counter()
            net.fit(**give(images, train.labels), shuffle=False, verbose=0, callbacks=[stamp])
            seconds[way].append((stamp.time - start, time.perf_counter() - stamp.time))
            print(
                f"{way}: {seconds[way][-1][0]:.2f} s, and {seconds[way][-1][1]:.2f} s after the "
                f"last batch",
                flush=True,
            )
    for way, measured in seconds.items():
        before, after = zip(*measured, strict=True)
        later = f"{statistics.median(after):.2f} s (from {min(after):.2f} to {max(after):.2f})"
        print(f"{way:7s} {statistics.median(before):6.2f} s, then {later}")


if __name__ == "__main__":
    main()
