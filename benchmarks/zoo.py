"""What the twelve nets of the CIFAR-10 benchmark cost on this machine's CPU, and whether they learn
at all.

    python benchmarks/zoo.py [NET ...] [--again]

For each net, in a process of its own: parameters, multiply-adds, images a second forward and in
training (batches of 32, medians without the first), peak memory, minutes of an epoch by that, and,
as a sign of life, the mean loss of the first and of the last of six passes over the same five
batches of CIFAR-10's images: 30 steps. Rows go to data/measured/costs.csv, which notebook 09 reads,
each as soon as it is measured: a run that was stopped goes on where it was. `--again` measures anew
what is there. `busy_cores` says how many cores other programs kept busy in the three seconds
before: above about 0.5, only the order of magnitude of a speed says something. Needs CIFAR-10
(README.md, "Where the data comes from"). Not for Windows."""

import argparse
import csv
import io
import json
import os
import statistics
import subprocess
import sys
import time

import psutil

from cnnlab import environment, manifest
from cnnlib import datasets, integrity, registry, results

PATH = results.MEASURED / "costs.csv"
NETS = [
    name.removeprefix("cifar10/")
    for name in registry.names()
    if name in ("cifar10/fast", registry.net(name).row)
]
BATCH, BATCHES, PASSES, FORWARD = 32, 5, 6, 5
COLUMNS = [
    *(
        "model",
        "parameters",
        "multiply_adds",
        "batch_size",
        "forward_images_per_second",
        "training_images_per_second",
    ),
    *(
        "peak_memory_mib",
        "epoch_minutes",
        "first_loss",
        "last_loss",
        "busy_cores",
        "device",
        "versions",
        "date",
    ),
]


def measure(name):
    """What one net costs (dict). It trains by the optimizer of `benchmark`, at a rate that suits so
    few steps."""
    import resource

    import keras

    from cnnlib import models, optimization, preprocessing, training

    train = datasets.load("cifar10", train_size=BATCH * BATCHES).train
    images, labels = preprocessing.prepare(train.images, models.input_format(name)), train.labels
    keras.utils.set_random_seed(0)
    model = models.build(name)
    model.compile(
        optimization.TorchSGD(0.002, 0.9, 5e-4), optimization.loss_of(model), jit_compile=False
    )
    # As one graph, as a training step is.
    forward = [
        seconds(lambda: model.predict_on_batch(images[:BATCH]))[0] for _ in range(1 + FORWARD)
    ]
    steps = []
    for i in [*range(0, len(images), BATCH)] * PASSES:
        steps.append(
            seconds(lambda i=i: model.train_on_batch(images[i : i + BATCH], labels[i : i + BATCH]))
        )
        model.reset_metrics()
    step = statistics.median(time for time, _ in steps[1:])
    losses = [float(loss) for _, loss in steps]
    return {
        "model": name,
        "parameters": training.trainable_parameters(model),
        "multiply_adds": models.multiply_adds(model),
        "batch_size": BATCH,
        "forward_images_per_second": round(BATCH / statistics.median(forward[1:]), 1),
        "training_images_per_second": round(BATCH / step, 1),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        // (2**20 if sys.platform == "darwin" else 2**10),
        "epoch_minutes": round(datasets.info("cifar10").train_count / BATCH * step / 60, 1),
        "first_loss": round(statistics.mean(losses[:BATCHES]), 3),
        "last_loss": round(statistics.mean(losses[-BATCHES:]), 3),
        "device": environment.device(),
        "versions": environment.versions(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def seconds(function):
    """(seconds, result) of one call."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def read():
    """{model: row} of the file, empty if there is none."""
    if not PATH.exists():
        return {}
    lines = csv.DictReader(io.StringIO(integrity.read_text(PATH), newline=""))
    return {row["model"]: row for row in lines}


def write(rows):
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows[name] for name in registry.names() if name in rows)
    manifest.write(PATH, text.getvalue())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "nets",
        nargs="*",
        metavar="NET",
        default=NETS,
        help=f"among {', '.join(NETS)}; default: all",
    )
    parser.add_argument("--again", action="store_true", help="measure anew what the file has")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(measure(options.worker)))
        return
    if unknown := set(options.nets) - set(NETS):
        parser.error(f"unknown nets: {', '.join(sorted(unknown))}")
    for name in (f"cifar10/{net}" for net in options.nets):
        if name in read() and not options.again:
            continue
        busy = round(psutil.cpu_percent(interval=3) / 100 * os.cpu_count(), 1)
        done = subprocess.run(
            [sys.executable, __file__, "--worker", name], capture_output=True, text=True
        )
        if done.returncode:
            sys.exit(f"{name} failed:\n{done.stderr[-2000:]}")
        row = {"busy_cores": busy, **json.loads(done.stdout.splitlines()[-1])}
        write({**read(), name: row})
        print(
            f"{name}: {row['forward_images_per_second']} forward and "
            f"{row['training_images_per_second']} training images/s, loss "
            f"{row['first_loss']} -> {row['last_loss']}",
            flush=True,
        )


if __name__ == "__main__":
    main()
