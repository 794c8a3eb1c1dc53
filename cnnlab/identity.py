"""What a row is: everything that determines its result, and nothing else.

A row is identified by its net with options, its data set with the order of the images, the recipe's
settings, the seed, the number of training images, and RESULTS_VERSION. A comment, another recipe
or a faster loop changes none of these, so it renames no row and stops no training under way.
`python -m cnnlib results verify` finds out whether a change of the code has changed results.
"""

import hashlib
import json
import re
from typing import Any

from cnnlib import registry

# Raise it by one, with a line in CHANGELOG.md, when a change of the code alters results that rows
# with the same settings have. It is part of every run_id: rows measured before are kept, and count
# as runs of an older version.
RESULTS_VERSION = 1


def run_id(
    *,
    model: str,
    dataset: str,
    image_order: str,
    recipe: str,
    settings: dict[str, Any],
    seed: int,
    train_images: int,
    results_version: int = RESULTS_VERSION,
) -> str:
    """Return the name of a run, `{model}-{dataset}-{recipe}-seed{seed}-{8 hex digits}`.

    The digits are a digest of everything that determines the result. The recipe's name is there
    for the reader: its `settings` count.
    """
    determining = {
        "net": net_settings(model),
        "dataset": dataset,
        "image_order": image_order,
        "settings": settings,
        "seed": int(seed),
        "train_images": int(train_images),
        "results_version": results_version,
    }
    text = json.dumps(determining, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    name = re.sub(r"[^\w.-]", "-", f"{model}-{dataset}-{recipe}-seed{seed}", flags=re.ASCII)
    return f"{name[:120]}-{digest}"


def net_settings(model: str) -> dict[str, Any]:
    """Return what determines the net of this name: its function, its options, its input format.

    A name that is not in the registry, such as a net of one's own, stands for itself.
    """
    if model not in registry.NETS:
        return {"name": model}
    net = registry.net(model)
    found = {
        "function": net.function,
        "options": dict(net.options),
        "input_format": net.input_format,
    }
    return {"boosted": found} if net.members else found
