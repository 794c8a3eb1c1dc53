"""The batch file's format, its error messages, and the ids of its runs."""

import pathlib
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from cnnlib import storage
from cnnlib.errors import InputError
from cnnlib.lab import batch, experiment, notebooks
from cnnlib.lab.batch import format, ids


@pytest.fixture
def notebook(tmp_path):
    """A notebook beside the batch file. It fails for rate 9."""
    cells = [
        new_code_cell(
            "epochs = 3  # passes\nrate = 0.5  # step\nname = 'a b'  # text",
            metadata={"tags": ["parameters"]},
        ),
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
        (TRAIN.replace("mnist", "[mnist]"), ":1: dataset: unknown dataset ['mnist']"),
        (TRAIN.replace("2}", "0}"), ":1: seeds: expected how many seeds"),
        (TRAIN.replace("2}", "true}"), ":1: seeds: expected how many seeds"),
        (TRAIN.replace("2}", "[]}"), ":1: seeds: expected how many seeds"),
        (TRAIN.replace("2}", "[-1]}"), ":1: seeds: expected how many seeds"),
        (TRAIN.replace("2}", "'2'}"), ":1: seeds: expected how many seeds"),
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
        (TRAIN + "- train: {[1]: 2}\n", ":2: is not valid YAML here: [1] is not a name"),
        (TRAIN + "- train:\n    model: 2026-02-30\n", ":3: is not valid YAML here: day"),
        (TRAIN + "- train: {<<: {seeds: 1}}\n", ":2: <<: unknown key '<<'. Known: "),
        (TRAIN + "\t- train: {}\n", ":2: is not valid YAML here: found character '\\t'"),
        (
            TRAIN.replace("plain", "frozen-32-all-mlp"),
            ":1: train: the recipe frozen-32-all-mlp is for transfer learning",
        ),
        ("- notebook:\n    path: nett\n", ":2: path: unknown notebook 'nett'"),
        (
            "- notebook:\n    path: net.ipynb\n    grid: [1]\n",
            ":3: grid: expected names and values, got [1]",
        ),
        (
            "- notebook:\n    path: net.ipynb\n    grid:\n      epochs: 1\n",
            ":4: epochs: expected a list of values, got 1",
        ),
        (
            "- notebook:\n    path: net.ipynb\n    grid:\n      epochs: []\n",
            ":4: epochs: expected a list of values, got []",
        ),
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
        (
            "- notebook: {path: net.ipynb, grid: {rate: [1, 1.0]}}\n",
            ":1: notebook: net rate=1.0 is already in the item of line 1",
        ),
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


def test_anchors_and_the_mark_that_windows_editors_begin_a_file_with(tmp_path):
    path = tmp_path / "batch.yaml"
    own = TRAIN.replace("2}", "1, limits: &short {minutes: 5}}")
    path.write_text(
        own + own.replace("plain", "deslanted").replace("&short {minutes: 5}", "*short"),
        encoding="utf-8-sig",
    )
    assert [run.limits.minutes for run in batch.read(path)] == [5, 5]


def test_all_notebooks_of_the_course(batch_file):
    path = batch_file("- notebook: {path: all, limits: {minutes: 5}}\n")
    assert [pathlib.Path(run.fields["path"]).stem for run in batch.read(path)] == notebooks.names()
    with pytest.raises(InputError, match=r":1: sedd: 01_.* has no parameter 'sedd'"):
        batch.read(batch_file("- notebook: {path: all, parameters: {sedd: 5}}\n"))


@pytest.mark.parametrize(
    "path", sorted((storage.ROOT / "batches").glob("*.yaml")), ids=lambda path: path.name
)
def test_the_batch_files_of_the_repository(path):
    assert batch.read(path)


class TestLimits:
    def test_they_hold_for_the_items_below_and_an_item_may_have_its_own(self, batch_file):
        path = batch_file(
            TRAIN
            + "- limits: {minutes: 30, memory: 4 GB}\n"
            + TRAIN.replace("plain", "deslanted").replace("2}", "1}")
            + TRAIN.replace("plain", "distorted").replace("2}", "1, limits: {minutes: 0.5}}")
            + "- limits: {memory: 512 MiB}\n"
            + TRAIN.replace("lenet-5", "lenet-1").replace("2}", "1}")
        )
        none, none_either, *rest = [
            (run.limits.minutes, run.limits.memory) for run in batch.read(path)
        ]
        assert none == none_either == (None, None)
        assert rest == [(30, 4 * 10**9), (0.5, 4 * 10**9), (30, 2**29)]

    @pytest.mark.parametrize(
        ("limits", "message"),
        [
            ("{minute: 3}", "minute: unknown key 'minute'. Known: minutes, memory"),
            ("{minutes: 0}", "minutes: expected a number above 0, got 0"),
            ("{minutes: true}", "minutes: expected a number above 0, got True"),
            ("{minutes: .inf}", "minutes: expected a number above 0, got inf"),
            ("{memory: 4}", "memory: expected a size like 4 GB (or MB, GB, MiB, GiB), got '4'"),
            (
                "{memory: 4 gb}",
                "memory: expected a size like 4 GB (or MB, GB, MiB, GiB), got '4 gb'",
            ),
            ("{memory: 0 GB}", "memory: expected a size like 4 GB"),
        ],
    )
    def test_errors(self, batch_file, limits, message):
        with pytest.raises(InputError) as error:
            batch.read(batch_file(f"{TRAIN}- limits: {limits}\n"))
        assert f":2: {message}" in str(error.value)
        with pytest.raises(InputError) as error:
            batch.read(batch_file(TRAIN.replace("2}", f"2, limits: {limits}}}")))
        assert f":1: {message}" in str(error.value)

    def test_limits_alone_are_no_batch(self, batch_file):
        with pytest.raises(InputError, match="has limits but no run"):
            batch.read(batch_file("- limits: {minutes: 1}\n"))


class TestIds:
    def ids(self, path):
        return [run.id for run in batch.read(path)]

    def test_of_a_training_it_is_the_ledgers(self, batch_file):
        assert self.ids(batch_file(TRAIN)) == [
            experiment.plan("lenet-5", "mnist", "plain", seed)["run_id"] for seed in (0, 1)
        ]

    def test_what_a_notebook_printed_is_not_in_it_and_its_source_is(self, batch_file, notebook):
        path = batch_file("- notebook: {path: net.ipynb, parameters: {epochs: 5}}\n")
        (before,) = self.ids(path)
        nb = nbformat.read(notebook, as_version=4)
        nb.cells[1].outputs = [nbformat.v4.new_output("stream", text="printed")]
        nbformat.write(nb, notebook)
        assert self.ids(path) == [before] and before.startswith("net-epochs=5-")
        nb.cells[1].source += "\nprint(1)"
        nbformat.write(nb, notebook)
        assert self.ids(path) != [before]

    def test_parameters_count_by_their_value(self, batch_file, notebook):
        path = batch_file(
            "- notebook: {path: net.ipynb, grid: {epochs: [3, 4]}}\n- notebook: {path: net.ipynb, parameters: {rate: 0.25}}\n"
        )
        assert len(set(self.ids(path))) == 3
        with pytest.raises(
            InputError, match=r":2: notebook: net epochs=3 is already in the item of line 1"
        ):  # 3 is the default
            batch.read(
                batch_file(
                    "- notebook: {path: net.ipynb}\n- notebook: {path: net.ipynb, parameters: {epochs: 3}}\n"
                )
            )

    def test_it_changes_with_the_source_of_cnnlib_and_with_the_data(
        self, batch_file, notebook, monkeypatch
    ):
        path = batch_file("- notebook: {path: net.ipynb}\n")
        found = self.ids(path)
        for function in ("_code_hash", "_data_hash"):
            with monkeypatch.context() as changed:
                changed.setattr(ids, function, lambda *_: "changed")
                found += self.ids(path)
        assert len(set(found)) == 3

    def test_a_notebook_of_the_course_has_the_same_id_by_name_on_another_machine(self, batch_file):
        (run,) = batch.read(batch_file("- notebook: {path: 03_lenet1}\n"))
        assert format.portable(run.fields) == {"path": "03_lenet1", "parameters": {}}
        assert ids.run_id("notebook", format.portable(run.fields)) == run.id


def test_a_thousand_runs_are_read_without_keras(batch_file, notebook):
    path = batch_file(
        "- train: {model: lenet-5, dataset: mnist, recipe: plain, seeds: 500}\n"
        f"- notebook: {{path: net.ipynb, grid: {{epochs: {list(range(10, 60))}, rate: {list(range(1, 11))}}}}}\n"
    )
    code = f"""
import sys
from cnnlib.lab import batch
runs = batch.read({str(path)!r})
assert len({{run.id for run in runs}}) == 1000
print(len(batch.plan_text({str(path)!r}).splitlines()), len(batch.status_text({str(path)!r}).splitlines()))
heavy = {{"keras", "tensorflow", "pandas", "nbformat", "papermill", "distributed"}} & set(sys.modules)
sys.exit(f"imported: {{heavy}}" if heavy else 0)
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (process.returncode, process.stdout) == (0, "1001 1\n"), process.stderr
