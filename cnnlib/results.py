"""Published and measured results: what the lecture's sources say, and what was measured here.

data/published/<benchmark>.csv has the lecture's tables with their sources. data/measured/<data
set>.csv, the ledger, has published rows, written by commands of `cnnlab` alone, and
results/rows/<run_id>.json is a row that this machine measured since. One row is one trained net.
With it are kept, under the same name, its history by epoch, the class that it gave to each test
image, and the net.

Importing this module is light: pandas and SciPy are imported where they are used.
"""

import csv
import io
import json
import math
import os
import pathlib
import zipfile
import zlib
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
import pydantic

from cnnlib import datasets, integrity, registry, storage
from cnnlib.errors import InputError, check_name, invalid

if TYPE_CHECKING:
    import pandas

PUBLISHED = storage.DATA / "published"
MEASURED = storage.DATA / "measured"
DATE = "%Y-%m-%dT%H:%M:%SZ"  # UTC; sorts as text
KINDS = {"rows": ".json", "histories": ".csv", "predictions": ".npz", "nets": ".keras"}
# Runs that have these columns in common differ only by their seed.
SETTINGS = ["model", "protocol", "recipe", "train_images", "test_images", "epochs"]
LINE = ["title", "model", "published", "measured_mean", "measured_std", "n", *SETTINGS[1:]]
LINE += ["parameters", "seconds", "on_gpu", "origin", "is_own", "is_transfer"]
HISTORY_COLUMNS = ["run_id", "epoch", "loss", "train_error"]

# Names become parts of file names: nothing in them may lead out of a folder.
Name = Annotated[
    str, pydantic.StringConstraints(pattern=r"^\w[\w,=+-]*([./][\w,=+-]+)*$", max_length=200)
]
Text = Annotated[str, pydantic.StringConstraints(min_length=1)]
Count = Annotated[int, pydantic.Field(ge=0)]
Images = Annotated[int, pydantic.Field(ge=1)]
Seconds = Annotated[float, pydantic.Field(ge=0)]


class Row(pydantic.BaseModel):
    """One trained net and its result on the test images: the columns of the ledger."""

    model_config = pydantic.ConfigDict(extra="forbid", allow_inf_nan=False)

    run_id: Annotated[str, pydantic.StringConstraints(pattern=r"^\w[\w.-]{0,199}$")]
    row_id: str  # the lecture's row, "" if it has none
    model: Name
    dataset: Name
    data_source: Text
    image_order: Text  # seeds draw from the images in this order
    protocol: Name
    recipe: Name
    # Of the recipe, as JSON: what it says beyond its defaults, and under "other" what else
    # determines the result, where that is not what `train` takes.
    settings: str
    seed: Annotated[int, pydantic.Field(ge=0, lt=2**32)]
    train_images: Images
    test_images: Images
    metric: Literal["test_error_percent", "test_accuracy_percent"]
    value: Annotated[float, pydantic.Field(ge=0, le=100)]
    trainable_parameters: Count
    epochs: Count  # of the recipe itself, without those of one it starts from
    train_seconds: Seconds  # with those of the recipes that it starts from
    threads: Count  # of each operation; 0: not recorded
    device: Text
    versions: Text
    code: Text  # digest of cnnlib's source files
    commit: str  # of the checkout; "" if unknown
    results_version: Images
    date: Annotated[str, pydantic.Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]

    @pydantic.model_validator(mode="after")
    def _check(self):
        check_name("data set", self.dataset, datasets.names())
        settings = json.loads(self.settings)
        if not isinstance(settings, dict) or not isinstance(settings.get("other", {}), dict):
            raise ValueError(f"settings must be a JSON object, not {self.settings!r}")
        if self.row_id:
            known = lecture_rows(self.dataset)
            check_name("row", self.row_id, known)
            check_name(f"net of the row {self.row_id}", self.model, known[self.row_id])
        return self


COLUMNS = list(Row.model_fields)


def check_row(row: Any) -> dict[str, Any]:
    """Return a row with its columns in order; raise InputError for what cannot be true."""
    try:
        return Row.model_validate(row).model_dump()
    except pydantic.ValidationError as error:
        raise invalid("no row", error) from None


