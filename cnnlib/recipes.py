"""Recipes: how a net is trained, as data.

A recipe is chosen on a validation split of the training set (docs/recipes.md) and used unchanged for every net that names it. Importing
this module is light, so that a batch file is checked without waiting for Keras.
"""

import dataclasses

from cnnlib.errors import InputError, check_name

CROPPED = {
    "crop-flip": 4,
    "crop-alternating": 2,
}  # protocols of colour images: pixels of black on every side before the crop
PROTOCOLS = {
    "plain": "the images as they are",
    "deslanted": "all images are deslanted",
    "distorted": "each training image is distorted anew in each epoch",
    "crop-flip": "each training image is cropped and, or not, mirrored, at random in each epoch",
    "crop-alternating": "each training image is cropped at random, and mirrored in every other epoch",
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All that decides how a net is trained, but for the seed."""

    name: str
    about: str  # one line for listings: what it is for
    protocol: str = "plain"  # one of PROTOCOLS
    epochs: int = 20
    batch_size: int = 128
    optimizer: str = "adamw"  # or sgd; or torch-sgd, as PyTorch defines it: weight decay is part of the gradient, momentum of gradients
    learning_rate: float = 5e-3  # the peak
    warmup_epochs: float = 1.0  # linear from 0 to the peak
    schedule: str = "cosine"  # from the peak to 0 at the last step; cosine-by-epoch; constant; lecun-1998: LECUN_1998_RATES
    weight_decay: float = 0.2  # decoupled (but for torch-sgd), on every trained weight
    momentum: float = 0.9  # of sgd
    nesterov: int = 0  # 1: look ahead (of torch-sgd)
    label_smoothing: float = 0.0  # part of the target that all classes share
    precision: str = (
        "float32"  # or mixed: float16 for the work, float32 for the weights, where there is a GPU
    )
    test_views: int = 1  # of a test image, whose logits are averaged: 2: with its mirror image; 6: these also moved by a pixel

    @property
    def row_protocol(self):
        """The ledger's protocol."""
        return self.protocol

    def __post_init__(self):
        check_name("protocol", self.protocol, PROTOCOLS)
        check_name("optimizer", self.optimizer, ("adamw", "sgd", "torch-sgd"))
        check_name(
            "schedule", self.schedule, ("cosine", "cosine-by-epoch", "constant", "lecun-1998")
        )
        check_name("precision", self.precision, ("float32", "mixed"))
        if self.test_views not in (1, 2, 6) or isinstance(self.test_views, bool):
            raise InputError(
                f"recipe {self.name}: test_views must be 1, 2 or 6, got {self.test_views!r}"
            )
        self._check_whole_numbers(
            {"epochs": (1, None), "batch_size": (1, None), "nesterov": (0, 1)}
        )
        for field in (
            "learning_rate",
            "warmup_epochs",
            "weight_decay",
            "momentum",
            "label_smoothing",
        ):
            value = getattr(self, field)
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or not 0 <= value < float("inf")
            ):
                raise InputError(
                    f"recipe {self.name}: {field} must be a number of at least 0, got {value!r}"
                )

    def _check_whole_numbers(self, bounds):
        """Raise InputError unless each of these fields is a whole number within its (least, most), where most may be None."""
        for field, (least, most) in bounds.items():
            value = getattr(self, field)
            if (
                isinstance(value, bool)
                or not isinstance(value, int)
                or value < least
                or (most is not None and value > most)
            ):
                upper = "" if most is None else f" and at most {most}"
                raise InputError(
                    f"recipe {self.name}: {field} must be a whole number of at least {least}{upper}, got {value!r}"
                )


