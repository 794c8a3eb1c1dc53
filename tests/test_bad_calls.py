"""Public functions called with bad arguments raise InputError and nothing else."""

import importlib.util

import pytest

from cnnlib import storage


@pytest.fixture(scope="module")
def bad_calls():
    spec = importlib.util.spec_from_file_location(
        "bad_calls", storage.ROOT / "benchmarks" / "bad_calls.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_bad_argument_is_accepted_or_ends_in_another_error(bad_calls):
    """A short run; `python benchmarks/bad_calls.py` makes 10,000 calls."""
    found = bad_calls.problems(1_000, seed=1)
    assert not found, "\n".join(f"{name}({shown}): {what}" for name, what, shown in found)


def test_the_good_arguments_are_good(bad_calls, monkeypatch):
    """Else a call would be refused for them, and the bad ones would never be looked at."""
    ready = ("info", "status", "prepare", "layer_table", "load", "net", "input_format", "VGG16")
    needs_more = {"head", "backbone", "train", *ready}
    for function, good, _ in bad_calls.calls():
        if function.__name__ not in needs_more or function.__module__ == "cnnlib.preprocessing":
            function(**good)
