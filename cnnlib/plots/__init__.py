"""Every figure that notebooks share. Each function returns a matplotlib Figure and shows nothing.

Importing the module gives all figures of the process the course's look, those of the notebook too,
and an alt text to each figure that a notebook shows (`set_alt`).
"""

from cnnlib.plots.architecture import architecture, block, blocks
from cnnlib.plots.figures import (
    accuracy_against_costs,
    confusion_matrix,
    connection_table,
    error_against_cost,
    error_by_year,
    feature_maps,
    heat_map,
    image_grid,
    image_rows,
    learning_curves,
    mistakes,
    pareto_front,
    published_beside_measured,
    seeds_spread,
    weights_as_images,
)
from cnnlib.plots.style import PROTOCOLS, STYLE, alt_text, save, set_alt, use

__all__ = [
    "PROTOCOLS",
    "STYLE",
    "accuracy_against_costs",
    "alt_text",
    "architecture",
    "block",
    "blocks",
    "confusion_matrix",
    "connection_table",
    "error_against_cost",
    "error_by_year",
    "feature_maps",
    "heat_map",
    "image_grid",
    "image_rows",
    "learning_curves",
    "mistakes",
    "pareto_front",
    "published_beside_measured",
    "save",
    "seeds_spread",
    "set_alt",
    "weights_as_images",
]

use()
