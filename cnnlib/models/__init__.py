"""The nets: one function each, named as in the literature, and one name each for commands.

`names()` lists the names of all nets that can be trained, and `build(name)` builds one. `net(name)`
tells how it is declared, and `input_format(name)` how it takes its images. The nets of the
CIFAR-10 benchmark are functions of `cnnlib.models.cifar10`.

Every net returns logits (n, classes), except lenet-5-paper, whose RBF units return distances:
smaller is better. `scores` turns either into numbers of which the largest is the answer.

The nets are imported when they are first used, because Keras takes seconds to import. So read a
saved net by `load(path)`, which makes the layers of the course known to Keras first.
"""

from __future__ import annotations

import importlib
import inspect
import operator
import sys
from typing import TYPE_CHECKING, Any

from cnnlib.errors import check_name
from cnnlib.models.registry import Net, input_format, names, net

if TYPE_CHECKING:
    import keras

_MODULES = {
    "LeNet1": "lenet",
    "LeNet4": "lenet",
    "LeNet5": "lenet",
    "Linear": "linear",
    "MLP": "linear",
    "RBFLoss": "layers",
    "RBFOutput": "layers",
    "VGG16": "vgg",
    "VGGPreprocessing": "vgg",
    "describe": "tables",
    "digit_codes": "layers",
    "layer_table": "tables",
    "load": "trained",
    "load_trained": "trained",
    "multiply_adds": "tables",
    "scores": "layers",
    "trained_nets": "trained",
    "trained_path": "trained",
    "vgg16_weights": "vgg",
}
_SUBMODULES = (
    "cifar10",
    "committee",
    "layers",
    "lenet",
    "linear",
    "norm",
    "tables",
    "trained",
    "vgg",
    "winograd",
)

__all__ = [
    "MLP",
    "VGG16",
    "LeNet1",
    "LeNet4",
    "LeNet5",
    "Linear",
    "Net",
    "RBFLoss",
    "RBFOutput",
    "VGGPreprocessing",
    "build",
    "cifar10",
    "describe",
    "digit_codes",
    "input_format",
    "layer_table",
    "load",
    "load_trained",
    "multiply_adds",
    "names",
    "net",
    "scores",
    "trained_nets",
    "trained_path",
    "vgg16_weights",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBMODULES})


def build(name: str, **options: Any) -> keras.Model:
    """Build a net by its name, with new random weights.

    Args:
        name: one of `names()`. The model has this name too, with "-" in place of "/", which Keras
            does not allow.
        options: keyword arguments of the net's function, such as `input_shape` and `classes`. They
            take precedence over those of the declaration.

    Raises:
        InputError: for an unknown name, an option that the net does not have, or a value that it
            cannot take.
    """
    declared = net(name)
    if declared.members:
        from cnnlib.models.committee import committee

        return committee(tuple(build(declared.members, **options) for _ in range(3)), name)
    function = operator.attrgetter(declared.function)(sys.modules[__name__])
    known = [option for option in inspect.signature(function).parameters if option != "name"]
    for option in options:
        check_name(f"option of {name}", option, known)
    return function(**{**declared.options, **options}, name=name.replace("/", "-"))
