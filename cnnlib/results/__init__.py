"""Published and measured results, read: the lecture's tables, our rows, and comparisons."""

from cnnlib.results.reading import histories, measured, predictions, published
from cnnlib.results.recaps import (
    costs,
    keras_applications,
    mean_and_deviation,
    recap,
    recap_markdown,
    recap_table,
    recap_text,
)
from cnnlib.results.rows import COLUMNS
from cnnlib.results.statistics import interval, mcnemar
from cnnlib.results.transfer_recaps import (
    transfer_grid,
    transfer_markdown,
    transfer_recap,
    transfer_table,
)

__all__ = [
    "COLUMNS",
    "costs",
    "histories",
    "interval",
    "keras_applications",
    "mcnemar",
    "mean_and_deviation",
    "measured",
    "predictions",
    "published",
    "recap",
    "recap_markdown",
    "recap_table",
    "recap_text",
    "transfer_grid",
    "transfer_markdown",
    "transfer_recap",
    "transfer_table",
]
