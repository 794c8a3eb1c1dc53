"""All notebooks in a row, and the report."""

import re
from urllib.parse import unquote

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from cnnlab import course, results_listing
from cnnlib import storage
from cnnlib.errors import InputError


def write(path, *cells):
    """Write a notebook of these cells; text that starts with "# " is Markdown."""
    made = [new_markdown_cell(c) if c.startswith("# ") else new_code_cell(c) for c in cells]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=made), path)
    return path


@pytest.fixture
def course_folder(tmp_path, monkeypatch):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    monkeypatch.setattr(storage, "NOTEBOOKS", folder)
    return folder


@pytest.fixture
def no_report(monkeypatch):
    """The report, which takes a while, is not built."""
    monkeypatch.setattr(course, "build_report", lambda folder, entries: folder / "index.html")


def links(folder):
    """The pages of notebooks that the report's first page links in its table, as paths."""
    index = (folder / "index.html").read_text(encoding="utf-8")
    return [folder / unquote(link) for link in re.findall(r'<td><a href="([^"]+)"', index)]


def test_it_goes_on_after_a_failure_and_says_so(course_folder, tmp_path, capsys):
    write(course_folder / "01_good.ipynb", "# One", "print('fine')")
    write(course_folder / "02_bad.ipynb", "raise ValueError('<no> data')")
    write(course_folder / "03_last.ipynb", "print('last')")
    folder = tmp_path / "report"
    assert course.run(folder=folder) == ["02_bad"]
    out = capsys.readouterr().out
    lines = ["[1/3] 01_good ...", "[2/3] 02_bad ...", "[3/3] 03_last ..."]
    assert re.findall(r"^\[.*", out, re.MULTILINE) == lines
    assert "02_bad: cell 1, In [1], raised ValueError: <no> data" in out
    assert "1 of 3 notebooks failed: 02_bad" in out
    assert results_listing.text() in out and str(folder / "index.html") in out
    index = (folder / "index.html").read_text(encoding="utf-8")
    assert "<no>" not in index and "&lt;no&gt; data" in index and "LeNet-5" in index
    pages = ["01_good.html", "02_bad.html", "03_last.html"]
    assert links(folder) == [folder / "notebooks" / page for page in pages]
    assert all(page.is_file() for page in links(folder))
    assert "last\n" in (folder / "03_last.ipynb").read_text(encoding="utf-8").replace("\\n", "\n")


def test_of_named_notebooks(course_folder, no_report):
    write(course_folder / "01_good.ipynb")
    write(course_folder / "02_other.ipynb")
    assert course.run(["02"]) == []
    names = {p.name for p in (storage.results_folder() / "course").iterdir()}
    assert names == {"02_other.ipynb"}


def test_two_notebooks_of_one_name_are_refused_before_the_first_runs(course_folder, tmp_path):
    others = [write(tmp_path / folder / "01_a.ipynb", "1 / 0") for folder in "ab"]
    with pytest.raises(InputError, match="the same file name"):
        course.run(others, tmp_path / "report")
