"""The notebooks' parameters, and strict runs through the real papermill."""

import datetime
import functools
import json
import os
import re
import subprocess
import sys
import time

import nbformat
import pytest

from cnnlab import notebooks
from cnnlib import storage
from cnnlib.errors import InputError

PARAMETERS = """# what a run may change
epochs = 3  # passes over the images
learning_rate = 1e-3  # step size
hidden = (300, 100)  # units of each layer
shift = -2
dataset = "mnist"  # which images
augment = False  # distort them
train_size = None  # all
"""


@pytest.fixture
def write(write_notebook):
    return functools.partial(write_notebook, parameters=PARAMETERS)


def printed(path):
    """All that the cells of an executed notebook printed."""
    outputs = [o for c in nbformat.read(path, as_version=4).cells for o in c.get("outputs", [])]
    return "".join(output.text for output in outputs if output.output_type == "stream")


@pytest.fixture
def notebook(tmp_path, write):
    return write(tmp_path / "03_net.ipynb", "print('epochs', epochs, 'rate', learning_rate)")


class TestParameters:
    def test_names_defaults_and_comments_in_order(self, tmp_path, write):
        more = 'colour = "#fff"  # of ink\nsizes = [\n    1,\n    2,\n]  # two\n'
        path = write(tmp_path / "a.ipynb", parameters=PARAMETERS + more)
        assert [(p.name, p.default, p.comment) for p in notebooks.parameters(path)] == [
            ("epochs", 3, "passes over the images"),
            ("learning_rate", 0.001, "step size"),
            ("hidden", (300, 100), "units of each layer"),
            ("shift", -2, ""),
            ("dataset", "mnist", "which images"),
            ("augment", False, "distort them"),
            ("train_size", None, "all"),
            ("colour", "#fff", "of ink"),
            ("sizes", [1, 2], "two"),
        ]

    @pytest.mark.parametrize(
        "line", ["n = epochs * 2", "a = b = 1", "import os", "a.b = 1", "a, b = 1, 2", "a = f()"]
    )
    def test_anything_but_a_literal_is_refused_with_its_line(self, tmp_path, write, line):
        path = write(tmp_path / "a.ipynb", parameters=f"epochs = 1\n\n{line}\n")
        message = rf"a\.ipynb, line 3 of the parameters cell: '{re.escape(line)}'"
        with pytest.raises(InputError, match=message):
            notebooks.parameters(path)


def test_notebooks_are_found_by_name_number_and_path(course_folder, write):
    path, *_ = (write(course_folder / f"{n}.ipynb") for n in ("03_lenet1", "02_net", "05_lenet5"))
    for name in ("03_lenet1", "03", "3", "03_lenet1.ipynb", path, str(path)):
        assert notebooks.find(name) == path
    message = "unknown notebook '05_lenet'. Did you mean 05_lenet5, 03_lenet1"
    with pytest.raises(InputError, match=re.escape(message)):
        notebooks.find("05_lenet")
    for text in ("", "..", "../notebooks/03", "a/b", "\0", "٣"):
        with pytest.raises(InputError, match="unknown notebook"):
            notebooks.find(text)


