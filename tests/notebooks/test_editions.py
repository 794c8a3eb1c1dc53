"""Every exercise of the course is worked through: without an answer, then with the solution.

A notebook is executed once, on small parameters: first the students' edition as it is, then its
exercises again as the teachers' edition has them, with the solutions pasted into the answer cells.
(nbval executes the solutions where they stand, at the defaults.)
"""

import copy

import nbformat
import pytest

from cnnlab import editions, notebooks

SMALL = {
    "01_datasets_tour": {"train_images": 500, "test_images": 200},
    "02_how_a_net_learns": {"train_size": 1000, "epochs": 1},
    "03_mlp_baselines": {"train_size": 1000, "epochs": 1},
    "04_lenet1": {"train_size": 1000, "epochs": 1},
    "05_lenet4_and_boosting": {"train_size": 1000, "patterns": 200, "epochs": 2},
    "06_lenet5": {"train_size": 2000, "epochs": 1},
    "07_cifar10_from_scratch": {"epochs": 1},
    "08_vgg16_transfer": {"train_size": 200, "test_size": 200},
    "09_benchmark_recap": {},
}

pytestmark = pytest.mark.slow


def tags(cell):
    return cell.metadata.get("tags", [])


def exercises(cells):
    """Return the cells from the first answer on."""
    first = next(i for i, cell in enumerate(cells) if editions.ANSWER in tags(cell))
    return cells[first:]


def checks(cells):
    """Return what the cells that check an answer print, by exercise."""
    printed, exercise = {}, None
    for cell in cells:
        if editions.ANSWER in tags(cell):
            (exercise,) = (tag for tag in tags(cell) if tag.startswith("exercise-"))
        elif cell.cell_type == "code" and exercise and "check" in cell.source:
            text = "".join(output.get("text", "") for output in cell.outputs)
            printed[exercise] = printed.get(exercise, "") + text
    return printed


@pytest.mark.parametrize("name", notebooks.names())
def test_each_check_waits_for_an_answer_and_accepts_the_solution(name, tmp_path):
    nb = notebooks.read_notebook(notebooks.find(name))
    teachers = editions.without_solutions(editions.with_answers(copy.deepcopy(nb)))
    students = editions.without_solutions(nb)
    unanswered, answered = (exercises(edition.cells) for edition in (students, teachers))
    numbers = [tag for cell in unanswered for tag in tags(cell) if tag.startswith("exercise-")]
    assert numbers == [f"exercise-{k + 1}" for k in range(len(numbers))] and len(numbers) >= 4
    for cell, before in zip(answered, unanswered, strict=True):
        assert editions.ANSWER not in tags(cell) or cell.source != before.source, "no solution"

    students.cells += answered
    for i, cell in enumerate(students.cells):
        cell.id = f"cell-{i}"
    path = tmp_path / f"{name}.ipynb"
    nbformat.write(students, path)
    executed = notebooks.run(path, SMALL[name], output=tmp_path / "executed.ipynb")
    cells = nbformat.read(executed, as_version=4).cells
    first, then = cells[: -len(answered)], cells[-len(answered) :]
    waiting, right = checks(exercises(first)), checks(then)
    assert list(waiting) == list(right) == numbers
    for number in numbers:
        assert waiting[number].startswith("No answer yet"), (number, waiting[number])
        assert right[number].startswith("Right"), (number, right[number])
