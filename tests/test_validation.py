"""Arguments at the doors are checked against type hints: what passes, and what is refused."""

import numpy as np
import pytest

from cnnlib.errors import InputError, check_name
from cnnlib.validation import Count, Seed, WholeNumber, validated


@validated
def function(
    size: Count | None,
    *,
    seed: Seed = 0,
    quick: bool = False,
    sides: tuple[WholeNumber, WholeNumber] | WholeNumber = 1,
):
    """Return the arguments."""
    return size, seed, quick, sides


def test_good_arguments_arrive_and_numbers_of_numpy_are_numbers():
    found = function(np.int32(5), seed=np.uint8(1), quick=True, sides=(1, 2))
    assert found == (5, 1, True, (1, 2)) and type(found[0]) is int
    assert (function.__name__, function.__doc__) == ("function", "Return the arguments.")


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"size": 0}, "size"),
        ({"size": "5"}, "size"),
        ({"size": True}, "size"),
        ({"size": 5.0}, "size"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**32}, "seed"),
        ({"seed": None}, "seed"),
        ({"quick": "no"}, "quick"),
        ({"quick": 1}, "quick"),
        ({"sides": (1, "2")}, "sides"),
        ({"seeds": 1}, "seeds"),
    ],
)
def test_bad_arguments_are_named(arguments, name):
    with pytest.raises(InputError, match=rf"^function\(\): .*{name}") as caught:
        function(**{"size": 1} | arguments)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_two_values_for_one_argument_are_refused():
    with pytest.raises(TypeError, match="multiple values for keyword argument 'size'"):
        function(1, size=2)


@pytest.mark.parametrize("name", [None, 5, b"mnist", ["mnist"], "x" * 10_000, "\0"])
def test_check_name_takes_anything(name):
    with pytest.raises(InputError, match="unknown data set"):
        check_name("data set", name, ["mnist"])
