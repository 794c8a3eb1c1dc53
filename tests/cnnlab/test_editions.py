"""Copies to work in, and the editions for students and teachers."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from cnnlab import editions, notebooks
from cnnlib.errors import InputError


def code(source, *tags, printed=None):
    cell = new_code_cell(source, metadata={"tags": list(tags)})
    if printed:
        cell.outputs = [new_output("stream", text=printed)]
    return cell


@pytest.fixture(autouse=True)
def course(course_folder):
    """A course of one notebook with three exercises, one of which has no answer cell."""
    text = "# Title\n[glossary](../docs/glossary.md), [next](02_b.ipynb), [web](https://a.b/../c)"
    cells = [
        new_markdown_cell(text),
        code("x = 2  # a number", "parameters"),
        code("answer_1 = None", "answer", "exercise-1"),
        code("assert answer_1 in (None, 4)", printed="No answer yet"),
        code("def double(x):\n    return None", "answer", "exercise-2"),
        code("assert double(x) in (None, 4)"),
        new_markdown_cell("## Solutions", metadata={"tags": ["solution"]}),
        code("answer_1 = 2 * x", "solution", "exercise-1", printed="4"),
        code("def double(x):\n    return x + x", "solution", "exercise-2"),
        code("print('of exercise 3')", "solution", "exercise-3"),
    ]
    nbformat.write(new_notebook(cells=cells), course_folder / "01_a.ipynb")


def read(path):
    return nbformat.read(path, as_version=4)


def test_students_get_no_solution_and_links_to_the_repository(tmp_path):
    (path,) = editions.write(tmp_path / "students", editions.without_solutions)
    nb = read(path)
    text = path.read_text(encoding="utf-8")
    assert len(nb.cells) == 6 and "x + x" not in text and "2 * x" not in text
    assert nb.cells[2].source == "answer_1 = None"
    assert nb.cells[3].outputs[0].text == "No answer yet"  # the stored outputs stay
    address = notebooks.repository_url()
    assert f"[glossary]({address}/blob/main/docs/glossary.md)" in nb.cells[0].source
    assert "[next](02_b.ipynb), [web](https://a.b/../c)" in nb.cells[0].source


def test_teachers_get_the_solutions_in_the_answer_cells(tmp_path):
    (path,) = editions.write(tmp_path / "teachers", editions.with_answers)
    nb = read(path)
    assert len(nb.cells) == 10
    assert nb.cells[2].source == "answer_1 = 2 * x"
    assert nb.cells[4].source == "def double(x):\n    return x + x"
    executed = read(notebooks.run(path, output=tmp_path / "executed.ipynb"))
    assert executed.cells[-1].outputs[0].text == "of exercise 3\n"


def test_the_course_itself_is_not_overwritten(course_folder):
    before = (course_folder / "01_a.ipynb").read_bytes()
    for edit in (editions.without_solutions, editions.with_answers):
        with pytest.raises(InputError, match="has the course itself: give another folder"):
            editions.write(course_folder, edit)
    assert (course_folder / "01_a.ipynb").read_bytes() == before


def test_working_copies_that_are_there_are_left_alone(course_folder, tmp_path):
    folder = tmp_path / "work"
    assert editions.copy_for_work(folder) == (["01_a"], [])
    assert (folder / "01_a.ipynb").read_bytes() == (course_folder / "01_a.ipynb").read_bytes()
    (folder / "01_a.ipynb").write_text("mine")
    assert editions.copy_for_work(folder) == ([], ["01_a"])
    assert (folder / "01_a.ipynb").read_text() == "mine"
