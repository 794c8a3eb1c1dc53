"""The ledger: what the lecture's sources publish, what was measured here, and the table that puts one beside the other."""

from cnnlib.results.environment import code_hash, device, versions
from cnnlib.results.learning import record as record_history
from cnnlib.results.ledger import TRANSFERRED, histories, measured, publish, published, record, run_id
from cnnlib.results.readme import update_readme
from cnnlib.results.rows import COLUMNS
from cnnlib.results.statistics import interval, mcnemar
from cnnlib.results.tables import (
    costs,
    keras_applications,
    mean_and_deviation,
    recap,
    recap_markdown,
    recap_table,
    recap_text,
)
from cnnlib.results.transfer import transfer_grid, transfer_markdown, transfer_recap, transfer_table

__all__ = [
    "COLUMNS",
    "TRANSFERRED",
    "code_hash",
    "costs",
    "device",
    "histories",
    "interval",
    "keras_applications",
    "mcnemar",
    "mean_and_deviation",
    "measured",
    "publish",
    "published",
    "recap",
    "recap_markdown",
    "recap_table",
    "recap_text",
    "record",
    "record_history",
    "run_id",
    "transfer_grid",
    "transfer_markdown",
    "transfer_recap",
    "transfer_table",
    "update_readme",
    "versions",
]
