"""Answers to exercises: right ones in every sensible form, and the usual wrong ones."""

import fractions
import functools

import keras
import numpy as np
import pytest

from cnnlib import exercises, models
from cnnlib.errors import InputError

GIGABYTES = exercises.seal(192.85, 0.1, unit="GB")
WIDTH = exercises.seal(1.0967, 0.01, unit="points of error")
PARAMETERS = exercises.seal(61706, wrong={61684: "the biases of the last two layers are missing"})
ERROR = exercises.seal(4.8, 0.05, unit="%")
PAIR = exercises.seal([4, 9], ordered=False)
SHAPE = exercises.seal([3, 3, 120])
THIRDS = exercises.seal([1 / 3, 2 / 3], 0.005)
SAME = exercises.seal("about the same", also=["unchanged"], wrong={"much larger": "count"})
COUNTS = exercises.seal([61706, 3246])
CANDIDATES = exercises.seal(3_000_000, 50_000)


RIGHT = [
    # 192.9 as the solution prints it
    (GIGABYTES, [192.85, 192.9, "192.85 GB", np.float32(192.85)]),
    (WIDTH, [1.0967, "1.10", "1,10", "about 1.1 points"]),
    (PARAMETERS, [61706, 61706.0, np.array([61706], np.uint16), [61706], "61,706", "61 706"]),
    (PARAMETERS, ["61_706 parameters", "6.1706e4", keras.ops.array(61706), "61.706", "６１７０６"]),
    (ERROR, ["4.8 %", "4.8%", 4.75, 4.85]),
    (PAIR, ["4 9", "9 and 4", "(4, 9)", (9, 4), {4, 9}, np.array([[4], [9]]), ["4", "9"]]),
    (PAIR, ["4-9", "4/9", "4,9", "9 – 4", "4 -> 9", np.array([9, 4], np.uint8)]),
    (COUNTS, ["61,706 and 3,246", "61.706; 3.246", "61 706, 3 246", ["61,706", "3,246"]]),
    (CANDIDATES, ["3 million", "3M", "3 x 10^6", "3·10⁶", "3*10**6", "300만", "3,000 thousand"]),
    (exercises.seal(1_000_000), ["10^6", "10 ** 6", "1e6", "10⁶", "1 000 000"]),
    (SHAPE, [(3, 3, 120), [3.0, 3.0, 120.0], "3x3x120", "3, 3, 120"]),
    (THIRDS, [[0.33, 0.67], [fractions.Fraction(1, 3), fractions.Fraction(2, 3)]]),
    (exercises.seal(1.097, 0.001), ["1,097"]),
    (exercises.seal(1097), ["1,097"]),
    (SAME, [" About the  same. ", "about-the-same", "Unchanged!"]),
    (exercises.seal(-0.5, 0.01), ["-0.5", "\u22120.5"]),
]


@pytest.mark.parametrize(("sealed", "answers"), RIGHT)
def test_right_answers(sealed, answers, capsys):
    for answer in answers:
        assert exercises.check(answer, sealed) is True, answer
        assert capsys.readouterr().out.startswith("Right.")


NO = "is not the answer"
WRONG = [
    (GIGABYTES, {192.6: "close, but not within", 192.85e9: "Look at the unit", 12.34: NO}),
    (WIDTH, {1.08: "close", 2.19: NO, -1.0967: "look at the sign"}),
    (PARAMETERS, {61707: "off by one", 61705.6: NO, 61684: "the biases of the last two layers"}),
    (PARAMETERS, {61.706: "Look at the unit", "sixty": NO, 10**400: NO, "4-9": "read as 4 and 9"}),
    (ERROR, {float("nan"): "no finite number", float("inf"): "no finite number", 95.2: NO}),
    (ERROR, {0.048: "per cent or a share", (lambda: 4): NO, 1j: NO, (): NO}),
    (PAIR, {"4 8": NO, "4": "is read as 4.", (4, 9, 9): "is read as 4 and 9 and 9"}),
    (PAIR, {object(): NO, ((1, 2), (3,)): NO}),
    (SHAPE, {(120, 3, 3): "their order is not"}),
    (THIRDS, {(1 / 3, 1 / 3): NO}),
    (SAME, {"much larger": "count", "": NO, "as before": "one of 'about the same', 'much larger'"}),
    (exercises.seal(1), {True: NO}),
]


@pytest.mark.parametrize(("sealed", "answers"), WRONG)
def test_wrong_answers(sealed, answers, capsys):
    for answer, remark in answers.items():
        assert exercises.check(answer, sealed, hint="Count again.") is False
        printed = capsys.readouterr().out
        assert printed.startswith("Not yet: ") and remark in printed, answer
        assert printed.endswith("Count again.\n")


