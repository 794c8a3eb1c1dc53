"""One row of the ledger: its columns, what may stand in them, and the files that hold rows."""

import contextlib
import csv
import datetime
import io
import json
import math
import numbers
import re

from cnnlib import datasets, storage
from cnnlib.errors import InputError, check_name
from cnnlib.models import registry

PUBLISHED = storage.DATA / "published"
MEASURED = storage.DATA / "measured"

COLUMNS = [
    *(
        "run_id",
        "row_id",
        "model",
        "dataset",
        "data_source",
        "protocol",
        "recipe",
        "seed",
        "train_images",
        "metric",
        "value",
    ),
    # A recipe of transfer learning that goes on from another: the seconds are those of all that went before too, the epochs its own.
    *("trainable_parameters", "epochs", "train_seconds", "device", "versions", "code", "date"),
]
SMALLEST = {
    "seed": 0,
    "train_images": 1,
    "trainable_parameters": 0,
    "epochs": 0,
}  # columns that hold whole numbers
RANGES = {
    "value": (0, 100),
    "train_seconds": (0, math.inf),
}  # columns that hold numbers; NaN and infinity are refused
METRICS = ("test_error_percent", "test_accuracy_percent")
DATE = "%Y-%m-%dT%H:%M:%SZ"  # UTC; sorts as text


def check(column, value):
    """`value` as int, float or str if it is possible in `column`, else InputError. A bool is no number; numpy's scalars are."""
    if column in SMALLEST:
        if (
            isinstance(value, bool)
            or not isinstance(value, numbers.Integral)
            or value < SMALLEST[column]
        ):
            raise InputError(
                f"{column} must be a whole number, {SMALLEST[column]} or more, not {value!r}"
            )
        return int(value)
    if column in RANGES:
        low, high = RANGES[column]
        if (
            isinstance(value, bool)
            or not isinstance(value, numbers.Real)
            or not (low <= value <= high and math.isfinite(value))
        ):
            raise InputError(
                f"{column} must be a number, {low} {f'to {high}' if math.isfinite(high) else 'or more'}, not {value!r}"
            )
        return float(value)
    if (
        not isinstance(value, str)
        or not value.isprintable()
        or not (value.strip() or column == "row_id")
    ):
        raise InputError(f"{column} must be a text of one line, not {value!r}")
    if column == "dataset":
        check_name("benchmark", value, datasets.names())
    if column == "metric":
        check_name("metric", value, METRICS)
    if column == "run_id" and not re.fullmatch(r"\w[\w.-]*", value, flags=re.ASCII):
        raise InputError(
            f"run_id becomes a file name: letters, digits, '.', '_' and '-', not {value!r}"
        )
    if column == "date":
        try:
            datetime.datetime.strptime(value, DATE)
        except ValueError:
            raise InputError(f"date must be UTC like 2026-01-31T23:59:59Z, not {value!r}") from None
    return str(value)


def check_row(row):
    """`row` (dict) with its columns in order and each checked; a row_id must be "" or one of the data set's published rows."""
    missing, unknown = (
        [column for column in COLUMNS if column not in row],
        [column for column in row if column not in COLUMNS],
    )
    if missing or unknown:
        wrong = [
            f"{what} {', '.join(map(str, names))}"
            for what, names in (("lacks", missing), ("has the unknown", unknown))
            if names
        ]
        raise InputError(f"the row {' and '.join(wrong)}. The columns are {', '.join(COLUMNS)}")
    row = {column: check(column, row[column]) for column in COLUMNS}
    if row["row_id"]:
        lines = published_models(row["dataset"])
        if row["model"] not in lines[check_name("row", row["row_id"], lines)]:
            raise InputError(
                f"{row['model']} is no net of the row {row['row_id']}, which is for {', '.join(lines[row['row_id']])}"
            )
    return row


def published_file(benchmark):
    return PUBLISHED / f"{benchmark}.csv"


def ledger_file(dataset):
    return MEASURED / f"{dataset}.csv"


def local_file(run):
    return storage.results_folder() / "rows" / f"{run}.json"


def published_models(benchmark):
    """Return {row_id: names of the nets compared with the row} in the lecture's order.

    It is empty for a data set of which the lecture has no table.
    """
    if not published_file(benchmark).exists():
        return {}
    with open(published_file(benchmark), newline="", encoding="utf-8") as file:
        return {row["row_id"]: registry.nets_of_row(row["row_id"]) for row in csv.DictReader(file)}


def read_local():
    """{run_id: row} of this machine, checked."""
    rows = {}
    for path in sorted(local_file("any").parent.glob("*.json")):
        try:
            row = json.loads(path.read_text(encoding="utf-8"))
            row = check_row(row if isinstance(row, dict) else {})
            if row["run_id"] != path.stem:
                raise InputError(f"it holds the run {row['run_id']}")
        except FileNotFoundError:  # another process has just published it
            continue
        except ValueError as error:
            raise InputError(
                f"damaged row {path}: {error}. Nothing was changed: mend the file or delete it."
            ) from error
        rows[row["run_id"]] = row
    return rows


def read_ledger(dataset):
    """{run_id: row} of data/measured/<dataset>.csv, checked; empty if there is no such file."""
    if not ledger_file(dataset).exists():
        return {}
    rows = {}
    with open(ledger_file(dataset), newline="", encoding="utf-8") as file:
        lines = csv.reader(file, strict=True)
        try:
            if (header := next(lines, [])) != COLUMNS:
                raise InputError(f"the columns must be {','.join(COLUMNS)}, not {','.join(header)}")
            for fields in lines:
                row = _row_from_text(fields)
                if row["dataset"] != dataset:
                    raise InputError(f"a row of {row['dataset']}")
                if row["run_id"] in rows:
                    raise InputError(f"the run {row['run_id']} a second time")
                rows[row["run_id"]] = row
        except (ValueError, csv.Error) as error:
            place = f"{ledger_file(dataset)}, line {lines.line_num}"
            raise InputError(
                f"damaged ledger {place}: {error}. Nothing was changed: mend the line or restore the file from git."
            ) from error
    return rows


def _row_from_text(fields):
    if len(fields) != len(COLUMNS):
        raise InputError(f"{len(fields)} fields where {len(COLUMNS)} belong")
    row = dict(zip(COLUMNS, fields, strict=True))
    for column in [*SMALLEST, *RANGES]:
        with contextlib.suppress(ValueError):  # what is no number stays text, and check_row says so
            row[column] = int(row[column]) if column in SMALLEST else float(row[column])
    return check_row(row)


def write_ledger(dataset, rows):
    """Write the rows in the order of the published table (rows that it does not have come last), then by model, recipe and seed."""
    order = list(published_models(dataset))

    def key(row):
        position = order.index(row["row_id"]) if row["row_id"] else len(order)
        return position, row["model"], row["recipe"], row["seed"]

    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(sorted(rows.values(), key=key))
    storage.write_atomically(ledger_file(dataset), text.getvalue())
