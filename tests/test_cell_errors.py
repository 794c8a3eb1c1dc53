"""Errors in a notebook: a cell that was run too early, and a training that was stopped."""

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from cnnlib import cell_errors


@pytest.fixture
def cell(capsys):
    """A function that runs a cell and returns what a notebook shows."""
    quiet = {"HistoryManager": {"enabled": False}, "InteractiveShell": {"colors": "nocolor"}}
    shell = InteractiveShell.instance(config=Config(quiet))
    cell_errors.install()
    yield lambda source: (shell.run_cell(source), capsys.readouterr().out)[1]
    shell.restore_sys_module_state()
    InteractiveShell.clear_instance()


def test_a_cell_that_was_run_too_early_says_what_to_run_first(cell):
    text = cell("labels + 1")
    assert "NameError: name 'labels' is not defined" in text
    assert "If a cell above makes `labels`" in text and "Run All Above" in text


def test_a_cell_that_was_stopped_says_so_in_a_line(cell):
    line = "KeyboardInterrupt: stopped. What this cell computes is not complete.\n"
    assert cell("raise KeyboardInterrupt") == line
    assert cell("print(1)") == "1\n"
