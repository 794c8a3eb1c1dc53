"""Features on disk: computed once, and used by every head, seed and command that needs them.

A file's name is a digest of everything that determines its content: weights, layers, pooling, image
size, and the images. It is complete or not there. A run that was killed continues from its last
chunk of 1,024 images; of two processes that need the same features one computes, and the other
waits. The array is mapped, so that it may be larger than the memory.
"""

import hashlib
import json
import os
import shutil

import numpy as np

from cnnlib import checkpoints, datasets, integrity, storage, transfer
from cnnlib.errors import InputError
from cnnlib.progress import Line

CHUNK = 16 * transfer.BATCH  # images after which the state is kept, and progress is shown


def features(
    backbone: transfer.Backbone,
    images: np.ndarray,
    progress: bool = True,
    folder: str | os.PathLike | None = None,
) -> transfer.Features:
    """Return the features of images, computed now or before. Their array is mapped from a file.

    Args:
        backbone: from `transfer.backbone`.
        images: uint8, or float32 from 0 to 255, (n, h, w, 3).
        progress: show one line that updates in place.
        folder: where they are kept; `features/` in the results folder if None.

    Raises:
        InputError: for images of another range, a damaged file, or a full disk.
    """
    run = {
        "net": "vgg16",
        "weights": backbone.weights.digest,
        "layers": list(transfer.BLOCKS.values()),
        "pool_grid": backbone.pool_grid,
        "image_size": backbone.image_size,
        "images": hashlib.sha256(np.ascontiguousarray(images).data).hexdigest(),
        "shape": f"{images.dtype.str} {images.shape}",
    }
    key = hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()[:16]
    folder = storage.make_folder(folder or storage.results_folder() / "features")
    path = folder / f"vgg16-{backbone.image_size}-{key}.npy"
    log = path.with_suffix(".npz")  # how far it is, and the digest of the complete file
    with storage.one_at_a_time(path):
        if not path.exists():
            _compute(path, log, backbone, images, run, progress)
        state, _ = checkpoints.read(log, run) or ({}, [])
        if integrity.digest(path) != state.get("digest"):
            raise InputError(f"the features {path} are damaged: delete them to compute them again")
        return transfer.Features(np.load(path, mmap_mode="r"), state["seconds"], backbone.widths)


def features_of(
    dataset: str, image_size: int = 32, train_size: int | None = None
) -> dict[str, transfer.Features]:
    """Return the features of a data set: {"train": Features, "test": Features}.

    Images are resized to `image_size` pixels a side. `train_size` training images are those of
    seed 0; None for all.
    """
    data = datasets.load(dataset, train_size=train_size)
    net = transfer.backbone((*data.train.images.shape[1:3], 3), image_size)
    images = {"train": data.train.images, "test": data.test.images}
    return {split: features(net, transfer.rgb(each)) for split, each in images.items()}


def _compute(path, log, backbone, images, run, progress):
    """Fill PATH.part with features, note in `log` how far it is, and rename it at the end."""
    part = path.with_name(path.name + ".part")
    n, width = len(images), sum(backbone.widths.values())
    kept = checkpoints.read(log, run) if part.exists() else None
    if kept:
        state, array = kept[0], np.load(part, mmap_mode="r+")
    else:
        free = shutil.disk_usage(path.parent).free
        if 4 * n * width > free:  # a mapped file that the disk cannot hold ends the process
            raise InputError(
                f"the features {path} take {4 * n * width:,} bytes, and the disk has {free:,}: "
                "make room, or set CNNLIB_RESULTS to a folder on another disk"
            )
        state = {"done": 0, "seconds": 0.0}
        array = np.lib.format.open_memmap(part, "w+", np.float32, (n, width))
    line = Line()
    for start in range(state["done"], n, CHUNK):
        found = transfer.features(backbone, images[start : start + CHUNK], progress=False)
        done, seconds = start + len(found.array), state["seconds"] + found.seconds
        array[start:done] = found.array
        array.flush()
        state = {"done": done, "seconds": seconds}
        checkpoints.write(log, run, state, [])
        if progress:
            line.show(f"features of {done:,} of {n:,} images, {seconds:.0f} s", last=done == n)
    del array
    checkpoints.write(log, run, {**state, "digest": integrity.digest(part)}, [])
    os.replace(part, path)
