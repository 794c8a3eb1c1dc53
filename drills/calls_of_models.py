"""Generate wrong calls of cnnlib.models, cnnlib.preprocessing and cnnlib.augment, and judge them.

    python -m drills.calls_of_models 10000 [--seed 0]

In each call one or two arguments of a valid one are replaced by something drawn at random, or left
out, or one that does not exist is added. The call is wrong unless the drawn values happen to be
valid, and then it must raise InputError; any other error, and any answer, is a fault.
"""

import argparse
import collections
import math
import pathlib
import warnings

from cnnlib import augment, models, preprocessing, recipes
from cnnlib.errors import InputError
from cnnlib.models.cifar10 import Whitening
from cnnlib.models.committee import committee, members

import keras  # isort: skip
import numpy as np  # isort: skip

DIGITS = np.zeros((3, 28, 28, 1), np.uint8)
COLOUR = np.zeros((3, 32, 32, 3), np.uint8)
FLOATS = np.zeros((3, 32, 32, 3), np.float32)
JUNK = [
    *(None, True, False, -1, 0, 1, 2, 3, 10, 11, 0.5, -0.0, math.nan, math.inf, 2**40, 10**30, 1j),
    *("", "no", "full", "plain", "lenet-5", "a/b", "32x32", "tanh", "\0", "x" * 5000, b"rgb"),
    *(
        [],
        [1],
        [0, 1],
        (),
        (1, 2),
        (28, 28, 1),
        (32, 32, 3),
        [32, 32, 1],
        (0, 32, 1),
        (32, 32.0, 1),
    ),
    *(
        (10**9, 32, 1),
        (None, None, 3),
        (-1, -1, -1),
        {},
        {"a": 1},
        {1, 2},
        range(3),
        object(),
        print,
    ),
    *(np.float64(3), np.int64(10), np.bool_(True), np.zeros(0), np.array(None), np.array("rgb")),
    *(np.zeros((2, 2)), DIGITS, DIGITS[0], DIGITS[:0], DIGITS.astype(float), COLOUR, FLOATS),
    *(FLOATS * np.nan, np.zeros((3, 0, 0, 1), np.uint8), np.zeros((3, 28, 28, 2), np.uint8)),
    *(np.full((3, 28, 28, 1), 255, np.uint8), np.zeros((2, 5, 5, 1), np.uint8)),
    *(pathlib.Path("nowhere"), pathlib.Path("."), recipes.recipe("plain"), keras.layers.ReLU()),
    *(augment.Distortion(), int, keras.Model, ValueError("x"), iter([1])),
]


def whole(low, high):
    """Return a check for whole numbers from low to high."""
    return lambda v: (
        isinstance(v, (int, np.integer)) and not isinstance(v, bool) and low <= v <= high
    )


def one_of(*known):
    """Return a check for these texts, or True and False, or None."""
    return lambda v: any(type(v) is type(each) and v == each for each in known)


def shape(smallest):
    """Return a check for (height, width, channels)."""
    return lambda v: (
        isinstance(v, (tuple, list))
        and len(v) == 3
        and all(whole(1, 4096)(n) for n in v)
        and min(v[:2]) >= smallest
    )


def array(dtype, *sizes):
    """Return a check for arrays: each size is that of an axis, or None for any of at least 1."""
    return lambda v: (
        isinstance(v, np.ndarray)
        and v.dtype == dtype
        and v.ndim == len(sizes) + 1
        and all(n and size in (None, n) for n, size in zip(v.shape[1:], sizes, strict=True))
        and (dtype == np.uint8 or bool(np.isfinite(v).all()))
    )


def text(v):
    return isinstance(v, str) and v != "" and "/" not in v and v.isprintable()


NET = models.build("linear-20x20")
NETS = tuple(models.build("linear-20x20") for _ in range(3))
WHITENING = Whitening(2)
WHITENING.build((None, 32, 32, 3))
BOOL, SEED = one_of(True, False), whole(0, 2**32 - 1)
NOTHING = one_of()
CLASSES, UINT8 = whole(2, 100_000), array(np.uint8, None, None, None)
CHOICES = {
    "connections": one_of("full", "paper"),
    "subsampling": one_of("average", "trainable"),
    "activation": one_of("tanh", "scaled_tanh", "relu"),
    "initializer": one_of("glorot_uniform", "lecun_1998"),
}
LENET = {"connections": "full", "subsampling": "trainable", "activation": "tanh"}
LENET |= {"initializer": "glorot_uniform", "classes": 10, "name": "net"}
LENET_CHECKS = {**CHOICES, "classes": CLASSES, "name": text}


def is_text(v):
    return isinstance(v, str)


def is_model(v):
    return isinstance(v, keras.Model)


def seeds(v):
    return SEED(v) or (isinstance(v, tuple) and len(v) > 0 and all(map(SEED, v)))


def small(v):
    """Whether a box of 20x20 holds the ink of such digits, as it does not hold a full image."""
    return array(np.uint8, None, None, 1)(v) and min(v.shape[1:3]) >= 20 and not v.any()


