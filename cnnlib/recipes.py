"""Recipes: how a net is trained, as data.

A recipe is chosen on a validation split of the training set (docs/recipes.md) and used unchanged
for every net that names it. Importing this module is light, so that a batch file is checked without
waiting for Keras.
"""

import json
import re
from typing import Any, Literal

import pydantic

from cnnlib.errors import InputError, check_name, invalid, shown
from cnnlib.validation import of_python

# Protocols for colour images: black pixels that are added on each side before the crop.
CROP_PADDING = {"crop-flip": 4, "crop-alternating": 2}
# LeCun et al. 1998, section III-B: a learning rate of 0.0005 in epochs 1 and 2, 0.0002 in 3 to 5,
# 0.0001 in 6 to 8, 0.00005 in 9 to 12, then 0.00001; here as fractions of the recipe's rate:
# (last epoch, fraction).
LECUN_1998_RATES = ((2, 1.0), (5, 0.4), (8, 0.2), (12, 0.1), (None, 0.02))
# By these the notebooks train at their default parameters; their rows are not published.
NOTEBOOK_DEFAULTS = ("quick", "quick-frozen", "quick-fine-tuned")


class _Settings(pydantic.BaseModel):
    """Strict, immutable settings."""

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False
    )


class Transfer(_Settings):
    """How VGG16, trained on ImageNet, is used on other images (see `cnnlib.transfer`)."""

    image_size: int = pydantic.Field(32, ge=32, le=1024)  # side in pixels of the resized images
    trainable: Literal["head", "block5", "blocks345", "all"] = "head"
    """What is trained besides the head: nothing, the last block, the last three, or the base."""
    init_from: str | None = None  # the recipe before it, where more than the head is trained
    batch_norm: bool = False  # after each convolution that is trained, folded away afterwards
    blocks: Literal["3", "4", "5", "34", "35", "45", "345"] = "345"
    """The blocks whose feature maps the head sees, as digits: S16 (3), S23 (4), S30 (5)."""
    hidden: int = pydantic.Field(0, ge=0, le=1_000_000)  # units of the head; 0 for a linear head
    dropout: float = pydantic.Field(0.0, ge=0, lt=1)  # rate after the hidden layer
    pool_grid: int = pydantic.Field(1, ge=1, le=1024)
    """The head sees means over a grid of this many by this many parts of each map."""
    mirrored: bool = False  # a head on a frozen base also sees, and is tested on, mirror images

    @property
    def is_frozen(self) -> bool:
        """True if only the head is trained."""
        return self.trainable == "head"

    @pydantic.model_validator(mode="after")
    def _check(self):
        if self.is_frozen and (self.init_from or self.batch_norm):
            raise ValueError("init_from and batch_norm are for recipes that train more than a head")
        if not self.is_frozen and (not self.init_from or "," in self.init_from or self.mirrored):
            raise ValueError(
                "a recipe that trains more than a head has mirrored=false, and init_from must name "
                "the recipe before it, without changes, such as frozen-32-all-mlp"
            )
        return self


