"""Writing rows: `record` keeps one of this machine, `publish` moves it to the ledger.

What belongs to a row (its predictions, its history, its net) is written before the row, which says
that the run is done.
"""

import csv
import datetime
import io
import json
import operator
import pathlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnlab import environment, manifest
from cnnlib import datasets, recipes, results, storage
from cnnlib.errors import InputError, check_name

if TYPE_CHECKING:
    import keras
    import pandas

LARGEST_COURSE_NET = 1_000_000  # bytes; of larger ones the predictions are kept


def record(
    *,
    predictions: np.ndarray | None = None,
    history: "pandas.DataFrame | None" = None,
    net: "keras.Model | None" = None,
    counts: list[dict[str, Any]] | None = None,
    **columns: Any,
) -> dict[str, Any]:
    """Write one measured row, with all that belongs to it, to this machine's results.

    Args:
        predictions: the class of each test image, integers (n,).
        history: by epoch, `training.History.epochs`.
        net: the trained net; it is kept without its optimizer, in float32.
        counts: what the filters of a boosted net found.
        columns: of the row. What says where it was measured is filled in unless given.

    Returns the row in the order of COLUMNS. The same run recorded again replaces its own row.
    Raises InputError, and writes no row, for a column that is missing or unknown, a value that
    cannot be true, or a results folder that cannot be written to.
    """
    lines = results.lecture_rows(columns["dataset"])
    known = {
        "row_id": next((line for line in lines if columns["model"] in lines[line]), ""),
        "threads": environment.threads(),
        "device": environment.device(),
        "versions": environment.versions(),
        "code": environment.code_hash(),
        "commit": environment.commit(),
        "date": datetime.datetime.now(datetime.UTC).strftime(results.DATE),
    }
    row = results.check_row(known | columns)
    run = row["run_id"]
    # An earlier row goes first: after a kill, none has another training's net or predictions.
    results.local_file(run).unlink(missing_ok=True)
    if net is not None:
        path = results.local_file(run, "nets")
        save_net(net, path)
        if counts:
            text = json.dumps(counts, indent=2) + "\n"
            storage.write_atomically(path.with_suffix(".json"), text)
    if predictions is not None:
        buffer, kind = io.BytesIO(), np.uint8 if predictions.max() < 256 else np.uint16
        np.savez_compressed(buffer, predictions=predictions.astype(kind))
        storage.write_atomically(results.local_file(run, "predictions"), buffer.getvalue())
    if history is not None:
        table = history.assign(run_id=run)[results.HISTORY_COLUMNS]
        storage.write_atomically(results.local_file(run, "histories"), _csv(table))
    text = json.dumps(row, indent=2, ensure_ascii=False) + "\n"
    storage.write_atomically(results.local_file(run), text)
    return row


def save_net(model: "keras.Model", path: pathlib.Path) -> None:
    """Write a trained net without its optimizer, which is twice as large as the net, in float32.

    It then loads and predicts on any machine, whatever precision it was trained in.
    """
    import keras

    config = json.loads(model.to_json())
    config.pop("compile_config", None)
    text = json.dumps(config)
    text = text.replace('"mixed_float16"', '"float32"').replace('"mixed_bfloat16"', '"float32"')
    bare = keras.models.model_from_json(text)
    bare.set_weights(model.get_weights())
    with storage.replacing(path, suffix=".keras") as temporary:
        bare.save(temporary)


def _csv(histories):
    return histories.to_csv(index=False, float_format="%.6g", lineterminator="\n")


def files_of(run_id: str) -> list[pathlib.Path]:
    """Return what this machine has of a run, the row first: it says that the run is done."""
    files = [results.local_file(run_id, kind) for kind in results.KINDS]
    files.append(results.local_file(run_id, "nets").with_suffix(".json"))
    return [path for path in files if path.exists()]


def remove(run_ids: Iterable[str]) -> list[pathlib.Path]:
    """Delete rows of this machine with all that belongs to them; return the deleted files.

    Published rows are not touched: they are in git. Raises InputError, and deletes nothing, for a
    run that this machine does not have.
    """
    local = results.read_local()
    runs = [check_name("run", run, local) for run in dict.fromkeys(run_ids)]
    removed = [path for run in runs for path in files_of(run)]
    for path in removed:
        path.unlink()
    return removed


