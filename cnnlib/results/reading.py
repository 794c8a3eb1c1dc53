"""Published and measured results, read: what the lecture's sources say, and what was measured here.

data/published/<benchmark>.csv: the lecture's tables, with their sources. data/measured/<data set>.csv: published rows, written by
`cnnlib.lab.ledger.publish` alone. results/rows/<run_id>.json: what this machine measured since, one file a run.
"""

from cnnlib import datasets
from cnnlib.errors import check_name
from cnnlib.models import registry
from cnnlib.results import history_files, rows

TRANSFERRED = "vgg16"  # comes trained on ImageNet, and has a table of its own
WAY = [
    "model",
    "protocol",
    "recipe",
    "train_images",
    "epochs",
]  # runs with these in common differ only by their seed


def published(benchmark=None):
    """The lecture's rows of one benchmark ("mnist", "cifar10") or of all, in its order.

    Columns: row_id; title, as the lecture writes it; models, the nets that are compared with this row (cnnlib.models.registry), separated
    by ";", the lecture's own first; metric and value; parameters and multiply_adds as the source prints them (NA where it does not); protocol behind the value;
    other_figures of the source for the same net; source; caveat.
    """
    import pandas

    known = [name for name in datasets.names() if rows.published_file(name).exists()]
    chosen = known if benchmark is None else [check_name("benchmark", benchmark, known)]
    table = pandas.concat(
        [pandas.read_csv(rows.published_file(name)) for name in chosen], ignore_index=True
    )
    nets = [";".join(registry.nets_of_row(row)) for row in table["row_id"]]
    table.insert(table.columns.get_loc("title") + 1, "models", nets)
    return table.astype({"parameters": "Int64", "multiply_adds": "Int64"}).fillna(
        {"other_figures": ""}
    )


def measured(benchmark=None, local=True):
    """Measured rows of one data set or of all: the ledger, and with `local` also what this machine recorded and did not publish.

    The columns are COLUMNS and `origin`: "ledger" or "this machine". A run that is in both appears once, from the ledger.
    InputError for an unknown benchmark; for a damaged row, it names the file and the line.
    """
    import pandas

    chosen = (
        datasets.names()
        if benchmark is None
        else [check_name("benchmark", benchmark, datasets.names())]
    )
    # This machine's rows are read first: one that another process publishes meanwhile is then seen twice rather than not at all.
    here = {
        run: row | {"origin": "this machine"}
        for run, row in (rows.read_local() if local else {}).items()
        if row["dataset"] in chosen
    }
    ledger = {
        run: row | {"origin": "ledger"}
        for name in chosen
        for run, row in rows.read_ledger(name).items()
    }
    once = ledger | {run: row for run, row in here.items() if run not in ledger}
    frame = pandas.DataFrame(list(once.values()), columns=[*rows.COLUMNS, "origin"])
    return frame.astype(
        dict.fromkeys(rows.INTEGERS, "int64") | dict.fromkeys(rows.NUMBERS, "float64")
    )  # also when it is empty


def newest(rows):
    """Of the rows (DataFrame) of each net, way and seed the last by date. (Other versions of the code, or machines, made the others.)"""
    return rows.sort_values("date", kind="stable").drop_duplicates(
        ["row_id", *WAY, "seed"], keep="last"
    )


def in_metric(rows, metric):
    """The values of rows (DataFrame) in this metric (Series): an error as accuracy, and the reverse."""
    return rows["value"].where(rows["metric"] == metric, 100 - rows["value"])


def histories(benchmark="mnist", model=None, recipe=None, local=True):
    """How the measured nets of a data set learned (DataFrame): run_id, epoch (from 1), loss, train_error in %, one line an epoch.

    model, recipe: only the runs of that net, by that recipe. `local` as for `measured`. InputError for an unknown benchmark or a damaged
    file.
    """
    runs = measured(benchmark, local)
    table = history_files.read(benchmark, runs["run_id"][runs["origin"] == "this machine"])
    for column, wanted in {"model": model, "recipe": recipe}.items():
        if wanted is not None:
            table = table[table["run_id"].isin(runs["run_id"][runs[column] == wanted])]
    return table
