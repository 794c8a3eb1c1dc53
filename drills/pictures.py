"""Draw MNIST test digits as photographs of handwriting, and count how many a net reads correctly.

`python -m drills.pictures` draws every kind of picture, 30 digits each.
"""

import pathlib
import sys
import tempfile

import numpy as np
from PIL import Image
from scipy import ndimage

from cnnlib import datasets, digits

SIDE = 320  # pixels of a drawn page


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


def pencil(image, random, paper=(150, 190), contrast=(45, 75), noise=(10, 16)):
    """A pencil on grey paper under uneven light, with the noise of a small camera."""
    grain = 0.55 + 0.45 * random.rand(SIDE, SIDE)
    ink = page(stroke(image), random) * grain * random.uniform(*contrast)
    down, right = random.uniform(-18, 18, 2)
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    light = random.uniform(*paper) + down * y + right * x
    return light - ink + random.normal(0, random.uniform(*noise), ink.shape)


def dark_paper(image, random):
    """A pencil on paper that is darker than the middle of the grey range."""
    return pencil(image, random, paper=(90, 120))


def specks(image, random, count=3, radius=(4, 9)):
    """A pen on white paper, and three specks of dirt somewhere else on the page."""
    ink = page(stroke(image), random)
    y, x = np.mgrid[:SIDE, :SIDE]
    away = ndimage.distance_transform_edt(ink < 0.1)
    for _ in range(count):
        places = np.argwhere(away > 25)
        row, column = places[random.randint(len(places))]
        ink = np.maximum(ink, np.hypot(y - row, x - column) < random.uniform(*radius))
    return 235 - 200 * ink + random.normal(0, 3, ink.shape)


def small_on_a_large_page(image, random):
    """A digit of 110 pixels on a page of 1,280: a photograph from far away."""
    ink = np.zeros((4 * SIDE, 4 * SIDE))
    top, left = random.randint(40, 4 * SIDE - 150, 2)
    ink[top : top + 110, left : left + 110] = stroke(image, 110)
    return 225 - 180 * ink + random.normal(0, 6, ink.shape)


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
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    angle = random.uniform(0, 2 * np.pi)
    edge = 1 / (1 + np.exp(-12 * (x * np.cos(angle) + y * np.sin(angle) - 0.2)))
    return (235 - 190 * ink) * (1 - 0.4 * edge) + random.normal(0, 4, ink.shape)


def chalk(image, random):
    """White chalk on a blackboard."""
    grain = 0.5 + 0.5 * random.rand(SIDE, SIDE)
    return 60 + 130 * grain * page(stroke(image), random) + random.normal(0, 8, (SIDE, SIDE))


KINDS = (
    clean,
    pencil,
    dark_paper,
    specks,
    small_on_a_large_page,
    thin_pen,
    shadow,
    chalk,
)


def pictures(kind, folder: pathlib.Path, count: int = 30, seed: int = 0):
    """Write `count` test digits as pictures of this kind. Return their paths and labels."""
    test = datasets.load("mnist").test
    random = np.random.RandomState(seed)
    chosen = random.choice(len(test.labels), count, replace=False)
    paths = []
    for i in chosen:
        picture = np.uint8(np.clip(kind(test.images[i, ..., 0], random), 0, 255).round())
        paths.append(folder / f"{kind.__name__}-{i}.png")
        Image.fromarray(picture).save(paths[-1])
    return paths, test.labels[chosen]


def right_answers(net, kind, count: int = 30, seed: int = 0) -> int:
    """Return how many of `count` pictures of this kind `net` reads correctly."""
    with tempfile.TemporaryDirectory() as folder:
        paths, labels = pictures(kind, pathlib.Path(folder), count, seed)
        read = []
        for path in paths:
            try:
                read.append(digits.read_picture(path))
            except Exception as error:
                print(path.name, error, file=sys.stderr)
                read.append(np.zeros((28, 28, 1), np.uint8))
        return int(np.sum(digits.probabilities(net, np.stack(read)).argmax(axis=1) == labels))


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore")
    path, _ = digits.find_net("lenet-5")
    net = digits.load_net(path)
    for each in KINDS:
        right = [right_answers(net, each, seed=seed) for seed in range(3)]
        print(f"{each.__name__:24} {right} of 30 each", flush=True)
