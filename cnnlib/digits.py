"""Read a picture of one's own digit as MNIST has digits, and ask a trained net what it is.

From a file to a digit: decode it to grey levels (and colours), subtract the paper, keep what is
darker (or brighter) than its noise can be, choose the largest stroke with its parts, and scale and
centre that as MNIST's makers did.
"""

import contextlib
import os
import pathlib
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps
from scipy import ndimage

from cnnlib import datasets, preprocessing, registry, results, storage
from cnnlib.errors import InputError, check_name

if TYPE_CHECKING:
    import keras

DATASET = "mnist"  # the one data set whose digits look as `read_picture` makes them
SHADES = " .:-=+*#%@"
LONGEST_SIDE = 2000  # pixels: larger pictures are shrunk while they are decoded
WORKING_SIDE = 400  # pixels: where the digit is looked for
CONTIGUOUS = np.ones((3, 3))  # pixels that touch at a corner belong together
THINNEST = 0.09  # stroke width as a share of the digit's longer side; MNIST's pens: 0.08 to 0.16
BOLD = 0.17  # the largest circle in the ink of most digits has this radius, of the longer side
KINDS = "a PNG, JPEG, TIFF, BMP, GIF or WebP file"


def read_picture(path: str | os.PathLike, invert: bool | None = None) -> np.ndarray:
    """Read a picture file as a digit of MNIST: uint8 (28, 28, 1), ink 255 on background 0.

    The paper with its light and noise is subtracted, the largest stroke with its parts is scaled
    to fit 20x20 with its proportions kept, then moved so that its centre of mass is at row and
    column 14 of 28x28 (LeCun et al. 1998, section III-A). What else is on the page, such as a
    second digit, is left out with a warning. The digit may touch the picture's border.

    Args:
        path: a PNG, JPEG, TIFF, BMP, GIF or WebP file.
        invert: True if the ink is darker than the paper, False if it is brighter, None to judge.

    Raises:
        InputError: for a file that is no picture, one that is too large, and an empty page.
    """
    image, notes = read_page(path, invert)
    for note in notes:
        warnings.warn(f"{os.fspath(path)}: {note}", stacklevel=2)
    return image


def read_page(path: str | os.PathLike, invert: bool | None = None) -> tuple[np.ndarray, list[str]]:
    """Read a picture file as `read_picture` does; return the digit and what it would warn of."""
    ink, notes = find_digit(decode(path), invert)
    if ink is None:
        raise InputError(
            f"{os.fspath(path)} looks empty: no stroke stands out from the paper and its noise. "
            "Write larger or darker"
        )
    return normalise(ink)[..., None], notes


def normalise(ink: np.ndarray) -> np.ndarray:
    """Scale the ink of a bounding box, float (h, w) from 0 to 1, to 20x20 and centre it in 28x28.

    Returns uint8 (28, 28), ink 255 on background 0.
    """
    scale = 20 / max(ink.shape)
    size = (max(1, round(ink.shape[1] * scale)), max(1, round(ink.shape[0] * scale)))
    how = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
    box = Image.fromarray(np.float32(255 * ink)).resize(size, how)
    return centre_by_mass(np.clip(np.rint(np.asarray(box)), 0, 255).astype(np.uint8))


def centre_by_mass(box: np.ndarray) -> np.ndarray:
    """Move a digit, uint8 (h, w), in 28x28 so that its centre of mass is at row and column 14.

    Pixels are counted from 0. MNIST's own digits come back to their places exactly. Where the
    digit would stick out it is moved inside.
    """
    centre = ndimage.center_of_mass(box) if box.any() else (14.0, 14.0)
    top, left = (
        int(np.clip(round(14.0 - middle), 0, 28 - side))
        for middle, side in zip(centre, box.shape, strict=True)
    )
    canvas = np.zeros((28, 28), dtype=np.uint8)
    canvas[top : top + box.shape[0], left : left + box.shape[1]] = box
    return canvas


