"""Migration: rows of the first edition are brought up to date, and nothing is measured again."""

import csv
import json
import pathlib
from typing import Any

from cnnlab import ledger, locks
from cnnlib import datasets, recipes, storage
from cnnlib.results import history_files, rows

# The first edition's columns, in which a row was identified by a hash of the source code.
_FIRST_EDITION = [
    *("run_id", "row_id", "model", "dataset", "data_source", "protocol", "recipe", "seed"),
    *("train_images", "metric", "value", "trainable_parameters", "epochs", "train_seconds"),
    *("device", "versions", "code", "date"),
]


def migrate() -> dict[str, str]:
    """Bring rows of the first edition up to date, published and local ones; measure nothing.

    A row gets the columns that it lacks and the run_id that its settings give, and so does its
    history. Where several rows had the same settings (measured by different versions of the code),
    the newest by date gets the run_id, and the older ones the same with "-earlier1", ... after it.

    Returns {old run_id: new run_id}. Raises InputError, and changes nothing, for a row that cannot
    be understood.
    """
    renamed: dict[str, str] = {}
    with locks.of_data():
        for dataset in datasets.names():
            file = rows.ledger_file(dataset)
            if not file.exists():
                continue
            with open(file, newline="", encoding="utf-8") as stream:
                header, *lines = list(csv.reader(stream, strict=True)) or [[]]
            if header != _FIRST_EDITION:
                continue
            found = [_migrated(dict(zip(header, line, strict=True))) for line in lines]
            new = _with_ids(found)
            _rename(history_files.published_file(dataset), new)
            ledger.write_ledger(dataset, {row["run_id"]: row for row in found})
            renamed |= new
        local = {}
        for path in sorted(rows.local_file("any").parent.glob("*.json")):
            row = json.loads(path.read_text(encoding="utf-8"))
            if sorted(row) == sorted(_FIRST_EDITION):
                local[path] = _migrated(row)
        new = _with_ids(list(local.values()))
        for path, row in local.items():
            run = row["run_id"]
            history = history_files.local_file(path.stem)
            if history.exists():
                _rename(history, new)
                history.rename(history_files.local_file(run))
            for suffix in (".keras", ".json"):
                if (net := ledger.net_path(path.stem).with_suffix(suffix)).exists():
                    net.rename(ledger.net_path(run).with_suffix(suffix))
            text = json.dumps(row, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
            storage.write_atomically(rows.local_file(run), text)
            path.unlink()
    return renamed | new


def _migrated(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the first edition with today's columns, and still its old run_id."""
    row = dict(row)
    for column, kind in {
        **dict.fromkeys(rows.INTEGERS, int),
        **dict.fromkeys(rows.NUMBERS, float),
    }.items():
        if column in row:
            row[column] = kind(row[column])
    is_official = row["data_source"].startswith(("embedded ", "sample "))
    row |= {
        "image_order": "official" if is_official else "as prepared",
        "settings": rows.settings_text(recipes.recipe(row["recipe"]).settings()),
        "test_images": datasets.info(row["dataset"]).test_count,
        "threads": 0,
        "commit": "",
        "results_version": 1,
    }
    return rows.check_row(row)


def _with_ids(found: list[dict[str, Any]]) -> dict[str, str]:
    """Give rows the run_ids of their settings, in place; return {old: new}."""
    renamed: dict[str, str] = {}
    taken: dict[str, int] = {}
    for row in sorted(found, key=lambda row: row["date"], reverse=True):
        run = ledger.run_id_of(row)
        taken[run] = taken.get(run, -1) + 1
        renamed[row["run_id"]] = f"{run}-earlier{taken[run]}" if taken[run] else run
        row["run_id"] = renamed[row["run_id"]]
    return renamed


def _rename(path: pathlib.Path, run_ids: dict[str, str]) -> None:
    """Give the runs of a file of histories other run_ids, {old: new}, if there is the file."""
    if path.exists():
        table = history_files.read_file(path)
        table["run_id"] = table["run_id"].replace(run_ids)
        ledger.write_histories(path, table.sort_values(["run_id", "epoch"], kind="stable"))
