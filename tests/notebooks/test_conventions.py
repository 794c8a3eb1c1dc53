"""What every notebook of the course must have. nbval runs them; here they are read."""

import ast
import copy
import json
import re
import statistics

import nbformat
import pytest

from cnnlab import editions, notebooks
from cnnlib import storage

PATHS = sorted(storage.NOTEBOOKS.glob("*.ipynb"))
LIMIT = 1_000_000  # bytes


@pytest.fixture(params=PATHS, ids=[path.stem for path in PATHS])
def path(request):
    return request.param


@pytest.fixture
def nb(path):
    return nbformat.read(path, as_version=4)


def cells(nb, kind):
    return [cell for cell in nb.cells if cell.cell_type == kind]


def test_is_a_valid_small_notebook_for_any_python_kernel(path, nb):
    nbformat.validate(nb)
    assert nb.metadata.kernelspec.name == "python3"
    assert "widgets" not in nb.metadata and "papermill" not in nb.metadata
    assert path.stat().st_size < LIMIT


def test_opens_with_title_badges_cost_and_set_up(path, nb):
    assert nb.cells[0].cell_type == "markdown" and nb.cells[0].source.startswith("# ")
    opening = "\n".join(cell.source for cell in nb.cells[:3] if cell.cell_type == "markdown")
    colab, repository = "https://colab.research.google.com", notebooks.repository_url()
    address = f"{repository}/blob/main/notebooks/{path.name})"
    there = address.replace("https://github.com", f"{colab}/github")
    assert f"[![Open in Colab]({colab}/assets/colab-badge.svg)]({there}" in opening
    assert f"kaggle.com/kernels/welcome?src={address}" in opening
    first = cells(notebooks.read_notebook(notebooks.find("01")), "code")[0].source
    assert cells(nb, "code")[0].source == first and repository in first
    (cost,) = [line for line in opening.splitlines() if re.match(r"\W*Cost\b", line)]
    assert "minute" in cost and "cores" in cost and "GPU" in cost and "GB" in cost


def test_parameters_are_literals_with_a_comment_each(path):
    parameters = notebooks.parameters(path)
    assert parameters
    assert [p.name for p in parameters if not p.comment] == []


def test_sections(nb):
    text = "\n".join(cell.source for cell in cells(nb, "markdown"))
    headings = re.findall(r"^#+ (Summary|Exercises|Solutions) *$", text, re.MULTILINE)
    assert headings == ["Summary", "Exercises", "Solutions"]
    assert not re.search(r"^[A-Z]{3,}$", text, re.MULTILINE), "a line that waits for its text"


def test_code_is_plain_python_in_short_cells(nb):
    code = [cell.source for cell in cells(nb, "code")]
    for source in code:
        ast.parse(source)  # a magic or a shell line is a syntax error
        assert not re.search(r"get_ipython|^\s*[%!]", source, re.MULTILINE), source
    assert statistics.median(len(source.splitlines()) for source in code) <= 8


def test_something_is_checked_and_something_is_recorded(nb):
    code = "\n".join(cell.source for cell in cells(nb, "code"))
    assert "NBVAL_CHECK_OUTPUT" in code or any(
        "nbval-check-output" in cell.metadata.get("tags", []) for cell in nb.cells
    )
    assert re.search(r"results\.(record|recap)|runs\.train_row", code)


def test_every_exercise_has_a_check_and_a_solution(nb):
    """The whole notebook is executed by nbval, which also looks at what its checks print
    (conftest.py beside pyproject.toml)."""
    teachers = editions.with_answers(copy.deepcopy(nb)).cells
    exercise, checked = 0, set()
    for asked, answered in zip(nb.cells, teachers, strict=True):
        tags = asked.metadata.get("tags", [])
        if editions.ANSWER in tags:
            exercise += 1
            assert f"exercise-{exercise}" in tags and answered.source != asked.source
        elif exercise and asked.cell_type == "code" and "No answer yet" in str(asked.outputs):
            checked.add(exercise)
    assert checked == set(range(1, exercise + 1)) and exercise >= 4


def test_stored_outputs_are_those_of_a_whole_run(nb):
    counts = [cell.execution_count for cell in cells(nb, "code") if cell.source.strip()]
    assert counts == list(range(1, len(counts) + 1)), (
        "run it from the top: python -m cnnlib run NAME -o notebooks/NAME.ipynb"
    )
    assert not [cell for cell in nb.cells if "injected-parameters" in cell.metadata.get("tags", [])]


def test_stored_outputs_are_clean(nb):
    """No error, no note, no widget, no path of a machine, no cut text; figures have an alt text."""
    for cell in cells(nb, "code"):
        for output in cell.outputs:
            data = output.get("data", {})
            assert output.output_type != "error" and output.get("name") != "stderr", cell.source
            assert not [kind for kind in data if "widget" in kind]
            kinds = {kind: text for kind, text in data.items() if not kind.startswith("image/")}
            text, table = json.dumps([output.get("text"), kinds]), data.get("text/html", "")
            places = r"/home/|/Users/|/root/|/tmp/|/content/|site-packages|[A-Z]:\\\\"
            assert not re.search(places, text), cell.source
            assert not re.findall(r"<td>[^<]*\.\.\.</td>", table), cell.source
            assert "image/png" not in data and table.count("<img") == table.count('alt="')


def test_the_glossary_names_the_notebook_that_links_to_a_term_first():
    text = (storage.ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    told, first = {}, {}
    for entry in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        anchor = re.sub(r"[^\w -]", "", entry.partition("\n")[0].lower()).strip().replace(" ", "-")
        told[anchor] = re.findall(r"First in \[([^\]]*)\]\(\.\./notebooks/\1\.ipynb\)", entry)
    for path in PATHS:
        for cell in cells(nbformat.read(path, as_version=4), "markdown"):
            for anchor in re.findall(r"glossary\.md#([\w-]+)", cell.source):
                first.setdefault(anchor, [path.stem])
    assert {anchor: found for anchor, found in told.items() if found} == first