@dataclasses.dataclass(frozen=True)
class Transfer(Recipe):
    """How VGG16, trained on ImageNet, is used on other images (cnnlib.transfer); Recipe's fields say how the part that learns does."""

    image_size: int = 32  # the side in pixels to which images are resized
    # Of the head; where more than the head is trained, those of the recipe `head` count.
    blocks: str = "345"  # the blocks whose maps the head sees, as digits: means of the maps of S16 (3), S23 (4), S30 (5)
    hidden: int = 0  # units of the head's hidden layer; 0: none, a linear head
    dropout: float = 0.0  # after the hidden layer
    places: int = (
        1  # the head sees the means of so many by so many parts of each map; 1: of the whole map
    )
    mirrored: int = 0  # 1: a head on a frozen base learns from the mirror images too, and answers by the mean of its logits for both
    trained: str = "head"  # or, with it, block5, the last block; or blocks345; or all
    head: str = ""  # where more than the head is trained: the recipe that the head, or more, was trained by before
    batch_norm: int = 0  # 1: while the base learns there is batch norm after each convolution that does (`transfer.put_batch_norm`)

    def __post_init__(self):
        super().__post_init__()
        check_name("part of the net to train", self.trained, ("head", "block5", "blocks345", "all"))
        if self.trained == "head" and (self.protocol != "plain" or self.test_views != 1):
            raise InputError(
                f"recipe {self.name}: a frozen base sees every image once, as it is: protocol plain, test_views 1"
            )
        if (self.trained == "head") == bool(self.head):
            raise InputError(
                f"recipe {self.name}: head must name the recipe that trained the head before, where trained is not head"
            )
        if "," in self.head:  # in a name, nobody could tell whose changes they are
            raise InputError(
                f"recipe {self.name}: head must be the name of a recipe without changes, got {self.head!r}"
            )
        if not self.blocks or self.blocks not in ("3", "4", "5", "34", "35", "45", "345"):
            raise InputError(
                f"recipe {self.name}: blocks must be digits from 3 to 5 in order, such as 345, got {self.blocks!r}"
            )
        head_alone = self.trained == "head"
        switches = {
            "batch_norm": (not head_alone, "trained is head"),
            "mirrored": (head_alone, "more than the head is trained"),
        }
        for field, (allowed, elsewhere) in switches.items():
            value = getattr(self, field)
            if value not in (0, 1) or isinstance(value, bool) or (value and not allowed):
                raise InputError(
                    f"recipe {self.name}: {field} must be 0 or 1, and 0 where {elsewhere}, got {value!r}"
                )
        self._check_whole_numbers(
            {"image_size": (32, None), "hidden": (0, None), "places": (1, None)}
        )
        if (
            isinstance(self.dropout, bool)
            or not isinstance(self.dropout, int | float)
            or not 0 <= self.dropout < 1
        ):
            raise InputError(
                f"recipe {self.name}: dropout must be a number from 0 to less than 1, got {self.dropout!r}"
            )

    @property
    def row_protocol(self):
        """The ledger's protocol, such as frozen-32."""
        return f"{'frozen' if self.trained == 'head' else 'fine-tuned'}-{self.image_size}"


# LeCun et al. 1998, section III-B: 0.0005 in passes 1 and 2, 0.0002 in 3 to 5, 0.0001 in 6 to 8, 0.00005 in 9 to 12, then 0.00001; here
# as parts of the recipe's rate: (last pass, part).
LECUN_1998_RATES = ((2, 1.0), (5, 0.4), (8, 0.2), (12, 0.1), (None, 0.02))

# How they were chosen, and what they reach on validation images: docs/recipes.md.
_SMALL = {"learning_rate": 1e-2, "weight_decay": 0.03}
RECIPES = {
    r.name: r
    for r in (
        Recipe(
            "quick",
            "the notebooks' default: a few passes, about a minute",
            epochs=6,
            weight_decay=0.05,
        ),
        Recipe("plain", "the images as they are, 20 passes"),
        Recipe(
            "plain-small",
            "the same for nets too small to overfit: the linear ones and LeNet-1",
            **_SMALL,
        ),
        Recipe("deslanted", "images deslanted by their moments, 20 passes", protocol="deslanted"),
        Recipe(
            "deslanted-small",
            "the same for the linear nets and LeNet-1",
            protocol="deslanted",
            **_SMALL,
        ),
        Recipe(
            "distorted",
            "another random distortion of each image in every pass, 40 passes",
            "distorted",
            epochs=40,
            weight_decay=0.05,
        ),
        Recipe(
            "distorted-small",
            "the same for the linear nets and LeNet-1",
            "distorted",
            epochs=40,
            learning_rate=1e-2,
            weight_decay=0.0,
        ),
        Recipe(
            "boosted",
            "the same for each of the three nets of a boosted one, 20 passes",
            "distorted",
            weight_decay=0.05,
        ),
        # The paper takes one image at a time at a rate of 0.0005. Ten at a time, at ten times the rate for their mean, is nearly the same
        # walk in a fifth of the time.
        Recipe(
            "lecun-1998",
            "the 1998 paper's rates, pass by pass, under plain SGD: for the nets in the paper's form",
            batch_size=10,
            optimizer="sgd",
            momentum=0.0,
            learning_rate=0.005,
            warmup_epochs=0.0,
            schedule="lecun-1998",
            weight_decay=0.0,
        ),
        # The recipe of the project whose table the lecture quotes, as its code is today.
        Recipe(
            "benchmark",
            "the CIFAR-10 benchmark's own: SGD, 200 epochs, random crops and flips; for a GPU",
            "crop-flip",
            epochs=200,
            optimizer="torch-sgd",
            learning_rate=0.1,
            warmup_epochs=0.0,
            schedule="cosine-by-epoch",
            weight_decay=5e-4,
            precision="mixed",
        ),
        Recipe(
            "fast",
            "CIFAR-10 on two CPU cores in three quarters of an hour, with the net cifar10/fast",
            "crop-alternating",
            epochs=8,
            batch_size=512,
            optimizer="torch-sgd",
            learning_rate=0.4,
            warmup_epochs=2.0,
            weight_decay=1e-3,
            nesterov=1,
            label_smoothing=0.2,
            test_views=6,
        ),
    )
}


