"""Published and measured results as text for a terminal: `python -m cnnlib results show`.

It reads the rows without pandas, so that it answers within a second, and fits 80 columns.
"""

import math

import tabulate

from cnnlib import datasets, results
from cnnlib.errors import check_name


def text(dataset: str = "mnist") -> str:
    """Return the lecture's results on a data set beside those measured here.

    Raises:
        InputError: an unknown data set or a damaged row.
    """
    info = datasets.info(check_name("benchmark", dataset, datasets.names()))
    quantity = results.metric_of(dataset).removesuffix("_percent").replace("_", " ")
    parts = [f"{info.title}: {quantity} in %, mean ± standard deviation over seeds"]
    tables: dict[str, list[list[str]]] = {}
    for line in results.lines(dataset):
        name = line["title"] if line["is_own"] else f"{line['title']}, {line['model']}"
        result = "" if math.isnan(line["published"]) else f"{line['published']:.2f}"
        how = line["recipe"] + results.images_text(line) if line["n"] else ""
        title = "The lecture's table" if result else "Other nets"
        title = "Transfer learning" if line["is_transfer"] else title
        cells = [name, result, results.measured_text(line), how]
        tables.setdefault(title, []).append(cells if result else [cells[0], *cells[2:]])
    for title, table in tables.items():
        headers = [title, *(["lecture"] if title == "The lecture's table" else []), "measured"]
        widths = [27, None, 19, 19] if len(headers) == 3 else [24, 21, 31]
        parts.append(
            tabulate.tabulate(
                table,
                [*headers, "recipe"],
                tablefmt="simple",
                disable_numparse=True,
                maxcolwidths=widths,
            )
        )
    parts.append(
        f"Measure one: python -m cnnlib train NET {dataset} --recipe RECIPE\n"
        "NET and RECIPE are listed by: python -m cnnlib models, python -m cnnlib recipes"
    )
    return "\n\n".join(parts)
