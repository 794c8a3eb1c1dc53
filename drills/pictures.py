"""Draw MNIST test digits as photographs of handwriting, and count how many a net reads right."""

import pathlib
import sys
import tempfile

import numpy as np
from PIL import Image
from scipy import ndimage

from cnnlib import datasets, digits
from cnnlib.errors import InputError

SIDE = 320  # pixels of a drawn page
Y, X = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]


def stroke(image: np.ndarray, size: int = 200) -> np.ndarray:
    """Return an MNIST digit (28, 28) as a smooth stroke, float (size, size), 1 is ink."""
    large = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
    return np.clip((np.asarray(large, float) / 255 - 0.35) / 0.3, 0, 1)


def page(ink: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """Return the ink somewhere on an empty page, float (SIDE, SIDE)."""
    top, left = random.randint(10, SIDE - np.array(ink.shape) - 10, 2)
    whole = np.zeros((SIDE, SIDE))
    whole[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return whole


def clean(image, random):
    """A black pen on white paper."""
    return 255 - 230 * page(stroke(image), random)


def pencil(image, random):
    """A pencil on grey or dark paper under uneven light, with the noise of a small camera."""
    grain = 0.55 + 0.45 * random.rand(SIDE, SIDE)
    ink = page(stroke(image), random) * grain * random.uniform(45, 75)
    down, right = random.uniform(-18, 18, 2)
    light = random.uniform(90, 190) + down * Y + right * X
    return light - ink + random.normal(0, random.uniform(10, 16), ink.shape)


def specks(image, random):
    """A pen on white paper, and three specks of dirt somewhere else on the page."""
    ink = page(stroke(image), random)
    y, x = np.mgrid[:SIDE, :SIDE]
    away = ndimage.distance_transform_edt(ink < 0.1)
    for _ in range(3):
        places = np.argwhere(away > 25)
        row, column = places[random.randint(len(places))]
        ink = np.maximum(ink, np.hypot(y - row, x - column) < random.uniform(4, 9))
    return 235 - 200 * ink + random.normal(0, 3, ink.shape)


def thin_pen(image, random):
    """A fine pen: the middle line of the stroke, four pixels wide."""
    bold = stroke(image) > 0.5
    depth = ndimage.distance_transform_edt(bold)
    ridge = bold & (depth >= ndimage.maximum_filter(depth, 7) - 0.8)
    thin = ndimage.gaussian_filter(ndimage.binary_dilation(ridge).astype(float), 1)
    return 240 - 200 * page(np.clip(2 * thin, 0, 1), random) + random.normal(0, 3, (SIDE, SIDE))


def shadow(image, random):
    """A pen on white paper, half of it in the shadow of a hand."""
    ink = page(stroke(image), random)
    angle = random.uniform(0, 2 * np.pi)
    edge = 1 / (1 + np.exp(-12 * (X * np.cos(angle) + Y * np.sin(angle) - 0.2)))
    return (235 - 190 * ink) * (1 - 0.4 * edge) + random.normal(0, 4, ink.shape)


def chalk(image, random):
    """White chalk on a blackboard."""
    grain = 0.5 + 0.5 * random.rand(SIDE, SIDE)
    return 60 + 130 * grain * page(stroke(image), random) + random.normal(0, 8, (SIDE, SIDE))


KINDS = (clean, pencil, specks, thin_pen, shadow, chalk)


def right_answers(net, kind, count: int = 30, seed: int = 0) -> int:
    """Return how many of `count` test digits, drawn as pictures of this kind, `net` reads right."""
    test, random = datasets.load("mnist").test, np.random.RandomState(seed)
    chosen, read = random.choice(len(test.labels), count, replace=False), []
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "picture.png"
        for i in chosen:
            picture = np.uint8(np.clip(kind(test.images[i, ..., 0], random), 0, 255).round())
            Image.fromarray(picture).save(path)
            try:
                read.append(digits.read_picture(path))
            except InputError as error:
                print(kind.__name__, i, error, file=sys.stderr)
                read.append(np.zeros((28, 28, 1), np.uint8))
    answers = digits.probabilities(net, np.stack(read)).argmax(axis=1)
    return int(np.sum(answers == test.labels[chosen]))


def drill(count: int) -> tuple[str, bool]:
    """Return what LeNet-5 reads right of `count` digits of each kind; 80 % are good."""
    net = digits.load_net(digits.find_net("lenet-5")[0])
    right = {kind: right_answers(net, kind, count) for kind in KINDS}
    parts = ", ".join(f"{kind.__name__.replace('_', ' ')} {n}" for kind, n in right.items())
    return f"LeNet-5's right answers of {count}: {parts}", min(right.values()) >= 0.8 * count
