"""The format of a batch file, its error messages, and the ids of its runs."""

import pathlib
import shutil
import subprocess
import sys
import time

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from cnnlab import batch, experiment, notebooks
from cnnlab.batch import runs
from cnnlib import storage
from cnnlib.errors import InputError


@pytest.fixture
def notebook(tmp_path):
    """A notebook beside the batch file. It fails for rate 9."""
    parameters = "epochs = 3  # passes\nrate = 0.5  # step\nname = 'a b'  # text"
    cells = [
        new_code_cell(parameters, metadata={"tags": ["parameters"]}),
        new_code_cell("assert rate != 9, 'nine'\nprint(epochs, rate, name)"),
    ]
    nbformat.write(new_notebook(cells=cells), tmp_path / "net.ipynb")
    return tmp_path / "net.ipynb"


@pytest.fixture
def write(tmp_path):
    """A function that writes a batch file and returns its path."""

    def write(text):
        path = tmp_path / "batch.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_seeds_by_count_and_by_list(write):
    path = write(
        """# the errors of the lecture
- train: {model: linear-20x20, dataset: mnist, recipe: deslanted, seeds: 2}
- train:
    model: lenet-5
    dataset: mnist
    recipe: plain
    seeds: [7, 3]
- train: {model: boosted-lenet-4, dataset: mnist, recipe: distorted, seeds: 1}
"""
    )
    found = batch.read(path)
    assert [(r.model, r.dataset, r.recipe, r.seed) for r in found] == [
        ("linear-20x20", "mnist", "deslanted", 0),
        ("linear-20x20", "mnist", "deslanted", 1),
        ("lenet-5", "mnist", "plain", 7),
        ("lenet-5", "mnist", "plain", 3),
        ("boosted-lenet-4", "mnist", "distorted", 0),
    ]
    assert str(found[2]) == "lenet-5 mnist plain seed 7"


def test_train_size(write):
    text = "- train: {model: lenet-5, dataset: mnist, recipe: plain, seeds: 1, train_size: 500}\n"
    (run,) = batch.read(write(text))
    assert run.train_size == 500
    assert run.id == experiment.plan("lenet-5", "mnist", "plain", 0, 500)["run_id"]
    assert str(run) == "lenet-5 mnist plain seed 0 on 500 images"


def test_grid_is_every_combination_over_the_fixed_parameters(write, notebook):
    path = write(
        """- notebook:
    path: net.ipynb
    parameters: {name: x}
    grid: {epochs: [1, 2], rate: [1, 0.5]}
- notebook: {path: net.ipynb}
"""
    )
    found = batch.read(path)
    assert {r.path for r in found} == {str(notebook)}
    assert [r.parameters for r in found] == [
        {"name": "x", "epochs": 1, "rate": 1.0},
        {"name": "x", "epochs": 1, "rate": 0.5},
        {"name": "x", "epochs": 2, "rate": 1.0},
        {"name": "x", "epochs": 2, "rate": 0.5},
        {},
    ]
    assert str(found[0]) == "net name=x epochs=1 rate=1.0"


