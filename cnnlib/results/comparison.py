"""The recap: each published figure beside what was measured for it, as data, for GitHub, and for a terminal."""

import itertools
import math
import textwrap
import types

from cnnlib import datasets, storage
from cnnlib.models import registry
from cnnlib.results import reading as ledger
from cnnlib.results.reading import WAY

WIDTHS = [27, 9, 20, 26, 10, 7]  # of recap_text's columns: 109 with two spaces between them
ALIGNED = [str.ljust, str.rjust, str.ljust, str.ljust, str.rjust, str.rjust]


def recap(benchmark="mnist", local=True):
    """The published rows of a benchmark in the lecture's order, with one line for each way in which a row was measured (DataFrame).

    A way is a model, protocol, recipe, number of training images and epochs. Of two runs with the same seed (another version of the
    code, another machine) the newer by date counts. `measured_mean` and `measured_std` (ddof=1, NaN for one run) are in the metric of
    `published`; `seconds` is the mean training time. A row that was not measured has one line with n = 0, the lecture's own model and
    the published parameters. Nets that the lecture does not have come last, under their batch names, with NaN for a published figure; what
    transfer learning measured has a table of its own, `transfer_recap`. `local` and the errors are those of `measured`.
    """
    import pandas

    published, measured = ledger.published(benchmark), ledger.measured(benchmark, local)
    newest = ledger.newest(measured[measured["model"] != ledger.TRANSFERRED])
    lines = []
    for row in published.itertuples():
        runs = newest[newest["row_id"] == row.row_id]
        unmeasured = (row.models.split(";")[0], "", "", pandas.NA, pandas.NA)
        lines += [_line(row, way, group) for way, group in runs.groupby(WAY)] or [
            _line(row, unmeasured, runs)
        ]
    for way, runs in newest[newest["row_id"] == ""].groupby(WAY):
        own = published.iloc[0].to_dict() | {"title": way[0], "value": math.nan}
        lines.append(_line(types.SimpleNamespace(**own), way, runs))
    return pandas.DataFrame(lines).astype(
        {"train_images": "Int64", "epochs": "Int64", "parameters": "Int64"}
    )


def recap_table(benchmark="mnist", local=True):
    """`recap` as a reader wants to see it: a DataFrame of text. `recap_markdown` and `recap_text` write this one."""
    import pandas

    published = ledger.published(benchmark)
    measure = "error" if published["metric"][0] == "test_error_percent" else "accuracy"
    own_model = {row.title: row.models.split(";")[0] for row in published.itertuples()}
    train_count = datasets.info(benchmark).train_count
    cells = []
    for line in recap(benchmark, local).itertuples():
        net = (
            line.title
            if line.model == own_model.get(line.title, line.title)
            else f"{line.title}, as {line.model}"
        )
        how = f"`{command(line.model, benchmark)}`"
        if line.n:
            how = f"{line.protocol}, {line.recipe}, {line.epochs} {'epoch' if line.epochs == 1 else 'epochs'}"
            how += f", {line.train_images:,} images" if line.train_images != train_count else ""
        measured = mean_and_deviation(line.measured_mean, line.measured_std, line.n)
        # an unmeasured row's are the paper's, which are rounded and, for LeNet-4, impossible
        parameters = f"{line.parameters:,}" if line.n else ""
        seconds = "" if pandas.isna(line.seconds) else f"{line.seconds:,.0f}"
        figure = "" if pandas.isna(line.published) else f"{line.published:g}"
        cells.append([net, figure, measured, how, parameters, seconds])
    headings = [
        f"published {measure} %",
        f"measured {measure} % (mean ± sd, n)",
        "protocol, recipe",
        "parameters",
        "seconds",
    ]
    return pandas.DataFrame(cells, columns=["Net", *headings])


def command(model, benchmark):
    """What measures a net of the lecture's table of that benchmark (str)."""
    if benchmark == "cifar10":
        recipe = "benchmark"
    else:
        recipe = "boosted" if registry.net(model).training == "boosting" else "plain"
    return f"python -m cnnlib train {model} {benchmark} --recipe {recipe}"


def recap_markdown(benchmark="mnist", local=True):
    """`recap` as a table for GitHub (str)."""
    return to_markdown(recap_table(benchmark, local), ALIGNED)


def to_markdown(table, aligned):
    """A DataFrame of text as a table for GitHub (str). `aligned`: str.ljust or str.rjust for each column."""
    rule = ["---:" if align is str.rjust else "---" for align in aligned]
    return "\n".join(
        f"| {' | '.join(cells)} |" for cells in [table.columns, rule, *table.to_numpy()]
    )


def recap_text(benchmark="mnist", local=True):
    """`recap` as a table for a terminal (str): at most 110 columns, what is longer goes on in the next line."""
    table = recap_table(benchmark, local)
    lines = []
    for cells in [table.columns, ["-" * width for width in WIDTHS], *table.to_numpy()]:
        wrapped = [
            textwrap.wrap(cell, width, break_on_hyphens=False)
            for cell, width in zip(cells, WIDTHS, strict=True)
        ]
        for parts in itertools.zip_longest(*wrapped, fillvalue=""):
            lines.append(
                "  ".join(
                    align(part, width)
                    for align, part, width in zip(ALIGNED, parts, WIDTHS, strict=True)
                ).rstrip()
            )
    return "\n".join(lines)


def mean_and_deviation(mean, deviation, n):
    """ "8.43 ± 0.05 (n = 5)"; without a deviation for one run; "not measured here" for none."""
    if n == 0:
        return "not measured here"
    return f"{mean:.2f} (n = 1)" if n == 1 else f"{mean:.2f} ± {deviation:.2f} (n = {n})"


def keras_applications():
    """What Keras publishes for its nets trained on ImageNet (DataFrame; data/README.md has the source).

    Columns: model, as keras.applications names it; year of its paper; top1_percent and top5_percent, accuracy on the validation images;
    parameters_millions; size_mib of the file of weights; depth, the number of layers that own weights (NaN where Keras prints none), and
    milliseconds for an image of a batch of 32, on a processor and on a GPU of theirs.
    """
    import pandas

    return pandas.read_csv(storage.DATA / "published" / "keras_applications.csv")


def costs(path=storage.ROOT / "benchmarks" / "zoo.csv"):
    """What benchmarks/zoo.py measured of the CIFAR-10 nets, DataFrame by batch name; empty if it did not run yet. Its docstring has the
    columns."""
    import pandas

    return pandas.read_csv(path).set_index("model") if path.exists() else pandas.DataFrame()


def _line(row, way, runs):
    """One line of the recap (dict): a published row (namedtuple), a way (tuple), its runs (DataFrame, empty if it was not measured)."""
    values = ledger.in_metric(runs, row.metric)
    model, protocol, recipe, train_images, epochs = way
    return {
        "title": row.title,
        "model": model,
        "published": row.value,
        "measured_mean": values.mean(),
        "measured_std": values.std(ddof=1),
        "n": len(runs),
        "protocol": protocol,
        "recipe": recipe,
        "train_images": train_images,
        "epochs": epochs,
        "parameters": runs["trainable_parameters"].iloc[-1] if len(runs) else row.parameters,
        "seconds": runs["train_seconds"].mean(),
        "origin": " + ".join(sorted(set(runs["origin"]))),
    }
