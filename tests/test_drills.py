"""A few cases of each drill; `python -m drills` makes many and writes docs/reliability.md.

Wrong calls, digits on paper and killed batches are in test_bad_calls, test_digits and
lab/batch/test_dispatch.
"""

import pytest

from drills.__main__ import DRILLS


@pytest.mark.slow
@pytest.mark.parametrize(
    "title",
    [
        "A bit flipped or the end cut off in a file of data/",
        "The same in a picture that a reader hands in",
        "Damaged batch files",
        "A training that is killed and started again",
    ],
)
@pytest.mark.filterwarnings("ignore")  # of Pillow, about damaged pictures
def test_nothing_is_silently_wrong(title):
    drill, _, few = DRILLS[title]
    outcome, is_good = drill(few)
    assert is_good, outcome
