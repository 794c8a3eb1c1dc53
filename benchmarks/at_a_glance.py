"""Draw README's picture from real outputs: `python benchmarks/at_a_glance.py`.

A digit that LeNet-5 reads, its feature maps, and photographs with the answers of the fine-tuned
VGG16, as they were published for six test images of CIFAR-10; a mistake is framed. The numbers
are the ledger's. It needs CIFAR-10 (`python -m cnnlib data fetch cifar10`) and writes
docs/at_a_glance.webp, which README, README.ko.md and the site show.
"""

import io

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from cnnlib import datasets, models, preprocessing, results, storage, training

PATH = storage.ROOT / "docs" / "at_a_glance.webp"
SIZE = (16, 6)  # inches of 100 pixels: at 390 pixels the captions are still 10 pixels high
CAPTION = 33  # points
DIGIT, PHOTOGRAPHS = 0, (4, 10)  # test images: the first of MNIST, six of CIFAR-10 with a mistake
BLUE, ORANGE = "#0b5cad", "#D55E00"


def ledger(net: str, recipe: str, dataset: str = "mnist") -> dict:
    """Return the published line of a net and recipe."""
    lines = results.lines(dataset, local=False)
    return next(each for each in lines if (each["model"], each["recipe"]) == (net, recipe))


def caption(figure, left: float, bold: str, plain: str) -> None:
    """Write two lines below a third of the picture that begins at `left`."""
    figure.text(left + 0.155, 0.15, bold, fontsize=CAPTION, fontweight="bold", ha="center")
    figure.text(left + 0.155, 0.04, plain, fontsize=CAPTION, ha="center", color="#444444")


def show(figure, box: list[float], image, **options) -> plt.Axes:
    """Show an image in a place of the figure: left, bottom, width and height, 0 to 1."""
    axis = figure.add_axes(box)
    axis.imshow(image, **options)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
    return axis


def draw_digit(figure, left, image, probabilities, line):
    show(
        figure, [left, 0.31, 0.2475, 0.66], image, cmap="gray", extent=(0, 28, 28, 0), aspect="auto"
    )
    axis = figure.add_axes([left + 0.275, 0.31, 0.045, 0.66])
    best = probabilities.argmax()
    axis.barh(range(10), probabilities, color=[BLUE if k == best else "#9fb4cc" for k in range(10)])
    axis.set(yticks=range(10), xticks=[], xlim=(0, 1.02))
    axis.invert_yaxis()
    axis.tick_params(length=0, labelsize=22)
    axis.spines[["top", "right", "bottom"]].set_visible(False)
    caption(figure, left, f'"This is a {best}"', f"{line['measured_mean']:.2f} % errors")


def draw_maps(figure, left, maps, weights):
    grids = {"X1": (2, 0.155), "X3": (2, 0.078)}
    for column, (name, (across, width)) in enumerate(grids.items()):
        values = maps[name]
        side, count = values.shape[0], values.shape[2]
        rows, gap = count // across, max(1, side // 8)
        sheet = np.full((rows * (side + gap) - gap, across * (side + gap) - gap), np.nan)
        for k in range(count):
            y, x = (k // across) * (side + gap), (k % across) * (side + gap)
            sheet[y : y + side, x : x + side] = values[..., k]
        box = [left + 0.012 + 0.19 * column, 0.31, width, 0.66]
        show(figure, box, sheet, cmap="gray", vmin=-1, vmax=1)
    caption(figure, left, "layer by layer", f"{weights:,} weights")


def draw_photographs(figure, left, images, answers, labels, names, line):
    for k, image in enumerate(images):
        box = [left + 0.106 * (k % 3), 0.69 - 0.305 * (k // 3), 0.102, 0.272]
        axis = show(figure, box, image, aspect="auto")
        if answers[k] != labels[k]:
            axis.add_patch(plt.Rectangle((-0.5, -0.5), 32, 32, fill=False, ec=ORANGE, lw=9))
        text = {"automobile": "car", "airplane": "plane"}.get(names[answers[k]], names[answers[k]])
        axis.text(15.5, 30.5, text, fontsize=25, ha="center", va="bottom", color="white").set_bbox(
            {"facecolor": "black", "alpha": 0.65, "pad": 3, "edgecolor": "none"}
        )
    caption(figure, left, "and photographs", f"{line['measured_mean']:.0f} % right")


def main() -> None:
    import keras  # after cnnlib, which tells it how to start

    digit = datasets.load("mnist").test.images[DIGIT : DIGIT + 1]
    net = models.load_trained("lenet-5", "plain")
    inputs = preprocessing.prepare(digit, "32x32")
    outputs = {name: net.get_layer(name).output for name in ("X1", "X3")}
    maps = {
        name: np.asarray(values)[0]
        for name, values in keras.Model(net.input, outputs)(inputs).items()
    }
    photographs = datasets.load("cifar10")
    tuned = ledger("vgg16", "fine-tuned-64", "cifar10")
    run = next(
        row for row in tuned["runs"] if row["image_order"] == datasets.image_order("cifar10")
    )
    answers = results.predictions(run["run_id"])
    figure = plt.figure(figsize=SIZE, facecolor="white")
    draw_digit(
        figure,
        0.012,
        digit[0, ..., 0],
        training.predict(net, inputs)[0],
        ledger("lenet-5", "plain"),
    )
    draw_maps(figure, 0.355, maps, net.count_params())
    shown = slice(*PHOTOGRAPHS)
    test, names = photographs.test, photographs.info.class_names
    draw_photographs(
        figure, 0.682, test.images[shown], answers[shown], test.labels[shown], names, tuned
    )
    content = io.BytesIO()
    figure.savefig(content, dpi=100)
    with storage.replacing(PATH, suffix=".webp") as temporary:
        Image.open(content).convert("RGB").save(temporary, quality=85)
    print(f"{PATH}: {PATH.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
