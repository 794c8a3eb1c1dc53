"""Published and measured results, read: what the lecture's sources say, and what was measured here.

data/published/<benchmark>.csv has the lecture's tables with their sources. data/measured/<data
set>.csv has published rows, written by commands of `cnnlab` alone, and results/rows/ what this
machine measured since, one file per run.
"""

import io
from typing import TYPE_CHECKING

import numpy as np

from cnnlib import datasets, integrity, registry
from cnnlib.errors import check_name
from cnnlib.results import history_files, prediction_files, rows
from cnnlib.validation import validated

if TYPE_CHECKING:
    import pandas

# Runs that have these columns in common differ only by their seed.
SETTINGS = ["model", "protocol", "recipe", "train_images", "test_images", "epochs"]


def is_transferred(model: str) -> bool:
    """Return whether a net continues from weights trained on ImageNet."""
    return model in registry.NETS and registry.net(model).training == "transfer"


@validated
def published(benchmark: str | None = None) -> "pandas.DataFrame":
    """Return the lecture's rows of one benchmark ("mnist", "cifar10") or of all, in its order.

    Columns: row_id; title, as the lecture writes it; models, the names of the nets that are
    compared with it, separated by ";", the lecture's own first; metric and value; parameters and
    multiply_adds as the source prints them (NA where it does not); protocol behind the value;
    other_figures of the source for the same net; source; caveat.
    """
    import pandas

    known = [name for name in datasets.names() if integrity.exists(rows.published_file(name))]
    chosen = known if benchmark is None else [check_name("benchmark", benchmark, known)]
    texts = [integrity.read_text(rows.published_file(name)) for name in chosen]
    tables = [pandas.read_csv(io.StringIO(text)) for text in texts]
    table = pandas.concat(tables, ignore_index=True)
    models = [";".join(registry.nets_of_row(row_id)) for row_id in table["row_id"]]
    table.insert(2, "models", models)
    kinds = {"parameters": "Int64", "multiply_adds": "Int64"}
    return table.astype(kinds).fillna({"other_figures": ""})


@validated
def measured(benchmark: str | None = None, local: bool = True) -> "pandas.DataFrame":
    """Return the measured rows of one data set or of all.

    With `local`, also those that this machine recorded and did not publish. The columns are
    COLUMNS and `origin`: "ledger" or "this machine". A run that is in both appears once, from the
    ledger.

    Raises InputError for an unknown benchmark; for a damaged row, it names the file and the line.
    """
    import pandas

    known = datasets.names()
    chosen = known if benchmark is None else [check_name("benchmark", benchmark, known)]
    # Read this machine's rows first: one that another process publishes meanwhile is then seen
    # twice rather than not at all.
    local_rows = rows.read_local() if local else {}
    found = {
        run: row | {"origin": "this machine"}
        for run, row in local_rows.items()
        if row["dataset"] in chosen
    }
    ledger = {run: row for name in chosen for run, row in rows.read_ledger(name).items()}
    once = {run: row | {"origin": "ledger"} for run, row in ledger.items()}
    once |= {run: row for run, row in found.items() if run not in once}
    frame = pandas.DataFrame(list(once.values()), columns=[*rows.COLUMNS, "origin"])
    # Also when it is empty.
    kinds = dict.fromkeys(rows.INTEGERS, "int64") | dict.fromkeys(rows.NUMBERS, "float64")
    return frame.astype(kinds)


def newest(runs: "pandas.DataFrame") -> "pandas.DataFrame":
    """Return the newest of the rows for each net, settings and seed."""
    by_date = runs.sort_values("date", kind="stable")
    return by_date.drop_duplicates(["row_id", *SETTINGS, "seed"], keep="last")


def in_metric(runs: "pandas.DataFrame", metric: str) -> "pandas.Series":
    """Return the values of rows in this metric: an error as accuracy, and the reverse."""
    return runs["value"].where(runs["metric"] == metric, 100 - runs["value"])


def train_seconds(runs: "pandas.DataFrame") -> tuple[float, bool]:
    """Return the mean seconds of training, and whether they are a GPU's.

    They are those of the runs on a CPU, or of the runs on a GPU where there are no others.
    """
    on_gpu = runs["device"].map(rows.names_gpu).astype(bool)
    only_gpu = len(runs) > 0 and bool(on_gpu.all())
    return float(runs["train_seconds"][on_gpu == only_gpu].mean()), only_gpu


@validated
def predictions(run_id: str) -> np.ndarray | None:
    """Return the class that a measured net gave to each test image, int64 (n,); None if not kept.

    With the labels of the data set they give the net's error, its interval, and McNemar's test
    between two nets, without training.

    Raises InputError for an unknown run or a damaged file.
    """
    known = measured().set_index("run_id")["dataset"]
    return prediction_files.read(known[check_name("run", run_id, known.index)], run_id)


@validated
def histories(
    benchmark: str = "mnist",
    model: str | None = None,
    recipe: str | None = None,
    local: bool = True,
) -> "pandas.DataFrame":
    """Return how the measured nets of a data set were trained, a line per epoch.

    Columns: run_id, epoch (from 1), loss, train_error in %. `model` and `recipe` choose runs;
    `local` as for `measured`. Raises InputError for an unknown benchmark or a damaged file.
    """
    runs = measured(benchmark, local)
    table = history_files.read(benchmark, runs["run_id"][runs["origin"] == "this machine"])
    for column, wanted in {"model": model, "recipe": recipe}.items():
        if wanted is not None:
            table = table[table["run_id"].isin(runs["run_id"][runs[column] == wanted])]
    return table
