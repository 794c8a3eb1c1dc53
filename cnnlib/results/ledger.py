"""Published and measured figures.

data/published/<benchmark>.csv: the lecture's tables, with their sources. data/measured/<data set>.csv: what was measured, written by
`publish` alone. results/rows/<run_id>.json: what this machine measured since, one file a run, written by `record` alone.
"""

import datetime
import hashlib
import json
import re

from cnnlib import datasets, files
from cnnlib.errors import InputError, check_name
from cnnlib.results import environment, learning, rows

# What a run_id is made of. Where the bytes came from is not in it: the images are the same, and a run has its name before it loads them.
DETERMINING = ("model", "dataset", "protocol", "recipe", "seed", "train_images", "epochs", "code")
TRANSFERRED = "vgg16"  # comes trained on ImageNet, and has a table of its own
WAY = ["model", "protocol", "recipe", "train_images", "epochs"]  # runs with these in common differ only by their seed


def published(benchmark=None):
    """The lecture's rows of one benchmark ("mnist", "cifar10") or of all, in its order.

    Columns: row_id; title, as the lecture writes it; models, the batch names that count as this row, separated by ";", the lecture's own
    first; metric and value; parameters and multiply_adds as the source prints them (NA where it does not); protocol behind the value;
    other_figures of the source for the same net; source; caveat.
    """
    import pandas

    known = [name for name in datasets.names() if rows.published_file(name).exists()]
    chosen = known if benchmark is None else [check_name("benchmark", benchmark, known)]
    table = pandas.concat([pandas.read_csv(rows.published_file(name)) for name in chosen], ignore_index=True)
    return table.astype({"parameters": "Int64", "multiply_adds": "Int64"}).fillna({"other_figures": ""})


def measured(benchmark=None, local=True):
    """Measured rows of one data set or of all: the ledger, and with `local` also what this machine recorded and did not publish.

    The columns are COLUMNS and `origin`: "ledger" or "this machine". A run that is in both appears once, from the ledger.
    InputError for an unknown benchmark; for a damaged row, it names the file and the line.
    """
    import pandas

    chosen = datasets.names() if benchmark is None else [check_name("benchmark", benchmark, datasets.names())]
    # This machine's rows are read first: one that another process publishes meanwhile is then seen twice rather than not at all.
    here = {run: row | {"origin": "this machine"} for run, row in (rows.read_local() if local else {}).items() if row["dataset"] in chosen}
    ledger = {run: row | {"origin": "ledger"} for name in chosen for run, row in rows.read_ledger(name).items()}
    once = ledger | {run: row for run, row in here.items() if run not in ledger}
    frame = pandas.DataFrame(list(once.values()), columns=[*rows.COLUMNS, "origin"])
    return frame.astype(dict.fromkeys(rows.SMALLEST, "int64") | dict.fromkeys(rows.RANGES, "float64"))  # also when it is empty


def newest(rows):
    """Of the rows (DataFrame) of each net, way and seed the last by date. (Other versions of the code, or machines, made the others.)"""
    return rows.sort_values("date", kind="stable").drop_duplicates(["row_id", *WAY, "seed"], keep="last")


def in_metric(rows, metric):
    """The values of rows (DataFrame) in this metric (Series): an error as accuracy, and the reverse."""
    return rows["value"].where(rows["metric"] == metric, 100 - rows["value"])


def histories(benchmark="mnist", model=None, recipe=None, local=True):
    """How the measured nets of a data set learned (DataFrame): run_id, epoch (from 1), loss, train_error in %, one line an epoch.

    model, recipe: only the runs of that net, by that recipe. `local` as for `measured`. InputError for an unknown benchmark or a damaged
    file.
    """
    runs = measured(benchmark, local)
    table = learning.read(benchmark, runs["run_id"][runs["origin"] == "this machine"])
    for column, wanted in {"model": model, "recipe": recipe}.items():
        if wanted is not None:
            table = table[table["run_id"].isin(runs["run_id"][runs[column] == wanted])]
    return table


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
        row["row_id"] = next((row_id for row_id, models in rows.published_models(row["dataset"]).items() if row["model"] in models), "")
    if "run_id" not in columns:
        row["run_id"] = run_id(**{column: row[column] for column in DETERMINING})
    files.write_atomically(rows.local_file(row["run_id"]), json.dumps(row, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    return row


def run_id(*, model, dataset, protocol, recipe, seed, train_images, epochs, code=None):
    """The name of a run, known before it: `{model}-{dataset}-{recipe}-seed{seed}-{8 hex digits of all that determines its result}`.

    `code` is this checkout's `code_hash()` unless given. InputError as for `record`.
    """
    given = (model, dataset, protocol, recipe, seed, train_images, epochs, code or environment.code_hash())
    settings = {column: rows.check(column, value) for column, value in zip(DETERMINING, given, strict=True)}
    digest = hashlib.sha256(json.dumps(settings).encode()).hexdigest()
    return re.sub(r"[^\w.-]", "-", f"{model}-{dataset}-{recipe}-seed{seed}-{digest[:8]}", flags=re.ASCII)


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
    with filelock.FileLock(files.make_folder(rows.MEASURED, variable=None) / ".lock"):
        local = rows.read_local()
        for run in run_ids or []:
            check_name("run", run, local)
        if recipe is not None:
            check_name("recipe", recipe, {row["recipe"]: None for row in local.values()})
        taken = [run for run, row in local.items() if (run in run_ids if run_ids is not None else _is_published_by_default(row, recipe))]

        ledgers = {dataset: rows.read_ledger(dataset) for dataset in {local[run]["dataset"] for run in taken}}
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
            learning.publish(dataset, [run for run in taken if local[run]["dataset"] == dataset])
        for run in taken:
            rows.local_file(run).unlink()
            learning.local_file(run).unlink(missing_ok=True)
    return taken, [run for run in local if run not in taken]


def _is_published_by_default(row, recipe):
    by_default = not row["recipe"].startswith("quick") and "," not in row["recipe"]
    wanted = row["recipe"] == recipe if recipe is not None else by_default
    return wanted and row["train_images"] >= datasets.info(row["dataset"]).train_count
