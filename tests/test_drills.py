"""A few cases of each drill; `python -m drills` makes many and writes docs/reliability.md.

Digits on paper and killed batches are in test_digits and cnnlab/batch.
"""

import pytest

from drills import doors
from drills.__main__ import DRILLS


@pytest.mark.slow
@pytest.mark.parametrize(
    "title",
    [
        "Wrong arguments at the doors",
        "A file of data/ that is altered, cut off, empty, longer or missing",
        "The same in a picture that a reader hands in",
        "Damaged batch files",
    ],
)
@pytest.mark.filterwarnings("ignore")  # of Pillow, about damaged pictures
def test_nothing_is_silently_wrong(title):
    drill, _, few = DRILLS[title]
    outcome, is_good = drill(few)
    assert is_good, outcome


def test_the_good_arguments_are_good():
    """Else a call would be refused for them, and the wrong ones would never be looked at."""
    for function, good, _ in doors.doors():
        if function is not doors.command:  # it would train
            function(**good)