TRAIN = "- train: {model: lenet-5, dataset: mnist, recipe: plain, seeds: 2}\n"
NOTEBOOK = "- notebook:\n    path: net.ipynb\n"
SEEDS = ":1: seeds: expected how many seeds (5 is 0 to 4) or a list like [0, 7], got "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: expected a list of `- train: ...`"),
        ("[]", ":1: expected a list"),
        ("train: {}", ":1: expected a list"),
        (
            TRAIN + "- lenet-5\n",
            ":2: expected one `train: ...`, `notebook: ...` or `limits: ...`, got 'lenet-5'",
        ),
        (TRAIN + "- tran: {}\n", ":2: unknown kind of item 'tran'. Known: train"),
        (TRAIN + "- train: lenet-5\n", ":2: train: expected keys and values, got 'lenet-5'"),
        ("- train:\n    modle: lenet-5\n", ":2: modle: unknown key 'modle'. Known: model, dataset"),
        (
            "- train:\n    model: lenet-5\n    seeds: 2\n",
            ":2: dataset: is missing; expected model, dataset, recipe, seeds",
        ),
        (TRAIN + "- train:\n    model: lenet-6\n", ":3: dataset: is missing"),
        (TRAIN.replace("lenet-5", "lenet-6"), ":1: model: unknown model 'lenet-6'. Known: lenet-5"),
        (TRAIN.replace("mnist", "mnits"), ":1: dataset: unknown dataset 'mnits'. Known: mnist"),
        (TRAIN.replace("plain", "plane"), ":1: recipe: unknown recipe 'plane'. Known: plain"),
        (
            TRAIN.replace("mnist", "[mnist]"),
            ":1: dataset: expected the name of a data set, got ['mnist']",
        ),
        (TRAIN.replace("2}", "0}"), SEEDS + "0"),
        (TRAIN.replace("2}", "true}"), SEEDS + "True"),
        (TRAIN.replace("2}", "[]}"), SEEDS + "[]"),
        (TRAIN.replace("2}", "[-1]}"), SEEDS + "[-1]"),
        (TRAIN.replace("2}", "'2'}"), SEEDS + "'2'"),
        (TRAIN.replace("2}", "010}"), SEEDS + "'010'"),
        (
            TRAIN.replace("2}", "2, train_size: 0}"),
            ":1: train_size: expected how many training images, a whole number above 0, got 0",
        ),
        (
            TRAIN.replace("2}", "[1, 1]}"),
            ":1: train: lenet-5 mnist plain seed 1 is already in the item of line 1",
        ),
        (
            TRAIN + "\n" + TRAIN,
            ":3: train: lenet-5 mnist plain seed 0 is already in the item of line 1",
        ),
        (TRAIN + "- train: [\n", ":3: is not valid YAML here"),
        (TRAIN + "  train: {}\n", ":2: is not valid YAML here: 'train' is given twice"),
        (TRAIN + "- train: {1: 2}\n", ":2: is not valid YAML here: 1 is not a name"),
        (TRAIN + "- train: {[1]: 2}\n", ":2: is not valid YAML here: a list or mapping is not"),
        (TRAIN + "- train:\n    model: 2026-02-30\n", ":3: is not valid YAML here: 2026-02-30 is"),
        (TRAIN + "- train: {<<: {seeds: 1}}\n", ":2: <<: unknown key '<<'. Known: "),
        (TRAIN + "\t- train: {}\n", ":2: is not valid YAML here: found"),
        (
            TRAIN.replace("plain", "frozen-32-all-mlp"),
            ":1: train: the recipe frozen-32-all-mlp is for transfer learning",
        ),
        ("- notebook:\n    path: nett\n", ":2: path: unknown notebook 'nett'"),
        (NOTEBOOK + "    grid: [1]\n", ":3: grid: expected names and values, got [1]"),
        (NOTEBOOK + "    parameters: [1]\n", ":3: parameters: expected names and values, got [1]"),
        (
            NOTEBOOK + "    grid:\n      epochs: 1\n",
            ":4: epochs: expected a list of values, got 1",
        ),
        (
            NOTEBOOK + "    grid:\n      epochs: []\n",
            ":4: epochs: expected a list of values, got []",
        ),
        (
            NOTEBOOK + "    grid:\n      epoch: [1]\n",
            ":4: epoch: net.ipynb has no parameter 'epoch'. Its parameters:\n  epochs = 3",
        ),
        (
            NOTEBOOK + "    parameters:\n      rate: 1e-4\n",
            ":4: rate: rate of net.ipynb must be a number like 0.5, got '1e-4'",
        ),
        (
            NOTEBOOK + "    parameters: {rate: 1}\n    grid:\n      rate: [2]\n",
            ":5: rate: is already set under parameters",
        ),
        (
            "- notebook: {path: net.ipynb, grid: {rate: [1, 1.0]}}\n",
            ":1: notebook: net rate=1.0 is already in the item of line 1",
        ),
        (NOTEBOOK + "    parameters: {name: 2026-01-01}\n", ":3: is not valid YAML here: 2026-01"),
        (NOTEBOOK + "    parameters: {name: !!binary eA==}\n", ":3: is not valid YAML here: expl"),
        (NOTEBOOK + "    parameters: {name: !!set {a}}\n", ":3: is not valid YAML here: explicit"),
        (NOTEBOOK + "    parameters: {name: !!python/none x}\n", ":3: is not valid YAML here: exp"),
        (
            TRAIN.replace("mnist", "caltech101"),
            ":1: train: lenet-5 takes images of 28x28 or 32x32 pixels, and the images of "
            "caltech101",
        ),
        (
            TRAIN.replace("lenet-5", "linear-20x20").replace("mnist", "cifar10"),
            ":1: train: linear-20x20 takes MNIST's size-normalised digits, and the images of",
        ),
        (TRAIN.replace("2}", "[4294967296]}"), ":1: train: seed must be a whole number from 0 to"),
        (
            TRAIN.replace("2}", "2, train_size: 60001}"),
            ":1: train: train_size must be a whole number from 1 to the 60000 training images of",
        ),
        (TRAIN + "---\n" + TRAIN, ":2: is not valid YAML here: a second document"),
    ],
)
def test_errors_say_where_and_what(write, notebook, text, message):
    path = write(text)
    with pytest.raises(InputError) as error:
        batch.read(path)
    assert str(error.value).startswith(f"{path}{message}")


