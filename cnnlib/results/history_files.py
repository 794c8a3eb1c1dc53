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


def record(run_id: str, epochs: "pandas.DataFrame") -> pathlib.Path:
    """Write the history of a run, `training.History.epochs`, whole or not at all."""
    return _write(local_file(run_id), epochs.assign(run_id=run_id)[COLUMNS])


def read(dataset: str, run_ids: Iterable[str]) -> "pandas.DataFrame":
    """Return the published histories of a data set, and those of these runs of this machine."""
    import pandas

    paths = (published_file(dataset), *map(local_file, run_ids))
    tables = [_read(path) for path in paths if integrity.exists(path)]
    return pandas.concat(tables, ignore_index=True) if tables else pandas.DataFrame(columns=COLUMNS)


def publish(dataset: str, run_ids: Iterable[str]) -> None:
    """Copy the histories of these runs, where there are any, to the published file.

    The caller removes the originals.
    """
    import pandas

    found = [_read(local_file(run)) for run in run_ids if local_file(run).exists()]
    if not found:
        return
    there = [_read(published_file(dataset))] if published_file(dataset).exists() else []
    table = pandas.concat([*there, *found]).drop_duplicates(["run_id", "epoch"], keep="last")
    _write(published_file(dataset), table.sort_values(["run_id", "epoch"]))


def rename(path: pathlib.Path, run_ids: dict[str, str]) -> None:
    """Give the runs of a file of histories other run_ids, {old: new}, if there is the file."""
    if path.exists():
        table = _read(path)
        table["run_id"] = table["run_id"].replace(run_ids)
        _write(path, table.sort_values(["run_id", "epoch"], kind="stable"))


def _write(path, table):
    text = io.StringIO()
    table.to_csv(text, index=False, float_format="%.6g", lineterminator="\n")
    return integrity.write(path, text.getvalue())


def _read(path):
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
