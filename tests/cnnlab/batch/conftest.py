"""A batch file and a notebook beside it."""

import nbformat
import pytest
from nbformat import v4


@pytest.fixture
def write(tmp_path):
    """A function that writes a batch file and returns its path."""

    def write(text):
        path = tmp_path / "batch.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def new_notebook(tmp_path):
    """A function that writes net.ipynb: a cell of parameters, and one cell of code."""

    def write(parameters, code):
        cells = [v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})]
        nb = v4.new_notebook(cells=[*cells, v4.new_code_cell(code)])
        nbformat.write(nb, tmp_path / "net.ipynb")
        return tmp_path / "net.ipynb"

    return write
