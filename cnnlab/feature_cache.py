"""Features on disk: computed once, and used by every head, seed and command that needs them.

A file's name is a digest of everything that determines its content: weights, layers, pooling, image
size, and the images. It is complete or not there. A run that was killed continues from its last
chunk of 1,024 images; of two processes that need the same features one computes, and the other
waits. The array is mapped, so that it may be larger than the memory.
"""

import dataclasses
import hashlib
import io
import json
import os
import pathlib
import time
import zlib
from typing import Any

import numpy as np

from cnnlib import datasets, storage, transfer
from cnnlib.errors import InputError
from cnnlib.progress import Line
from cnnlib.transfer import Backbone, Features, extraction


@dataclasses.dataclass(frozen=True, eq=False)
class CachedFeatures(Features):
    """Features whose `array` is mapped from the file `path`."""

    path: pathlib.Path


def features(
    backbone: Backbone,
    images: np.ndarray,
    progress: bool = True,
    folder: str | os.PathLike | None = None,
) -> CachedFeatures:
    """Return the features of images, computed now or before.

    Args:
        backbone: from `transfer.backbone`.
        images: uint8, or float32 from 0 to 255, (n, h, w, 3).
        progress: show one line that updates in place.
        folder: where they are kept; `features/` in the results folder if None.

    Raises:
        InputError: for images that the backbone cannot take, a damaged file, or a full disk.
    """
    transfer.check_images(images, backbone.model.input_shape[1:])
    folder = storage.make_folder(folder or storage.results_folder() / "features")
    identity = _identity(backbone, images)
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    path = folder / f"vgg16-{backbone.image_size}-{key}.npy"
    with storage.one_at_a_time(path):
        if not path.exists():
            _compute(path, backbone, images, identity, progress)
        return _open(path, identity, backbone.widths)


def features_of(
    dataset: str, image_size: int = 32, train_size: int | None = None
) -> dict[str, CachedFeatures]:
    """Return the features of a data set: {"train": CachedFeatures, "test": CachedFeatures}.

    Args:
        dataset: a name of datasets.names().
        image_size: side in pixels to which the images are resized.
        train_size: so many training images, those of seed 0; None for all.
    """
    data = datasets.load(dataset, train_size=train_size)
    net = transfer.backbone((*data.train.images.shape[1:3], 3), image_size)
    images = {"train": data.train.images, "test": data.test.images}
    return {split: features(net, transfer.rgb(each)) for split, each in images.items()}


def _identity(backbone: Backbone, images: np.ndarray) -> dict[str, Any]:
    digest = hashlib.sha256(f"{images.dtype.str} {images.shape}".encode())
    for i in range(0, len(images), extraction.CHUNK):
        digest.update(np.ascontiguousarray(images[i : i + extraction.CHUNK]).data)
    grid = backbone.pool_grid
    return {
        "net": "vgg16",
        "weights": backbone.weights.digest,
        "layers": list(transfer.BLOCKS.values()),
        "pooling": "mean" if grid == 1 else f"mean {grid}x{grid}",
        "image_size": backbone.image_size,
        "images": digest.hexdigest(),
        "count": len(images),
    }


def _compute(path, backbone, images, identity, progress):
    """Write the features to PATH.part, with each chunk's checksum in a JSON file, then rename."""
    part, log = part_of(path), path.with_suffix(".json")
    width = sum(backbone.widths.values())
    header = _header(len(images), width)
    sums, seconds = _done(part, log, identity, header, width)
    line, n, chunk = Line(), len(images), extraction.CHUNK
    try:
        with open(part, "r+b" if sums else "wb") as file:
            if not sums:
                file.write(header)
            file.truncate(len(header) + 4 * width * min(n, len(sums) * chunk))
            file.seek(0, os.SEEK_END)
            for start in range(len(sums) * chunk, n, chunk):
                before = time.perf_counter()
                found = extraction.outputs(backbone.model, images[start : start + chunk])
                content = found.astype("<f4").tobytes()
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                sums.append(zlib.crc32(content))
                seconds += time.perf_counter() - before
                text = json.dumps({**identity, "seconds": seconds, "sums": sums})
                storage.write_atomically(log, text)
                done = min(n, start + chunk)
                if progress:
                    line.show(
                        f"features of {done:,} of {n:,} images, {seconds:.0f} s", last=done == n
                    )
        os.replace(part, path)
    except OSError as error:
        raise InputError(
            f"cannot write {part} ({error.strerror or error}): make room, then do the same again "
            "to continue"
        ) from error


def _done(part, log, identity, header, width):
    """Return (checksums, seconds) of the chunks that an earlier run has completed."""
    saved = _read_log(log)
    if saved is None or {k: saved.get(k) for k in identity} != identity or not part.exists():
        return [], 0.0
    sums: list[int] = []
    count, chunk = identity["count"], extraction.CHUNK
    with open(part, "rb") as file:
        if file.read(len(header)) != header:
            return [], 0.0
        for start, expected in zip(range(0, count, chunk), saved["sums"], strict=False):
            if zlib.crc32(file.read(4 * width * min(chunk, count - start))) != expected:
                break
            sums.append(expected)
    return sums, saved["seconds"] * len(sums) / max(len(saved["sums"]), 1)


def _open(path, identity, widths):
    """Map a complete file, after checking the checksum of every chunk."""
    saved, n = _read_log(path.with_suffix(".json")), identity["count"]
    repair = (
        f"Delete it: the next run computes it again. ({path.with_suffix('.json').name} beside it "
        "holds its checksums.)"
    )
    if saved is None or {k: saved.get(k) for k in identity} != identity:
        raise InputError(
            f"the features {path} cannot be checked: their checksums are missing or of another "
            f"file. {repair}"
        )
    width = sum(widths.values())
    size, expected = path.stat().st_size, len(_header(n, width)) + 4 * width * n
    if size != expected:
        raise InputError(
            f"the features {path} are damaged: {size:,} bytes, expected {expected:,}. {repair}"
        )
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise InputError(f"the features {path} are damaged ({error}). {repair}") from error
    starts = range(0, n, extraction.CHUNK)
    sums = saved["sums"]
    right = len(sums) == len(starts) and all(
        zlib.crc32(array[start : start + extraction.CHUNK]) == expected
        for start, expected in zip(starts, sums, strict=True)
    )
    if not right:
        raise InputError(
            f"the features {path} are damaged: they are not what was written. {repair}"
        )
    return CachedFeatures(array, saved["seconds"], widths, path)


def _read_log(path):
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        return saved if isinstance(saved, dict) and {"seconds", "sums"} <= set(saved) else None
    except (OSError, ValueError):
        return None


def _header(n, width):
    """Return what an .npy file of n rows of so many features begins with."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "<f4", "fortran_order": False, "shape": (n, width)}
    )
    return buffer.getvalue()


def part_of(path: pathlib.Path) -> pathlib.Path:
    """Return the file in which features are collected before they are complete."""
    return path.with_name(path.name + ".part")