class Recipe(_Settings):
    """Everything that determines training, except the seed."""

    name: str
    about: str = ""  # one line for listings: what the recipe is for
    protocol: Literal["plain", "deslanted", "distorted", "crop-flip", "crop-alternating"] = "plain"
    """What happens to the images. plain: nothing. deslanted: every image is deslanted, for training
    and for testing. distorted: each training image is distorted anew in each epoch. crop-flip: it
    is cropped, and possibly mirrored, at random in each epoch. crop-alternating: it is cropped at
    random, and mirrored every other epoch."""
    epochs: int = pydantic.Field(20, ge=1, le=100_000)
    batch_size: int = pydantic.Field(128, ge=1, le=1_000_000)
    optimizer: Literal["adamw", "sgd", "torch-sgd"] = "adamw"
    """torch-sgd is SGD as PyTorch defines it: weight decay is part of the gradient."""
    learning_rate: float = pydantic.Field(5e-3, ge=1e-30, le=1e30)  # the highest; in float32
    warmup_epochs: float = pydantic.Field(1.0, ge=0)  # in which the rate rises linearly from 0
    schedule: Literal["cosine", "cosine-by-epoch", "linear", "constant", "lecun-1998"] = "cosine"
    """cosine and linear fall to 0 at the last step; cosine-by-epoch changes between epochs."""
    weight_decay: float = pydantic.Field(0.2, ge=0)
    """Decoupled from the gradient (except in torch-sgd), on every trained weight."""
    momentum: float = pydantic.Field(0.9, ge=0, lt=1)  # of sgd and torch-sgd
    nesterov: bool = False  # Nesterov's momentum, in torch-sgd
    label_smoothing: float = pydantic.Field(0.0, ge=0, lt=1)  # the share of all classes
    shift_rate: float = pydantic.Field(1.0, gt=0)
    """How many times the gradients of batch norm's shifts count, in torch-sgd."""
    lookahead: int = pydantic.Field(0, ge=0, le=1_000_000)
    """Steps between two averages of the weights, to which the net goes part of the way; 0: none."""
    small_epochs: int = pydantic.Field(0, ge=0, le=100_000)  # the first, with smaller images
    small_size: int = pydantic.Field(16, ge=8, le=1024)  # the side of these in pixels
    precision: Literal["float32", "mixed", "bfloat16"] = "float32"
    """mixed: float16 for the computation and float32 for the weights, where there is a GPU.
    bfloat16: it for the computation and float32 for the weights, where the machine has instructions
    for it. Elsewhere both compute in float32."""
    test_views: Literal[1, 2, 6] = 1
    """Views of a test image whose logits are averaged: 2 with its mirror image, 6 also moved."""
    transfer: Transfer | None = None  # None for training from random weights

    def __init__(self, **values: Any):
        try:
            super().__init__(**values)
        except pydantic.ValidationError as error:
            raise invalid(f"recipe {values.get('name', '')}", error) from None

    @pydantic.model_validator(mode="after")
    def _check(self):
        is_frozen = self.transfer and self.transfer.is_frozen
        if is_frozen and (self.protocol, self.test_views) != ("plain", 1):
            raise ValueError(
                "a frozen base sees each image once, as it is: set protocol=plain and test_views=1"
            )
        if max(self.small_epochs, self.warmup_epochs) > self.epochs:
            raise ValueError(
                f"it has {self.epochs} epochs, and small_epochs={self.small_epochs} and "
                f"warmup_epochs={self.warmup_epochs} cannot be more: change these too"
            )
        return self

    @property
    def row_protocol(self) -> str:
        """The protocol as rows of the ledger name it, such as "plain" or "frozen-32"."""
        if self.transfer is None:
            return self.protocol
        return f"{'frozen' if self.transfer.is_frozen else 'fine-tuned'}-{self.transfer.image_size}"

    @property
    def start(self) -> "Recipe | None":
        """The recipe whose trained net this one starts from, or None."""
        before = self.transfer and self.transfer.init_from
        return recipe(before) if before else None

    def settings(self) -> dict[str, Any]:
        """Return what determines training as plain data: fields that differ from their defaults.

        The recipe that training starts from is given by its own settings, so that equal settings
        mean equal training, and a field that is added later changes no existing recipe.
        """
        found = self.model_dump(exclude={"name", "about"}, exclude_defaults=True)
        if self.transfer is not None:
            found.setdefault("transfer", {})
        if self.start is not None:
            found["transfer"]["init_from"] = self.start.settings()
        return found

    def changed(self, **changes: Any) -> "Recipe":
        """Return this recipe with other values; its name says which: `plain,epochs=3`.

        Fields of `transfer` are given by their own names. Raises InputError for an unknown field or
        a value that cannot be.
        """
        values = self.model_dump()
        for field, value in changes.items():
            check_name("recipe field", field, _fields(self))
            part = values if field in values else values["transfer"]
            part[field] = of_python(value)
        found = Recipe(**values)
        name = self.name.partition(",")[0]
        base = RECIPES.get(name, self)
        differing = [f for f in sorted(_fields(self)) if _value(found, f) != _value(base, f)]
        written = [f"{field}={_written(_value(found, field))}" for field in differing]
        return found.model_copy(update={"name": ",".join([name, *written])})


def recipe(name: str, **changes: Any) -> Recipe:
    """Return the recipe of that name, with some fields changed.

    `recipe("plain", epochs=3)` and `recipe("plain,epochs=3")` are the same. The second form is how
    the ledger names a changed recipe, so that a command can train its row again.
    Raises InputError for an unknown name or field, or a value that cannot be.
    """
    if not isinstance(name, str):
        raise InputError(
            f"a recipe is given by its name, such as 'plain' or 'plain,epochs=3', got {shown(name)}"
        )
    first, *texts = name.split(",")
    base, written = RECIPES[check_name("recipe", first, RECIPES)], {}
    for text in texts:
        field, value = _parsed(base, text)
        if field in written:
            raise InputError(f"recipe {name}: {field} is given twice")
        written[field] = value
    found = base.changed(**written | changes)
    if found.transfer and found.transfer.init_from:
        check_name("recipe", found.transfer.init_from, RECIPES)
    return found


