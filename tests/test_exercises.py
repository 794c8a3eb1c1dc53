import numpy as np
import pytest

from cnnlib import exercises


@pytest.mark.parametrize(
    ("answer", "right"),
    [(61706, 61706), (np.int64(61706), 61706.0), (0.33333333, 1 / 3), (" Tanh", "tanh")],
)
def test_right_answers(answer, right, capsys):
    assert exercises.check(answer, exercises.digest_of(right)) is True
    assert capsys.readouterr().out == "Right.\n"


def test_wrong_answer_gives_the_hint_and_not_the_answer(capsys):
    assert exercises.check(61707.4, exercises.digest_of(61806), hint="Count the biases.") is False
    assert capsys.readouterr().out == "Not yet: 61707.4 is not the answer. Count the biases.\n"


def test_no_answer_yet(capsys):
    assert exercises.check(None, exercises.digest_of(1)) is None
    assert capsys.readouterr().out.startswith("No answer yet")
