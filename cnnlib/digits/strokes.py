"""Find the one digit on a page, and scale and centre it as MNIST's makers did.

The steps of `find_digit`: subtract the paper, estimate the noise, keep what is darker (or brighter)
than the noise can be, group it into strokes, and choose the largest stroke with its parts.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy import ndimage

WORKING_SIDE = 400  # pixels: where the digit is looked for
CONTIGUOUS = np.ones((3, 3))  # pixels that touch at a corner belong together
THINNEST = 0.09  # stroke width as a share of the digit's longer side; MNIST's pens: 0.08 to 0.16


class EmptyPage(ValueError):
    """Nothing stands out from the paper and its noise."""


@dataclasses.dataclass(frozen=True)
class Digit:
    """A digit as it was found on a page."""

    ink: np.ndarray  # float (h, w), its bounding box: 1 is ink, 0 is paper
    notes: tuple[str, ...]  # what else was on the page, one sentence each


@dataclasses.dataclass(frozen=True)
class _Stroke:
    """Ink that hangs together."""

    mask: np.ndarray  # bool, as large as the page
    mass: float  # the sum of its ink
    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def size(self) -> int:
        return max(self.height, self.width)

    def encloses(self, other: "_Stroke") -> bool:
        return (
            self.top < other.top
            and self.left < other.left
            and self.bottom > other.bottom
            and self.right > other.right
        )


def find_digit(grey: np.ndarray, invert: bool | None = None) -> Digit:
    """Find the digit on a page of grey levels, float (height, width), 0 to 255.

    Args:
        grey: the page.
        invert: True if the ink is darker than the paper, False if it is brighter, None to judge.

    Raises:
        EmptyPage: if nothing stands out from the paper and its noise.
    """
    notes: list[str] = []
    for _ in range(3):  # a frame inside a sheet inside a photograph: no more than that
        factor = max(1, -(-max(grey.shape) // WORKING_SIDE))
        page = _Page(_reduced(grey, factor), invert)
        strokes = page.strokes()
        frame = _frame(strokes)
        if frame is None:
            break
        notes.append("The page has a frame: only what is inside was read.")
        grey = _inside(grey, frame, factor)
    main, more = _choose(strokes)
    if factor > 1 and main.size < WORKING_SIDE / 4:  # a small digit: look closer
        margin = main.size // 2
        rows = slice(max(0, main.top - margin) * factor, (main.bottom + margin) * factor)
        columns = slice(max(0, main.left - margin) * factor, (main.right + margin) * factor)
        closer = grey[rows, columns]
        page = _Page(_reduced(closer, max(1, -(-max(closer.shape) // WORKING_SIDE))), page.dark)
        main, _ = _choose(page.strokes())
    return Digit(page.ink(main), tuple(notes + more))


def normalise(ink: np.ndarray) -> np.ndarray:
    """Scale the ink of a bounding box to fit 20x20 and centre it in 28x28.

    Args:
        ink: float (h, w), 1 is ink, 0 is paper.

    Returns:
        uint8 (28, 28), ink 255 on background 0.
    """
    scale = 20 / max(ink.shape)
    size = (max(1, round(ink.shape[1] * scale)), max(1, round(ink.shape[0] * scale)))
    box = Image.fromarray(np.float32(255 * ink))
    if scale != 1:
        how = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
        box = box.resize(size, how)
    return centre_by_mass(np.clip(np.rint(np.asarray(box)), 0, 255).astype(np.uint8))


def centre_by_mass(box: np.ndarray) -> np.ndarray:
    """Move a digit in 28x28 so that its centre of mass is at row and column 14, as in MNIST.

    Pixels are counted from 0, so 14.0 is the middle of the fifteenth: half a pixel below and to
    the right of the geometric middle. MNIST's own digits come back to their places exactly.

    Args:
        box: uint8 (h, w), both at most 28.

    Returns:
        uint8 (28, 28); where the digit would stick out it is moved inside.
    """
    weight = box.astype(np.float64) / max(float(box.sum(dtype=np.int64)), 1)
    centre = [weight.sum(axis=1 - axis) @ np.arange(box.shape[axis]) for axis in (0, 1)]
    top, left = (
        int(np.clip(round(14.0 - middle), 0, 28 - side))
        for middle, side in zip(centre, box.shape, strict=True)
    )
    canvas = np.zeros((28, 28), dtype=np.uint8)
    canvas[top : top + box.shape[0], left : left + box.shape[1]] = box
    return canvas


class _Page:
    """A page with its paper subtracted and its noise known."""

    def __init__(self, grey: np.ndarray, invert: bool | None):
        contrast = _paper(grey) - grey  # positive where it is darker than the paper
        side = max(grey.shape)
        # Smooth only as far as the noise demands.
        for share in (0, 0.004, 0.008, 0.014):
            smooth = ndimage.gaussian_filter(contrast, share * side) if share else contrast
            noise = 1.4826 * float(np.median(np.abs(smooth - np.median(smooth))))
            strongest = _strongest(smooth if invert else np.abs(smooth))
            if strongest >= 12 * noise:
                break
        self.noise = noise
        self.dark = _is_dark(smooth, noise) if invert is None else invert
        self.signal = smooth if self.dark else -smooth
        self.side = side

    def strokes(self) -> list[_Stroke]:
        """Return what stands out from the paper, the largest first, or raise EmptyPage."""
        low, high = max(3.5 * self.noise, 4.0), max(6.5 * self.noise, 16.0)
        # Light around a stroke, a smear or the blur of a lens is much weaker than the stroke.
        seeds = self.signal > high
        if seeds.any():
            low = max(low, 0.2 * float(np.percentile(self.signal[seeds], 75)))
        strong = self.signal > low
        radius = round(0.008 * self.side)
        joined = ndimage.binary_dilation(strong, _disc(radius)) if radius else strong
        labels, count = ndimage.label(joined, CONTIGUOUS)
        labels = labels * strong
        index = np.arange(1, count + 1)
        peaks = ndimage.maximum(self.signal, labels, index)
        masses = ndimage.sum_labels(self.signal, labels, index)
        smallest = 0.0001 * self.side**2
        areas = ndimage.sum_labels(strong, labels, index)
        boxes = ndimage.find_objects(labels)
        strokes = [
            _Stroke(labels == i, mass, box[0].start, box[0].stop, box[1].start, box[1].stop)
            for i, peak, mass, area, box in zip(index, peaks, masses, areas, boxes, strict=True)
            if peak > high and area >= smallest
        ]
        if not strokes:
            raise EmptyPage(
                "looks empty: no stroke stands out from the paper and its noise. "
                "Write larger or darker"
            )
        return sorted(strokes, key=lambda stroke: -stroke.mass)

    def ink(self, stroke: _Stroke) -> np.ndarray:
        """Return a stroke's ink in its bounding box, float from 0 to 1."""
        inner = self.signal[stroke.mask]
        if self.noise:
            full, floor = float(np.percentile(inner, 70)), 2.5 * self.noise
        else:
            full, floor = float(inner.max()), 0.0
        if stroke.size > 40:  # larger than MNIST: JPEG leaves faint ripples around strokes
            floor = max(floor, 0.08 * full)
        around = ndimage.binary_dilation(stroke.mask, CONTIGUOUS, iterations=2)
        ink = np.where(around & (self.signal > floor), np.clip(self.signal / full, 0, 1), 0)
        ink = _thickened(ink, stroke)
        rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
        return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _paper(grey: np.ndarray) -> np.ndarray:
    """Return the page without its ink: flat, or under uneven light."""
    values, counts = np.unique(grey, return_counts=True)
    if counts.max() > grey.size / 2:  # a drawing on a computer, or an MNIST image: no noise
        return np.full_like(grey, values[counts.argmax()])
    step = max(1, max(grey.shape) // 64)
    small = _reduced(grey, step, np.median)
    y, x = (np.linspace(-1, 1, side) for side in small.shape)
    y, x = y[:, None] + 0 * x, x + 0 * y[:, None]
    terms = np.stack([x**0, x, y, x * x, x * y, y * y], axis=-1)
    inside = np.ones(small.shape, bool)
    surface = np.full(small.shape, np.median(small))
    for _ in range(8):  # a smooth surface through what is not ink
        rest = small - surface
        width = 1.4826 * np.median(np.abs(rest[inside] - np.median(rest[inside])))
        inside = np.abs(rest - np.median(rest[inside])) <= max(2.5 * width, 1)
        chosen = terms[inside]
        surface = terms @ np.linalg.solve(
            chosen.T @ chosen + 1e-6 * np.eye(6), chosen.T @ small[inside]
        )
    # What the surface misses, such as the edge of a shadow: a median keeps edges and drops strokes.
    rest = ndimage.median_filter(small - surface, size=max(small.shape) // 2 | 1, mode="reflect")
    paper = Image.fromarray(np.float32(surface + rest))
    return np.asarray(paper.resize(grey.shape[::-1], Image.Resampling.BILINEAR))


def _strongest(signal: np.ndarray) -> float:
    """Return the mean of the strongest 0.5 % of the pixels."""
    count = max(1, signal.size // 200)
    return float(np.partition(signal.ravel(), -count)[-count:].mean())


def _is_dark(contrast: np.ndarray, noise: float) -> bool:
    """Return whether what stands out from the paper is rather darker than brighter."""
    limit = max(4 * noise, 4)
    dark, bright = contrast[contrast > limit].sum(), -contrast[contrast < -limit].sum()
    return bool(dark >= bright)


def _frame(strokes: list[_Stroke]) -> _Stroke | None:
    """Return the stroke that is a frame around another one, or None."""
    for stroke in strokes:
        inside = [other for other in strokes if stroke.encloses(other)]
        if not inside or max(other.mass for other in inside) < 0.02 * stroke.mass:
            continue
        box = stroke.mask[stroke.top : stroke.bottom, stroke.left : stroke.right]
        band = max(1, round(0.08 * min(box.shape)))
        sides = (
            box[:band].any(axis=0),
            box[-band:].any(axis=0),
            box[:, :band].any(axis=1),
            box[:, -band:].any(axis=1),
        )
        if all(side.mean() > 0.8 for side in sides):
            return stroke
    return None


def _inside(grey: np.ndarray, frame: _Stroke, factor: int) -> np.ndarray:
    """Return the part of the page inside a frame."""
    box = frame.mask[frame.top : frame.bottom, frame.left : frame.right]
    # How thick the frame is at each side: up to the first row or column that is mostly empty.
    near = lambda share: int(np.argmax(share < 0.5)) + 1  # noqa: E731
    rows, columns = box.mean(axis=1), box.mean(axis=0)
    top, bottom = frame.top + near(rows), frame.bottom - near(rows[::-1])
    left, right = frame.left + near(columns), frame.right - near(columns[::-1])
    return grey[top * factor : bottom * factor, left * factor : right * factor]


def _choose(strokes: list[_Stroke]) -> tuple[_Stroke, list[str]]:
    """Choose the largest stroke with its parts. Return it, and what is to be said of the rest."""
    main, rest = strokes[0], strokes[1:]
    digits, remaining = 1, 0
    for _ in range(len(rest)):
        away = ndimage.distance_transform_edt(~main.mask)
        part = next((other for other in rest if _is_part(main, other, away)), None)
        if part is None:
            break
        main = _merged(main, part)
        rest = [other for other in rest if other is not part]
    specks = 0
    for other in rest:
        if other.mass > 0.25 * main.mass and other.size > 0.5 * main.size:
            digits += 1
        elif other.mass > 0.1 * main.mass:
            remaining += 1
        else:
            specks += 1
    notes = []
    if digits > 1:
        notes.append(
            f"There seem to be {digits} digits or more: only the largest was read. "
            "Cut the picture to one digit."
        )
    if remaining:
        notes.append(f"Several strokes remain: the largest was read, {remaining} left out.")
    if specks:
        notes.append(f"{specks} {'speck was' if specks == 1 else 'specks were'} left out.")
    return main, notes


def _is_part(main: _Stroke, other: _Stroke, away: np.ndarray) -> bool:
    """Return whether another stroke belongs to the digit: near it, and not a digit of its own."""
    gap = float(away[other.mask].min()) / main.size
    overlap = min(main.right, other.right) - max(main.left, other.left)
    tall = other.height > 0.55 * main.height
    if tall and overlap < 0.2 * min(main.width, other.width):  # a digit beside it
        return False
    # The bar of a 5 may be far from its bow; a speck that is near would shrink the digit.
    reach = 0.1 if other.mass < 0.1 * main.mass else 0.2 if tall else 0.4
    return gap <= reach and other.mass > 0.02 * main.mass


def _merged(main: _Stroke, part: _Stroke) -> _Stroke:
    return _Stroke(
        main.mask | part.mask,
        main.mass + part.mass,
        min(main.top, part.top),
        max(main.bottom, part.bottom),
        min(main.left, part.left),
        max(main.right, part.right),
    )


def _thickened(ink: np.ndarray, stroke: _Stroke) -> np.ndarray:
    """Widen the strokes of a fine pen to those of MNIST, where the picture is larger than MNIST."""
    if stroke.size < 40:
        return ink
    box = np.pad(stroke.mask[stroke.top : stroke.bottom, stroke.left : stroke.right], 1)
    depth = ndimage.distance_transform_edt(box)
    width = 4 * float(depth[box].mean())  # of a strip the mean depth is a quarter of its width
    radius = round((THINNEST * stroke.size - width) / 2)
    return ndimage.grey_dilation(ink, footprint=_disc(radius)) if radius > 0 else ink


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
