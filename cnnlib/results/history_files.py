"""How each measured net learned: loss and training error by epoch. A file for each run; once published, a file for each data set."""

import io

from cnnlib import storage
from cnnlib.errors import InputError
from cnnlib.results import rows

COLUMNS = ["run_id", "epoch", "loss", "train_error"]  # of both kinds of files


def local_file(run):
    return storage.results_folder() / "histories" / f"{run}.csv"


def published_file(dataset):
    return rows.MEASURED / "histories" / f"{dataset}.csv"


def record(run_id, epochs):
    """Write how the run `run_id` learned, whole or not at all. epochs: `training.History.epochs`. Returns the path."""
    table = epochs.assign(run_id=run_id)[COLUMNS]
    return storage.write_atomically(local_file(run_id), _text(table))


def read(dataset, run_ids):
    """The published histories of a data set, and those of these runs that this machine has (DataFrame with COLUMNS)."""
    import pandas

    tables = [
        _read(path)
        for path in (published_file(dataset), *map(local_file, run_ids))
        if path.exists()
    ]
    return pandas.concat(tables, ignore_index=True) if tables else pandas.DataFrame(columns=COLUMNS)


def publish(dataset, run_ids):
    """Copy the histories of these runs, where there are any, to data/measured/histories/<dataset>.csv; the caller removes the originals."""
    import pandas

    found = [_read(local_file(run)) for run in run_ids if local_file(run).exists()]
    if not found:
        return
    there = [_read(published_file(dataset))] if published_file(dataset).exists() else []
    table = pandas.concat([*there, *found]).drop_duplicates(["run_id", "epoch"], keep="last")
    storage.write_atomically(published_file(dataset), _text(table.sort_values(["run_id", "epoch"])))


def _text(table):
    text = io.StringIO()
    table.to_csv(text, index=False, float_format="%.6g", lineterminator="\n")
    return text.getvalue()


def _read(path):
    import pandas

    try:
        table = pandas.read_csv(path)
        if list(table) != COLUMNS:
            raise ValueError(f"the columns must be {','.join(COLUMNS)}")
        return table.astype({"run_id": str, "epoch": int, "loss": float, "train_error": float})
    except (ValueError, pandas.errors.ParserError) as error:
        raise InputError(
            f"damaged history {path}: {error}. Delete it, or restore it from git."
        ) from error


def rename(path, run_ids):
    """Give the runs of a file of histories other run_ids, {old: new}; does nothing without the file."""
    if path.exists():
        table = _read(path)
        table["run_id"] = table["run_id"].replace(run_ids)
        storage.write_atomically(path, _text(table.sort_values(["run_id", "epoch"], kind="stable")))
