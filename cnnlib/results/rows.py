"""One row of the ledger: its columns, what may stand in them, and the files that hold rows."""

import csv
import datetime
import io
import json
import numbers
import pathlib
import re
from typing import Annotated, Any, Literal

import pydantic

from cnnlib import datasets, integrity, registry, storage
from cnnlib.errors import InputError, check_name, invalid

PUBLISHED = storage.DATA / "published"
MEASURED = storage.DATA / "measured"
DATE = "%Y-%m-%dT%H:%M:%SZ"  # UTC; sorts as text


def _plain(value: Any) -> Any:
    """Return NumPy's numbers as Python's."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return value
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError(f"a row holds text of one line, got {text!r}")
    return text


def _path_part(text: str) -> str:
    """Refuse what could lead out of a folder: names become parts of file names."""
    if not re.fullmatch(r"\w[\w.,=+-]*(/\w[\w.,=+-]*)*", text, flags=re.ASCII) or ".." in text:
        raise ValueError(
            f"a name has letters, digits and the signs . , = + - and single /, got {text!r}"
        )
    return text


Number = Annotated[float, pydantic.BeforeValidator(_plain)]
Count = Annotated[int, pydantic.BeforeValidator(_plain)]
Text = Annotated[str, pydantic.AfterValidator(_one_line)]
Name = Annotated[
    str, pydantic.StringConstraints(max_length=200), pydantic.AfterValidator(_path_part)
]


class Row(pydantic.BaseModel):
    """One trained net and its result on the test images, as the ledger holds it."""

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False
    )

    run_id: Annotated[
        str, pydantic.StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}$")
    ]
    row_id: Text  # the lecture's row, "" if it has none
    model: Name
    dataset: Name
    data_source: Annotated[Text, pydantic.StringConstraints(min_length=1)]
    image_order: Annotated[
        Text, pydantic.StringConstraints(min_length=1)
    ]  # seeds draw from the images in this order
    protocol: Name
    recipe: Name
    settings: str  # those of the recipe, as JSON: what it says beyond its defaults
    seed: Count = pydantic.Field(ge=0, lt=2**32)
    train_images: Count = pydantic.Field(ge=1, le=10**10)
    test_images: Count = pydantic.Field(ge=1, le=10**10)
    metric: Literal["test_error_percent", "test_accuracy_percent"]
    value: Number = pydantic.Field(ge=0, le=100)
    trainable_parameters: Count = pydantic.Field(ge=0, le=10**13)
    epochs: Count = pydantic.Field(
        ge=0, le=10**6
    )  # of the recipe itself, without those of one it starts from
    train_seconds: Number = pydantic.Field(
        ge=0, le=10**10
    )  # with those of the recipes that it starts from
    threads: Count = pydantic.Field(ge=0, le=10**6)  # of each operation; 0: not recorded
    device: Annotated[Text, pydantic.StringConstraints(min_length=1)]
    versions: Annotated[Text, pydantic.StringConstraints(min_length=1)]
    code: Annotated[
        Text, pydantic.StringConstraints(min_length=1)
    ]  # digest of cnnlib's source files
    commit: Text  # of the checkout; "" if unknown
    results_version: Count = pydantic.Field(ge=1, le=10**6)
    date: Text

    def __init__(self, **values: Any):
        missing = [column for column in Row.model_fields if column not in values]
        unknown = [column for column in values if column not in Row.model_fields]
        if missing or unknown:
            parts = (("lacks", missing), ("has the unknown", unknown))
            wrong = " and ".join(
                f"{what} {', '.join(map(str, names))}" for what, names in parts if names
            )
            raise InputError(f"the row {wrong}. The columns are {', '.join(Row.model_fields)}")
        try:
            super().__init__(**values)
        except pydantic.ValidationError as error:
            raise invalid("the row cannot be recorded", error) from None

    @pydantic.model_validator(mode="after")
    def _check(self):
        check_name("benchmark", self.dataset, datasets.names())
        try:
            datetime.datetime.strptime(self.date, DATE)
        except ValueError:
            raise ValueError(
                f"date must be UTC like 2026-01-31T23:59:59Z, not {self.date!r}"
            ) from None
        try:
            is_object = isinstance(json.loads(self.settings), dict)
        except (ValueError, RecursionError):
            is_object = False
        if not is_object:
            raise ValueError(f"settings must be a JSON object, not {self.settings!r}")
        if self.row_id:
            lines = published_models(self.dataset)
            known = lines[check_name("row", self.row_id, lines)]
            if self.model not in known:
                raise ValueError(
                    f"{self.model} is no net of the row {self.row_id}, which is for "
                    f"{', '.join(known)}"
                )
        return self


COLUMNS = list(Row.model_fields)
INTEGERS = [name for name, field in Row.model_fields.items() if field.annotation is int]
NUMBERS = [name for name, field in Row.model_fields.items() if field.annotation is float]


def check_row(row: dict[str, Any]) -> dict[str, Any]:
    """Return `row` with its columns in order, each checked; raise InputError for what cannot be."""
    return Row(**row).model_dump()


def settings_text(settings: dict[str, Any]) -> str:
    """Return the settings of a recipe as a row holds them: JSON with sorted keys and no spaces."""
    return json.dumps(settings, sort_keys=True, separators=(",", ":"))


def names_gpu(device: str) -> bool:
    """Return whether the `device` of a row names a GPU: then that trained the net."""
    return "GPU" in device


def published_file(benchmark: str) -> pathlib.Path:
    """Return the file with the lecture's rows of a benchmark."""
    return PUBLISHED / f"{benchmark}.csv"