def test_without_an_answer_the_kind_and_the_tolerance_are_told(capsys):
    for sealed, kind in (
        (GIGABYTES, "a number in GB, right within 0.1"),
        (PAIR, "2 numbers in any order"),
        (SAME, "one of 'about the same', 'much larger'"),
    ):
        assert exercises.check(None, sealed) is None
        assert capsys.readouterr().out == f"{exercises.NO_ANSWER} The answer is {kind}.\n"


def test_the_answer_cannot_be_read_in_the_notebook():
    for answer in ("about the same", 61706, [4, 9]):
        sealed = exercises.seal(answer)
        assert "same" not in sealed and "61706" not in sealed
        assert exercises.check(answer, sealed)
    assert exercises.seal(1, 0) != exercises.seal(2, 0)


def test_a_damaged_seal_and_a_missing_tolerance_are_refused():
    for sealed in ("", "a753b128", GIGABYTES[:-2], GIGABYTES.swapcase(), None):
        with pytest.raises(InputError, match="is no sealed answer"):
            exercises.check(1, sealed)
    with pytest.raises(InputError, match="is not whole: give the tolerance"):
        exercises.seal(1.5)


# Functions


def shifted(images, pixels):
    moved = np.zeros_like(images)
    moved[:, :, pixels:] = images[:, :, : images.shape[2] - pixels]
    return moved


def in_place(images, pixels):
    images[:] = shifted(images, pixels)
    return images


IMAGES = np.random.RandomState(0).randint(1, 256, (3, 28, 28, 1), np.uint8)
CASES = [((IMAGES, pixels), shifted(IMAGES, pixels)) for pixels in (1, 3)]


def test_functions_that_are_right(capsys):
    for convert in (np.asarray, np.ndarray.tolist, keras.ops.array):
        assert exercises.check_function(lambda *given, c=convert: c(shifted(*given)), CASES)
        assert capsys.readouterr().out == "Right, in 2 cases, within 1e-06.\n"


@pytest.mark.parametrize(
    ("function", "remark"),
    [
        (lambda images, pixels: np.roll(images, pixels, 2), "places, first at [0, 0, 0, 0]"),
        (lambda images, pixels: None, "returns None: end with return"),
        (lambda images, pixels: images[0], "returns the shape (28, 28, 1)"),
        (lambda images, pixels: 1 / 0, "raises ZeroDivisionError"),
        (lambda images, pixels: "moved", "which is not numbers"),
        (in_place, "changes its argument"),
        (3, "The answer is a function."),
    ],
)
def test_functions_that_are_wrong(function, remark, capsys):
    assert exercises.check_function(function, CASES, hint="Look at the columns.") is False
    printed = capsys.readouterr().out
    assert remark in printed and printed.endswith("Look at the columns.\n")


def test_a_small_result_is_shown_beside_the_expected_one(capsys):
    exercises.check_function(lambda scores: scores, [([np.array([1.0, 3.0])], [0.1192, 0.8808])])
    printed = capsys.readouterr().out
    assert "([1.0, 3.0]): returns [1.0, 3.0], and [0.1192, 0.8808] was expected" in printed
    assert exercises.check_function(None, CASES) is None


# Nets


def net(shape, *layers):
    """Build a Sequential net: 120 is a dense layer, "tanh" an activation, (6, 5) a convolution."""
    made = [keras.Input(shape)]
    for layer in layers:
        if isinstance(layer, int):
            layer = keras.layers.Dense(layer)
        elif isinstance(layer, str):
            layer = keras.layers.Activation(layer)
        elif isinstance(layer, tuple):
            layer = keras.layers.Conv2D(*layer)
        elif not isinstance(layer, keras.layers.Layer):
            layer = layer()
        made.append(layer)
    return keras.Sequential(made)


FLAT, MEAN, LARGEST = keras.layers.Flatten, keras.layers.AveragePooling2D, keras.layers.MaxPooling2D
C5, DENSE_C5 = [(120, 5), "tanh", FLAT], [FLAT, 120, "tanh"]


def lenet5(pool=MEAN, again=("tanh",), c5=C5, activation="tanh", end=()):
    blocks = [(6, 5), activation, pool(2), *again, (16, 5), activation, pool(2), *again]
    return net((32, 32, 1), *blocks, *c5, 84, activation, 10, *end)


