"""Images a second of `datasets.stream` (Caltech-101 at 224x224) beside a plain single-threaded
Pillow loop; first batch; memory.

    python benchmarks/stream.py [--name caltech101] [--partial] [--seconds 10] [--rounds 3]

The set must be prepared (`python -m cnnlib data fetch caltech101`). The two take turns, on the same
encoded images, in the same order; a small set is gone through again and again. The loop decodes
with Pillow, crops to the middle square and resizes with its bilinear filter: the work that `stream`
does. Memory is that of the process after each round: it should not grow. Figures:
benchmarks/README.md."""

import argparse
import io
import statistics
import time

import numpy as np
import PIL.Image

from cnnlib import datasets
from cnnlib.datasets import prepared

SIZE, BATCH = 224, 32


def encoded_images(name):
    """The encoded training images of a prepared set, again and again."""
    import tensorflow_datasets as tfds

    reader = prepared.builder(prepared.find(datasets.info(name)))
    examples = reader.as_dataset(
        split="train", decoders={"image": tfds.decode.SkipDecoding()}
    ).repeat()
    return (example["image"] for example in examples.as_numpy_iterator())


def pillow_image(content):
    image = PIL.Image.open(io.BytesIO(content)).convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return np.asarray(
        image.resize(
            (SIZE, SIZE), PIL.Image.Resampling.BILINEAR, box=(left, top, left + side, top + side)
        )
    )


def rate_of_pillow(name, seconds):
    images, count, started = encoded_images(name), 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        np.stack([pillow_image(next(images)) for _ in range(BATCH)])
        count += BATCH
    return count / (time.perf_counter() - started)


def rate_of_stream(name, seconds, partial):
    batches = (
        datasets.stream(name, "train", SIZE, BATCH, partial=partial, shuffle=False)
        .repeat()
        .as_numpy_iterator()
    )
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        count += len(next(batches)[1])
    return count / (time.perf_counter() - started)


def resident_megabytes():
    """Memory of this process, where the system tells (Linux)."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024
    except OSError:
        return float("nan")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--name", default="caltech101")
    parser.add_argument(
        "--partial", action="store_true", help="the prepared folder holds a part of the set"
    )
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rate_of_stream(options.name, 1, options.partial)  # imports and the first graph
    started = time.perf_counter()
    next(iter(datasets.stream(options.name, "train", SIZE, BATCH, partial=options.partial)))
    print(f"first batch after {time.perf_counter() - started:.2f} s, with TensorFlow imported")
    rates = {"stream": [], "Pillow": []}
    for round_ in range(options.rounds):
        rates["stream"].append(rate_of_stream(options.name, options.seconds, options.partial))
        rates["Pillow"].append(rate_of_pillow(options.name, options.seconds))
        print(
            f"round {round_ + 1}: {rates['stream'][-1]:.0f} and {rates['Pillow'][-1]:.0f} "
            f"images/s, {resident_megabytes():.0f} MB",
            flush=True,
        )
    ratio = statistics.median(s / p for s, p in zip(rates["stream"], rates["Pillow"], strict=True))
    print(f"stream / Pillow = {ratio:.2f}, the median of {options.rounds} pairs")


if __name__ == "__main__":
    main()
