"""All notebooks in a row, and the report."""

import re

import pytest

from cnnlab import course, results_listing
from cnnlib.errors import InputError


def test_it_goes_on_after_a_failure_and_says_so(course_folder, write_notebook, tmp_path, capsys):
    write_notebook(course_folder / "01_good.ipynb", "# One", "print('fine')")
    write_notebook(course_folder / "02_bad.ipynb", "raise ValueError('<no> data')")
    write_notebook(course_folder / "03_last.ipynb", "print('last')")
    folder = tmp_path / "report"
    assert course.run(["02", "03"], folder=folder) == ["02_bad"]
    out = capsys.readouterr().out
    lines = ["[1/2] 02_bad ...", "[2/2] 03_last ..."]
    assert re.findall(r"^\[.*", out, re.MULTILINE) == lines
    assert "02_bad: cell 1, In [1], raised ValueError: <no> data" in out
    assert "1 of 2 notebooks failed: 02_bad" in out
    assert results_listing.text() in out and str(folder / "index.html") in out
    assert "&lt;no&gt; data" in (folder / "index.html").read_text(encoding="utf-8")
    pages = sorted(path.name for path in (folder / "notebooks").iterdir())
    assert pages == ["02_bad.html", "03_last.html"]
    assert "last\\n" in (folder / "03_last.ipynb").read_text(encoding="utf-8")


def test_two_notebooks_of_one_name_are_refused_before_the_first_runs(write_notebook, tmp_path):
    others = [write_notebook(tmp_path / folder / "01_a.ipynb", "1 / 0") for folder in "ab"]
    with pytest.raises(InputError, match="the same file name"):
        course.run(others, tmp_path / "report")