def ledger_file(dataset: str) -> pathlib.Path:
    """Return the file with the published rows of a data set."""
    return MEASURED / f"{dataset}.csv"


def local_file(run_id: str, kind: str = "rows") -> pathlib.Path:
    """Return a file of a run of this machine: one of its row, history, predictions or net."""
    return storage.results_folder() / kind / f"{run_id}{KINDS[kind]}"


def published_histories(dataset: str) -> pathlib.Path:
    """Return the file with the histories of all published rows of a data set."""
    return MEASURED / "histories" / f"{dataset}.csv"


def published_predictions(dataset: str, run_id: str) -> pathlib.Path:
    """Return the file with the predictions of a published row."""
    return MEASURED / "predictions" / dataset / f"{run_id}.npz"


def local_rows() -> list[pathlib.Path]:
    """Return the files of this machine's rows; raise OSError for a folder that cannot be read."""
    folder = local_file("any").parent
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    # Not what macOS writes beside a file on a foreign disk, ._<name>.
    return [folder / name for name in names if name.endswith(".json") and name[0] != "."]


def read_local() -> dict[str, dict[str, Any]]:
    """Return {run_id: row} of this machine; raise InputError for a damaged file."""
    rows = {}
    for path in local_rows():
        try:
            row = check_row(json.loads(integrity.read_text(path)))
            if row["run_id"] != path.stem:
                raise InputError(f"it holds the run {row['run_id']}")
        except FileNotFoundError:  # another process has just published it
            continue
        except (ValueError, RecursionError) as error:
            raise _damaged("row", path, error) from error
        rows[row["run_id"]] = row
    return rows


def read_ledger(dataset: str) -> dict[str, dict[str, Any]]:
    """Return {run_id: row} of data/measured/<dataset>.csv; raise InputError for a damaged line."""
    path = ledger_file(dataset)
    if not integrity.exists(path):
        return {}
    rows: dict[str, dict[str, Any]] = {}
    table = csv.DictReader(io.StringIO(integrity.read_text(path), newline=""), strict=True)
    try:
        if table.fieldnames != COLUMNS:
            raise InputError(f"the columns must be {','.join(COLUMNS)}")
        for fields in table:
            row = check_row(fields)
            if row["dataset"] != dataset or row["run_id"] in rows:
                raise InputError(f"{row['run_id']} of {row['dataset']} does not belong there")
            rows[row["run_id"]] = row
    except (ValueError, csv.Error) as error:
        raise _damaged("ledger", f"{path}, line {table.reader.line_num}", error) from error
    return rows


def read_history(path: pathlib.Path) -> "pandas.DataFrame":
    """Return the histories in a file; raise InputError for a damaged one."""
    import pandas

    try:
        table = pandas.read_csv(io.StringIO(integrity.read_text(path)))[HISTORY_COLUMNS]
        if path.stem not in datasets.names() and set(table["run_id"]) != {path.stem}:
            raise InputError("it is of another run")
        return table.astype({"run_id": str, "epoch": int, "loss": float, "train_error": float})
    except (ValueError, KeyError, pandas.errors.ParserError) as error:
        raise _damaged("history", path, error) from error


def read_predictions(row: dict[str, Any]) -> np.ndarray | None:
    """Return the class that a row's net gave to each test image, int64 (n,); None if not kept.

    Raises InputError for a file that is damaged, or not of as many images and classes.
    """
    run, classes = row["run_id"], len(datasets.info(row["dataset"]).class_names)
    for path in (local_file(run, "predictions"), published_predictions(row["dataset"], run)):
        if integrity.exists(path):
            try:
                with np.load(io.BytesIO(integrity.read_bytes(path)), allow_pickle=False) as arrays:
                    found = arrays["predictions"]
                    if found.dtype.kind != "u" or found.shape != (row["test_images"],):
                        raise ValueError(f"{found.dtype} {found.shape} is no class of each image")
                    if found.max() >= classes:
                        raise ValueError(f"there are {classes} classes, and none {found.max()}")
                    return found.astype(np.int64)
            except (ValueError, KeyError, OSError, EOFError, zlib.error, zipfile.BadZipFile) as e:
                raise _damaged("predictions", path, e) from e
    return None


