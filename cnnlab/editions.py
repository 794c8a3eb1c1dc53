"""Copies of the course's notebooks: to work in, for students, for teachers.

An exercise has cells with these tags: `answer` where the learner writes, `solution` for the
solution and its text. Where an answer cell and a solution cell both carry `exercise-3`, say, the
teacher's edition has the solution in the place of the answer, so that every check runs on the right
answer.
"""

import os
import pathlib
from collections.abc import Callable
from typing import Any

from cnnlab import notebooks, output_paths
from cnnlib import storage
from cnnlib.errors import InputError

ANSWER, SOLUTION = "answer", "solution"
WORK = storage.ROOT / "work"  # of working copies: beside notebooks/, so that their links lead on


def copy_for_work(folder: str | os.PathLike[str] | None = None) -> tuple[list[str], list[str]]:
    """Copy the notebooks that `folder` (None: WORK) does not have yet.

    Returns the names of those that were copied, and of those that were there and stay as they are.
    """
    folder = output_paths.output_folder(folder or WORK)
    copied, kept = [], []
    for name in notebooks.names():
        target = folder / f"{name}.ipynb"
        if target.exists():
            kept.append(name)
            continue
        storage.write_atomically(target, (storage.NOTEBOOKS / target.name).read_bytes())
        copied.append(name)
    return copied, kept


def without_solutions(nb: Any) -> Any:
    """Return a notebook without its solution cells."""
    nb.cells = [cell for cell in nb.cells if SOLUTION not in _tags(cell)]
    return nb


def with_answers(nb: Any) -> Any:
    """Return a notebook whose answer cells have the solutions of their exercises.

    A solution that is pasted keeps its own cell as well. Solutions of exercises without an answer
    cell stay where they are.
    """
    solutions: dict[str, list[str]] = {}
    for cell in nb.cells:
        if cell.cell_type == "code" and SOLUTION in _tags(cell):
            for exercise in _exercises(cell):
                solutions.setdefault(exercise, []).append(cell.source)
    for cell in nb.cells:
        if cell.cell_type == "code" and ANSWER in _tags(cell):
            sources = [text for each in _exercises(cell) for text in solutions.get(each, [])]
            if sources:
                cell.source = "\n".join(sources)
                cell.outputs, cell.execution_count = [], None
    return nb


def write(folder: str | os.PathLike[str], edit: Callable[[Any], Any]) -> list[pathlib.Path]:
    """Write an edition of all notebooks to `folder`; links to other files lead to the web.

    `edit` is `without_solutions` for students, `with_answers` for teachers. Returns the paths of
    the notebooks. Raises InputError if `folder` is notebooks/ itself.
    """
    import nbformat

    folder = output_paths.output_folder(folder)
    if folder.resolve() == storage.NOTEBOOKS.resolve():
        raise InputError(f"{folder} has the course itself: give another folder")
    written, base = [], f"{notebooks.repository_url()}/blob/main/"
    for name in notebooks.names():
        nb = edit(notebooks.read_notebook(storage.NOTEBOOKS / f"{name}.ipynb"))
        for cell in nb.cells:
            if cell.cell_type == "markdown":
                # Links from notebook to notebook stay: an edition has them all.
                cell.source = cell.source.replace("](../", f"]({base}")
        path = folder / f"{name}.ipynb"
        written.append(storage.write_atomically(path, nbformat.writes(nb) + "\n"))
    return written


def _tags(cell):
    return cell.metadata.get("tags", [])


def _exercises(cell):
    return [tag for tag in _tags(cell) if tag.startswith("exercise-")]
