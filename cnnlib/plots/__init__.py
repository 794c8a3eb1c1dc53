"""Every figure that notebooks share. Each function returns a matplotlib Figure and shows nothing.

Importing the module gives all figures of the process the course's look, those of the notebook too,
and an alt text to each figure that a notebook shows (`set_alt`).
"""

from cnnlib.plots.comparison import published_beside_measured
from cnnlib.plots.images import (
    feature_maps,
    image_grid,
    image_rows,
    mistakes,
    weights_as_images,
)
from cnnlib.plots.learning import confusion_matrix, learning_curves
from cnnlib.plots.nets import architecture
from cnnlib.plots.style import PROTOCOLS, alt_text, save, set_alt, use

use()