def _damaged(what, place, error):
    return InputError(
        f"damaged {what} {place}: {error}. Nothing was changed: mend or delete it, or restore it "
        "from git."
    )


def published(benchmark: str | None = None) -> "pandas.DataFrame":
    """Return the lecture's rows of one benchmark ("mnist", "cifar10") or of all, in its order.

    Columns: row_id; title, as the lecture writes it; models, the nets that are compared with it,
    separated by ";", the lecture's own first; metric and value; parameters and multiply_adds as the
    source prints them (NA where it does not); protocol; other_figures for the net; source; caveat.
    """
    import pandas

    known = [name for name in datasets.names() if lecture(name)]
    chosen = known if benchmark is None else [check_name("benchmark", benchmark, known)]
    table = pandas.DataFrame([row for name in chosen for row in lecture(name)])
    models = [";".join(registry.nets_of_row(row_id)) for row_id in table["row_id"]]
    table.insert(2, "models", models)
    for column, kind in {"value": float, "parameters": "Int64", "multiply_adds": "Int64"}.items():
        table[column] = pandas.to_numeric(table[column]).astype(kind)
    return table


def lecture(benchmark: str) -> list[dict[str, str]]:
    """Return the lecture's rows of a data set as text, without pandas; none if it has no table."""
    path = PUBLISHED / f"{benchmark}.csv"
    text = integrity.read_text(path) if integrity.exists(path) else ""
    return list(csv.DictReader(io.StringIO(text, newline="")))


def lecture_rows(benchmark: str) -> dict[str, list[str]]:
    """Return {row_id: names of the nets compared with the row} in the lecture's order."""
    return {row["row_id"]: registry.nets_of_row(row["row_id"]) for row in lecture(benchmark)}


def metric_of(benchmark: str) -> str:
    """Return the metric of the lecture's table of a data set; an error where there is none."""
    return next((row["metric"] for row in lecture(benchmark)), "test_error_percent")


def rows(benchmark: str | None = None, local: bool = True) -> dict[str, dict[str, Any]]:
    """Return {run_id: row} of one data set or of all, those of the ledger first.

    A row has also its `origin`, "ledger" or, with `local`, "this machine".
    """
    known = datasets.names()
    chosen = known if benchmark is None else [check_name("benchmark", benchmark, known)]
    # This machine first: a row that is published meanwhile is then seen twice, not missed.
    own = read_local() if local else {}
    ledger = {run: row for name in chosen for run, row in read_ledger(name).items()}
    found = {run: row | {"origin": "ledger"} for run, row in ledger.items()}
    own = {run: row for run, row in own.items() if run not in ledger and row["dataset"] in chosen}
    return found | {run: row | {"origin": "this machine"} for run, row in own.items()}


def measured(benchmark: str | None = None, local: bool = True) -> "pandas.DataFrame":
    """Return `rows` as a table with the columns COLUMNS and origin."""
    import pandas

    columns = [*COLUMNS, "origin"]
    frame = pandas.DataFrame(list(rows(benchmark, local).values()), columns=columns)
    kinds = {name: field.annotation for name, field in Row.model_fields.items()}
    return frame.astype({name: kind for name, kind in kinds.items() if kind in (int, float)})


def predictions(run_id: str) -> np.ndarray | None:
    """Return the class that a measured net gave to each test image, int64 (n,); None if not kept.

    With the labels they give error, interval, and McNemar's test of two nets, without training.
    """
    known = rows()
    return read_predictions(known[check_name("run", run_id, known)])


