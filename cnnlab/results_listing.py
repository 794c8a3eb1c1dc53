"""Published and measured results as text for a terminal: `python -m cnnlib results show`.

It reads the rows without pandas, so that it answers within a second, and fits 80 columns.
"""

import csv
import dataclasses
import statistics
import textwrap
from typing import Any

from cnnlib import datasets, registry
from cnnlib.errors import check_name
from cnnlib.results import rows

# What runs have in common that differ by their seed only.
_SETTINGS = ("model", "protocol", "recipe", "train_images", "epochs", "image_order")


@dataclasses.dataclass(frozen=True)
class Line:
    """The runs of one net with the same settings, of this machine or published."""

    row_id: str
    model: str
    recipe: str
    train_images: int
    is_sample: bool
    is_local: bool
    values: tuple[float, ...]

    def measured(self) -> str:
        """Return the mean, with standard deviation and number of runs."""
        mean, n = statistics.fmean(self.values), len(self.values)
        if n == 1:
            return f"{mean:.2f} (n = 1)"
        return f"{mean:.2f} ± {statistics.stdev(self.values):.2f} (n = {n})"


def text(dataset: str = "mnist") -> str:
    """Return the lecture's results on a data set beside those measured here.

    Raises:
        InputError: an unknown data set or a damaged row.
    """
    info = datasets.info(check_name("benchmark", dataset, datasets.names()))
    lecture = _lecture(dataset)
    metric = lecture[0]["metric"] if lecture else "test_error_percent"
    lines = _lines(dataset, metric)
    quantity = "test error" if metric == "test_error_percent" else "test accuracy"
    parts = [f"{info.title}: {quantity} in %, mean ± standard deviation over seeds"]
    parts += [_lecture_table(dataset, lecture, lines)] if lecture else []
    for title, training in (("Other nets", False), ("Transfer learning", True)):
        others = [
            each
            for each in lines
            if not each.row_id and (_training(each.model) == "transfer") == training
        ]
        if others:
            parts.append(_table_of_others(title, others, info))
    if any(each.is_local for each in lines):
        parts.append("* of this machine; publish with: python -m cnnlib results publish")
    if len(parts) == 1:
        parts.append("Nothing has been measured.")
    parts.append(
        f"Measure one: python -m cnnlib train NET {dataset} --recipe RECIPE\n"
        "NET and RECIPE are listed by: python -m cnnlib models, python -m cnnlib recipes"
    )
    return "\n\n".join(parts)


def _lecture(dataset):
    """The rows of the lecture's table, list[dict] of text."""
    path = rows.published_file(dataset)
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _lines(dataset: str, metric: str) -> list[Line]:
    """The measured runs, grouped by settings; the newest for each seed."""
    local = {run: row for run, row in rows.read_local().items() if row["dataset"] == dataset}
    published = rows.read_ledger(dataset)
    groups: dict[tuple, dict[int, dict[str, Any]]] = {}
    found = [(row, False) for row in published.values()]
    found += [(row, True) for run, row in local.items() if run not in published]
    for row, is_local in sorted(found, key=lambda each: each[0]["date"]):
        key = (is_local, row["row_id"], *(row[name] for name in _SETTINGS))
        groups.setdefault(key, {})[row["seed"]] = row
    lines = []
    for (is_local, *_), by_seed in groups.items():
        row = next(iter(by_seed.values()))
        values = [
            each["value"] if each["metric"] == metric else 100 - each["value"]
            for each in by_seed.values()
        ]
        lines.append(
            Line(
                row["row_id"],
                row["model"],
                row["recipe"],
                row["train_images"],
                row["image_order"] == "sample",
                is_local,
                tuple(values),
            )
        )
    return sorted(lines, key=lambda each: (each.is_local, each.model, each.recipe))


def _lecture_table(dataset, lecture, lines):
    info, names = datasets.info(dataset), rows.published_models(dataset)
    table = [("The lecture's table", "lecture", "measured", "recipe")]
    for row in lecture:
        own = [each for each in lines if each.row_id == row["row_id"]]
        published = f"{float(row['value']):>7.2f}"
        for each in own or [None]:
            # Another net than the lecture's own that counts as the same row is named.
            title = row["title"]
            if each and each.model not in names.get(row["row_id"], [])[:1]:
                title = f"{title}, {each.model}"
            table.append((title, published, *_measured(each, info)))
    return _table(table, (29, 7, 21, 17))


def _table_of_others(title, lines, info):
    table = [(title, "measured", "recipe")]
    table += [(each.model, *_measured(each, info)) for each in lines]
    return _table(table, (24, 21, 31))


def _measured(line: Line | None, info: datasets.Info) -> tuple[str, str]:
    """The last two cells of a line."""
    if line is None:
        return "not measured", ""
    return f"{'*' if line.is_local else ''}{line.measured()}", _recipe(line, info)


def _table(table: list[tuple[str, ...]], widths: tuple[int, ...]) -> str:
    """The rows of a table, the first of which is its header, as text."""
    table.insert(1, tuple("-" * width for width in widths))
    return "\n".join(part for row in table for part in _wrapped(row, widths))


def _recipe(line, info):
    if line.is_sample:
        return f"{line.recipe} (sample)"
    if line.train_images != info.train_count:
        return f"{line.recipe} ({line.train_images:,} images)"
    return line.recipe


def _wrapped(cells, widths):
    """One row of a table as lines of text."""
    columns = [
        textwrap.wrap(cell, width, break_on_hyphens=False, drop_whitespace=cell.strip() == cell)
        for cell, width in zip(cells, widths, strict=True)
    ]
    for number in range(max(map(len, columns))):
        texts = [column[number] if number < len(column) else "" for column in columns]
        yield "  ".join(f"{t:{width}}" for t, width in zip(texts, widths, strict=True)).rstrip()


def _training(model):
    return registry.net(model).training if model in registry.names() else "gradient"