def test_an_error_within_a_grid_names_the_line_of_the_value(write, notebook):
    path = write(NOTEBOOK + "    grid:\n      rate:\n        - 0.5\n        - fast\n")
    with pytest.raises(InputError, match=r":6: rate: rate of net\.ipynb must be a number"):
        batch.read(path)


def aliases(levels):
    """A YAML list whose aliases stand for 10**levels values."""
    lines = ["- limits: {minutes: &a0 [x, x, x, x, x, x, x, x, x, x]}"]
    for level in range(1, levels):
        inside = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"- limits: {{minutes: &a{level} [{inside}]}}")
    return "\n".join(lines)


class TestLimitsOfTheFile:
    """What would take a machine's time or memory is refused at once."""

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                TRAIN.replace("2}", "10000000}"),
                ":1: train: 10,000,000 runs up to here; expected at",
            ),
            (
                NOTEBOOK + f"    grid: {{epochs: {list(range(10**4))}, rate: {list(range(9999))}}}",
                ":1: notebook: 99,990,000 runs up to here; expected at most 10,000 in a file",
            ),
            (TRAIN.replace("2}", "6000}") * 2, ":2: train: 12,000 runs up to here"),
            (aliases(9), ":5: is not valid YAML here: more than 100,000 values"),
            ("[" * 10**5, ":1: is not valid YAML here: more than 20 levels"),
            ("- {a: " * 10**4, ":1: is not valid YAML here"),
            (TRAIN.replace("2}", f"{'9' * 400}}}"), ":1: is not valid YAML here: 9999"),
            (TRAIN.replace("2}", f"[{'9' * 5000}]}}"), ":1: is not valid YAML here: 9999"),
            (TRAIN.replace("2}", "0x10}"), ":1: is not valid YAML here: 0x10 is a number in anot"),
            (TRAIN.replace("2}", "9223372036854775807}"), ":1: train: 9,223,372,036,854,775,807"),
            (TRAIN + "#" * 10**6, ": is larger than the 1,000,000 bytes"),
            (TRAIN + f"- {'x' * 1000}\n", ":2: expected one"),
        ],
        ids=lambda value: value[:30],
    )
    def test_they_are_refused_within_a_second(self, write, notebook, text, message):
        path = write(text)
        started = time.process_time()
        with pytest.raises(InputError) as error:
            batch.read(path)
        assert time.process_time() - started < 1
        assert str(error.value).startswith(f"{path}{message}")
        assert len(str(error.value)) < len(str(path)) + 400


def test_a_file_that_is_not_text(tmp_path):
    path = tmp_path / "batch.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"batch\.yaml: is not text"):
        batch.read(path)