class TestValues:
    @pytest.mark.parametrize(
        ("text", "default", "value"),
        [
            ("1e-4", 1e-3, 1e-4),
            ("5", 3, 5),
            ("true", False, True),
            ("10", "mnist", "10"),
            ("(300,)", (20,), (300,)),
            ("None", None, None),
            ("cifar10", None, "cifar10"),
        ],
    )
    def test_text_becomes_the_type_of_the_default(self, text, default, value):
        parsed = notebooks.parse(text, default)
        assert parsed == value and type(parsed) is type(value)

    def test_unknown_name_lists_the_parameters_closest_first(self, notebook):
        with pytest.raises(InputError, match=r"03_net\.ipynb has no parameter 'epoch'") as error:
            notebooks.checked(notebook, {"epoch": 2})
        assert str(error.value).splitlines()[1].split()[:3] == ["epochs", "=", "3"]
        assert "learning_rate = 0.001  # step size" in str(error.value)

    @pytest.mark.parametrize(
        ("name", "values"),
        [
            ("epochs", [2.0, True, "2", None]),
            ("learning_rate", ["0.1", True]),
            ("augment", [1, "true"]),
            ("dataset", [10]),
            ("hidden", [300, ["a"], "300"]),
            # What JSON cannot hold.
            ("train_size", [datetime.date(2026, 1, 1), {1, 2}, b"bytes", 1j, 10**30, {"a": {1}}]),
        ],
    )
    def test_another_type_is_refused(self, notebook, name, values):
        for value in values:
            with pytest.raises(InputError, match=rf"{name} of 03_net\.ipynb must be .*") as error:
                notebooks.checked(notebook, {name: value})
            assert name == "train_size" or f"got {value!r}" in str(error.value)

    def test_what_stands_for_the_type_is_taken(self, notebook, tmp_path):
        file = tmp_path / "values.yaml"
        file.write_text("learning_rate: 1e-4\n")  # which YAML 1.1 reads as text
        values = notebooks.read_values(file)
        assert values == {"learning_rate": 1e-4} == notebooks.checked(notebook, values)
        given = {"learning_rate": 1, "hidden": (20,), "train_size": "all", "epochs": 2}
        values = json.dumps(notebooks.checked(notebook, given))
        assert values == '{"learning_rate": 1.0, "hidden": [20], "train_size": "all", "epochs": 2}'

    @pytest.mark.parametrize("text", ["!!set {a}", "!!binary eA==", "&a [*a]", "[", "1\n- a"])
    def test_a_file_of_more_than_names_and_values_is_refused_where_it_is(self, tmp_path, text):
        file = tmp_path / "values.yaml"
        file.write_text(f"epochs: 1\ntrain_size: {text}\n")
        with pytest.raises(InputError, match=r"values\.yaml:[23]: "):
            notebooks.read_values(file)


class TestRun:
    def test_parameters_python_folder_figures_and_progress(
        self, tmp_path, write, monkeypatch, capsys
    ):
        path = write(
            tmp_path / "{epochs}" / "a{x}{.ipynb",  # braces are no parameters
            "# First part\ntext",
            "import os, sys, cnnlib; print(sys.executable, os.getcwd(), sep='\\n')",
            "print(epochs, learning_rate, hidden, dataset)",
            "import matplotlib.pyplot as plt; plt.plot([1]); plt.show()",
            "# Second part",
        )
        # A kernel of the same name stands before this Python's own, and figures would be lost.
        broken = tmp_path / "jupyter" / "kernels" / "python3"
        broken.mkdir(parents=True)
        spec = {"argv": ["no-such", "{connection_file}"], "display_name": "", "language": "python"}
        (broken / "kernel.json").write_text(json.dumps(spec))
        monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
        monkeypatch.setenv("MPLBACKEND", "Agg")
        values, output = {"learning_rate": 1, "hidden": (20,)}, tmp_path / "out" / "b {0} }{.ipynb"
        assert notebooks.run(path, values, output) == output
        expected = [sys.executable, os.path.realpath(path.parent), "3 1.0 [20] mnist"]
        assert printed(output).splitlines() == expected
        assert [p.name for p in output.parent.iterdir()] == [output.name]
        nb = nbformat.read(output, as_version=4)
        assert str(tmp_path) not in json.dumps(nb.metadata)
        assert any("image/png" in each.get("data", {}) for each in nb.cells[-2].outputs)
        lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
        assert lines == ["First part", "Second part"]

    def test_a_failing_cell_leaves_the_earlier_output_alone(self, tmp_path, write):
        output = tmp_path / "out" / "a.ipynb"
        output.parent.mkdir()
        output.write_text("of an earlier run")
        path = write(tmp_path / "a.ipynb", "print('before')", "net = 1\nnet / 0", "print('after')")
        with pytest.raises(notebooks.NotebookError) as error:
            notebooks.run(path, {"epochs": 1}, output)
        message = str(error.value)
        assert message.startswith("a: cell 3, In [4], raised ZeroDivisionError: division by zero\n")
        assert message.splitlines()[1:3] == ["    net = 1", "    net / 0"]
        failed = output.with_name("a.failed.ipynb")
        assert str(failed) in message and output.read_text() == "of an earlier run"
        assert "before" in printed(failed) and "after" not in printed(failed)
        assert sorted(p.name for p in output.parent.iterdir()) == ["a.failed.ipynb", "a.ipynb"]
        notebooks.run(write(tmp_path / "a.ipynb", "print('mended')"), output=output)
        assert "mended" in printed(output) and not failed.exists()

    def test_a_kernel_that_dies(self, tmp_path, write):
        path = write(tmp_path / "a.ipynb", "import os; os._exit(1)")
        with pytest.raises(notebooks.NotebookError, match="its Python process ended"):
            notebooks.run(path, output=tmp_path / "b.ipynb")
        assert not (tmp_path / "b.ipynb").exists()

    def test_stored_outputs_can_be_renewed_but_not_with_other_parameters(self, notebook):
        notebooks.run(notebook, output=notebook)
        assert "epochs 3" in printed(notebook)
        with pytest.raises(InputError, match="is the notebook itself"):
            notebooks.run(notebook, {"epochs": 1}, output=notebook)

    def test_a_killed_run_leaves_nothing_beside_its_output(self, tmp_path, write):
        begun = tmp_path / "begun"
        cell = f"import time\nopen({str(begun)!r}, 'w')\ntime.sleep(99)"
        path, output = write(tmp_path / "a.ipynb", cell), tmp_path / "out.ipynb"
        command = [sys.executable, "-m", "cnnlib", "run", str(path), "-o", str(output)]
        process = subprocess.Popen(command, cwd=storage.ROOT, stdout=subprocess.DEVNULL)
        while not begun.exists():
            assert process.poll() is None
            time.sleep(0.1)
        process.kill()
        process.wait()
        begun.unlink()
        assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["a.ipynb"]