# Transfer learning. Heads: each size, with each block alone and with all three, linear and with a hidden layer.
_HEADS = {
    "linear": {"learning_rate": 2e-3, "weight_decay": 0.02},
    "mlp": {"learning_rate": 1e-3, "weight_decay": 0.6, "hidden": 1024, "dropout": 0.5},
}
_FINE_TUNED = {
    "protocol": "crop-flip",
    "epochs": 5,
    "batch_size": 64,
    "learning_rate": 1e-4,
    "weight_decay": 0.05,
}
_BLOCKS_TRAINED = _FINE_TUNED | {
    "trained": "blocks345",
    "batch_norm": 1,
    "protocol": "crop-alternating",
    "batch_size": 128,
}
_BLOCKS_TRAINED |= {
    "learning_rate": 4e-4,
    "warmup_epochs": 0.5,
    "label_smoothing": 0.1,
    "test_views": 2,
}
RECIPES |= {
    r.name: r
    for r in (
        Transfer(
            "quick-frozen",
            "a head on frozen VGG16, 32x32: the notebook's default",
            epochs=20,
            batch_size=32,
            **_HEADS["linear"],
        ),
        Transfer(
            *(
                "quick-fine-tuned",
                "VGG16's last block learns on for a pass, 32x32: the notebook's default",
            ),
            **_FINE_TUNED
            | {
                "epochs": 1,
                "batch_size": 32,
                "warmup_epochs": 0.5,
                "trained": "block5",
                "head": "quick-frozen",
            },
        ),
        *(
            Transfer(
                f"frozen-{size}-{'all' if blocks == '345' else f'block{blocks}'}-{kind}",
                f"a {kind if kind == 'linear' else 'hidden-layer'} head on frozen VGG16, {size}x{size}",
                **settings
                | {"epochs": 30, "batch_size": 256, "image_size": size, "blocks": blocks},
            )
            for size in (32, 64, 96)
            for blocks in ("3", "4", "5", "345")
            for kind, settings in _HEADS.items()
        ),
        *(
            Transfer(
                f"frozen-{size}-quarters",
                f"the hidden-layer head on each quarter of the maps of frozen VGG16, mirror images too, {size}x{size}",
                **_HEADS["mlp"]
                | {"epochs": 15, "batch_size": 256, "image_size": size, "places": 2, "mirrored": 1},
            )
            for size in (32, 64)
        ),
        Transfer(
            *("fine-tuned-32", "VGG16's last three blocks learn on, 32x32"),
            **_BLOCKS_TRAINED | {"epochs": 6, "head": "frozen-32-all-mlp"},
        ),
        Transfer(
            *("fine-tuned-32-block5", "VGG16's last block learns on, 32x32"),
            trained="block5",
            head="frozen-32-all-mlp",
            **_FINE_TUNED,
        ),
        Transfer(
            *("fine-tuned-64", "they learn on at 64x64 after they have at 32x32"),
            **_BLOCKS_TRAINED | {"image_size": 64, "epochs": 5, "head": "fine-tuned-32"},
        ),
    )
}


def recipe_names():
    """The names that `recipe` takes."""
    return list(RECIPES)


def recipe(name, **changes):
    """Return the recipe of that name, with some fields changed: `recipe("plain", epochs=3)`, or `recipe("plain,epochs=3")`.

    The second is how a changed recipe is named in the ledger, so that a command can make its row again.
    Raises InputError for an unknown name or field, or a value out of range.
    """
    name, *written = name.split(",")
    base = RECIPES[check_name("recipe", name, RECIPES)]
    changes = dict(_read_change(base, text) for text in written) | changes
    for field in changes:
        check_name("recipe field", field, _changeable(base))
    changed = {k: v for k, v in changes.items() if v != getattr(base, k)}
    suffix = "".join(f",{k}={v}" for k, v in sorted(changed.items()))
    return dataclasses.replace(base, name=name + suffix, **changed)


def _changeable(base):
    return [field.name for field in dataclasses.fields(base)][
        2:
    ]  # all but the name and what it is for


def _read_change(base, text):
    """("epochs", 3) from "epochs=3": a value of the type that the field has in the recipe `base`."""
    field, _, value = text.partition("=")
    kind = type(getattr(base, check_name("recipe field", field, _changeable(base))))
    try:
        return field, kind(value)
    except ValueError:
        raise InputError(
            f"recipe {base.name}: {field} is like {getattr(base, field)!r}, not {value!r}"
        ) from None