# name: (function, a valid call, what each argument may be)
CALLS = {
    "LeNet1": (
        models.LeNet1,
        {"input_shape": (28, 28, 1), **LENET},
        {"input_shape": shape(16), **LENET_CHECKS},
    ),
    "LeNet4": (
        models.LeNet4,
        {"input_shape": (32, 32, 1), **LENET},
        {"input_shape": shape(16), **LENET_CHECKS},
    ),
    "LeNet5": (
        models.LeNet5,
        {"input_shape": (32, 32, 1), "output": "logits", **LENET},
        {"input_shape": shape(32), "output": one_of("logits", "rbf"), **LENET_CHECKS},
    ),
    "Linear": (
        models.Linear,
        {"input_shape": (20, 20, 1), "classes": 10, "name": "net"},
        {"input_shape": shape(1), "classes": CLASSES, "name": text},
    ),
    "MLP": (
        models.MLP,
        {"hidden": (3, 2), "input_shape": (9, 9, 1), "activation": "relu", "classes": 4},
        {
            "hidden": lambda v: (
                isinstance(v, (tuple, list)) and len(v) > 0 and all(whole(1, 10**6)(n) for n in v)
            ),
            "input_shape": shape(1),
            "activation": CHOICES["activation"],
            "classes": CLASSES,
        },
    ),
    "MobileNetV2": (
        models.cifar10.MobileNetV2,
        {"input_shape": (32, 32, 3), "classes": 10},
        {"input_shape": shape(8), "classes": CLASSES},
    ),
    "build": (
        models.build,
        {"name": "lenet-1", "input_shape": (28, 28, 1), "classes": 10},
        {"name": one_of(*models.names()), "input_shape": shape(16), "classes": CLASSES},
    ),
    "net": (models.net, {"name": "lenet-5"}, {"name": one_of(*models.names())}),
    "input_format": (models.input_format, {"name": "vgg16"}, {"name": one_of(*models.names())}),
    "load_trained": (
        models.load_trained,
        {"name": "lenet-5", "recipe": "plain"},
        {"name": one_of("lenet-5"), "recipe": one_of("plain")},
    ),
    "load": (models.load, {"path": models.trained_path("lenet-5", "plain")}, {"path": NOTHING}),
    "trained_path": (
        models.trained_path,
        {"name": "lenet-5", "recipe": "plain"},
        {"name": is_text, "recipe": is_text},
    ),
    "vgg16_weights": (
        models.vgg16_weights,
        {"weights": "nowhere.npz", "include_top": False, "classes": 10},
        {"weights": NOTHING, "include_top": BOOL, "classes": CLASSES},
    ),
    "layer_table": (models.layer_table, {"model": NET}, {"model": is_model}),
    "multiply_adds": (models.multiply_adds, {"model": NET}, {"model": is_model}),
    "describe": (models.describe, {"model": NET}, {"model": is_model}),
    "scores": (
        models.scores,
        {"model": NET, "outputs": np.zeros((2, 3), "float32")},
        {"model": is_model, "outputs": lambda v: isinstance(v, np.ndarray) and v.ndim == 2},
    ),
    "committee": (committee, {"nets": NETS, "name": "three"}, {"nets": NOTHING, "name": text}),
    "members": (members, {"model": committee(NETS, "three")}, {"model": NOTHING}),
    "RBFOutput": (models.RBFOutput, {"classes": 10}, {"classes": whole(2, 10)}),
    "RBFLoss": (
        models.RBFLoss,
        {"j": 0.1},
        {"j": lambda v: isinstance(v, (int, float, np.number)) and v is not True and 0 < v < 1e300},
    ),
    "VGGPreprocessing": (
        models.VGGPreprocessing,
        {"image_size": 32},
        {"image_size": lambda v: v is None or whole(1, 10**4)(v)},
    ),
    "TableConvolution": (
        models.layers.TableConvolution,
        {"table": [[0], [0, 1]], "kernel_size": 3},
        {"table": NOTHING, "kernel_size": whole(1, 1024)},
    ),
    "TrainableSubsampling": (
        models.layers.TrainableSubsampling,
        {"inputs": [0, 0]},
        {
            "inputs": lambda v: (
                v is None
                or (
                    isinstance(v, (tuple, list))
                    and len(v) > 0
                    and all(whole(0, 10**40)(n) for n in v)
                )
            )
        },
    ),
    "adapt": (
        WHITENING.adapt,
        {"images": np.random.RandomState(0).uniform(size=(9, 8, 8, 3)), "count": 5},
        {"images": lambda v: array(np.float32, None, None, 3)(v), "count": whole(1, 10**15)},
    ),
    "prepare": (
        preprocessing.prepare,
        {"images": DIGITS, "input_format": "28x28", "deslanted": False},
        {
            "images": array(np.uint8, 28, 28, None),
            "input_format": one_of(*preprocessing.FORMATS),
            "deslanted": BOOL,
        },
    ),
    "prepare_for": (
        preprocessing.prepare_for,
        {"net": "linear-28x28", "recipe": recipes.recipe("plain"), "images": DIGITS},
        {
            "net": one_of(*models.names()),
            "recipe": lambda v: isinstance(v, recipes.Recipe),
            "images": array(np.uint8, 28, 28, None),
        },
    ),
    "grey_levels": (preprocessing.grey_levels, {"images": DIGITS}, {"images": UINT8}),
    "standardise": (
        preprocessing.standardise,
        {"images": COLOUR},
        {"images": array(np.uint8, None, None, 3)},
    ),
    "colour": (
        preprocessing.colour,
        {"images": DIGITS},
        {"images": lambda v: UINT8(v) and v.shape[3] in (1, 3)},
    ),
    "pad_to_32": (
        preprocessing.pad_to_32,
        {"images": DIGITS},
        {"images": array(np.uint8, 28, 28, None)},
    ),
    "deslant": (
        preprocessing.deslant,
        {"images": DIGITS},
        {"images": array(np.uint8, None, None, 1)},
    ),
    "crop_to_20x20": (
        preprocessing.crop_to_20x20,
        {"images": DIGITS, "middle_columns": True},
        {"images": lambda v: array(np.uint8, None, None, 1)(v), "middle_columns": BOOL},
    ),
    "digit_16_in_28": (
        preprocessing.digit_16_in_28,
        {"images": DIGITS, "middle_columns": True},
        {"images": lambda v: array(np.uint8, None, None, 1)(v), "middle_columns": BOOL},
    ),
    "distort": (
        augment.distort,
        {"images": FLOATS, "seed": (1, 2), "distortion": augment.Distortion(), "only": [0]},
        {
            "images": array(np.float32, None, None, None),
            "seed": seeds,
            "distortion": lambda v: isinstance(v, augment.Distortion),
            "only": lambda v: v is None or len(np.shape(v)) == 1,
        },
    ),
    "crop_and_flip": (
        augment.crop_and_flip,
        {"images": FLOATS, "seed": 1, "padding": 2, "mirrored": None, "input_format": "rgb"},
        {
            "images": array(np.float32, None, None, 3),
            "seed": seeds,
            "padding": whole(0, 1024),
            "mirrored": one_of(None),
            "input_format": one_of("cifar10", "rgb"),
        },
    ),
    "Distortion": (
        augment.Distortion,
        dict.fromkeys(("translation", "scaling", "squeezing", "shear"), 0.1),
        dict.fromkeys(
            ("translation", "scaling", "squeezing", "shear"),
            lambda v: (
                isinstance(v, (int, float, np.number))
                and not isinstance(v, bool)
                and 0 <= v < 1e300
            ),
        ),
    ),
}
# What they do not know, Keras (or Python, for a dataclass) refuses in its own words.
OPTIONS_OF_OTHERS = {"RBFOutput", "RBFLoss", "VGGPreprocessing", "TableConvolution"}
OPTIONS_OF_OTHERS |= {"TrainableSubsampling", "Distortion"}
# Where one argument decides what another may be, some calls of valid values are refused too.
MAY_BE_REFUSED = {"prepare", "prepare_for", "crop_to_20x20", "digit_16_in_28", "distort", "build"}
MAY_BE_REFUSED |= {"LeNet1", "LeNet4", "LeNet5", "Linear", "MLP", "MobileNetV2", "layer_table"}
MAY_BE_REFUSED |= {"multiply_adds", "describe", "scores", "adapt", "vgg16_weights", "net"}


