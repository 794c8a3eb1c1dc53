"""How each measured net was trained: loss and training error by epoch.

A file per run on this machine; once published, a file per data set.
"""

import io
import pathlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from cnnlib import integrity, storage
from cnnlib.errors import InputError
from cnnlib.results import rows

if TYPE_CHECKING:
    import pandas

COLUMNS = ["run_id", "epoch", "loss", "train_error"]  # of both kinds of files


def local_file(run_id: str) -> pathlib.Path:
    """Return the file of a run of this machine."""
    return storage.results_folder() / "histories" / f"{run_id}.csv"


def published_file(dataset: str) -> pathlib.Path:
    """Return the file with the published histories of a data set."""
    return rows.MEASURED / "histories" / f"{dataset}.csv"


def read(dataset: str, run_ids: Iterable[str]) -> "pandas.DataFrame":
    """Return the published histories of a data set, and those of these runs of this machine."""
    import pandas

    paths = (published_file(dataset), *map(local_file, run_ids))
    tables = [read_file(path) for path in paths if integrity.exists(path)]
    return pandas.concat(tables, ignore_index=True) if tables else pandas.DataFrame(columns=COLUMNS)


def read_file(path: pathlib.Path) -> "pandas.DataFrame":
    """Return the histories in a file; raise InputError for a damaged one."""
    import pandas

    try:
        table = pandas.read_csv(io.StringIO(integrity.read_text(path)))
        if list(table) != COLUMNS:
            raise ValueError(f"the columns must be {','.join(COLUMNS)}")
        return table.astype({"run_id": str, "epoch": int, "loss": float, "train_error": float})
    except (ValueError, pandas.errors.ParserError) as error:
        raise InputError(
            f"damaged history {path}: {error}. Delete it, or restore it from git."
        ) from error
