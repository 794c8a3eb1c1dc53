"""Every figure that notebooks share. Each function returns a matplotlib Figure and shows nothing.

Importing the module gives all figures of the process the course's look, those of the notebook too,
and an alt text to each figure that a notebook shows (`set_alt`).
"""

from cnnlib.plots.architecture import architecture
from cnnlib.plots.block_drawings import block, blocks
from cnnlib.plots.comparison import (
    accuracy_against_costs,
    error_against_cost,
    error_by_year,
    pareto_front,
    published_beside_measured,
)
from cnnlib.plots.images import (
    activation_maps,
    connection_table,
    feature_maps,
    image_grid,
    image_rows,
    mistakes,
    weights_as_images,
)
from cnnlib.plots.learning import confusion_matrix, heat_map, learning_curves, seeds_spread
from cnnlib.plots.style import PROTOCOLS, STYLE, alt_text, save, set_alt, use

__all__ = [
    "PROTOCOLS",
    "STYLE",
    "accuracy_against_costs",
    "activation_maps",
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
