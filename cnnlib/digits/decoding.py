"""Decode a picture file of any kind to grey levels, in bounded memory."""

import os
import re
import warnings

import numpy as np
from PIL import Image, ImageOps

from cnnlib.errors import InputError

LONGEST_SIDE = 2000  # pixels: larger pictures are shrunk while they are decoded
BAND = 2**22  # pixels that are converted at a time
KINDS = "a PNG, JPEG, TIFF, BMP, GIF or WebP file"


def decode(path: str | os.PathLike) -> np.ndarray:
    """Read a picture file as grey levels from 0 to 255, float32 (height, width).

    The picture is turned as its EXIF orientation says, and shrunk to at most `LONGEST_SIDE`. The
    grey levels of 16-bit and float pictures are scaled by their range. Transparent pixels become
    paper: white behind dark ink, black behind bright ink.

    Raises:
        InputError: if there is no such file, if it is no picture, or if it is too large.
    """
    try:
        # Pillow warns at half of its size limit: only the limit itself matters here.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                return _grey(file)
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}") from error
    except Image.DecompressionBombError as error:
        raise InputError(_too_large(path, str(error))) from error
    except MemoryError as error:
        raise InputError(
            f"there is not enough memory to decode {path}: scale it down to "
            f"{LONGEST_SIDE} pixels on its longer side"
        ) from error
    except Exception as error:  # each decoder has errors of its own: struct.error, KeyError, ...
        raise InputError(
            f"{path} is not a picture that Pillow can read ({_first_line(error)}): give {KINDS}"
        ) from error


def _too_large(path: str | os.PathLike, message: str) -> str:
    limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
    size = re.search(r"\d+", message)
    found = f"{int(size[0]) / 1e6:.0f} megapixels" if size else "too many pixels"
    return (
        f"{path} has {found}, and the limit is {limit / 1e6:.0f} megapixels: scale it down, "
        f"for example to {LONGEST_SIDE} pixels on its longer side, or cut out the digit"
    )


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def _grey(file: Image.Image) -> np.ndarray:
    file.draft("L", (LONGEST_SIDE, LONGEST_SIDE))  # JPEG files only: decode at a fraction
    file.load()
    width, height = file.size
    factor = max(1, -(-max(file.size) // LONGEST_SIDE))
    rows = max(1, BAND // (width * factor)) * factor
    bands = [
        _shrunken(file.crop((0, top, width, min(top + rows, height))), factor)
        for top in range(0, height, rows)
    ]
    levels, opacity = (np.concatenate(parts) for parts in zip(*bands, strict=True))
    if _is_deep(file.mode):
        levels = _scaled_by_range(levels)
    # levels are those of premultiplied pixels: what is transparent adds nothing
    grey = levels + (1 - opacity) * _paper(levels, opacity)
    return _upright(Image.fromarray(grey), file)


def _is_deep(mode: str) -> bool:
    """Return whether the mode has more than eight bits a channel."""
    return mode == "F" or mode.startswith("I")


def _shrunken(band: Image.Image, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the grey levels times opacity, and the opacity, both as means over factor x factor."""
    alpha = None
    if "transparency" in band.info or band.mode.lower().endswith("a"):
        band = band.convert("RGBA")
        alpha = band.getchannel("A")
    if not _is_deep(band.mode):
        if band.mode not in ("1", "L"):
            band = band.convert("RGB")  # not every mode converts to grey directly
        band = band.convert("L")
    levels: np.ndarray = np.array(band, np.float32)
    opacity: np.ndarray = np.ones_like(levels)
    if alpha is not None:
        opacity = np.array(alpha, np.float32) / np.float32(255)
        levels = levels * opacity
    if factor > 1:
        levels = np.array(Image.fromarray(levels).reduce(factor))
        opacity = np.array(Image.fromarray(opacity).reduce(factor))
    return levels, opacity


def _scaled_by_range(levels: np.ndarray) -> np.ndarray:
    finite = levels[np.isfinite(levels)]
    if not finite.size:
        raise ValueError("no pixel has a finite value")
    low, high = float(finite.min()), float(finite.max())
    levels = np.nan_to_num(levels.astype(np.float64), nan=low, posinf=high, neginf=low)
    return (255 * (levels - low) / ((high - low) or 1)).astype(np.float32)


def _paper(levels: np.ndarray, opacity: np.ndarray) -> float:
    """Return the grey level to put behind transparent pixels."""
    seen = opacity > 0.5
    if seen.mean() > 0.5:  # a photograph with transparent corners
        return float(np.median(levels[seen] / opacity[seen]))
    ink = levels.sum() / max(opacity.sum(), 1e-6)
    return 0.0 if ink > 127 else 255.0


def _upright(picture: Image.Image, file: Image.Image) -> np.ndarray:
    try:
        exif = file.getexif()
        picture.getexif()[0x0112] = exif.get(0x0112, 1)
        picture = ImageOps.exif_transpose(picture)
    except Exception:  # broken EXIF data says nothing about the orientation: leave it as it is
        pass
    return np.array(picture, np.float32)