def ledger_file(dataset: str) -> pathlib.Path:
    """Return the file with the published rows of a data set."""
    return MEASURED / f"{dataset}.csv"


def local_file(run_id: str) -> pathlib.Path:
    """Return the file of a row that this machine measured."""
    return storage.results_folder() / "rows" / f"{run_id}.json"


def published_models(benchmark: str) -> dict[str, list[str]]:
    """Return {row_id: names of the nets compared with the row} in the lecture's order.

    It is empty for a data set of which the lecture has no table.
    """
    if not integrity.exists(published_file(benchmark)):
        return {}
    lines = io.StringIO(integrity.read_text(published_file(benchmark)), newline="")
    return {row["row_id"]: registry.nets_of_row(row["row_id"]) for row in csv.DictReader(lines)}


def read_local() -> dict[str, dict[str, Any]]:
    """Return {run_id: row} of this machine, checked; raise InputError for a damaged file."""
    rows = {}
    for path in sorted(local_file("any").parent.glob("*.json")):
        try:
            row = json.loads(path.read_text(encoding="utf-8"))
            row = check_row(row if isinstance(row, dict) else {})
            if row["run_id"] != path.stem:
                raise InputError(f"it holds the run {row['run_id']}")
        except FileNotFoundError:  # another process has just published it
            continue
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"damaged row {path}: {error}. Nothing was changed: mend the file or delete it."
            ) from error
        rows[row["run_id"]] = row
    return rows


def read_ledger(dataset: str) -> dict[str, dict[str, Any]]:
    """Return {run_id: row} of data/measured/<dataset>.csv, checked; empty without a file."""
    if not integrity.exists(ledger_file(dataset)):
        return {}
    rows: dict[str, dict[str, Any]] = {}
    lines = csv.reader(
        io.StringIO(integrity.read_text(ledger_file(dataset)), newline=""), strict=True
    )
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
            f"damaged ledger {place}: {error}. Nothing was changed: mend the line or restore "
            "the file from git."
        ) from error
    return rows


def _row_from_text(fields: list[str]) -> dict[str, Any]:
    if len(fields) != len(COLUMNS):
        raise InputError(f"{len(fields)} fields where {len(COLUMNS)} belong")
    row: dict[str, Any] = dict(zip(COLUMNS, fields, strict=True))
    for column in [*INTEGERS, *NUMBERS]:
        try:
            row[column] = int(row[column]) if column in INTEGERS else float(row[column])
        except ValueError:
            raise InputError(f"{column} must be a number, not {row[column]!r}") from None
    return check_row(row)
