"""The recap: each published result beside those measured for it, as data and as tables."""

import io
import itertools
import math
import pathlib
import textwrap
import types
from typing import TYPE_CHECKING, Any

from cnnlib import datasets, integrity, registry, storage
from cnnlib.results import reading
from cnnlib.results.reading import SETTINGS
from cnnlib.validation import validated

if TYPE_CHECKING:
    import pandas

WIDTHS = [27, 9, 20, 26, 10, 7]  # of recap_text's columns: 109 with two spaces between them
ALIGNED = [str.ljust, str.rjust, str.ljust, str.ljust, str.rjust, str.rjust]


@validated
def recap(benchmark: str = "mnist", local: bool = True) -> "pandas.DataFrame":
    """Return the published rows of a benchmark, each with a line for every way it was measured.

    Rows are in the lecture's order, and a line has the runs that differ only by their seed: those
    with the same net, protocol, recipe, epochs, training and test images. Of two runs with the same
    seed the newer by date counts.

    Columns: `published`, the published result; `measured_mean` and `measured_std` (ddof=1, NaN for
    one run) in the same metric; `n` runs; `seconds` of training, the mean of the runs on a CPU, or
    of those on a GPU (`on_gpu`) where there are no others; title, model, protocol, recipe,
    train_images, test_images, epochs, parameters and origin. A row that was not measured has one
    line with n = 0, the lecture's own net and the published number of parameters. Nets that the
    lecture does not have come last, with NaN as the published result. Transfer learning has a table
    of its own, `transfer_recap`.

    Raises InputError as `measured` does.
    """
    import pandas

    published, measured = reading.published(benchmark), reading.measured(benchmark, local)
    newest = reading.newest(measured[~measured["model"].map(reading.is_transferred).astype(bool)])
    lines = []
    for row in published.itertuples():
        runs = newest[newest["row_id"] == row.row_id]
        unmeasured = (row.models.split(";")[0], "", "", pandas.NA, pandas.NA, pandas.NA)
        measured_lines = [_line(row, settings, group) for settings, group in runs.groupby(SETTINGS)]
        lines += measured_lines or [_line(row, unmeasured, runs)]
    for settings, runs in newest[newest["row_id"] == ""].groupby(SETTINGS):
        own = published.iloc[0].to_dict() | {"title": settings[0], "value": math.nan}
        lines.append(_line(types.SimpleNamespace(**own), settings, runs))
    whole = ("train_images", "test_images", "epochs", "parameters")
    return pandas.DataFrame(lines).astype(dict.fromkeys(whole, "Int64"))


@validated
def recap_table(benchmark: str = "mnist", local: bool = True) -> "pandas.DataFrame":
    """Return `recap` as text for a reader; `recap_markdown` and `recap_text` write it."""
    import pandas

    published = reading.published(benchmark)
    measure = "error" if published["metric"][0] == "test_error_percent" else "accuracy"
    own_model = {row.title: row.models.split(";")[0] for row in published.itertuples()}
    cells = []
    for line in recap(benchmark, local).itertuples():
        is_own = line.model == own_model.get(line.title, line.title)
        result = "" if pandas.isna(line.published) else f"{line.published:g}"
        cells.append(
            [
                line.title if is_own else f"{line.title}, as {line.model}",
                result,
                mean_and_deviation(line.measured_mean, line.measured_std, line.n),
                _settings_text(line, benchmark),
                # Those of a row that was not measured are the paper's: rounded and, for LeNet-4,
                # impossible.
                f"{line.parameters:,}" if line.n else "",
                "" if pandas.isna(line.seconds) else time_text(line.seconds, line.on_gpu, 0),
            ]
        )
    headings = [
        f"published {measure} %",
        f"measured {measure} % (mean ± sd, n)",
        "protocol, recipe",
        "parameters",
        "seconds",
    ]
    return pandas.DataFrame(cells, columns=["Net", *headings])


