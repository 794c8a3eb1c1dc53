"""Compare a training step of cifar10/fast with the same net in plain PyTorch and plain Keras.

    python benchmarks/fast_step.py [--rounds 5] [--batch 256] [--torch-python PYTHON]

Contenders: the course in float32 and in bfloat16; PyTorch in float32 (channels last) and under
bfloat16 autocast; Keras on TensorFlow as installed, in float32, with no environment variable set.
All have the same layers, loss, optimizer and batch, and use every core. Each runs in a process of
its own, which takes three steps unmeasured and then ten; the contenders take turns, and medians
over all rounds are compared: milliseconds an image on the clock, and of the processor divided by
the cores. The images are random, which costs the same. Results: benchmarks/README.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

WIDTHS = (64, 256, 256)
RATE, MOMENTUM, DECAY, SMOOTHING = 0.1, 0.9, 1e-3, 0.2
WARM_UP, STEPS = 3, 10


def timed(step: Callable[[], None], batch: int) -> tuple[float, float]:
    """Return milliseconds an image: on the clock, and of the processor divided by its cores."""
    for _ in range(WARM_UP):
        step()
    clock, processor = time.perf_counter(), time.process_time()
    for _ in range(STEPS):
        step()
    per_image = 1000 / STEPS / batch
    used = (time.process_time() - processor) / (os.cpu_count() or 1)
    return (time.perf_counter() - clock) * per_image, used * per_image


def random_batch(batch: int):
    import numpy as np

    random = np.random.RandomState(0)
    return random.normal(size=(batch, 32, 32, 3)).astype("float32"), random.randint(0, 10, batch)


def run_course(batch: int, precision: str) -> tuple[float, float]:
    from cnnlib import models, optimization, training
    from cnnlib.recipes import recipe

    images, labels = random_batch(batch)
    settings = recipe("fast-bfloat16-12", precision=precision)
    with training.precision(settings):
        net = models.build("cifar10/fast")
    net.compile(
        optimization.TorchSGD(RATE, MOMENTUM, DECAY, nesterov=True),
        optimization.loss_of(net, SMOOTHING),
        jit_compile=training.jit_compile(),
    )
    return timed(lambda: net.train_on_batch(images, labels), batch)


def run_keras(batch: int) -> tuple[float, float]:
    import keras
    from keras import layers, ops

    def norm_gelu(x):
        return layers.Activation("gelu")(layers.BatchNormalization(scale=False)(x))

    def convolution(x, width):
        return layers.Conv2D(width, 3, padding="same", use_bias=False)(x)

    inputs = keras.Input((32, 32, 3))
    x = layers.Activation("gelu")(layers.Conv2D(24, 2, trainable=False)(inputs))
    for width in WIDTHS:
        x = norm_gelu(layers.MaxPooling2D(2)(convolution(x, width)))
        x = layers.Add()([norm_gelu(convolution(x, width)), x])
    x = layers.Dense(10, use_bias=False)(layers.GlobalMaxPooling2D()(x))
    net = keras.Model(inputs, layers.Rescaling(1 / 9)(x))

    def loss(labels, logits):
        smoothed = ops.one_hot(ops.cast(labels, "int32"), 10) * (1 - SMOOTHING) + SMOOTHING / 10
        return keras.losses.categorical_crossentropy(smoothed, logits, from_logits=True)

    net.compile(keras.optimizers.SGD(RATE, MOMENTUM, nesterov=True, weight_decay=DECAY), loss)
    images, labels = random_batch(batch)
    return timed(lambda: net.train_on_batch(images, labels), batch)


def run_torch(batch: int, precision: str) -> tuple[float, float]:
    import torch
    from torch import nn

    torch.set_num_threads(os.cpu_count() or 1)

    class Stage(nn.Module):
        def __init__(self, before, width):
            super().__init__()
            self.conv1 = nn.Conv2d(before, width, 3, padding=1, bias=False)
            self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
            self.bn1, self.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
            for bn in (self.bn1, self.bn2):
                bn.weight.requires_grad = False
            self.pool, self.gelu = nn.MaxPool2d(2), nn.GELU()

        def forward(self, x):
            x = self.gelu(self.bn1(self.pool(self.conv1(x))))
            return self.gelu(self.bn2(self.conv2(x))) + x

    whitening = nn.Conv2d(3, 24, 2)
    whitening.requires_grad_(False)
    stages = [Stage(*widths) for widths in zip((24, *WIDTHS[:-1]), WIDTHS, strict=True)]
    head = [nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(WIDTHS[-1], 10, bias=False)]
    net = nn.Sequential(whitening, nn.GELU(), *stages, *head)
    net = net.to(memory_format=torch.channels_last)
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, RATE, MOMENTUM, weight_decay=DECAY, nesterov=True)
    loss_of = nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    images, labels = random_batch(batch)
    images = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    images, labels = images.to(memory_format=torch.channels_last), torch.from_numpy(labels)

    def step():
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            logits = net(images) / 9
        loss_of(logits.float(), labels).backward()
        optimizer.step()

    return timed(step, batch)


CONTENDERS = {
    "course, float32": lambda batch: run_course(batch, "float32"),
    "course, bfloat16": lambda batch: run_course(batch, "bfloat16"),
    "PyTorch, float32": lambda batch: run_torch(batch, "float32"),
    "PyTorch, bfloat16": lambda batch: run_torch(batch, "bfloat16"),
    "Keras as installed": run_keras,
}


def measure(name: str, python: str, batch: int) -> list[float]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("TF_", "OMP_"))}
    command = [python, __file__, "--worker", name, "--batch", str(batch)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument(
        "--torch-python",
        default=sys.executable,
        help="a Python that has PyTorch (default: this one)",
    )
    parser.add_argument("--worker", choices=CONTENDERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(CONTENDERS[options.worker](options.batch)))
        return
    times: dict[str, list[list[float]]] = {name: [] for name in CONTENDERS}
    for round_ in range(options.rounds):
        for name in CONTENDERS:
            python = options.torch_python if name.startswith("PyTorch") else sys.executable
            times[name].append(measure(name, python, options.batch))
            print(f"round {round_ + 1}: {name} {times[name][-1][0]:.2f}", flush=True)
    medians = {
        name: list(map(statistics.median, zip(*values, strict=True)))
        for name, values in times.items()
    }
    for name, (clock, processor) in medians.items():
        print(f"{name:19s} {clock:6.2f} ms an image, {processor:.2f} of the processor")
    for name in ("course, float32", "course, bfloat16"):
        for other in ("PyTorch, float32", "PyTorch, bfloat16", "Keras as installed"):
            clock, processor = (
                ours / theirs for ours, theirs in zip(medians[name], medians[other], strict=True)
            )
            print(f"{name} / {other} = {clock:.2f} on the clock, {processor:.2f} of the processor")


if __name__ == "__main__":
    main()
