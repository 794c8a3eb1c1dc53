"""What was measured of VGG16 on another data set: a line for each way to use it, and the grid of frozen ones."""

from cnnlib import datasets
from cnnlib.results import reading as ledger
from cnnlib.results.comparison import mean_and_deviation, to_markdown
from cnnlib.results.reading import WAY

GRID = r"frozen-(?P<size>\d+)-(?P<blocks>block\d|all)-(?P<head>linear|mlp)"


def transfer_recap(dataset="cifar10", local=True):
    """One line for each way in which VGG16 was used on a data set, the worst first (DataFrame).

    Columns: protocol, recipe, train_images, epochs, accuracy_mean and accuracy_std (in %; ddof=1, NaN for one run), n, minutes (the mean;
    those for the features are in it) and trained_weights. Runs are counted as in `recap`. `local` and the errors are those of `measured`.
    """
    import pandas

    rows = ledger.measured(dataset, local)
    rows = ledger.newest(rows[rows["model"] == ledger.TRANSFERRED])
    accuracy = ledger.in_metric(rows, "test_accuracy_percent")
    lines = [
        {
            **dict(zip(WAY[1:], way, strict=True)),
            "accuracy_mean": accuracy[runs.index].mean(),
            "accuracy_std": accuracy[runs.index].std(ddof=1),
            "n": len(runs),
            "minutes": runs["train_seconds"].mean() / 60,
            "trained_weights": runs["trainable_parameters"].iloc[-1],
        }
        for way, runs in rows.groupby(WAY[1:])
    ]
    columns = [*WAY[1:], "accuracy_mean", "accuracy_std", "n", "minutes", "trained_weights"]
    return (
        pandas.DataFrame(lines, columns=columns)
        .astype({"recipe": str})
        .sort_values("accuracy_mean", ignore_index=True)
    )


def transfer_grid(dataset="cifar10", local=True):
    """Mean accuracy in % by what a head sees and is (rows) and by the side of the images in pixels (columns): a DataFrame, NaN where
    nothing was measured, empty where nothing at all. Of several numbers of training images the largest counts."""
    import pandas

    recap = transfer_recap(dataset, local)
    found = recap["recipe"].str.fullmatch(GRID)
    lines = recap[found].sort_values("train_images")
    lines = lines.join(lines["recipe"].str.extract(GRID)).drop_duplicates("recipe", keep="last")
    if lines.empty:
        return pandas.DataFrame()
    seen = lines["blocks"].str.replace("block", "block ").replace("all", "blocks 3 to 5")
    lines = lines.assign(
        row=seen + ", " + lines["head"].map({"linear": "linear", "mlp": "hidden layer"}),
        size=lines["size"].astype(int),
    )
    return lines.pivot(index="row", columns="size", values="accuracy_mean")


def transfer_table(dataset="cifar10", local=True, grid=True):
    """`transfer_recap` as a reader wants to see it: a DataFrame of text. Without the `grid`, heads on a single block are left out."""
    import pandas

    lines = transfer_recap(dataset, local)
    if not grid:
        lines = lines[~lines["recipe"].str.contains(r"-block\d-")]
    images = datasets.info(dataset).train_count
    cells = [
        [
            line.recipe
            + ("" if line.train_images == images else f", {line.train_images:,} images"),
            mean_and_deviation(line.accuracy_mean, line.accuracy_std, line.n),
            f"{line.trained_weights:,}",
            f"{line.minutes:.1f}",
        ]
        for line in lines.itertuples()
    ]
    return pandas.DataFrame(
        cells, columns=["recipe", "accuracy % (mean ± sd, n)", "trained weights", "minutes"]
    )


def transfer_markdown(dataset="cifar10", local=True):
    """The ways that see all blocks, or go on training them, as a table for GitHub (str); empty if there are none."""
    table = transfer_table(dataset, local, grid=False)
    return to_markdown(table, [str.ljust, str.ljust, str.rjust, str.rjust]) if len(table) else ""
