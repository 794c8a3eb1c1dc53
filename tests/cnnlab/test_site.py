"""The site and the report: what is on their pages, and that no page needs the network."""

import json
import re
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from cnnlab.site import build, mathml, notebook_pages, result_pages
from cnnlib import results, storage
from cnnlib.errors import InputError

BADGE = "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://a.b)"


def check(folder):
    """Assert that the links of every page lead on; tests/browser looks at what a page loads."""
    pages = sorted(folder.rglob("*.html"))
    pages = [path for path in pages if "_static" not in path.parts]
    for path in pages:
        page = path.read_text(encoding="utf-8")
        for address in re.findall(r"<(?:a|img)\b[^>]*\s(?:href|src)=\"([^\"]+)\"", page):
            parts = urlsplit(address)
            if not (parts.scheme or parts.netloc) and parts.path:
                target = (path.parent / unquote(parts.path)).resolve()
                assert target.is_file(), f"{path.name} links {address}"
    return {path.relative_to(folder).as_posix() for path in pages}


@pytest.fixture
def executed(tmp_path):
    """An executed notebook with a badge, formulas, a figure and a table."""
    text = (
        f"# Softmax\n{BADGE}\n\nThe softmax $e^{{z}}$, the price `$5`, [doc](../docs/batch.md), "
        "[code](../cnnlib/plots.py), and\n\n$$\\sum_j w_j$$"
    )
    pixel = (
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5Er"
    )
    pixel += "kJggg=="
    figure = new_output("display_data", data={"image/png": pixel, "text/plain": "<Figure>"})
    table = "<table><tr><td>1</td></tr></table><img src='https://a.b/c.png'>"
    html = new_output("display_data", data={"text/html": table, "text/plain": "1"})
    cells = [
        new_markdown_cell(text),
        new_code_cell("plot()", outputs=[figure], execution_count=1),
        new_code_cell("table", outputs=[html], execution_count=2),
        new_code_cell("print('<b>')", outputs=[new_output("stream", text="<b>\n")]),
    ]
    path = tmp_path / "executed" / "02_softmax.ipynb"
    path.parent.mkdir()
    nbformat.write(new_notebook(cells=cells), path)
    return path


def test_the_report(executed, tmp_path):
    folder = tmp_path / "report"
    folder.mkdir()
    row = next(iter(results.read_ledger("mnist").values())) | {"run_id": "mine-0", "seed": 77}
    storage.write_atomically(results.local_file("mine-0"), json.dumps(row))
    failure = "cell 3 raised ValueError: <no> ``` data"
    entries = [
        build.Entry("02_softmax", executed, 3.2),
        build.Entry("50% done? #1", executed, 1.0, failure),
        build.Entry("03_never_began", tmp_path / "no.ipynb", 0.1, "its kernel could not start"),
    ]
    assert build.build_report(folder, entries) == folder / "index.html"
    pages = check(folder)
    assert {"index.html", "notebooks/02_softmax.html", "notebooks/50_done_1.html"} <= pages
    assert sum(page.startswith("results/mnist-") for page in pages) == 1

    index = (folder / "index.html").read_text(encoding="utf-8")
    assert "2 of 3 notebooks failed" in index and "its kernel could not start" in index
    assert "&lt;no&gt; ``` data" in index
    assert re.search(r'<img alt="[^"]{40,}" src="_images/published', index)

    page = (folder / "notebooks" / "02_softmax.html").read_text(encoding="utf-8")
    assert page.count("<math") == 2 and "<msup>" in page and "mathjax.js" not in page.lower()
    assert ">Open in Colab</a>" in page and "https://a.b/c.png" not in page
    assert "_images/" in page and "&lt;b&gt;" in page
    failed = (folder / "notebooks" / "50_done_1.html").read_text(encoding="utf-8")
    assert "did not run to its end" in failed and "&lt;no&gt; ``` data" in failed


def test_the_site(executed, tmp_path, monkeypatch):
    """With one notebook, a few results and two modules."""
    monkeypatch.setattr(storage, "NOTEBOOKS", executed.parent)
    monkeypatch.setattr(build, "MODULES", ("recipes", "exercises"))
    lines = results.lines
    monkeypatch.setattr(results, "lines", lambda *given, **named: lines(*given, **named)[:1])
    folder = tmp_path / "site"
    build.build_site(folder)
    pages = check(folder)
    expected = {"index.html", "docs/glossary.html", "reference/recipes.html", "search.html"}
    assert expected <= pages
    index = (folder / "index.html").read_text(encoding="utf-8")
    assert 'href="notebooks/02_softmax.html"' in index and 'href="draw/look.html"' in index
    assert 'name="description"' in index and 'property="og:image"' in index
    assert '<html lang="ko"' in (folder / "README.ko.html").read_text(encoding="utf-8")
    course = (folder / "notebooks" / "course.html").read_text(encoding="utf-8")
    assert (
        'id="02_softmax-softmax"' in course and "&lt;b&gt;" in course and "bd-sidebar" not in course
    )
    reference = (folder / "reference" / "exercises.html").read_text(encoding="utf-8")
    assert "cnnlib.exercises.check" in reference
    (result,) = folder.glob("results/mnist-*.html")
    text = result.read_text(encoding="utf-8")
    assert "python -m cnnlib train" in text
    assert 'alt="Loss and training error by epoch' in text
    assert "receptive" in (folder / "searchindex.js").read_text(encoding="utf-8")
    (folder / "old.html").write_text("old")
    build.build_site(folder)  # in the place of the old one
    assert not (folder / "old.html").exists()


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="has other files than a site: give an empty folder"):
        build.build_site(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_every_published_run_has_one_page():
    for benchmark in result_pages.BENCHMARKS:
        lines = [line for line in results.lines(benchmark, local=False) if line["n"]]
        runs = [row["run_id"] for line in lines for row in line["runs"]]
        assert sorted(runs) == sorted(results.read_ledger(benchmark))
        assert len(set(map(result_pages._file_name, lines))) == len(lines)


def test_formulas():
    assert mathml.mathml("x_1^2", "inline").startswith("<math")
    assert mathml.mathml(r"\left( < x", "inline") == "<code>\\left( &lt; x</code>"


def test_checks_and_set_up_are_folded_and_marks_for_tests_are_gone(tmp_path):
    sources = ["# NBVAL_CHECK_OUTPUT\nx", "exercises.check(answer_1, 'sealed')"]
    path, nb = tmp_path / "n.ipynb", new_notebook(cells=[new_code_cell(each) for each in sources])
    nbformat.write(nb, path)
    title, plain, check = notebook_pages.prepared(path, "n").cells
    assert (title.source, plain.source) == ("# n", "x") and "tags" not in plain.metadata
    assert check.metadata["tags"] == ["hide-input"]
    nb.cells[:0] = [new_markdown_cell("# A | B\n\n**Cost**: one minute on two cores")]
    assert notebook_pages.title_of(nb, "n") == "A | B"
