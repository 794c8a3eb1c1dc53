"""The pages to draw a digit, watch nets learn and look inside one: JavaScript, and its data."""

import base64
import json
import pathlib
import shutil
import zlib
from typing import Any

import numpy as np

from cnnlib import datasets, registry, results

SOURCES = pathlib.Path(__file__).parent / "draw"
# Nets of data/nets, the oldest first: name, recipe, title.
NETS = (
    ("linear-20x20", "deslanted-small", "Linear, deslanted"),
    ("mlp-28x28-300-100", "plain", "300-100"),
    ("lenet-1", "plain-small", "LeNet-1"),
    ("lenet-5", "plain", "LeNet-5"),
    ("boosted-lenet-4", "boosted", "Boosted LeNet-4"),
)
# The page calls a drawing uncertain if the largest of the nets' mean probabilities is below this.
# It was chosen on validation images by benchmarks/uncertain_digits.py: see benchmarks/README.md.
UNCERTAIN_BELOW = 0.65


def write_page(folder: pathlib.Path, has_site: bool = False) -> pathlib.Path:
    """Write the page into `folder`, which is made if it is not there; return its index.html.

    `has_site` says that it is a part of the site, whose first page is in the folder above.
    """
    shutil.copytree(SOURCES, folder, dirs_exist_ok=True)
    data = {
        "nets": [exported(*net) for net in NETS],
        "examples": examples(),
        "uncertainBelow": UNCERTAIN_BELOW,
        "hasSite": has_site,
    }
    (folder / "weights.js").write_text(f"window.course = {json.dumps(data)};\n", encoding="utf-8")
    digits = sheet() | {"hasSite": has_site}
    (folder / "sheet.js").write_text(f"window.sheet = {json.dumps(digits)};\n", encoding="utf-8")
    return folder / "index.html"


def exported(name: str, recipe: str, title: str) -> dict[str, Any]:
    """Return a trained net as draw/nets.js takes it: its layers with their weights in base64."""
    from cnnlib import models
    from cnnlib.models import members

    net = models.load_trained(name, recipe)
    is_boosted = bool(registry.net(name).members)
    rows = results.measured("mnist", local=False)
    row = rows[(rows["model"] == name) & (rows["recipe"] == recipe) & (rows["seed"] == 0)].iloc[0]
    return {
        "name": name,
        "title": title,
        "format": registry.input_format(name),
        "deslanted": bool(row["protocol"] == "deslanted"),
        "testError": f"{row['value']:.2f}",
        "showsMaps": name == "lenet-5",
        "members": [_layers(each) for each in (members(net) if is_boosted else [net])],
    }


def sheet(train: int = 2000, held: int = 500) -> dict[str, Any]:
    """Return the digits that nets learn from in the page, all of MNIST's training images.

    `labels` are those of the first `train` images, then of the last `held`, which are held back;
    `packed` has their pixels, 28x28 bytes each, deflated, in base64.
    """
    part = datasets.load("mnist").train
    images = np.concatenate([part.images[:train], part.images[-held:]])
    labels = np.concatenate([part.labels[:train], part.labels[-held:]])
    packed = base64.b64encode(zlib.compress(images.tobytes(), 9)).decode()
    return {"labels": labels.tolist(), "held": held, "packed": packed}


def _layers(net: Any) -> list[dict[str, Any]]:
    found = []
    for layer in net.layers:
        kind = type(layer).__name__
        if kind in ("InputLayer", "Flatten"):  # maps are flat there already, in Keras' order
            continue
        entry: dict[str, Any] = {"name": layer.name}
        if kind == "Activation" and layer.activation.__name__ == "tanh":
            entry["kind"] = "tanh"
        elif kind == "AveragePooling2D" and tuple(layer.pool_size) == (2, 2):
            entry["kind"] = "pooling"
        elif kind == "Conv2D" and layer.padding == "valid" and tuple(layer.strides) == (1, 1):
            entry |= {"kind": "convolution", "size": layer.kernel_size[0]}
        elif kind == "Dense":
            entry["kind"] = "dense"
        else:
            raise ValueError(f"the drawing page cannot compute the layer {layer.name} ({kind})")
        if entry["kind"] in ("convolution", "dense"):
            entry |= {"kernel": _base64(layer.kernel), "bias": _base64(layer.bias)}
        found.append(entry)
    return found


def _base64(values: Any) -> str:
    return base64.b64encode(np.asarray(values, "<f4").tobytes()).decode()


def examples() -> list[dict[str, Any]]:
    """Return the first two digits of each class of MNIST's test images, in base64."""
    test = datasets.load("mnist").test
    chosen = [i for digit in range(10) for i in np.flatnonzero(test.labels == digit)[:2]]
    images = [base64.b64encode(test.images[i].tobytes()).decode() for i in chosen]
    pairs = zip(chosen, images, strict=True)
    return [{"label": int(test.labels[i]), "image": image} for i, image in pairs]
