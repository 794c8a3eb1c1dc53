"""Generated wrong calls end in InputError: none in another error, none with an answer."""

import importlib.util
import pathlib


def test_generated_wrong_calls_are_input_errors():
    path = pathlib.Path(__file__).with_name("bad_calls.py")
    spec = importlib.util.spec_from_file_location("bad_calls", path)
    bad_calls = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bad_calls)
    assert bad_calls.faults(600, seed=1) == []