def decode(path: str | os.PathLike) -> np.ndarray:
    """Read a picture file as float32 (height, width, 1 or 4), 0 to 255: grey, red, green, blue.

    It is turned as its EXIF orientation says, and shrunk to at most `LONGEST_SIDE`. Levels of
    16-bit and float pictures are scaled by their range. Transparent pixels become paper: white
    behind dark ink, black behind bright ink. Raises InputError as `read_picture`.
    """
    storage.existing_file(path)
    try:
        with open(path, "rb") as file:
            if file.read(10)[4:] in (b"ftyphe", b"ftypmi", b"ftypms"):  # heic, hevc, mif1, ...
                raise ValueError("it is a HEIC file, as telephones make them: save it as JPEG")
        with warnings.catch_warnings():  # Pillow warns at half of its size limit
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                return _levels(picture)
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}") from error
    except (Image.DecompressionBombError, MemoryError) as error:
        raise InputError(
            f"{path} has too many pixels, and the limit is "
            f"{2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6:.0f} megapixels: scale it down, for example "
            f"to {LONGEST_SIDE} pixels on its longer side, or cut out the digit"
        ) from error
    except Exception as error:  # each decoder has errors of its own: struct.error, KeyError, ...
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise InputError(
            f"{path} is not a picture that Pillow can read ({reason}): give {KINDS}"
        ) from error


