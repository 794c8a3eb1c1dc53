"""What a trained net makes of one's own picture, with MNIST's centring applied and shown."""

import pathlib

import numpy as np

from cnnlib import datasets, results, storage
from cnnlib.errors import InputError, check_name
from cnnlib.lab import ledger
from cnnlib.models import registry
from cnnlib.models.trained import trained_path

SHADES = " .:-=+*#%@"


def read_picture(path, invert=None):
    """Read a picture file as MNIST's makers would have made it: uint8 (28, 28, 1), ink 255 on background 0.

    Grey, ink bright (inverted where the border is bright; `invert` True or False decides instead), background removed, the ink's bounding
    box scaled to fit 20x20 with its proportions kept, then moved so that its centre of mass is the middle of 28x28
    (LeCun et al. 1998, section III-A). Raises InputError for a file that is no picture, or an empty one.
    """
    from PIL import Image, ImageOps

    path = pathlib.Path(path)
    try:
        with Image.open(path) as file:
            picture = ImageOps.exif_transpose(file)
            if (
                "A" in picture.getbands() or "transparency" in picture.info
            ):  # transparent means paper
                picture = picture.convert("RGBA")
                picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
            grey = np.asarray(picture.convert("L"), dtype=np.float32)
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}") from error
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{path} is not a picture that Pillow can read ({error}): give a PNG, JPEG, BMP, GIF or WebP file"
        ) from error
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    background = np.median(border)
    if invert is None:
        invert = background > 127
    ink = background - grey if invert else grey - background
    ink = np.clip(ink, 0, None)
    if ink.max() < 25:
        raise InputError(
            f"{path} looks empty: no stroke stands out from the background by more than a tenth of the grey range"
        )
    ink /= ink.max()
    ink[ink < 0.2] = 0  # paper texture and shadows
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    box = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = 20 / max(box.shape)
    size = (max(1, round(box.shape[1] * scale)), max(1, round(box.shape[0] * scale)))
    box = np.asarray(
        Image.fromarray(np.uint8(255 * box)).resize(
            size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
        )
    )
    return centre_by_mass(box)[..., None]


def centre_by_mass(box):
    """Set a digit (uint8 (h, w), both at most 20) in 28x28 so that its centre of mass is the middle, as far as it fits. uint8 (28, 28)."""
    weight = box.astype(np.float64) / box.sum()
    centre = [weight.sum(axis=1 - axis) @ np.arange(box.shape[axis]) for axis in (0, 1)]
    top, left = (
        int(np.clip(round(13.5 - c), 0, 28 - n)) for c, n in zip(centre, box.shape, strict=True)
    )
    canvas = np.zeros((28, 28), dtype=np.uint8)
    canvas[top : top + box.shape[0], left : left + box.shape[1]] = box
    return canvas


def drawing(image):
    """A digit as text: uint8 (h, w, 1) -> h lines, two characters a pixel."""
    return "\n".join(
        "".join(2 * SHADES[int(value) * (len(SHADES) - 1) // 255] for value in row)
        for row in image[..., 0]
    )


def find_net(model):
    """Return (path, row) of the newest trained net of that name: of this machine, else of those that come with the course.

    `model` may also be a path to a .keras file; its row is None where the ledger has none of that file's name.
    """
    rows = results.measured().sort_values("date", ascending=False)
    own = [(ledger.net_path(row["run_id"]), row) for _, row in rows.iterrows()]
    of_the_course = [
        (trained_path(row["model"], row["recipe"]), row)
        for _, row in rows[rows["seed"] == 0].iterrows()
    ]
    path = pathlib.Path(model)
    if path.suffix == ".keras":
        if not path.exists():
            raise InputError(f"there is no file {path}")
        return path, next((row for net, row in own + of_the_course if net.name == path.name), None)
    check_name("model", model, registry.names())
    for net, row in own + of_the_course:
        if row["model"] == model and net.exists():
            return net, row
    raise InputError(
        f"no trained {model} in {storage.results_folder() / 'nets'}. Train one first: python -m cnnlib train {model} mnist --recipe quick"
    )


def probabilities(net, pictures, deslanted=False):
    """Class probabilities of a trained net for pictures as `read_picture` returns them. uint8 (n, 28, 28, 1) -> float32 (n, classes)."""
    from cnnlib import preprocessing, training

    return training.predict(
        net, preprocessing.prepare(pictures, registry.input_format(net.name), deslanted=deslanted)
    )


def describe(model, pictures, invert=None):
    """Return, as text, what a trained net sees in picture files and what it says. Arguments as for `find_net` and `read_picture`."""
    images = np.stack([read_picture(path, invert) for path in pictures])
    path, row = find_net(model)

    from cnnlib import models

    if row is not None and path == trained_path(row["model"], row["recipe"]):
        net = models.load_trained(row["model"], row["recipe"])
    else:
        net = models.load(path)
    dataset = "mnist" if row is None else row["dataset"]
    if datasets.info(dataset).image_shape != (28, 28, 1):
        raise InputError(
            f"{path.name} was trained on {dataset}: `predict` draws pictures as MNIST's digits, so it takes nets trained on mnist"
        )
    classes = datasets.info(dataset).class_names
    text = [
        f"Net: {net.name}, {path.name}"
        + ("" if row is None else f", test error {row['value']:.2f} % on {dataset}")
    ]
    for name, image, p in zip(
        pictures,
        images,
        probabilities(net, images, deslanted=row is not None and row["protocol"] == "deslanted"),
        strict=True,
    ):
        first, *others = np.argsort(-p)[:3]
        text += [
            f"\n{name}, as the net sees it (28x28, centred by its centre of mass):",
            drawing(image),
            f"{name}: {classes[first]} ({100 * p[first]:.1f} %); next "
            + ", ".join(f"{classes[i]} ({100 * p[i]:.1f} %)" for i in others),
        ]
    return "\n".join(text)
