"""What every notebook of the course must have. nbval runs them; here they are read."""

import ast
import json
import re
import statistics

import nbformat
import pytest

from cnnlab import notebooks
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


def test_is_a_valid_notebook_for_any_python_kernel(nb):
    nbformat.validate(nb)
    assert nb.metadata.kernelspec.name == "python3"
    assert "widgets" not in nb.metadata and "papermill" not in nb.metadata


def test_is_small(path):
    assert path.stat().st_size < LIMIT


def test_opens_with_title_badge_and_cost(path, nb):
    assert nb.cells[0].cell_type == "markdown" and nb.cells[0].source.startswith("# ")
    opening = "\n".join(cell.source for cell in nb.cells[:3] if cell.cell_type == "markdown")
    colab = "https://colab.research.google.com"
    repository = notebooks.repository_url().replace("https://github.com", f"{colab}/github")
    badge = f"[![Open in Colab]({colab}/assets/colab-badge.svg)]({repository}/blob/main/notebooks/"
    badge += f"{path.name})"
    assert badge in opening
    (cost,) = [line for line in opening.splitlines() if re.match(r"\W*Cost\b", line)]
    assert "minute" in cost and "cores" in cost and "GPU" in cost and "GB" in cost


def test_parameters_are_literals_with_a_comment_each(path):
    parameters = notebooks.parameters(path)
    assert parameters
    assert [p.name for p in parameters if not p.comment] == []


def test_sections(nb):
    headings = [
        h.strip()
        for cell in cells(nb, "markdown")
        for h in re.findall(r"^#+ (.*)", cell.source, re.MULTILINE)
    ]
    assert [h for h in headings if h in ("Summary", "Exercises", "Solutions")] == [
        "Summary",
        "Exercises",
        "Solutions",
    ]


def test_code_is_plain_python_without_magics(nb):
    for cell in cells(nb, "code"):
        ast.parse(cell.source)  # a magic or a shell line is a syntax error
        assert not re.search(r"get_ipython|^\s*[%!]", cell.source, re.MULTILINE), cell.source


def test_cells_are_short(nb):
    lengths = [len(cell.source.splitlines()) for cell in cells(nb, "code")]
    assert statistics.median(lengths) <= 8


def test_something_is_checked_and_something_is_recorded(nb):
    code = "\n".join(cell.source for cell in cells(nb, "code"))
    assert "NBVAL_CHECK_OUTPUT" in code or any(
        "nbval-check-output" in cell.metadata.get("tags", []) for cell in nb.cells
    )
    assert re.search(r"results\.(record|recap)|runs\.train_row", code)


def test_stored_outputs_are_those_of_a_whole_run(nb):
    counts = [cell.execution_count for cell in cells(nb, "code") if cell.source.strip()]
    assert counts == list(range(1, len(counts) + 1)), (
        "run it from the top: python -m cnnlib run NAME -o notebooks/NAME.ipynb"
    )
    assert not [cell for cell in nb.cells if "injected-parameters" in cell.metadata.get("tags", [])]


def test_stored_outputs_are_clean(nb):
    for cell in cells(nb, "code"):
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", (
                f"{cell.source}\nwrote to stderr: {output.get('text')}"
            )
            assert not [kind for kind in output.get("data", {}) if "widget" in kind]
            text = json.dumps(
                [
                    output.get("text"),
                    {k: v for k, v in output.get("data", {}).items() if not k.startswith("image/")},
                ]
            )
            assert not re.search(
                r"/home/|/Users/|/root/|/tmp/|/content/|site-packages|[A-Z]:\\\\", text
            ), cell.source


def test_no_table_cuts_its_texts(nb):
    for cell in cells(nb, "code"):
        for output in cell.outputs:
            table = output.get("data", {}).get("text/html", "")
            assert not re.findall(r"<td>[^<]*\.\.\.</td>", table), cell.source


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
