"""Arguments are checked against type hints: what passes, what is refused, and in which words."""

import os
from typing import Literal

import numpy as np
import pytest

from cnnlib.errors import InputError, check_name
from cnnlib.validation import Count, InstanceOf, Number, Seed, WholeNumber, validated


@validated
def function(
    size: Count | None,
    *,
    seed: Seed = 0,
    rate: Number = 1.0,
    quick: bool = False,
    name: str = "",
    path: str | os.PathLike[str] = "",
    images: InstanceOf[np.ndarray] | None = None,
    fit: Literal["crop", "stretch"] = "crop",
    sides: tuple[WholeNumber, WholeNumber] | WholeNumber = 1,
):
    """Return the arguments."""
    return size, seed, rate, quick, name, path, images, fit, sides


def test_good_arguments_arrive_unchanged(tmp_path):
    images = np.zeros(3)
    found = function(
        5, seed=1, rate=0.5, quick=True, name="a", path=tmp_path, images=images, sides=(1, 2)
    )
    assert found == (5, 1, 0.5, True, "a", tmp_path, images, "crop", (1, 2))
    assert found[6] is images


def test_numbers_of_numpy_are_numbers():
    found = function(np.int32(5), seed=np.uint8(1), rate=np.float32(0.5))
    assert found[:3] == (5, 1, 0.5) and type(found[0]) is int


def test_the_function_keeps_its_name_and_text():
    assert (function.__name__, function.__doc__) == ("function", "Return the arguments.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, "size is 0, expected a number of at least 1"),
        ({"size": "5"}, "size is '5', expected a whole number"),
        ({"size": True}, "size is True, expected a whole number"),
        ({"size": 5.0}, "size is 5.0, expected a whole number"),
        ({"seed": -1}, "seed is -1, expected a number of at least 0"),
        ({"seed": 2**32}, "seed is 4294967296, expected a number of at most 4,294,967,295"),
        ({"seed": None}, "seed is None, expected a whole number"),
        ({"rate": float("nan")}, "rate is nan, expected a finite number"),
        ({"rate": 10**400}, "expected a finite number"),
        ({"rate": "1"}, "rate is '1', expected a finite number"),
        ({"quick": "no"}, "quick is 'no', expected True or False"),
        ({"quick": 1}, "quick is 1, expected True or False"),
        ({"name": 5}, "name is 5, expected text"),
        ({"name": np.zeros(1000)}, "expected text"),
        ({"path": 5}, "path is 5, expected"),
        ({"images": [1, 2]}, "images is [1, 2], expected an instance of ndarray"),
        ({"fit": "squeeze"}, "fit is 'squeeze', expected 'crop' or 'stretch'"),
        ({"sides": (1, "2")}, "expected a whole number"),
        ({"sides": "12"}, "sides is '12', expected"),
        ({"seeds": 1}, "function() has no argument seeds. Its arguments: size, seed, rate"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(InputError) as caught:
        function(**{"size": 1} | arguments)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 300


def test_by_position():
    with pytest.raises(InputError, match="size is 'x', expected a whole number"):
        function("x")
    with pytest.raises(InputError, match="too many arguments by position"):
        function(1, 2)
    with pytest.raises(InputError, match="needs the argument size"):
        function()


def test_an_error_inside_the_function_is_not_a_bad_argument():
    @validated
    def outer(size: Count):
        return [].pop()

    with pytest.raises(IndexError):
        outer(1)


@pytest.mark.parametrize("name", [None, 5, ["mnist"], {}, np.zeros(3), "x" * 10_000, "MNIST"])
def test_check_name_takes_anything(name):
    with pytest.raises(InputError, match=r"unknown data set .*Known: mnist") as caught:
        check_name("data set", name, ["mnist", "cifar10"])
    assert len(str(caught.value)) < 300
