"""The batch file's format, its error messages, and the plain engine."""

import pathlib
import subprocess

from cnnlib import batch, files, runs
from cnnlib.errors import InputError

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook


@pytest.fixture
def notebook(tmp_path):
    """A notebook beside the batch file. It fails for rate 9."""
    cells = [
        new_code_cell("epochs = 3  # passes\nrate = 0.5  # step\nname = 'a b'  # text", metadata={"tags": ["parameters"]}),
        new_code_cell("assert rate != 9, 'nine'\nprint(epochs, rate, name)"),
    ]
    nbformat.write(new_notebook(cells=cells), tmp_path / "net.ipynb")
    return tmp_path / "net.ipynb"


@pytest.fixture
def batch_file(tmp_path):
    def write(text):
        path = tmp_path / "batch.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_seeds_by_count_and_by_list(batch_file):
    path = batch_file(
        """# the figures of the lecture
- train: {model: linear-20x20, dataset: mnist, recipe: deslanted, seeds: 2}
- train:
    model: lenet-5
    dataset: mnist
    recipe: plain
    seeds: [7, 3]
- train: {model: boosted-lenet-4, dataset: mnist, recipe: distorted, seeds: 1}
"""
    )
    assert [(r.kind, *r.fields.values()) for r in batch.read(path)] == [
        ("train", "linear-20x20", "mnist", "deslanted", 0),
        ("train", "linear-20x20", "mnist", "deslanted", 1),
        ("train", "lenet-5", "mnist", "plain", 7),
        ("train", "lenet-5", "mnist", "plain", 3),
        ("train", "boosted-lenet-4", "mnist", "distorted", 0),
    ]
    assert str(batch.read(path)[2]) == "lenet-5 mnist plain seed 7"


def test_grid_is_every_combination_over_the_fixed_parameters(batch_file, notebook):
    path = batch_file(
        """- notebook:
    path: net.ipynb
    parameters: {name: x}
    grid: {epochs: [1, 2], rate: [1, 0.5]}
- notebook: {path: net.ipynb}
"""
    )
    found = batch.read(path)
    assert {r.fields["path"] for r in found} == {str(notebook)}
    assert [r.fields["parameters"] for r in found] == [
        {"name": "x", "epochs": 1, "rate": 1.0},
        {"name": "x", "epochs": 1, "rate": 0.5},
        {"name": "x", "epochs": 2, "rate": 1.0},
        {"name": "x", "epochs": 2, "rate": 0.5},
        {},
    ]
    assert str(found[0]) == "net name=x epochs=1 rate=1.0"