def publish(run_ids: Iterable[str] = (), recipe: str | None = None) -> tuple[list[str], list[str]]:
    """Move rows of this machine to data/measured/<data set>.csv, with all that belongs to them.

    With `run_ids`, exactly these rows. Otherwise those trained on the whole training set: by
    `recipe`, or by every recipe except the notebooks' default ones (quick) and changed ones
    (plain,epochs=3). Nets, predictions and histories are written first, then the table, and only
    then are a row's own files removed: a publication that stops in between can be repeated.

    Returns two lists of run_ids: (published, left). Raises InputError, and changes nothing, for an
    unknown run or recipe, a damaged row or file of its, or a run that the ledger has with another
    result.
    """
    with manifest.lock():
        local = results.read_local()
        taken = _chosen(local, list(run_ids), recipe)
        tables = {n: results.read_ledger(n) for n in {local[run]["dataset"] for run in taken}}
        for run in taken:
            row = local[run]
            there = tables[row["dataset"]].setdefault(run, row)
            if (there["metric"], there["value"]) != (row["metric"], row["value"]):
                raise InputError(
                    f"the run {run} has {row['metric']} {row['value']} here, and {there['value']} "
                    f"in the ledger. Find out why; then delete {results.local_file(run)}, or its "
                    f"line of {results.ledger_file(row['dataset'])}; publish again."
                )
            _check_files(row)
        for run in taken:
            _publish_net(local[run])
            predictions = results.local_file(run, "predictions")
            if predictions.exists():
                target = results.published_predictions(local[run]["dataset"], run)
                manifest.write(target, predictions.read_bytes())
        for dataset, table in tables.items():
            _publish_histories(dataset, [r for r in taken if local[r]["dataset"] == dataset])
            write_ledger(dataset, table)
        for run in taken:
            for kind in ("rows", "histories", "predictions"):
                results.local_file(run, kind).unlink(missing_ok=True)
    return taken, [run for run in local if run not in taken]


def _chosen(local, run_ids, recipe):
    """Return the run_ids that `publish` takes."""
    if run_ids:
        return [check_name("run", run, local) for run in dict.fromkeys(run_ids)]
    if recipe is not None:
        check_name("recipe", recipe, {row["recipe"] for row in local.values()})
    found = []
    for run, row in local.items():
        is_own = row["recipe"] in recipes.NOTEBOOK_DEFAULTS or "," in row["recipe"]
        is_whole = row["train_images"] >= datasets.info(row["dataset"]).train_count
        if is_whole and (row["recipe"] == recipe if recipe else not is_own):
            found.append(run)
    return found


def _check_files(row):
    """Raise InputError for a damaged file of a row, or one of another run."""
    results.read_predictions(row)
    if (history := results.local_file(row["run_id"], "histories")).exists():
        results.read_history(history)


def _publish_net(row):
    """Copy the trained net of a row to data/nets/ if it belongs to the course.

    These are nets of seed 0 for a row of the lecture that are small (LARGEST_COURSE_NET), with what
    the filters of a boosted one counted. A net trained anew takes the place of the old one.
    """
    net = results.local_file(row["run_id"], "nets")
    is_wanted = row["seed"] == 0 and row["row_id"] and net.exists()
    if is_wanted and net.stat().st_size <= LARGEST_COURSE_NET:
        from cnnlib.models.trained import trained_path  # TensorFlow comes with it

        target = trained_path(row["model"], row["recipe"])
        if net.with_suffix(".json").exists():
            manifest.write(target.with_suffix(".json"), net.with_suffix(".json").read_bytes())
        manifest.write(target, net.read_bytes())


def _publish_histories(dataset, run_ids):
    """Copy the histories of these runs, where there are any, to the published file."""
    import pandas

    published = results.published_histories(dataset)
    paths = [published, *(results.local_file(run, "histories") for run in run_ids)]
    found = [results.read_history(path) for path in paths if path.exists()]
    if found:
        table = pandas.concat(found).drop_duplicates(["run_id", "epoch"], keep="last")
        manifest.write(published, _csv(table.sort_values(["run_id", "epoch"])))


def write_ledger(dataset: str, rows: dict[str, dict[str, Any]]) -> None:
    """Write the published rows of a data set: {run_id: row}.

    They are in the order of the lecture's table, then by model, recipe and seed.
    """
    order, text = [*results.lecture_rows(dataset), ""], io.StringIO()
    by = operator.itemgetter("model", "recipe", "seed", "date")
    table = csv.DictWriter(text, results.COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(sorted(rows.values(), key=lambda row: (order.index(row["row_id"]), by(row))))
    manifest.write(results.ledger_file(dataset), text.getvalue())