def histories(
    benchmark: str = "mnist",
    model: str | None = None,
    recipe: str | None = None,
    local: bool = True,
) -> "pandas.DataFrame":
    """Return how the measured nets of a data set were trained, a line per epoch.

    Columns: run_id, epoch (from 1), loss, train_error in %. `model` and `recipe` choose runs.
    """
    import pandas

    known = rows(benchmark, local)
    own = [local_file(run, "histories") for run in known if known[run]["origin"] != "ledger"]
    paths = [published_histories(benchmark), *own]
    tables = [read_history(path) for path in paths if integrity.exists(path)]
    table = pandas.concat(tables or [pandas.DataFrame(columns=HISTORY_COLUMNS)], ignore_index=True)
    for column, wanted in {"model": model, "recipe": recipe}.items():
        if wanted is not None:
            chosen = [run for run, row in known.items() if row[column] == wanted]
            table = table[table["run_id"].isin(chosen)]
    return table


def lines(benchmark: str = "mnist", local: bool = True) -> list[dict[str, Any]]:
    """Return the table of results, from which README, pages, terminal and notebooks are made.

    A line is of runs that differ only by their seed, the newest for each. The lecture's rows come
    first, in its order, each with the nets and SETTINGS with which it was measured, or with one
    line without runs; then the nets that it does not have. Runs of this machine have lines of
    their own. Each line has LINE and `runs`, its rows:

    - title, the lecture's or the net's name; model; is_own, whether that is the lecture's own net
      where several are compared with one result; is_transfer, whether it continues from ImageNet;
    - published, the lecture's result (NaN for a net that it does not have), and in the same metric
      measured_mean and measured_std (ddof=1, NaN for one run) of n runs;
    - seconds of training, the mean of the runs on a CPU, else of those on a GPU (`on_gpu`);
    - SETTINGS, origin, and parameters (of a net without runs those that the source prints).
    """
    groups: dict[tuple, dict[int, dict[str, Any]]] = {}
    for row in sorted(rows(benchmark, local).values(), key=lambda row: row["date"]):
        settings = [row[name] for name in SETTINGS]
        key = (row["row_id"], *settings, row["image_order"] == "sample", row["origin"])
        key += (row["settings"],)
        groups.setdefault(key, {})[row["seed"]] = row
    by_row: dict[str, list] = {}
    for (row_id, *_), by_seed in sorted(groups.items()):
        by_row.setdefault(row_id, []).append([by_seed[seed] for seed in sorted(by_seed)])
    found = [
        _line(row, runs, metric_of(benchmark))
        for row in lecture(benchmark)
        for runs in by_row.get(row["row_id"], [[]])
    ]
    for runs in by_row.get("", []):
        own = {"row_id": "", "title": runs[0]["model"], "value": "nan"}
        found.append(_line(own, runs, metric_of(benchmark)))
    return found


def _line(row, runs, metric):
    """The line of a row of the lecture's table and of runs that belong to it, in its metric."""
    own = next(iter(registry.nets_of_row(row["row_id"])), row["title"])
    unmeasured = dict.fromkeys(("protocol", "recipe", "origin"), "") | {"model": own}
    unmeasured["trainable_parameters"] = row.get("parameters")
    newest = max(runs, key=lambda run: run["date"], default=unmeasured)
    values = [run["value"] if run["metric"] == metric else 100 - run["value"] for run in runs]
    on_gpu = bool(runs) and all("GPU" in run["device"] for run in runs)
    times = [run["train_seconds"] for run in runs if ("GPU" in run["device"]) == on_gpu]
    net = registry.NETS.get(newest["model"])
    return {name: newest.get(name) for name in [*SETTINGS, "origin"]} | {
        "title": row["title"],
        "published": float(row["value"]),
        "measured_mean": np.mean(values) if runs else math.nan,
        "measured_std": np.std(values, ddof=1) if len(runs) > 1 else math.nan,
        "n": len(runs),
        "parameters": int(float(newest["trainable_parameters"] or 0)) or None,
        "seconds": np.mean(times) if runs else math.nan,
        "on_gpu": on_gpu,
        "is_own": newest["model"] == own,
        "is_transfer": net is not None and net.training == "transfer",
        "runs": runs,
    }


def measured_text(line: dict[str, Any]) -> str:
    """Return "8.43 ± 0.05 (n = 5)"; without a deviation for one run."""
    if not line["n"]:
        return "not measured here"
    spread = f" ± {line['measured_std']:.2f}" if line["n"] > 1 else ""
    origin = "this machine: " if line["origin"] == "this machine" else ""
    return f"{origin}{line['measured_mean']:.2f}{spread} (n = {line['n']})"


