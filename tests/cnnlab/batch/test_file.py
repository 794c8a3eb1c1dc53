"""The format of a batch file, its error messages, and the ids of its runs."""

import subprocess
import sys
import time

import nbformat
import pytest

from cnnlab import batch, experiment, notebooks
from cnnlab.batch import runs
from cnnlib import storage
from cnnlib.errors import InputError

TRAIN = "- train: {model: lenet-5, dataset: mnist, recipe: plain, seeds: 2}\n"
NOTEBOOK = "- notebook:\n    path: net.ipynb\n"


@pytest.fixture
def notebook(new_notebook):
    return new_notebook("epochs = 3  # passes\nrate = 0.5  # step\nname = 'a b'  # text", "1")


def test_trainings_with_seeds_by_count_and_by_list(write):
    text = TRAIN + TRAIN.replace("2}", "[7, 3], train_size: 500}")
    found = batch.read(write(text))
    expected = [(0, None), (1, None), (7, 500), (3, 500)]
    assert [(run.seed, run.train_size) for run in found] == expected
    assert str(found[2]) == "lenet-5 mnist plain seed 7 on 500 images"
    planned = [experiment.plan("lenet-5", "mnist", "plain", *each) for each in ((1,), (3, 500))]
    assert [found[i].id for i in (1, 3)] == [row["run_id"] for row in planned]


def test_a_grid_is_every_combination_over_the_fixed_parameters(write, notebook):
    path = write(
        NOTEBOOK + "    parameters: {name: x}\n    grid: {epochs: [1, 2], rate: [1, 0.5]}\n"
    )
    found = batch.read(path)
    assert {run.notebook for run in found} == {str(notebook)}
    assert [run.parameters for run in found] == [
        {"name": "x", "epochs": epochs, "rate": rate} for epochs in (1, 2) for rate in (1.0, 0.5)
    ]
    assert str(found[0]) == "net name=x epochs=1 rate=1.0"


def test_notebooks_of_the_course_go_by_their_names(write):
    names = notebooks.names()
    path = storage.NOTEBOOKS / f"{names[0]}.ipynb"
    for given, found in (("all", names), ("01", names[:1]), (path, names[:1])):
        runs_of = batch.read(write(f"- notebook: {{path: {given}}}\n"))
        assert [run.notebook for run in runs_of] == found
    for path in (storage.ROOT / "batches").glob("*.yaml"):
        assert batch.read(path)


def test_limits_hold_for_the_items_below_and_an_item_may_have_its_own(write):
    path = write(
        TRAIN
        + "- limits: {minutes: 30, memory: 4 GB}\n"
        + TRAIN.replace("plain", "distorted").replace("2}", "1, limits: {minutes: 0.5}}")
        + "- limits: {memory: 512 MiB}\n"
        + TRAIN.replace("lenet-5", "lenet-1").replace("2}", "1}")
    )
    found = [(run.minutes, run.memory) for run in batch.read(path)]
    assert found == [(None, None)] * 2 + [(0.5, 4 * 10**9), (30, 2**29)]


def aliases(levels):
    """A YAML list whose aliases stand for 10**levels values."""
    lines = ["- limits: {minutes: &a0 [x, x, x, x, x, x, x, x, x, x]}"]
    for level in range(1, levels):
        inside = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"- limits: {{minutes: &a{level} [{inside}]}}")
    return "\n".join(lines)


def train(value):
    """An item that trains, with another value for its seeds."""
    return TRAIN.replace("2}", f"{value}}}")


