"""Public functions called with wrong arguments raise InputError and nothing else."""

from drills import calls, calls_of_models


def test_no_wrong_argument_is_accepted_or_ends_in_another_error():
    """A short run; `python -m drills` makes 20,000 calls."""
    found = calls.problems(1_000, seed=1)
    assert not found, "\n".join(f"{name}({shown}): {what}" for name, what, shown in found)
    assert calls_of_models.faults(600, seed=1) == []


def test_the_good_arguments_are_good():
    """Else a call would be refused for them, and the wrong ones would never be looked at."""
    ready = ("info", "status", "prepare", "layer_table", "load", "net", "input_format", "VGG16")
    needs_more = {"head", "backbone", "train", *ready}
    for function, good, _ in calls.calls():
        if function.__name__ not in needs_more or function.__module__ == "cnnlib.preprocessing":
            function(**good)
