"""Writing the ledger: record what this machine measured, publish it, remove it.

What belongs to a row (its predictions, its history, its net) is written before the row, which says
that the run is done; published rows likewise.
"""

import csv
import datetime
import io
import json
import pathlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnlib import datasets, storage
from cnnlib.errors import InputError, check_name
from cnnlib.lab import environment, identity, locks, manifest
from cnnlib.models.trained import trained_path
from cnnlib.results import history_files, prediction_files, rows

if TYPE_CHECKING:
    import pandas

LARGEST_COURSE_NET = 1_000_000  # bytes; of larger ones the predictions are kept


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


def publish(
    run_ids: Iterable[str] | str | None = None, recipe: str | None = None
) -> tuple[list[str], list[str]]:
    """Move rows of this machine to data/measured/<data set>.csv, with all that belongs to them.

    With `run_ids`, exactly these rows. Otherwise those trained on the whole training set: by
    `recipe`, or by every recipe except the notebooks' default ones (quick*) and changed ones
    (plain,epochs=3). Nets, predictions and histories are written first, then the table, and only
    then is a row's own file removed: a publication that stops in between can be repeated.

    Returns two lists of run_ids: (published, left). Raises InputError, and changes nothing, for an
    unknown run or recipe, a damaged row, or a run that the ledger has with another result.
    """
    if run_ids is not None and recipe is not None:
        raise InputError("publish takes run_ids or a recipe, not both")
    run_ids = [run_ids] if isinstance(run_ids, str) else None if run_ids is None else list(run_ids)
    with locks.of_data():
        local = rows.read_local()
        taken = _chosen(local, run_ids, recipe)
        ledgers = {
            name: rows.read_ledger(name) for name in {local[run]["dataset"] for run in taken}
        }
        for run in taken:
            there = ledgers[local[run]["dataset"]].setdefault(run, local[run])
            _check_same_result(local[run], there)
        for run in taken:
            _publish_net(local[run])
            _publish_predictions(local[run])
        for dataset, ledger in ledgers.items():
            runs = [run for run in taken if local[run]["dataset"] == dataset]
            _publish_histories(dataset, runs)
            write_ledger(dataset, ledger)
        for run in taken:
            rows.local_file(run).unlink()
            history_files.local_file(run).unlink(missing_ok=True)
            prediction_files.local_file(run).unlink(missing_ok=True)
    return taken, [run for run in local if run not in taken]


def _chosen(local, run_ids, recipe):
    """Return the run_ids that `publish` takes."""
    if run_ids is not None:
        return [check_name("run", run, local) for run in run_ids]
    if recipe is not None:
        check_name("recipe", recipe, {row["recipe"]: None for row in local.values()})
    return [run for run, row in local.items() if _is_published_by_default(row, recipe)]


def _is_published_by_default(row, recipe):
    by_default = not row["recipe"].startswith("quick") and "," not in row["recipe"]
    wanted = row["recipe"] == recipe if recipe is not None else by_default
    return wanted and row["train_images"] >= datasets.info(row["dataset"]).train_count


def _check_same_result(here, there):
    if (there["metric"], there["value"]) != (here["metric"], here["value"]):
        run, file = here["run_id"], rows.ledger_file(here["dataset"])
        raise InputError(
            f"the run {run} has {here['metric']} {here['value']} here, and {there['metric']} "
            f"{there['value']} in the ledger. Find out why; then delete {rows.local_file(run)}, or "
            f"its line of {file}; publish again."
        )


def _publish_net(row):
    """Copy the trained net of a row to data/nets/ if it belongs to the course.

    These are nets of seed 0 for a row of the lecture that are small (LARGEST_COURSE_NET), with what
    the filters of a boosted one counted. A net trained anew takes the place of the old one.
    """
    net = net_path(row["run_id"])
    is_wanted = row["seed"] == 0 and row["row_id"] and net.exists()
    if not is_wanted or net.stat().st_size > LARGEST_COURSE_NET:
        return
    target = trained_path(row["model"], row["recipe"])
    if net.with_suffix(".json").exists():
        counts = net.with_suffix(".json").read_bytes()
        manifest.write(target.with_suffix(".json"), counts)
    manifest.write(target, net.read_bytes())


def _publish_predictions(row):
    file = prediction_files.local_file(row["run_id"])
    if file.exists():
        target = prediction_files.published_file(row["dataset"], row["run_id"])
        manifest.write(target, file.read_bytes())


def _publish_histories(dataset, run_ids):
    """Copy the histories of these runs, where there are any, to the published file."""
    import pandas

    paths = [history_files.local_file(run) for run in run_ids]
    found = [history_files.read_file(path) for path in paths if path.exists()]
    if not found:
        return
    published = history_files.published_file(dataset)
    there = [history_files.read_file(published)] if published.exists() else []
    table = pandas.concat([*there, *found]).drop_duplicates(["run_id", "epoch"], keep="last")
    write_histories(published, table.sort_values(["run_id", "epoch"]))


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
