"""A batch file and a notebook beside it."""

import pytest


@pytest.fixture
def write(tmp_path):
    """A function that writes a batch file and returns its path."""

    def write(text):
        path = tmp_path / "batch.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def new_notebook(tmp_path, write_notebook):
    """A function that writes net.ipynb: a cell of parameters, and one cell of code."""
    return lambda parameters, code: write_notebook(
        tmp_path / "net.ipynb", code, parameters=parameters
    )
