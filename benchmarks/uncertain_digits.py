"""Choose below which probability the drawing page calls a drawing uncertain.

    python benchmarks/uncertain_digits.py [--epochs 6]

The nets of data/nets have seen every training image, so nets of the same kinds are trained on
50,000 of MNIST's training images here (LeNet-4 in the place of the boosted one), and asked about
the other 10,000. Two measures of certainty are compared, the arithmetic and the geometric mean of
the nets' probabilities for a class, the largest over the classes; the threshold that is printed
calls 2 % of these digits uncertain. What it does with scribbles, lines between random points, is
printed too. No test image is read. Result: benchmarks/README.md.
"""

import argparse

import numpy as np
from PIL import Image, ImageDraw
from scipy.stats import gmean

from cnnlib import datasets, digits, models, preprocessing, training
from cnnlib.recipes import recipe

NETS = (
    ("linear-20x20", True),
    ("mlp-28x28-300-100", False),
    ("lenet-1", False),
    ("lenet-5", False),
    ("lenet-4", False),
)
SHARE = 0.02  # of the validation digits that may be called uncertain


def scribbles(count: int) -> np.ndarray:
    """Return lines through twelve points, drawn with the page's pen: uint8 (n, 28, 28, 1)."""
    random = np.random.RandomState(0)
    found = []
    for _ in range(count):
        canvas = Image.new("L", (280, 280))
        points = [tuple(point) for point in random.uniform(20, 260, (12, 2))]
        ImageDraw.Draw(canvas).line(points, fill=255, width=22, joint="curve")
        ink = np.asarray(canvas.crop(canvas.getbbox())) / np.float32(255)
        found.append(digits.normalise(ink))
    return np.stack(found)[..., None]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--epochs", type=int, default=6)
    epochs = parser.parse_args().epochs
    import keras  # after cnnlib, which chooses its backend

    data = datasets.load("mnist", train_size=50_000, validation_size=10_000, seed=0)
    asked = {"digits": data.validation.images, "scribbles": scribbles(1000)}
    answers: dict[str, list[np.ndarray]] = {kind: [] for kind in asked}
    for name, deslanted in NETS:
        settings = recipe("deslanted-small" if deslanted else "quick", epochs=epochs)
        keras.utils.set_random_seed(0)
        net = models.build(name)
        inputs = preprocessing.prepare_for(name, settings, data.train.images)
        training.train(net, inputs, data.train.labels, settings, progress=False)
        for kind, images in asked.items():
            prepared = preprocessing.prepare_for(name, settings, images)
            answers[kind].append(training.predict(net, prepared))
        print(f"{name} is trained", flush=True)
    labels = data.validation.labels
    for measure, combined in (("arithmetic", np.mean), ("geometric", gmean)):
        together = {kind: combined(each, axis=0) for kind, each in answers.items()}
        certainty = {kind: each.max(axis=1) for kind, each in together.items()}
        threshold = float(np.quantile(certainty["digits"], SHARE))
        wrong = together["digits"].argmax(1) != labels
        caught = (certainty["digits"] < threshold)[wrong].mean()
        scribbled = (certainty["scribbles"] < threshold).mean()
        print(f"{measure} mean: uncertain below {threshold:.3f}")
        print(f"  wrong answers {100 * wrong.mean():.2f} %, {100 * caught:.0f} % of them uncertain")
        print(f"  scribbles uncertain: {100 * scribbled:.1f} %")


if __name__ == "__main__":
    main()