def generate(random):
    """Return (name of a function, its arguments, whether they are valid one by one)."""
    name = list(CALLS)[random.randint(len(CALLS))]
    _, valid, checks = CALLS[name]
    arguments, right = dict(valid), True
    kind = random.randint(20)
    if kind == 0 and name not in OPTIONS_OF_OTHERS:
        arguments["no_such_argument"], right = 1, False
    for argument in random.permutation(list(valid))[: 1 if kind < 15 else 2]:
        value = JUNK[random.randint(len(JUNK))]
        arguments[str(argument)] = value
        right = right and bool(checks[argument](value))
    return name, arguments, right


def judge(name, arguments, right):
    """Return what is wrong with the outcome of a call (str), or None."""
    function = CALLS[name][0]
    try:
        function(**arguments)
    except InputError as error:
        if right and name not in MAY_BE_REFUSED:
            return f"refused: {error}"
        return None if str(error).strip() else "an empty message"
    except Exception as error:
        return f"raw {type(error).__name__}: {str(error)[:120]}"
    return None if right else "accepted"


def faults(count, seed=0):
    """Return the faults of `count` generated calls, one text each."""
    random, found = np.random.RandomState(seed), []
    for _ in range(count):
        name, arguments, right = generate(random)
        with warnings.catch_warnings(action="ignore"):
            problem = judge(name, arguments, right)
        if problem:
            changed = {key: value for key, value in arguments.items() if key not in CALLS[name][1]}
            valid = CALLS[name][1]
            changed |= {k: arguments[k] for k in valid if arguments[k] is not valid[k]}
            found.append(
                f"{name}({', '.join(f'{k}={v!r:.60}' for k, v in changed.items())}): {problem}"
            )
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = faults(options.count, options.seed)
    print(*collections.Counter(found).most_common(), sep="\n")
    print(f"{options.count} calls: {len(found)} faults")