def _levels(picture: Image.Image) -> np.ndarray:
    picture.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))  # JPEG files only: decode at a fraction
    picture.load()
    with contextlib.suppress(Exception):  # broken EXIF data says nothing about the orientation
        picture = ImageOps.exif_transpose(picture)
    if picture.mode[0] in "FI":  # more than eight bits a pixel
        deep = np.asarray(picture, np.float64)
        if not np.isfinite(deep).all():
            raise ValueError("some of its levels are no finite numbers")
        scaled = 255 * (deep - deep.min()) / (np.ptp(deep) or 1)
        picture = Image.fromarray(scaled.astype(np.float32))
    elif "transparency" in picture.info or picture.mode.lower().endswith("a"):
        picture = picture.convert("RGBA")
    elif picture.mode != "L":
        picture = picture.convert("RGB")
    picture = picture.reduce(max(1, -(-max(picture.size) // LONGEST_SIDE)))
    levels: np.ndarray = np.atleast_3d(np.asarray(picture, np.float32))
    if levels.shape[-1] == 4:
        levels, opacity = levels[..., :3], levels[..., 3:] / np.float32(255)
        opaque = levels[opacity[..., 0] > 0.5]
        if opacity.mean() > 0.5 and np.ptp(opaque) > 32:  # a photograph with holes
            paper = np.median(opaque, axis=0)
        else:  # a drawing on nothing
            ink = np.average(levels.mean(-1), weights=opacity[..., 0] + 1e-9)
            paper = np.float32(0 if ink > 127 else 255)
        levels = opacity * levels + (1 - opacity) * paper
    if levels.shape[-1] == 1 or np.ptp(levels, axis=-1).max() < 1:
        return levels[..., :1]
    grey = levels @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.dstack([grey, levels])


class _Stroke(NamedTuple):
    """Ink that hangs together."""

    mask: np.ndarray  # bool, as large as the page
    mass: float  # the sum of its ink

    @property
    def box(self) -> tuple[slice, slice]:
        return ndimage.find_objects(self.mask.astype(np.uint8))[0]

    @property
    def sides(self) -> list[int]:
        return [each.stop - each.start for each in self.box]


def find_digit(
    levels: np.ndarray, invert: bool | None = None
) -> tuple[np.ndarray | None, list[str]]:
    """Find the digit on a page, float (height, width, 1 or 4) as from `decode`.

    Return its ink in its bounding box, float from 0 to 1, or None on an empty page; and what else
    was on the page, one sentence each.
    """
    pages = [_Page(grey, invert) for grey in np.moveaxis(levels, -1, 0)]
    # Ink and paper may be equally grey: then another channel has far more contrast.
    page = max(pages, key=lambda page: page.contrast * (1.5 if page is pages[0] else 1))
    strokes = page.strokes()
    if not strokes:
        return None, []
    main, notes = _choose(strokes)
    if page.factor > 1 and max(main.sides) < WORKING_SIDE / 4:  # a small digit: look closer
        margin = max(main.sides) // 2
        part = (slice(max(0, s.start - margin), s.stop + margin) for s in main.box)
        rows, columns = (slice(s.start * page.factor, s.stop * page.factor) for s in part)
        page = _Page(page.grey[rows, columns], page.is_dark)
        main, _ = _choose(page.strokes())
    return page.ink(main), notes


class _Page:
    """A page with its paper subtracted and its noise known."""

    def __init__(self, grey: np.ndarray, invert: bool | None):
        self.grey = grey
        self.factor = max(1, -(-max(grey.shape) // WORKING_SIDE))
        small = _reduced(grey, self.factor)
        self.side = max(small.shape)
        paper, inked = _paper(small, invert)
        contrast = paper - small  # positive where it is darker than the paper
        # Smooth only as far as the noise demands.
        for share in (0, 0.004, 0.008, 0.014):
            smooth = ndimage.gaussian_filter(contrast, share * self.side) if share else contrast
            blank = smooth[~inked]
            self.noise = 1.4826 * float(np.median(np.abs(blank - np.median(blank))))
            count = max(1, smooth.size // 200)
            ink = smooth if invert else np.abs(smooth)
            strongest = float(np.partition(ink.ravel(), -count)[-count:].mean())
            if strongest >= 12 * self.noise:
                break
        self.contrast = strongest / max(self.noise, 1)
        limit = max(4 * self.noise, 4)
        dark, bright = smooth[smooth > limit].sum(), -smooth[smooth < -limit].sum()
        self.is_dark = bool(dark >= bright) if invert is None else invert
        self.signal = smooth if self.is_dark else -smooth

    def strokes(self) -> list[_Stroke]:
        """Return what stands out from the paper, the largest first."""
        low, high = max(3.5 * self.noise, 4.0), max(6.5 * self.noise, 16.0)
        # Light around a stroke, a smear or the blur of a lens is much weaker than the stroke.
        seeds = self.signal > high
        if not seeds.any():
            return []
        low = max(low, 0.2 * float(np.percentile(self.signal[seeds], 75)))
        strong = self.signal > low
        radius = round(0.008 * self.side)
        joined = ndimage.binary_dilation(strong, _disc(radius)) if radius else strong
        labels = ndimage.label(joined, CONTIGUOUS)[0] * strong
        strokes = []
        for i in np.unique(labels[seeds & strong]):
            mask = labels == i
            if mask.sum() >= 0.0001 * self.side**2:
                strokes.append(_Stroke(mask, float(self.signal[mask].sum())))
        return sorted(strokes, key=lambda stroke: -stroke.mass)

    def ink(self, stroke: _Stroke) -> np.ndarray:
        """Return a stroke's ink in its bounding box, float from 0 to 1."""
        inner = self.signal[stroke.mask]
        full = float(np.percentile(inner, 70) if self.noise else inner.max())
        floor = 2.5 * self.noise
        if max(stroke.sides) > 40:  # larger than MNIST: JPEG leaves faint ripples around strokes
            floor = max(floor, 0.08 * full)
        around = ndimage.binary_dilation(stroke.mask, CONTIGUOUS, iterations=2)
        ink = np.where(around & (self.signal > floor), np.clip(self.signal / full, 0, 1), 0)
        if max(stroke.sides) > 40:  # widen a fine pen to MNIST's
            box = np.pad(stroke.mask[stroke.box], 1)
            # of a strip the mean depth is a quarter of its width
            width = 4 * float(ndimage.distance_transform_edt(box)[box].mean())
            if (radius := round((THINNEST * max(stroke.sides) - width) / 2)) > 0:
                ink = ndimage.grey_dilation(np.pad(ink, radius), footprint=_disc(radius))
        return ink[ndimage.find_objects((ink > 0).astype(np.uint8))[0]]


def _paper(grey: np.ndarray, invert: bool | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the page without its ink, and which pixels are ink as far as that is known.

    Where much of the page is ink, a digit was cut out: its ink and paper are two levels. Else the
    paper is what is left of uneven light after a wide median, which drops strokes.
    """
    inked = _ink_of_a_cut_digit(grey, invert)
    values, counts = np.unique(grey[~inked], return_counts=True)
    if counts.max() > counts.sum() / 2:  # a drawing on a computer, or an MNIST image: no noise
        return np.full_like(grey, values[counts.argmax()]), inked
    if inked.any():
        y, x = (np.linspace(-1, 1, side) for side in grey.shape)
        terms = np.stack(np.broadcast_arrays(1.0, x, y[:, None]), axis=-1)  # light from one side
        return terms @ np.linalg.lstsq(terms[~inked], grey[~inked], rcond=None)[0], inked
    small = _reduced(grey, max(1, max(grey.shape) // 64), np.median)
    wide = ndimage.median_filter(small, size=max(small.shape) // 2 | 1, mode="reflect")
    paper = Image.fromarray(np.float32(wide)).resize(grey.shape[::-1], Image.Resampling.BILINEAR)
    return np.asarray(paper), inked


def _ink_of_a_cut_digit(grey: np.ndarray, invert: bool | None) -> np.ndarray:
    """Return which pixels are ink if the picture is a digit cut out, else none."""
    smooth = ndimage.gaussian_filter(grey, 0.01 * max(grey.shape))
    level = smooth.mean()
    for _ in range(20):  # the threshold between two levels (Ridler and Calvard 1978)
        is_dark = smooth < level
        if not is_dark.any():
            return is_dark
        low, high = smooth[is_dark], smooth[~is_dark]
        level = (low.mean() + high.mean()) / 2
    thinness, radii, borders = [], [], []
    for mask in (is_dark, ~is_dark):
        padded = np.pad(mask, 1)
        radii.append(ndimage.distance_transform_edt(padded).max() / max(mask.shape))
        pieces = np.bincount(ndimage.label(padded, CONTIGUOUS)[0].ravel())[1:]
        borders.append(np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).mean())
        # Ink is thin, hangs together, is not all of the border, and is mostly dark.
        thinness.append(radii[-1] - 0.2 * pieces.max() / pieces.sum() + (borders[-1] > 0.9))
    thinness[0] -= 0.05
    darker = thinness[0] < thinness[1] if invert is None else invert
    chosen = 0 if darker else 1
    inked, wider = (is_dark, ~is_dark)[chosen], max(0.0, radii[chosen] - BOLD)
    apart = (high.mean() - low.mean()) / max(low.std() + high.std(), 1e-6)
    # The edge of a shadow parts a page too, but is softer.
    is_cut = apart > 2.4 + 16 * wider and high.mean() - low.mean() > 16 and inked.mean() > 0.12
    return inked & bool(is_cut and (wider < 0.01 or borders[chosen] > 0.02))


def _choose(strokes: Sequence[_Stroke]) -> tuple[_Stroke, list[str]]:
    """Choose the largest stroke with its parts. Return it, and what is to be said of the rest."""
    main, *rest = strokes
    while True:
        away = ndimage.distance_transform_edt(~main.mask)
        part = next((other for other in rest if _is_part(main, other, away)), None)
        if part is None:
            break
        main = _Stroke(main.mask | part.mask, main.mass + part.mass)
        rest = [other for other in rest if other is not part]
    notes = []
    heavy = [other for other in rest if other.mass > 0.25 * main.mass]
    digits = sum(max(other.sides) > 0.5 * max(main.sides) for other in heavy)
    if digits:
        notes.append(
            f"There seem to be {digits + 1} digits or more: only the largest was read. "
            "Cut the picture to one digit."
        )
    if others := len(rest) - digits:
        what = "1 speck or stroke was" if others == 1 else f"{others} specks or strokes were"
        notes.append(f"{what} left out.")
    return main, notes


def _is_part(main: _Stroke, other: _Stroke, away: np.ndarray) -> bool:
    """Return whether another stroke belongs to the digit: near it, and not a digit of its own."""
    gap = float(away[other.mask].min()) / max(main.sides)
    one, two = main.box[1], other.box[1]
    overlap = min(one.stop, two.stop) - max(one.start, two.start)
    tall = other.sides[0] > 0.55 * main.sides[0]
    if tall and overlap < 0.2 * min(main.sides[1], other.sides[1]):  # a digit beside it
        return False
    # The bar of a 5 may be far from its bow; a speck that is near would shrink the digit.
    reach = 0.1 if other.mass < 0.1 * main.mass else 0.2 if tall else 0.4
    return gap <= reach and other.mass > 0.02 * main.mass


def _disc(radius: int) -> np.ndarray:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return x * x + y * y <= radius * radius + 0.5


def _reduced(grey: np.ndarray, factor: int, how: Callable[..., np.ndarray] = np.mean) -> np.ndarray:
    """Shrink by a whole factor: the mean, or what `how` says, of each block of pixels."""
    if factor == 1 or min(grey.shape) < factor:
        return np.asarray(grey, np.float64)
    height, width = (side // factor * factor for side in grey.shape)
    blocks = grey[:height, :width].reshape(height // factor, factor, width // factor, factor)
    return how(np.asarray(blocks, np.float64), axis=(1, 3))


def find_net(model: str) -> tuple[pathlib.Path, dict[str, Any] | None]:
    """Find a net that was trained on MNIST's digits.

    Args:
        model: the name of a net, such as "lenet-5": the one that comes with the course, by the
            recipe "plain" where there are several, or, where the course has none, the one of this
            machine that saw the most images; a net of the course with its recipe, such as
            "lenet-5-distorted"; the run id of a row; or the path to a .keras file.

    Returns:
        The net's file and its row in the results, None for a file that no row belongs to.

    Raises:
        InputError: if there is no such net, or if it was trained on anything but MNIST.
    """
    from cnnlib.models import trained

    nets, shipped = {}, {}
    for each in sorted(results.rows().values(), key=lambda row: row["date"]):
        nets[each["run_id"]] = results.local_file(each["run_id"], "nets"), each
        own = trained.trained_path(each["model"], each["recipe"])
        if (each["seed"], each["dataset"]) == (0, DATASET) and own.exists():
            shipped[own.stem] = own, each
    nets |= shipped
    path, name = pathlib.Path(model), model
    if path.suffix == ".keras":
        if not os.path.exists(path):  # also of a name that no file can have
            raise InputError(f"there is no file {path}")
        name = path.stem
        if name not in nets:
            return path, None
    elif name not in nets:
        check_name("model", name, [*registry.names(), *shipped])

        def preference(net: str) -> tuple[bool, bool, int]:  # the course's, plain, many images
            row = nets[net][1]
            images = row["train_images"] * row["epochs"]
            return net not in shipped, row["recipe"] != "plain", -images

        named = [
            net
            for net, (path, row) in nets.items()
            if (row["model"], row["dataset"]) == (model, DATASET) and path.exists()
        ]
        if not named:
            raise InputError(
                f"no {model} that was trained on {DATASET} is on this machine: give another net "
                "for digits, such as lenet-5, or train one with `python -m cnnlib train`"
            )
        name = min(named, key=preference)
    path, row = (path if path.suffix == ".keras" else nets[name][0]), nets[name][1]
    if row["dataset"] != DATASET:
        raise InputError(
            f"{path.name} was trained on {row['dataset']}: pictures are read as {DATASET} draws "
            f"its digits, so give a net that was trained on {DATASET}"
        )
    if not path.exists():
        raise InputError(
            f"the net of the row {model} is not on this machine: give another net, or train it: "
            f"python -m cnnlib train {row['model']} {DATASET} --recipe {row['recipe']} "
            f"--seed {row['seed']} --train-size {row['train_images']} --again"
        )
    return path, row


def load_net(path: str | os.PathLike) -> "keras.Model":
    """Read a net for digits from its file; raise InputError for any other."""
    from cnnlib.models import trained

    shipped = {trained.trained_path(*net): net for net in trained.trained_nets()}
    path = pathlib.Path(path)
    net = trained.load_trained(*shipped[path]) if path in shipped else trained.load(path)
    classes = len(datasets.info(DATASET).class_names)
    known = net.name in registry.names() and net.output_shape == (None, classes)
    if not known or registry.input_format(net.name) in ("cifar10", "rgb"):
        raise InputError(
            f"{path} is no net of the course for digits: give one of `python -m cnnlib models` "
            f"that was trained on {DATASET}"
        )
    return net


def probabilities(net: "keras.Model", pictures: np.ndarray, deslanted: bool = False) -> np.ndarray:
    """Return a net's class probabilities, float32 (n, classes), for pictures of `read_picture`.

    `pictures` are uint8 (n, 28, 28, 1); `deslanted`, whether the net was trained on such digits.
    """
    from cnnlib import training

    input_format = registry.input_format(net.name)
    inputs = preprocessing.prepare(pictures, input_format, deslanted=deslanted)
    return training.predict(net, inputs)


def describe(
    model: str, pictures: Sequence[str | os.PathLike], invert: bool | None = None
) -> tuple[str, list[str]]:
    """Return as text what a trained net sees in picture files (or folders) and what it answers.

    `model` is as for `find_net`, `invert` as for `read_picture`. The second result says what is
    wrong with each picture that could not be read. Raises InputError if none could be read, and as
    `find_net` and `load_net`.
    """
    path, row = find_net(model)
    pages, bad = {}, []
    for name in _files(pictures):
        try:
            pages[name] = read_page(name, invert)
        except InputError as error:
            bad.append(str(error))
    if not pages:
        raise InputError("\n".join(bad))
    net = load_net(path)
    deslanted = row is not None and row["protocol"] == "deslanted"
    answers = probabilities(net, np.stack([image for image, _ in pages.values()]), deslanted)
    classes = datasets.info(DATASET).class_names
    known = "not in the results: on which images it was trained is unknown"
    if row:
        epochs = results.counted(row["epochs"], "epoch")
        known = f"test error {row['value']:.2f} % on {row['dataset']} after {epochs}"
    text = [f"Net: {net.name}, {path.name}, {known}"]
    for (name, (image, notes)), p in zip(pages.items(), answers, strict=True):
        said = [f"{classes[i]} ({100 * p[i]:.1f} %)" for i in np.argsort(-p)[:3]]
        text += [
            f"\n{name}, scaled to 20x20 and centred by its centre of mass in 28x28:",
            *(
                "".join(2 * SHADES[value * (len(SHADES) - 1) // 255] for value in row)
                for row in image[..., 0].tolist()
            ),
            *(f"{name}: {note}" for note in notes),
            f"{name}: {said[0]}; next {', '.join(said[1:])}",
        ]
    return "\n".join(text), bad


def _files(pictures: Sequence[str | os.PathLike]) -> list[str]:
    """Return the files, and of each folder those that are not hidden."""
    files: list[str] = []
    for each in map(pathlib.Path, pictures):
        inside = filter(pathlib.Path.is_file, sorted(each.glob("[!.]*")))
        found = list(inside) if each.is_dir() else [each]
        if not found:
            raise InputError(f"there is no picture in {each}: give {KINDS}, or a folder of them")
        files += map(str, found)
    return files