def recipe_names() -> list[str]:
    """Return the names that `recipe` takes."""
    return list(RECIPES)


def pooled_sides(image_size: int, pool_grid: int) -> list[int]:
    """Return the side of the grid whose means a head sees of blocks 3, 4 and 5 of VGG16.

    Maps with fewer pixels than the grid are seen as they are.
    """
    return [min(pool_grid, image_size // shrunk) for shrunk in (8, 16, 32)]


def _fields(base: Recipe) -> list[str]:
    own = [field for field in Recipe.model_fields if field not in ("name", "about", "transfer")]
    return own + (list(Transfer.model_fields) if base.transfer else [])


def _value(base: Recipe, field: str) -> Any:
    return getattr(base if field in Recipe.model_fields else base.transfer, field)


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _parsed(base: Recipe, text: str) -> tuple[str, Any]:
    """Return ("epochs", 3) for "epochs=3"."""
    field, _, value = (part.strip() for part in text.partition("="))
    before = _value(base, check_name("recipe field", field, _fields(base)))
    try:
        if isinstance(before, bool | int | float):
            return field, json.loads(value.lower(), parse_float=_real)
    except ValueError:
        pass  # pydantic says what it must be
    return field, value


def _real(text: str) -> float:
    """Return a number; raise ValueError for one that is too small to be told from 0."""
    value = float(text)
    if not value and re.search("[1-9]", text.partition("e")[0]):
        raise ValueError
    return value


# How they were chosen, and what they reach on validation images: docs/recipes.md.
_SMALL: dict[str, Any] = {"learning_rate": 1e-2, "weight_decay": 0.03}
# PyTorch's SGD with Nesterov's momentum, and crops that are mirrored every other epoch.
_CIFAR10: dict[str, Any] = {
    "protocol": "crop-alternating",
    "optimizer": "torch-sgd",
    "nesterov": True,
}
_FROM_SCRATCH: dict[str, tuple[str, dict[str, Any]]] = {
    "quick": (
        "the notebooks' default: a few epochs, about a minute",
        {"epochs": 6, "weight_decay": 0.05},
    ),
    "plain": ("the images as they are, 20 epochs", {}),
    "plain-small": ("the same for nets too small to overfit: the linear ones and LeNet-1", _SMALL),
    "deslanted": ("images deslanted by their moments, 20 epochs", {"protocol": "deslanted"}),
    "deslanted-small": (
        "the same for the linear nets and LeNet-1",
        {"protocol": "deslanted", **_SMALL},
    ),
    "distorted": (
        "another random distortion of each image in every epoch, 40 epochs",
        {"protocol": "distorted", "epochs": 40, "weight_decay": 0.05},
    ),
    "distorted-small": (
        "the same for the linear nets and LeNet-1",
        {"protocol": "distorted", "epochs": 40, "learning_rate": 1e-2, "weight_decay": 0.0},
    ),
    "boosted": (
        "the same for each of the three nets of a boosted one, 20 epochs",
        {"protocol": "distorted", "weight_decay": 0.05},
    ),
    # The paper trains on one image at a time at a rate of 0.0005. Batches of ten, at ten times the
    # rate for their mean gradient, follow nearly the same path in a fifth of the time.
    "lecun-1998": (
        "the 1998 paper's learning rates by epoch, with plain SGD: for the paper's own nets",
        {"batch_size": 10, "optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0}
        | {"learning_rate": 0.005, "warmup_epochs": 0.0, "schedule": "lecun-1998"},
    ),
    # The recipe of the project whose table the lecture quotes, as its code is today.
    "benchmark": (
        "the CIFAR-10 benchmark's own: SGD, 200 epochs, random crops and flips; for a GPU",
        {"protocol": "crop-flip", "epochs": 200, "optimizer": "torch-sgd", "weight_decay": 5e-4}
        | {"learning_rate": 0.1, "warmup_epochs": 0.0, "schedule": "cosine-by-epoch"}
        | {"precision": "mixed"},
    ),
    # One budget for all nets from LeNet-5 to twenty layers (batches/ladder.yaml)
    "ladder": (
        "one change at a time on CIFAR-10, from LeNet-5 to twenty layers: 10 epochs",
        {"epochs": 10, "weight_decay": 0.05},
    ),
    "ladder-crop-flip": (
        "the same on images that are cropped, and possibly mirrored, at random",
        {"protocol": "crop-flip", "epochs": 10, "weight_decay": 0.05},
    ),
    # Jordan 2024, with rate and weight decay for the mean of a batch in the place of its sum.
    "fast-bfloat16-12": (
        "CIFAR-10 in 20 minutes on two idle cores, with the net cifar10/fast: 12 epochs",
        _CIFAR10
        | {"epochs": 12, "batch_size": 1024, "learning_rate": 1.5, "momentum": 0.85}
        | {"warmup_epochs": 1.8, "schedule": "linear", "weight_decay": 1.33e-3, "shift_rate": 64.0}
        | {"label_smoothing": 0.2, "lookahead": 5, "precision": "bfloat16", "test_views": 6},
    ),
    # Made for no net of the twelve (VGG16 needs small_epochs=0): docs/recipes.md has the sources.
    "short": (
        "the twelve CIFAR-10 nets on two CPU cores: 24 epochs, 16 of them on smaller images",
        _CIFAR10
        | {"epochs": 24, "learning_rate": 0.1, "warmup_epochs": 2.0, "schedule": "linear"}
        | {"weight_decay": 5e-4, "label_smoothing": 0.1, "lookahead": 5}
        | {"small_epochs": 16, "small_size": 16, "precision": "bfloat16", "test_views": 2},
    ),
}

# Transfer learning. Heads on blocks 3 to 5, for each image size: linear and with a hidden layer.
_HEADS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "linear": ({"learning_rate": 2e-3, "weight_decay": 0.02}, {}),
    "mlp": ({"learning_rate": 1e-3, "weight_decay": 0.6}, {"hidden": 1024, "dropout": 0.5}),
}
_BLOCKS_345 = {"protocol": "crop-alternating", "learning_rate": 4e-4, "warmup_epochs": 0.5} | {
    "weight_decay": 0.05,
    "label_smoothing": 0.1,
    "test_views": 2,
}
_AFTER_HEAD_32 = {"trainable": "blocks345", "batch_norm": True, "init_from": "frozen-32-all-mlp"}
_FROM_VGG16: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "quick-frozen": (
        "a head on frozen VGG16, 32x32: the notebook's default",
        {"epochs": 20, "batch_size": 32, **_HEADS["linear"][0]},
        {},
    ),
    "quick-fine-tuned": (
        "VGG16's last block is trained too, for one epoch, 32x32: the notebook's default",
        {"protocol": "crop-flip", "epochs": 1, "batch_size": 32, "learning_rate": 1e-4}
        | {"warmup_epochs": 0.5, "weight_decay": 0.05},
        {"trainable": "block5", "init_from": "quick-frozen"},
    ),
    **{
        f"frozen-{size}-all-{kind}": (
            f"a {kind if kind == 'linear' else 'hidden-layer'} head on frozen VGG16, {size}x{size}",
            own | {"epochs": 30, "batch_size": 256},
            head | {"image_size": size},
        )
        for size in (32, 64, 96)
        for kind, (own, head) in _HEADS.items()
    },
    **{
        f"frozen-{size}-quarters": (
            f"a hidden-layer head on quarters of VGG16's maps, mirrored too, {size}x{size}",
            _HEADS["mlp"][0] | {"epochs": 15, "batch_size": 256},
            _HEADS["mlp"][1] | {"image_size": size, "pool_grid": 2, "mirrored": True},
        )
        for size in (32, 64)
    },
    "fine-tuned-32": (
        "VGG16's last three blocks are trained too, 32x32",
        _BLOCKS_345 | {"epochs": 6},
        _AFTER_HEAD_32,
    ),
    "fine-tuned-32-12": ("the same for 12 epochs", _BLOCKS_345 | {"epochs": 12}, _AFTER_HEAD_32),
    "fine-tuned-64": (
        "fine-tuned-32 trained further at 64x64",
        _BLOCKS_345 | {"epochs": 5},
        _AFTER_HEAD_32 | {"image_size": 64, "init_from": "fine-tuned-32"},
    ),
}
RECIPES: dict[str, Recipe] = {
    name: Recipe(name=name, about=about, **settings, transfer=transfer)
    for name, (about, settings, transfer) in (
        {name: (*each, None) for name, each in _FROM_SCRATCH.items()} | _FROM_VGG16
    ).items()
}