# What a file holds, and the beginning of the error after the file's name.
MISTAKES = [
    ("", ":1: expected a list of `- train: ...`"),
    (TRAIN + "- lenet-5\n", ":2: expected keys and values, got 'lenet-5'"),
    (TRAIN + "- tran: {}\n", ":2: tran: is no key here; the keys are train, notebook, limits"),
    (TRAIN + "- train:\n    model: lenet-6\n", ":2: train: dataset is missing; the keys are model"),
    (
        TRAIN.replace("lenet-5", "lenet-6"),
        ":1: model: unknown model 'lenet-6'. Did you mean lenet-5",
    ),
    (TRAIN.replace("plain", "plane"), ":1: recipe: unknown recipe 'plane'. Did you mean plain"),
    *(
        (train(value), ":1: seeds: expected how many (5: 0 to 4) or a list like [0, 7], got ")
        for value in ("0", "true", "[]")
    ),
    (train("\n  [0, x]"), ":2: seeds: expected a valid integer, got 'x'"),
    (train("2, train_size: 60001"), ":1: train: train_size must be a whole number from 1 to the"),
    (train("[1, 1]"), ":1: train: lenet-5 mnist plain seed 1 is already in the file"),
    (TRAIN.replace("mnist", "caltech101"), ":1: train: lenet-5 takes images of 28x28 or 32x32"),
    (TRAIN + "- notebook:\n    path: nett\n", ":3: path: unknown notebook 'nett'"),
    (NOTEBOOK + "    grid:\n      epoch: [1]\n", ":4: epoch: net.ipynb has no parameter 'epoch'. "),
    (NOTEBOOK + "    grid:\n      rate: [1, x]\n", ":4: rate: rate of net.ipynb must be a number"),
    (
        NOTEBOOK + "    parameters: {rate: 1}\n    grid:\n      rate: [2]\n",
        ":5: rate: is already set under parameters",
    ),
    (NOTEBOOK + NOTEBOOK + "    parameters: {epochs: 3}\n", ":3: notebook: net epochs=3 is"),
    ("- notebook:\n    path: 06\n    grid: {seed: [0, -1]}", ":1: notebook: 06_lenet5.ipynb: seed"),
    (train("1, limits: {memory: 4 gb}"), ":1: memory: expected a size like 4 GB (or MB, GB, MiB,"),
    ("- limits: {minutes: 1}\n", ":1: has limits but no run"),
    # What is not YAML, or not the YAML of a list of settings.
    (TRAIN + "- train: [\n", ":3: is not valid YAML: "),
    (TRAIN + "  train: {}\n", ":2: is not valid YAML: 'train' is given twice"),
    (TRAIN + "- train: !!set {a}\n", ":2: is not valid YAML: the tag 'tag:yaml.org,2002:set'"),
    # What would take a machine's time or memory.
    (TRAIN + train("9998").replace("plain", "quick"), None),
    ("\ufeff" + TRAIN, None),  # as Windows' editors write it
    (TRAIN + train("9999").replace("plain", "quick"), ":2: train: more than 10,000 runs"),
    (
        NOTEBOOK + f"    grid: {{epochs: {[*range(999)]}, rate: {[*range(999)]}}}",
        ":1: notebook: more than 10,000 runs",
    ),
    (aliases(9), ":1: is not valid YAML: more than 100,000 values"),
    ("&a [*a]", ":1: is not valid YAML: more than 100,000 values"),
    ("[" * 10**5, ":1: is not valid YAML: more than 20 levels"),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES, ids=lambda value: str(value)[-40:])
def test_mistakes_say_where_and_what_within_seconds(write, notebook, text, message):
    path, started = write(text), time.process_time()
    if message is None:
        batch.read(path)
        return
    with pytest.raises(InputError) as error:
        batch.read(path)
    assert str(error.value).startswith(f"{path}{message}")
    assert len(str(error.value)) < len(str(path)) + 1500 and time.process_time() - started < 9


def test_an_id_has_what_determines_the_result_and_nothing_else(write, notebook, monkeypatch):
    path = write(NOTEBOOK + "    parameters: {epochs: 5}\n")
    (run,) = batch.read(path)
    assert run.id.startswith("net-epochs=5-")

    def id_is_new():
        return batch.read(path)[0].id != run.id

    nb = nbformat.read(notebook, as_version=4)
    nb.cells[1].outputs = [nbformat.v4.new_output("stream", text="printed")]
    nbformat.write(nb, notebook)
    assert not id_is_new()
    with monkeypatch.context() as changed:
        changed.setattr(runs, "_data", lambda _: {"mnist.npz": ["another"]})
        assert id_is_new()
    with monkeypatch.context() as changed:
        changed.setattr(runs, "RESULTS_VERSION", 1000)
        assert id_is_new()
    nb.cells[1].source += "\nprint(1)"
    nbformat.write(nb, notebook)
    assert id_is_new()


def test_a_thousand_runs_are_planned_without_keras(write, notebook):
    grid = f"    grid: {{epochs: {list(range(10, 60))}, rate: {list(range(1, 11))}}}\n"
    path = write(train("500") + NOTEBOOK + grid)
    code = f"""
import sys
from cnnlab import batch
path = {str(path)!r}
print(len(batch.plan_text(path).splitlines()), len(batch.status_text(path).splitlines()))
unwanted = {{"keras", "tensorflow", "pandas", "nbformat", "papermill", "distributed"}}
sys.exit(f"imported: {{heavy}}" if (heavy := unwanted & set(sys.modules)) else 0)
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (process.returncode, process.stdout) == (0, "1001 1\n"), process.stderr