def images_text(line: dict[str, Any]) -> str:
    """Return what is not usual of the images, and of the settings: ", 6,000 images"."""
    first, text = line["runs"][0], ""
    info = datasets.info(first["dataset"])
    if first["train_images"] != info.train_count:
        text += f", {first['train_images']:,} images"
    if first["test_images"] != info.test_count:
        text += f", tested on {first['test_images']:,}"
    text += ", of the sample" if first["image_order"] == "sample" else ""
    other = json.loads(first["settings"]).get("other", {})
    return text + "".join(f", {name} {str(value)[:6]}" for name, value in other.items())


def time_text(time: float, on_gpu: bool, digits: int = 0) -> str:
    """Return "4,341", or "750 (GPU)" for a time that a GPU took."""
    return f"{time:,.{digits}f}{' (GPU)' if on_gpu else ''}"


def counted(n: int, noun: str) -> str:
    """Return "1 epoch" or "20 epochs"."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def recap(benchmark: str = "mnist", local: bool = True) -> "pandas.DataFrame":
    """Return `lines` with the columns LINE, without transfer learning: see `transfer_recap`."""
    return _frame([line for line in lines(benchmark, local) if not line["is_transfer"]])


def transfer_recap(dataset: str = "cifar10", local: bool = True) -> "pandas.DataFrame":
    """Return the `lines` of VGG16 trained on ImageNet and used on a data set, the worst first.

    The seconds are with those for the features and for the recipe that it starts from.
    """
    return _frame(_transfer_lines(dataset, local))


def _frame(chosen):
    import pandas

    whole = ("train_images", "test_images", "epochs", "parameters")
    table = pandas.DataFrame(chosen, columns=LINE)
    return table.astype(dict.fromkeys(whole, "Int64"))


def _transfer_lines(dataset, local):
    found = [line for line in lines(dataset, local) if line["is_transfer"]]
    return sorted(found, key=lambda line: line["measured_mean"])


def recap_table(benchmark: str = "mnist", local: bool = True) -> "pandas.DataFrame":
    """Return `recap` as text for a reader."""
    import pandas

    cells = []
    for line in lines(benchmark, local):
        if line["is_transfer"]:
            continue
        how, parameters, seconds = f"`{command(line['model'], benchmark)}`", "", ""
        if line["n"]:
            epochs = counted(line["epochs"], "epoch")
            how = f"{line['protocol']}, {line['recipe']}, {epochs}{images_text(line)}"
            # A row that was not measured has the paper's: rounded and, for LeNet-4, impossible.
            parameters = f"{line['parameters']:,}"
            seconds = time_text(line["seconds"], line["on_gpu"])
        title = line["title"] if line["is_own"] else f"{line['title']}, as {line['model']}"
        result = "" if math.isnan(line["published"]) else f"{line['published']:g}"
        cells.append([title, result, measured_text(line), how, parameters, seconds])
    measure = metric_of(benchmark).split("_")[1]
    headings = ["Net", f"published {measure} %", f"measured {measure} % (mean ± sd, n)"]
    return pandas.DataFrame(cells, columns=[*headings, "protocol, recipe", "parameters", "seconds"])


def command(model: str, benchmark: str) -> str:
    """Return the command that measures a net of the lecture's table of a benchmark."""
    recipe = "boosted" if registry.net(model).training == "boosting" else "plain"
    recipe = "benchmark" if benchmark == "cifar10" else recipe
    return f"python -m cnnlib train {model} {benchmark} --recipe {recipe}"


def transfer_table(dataset: str = "cifar10", local: bool = True) -> "pandas.DataFrame":
    """Return `transfer_recap` as text for a reader."""
    import pandas

    cells = []
    for line in _transfer_lines(dataset, local):
        minutes = time_text(line["seconds"] / 60, line["on_gpu"], digits=1)
        recipe, weights = line["recipe"] + images_text(line), f"{line['parameters']:,}"
        cells.append([recipe, measured_text(line), weights, minutes])
    headings = ["recipe", "accuracy % (mean ± sd, n)", "trained weights", "minutes"]
    return pandas.DataFrame(cells, columns=headings)