def test_anchors_and_the_mark_that_windows_editors_begin_a_file_with(tmp_path):
    path = tmp_path / "batch.yaml"
    own = TRAIN.replace("2}", "1, limits: &short {minutes: 5}}")
    again = own.replace("plain", "deslanted").replace("&short {minutes: 5}", "*short")
    path.write_text(own + again, encoding="utf-8-sig")
    assert [run.limits.minutes for run in batch.read(path)] == [5, 5]


def test_all_notebooks_of_the_course(write):
    path = write("- notebook: {path: all, limits: {minutes: 5}}\n")
    assert [pathlib.Path(run.path).stem for run in batch.read(path)] == notebooks.names()
    with pytest.raises(InputError, match=r":1: sedd: 01_.* has no parameter 'sedd'"):
        batch.read(write("- notebook: {path: all, parameters: {sedd: 5}}\n"))


def test_a_notebook_by_its_number(write):
    (run,) = batch.read(write("- notebook: {path: 01}\n"))
    assert pathlib.Path(run.path).stem == notebooks.names()[0]


@pytest.mark.parametrize(
    "path", sorted((storage.ROOT / "batches").glob("*.yaml")), ids=lambda path: path.name
)
def test_the_batch_files_of_the_repository(path):
    assert batch.read(path)


class TestLimits:
    def test_they_hold_for_the_items_below_and_an_item_may_have_its_own(self, write):
        path = write(
            TRAIN
            + "- limits: {minutes: 30, memory: 4 GB}\n"
            + TRAIN.replace("plain", "deslanted").replace("2}", "1}")
            + TRAIN.replace("plain", "distorted").replace("2}", "1, limits: {minutes: 0.5}}")
            + "- limits: {memory: 512 MiB}\n"
            + TRAIN.replace("lenet-5", "lenet-1").replace("2}", "1}")
        )
        found = [(run.limits.minutes, run.limits.memory) for run in batch.read(path)]
        assert found[:2] == [(None, None)] * 2
        assert found[2:] == [(30, 4 * 10**9), (0.5, 4 * 10**9), (30, 2**29)]

    @pytest.mark.parametrize(
        ("limits", "message"),
        [
            ("{minute: 3}", "minute: unknown key 'minute'. Known: minutes, memory"),
            ("{minutes: 0}", "minutes: expected a number above 0, got 0"),
            ("{minutes: true}", "minutes: expected a number above 0, got True"),
            ("{minutes: .inf}", "minutes: expected a number above 0, got inf"),
            ("{memory: 4}", "memory: expected a size like 4 GB (or MB, GB, MiB, GiB), got '4'"),
            ("{memory: 4 gb}", "memory: expected a size like 4 GB (or MB, GB, MiB, GiB), got"),
            ("{memory: 0 GB}", "memory: expected a size like 4 GB"),
        ],
    )
    def test_errors(self, write, limits, message):
        with pytest.raises(InputError) as error:
            batch.read(write(f"{TRAIN}- limits: {limits}\n"))
        assert f":2: {message}" in str(error.value)
        with pytest.raises(InputError) as error:
            batch.read(write(TRAIN.replace("2}", f"2, limits: {limits}}}")))
        assert f":1: {message}" in str(error.value)

    def test_limits_alone_are_no_batch(self, write):
        with pytest.raises(InputError, match="has limits but no run"):
            batch.read(write("- limits: {minutes: 1}\n"))