def _settings_text(line, benchmark):
    """How a line was measured, or the command that measures it."""
    if not line.n:
        return f"`{command(line.model, benchmark)}`"
    info = datasets.info(benchmark)
    epochs = "1 epoch" if line.epochs == 1 else f"{line.epochs} epochs"
    text = f"{line.protocol}, {line.recipe}, {epochs}"
    if line.train_images != info.train_count:
        text += f", {line.train_images:,} images"
    if line.test_images != info.test_count:
        text += f", tested on {line.test_images:,}"
    return text


def command(model: str, benchmark: str) -> str:
    """Return the command that measures a net of the lecture's table of a benchmark."""
    if benchmark == "cifar10":
        recipe = "benchmark"
    else:
        recipe = "boosted" if registry.net(model).training == "boosting" else "plain"
    return f"python -m cnnlib train {model} {benchmark} --recipe {recipe}"


@validated
def recap_markdown(benchmark: str = "mnist", local: bool = True) -> str:
    """Return `recap` as a table for GitHub."""
    return to_markdown(recap_table(benchmark, local), numeric=(1, 4, 5))


def to_markdown(table: "pandas.DataFrame", numeric: tuple[int, ...]) -> str:
    """Return a DataFrame of text as a table for GitHub, with these columns to the right."""
    rule = ["---:" if column in numeric else "---" for column in range(table.shape[1])]
    lines = [table.columns, rule, *table.to_numpy()]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


@validated
def recap_text(benchmark: str = "mnist", local: bool = True) -> str:
    """Return `recap` as a table for a terminal, with long cells wrapped."""
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


def mean_and_deviation(mean: float, deviation: float, n: int) -> str:
    """Return "8.43 ± 0.05 (n = 5)"; without a deviation for one run."""
    if n == 0:
        return "not measured here"
    return f"{mean:.2f} (n = 1)" if n == 1 else f"{mean:.2f} ± {deviation:.2f} (n = {n})"


def time_text(time: float, on_gpu: bool, digits: int) -> str:
    """Return "4,341", or "750 (GPU)" for a time that a GPU took."""
    return f"{time:,.{digits}f}{' (GPU)' if on_gpu else ''}"


def keras_applications() -> "pandas.DataFrame":
    """Return what Keras publishes for its nets trained on ImageNet (data/README.md has the source).

    Columns: model, as keras.applications names it; year of its paper; top1_percent and
    top5_percent, accuracy on the validation images; parameters_millions; size_mib of the file of
    weights; depth, the number of layers that own weights (NaN where Keras prints none), and
    milliseconds for an image of a batch of 32, on a processor and on a GPU of theirs.
    """
    import pandas

    path = storage.DATA / "published" / "keras_applications.csv"
    return pandas.read_csv(io.StringIO(integrity.read_text(path)))


def costs(path: pathlib.Path | None = None) -> "pandas.DataFrame":
    """Return the measured costs of the CIFAR-10 nets by name; empty if there are none.

    benchmarks/zoo.py measures them, and its docstring has the columns.
    """
    import pandas

    path = storage.DATA / "measured" / "costs.csv" if path is None else path
    if not integrity.exists(path):
        return pandas.DataFrame()
    return pandas.read_csv(io.StringIO(integrity.read_text(path))).set_index("model")


def _line(row: Any, settings: tuple, runs: "pandas.DataFrame") -> dict[str, Any]:
    """One line of the recap: a published row, the settings of its runs, and the runs, if any."""
    values = reading.in_metric(runs, row.metric)
    seconds, on_gpu = reading.train_seconds(runs)
    model, *others = zip(SETTINGS, settings, strict=True)
    return {
        "title": row.title,
        **dict([model]),
        "published": row.value,
        "measured_mean": values.mean(),
        "measured_std": values.std(ddof=1),
        "n": len(runs),
        **dict(others),
        "parameters": runs["trainable_parameters"].iloc[-1] if len(runs) else row.parameters,
        "seconds": seconds,
        "on_gpu": on_gpu,
        "origin": " + ".join(sorted(set(runs["origin"]))),
    }
