"""Features: the outputs of a frozen backbone, computed once for each image."""

import dataclasses
import time
from typing import Any

import keras
import numpy as np

from cnnlib.errors import InputError, check_name
from cnnlib.progress import Line
from cnnlib.transfer.backbones import Backbone, check_images
from cnnlib.validation import InstanceOf, validated

BATCH = 64  # images that the frozen backbone sees at a time
CHUNK = 16 * BATCH  # images after which progress is shown


@dataclasses.dataclass(frozen=True, eq=False)
class Features:
    """The features of some images."""

    array: np.ndarray
    """float32 (n, 1280), or as many columns as the backbone's pool grid makes."""
    seconds: float
    """How long it took to compute them."""
    widths: dict[str, int]
    """The number of features of each block."""

    def of(self, blocks: str) -> np.ndarray:
        """Return the columns of some blocks, such as "45": float32 (n, columns), in memory."""
        if not isinstance(blocks, str) or not blocks:
            raise InputError(f"blocks must be digits from 3 to 5, such as '45', got {blocks!r}")
        parts = [self.array[:, columns] for columns in columns_of(blocks, self.widths)]
        return np.concatenate(parts, axis=1)


@validated
def features(backbone: InstanceOf[Backbone], images: Any, progress: bool = True) -> Features:
    """Compute the features of images, in memory.

    Args:
        backbone: from `transfer.backbone`.
        images: uint8, or float32 from 0 to 255, (n, h, w, 3).
        progress: show one line that updates in place.

    Raises:
        InputError: for images that the backbone cannot take.
    """
    check_images(images, backbone.model.input_shape[1:])
    line, start, chunks, n = Line(), time.perf_counter(), [], len(images)
    for i in range(0, n, CHUNK):
        chunks.append(outputs(backbone.model, images[i : i + CHUNK]))
        done, seconds = min(n, i + CHUNK), time.perf_counter() - start
        if progress:
            line.show(f"features of {done:,} of {n:,} images, {seconds:.0f} s", last=done == n)
    return Features(np.concatenate(chunks), time.perf_counter() - start, backbone.widths)


def outputs(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Return what the model puts out for images, float32 (n, features)."""
    found = []
    for i in range(0, len(images), BATCH):
        batch = images[i : i + BATCH].astype("float32")
        # Filled up, because a batch of another size would have the graph built again.
        filled = np.pad(batch, ((0, BATCH - len(batch)), (0, 0), (0, 0), (0, 0)))
        found.append(model.predict_on_batch(filled)[: len(batch)])
    return np.concatenate(found).astype(np.float32)


def columns_of(blocks: str, widths: dict[str, int]) -> list[slice]:
    """Return where the features of these blocks are, a slice each."""
    ends = np.cumsum(list(widths.values())).tolist()
    stops = dict(zip(widths, ends, strict=True))
    return [
        slice(stops[block] - widths[block], stops[block])
        for block in (check_name("block", each, widths) for each in blocks)
    ]