class TestIds:
    def ids(self, path):
        return [run.id for run in batch.read(path)]

    def test_of_a_training_it_is_the_run_id_of_its_row(self, write):
        planned = [experiment.plan("lenet-5", "mnist", "plain", seed) for seed in (0, 1)]
        assert self.ids(write(TRAIN)) == [row["run_id"] for row in planned]

    def test_the_outputs_of_a_notebook_do_not_count_and_its_source_does(self, write, notebook):
        path = write("- notebook: {path: net.ipynb, parameters: {epochs: 5}}\n")
        (before,) = self.ids(path)
        nb = nbformat.read(notebook, as_version=4)
        nb.cells[1].outputs = [nbformat.v4.new_output("stream", text="printed")]
        nbformat.write(nb, notebook)
        assert self.ids(path) == [before] and before.startswith("net-epochs=5-")
        nb.cells[1].source += "\nprint(1)"
        nbformat.write(nb, notebook)
        assert self.ids(path) != [before]

    def test_parameters_count_by_their_value(self, write, notebook):
        path = write(
            "- notebook: {path: net.ipynb, grid: {epochs: [3, 4]}}\n"
            "- notebook: {path: net.ipynb, parameters: {rate: 0.25}}\n"
        )
        assert len(set(self.ids(path))) == 3
        path = write(
            "- notebook: {path: net.ipynb}\n"
            "- notebook: {path: net.ipynb, parameters: {epochs: 3}}\n"  # the default
        )
        message = r":2: notebook: net epochs=3 is already in the item of line 1"
        with pytest.raises(InputError, match=message):
            batch.read(path)

    def test_the_data_and_the_version_of_results_count(self, write, notebook, monkeypatch):
        path = write("- notebook: {path: net.ipynb}\n")
        found = self.ids(path)
        with monkeypatch.context() as changed:
            changed.setattr(runs, "_data_digest", lambda *_: "changed")
            found += self.ids(path)
        with monkeypatch.context() as changed:
            changed.setattr(runs, "RESULTS_VERSION", 1000)
            found += self.ids(path)
        assert len(set(found)) == 3

    def test_a_notebook_of_the_course_goes_by_name_to_another_machine(self, write):
        name = notebooks.names()[2]
        (run,) = batch.read(write(f"- notebook: {{path: {name}}}\n"))
        data = runs.to_json(run)
        assert data == {"notebook": {"path": name, "parameters": {}}}
        assert runs.from_json(data).id == run.id

    def test_a_training_goes_to_another_machine(self, write):
        run = batch.read(write(TRAIN))[1]
        assert runs.from_json(runs.to_json(run)).id == run.id


def test_an_edit_of_the_code_leaves_the_status_unchanged(tmp_path, write, notebook):
    """A docstring in cnnlib/models and a comment elsewhere rename no run."""
    checkout = tmp_path / "checkout"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(storage.ROOT / "cnnlib", checkout / "cnnlib", ignore=ignored)
    shutil.copytree(storage.DATA, checkout / "data", ignore=ignored)
    shutil.copytree(storage.NOTEBOOKS, checkout / "notebooks", ignore=ignored)
    path = write(TRAIN + "- notebook: {path: all}\n- notebook: {path: net.ipynb}\n")

    def plan():
        code = f"from cnnlab import batch; print(batch.plan_text({str(path)!r}))"
        command = [sys.executable, "-c", code]
        run = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True)
        return run.stdout

    before = plan()
    assert before.count("\n") > 7
    for name in ("models/lenet.py", "registry.py", "training.py"):
        source = checkout / "cnnlib" / name
        text = source.read_text(encoding="utf-8")
        assert text.startswith('"""')
        source.write_text(f'"""Edited. {text[3:]}\n# A comment.\n', encoding="utf-8")
    assert plan() == before


def test_a_thousand_runs_are_read_without_keras(write, notebook):
    path = write(
        "- train: {model: lenet-5, dataset: mnist, recipe: plain, seeds: 500}\n"
        "- notebook:\n"
        "    path: net.ipynb\n"
        f"    grid: {{epochs: {list(range(10, 60))}, rate: {list(range(1, 11))}}}\n"
    )
    code = f"""
import sys
from cnnlab import batch
path = {str(path)!r}
assert len({{run.id for run in batch.read(path)}}) == 1000
print(len(batch.plan_text(path).splitlines()), len(batch.status_text(path).splitlines()))
unwanted = {{"keras", "tensorflow", "pandas", "nbformat", "papermill", "distributed"}}
sys.exit(f"imported: {{heavy}}" if (heavy := unwanted & set(sys.modules)) else 0)
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (process.returncode, process.stdout) == (0, "1001 1\n"), process.stderr