def markdown(table: "pandas.DataFrame", numeric: tuple[int, ...]) -> str:
    """Return a table of text as a table for GitHub, with these columns to the right."""
    rule = ["---:" if column in numeric else "---" for column in range(table.shape[1])]
    cells = [table.columns, rule, *table.to_numpy()]
    return "\n".join(f"| {' | '.join(each)} |" for each in cells)


def recap_markdown(benchmark: str = "mnist", local: bool = True) -> str:
    """Return `recap_table` as a table for GitHub, and what the nets kept in float16 reach."""
    parts = [markdown(recap_table(benchmark, local), numeric=(1, 4, 5))]
    for net in float16_nets():
        if net["dataset"] == benchmark:
            name, recipe, reached = net["model"], net["recipe"], net["test_accuracy_percent"]
            parts.append(
                f'`models.load_trained("{name}", "{recipe}")` returns the net of seed 0, its '
                f"kernels rounded to float16. Exactly these weights reach {reached:.2f} % of the "
                f"{net['test_images']:,} test images."
            )
    return "\n\n".join(parts)


def float16_nets() -> list[dict[str, Any]]:
    """Return what was measured of exactly the weights that data/nets/ has in float16.

    Each has run_id (of the row whose net it is), model, dataset, recipe, test_images,
    test_accuracy_percent, commit, device, versions and date.
    """
    paths = sorted(map(storage.DATA.joinpath, integrity.digests()))
    return [json.loads(integrity.read_text(p)) for p in paths if p.name.endswith(".weights.json")]


def transfer_markdown(dataset: str = "cifar10", local: bool = True) -> str:
    """Return the recipes that see all blocks, or train them, as a table for GitHub."""
    return markdown(transfer_table(dataset, local), numeric=(2, 3))


def keras_applications() -> "pandas.DataFrame":
    """Return what Keras publishes for its nets trained on ImageNet, see data/README.md."""
    return _read_table(PUBLISHED / "keras_applications.csv")


def costs() -> "pandas.DataFrame":
    """Return the measured costs of the CIFAR-10 nets by name; benchmarks/zoo.py has the columns."""
    return _read_table(MEASURED / "costs.csv").set_index("model")


def _read_table(path):
    import pandas

    return pandas.read_csv(io.StringIO(integrity.read_text(path)))


class McNemar(NamedTuple):
    """The p value, and how many images only a, only b, both or neither classified correctly."""

    p_value: float
    only_a: int
    only_b: int
    both: int
    neither: int


def interval(
    error_percent: float, n: int = 10_000, confidence: float = 0.95
) -> tuple[float, float]:
    """Return the exact (Clopper-Pearson) interval (low, high) in % of a test error in %.

    The error on `n` images is rounded to a whole number of images.
    """
    from scipy.stats import binomtest

    found = binomtest(round(error_percent / 100 * n), n)
    bounds = found.proportion_ci(confidence, method="exact")
    return 100 * float(bounds.low), 100 * float(bounds.high)


def mcnemar(correct_a: np.ndarray, correct_b: np.ndarray) -> McNemar:
    """Return the exact two-sided McNemar test of two nets on the same test images.

    The arguments are bool (n,), whether each net classified each image correctly. Under the null
    hypothesis an image that only one of them gets right is as likely to be a's as b's (McNemar
    1947; Dietterich 1998, section 3.1).
    """
    from scipy.stats import binomtest

    a, b = np.asarray(correct_a), np.asarray(correct_b)
    if a.dtype != bool or b.dtype != bool or a.shape != b.shape:
        raise InputError(f"give two bool arrays (n,), not {a.dtype} {a.shape}, {b.dtype} {b.shape}")
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    differ = only_a + only_b
    p_value = float(binomtest(only_a, differ).pvalue) if differ else 1.0
    return McNemar(p_value, only_a, only_b, int((a & b).sum()), int((~a & ~b).sum()))
