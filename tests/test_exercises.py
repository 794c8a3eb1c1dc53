"""Answers to exercises: right ones in every sensible form, and the usual wrong ones."""

import fractions

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
SAME = exercises.seal("about the same", also=["the same", "no change"])


RIGHT = [
    # 192.9 as the solution prints it
    (GIGABYTES, [192.85, 192.9, "192.85 GB", np.float32(192.85)]),
    (WIDTH, [1.0967, "1.10", "1,10", "about 1.1 points"]),
    (PARAMETERS, [61706, 61706.0, np.array([61706], np.uint16), [61706], "61,706", "61 706"]),
    (PARAMETERS, ["61_706 parameters", "6.1706e4", keras.ops.array(61706)]),
    (ERROR, ["4.8 %", "4.8%", 4.75, 4.85]),
    (PAIR, ["4 9", "9 and 4", "(4, 9)", (9, 4), {4, 9}, np.array([[4], [9]]), ["4", "9"]]),
    (SHAPE, [(3, 3, 120), [3.0, 3.0, 120.0], "3x3x120", "3, 3, 120"]),
    (THIRDS, [[0.33, 0.67], [fractions.Fraction(1, 3), fractions.Fraction(2, 3)]]),
    (exercises.seal(1.097, 0.001), ["1,097"]),
    (exercises.seal(1097), ["1,097"]),
    (SAME, [" About the  same. ", "about-the-same", "No change!"]),
    (exercises.seal("tanh"), ["Tanh"]),
    (exercises.seal(0), [0]),
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
    (PARAMETERS, {"61.706": "Look at the unit", "sixty": NO, "61706 or 61684": NO, 10**400: NO}),
    (ERROR, {float("nan"): "no finite number", float("inf"): "no finite number", 95.2: NO}),
    (ERROR, {0.048: "per cent or a share", (lambda: 4): NO, 1j: NO, (): NO}),
    (PAIR, {"4 8": NO, "4": "1 numbers, and 2 were", (4, 9, 9): "3 numbers, and 2 were"}),
    (PAIR, {object(): NO, ((1, 2), (3,)): NO}),
    (SHAPE, {(120, 3, 3): "their order is not"}),
    (THIRDS, {(1 / 3, 1 / 3): NO}),
    (SAME, {"much larger": NO, "": NO, 3: NO}),
    (exercises.seal(1), {True: NO}),
]


@pytest.mark.parametrize(("sealed", "answers"), WRONG)
def test_wrong_answers(sealed, answers, capsys):
    for answer, remark in answers.items():
        assert exercises.check(answer, sealed, hint="Count again.") is False
        printed = capsys.readouterr().out
        assert printed.startswith("Not yet: ") and remark in printed, answer
        assert printed.endswith("Count again.\n")


@pytest.mark.parametrize(
    ("sealed", "kind"),
    [
        (GIGABYTES, "a number in GB, right within 0.1"),
        (PARAMETERS, "a whole number"),
        (PAIR, "2 numbers in any order"),
        (THIRDS, "2 numbers, each right within 0.005"),
        (SAME, "a text"),
    ],
)
def test_without_an_answer_the_kind_and_the_tolerance_are_told(sealed, kind, capsys):
    assert exercises.check(None, sealed) is None
    assert capsys.readouterr().out == f"{exercises.NO_ANSWER} The answer is {kind}.\n"


def test_the_answer_cannot_be_read_in_the_notebook():
    for answer in ("about the same", 61706, [4, 9]):
        sealed = exercises.seal(answer)
        assert "same" not in sealed and "61706" not in sealed
        assert exercises.check(answer, sealed)
    assert exercises.seal(1, 0) != exercises.seal(2, 0)


def test_a_damaged_seal_and_a_missing_tolerance_are_refused():
    for sealed in ("", "a753b128", GIGABYTES[:-2], GIGABYTES.swapcase(), None, 5):
        with pytest.raises(InputError, match="is no sealed answer"):
            exercises.check(1, sealed)
    with pytest.raises(InputError, match="not whole: give the tolerance"):
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
        (lambda images, pixels: shifted(images, 3), "differs from what was expected at"),
        (lambda images, pixels: np.roll(images, pixels, 2), "places, first at [0, 0, 0, 0]"),
        (lambda images, pixels: None, "returns None: end with return"),
        (lambda images, pixels: images[0], "returns the shape (28, 28, 1)"),
        (lambda images: images, "raises TypeError"),
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


def test_words_as_results(capsys):
    cases = [((1,), "odd"), ((2,), "even")]
    assert exercises.check_function(lambda n: ("Even", "odd ")[n % 2], cases)
    assert not exercises.check_function(lambda n: "odd", cases)


# Nets


def lenet(first=6, softmax=True):
    pooling = keras.layers.AveragePooling2D
    layers = [
        keras.layers.Input((32, 32, 1)),
        keras.layers.Conv2D(first, 5, activation="tanh"),
        pooling(2),
        keras.layers.Conv2D(16, 5, activation="tanh"),
        pooling(2),
        keras.layers.Conv2D(120, 5, activation="tanh"),
        keras.layers.Flatten(),
        keras.layers.Dense(84, activation="tanh"),
        keras.layers.Dense(10),
    ]
    return keras.Sequential(layers + [keras.layers.Softmax()] * softmax)


@pytest.fixture(scope="module")
def sealed_net():
    return exercises.seal_net(models.build("lenet-5"))


def test_a_net_by_any_spelling_is_right(sealed_net, capsys):
    nested = keras.Sequential([keras.layers.Input((32, 32, 1)), lenet()])
    for net in (lenet(), lenet(softmax=False), models.build("lenet-5"), nested):
        assert exercises.check_net(net, sealed_net) is True
        assert capsys.readouterr().out == "Right: 61,706 parameters.\n"


@pytest.mark.parametrize(
    ("make", "remark"),
    [
        (lambda: lenet(first=4), "look at the layer conv2d"),
        (lambda: models.build("lenet-4"), "look at the layer C1 (Conv2D, 104 parameters)"),
        (lambda: models.build("lenet-1"), "its input is 28x28x1, and 32x32x1 was asked for"),
        (lambda: models.build("lenet-5", classes=5), "its output is 5, and 10 was asked for"),
        (lambda: keras.Sequential([keras.layers.Dense(3)]), "The answer is a keras.Model"),
        (lambda: 61706, "The answer is a keras.Model"),
    ],
)
def test_a_net_that_is_another_one(make, remark, sealed_net, capsys):
    assert exercises.check_net(make(), sealed_net, hint="Print its summary.") is False
    printed = capsys.readouterr().out
    assert remark in printed and printed.endswith("Print its summary.\n")


def test_a_measured_error_below_a_limit(capsys):
    assert exercises.check_below("1.2 %", 1.5) is True
    assert exercises.check_below(None, 1.5) is None
    for value, remark in (
        (1.5, "Not yet: 1.5 % is not below 1.5 %."),
        (98.9, "Is it the share of right answers?"),
        (0.012, "a share"),
        (0.1187, "a share"),  # of a net that errs too often
        (-1, "a number in %"),
        (float("nan"), "a number in %"),
        ("little", "a number in %"),
    ):
        assert exercises.check_below(value, 1.5) is False
        assert remark in capsys.readouterr().out
    assert exercises.check_below(0.5, 45) is False  # a share
    assert exercises.check_below(66, 65, hint="Longer.") is False
    assert "Not yet: 66 % is not below 65 %. Longer." in capsys.readouterr().out
    assert exercises.check_below(0.37, 0.38, unit="cross-entropy") is True
