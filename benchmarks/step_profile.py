"""Where the time of a training step goes: by TensorFlow's profiler, for each kind of operation.

    python benchmarks/step_profile.py [NET ...] [--batch 128] [--precision float32]

Each net takes one step in a process of its own, with the course's layers. The seconds of its
operations are added up by kind; of convolutions the multiply-adds too (forward, gradient of the
maps, gradient of the kernel: three times those of the net), so that their speed stands beside that
of one large matrix product on the same machine. The images are random: what they show costs
nothing. Results: benchmarks/README.md.
"""

import argparse
import collections
import pathlib
import subprocess
import sys
import tempfile
import time

NETS = ("mobilenetv2", "regnetx-200mf", "densenet121", "resnext29-32x4d", "resnext29-2x64d")
AROUND = ("Process", "Run")  # the executor's own events, which contain those of operations


def kind_of(layer):
    """The kind of a convolution, such as "grouped 3x3"."""
    size = "x".join(map(str, layer.kernel_size))
    if layer.groups == 1:
        return size
    return f"depthwise {size}" if layer.groups == layer.filters else f"grouped {size}"


def multiply_adds(layer, batch):
    """Multiply-adds of a convolution for a batch: forward and both gradients."""
    height, width = layer.output.shape[1:3]
    return 3 * batch * height * width * layer.kernel.shape.num_elements()


def step_events(net, images, labels):
    """Take one step; return [(name of the operation, its type, seconds)]."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        net.train_on_batch(images, labels)
        tf.profiler.experimental.stop()
        (path,) = pathlib.Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(path.read_bytes())
    (host,) = [plane for plane in space.planes if plane.name == "/host:CPU"]
    named = [
        (host.event_metadata[event.metadata_id].name, event.duration_ps / 1e12)
        for line in host.lines
        for event in line.events
    ]
    # "layer/convolution:Conv2D"; what is around the operations has such names too.
    pairs = [(*name.rsplit(":", 1), seconds) for name, seconds in named if ":" in name]
    return [each for each in pairs if each[1] not in AROUND and not each[1].startswith(" ")]


def matrix_speed():
    """Multiply-adds a second of a product of two matrices of 2048x2048."""
    import tensorflow as tf

    matrix = tf.random.normal((2048, 2048))
    times = []
    for _ in range(8):
        start = time.perf_counter()
        tf.matmul(matrix, matrix).numpy()
        times.append(time.perf_counter() - start)
    return 2048**3 / min(times)


def measure(name, precision, batch):
    """Print the profile of one net."""
    from training_step import batch_of, built

    from cnnlib import recipes

    net = built(name, recipes.recipe("benchmark", precision=precision, batch_size=batch), False)
    images, labels = batch_of(batch)
    net.train_on_batch(images, labels)
    layers = {layer.name: layer for layer in net.layers if hasattr(layer, "kernel_size")}
    seconds = collections.Counter()
    for operation, kind, spent in step_events(net, images, labels):
        parts = [part.rsplit("_", 1)[0] for part in operation.split("/")]
        layer = next((layers[part] for part in parts if part in layers), None)
        if layer is not None:  # a convolution by Winograd's algorithm has many operations
            seconds[kind_of(layer)] += spent
        else:
            seconds["batch norm" if "BatchNorm" in kind else "the rest"] += spent
    work = collections.Counter()
    for layer in layers.values():
        work[kind_of(layer)] += multiply_adds(layer, batch)
    total, peak = sum(seconds.values()), matrix_speed()
    print(f"{name}, {precision}: {1000 * total / batch:.2f} ms an image", flush=True)
    for kind, _ in seconds.most_common():
        speed = f", {100 * work[kind] / seconds[kind] / peak:.0f} %" if work[kind] else ""
        print(f"    {kind}: {100 * seconds[kind] / total:.0f} % of the time{speed}", flush=True)
    print(f"    (100 % of the speed: {peak / 1e9:.0f} billion multiply-adds a second)", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("nets", nargs="*", default=[f"cifar10/{name}" for name in NETS])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    options = parser.parse_args()
    if len(options.nets) == 1:
        measure(options.nets[0], options.precision, options.batch)
        return
    for name in options.nets:
        same = ["--batch", str(options.batch), "--precision", options.precision]
        subprocess.run([sys.executable, __file__, name, *same], check=True)


if __name__ == "__main__":
    main()