@pytest.mark.parametrize(
    ("notebook", "values", "message"),
    [
        ("04", {"net": "vgg16"}, "the recipe quick is for training from the start"),
        ("04", {"net": "lenet-5"}, "lenet-5 takes 32x32, and it prepares images as 16-in-28"),
        ("02", {"recipe": "frozen-32-all-mlp"}, "is for transfer learning"),
        ("03", {"seed": 2**32}, "seed must be a number from 0 to 4294967295"),
        ("08", {"test_size": 1001}, "test_size must be a number from 0 to 1000"),
        ("05", {"train_size": 55_001}, "train_size must be a number from 0 to 55000"),
        ("06", {"dataset": "cifar10"}, "unknown dataset 'cifar10'. Known: mnist, fashion_mnist"),
        ("06", {"picture": "no.png"}, "picture: there is no file"),
        ("07", {"epochs": 0}, "epochs must be a number from 1 to 100000, got 0"),
        ("05", {"net": "cifar10/small"}, "unknown model 'boosted-cifar10/small'"),
    ],
)
def test_what_no_training_takes_is_refused_before_a_kernel_starts(notebook, values, message):
    with pytest.raises(InputError, match=rf"{notebook}_\w+\.ipynb: .*{re.escape(message)}"):
        notebooks.run(notebook, values)


def test_what_the_notebooks_of_the_course_say_themselves_is_not_refused():
    for name in notebooks.names():
        notebooks.check_training(name, {})
    notebooks.check_training("08", {"dataset": "cifar10", "train_size": 50000, "seed": 3})


def test_what_cannot_be_written_is_refused_before_anything_runs(notebook, tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "_execute", None)
    monkeypatch.chdir(tmp_path)
    for output in ("s3://bucket/a.ipynb", "gs://b/a", "https://a/b.ipynb"):
        with pytest.raises(InputError, match=r"only paths of this machine .*--copy-to"):
            notebooks.run(notebook, output=output)
    assert [p.name for p in tmp_path.iterdir()] == [notebook.name]
    (tmp_path / "folder").mkdir()
    paths = [tmp_path / "folder", "", "\0"]
    if sys.platform != "win32":
        os.mkfifo(tmp_path / "pipe")
        paths += ["/dev/null", tmp_path / "pipe", "/dev/null/a"]
    for path in paths:
        with pytest.raises(InputError, match="cannot write"):
            notebooks.run(notebook, output=path)
