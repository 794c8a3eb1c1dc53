"""The students' and the teachers' edition of each notebook, executed with small parameters.

The notebooks themselves are executed at their defaults, as tests of nbval.
"""

import nbformat
import pytest

from cnnlib.lab import editions, notebooks

pytestmark = pytest.mark.slow

# Enough for every check: those of 06, 07 and 08 ask for an error below a limit.
SMALL = {
    "01_datasets_tour": {"train_images": 300, "test_images": 100, "photographs": 60},
    "02_how_a_net_learns": {"train_size": 2000, "epochs": 1},
    "03_mlp_baselines": {"train_size": 2000, "epochs": 1},
    "04_lenet1": {"train_size": 2000, "epochs": 1},
    "05_lenet4_and_boosting": {"train_size": 600, "patterns": 600, "epochs": 1},
    "06_lenet5": {"train_size": 2000, "epochs": 1},
    "07_cifar10_from_scratch": {"epochs": 3},
    "08_vgg16_transfer": {"test_size": 300},
    "09_benchmark_recap": {},
}
BEGINNINGS = ("Right", "Not yet", "No answer yet")


def verdicts(edition, name, folder):
    """Execute an edition's notebook and return what the check of each exercise printed."""
    source = folder / edition.__name__
    edition(source)
    done = folder / "executed.ipynb"
    path = source / f"{name}.ipynb"
    notebooks.run(path, SMALL[name], output=done, progress=False)
    before_solutions = []
    for cell in nbformat.read(done, 4).cells:
        if "solution" in cell.metadata.get("tags", []):
            break
        if cell.cell_type == "code" and "exercises.check" in cell.source:
            before_solutions.append(cell)
    texts = [
        "".join(output.get("text", "") for output in cell.outputs) for cell in before_solutions
    ]
    lines = [[line for line in text.splitlines() if line.startswith(BEGINNINGS)] for text in texts]
    assert all(len(each) >= 1 for each in lines), texts
    return [line for each in lines for line in each]


@pytest.fixture(autouse=True)
def own_results(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNLIB_RESULTS", str(tmp_path / "results"))


def test_every_notebook_is_tried():
    assert set(SMALL) == set(notebooks.names())


@pytest.mark.parametrize("name", SMALL)
def test_the_teachers_edition_is_right_in_every_exercise(name, tmp_path):
    found = verdicts(editions.write_teachers, name, tmp_path)
    assert len(found) >= 4 and all(line.startswith("Right") for line in found), found


@pytest.mark.parametrize("name", SMALL)
def test_the_students_edition_waits_for_every_answer(name, tmp_path):
    found = verdicts(editions.write_students, name, tmp_path)
    assert len(found) >= 4 and all(line.startswith("No answer yet") for line in found), found
