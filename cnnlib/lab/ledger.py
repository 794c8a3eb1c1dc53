"""Writing the ledger: `record` keeps what this machine measured, `publish` moves it into data/measured/."""

import datetime
import hashlib
import json
import re

from cnnlib import datasets, storage
from cnnlib.errors import InputError, check_name
from cnnlib.lab import environment
from cnnlib.results import history_files, rows

# What a run_id is made of. Where the bytes came from is not in it: the images are the same, and a run has its name before it loads them.
DETERMINING = ("model", "dataset", "protocol", "recipe", "seed", "train_images", "epochs", "code")


def record(**columns):
    """Write one measured row to results/rows/<run_id>.json, whole or not at all, and return it as a dict in the order of COLUMNS.

    Needed: model, dataset, data_source, protocol, recipe, seed, train_images, metric, value, trainable_parameters, epochs, train_seconds.
    Filled in unless given: run_id, row_id ("" if the lecture has no such row), device (pass the accelerator if there is one),
    versions, code, date. The same run recorded again replaces its own row. InputError, and nothing written, for a column that is
    missing or unknown, a value that cannot be true (see `rows.check`), or a results folder that cannot be written to.
    """
    known = {
        "device": environment.device(),
        "versions": environment.versions(),
        "code": environment.code_hash(),
        "date": datetime.datetime.now(datetime.UTC).strftime(rows.DATE),
    }
    row = rows.check_row({"run_id": "to-come", "row_id": ""} | known | columns)
    if "row_id" not in columns:
        row["row_id"] = next(
            (
                row_id
                for row_id, models in rows.published_models(row["dataset"]).items()
                if row["model"] in models
            ),
            "",
        )
    if "run_id" not in columns:
        row["run_id"] = run_id(**{column: row[column] for column in DETERMINING})
    storage.write_atomically(
        rows.local_file(row["run_id"]),
        json.dumps(row, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
    )
    return row


record_history = history_files.record


def run_id(*, model, dataset, protocol, recipe, seed, train_images, epochs, code=None):
    """The name of a run, known before it: `{model}-{dataset}-{recipe}-seed{seed}-{8 hex digits of all that determines its result}`.

    `code` is this checkout's `code_hash()` unless given. InputError as for `record`.
    """
    given = (
        model,
        dataset,
        protocol,
        recipe,
        seed,
        train_images,
        epochs,
        code or environment.code_hash(),
    )
    settings = {
        column: rows.check(column, value) for column, value in zip(DETERMINING, given, strict=True)
    }
    digest = hashlib.sha256(json.dumps(settings).encode()).hexdigest()
    return re.sub(
        r"[^\w.-]", "-", f"{model}-{dataset}-{recipe}-seed{seed}-{digest[:8]}", flags=re.ASCII
    )


def publish(run_ids=None, recipe=None):
    """Move rows of this machine to data/measured/<data set>.csv, and their histories. Returns two lists of run_ids: (taken, left).

    With `run_ids`, exactly these rows. Otherwise those trained on the whole training set: of `recipe`, or of every recipe but the
    notebooks' default ones (quick*) and changed ones (plain,epochs=3). A row's own file is removed only after the ledger that holds it is
    in place, so a run that stops in between can be repeated. InputError, and nothing changed, for an unknown run or recipe, a damaged row,
    or a run that the ledger has with another value.
    """
    import filelock

    if run_ids is not None and recipe is not None:
        raise InputError("publish takes run_ids or a recipe, not both")
    run_ids = [run_ids] if isinstance(run_ids, str) else run_ids
    with filelock.FileLock(storage.make_folder(rows.MEASURED, variable=None) / ".lock"):
        local = rows.read_local()
        for run in run_ids or []:
            check_name("run", run, local)
        if recipe is not None:
            check_name("recipe", recipe, {row["recipe"]: None for row in local.values()})
        taken = [
            run
            for run, row in local.items()
            if (run in run_ids if run_ids is not None else _is_published_by_default(row, recipe))
        ]

        ledgers = {
            dataset: rows.read_ledger(dataset)
            for dataset in {local[run]["dataset"] for run in taken}
        }
        for run in taken:
            row = local[run]
            there = ledgers[row["dataset"]].setdefault(run, row)
            if (there["metric"], there["value"]) != (row["metric"], row["value"]):
                raise InputError(
                    f"the run {run} has {row['metric']} {row['value']} here, and {there['metric']} {there['value']} in the ledger. "
                    f"Find out why; then delete {rows.local_file(run)}, or its line of {rows.ledger_file(row['dataset'])}; publish again."
                )
        for dataset, ledger in ledgers.items():
            rows.write_ledger(dataset, ledger)
            history_files.publish(
                dataset, [run for run in taken if local[run]["dataset"] == dataset]
            )
        for run in taken:
            rows.local_file(run).unlink()
            history_files.local_file(run).unlink(missing_ok=True)
    return taken, [run for run in local if run not in taken]


def _is_published_by_default(row, recipe):
    by_default = not row["recipe"].startswith("quick") and "," not in row["recipe"]
    wanted = row["recipe"] == recipe if recipe is not None else by_default
    return wanted and row["train_images"] >= datasets.info(row["dataset"]).train_count
