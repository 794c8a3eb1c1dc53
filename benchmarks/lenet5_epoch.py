"""Seconds of one LeNet-5 epoch (60,000 MNIST images, batch 128) on the CPU: cnnlib, plain
`model.fit`, PyTorch.

    python benchmarks/lenet5_epoch.py [--rounds 5] [--torch-python PYTHON]

Each contender runs in a process of its own, which trains three epochs and reports the last two; the
contenders take turns (A B C A B C), and the medians are compared. `fit` is Keras on TensorFlow as
installed: one `model.fit` call, no environment variable set. PyTorch is the same net, optimizer,
batch size and float32 data in a plain training loop with as many threads as cores. The last line
says how much of the machine's matrix-multiply peak is used. Figures: benchmarks/README.md."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

EPOCHS, BATCH, RATE = 3, 128, 5e-3
MULTIPLY_ADDS = 416_520  # of one image, forward


def data():
    from cnnlib import datasets, preprocessing

    train = datasets.load("mnist").train
    return preprocessing.prepare(train.images, "32x32"), train.labels


def run_cnnlib():
    from cnnlib import models, training

    images, labels = data()
    history = training.train(
        models.build("lenet-5"),
        images,
        labels,
        training.recipe("plain", epochs=EPOCHS),
        progress=False,
    )
    return list(history.epochs["seconds"][1:])


def saved_data():
    """The same arrays, for the contenders that must not import cnnlib."""
    import numpy as np

    return tuple(np.load(path) for path in os.environ["LENET5_EPOCH_DATA"].split(os.pathsep))


def run_fit():
    images, labels = saved_data()
    import keras
    from keras import layers

    tanh = lambda: layers.Activation("tanh")  # noqa: E731
    net = keras.Sequential(
        [
            *(
                layers.Input((32, 32, 1)),
                layers.Conv2D(6, 5),
                tanh(),
                layers.AveragePooling2D(2),
                tanh(),
            ),
            *(
                layers.Conv2D(16, 5),
                tanh(),
                layers.AveragePooling2D(2),
                tanh(),
                layers.Conv2D(120, 5),
                tanh(),
            ),
            *(layers.Flatten(), layers.Dense(84), tanh(), layers.Dense(10)),
        ]
    )
    net.compile(
        keras.optimizers.AdamW(RATE),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    stamps = []
    stamp = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: stamps.append(time.perf_counter()),
        on_epoch_end=lambda epoch, logs: stamps.append(time.perf_counter()),
    )
    net.fit(images, labels, batch_size=BATCH, epochs=EPOCHS, verbose=0, callbacks=[stamp])
    return [stamps[2 * i + 1] - stamps[2 * i] for i in range(1, EPOCHS)]


def run_torch():
    import torch
    from torch import nn

    images, labels = saved_data()
    images, labels = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()), torch.from_numpy(labels)
    torch.set_num_threads(os.cpu_count())
    net = nn.Sequential(
        *(
            nn.Conv2d(1, 6, 5),
            nn.Tanh(),
            nn.AvgPool2d(2),
            nn.Tanh(),
            nn.Conv2d(6, 16, 5),
            nn.Tanh(),
            nn.AvgPool2d(2),
            nn.Tanh(),
        ),
        *(
            nn.Conv2d(16, 120, 5),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(120, 84),
            nn.Tanh(),
            nn.Linear(84, 10),
        ),
    )
    optimizer, loss_of = torch.optim.AdamW(net.parameters(), RATE), nn.CrossEntropyLoss()
    seconds = []
    for _ in range(EPOCHS):
        start, wrong = time.perf_counter(), 0
        for batch in torch.randperm(len(images)).split(BATCH):
            optimizer.zero_grad()
            logits = net(images[batch])
            loss_of(logits, labels[batch]).backward()
            optimizer.step()
            wrong += (
                logits.detach().argmax(1) != labels[batch]
            ).sum()  # the others count errors too
        int(wrong)
        seconds.append(time.perf_counter() - start)
    return seconds[1:]


def run_peak():
    """Billions of multiply-adds a second of large float32 matrix products, the median of ten."""

    import keras

    n = 3000
    a = keras.random.normal((n, n))
    rates = []
    for _ in range(11):
        start = time.perf_counter()
        keras.ops.convert_to_numpy(keras.ops.matmul(a, a)[0, 0])
        rates.append(n**3 / (time.perf_counter() - start) / 1e9)
    return [statistics.median(rates[1:])]


CONTENDERS = {"cnnlib": run_cnnlib, "fit": run_fit, "torch": run_torch, "peak": run_peak}


def measure(name, python, data_files):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("TF_", "OPENBLAS_"))}
    environment["LENET5_EPOCH_DATA"] = os.pathsep.join(data_files)
    done = subprocess.run(
        [python, __file__, "--worker", name], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--torch-python",
        default=sys.executable,
        help="a Python that has PyTorch (default: this one)",
    )
    parser.add_argument("--worker", choices=CONTENDERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(CONTENDERS[options.worker]()))
        return

    import tempfile

    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        data_files = [os.path.join(folder, name) for name in ("images.npy", "labels.npy")]
        for path, array in zip(data_files, data(), strict=True):
            np.save(path, array)
        seconds = {name: [] for name in CONTENDERS}
        for round_ in range(options.rounds):
            for name in CONTENDERS:
                python = options.torch_python if name == "torch" else sys.executable
                seconds[name] += measure(name, python, data_files)
                print(f"round {round_ + 1}: {name} {seconds[name][-1]:.2f}", flush=True)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    for name in ("cnnlib", "fit", "torch"):
        low, high = min(seconds[name]), max(seconds[name])
        print(f"{name:7s} {median[name]:6.2f} s an epoch (from {low:.2f} to {high:.2f})")
    print(
        f"cnnlib / fit = {median['cnnlib'] / median['fit']:.2f}   cnnlib / PyTorch = "
        f"{median['cnnlib'] / median['torch']:.2f}"
    )
    used = 3 * MULTIPLY_ADDS * 60_000 / median["cnnlib"] / 1e9  # forward, and twice that backward
    share = 100 * used / median["peak"]
    print(
        f"{used:.0f} of {median['peak']:.0f} billion multiply-adds a second: {share:.0f} % of "
        f"the matrix-multiply peak"
    )


if __name__ == "__main__":
    main()