TRAIN = "- train: {model: lenet-5, dataset: mnist, recipe: plain, seeds: 2}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: expected a list of `- train: ...`"),
        ("[]", ":1: expected a list"),
        ("train: {}", ":1: expected a list"),
        (TRAIN + "- lenet-5\n", ":2: expected one `train: ...` or `notebook: ...`, got 'lenet-5'"),
        (TRAIN + "- tran: {}\n", ":2: unknown kind of item 'tran'. Known: train, notebook"),
        (TRAIN + "- train: lenet-5\n", ":2: train: expected keys and values, got 'lenet-5'"),
        ("- train:\n    modle: lenet-5\n", ":2: modle: unknown key 'modle'. Known: model, dataset"),
        ("- train:\n    model: lenet-5\n    seeds: 2\n", ":2: dataset: is missing; expected model, dataset, recipe, seeds"),
        (TRAIN + "- train:\n    model: lenet-6\n", ":3: dataset: is missing"),
        (TRAIN.replace("lenet-5", "lenet-6"), ":1: model: unknown model 'lenet-6'. Known: lenet-5"),
        (TRAIN.replace("mnist", "mnits"), ":1: dataset: unknown dataset 'mnits'. Known: mnist"),
        (TRAIN.replace("plain", "plane"), ":1: recipe: unknown recipe 'plane'. Known: plain"),
        (TRAIN.replace("mnist", "[mnist]"), ":1: dataset: unknown dataset ['mnist']"),
        (TRAIN.replace("2}", "0}"), ":1: seeds: expected how many seeds"),
        (TRAIN.replace("2}", "true}"), ":1: seeds: expected how many seeds"),
        (TRAIN.replace("2}", "[]}"), ":1: seeds: expected how many seeds"),
        (TRAIN.replace("2}", "[-1]}"), ":1: seeds: expected how many seeds"),
        (TRAIN.replace("2}", "'2'}"), ":1: seeds: expected how many seeds"),
        (TRAIN.replace("2}", "[1, 1]}"), ":1: train: lenet-5 mnist plain seed 1 is already in the item of line 1"),
        (TRAIN + "\n" + TRAIN, ":3: train: lenet-5 mnist plain seed 0 is already in the item of line 1"),
        (TRAIN + "- train: [\n", ":3: is not valid YAML here"),
        (TRAIN + "  train: {}\n", ":2: is not valid YAML here: 'train' is given twice"),
        (TRAIN + "- train: {1: 2}\n", ":2: is not valid YAML here: 1 is not a name"),
        ("- notebook:\n    path: nett\n", ":2: path: unknown notebook 'nett'"),
        ("- notebook:\n    path: net.ipynb\n    grid: [1]\n", ":3: grid: expected names and values, got [1]"),
        ("- notebook:\n    path: net.ipynb\n    grid:\n      epochs: 1\n", ":4: epochs: expected a list of values, got 1"),
        ("- notebook:\n    path: net.ipynb\n    grid:\n      epochs: []\n", ":4: epochs: expected a list of values, got []"),
        (
            "- notebook:\n    path: net.ipynb\n    grid:\n      epoch: [1]\n",
            ":4: epoch: net.ipynb has no parameter 'epoch'. Its parameters:\n  epochs = 3",
        ),
        (
            "- notebook:\n    path: net.ipynb\n    parameters:\n      rate: 1e-4\n",
            ":4: rate: rate of net.ipynb must be a number like 0.5, got '1e-4'",
        ),
        (
            "- notebook:\n    path: net.ipynb\n    parameters: {rate: 1}\n    grid:\n      rate: [2]\n",
            ":5: rate: is already set under parameters",
        ),
        ("- notebook: {path: net.ipynb, grid: {rate: [1, 1.0]}}\n", ":1: notebook: net rate=1.0 is already in the item of line 1"),
    ],
)
def test_errors_say_where_and_what(batch_file, notebook, text, message):
    path = batch_file(text)
    with pytest.raises(InputError) as error:
        batch.read(path)
    assert str(error.value).startswith(f"{path}{message}")


def test_a_file_that_is_not_text(tmp_path):
    path = tmp_path / "batch.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"batch\.yaml: is not text"):
        batch.read(path)


def test_notebooks_run_once_and_a_failing_one_does_not_stop_the_others(batch_file, notebook, capsys):
    path = batch_file("- notebook: {path: net.ipynb, parameters: {name: '1 2'}, grid: {rate: [9, 1]}}\n")
    (failed,) = batch.run(path)
    assert failed.fields["parameters"] == {"name": "1 2", "rate": 9.0}
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("[1/2] net name=1 2 rate=9.0: FAILED, see ") and "min left)" in first
    log = pathlib.Path(first.split("see ")[1].split(" (about")[0])
    assert "AssertionError: nine" in log.read_text(encoding="utf-8")
    assert second.startswith("[2/2] Executed notebook: ")
    executed = [p for p in (files.results_folder() / "notebooks").glob("*.ipynb") if "failed" not in p.name]
    assert len(executed) == 1 and "3 1.0 1 2" in executed[0].read_text(encoding="utf-8")
    assert [batch.is_done(r) for r in batch.read(path)] == [False, True]
    assert len(batch.run(path)) == 1  # only the one that failed runs again
    assert capsys.readouterr().out.startswith("[1/1] net name=1 2 rate=9.0: FAILED")
    notebook.write_text(notebook.read_text(encoding="utf-8").replace("print(epochs", "print(2 * epochs"), encoding="utf-8")
    assert not any(batch.is_done(r) for r in batch.read(path))


def test_trainings_that_the_results_have_are_skipped(batch_file, monkeypatch, capsys):
    commands = []

    def process(command, **streams):
        commands.append(command[1:])
        return subprocess.CompletedProcess(command, 0, stdout="note\nlenet-5 mnist plain seed 1: 1.00 % test error in 9 s\n")

    monkeypatch.setattr(runs, "is_done", lambda model, dataset, recipe, seed: seed == 0)
    monkeypatch.setattr(subprocess, "run", process)
    assert batch.run(batch_file(TRAIN)) == []
    assert commands == [["-m", "cnnlib", "train", "lenet-5", "mnist", "--recipe", "plain", "--seed", "1"]]
    assert capsys.readouterr().out == "[1/1] lenet-5 mnist plain seed 1: 1.00 % test error in 9 s\n"
