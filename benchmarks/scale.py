"""The figures that docs/scale.md computes with: what one core does in a second of its own time.

    python benchmarks/scale.py [--jpegs FOLDER]     a folder with photographs; without it, one is
    made

Processor time is measured, not time on the clock, so that a busy machine changes little: seconds
below are seconds of one core."""

import argparse
import io
import os
import pathlib
import resource
import time

for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ[variable] = "1"


import numpy as np  # noqa: E402

from cnnlab import environment  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jpegs", type=pathlib.Path)
    arguments = parser.parse_args()
    print(environment.device())
    jpegs = (
        [path.read_bytes() for path in sorted(arguments.jpegs.rglob("*.[jJ][pP]*"))]
        if arguments.jpegs
        else [photograph()]
    )
    inputs(jpegs)
    training()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"memory of this process at its most: {memory / 1e9:.1f} GB")


def photograph(height=375, width=500):
    """A JPEG of ImageNet's usual size with as much detail as a photograph: bytes."""
    from PIL import Image

    random = np.random.RandomState(0)
    layers = [
        random.rand(height // step + 1, width // step + 1, 3).repeat(step, 0).repeat(step, 1)
        for step in (64, 16, 4, 1)
    ]
    pixels = sum(
        weight * layer[:height, :width]
        for weight, layer in zip((0.5, 0.25, 0.15, 0.1), layers, strict=True)
    )
    buffer = io.BytesIO()
    Image.fromarray((255 * pixels).astype("uint8")).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def inputs(jpegs):
    """Reading: decode a JPEG, resize it to 224x224, make it float32."""
    from PIL import Image

    def one(data):
        image = (
            Image.open(io.BytesIO(data))
            .convert("RGB")
            .resize((224, 224), Image.Resampling.BILINEAR)
        )
        return np.asarray(image, "float32") / 255

    data = (jpegs * (200 // len(jpegs) + 1))[:200]
    start = time.process_time()
    for each in data:
        one(each)
    took = time.process_time() - start
    print(
        f"JPEG to 224x224: {len(data) / took:.0f} images in a second of a core; "
        f"{np.mean([len(d) for d in data]) / 1e3:.0f} kB an image"
    )


def training():
    """ResNet-50 on images of 224x224: a step of SGD, and what a checkpoint holds."""
    import keras

    model = keras.applications.ResNet50(weights=None)
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        "sparse_categorical_crossentropy",
        jit_compile=False,
    )
    images, labels = np.random.RandomState(0).rand(8, 224, 224, 3).astype("float32"), np.arange(8)
    model.train_on_batch(images, labels)
    start, steps = time.process_time(), 3
    for _ in range(steps):
        model.train_on_batch(images, labels)
    took = (time.process_time() - start) / (steps * len(images))
    parameters, state = (
        model.count_params(),
        sum(int(np.prod(v.shape)) for v in (*model.variables, *model.optimizer.variables)),
    )
    print(
        f"ResNet-50, one training step: {1 / took:.2f} images in a second of a core ({took:.2f} "
        f"s an image)"
    )
    print(
        f"ResNet-50: {parameters:,} parameters; a checkpoint with the optimizer's state: "
        f"{4 * state / 1e6:.0f} MB"
    )


if __name__ == "__main__":
    main()