def stages(maps=(16, 32), norm=False, pool_first=False):
    x = images = keras.Input((16, 16, 3))
    for each in maps:
        x = keras.layers.Conv2D(each, 3, padding="same")(x)
        x = keras.layers.BatchNormalization()(x) if norm else x
        steps = [keras.layers.ReLU(), LARGEST(2)]
        for step in steps[::-1] if pool_first else steps:
            x = step(x)
    return keras.Model(images, keras.layers.Dense(10)(keras.layers.Flatten()(x)))


def shortcut(order=(0, 1)):
    x = keras.Input((8, 8, 4))
    ends = [x, keras.layers.Conv2D(4, 3, padding="same")(x)]
    return keras.Model(x, keras.layers.Add()([ends[k] for k in order]) if order else ends[1])


DROP, LESS = (functools.partial(keras.layers.Dropout, rate) for rate in (0.5, 0.2))


def head(*between):
    return net((1024,), 128, *(between or ("relu", DROP)), 10)


# The net that is asked for; others that compute the same; wrong ones, with what is said of them.
NETS = {
    "02": (
        lambda: net((28, 28, 1), FLAT, 10),
        [lambda: net((28, 28, 1), FLAT, 10, "softmax")],
        {
            "its input is [20, 20, 1], and [28, 28, 1]": lambda: net((20, 20, 1), FLAT, 10),
            "look at the activation after dense": lambda: net((28, 28, 1), FLAT, 10, "relu"),
        },
    ),
    "lenet-5": (
        lambda: models.build("lenet-5"),
        [lenet5, lambda: lenet5(c5=DENSE_C5), lambda: net((32, 32, 1), lenet5(end=["softmax"]))],
        {
            "after average_pooling2d": lambda: lenet5(again=()),
            "the kind of max_pooling2d": lambda: lenet5(LARGEST),
            ": sigmoid": lambda: lenet5(activation="sigmoid"),
            "the filters of C1: 4": lambda: models.build("lenet-4"),
            "its output is [5], and [10] was": lambda: models.build("lenet-5", classes=5),
        },
    ),
    "07": (
        stages,
        [lambda: stages(pool_first=True)],
        {
            "batch norm was not asked for": lambda: stages(norm=True),
            "the filters of conv2d": lambda: stages((16, 16)),
            "the kind of conv2d": lambda: stages((16, 32, 64)),
        },
    ),
    "shortcut": (
        shortcut,
        [lambda: shortcut((1, 0))],
        {"something is missing: Add": lambda: shortcut(())},
    ),
    "08": (
        head,
        [lambda: head(DROP, "relu")],
        {
            "it is right but for dropout": lambda: head("relu"),
            "its rate": lambda: head("relu", LESS),
            "and place": lambda: net((1024,), DROP, 128, "relu", 10),
            "none, dropout": lambda: head(DROP),
        },
    ),
}


@pytest.mark.parametrize("exercise", NETS)
def test_a_net_is_judged_by_what_it_computes(exercise, capsys):
    right, same, wrong = NETS[exercise]
    sealed = exercises.seal_net(right())
    for make in [right, *same]:
        assert exercises.check_net(make(), sealed) is True
        assert capsys.readouterr().out == f"Right: {right().count_params():,} parameters.\n"
    for remark, make in wrong.items():
        assert exercises.check_net(make(), sealed, hint="Print its summary.") is False
        printed = capsys.readouterr().out
        assert remark in printed and printed.endswith("Print its summary.\n")


def test_what_is_no_net_is_told_and_a_trained_net_keeps_its_weights(capsys):
    sealed = exercises.seal_net(lenet5())
    unbuilt = keras.Sequential([keras.layers.Dense(3)])
    for answer in (unbuilt, 61706, lenet5, [lenet5()]):
        assert exercises.check_net(answer, sealed) is False
        assert "The answer is a keras.Model with one output and one" in capsys.readouterr().out
    assert exercises.check_net(None, sealed) is None
    trained = lenet5()
    before = trained.get_weights()
    assert exercises.check_net(trained, sealed)
    np.testing.assert_equal(trained.get_weights(), before)


def test_a_measured_error_below_a_limit(capsys):
    assert exercises.check_below("1.2 %", 1.5) is True
    assert exercises.check_below(None, 1.5) is None
    for value, remark in (
        (1.5, "Not yet: 1.5 % is not below 1.5 %."),
        (98.9, "Is it the share of right answers?"),
        (0.1187, "a share"),  # of a net that errs too often
        (float("nan"), "a number in %"),
        ("little", "a number in %"),
    ):
        assert exercises.check_below(value, 1.5) is False
        assert remark in capsys.readouterr().out
    assert exercises.check_below(0.37, 0.38, unit="cross-entropy") is True
