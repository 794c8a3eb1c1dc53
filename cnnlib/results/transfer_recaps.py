"""What was measured of VGG16 on another data set: a line per recipe, and a grid."""

from typing import TYPE_CHECKING

from cnnlib import datasets, recipes
from cnnlib.errors import InputError
from cnnlib.results import reading
from cnnlib.results.reading import SETTINGS
from cnnlib.results.recaps import mean_and_deviation, time_text, to_markdown
from cnnlib.validation import validated

if TYPE_CHECKING:
    import pandas


@validated
def transfer_recap(dataset: str = "cifar10", local: bool = True) -> "pandas.DataFrame":
    """Return one line for each way in which VGG16 was used on a data set, the worst first.

    Columns: protocol, recipe, train_images, test_images, epochs, accuracy_mean and accuracy_std
    (in %; ddof=1, NaN for one run), n, minutes (the mean, with those for the features and for the
    recipe that it starts from), on_gpu and trained_weights. Runs are counted, and times averaged,
    as in `recap`.
    """
    import pandas

    runs = reading.measured(dataset, local)
    runs = reading.newest(runs[runs["model"].map(reading.is_transferred).astype(bool)])
    accuracy = reading.in_metric(runs, "test_accuracy_percent")
    lines = []
    for settings, group in runs.groupby(SETTINGS[1:]):
        seconds, on_gpu = reading.train_seconds(group)
        lines.append(
            {
                **dict(zip(SETTINGS[1:], settings, strict=True)),
                "accuracy_mean": accuracy[group.index].mean(),
                "accuracy_std": accuracy[group.index].std(ddof=1),
                "n": len(group),
                "minutes": seconds / 60,
                "on_gpu": on_gpu,
                "trained_weights": group["trainable_parameters"].iloc[-1],
            }
        )
    columns = ["accuracy_mean", "accuracy_std", "n", "minutes", "on_gpu", "trained_weights"]
    table = pandas.DataFrame(lines, columns=[*SETTINGS[1:], *columns]).astype({"recipe": str})
    return table.sort_values("accuracy_mean", ignore_index=True)


@validated
def transfer_grid(dataset: str = "cifar10", local: bool = True) -> "pandas.DataFrame":
    """Return the mean accuracy in % of heads on a frozen base, as a grid.

    The rows say what a head sees (the means of whole feature maps of some blocks) and what it is,
    the columns are image sizes in pixels. NaN where nothing was measured, empty where nothing at
    all. Of several numbers of training images the largest counts.
    """
    import pandas

    cells = []
    for line in transfer_recap(dataset, local).sort_values("train_images").itertuples():
        transfer = _transfer(line.recipe)
        if transfer is None or not transfer.is_frozen or transfer.pool_grid != 1:
            continue
        blocks = "block " + transfer.blocks if len(transfer.blocks) == 1 else "blocks 3 to 5"
        head = "hidden layer" if transfer.hidden else "linear"
        cells.append((f"{blocks}, {head}", transfer.image_size, line.accuracy_mean))
    if not cells:
        return pandas.DataFrame()
    table = pandas.DataFrame(cells, columns=["row", "size", "accuracy"])
    table = table.drop_duplicates(["row", "size"], keep="last")
    return table.pivot(index="row", columns="size", values="accuracy")


@validated
def transfer_table(
    dataset: str = "cifar10", local: bool = True, grid: bool = True
) -> "pandas.DataFrame":
    """Return `transfer_recap` as text; without the `grid`, heads on a single block are left out."""
    import pandas

    info = datasets.info(dataset)
    cells = []
    for line in transfer_recap(dataset, local).itertuples():
        transfer = _transfer(line.recipe)
        is_part_of_grid = transfer and transfer.is_frozen and len(transfer.blocks) == 1
        if is_part_of_grid and not grid:
            continue
        recipe = line.recipe
        if line.train_images != info.train_count:
            recipe += f", {line.train_images:,} images"
        if line.test_images != info.test_count:
            recipe += f", tested on {line.test_images:,}"
        result = mean_and_deviation(line.accuracy_mean, line.accuracy_std, line.n)
        minutes = time_text(line.minutes, line.on_gpu, 1)
        cells.append([recipe, result, f"{line.trained_weights:,}", minutes])
    headings = ["recipe", "accuracy % (mean ± sd, n)", "trained weights", "minutes"]
    return pandas.DataFrame(cells, columns=headings)


@validated
def transfer_markdown(dataset: str = "cifar10", local: bool = True) -> str:
    """Return the recipes that see all blocks, or train them, as a table for GitHub; "" if none."""
    table = transfer_table(dataset, local, grid=False)
    return to_markdown(table, numeric=(2, 3)) if len(table) else ""


def _transfer(name: str) -> recipes.Transfer | None:
    """The transfer part of a recipe, or None if there is no recipe of that name any more."""
    try:
        return recipes.recipe(name).transfer
    except InputError:
        return None
