"""The class that each measured net gave to each test image, one file per run.

From them anyone can compute a net's error, its interval, and McNemar's test between two nets,
without training.
"""

import io
import pathlib
import zipfile
import zlib

import numpy as np

from cnnlib import integrity, storage
from cnnlib.errors import InputError
from cnnlib.results import rows


def local_file(run_id: str) -> pathlib.Path:
    """Return the file of a run of this machine."""
    return storage.results_folder() / "predictions" / f"{run_id}.npz"


def published_file(dataset: str, run_id: str) -> pathlib.Path:
    """Return the file of a published run."""
    return rows.MEASURED / "predictions" / dataset / f"{run_id}.npz"


def read(dataset: str, run_id: str) -> np.ndarray | None:
    """Return the predicted classes of a run, int64 (n,), or None if they were not kept.

    Raises InputError for a damaged file.
    """
    for path in (local_file(run_id), published_file(dataset, run_id)):
        if not integrity.exists(path):
            continue
        try:
            content = io.BytesIO(integrity.read_bytes(path))
            with np.load(content, allow_pickle=False) as arrays:
                found = arrays["predictions"]
            if found.ndim != 1 or found.dtype.kind not in "iu":
                raise ValueError(f"expected whole numbers (n,), found {found.dtype} {found.shape}")
        except (ValueError, KeyError, OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            raise InputError(
                f"damaged predictions {path}: {error}. Delete the file, or restore it from git."
            ) from error
        return found.astype(np.int64)
    return None
