"""Compare a training step of the CIFAR-10 nets with Keras' own layers and with the course's.

    python benchmarks/training_step.py [NET ...] [--batch 128] [--rounds 3] [--precision float32]

Each net and precision is measured in a process of its own. Two nets that are the same but for fused
batch norm and GELU, oneDNN's grouped convolutions and the ways of FastConv2D take turns. The time,
in milliseconds an image, is that of the processor, divided by its cores, so that other programs
disturb it little; on an idle machine it is near the time on the clock, which is shown too. Peak
memory is that of another process each, which makes one net alone and trains it for a step. The
images are random: what they show costs nothing. Rows go to benchmarks/training_step.csv, each as
soon as it is measured. Results: benchmarks/README.md.
"""

import argparse
import csv
import datetime
import json
import os
import statistics
import subprocess
import sys
import time

from cnnlab import environment
from cnnlib import registry, storage
from cnnlib.errors import check_name

PATH = storage.ROOT / "benchmarks" / "training_step.csv"
NETS = [name for name in registry.names() if name.startswith("cifar10/")]
STEPS = 2  # in a round
WAYS = ("own", "course")  # Keras' own layers, and the course's
KEY = ("model", "precision", "batch_size")
COLUMNS = (
    *KEY,
    *(f"{way}_{what}" for way in WAYS for what in ("ms", "ms_on_the_clock", "peak_mib")),
    *("ratio", "device", "date"),
)


def built(name, recipe, own):
    """The net of that name, compiled and with its graph built; if `own`, of Keras' own layers."""
    import keras

    from cnnlib import models, optimization, training
    from cnnlib.models import norm, winograd
    from cnnlib.models.cifar10 import fast, parts

    course = (
        (norm.BatchNorm, "call", keras.layers.BatchNormalization.call),
        (winograd.FastConv2D, "_algorithm", lambda *_: None),
        (parts, "_onednn_groups", lambda *_: False),
        (fast, "gelu", keras.activations.gelu),
    )
    before = [getattr(owner, part) for owner, part, _ in course]
    for owner, part, replacement in course if own else ():
        setattr(owner, part, replacement)
    keras.utils.set_random_seed(0)
    with training.precision(recipe):
        net = models.build(name)
    net.compile(
        optimization.TorchSGD(0.001, 0.9, 5e-4), optimization.loss_of(net), jit_compile=False
    )
    net.train_on_batch(*batch_of(recipe.batch_size))
    for (owner, part, _), value in zip(course, before, strict=True):
        setattr(owner, part, value)
    return net


def batch_of(size):
    import numpy as np

    random = np.random.RandomState(0)
    images = random.normal(size=(size, 32, 32, 3)).astype("float32")
    return images, random.randint(0, 10, size)


def measure(name, precision, batch, rounds):
    """Return the times of one net (dict), both ways in turn."""
    from cnnlib import recipes

    recipe = recipes.recipe("benchmark", precision=precision, batch_size=batch)
    nets = {way: built(name, recipe, way == "own") for way in WAYS}
    times = {way: [] for way in WAYS}
    images, labels = batch_of(batch)
    for _ in range(rounds):
        for way, net in nets.items():
            clock, start = time.perf_counter(), time.process_time()
            for _ in range(STEPS):
                net.train_on_batch(images, labels)
            per_image = 1000 / STEPS / batch
            used = (time.process_time() - start) / os.cpu_count() * per_image
            times[way].append((used, (time.perf_counter() - clock) * per_image))
    row = {}
    for way, values in times.items():
        row[f"{way}_ms"] = round(statistics.median(used for used, _ in values), 2)
        row[f"{way}_ms_on_the_clock"] = round(statistics.median(clock for _, clock in values), 2)
    return row | {"ratio": round(row["course_ms"] / row["own_ms"], 2)}


def peak(name, precision, batch, way):
    """Return the peak memory of this process, in MiB, after a step of one net."""
    import resource

    from cnnlib import recipes

    recipe = recipes.recipe("benchmark", precision=precision, batch_size=batch)
    built(name, recipe, way == "own").train_on_batch(*batch_of(batch))
    return {f"{way}_peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)}


def in_a_process(*arguments):
    """Return what this script prints as JSON when it is called with these arguments."""
    command = [sys.executable, __file__, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def record(row):
    """Put the row into the file, in the place of one of the same net, precision and batch."""
    rows = []
    if PATH.exists():
        with open(PATH, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    rows = [old for old in rows if any(old[part] != str(row[part]) for part in KEY)] + [row]
    with open(PATH, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("nets", nargs="*", default=NETS, metavar="NET")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--precision", nargs="+", default=["float32"], choices=["float32", "bfloat16"]
    )
    parser.add_argument("--peak", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    for name in options.nets:
        check_name("net", name, NETS)
    if options.worker:
        where = (options.nets[0], options.precision[0], options.batch)
        found = peak(*where, options.peak) if options.peak else measure(*where, options.rounds)
        print(json.dumps(found))
        return
    for precision in options.precision:
        for name in options.nets:
            same = [name, "--worker", "--precision", precision, "--batch", options.batch]
            row = dict(zip(KEY, (name, precision, options.batch), strict=True))
            row |= in_a_process(*same, "--rounds", options.rounds)
            for way in WAYS:
                row |= in_a_process(*same, "--peak", way)
            row |= {"device": environment.device(), "date": str(datetime.date.today())}
            record(row)
            print(row, flush=True)


if __name__ == "__main__":
    main()
