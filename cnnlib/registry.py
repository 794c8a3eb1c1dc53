"""The nets of the course: one declaration each, with its name, its function and what it takes.

This module does not import Keras, so that a batch file is checked without waiting for it.
`cnnlib.models.build` builds a net from its declaration.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from cnnlib.errors import check_name


@dataclasses.dataclass(frozen=True)
class Net:
    """Declare a net that can be trained, recorded and published."""

    name: str  # in commands, batch files and the ledger
    about: str  # one line for listings
    function: str  # of `cnnlib.models`, that builds it, or each member of a boosted net
    options: dict[str, Any] = dataclasses.field(default_factory=dict)  # of the function
    input_format: str = "28x28"  # one of `cnnlib.preprocessing.FORMATS`
    row: str | None = None  # of the published table that it is compared with
    # by gradient, as three nets that vote (`cnnlib.boosting`), or from weights trained on ImageNet
    # (`cnnlib.transfer`)
    training: Literal["gradient", "boosting", "transfer"] = "gradient"
    members: str | None = None  # the net that a boosted net has three of
    # of the images that it can learn from at first, in pixels; None if it takes one size alone
    smallest_side: int | None = None


# The choices of LeCun et al. 1998, where the lecture's version of a LeNet differs.
_PAPER = {
    "connections": "paper",
    "subsampling": "trainable",
    "activation": "scaled_tanh",
    "initializer": "lecun_1998",
}

_COLOUR = {"input_shape": (32, 32, 3)}
_MAXIMUM = _COLOUR | {"activation": "relu", "subsampling": "maximum"}


def _linear(size: int) -> Net:
    form, options = f"{size}x{size}", {"input_shape": (size, size, 1)} if size != 28 else {}
    return Net(f"linear-{form}", f"{form} -> 10", "Linear", options, form, "mnist/linear-20x20")


def _mlp(size: int, *hidden: int, row: str, note: str = "") -> Net:
    form, units = f"{size}x{size}", [str(units) for units in hidden]
    options = {"hidden": hidden, "input_shape": (size, size, 1)}
    about = " -> ".join([form, *units, "10"]) + note
    return Net(f"mlp-{form}-{'-'.join(units)}", about, "MLP", options, form, f"mnist/mlp-{row}")


def _cifar10(function: str, smallest_side: int | None = 8) -> Net:
    name = "cifar10/" + function.lower().replace("_", "-")
    function_name = f"cifar10.{function}"
    return Net(name, function, function_name, {}, "cifar10", name, smallest_side=smallest_side)


def _rung(name: str, about: str, function: str, **options: Any) -> Net:
    return Net(f"cifar10/{name}", about, function, options, "cifar10")


_RBF, _OF_LENET_5 = _PAPER | {"output": "rbf"}, ("32x32", "mnist/lenet-5")
# Where several nets are compared with one published row, the lecture's own comes first.
_DIGITS = (
    _linear(20),
    _linear(28),
    _mlp(20, 300, row="20x20-300"),
    _mlp(20, 1000, row="20x20-1000"),
    _mlp(28, 300, row="20x20-300"),
    _mlp(28, 1000, row="20x20-1000"),
    _mlp(28, 300, 100, row="28x28-300-100"),
    _mlp(28, 1000, 150, row="28x28-1000-150", note=" (in the paper's text)"),
    _mlp(28, 500, 150, row="28x28-1000-150", note=" (in the paper's figures)"),
    Net("lenet-1", "LeNet-1 of the lecture", "LeNet1", {}, "16-in-28", "mnist/lenet-1"),
    Net("lenet-1-paper", "LeNet-1 of the paper", "LeNet1", _PAPER, "16-in-28", "mnist/lenet-1"),
    Net("lenet-4", "LeNet-4 of the lecture", "LeNet4", {}, "32x32", "mnist/lenet-4"),
    Net("lenet-4-paper", "LeNet-4 of the paper", "LeNet4", _PAPER, "32x32", "mnist/lenet-4"),
    Net("lenet-5", "LeNet-5 of the lecture", "LeNet5", {}, *_OF_LENET_5),
    Net("lenet-5-paper", "LeNet-5 of the paper, with RBF output", "LeNet5", _RBF, *_OF_LENET_5),
)
_VGG16 = Net("vgg16", "VGG16 of 2014, for transfer learning", "VGG16", {}, "rgb", None, "transfer")
_CIFAR10 = (
    _cifar10("VGG16", smallest_side=None),  # its five poolings need 32 pixels
    *map(_cifar10, ("ResNet18", "ResNet50", "ResNet101", "RegNetX_200MF", "RegNetY_400MF")),
    *map(_cifar10, ("MobileNetV2", "ResNeXt29_32x4d", "ResNeXt29_2x64d", "DenseNet121")),
    *map(_cifar10, ("PreActResNet18", "DPN92")),
    Net(
        "cifar10/fast",
        "FastNet, which is ours and not one of the published twelve",
        "cifar10.FastNet",
        input_format="cifar10",
        smallest_side=12,
    ),
    # From LeNet-5 to SmallNet and on, one change at a time (batches/ladder.yaml)
    _rung("lenet-5", "LeNet-5 on colour images", "LeNet5", **_COLOUR),
    _rung("lenet-5-relu", "the same with ReLU", "LeNet5", **_COLOUR, activation="relu"),
    _rung("lenet-5-maximum", "the same with maximum pooling", "LeNet5", **_MAXIMUM),
    _rung("small-no-norm", "SmallNet without batch norm", "cifar10.SmallNet", batch_norm=False),
    _rung("small", "SmallNet, which notebook 07 arrives at", "cifar10.SmallNet"),
    _rung("plain-20", "TwentyLayers without shortcuts", "cifar10.TwentyLayers", shortcuts=False),
    _rung("residual-20", "TwentyLayers with shortcuts", "cifar10.TwentyLayers"),
)


def _boosted(member: Net) -> Net:
    name = f"boosted-{member.name}"
    return dataclasses.replace(
        member,
        name=name,
        about=f"three nets {member.name} that vote",
        row=f"mnist/{name}" if member.name == "lenet-4" else None,
        training="boosting",
        members=member.name,
    )


NETS = {net.name: net for net in (*_DIGITS, _VGG16, *_CIFAR10, *map(_boosted, _DIGITS))}


def names() -> list[str]:
    """Return the names of all nets that can be trained."""
    return list(NETS)


def net(name: str) -> Net:
    """Return the declaration of a net; raise InputError for an unknown name."""
    return NETS[check_name("model", name, NETS)]


def input_format(name: str) -> str:
    """Return the format of `cnnlib.preprocessing` in which a net takes its images: "32x32", ..."""
    return net(name).input_format


def nets_of_row(row: str) -> list[str]:
    """Return the names of the nets that are compared with a published row, the lecture's first."""
    return [net.name for net in NETS.values() if net.row == row]
