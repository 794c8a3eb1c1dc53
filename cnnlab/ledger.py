"""Writing the ledger: record what this machine measured, or remove it (`publishing` publishes it).

What belongs to a row (its predictions, its history, its net) is written before the row, which says
that the run is done.
"""

import csv
import datetime
import io
import json
import pathlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnlab import environment, identity, manifest
from cnnlib import storage
from cnnlib.errors import check_name
from cnnlib.results import history_files, prediction_files, rows

if TYPE_CHECKING:
    import pandas


def net_path(run_id: str) -> pathlib.Path:
    """Return where this machine keeps the trained net of a run."""
    return storage.results_folder() / "nets" / f"{run_id}.keras"


def record(
    *,
    predictions: np.ndarray | None = None,
    history: "pandas.DataFrame | None" = None,
    **columns: Any,
) -> dict[str, Any]:
    """Write one measured row, with its predictions and history, to this machine's results.

    Args:
        predictions: the class of each test image, integers (n,).
        history: by epoch, `training.History.epochs`.
        columns: of the row. run_id, row_id, device, threads, versions, code, commit,
            results_version and date are filled in unless given.

    Returns the row in the order of COLUMNS. The same run recorded again replaces its own row.
    Raises InputError, and writes no row, for a column that is missing or unknown, a value that
    cannot be true, or a results folder that cannot be written to.
    """
    known = {
        "run_id": "to-come",
        "row_id": "",
        "threads": environment.threads(),
        "device": environment.device(),
        "versions": environment.versions(),
        "code": environment.code_hash(),
        "commit": environment.commit(),
        "results_version": identity.RESULTS_VERSION,
        "date": datetime.datetime.now(datetime.UTC).strftime(rows.DATE),
    }
    row = rows.check_row(known | columns)
    if "row_id" not in columns:
        lines = rows.published_models(row["dataset"])
        row["row_id"] = next((line for line in lines if row["model"] in lines[line]), "")
    if "run_id" not in columns:
        row["run_id"] = run_id_of(row)
    if predictions is not None:
        write_predictions(prediction_files.local_file(row["run_id"]), predictions)
    if history is not None:
        write_history(row["run_id"], history)
    text = json.dumps(row, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    storage.write_atomically(rows.local_file(row["run_id"]), text)
    return row


def write_predictions(path: pathlib.Path, predictions: np.ndarray) -> pathlib.Path:
    """Write the class of each test image, integers (n,), whole or not at all."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, predictions=predictions.astype(np.uint8 if predictions.max() < 256 else np.uint16)
    )
    return manifest.write(path, buffer.getvalue())


def write_history(run_id: str, epochs: "pandas.DataFrame") -> pathlib.Path:
    """Write the history of a run, `training.History.epochs`, whole or not at all."""
    table = epochs.assign(run_id=run_id)[history_files.COLUMNS]
    return write_histories(history_files.local_file(run_id), table)


def write_histories(path: pathlib.Path, table: "pandas.DataFrame") -> pathlib.Path:
    """Write a file of histories, with the columns of `history_files`."""
    text = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    return manifest.write(path, text)


def run_id_of(row: dict[str, Any]) -> str:
    """Return the run_id that the settings of a row give."""
    named = ("model", "dataset", "image_order", "recipe", "seed", "train_images", "results_version")
    settings = json.loads(row["settings"])
    return identity.run_id(settings=settings, **{column: row[column] for column in named})


def write_ledger(dataset: str, ledger: dict[str, dict[str, Any]]) -> None:
    """Write the published rows of a data set: {run_id: row}.

    They are in the order of the published table, then by model, recipe and seed.
    """
    order = list(rows.published_models(dataset))

    def key(row):
        position = order.index(row["row_id"]) if row["row_id"] else len(order)
        return position, row["model"], row["recipe"], row["seed"], row["date"]

    text = io.StringIO()
    table = csv.DictWriter(text, rows.COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(sorted(ledger.values(), key=key))
    manifest.write(rows.ledger_file(dataset), text.getvalue())


def remove(run_ids: Iterable[str]) -> list[pathlib.Path]:
    """Delete rows of this machine with all that belongs to them; return the deleted files.

    Published rows are not touched: they are in git. Raises InputError, and deletes nothing, for a
    run that this machine does not have.
    """
    local = rows.read_local()
    run_ids = [check_name("run", run, local) for run in run_ids]
    removed = []
    for run in run_ids:
        net = net_path(run)
        files = [rows.local_file(run), history_files.local_file(run), net, net.with_suffix(".json")]
        for path in [*files, prediction_files.local_file(run)]:  # the row first: it says "done"
            if path.exists():
                path.unlink()
                removed.append(path)
    return removed
