"""Parameters, strict runs through the real papermill, and the report."""

import json
import os
import re
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from cnnlib import results, storage
from cnnlib.errors import InputError
from cnnlib.lab import notebooks, report

PARAMETERS = """# what a run may change
epochs = 3  # passes over the images
learning_rate = 1e-3  # step size
hidden = (300, 100)  # units of each layer
shift = -2
dataset = "mnist"  # which images
augment = False  # distort them
train_size = None  # all
"""


def write(path, *cells, parameters=PARAMETERS):
    """A notebook of a parameters cell and the given code cells (str); a str that starts with # and a space is Markdown."""
    tagged = [new_code_cell(parameters, metadata={"tags": ["parameters"]})] if parameters else []
    others = [new_markdown_cell(c) if c.startswith("# ") else new_code_cell(c) for c in cells]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=[*tagged, *others], metadata=metadata), path)
    return path


def printed(path):
    """All that the cells of an executed notebook printed."""
    cells = nbformat.read(path, as_version=4).cells
    return "".join(
        o.text
        for c in cells
        if c.cell_type == "code"
        for o in c.outputs
        if o.output_type == "stream"
    )


@pytest.fixture
def notebook(tmp_path):
    return write(
        tmp_path / "03_net.ipynb",
        "print('epochs', epochs, 'rate', learning_rate, 'hidden', hidden)",
    )


@pytest.fixture
def course_folder(tmp_path, monkeypatch):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    monkeypatch.setattr(storage, "NOTEBOOKS", folder)
    return folder


class TestParameters:
    def test_names_defaults_and_comments_in_order(self, notebook):
        assert [(p.name, p.default, p.comment) for p in notebooks.parameters(notebook)] == [
            ("epochs", 3, "passes over the images"),
            ("learning_rate", 0.001, "step size"),
            ("hidden", (300, 100), "units of each layer"),
            ("shift", -2, ""),
            ("dataset", "mnist", "which images"),
            ("augment", False, "distort them"),
            ("train_size", None, "all"),
        ]

    def test_comment_sign_in_a_string_is_no_comment_and_a_value_may_take_lines(self, tmp_path):
        path = write(
            tmp_path / "a.ipynb",
            parameters='colour = "#fff"  # of ink\nsizes = [\n    1,\n    2,\n]  # two\n',
        )
        assert [(p.default, p.comment) for p in notebooks.parameters(path)] == [
            ("#fff", "of ink"),
            ([1, 2], "two"),
        ]

    @pytest.mark.parametrize(
        "line",
        [
            "steps = epochs * 2",
            "a = b = 1",
            "import os",
            "a.b = 1",
            "a, b = 1, 2",
            "a += 1",
            "a = f()",
        ],
    )
    def test_anything_but_a_literal_is_refused_with_its_line(self, tmp_path, line):
        path = write(tmp_path / "a.ipynb", parameters=f"epochs = 1\n\n{line}\n")
        with pytest.raises(
            InputError, match=r"a\.ipynb, line 3 of the parameters cell: `" + re.escape(line)
        ):
            notebooks.parameters(path)

    def test_a_magic_is_refused_with_its_line(self, tmp_path):
        with pytest.raises(InputError, match=r"line 2 of the parameters cell"):
            notebooks.parameters(
                write(tmp_path / "a.ipynb", parameters="epochs = 1\n%matplotlib inline\n")
            )

    def test_no_parameters_cell(self, tmp_path):
        assert notebooks.parameters(write(tmp_path / "a.ipynb", "print(1)", parameters=None)) == []

    def test_not_a_notebook(self, tmp_path):
        path = tmp_path / "a.ipynb"
        path.write_text("{")
        with pytest.raises(InputError, match=r"a\.ipynb is not a notebook"):
            notebooks.parameters(path)


class TestFind:
    def test_by_name_number_and_path(self, course_folder):
        path = write(course_folder / "03_lenet1.ipynb")
        for name in ("03_lenet1", "03", "3", "03_lenet1.ipynb", path, str(path)):
            assert notebooks.find(name) == path

    def test_a_missing_one_lists_those_that_exist_closest_first(self, course_folder):
        for name in ("02_linear", "03_lenet1", "05_lenet5"):
            write(course_folder / f"{name}.ipynb")
        with pytest.raises(
            InputError,
            match=r"unknown notebook '05_lenet'\. Known: 05_lenet5, 03_lenet1, 02_linear",
        ):
            notebooks.find("05_lenet")


class TestValues:
    @pytest.mark.parametrize(
        ("text", "default", "value"),
        [
            ("1e-4", 1e-3, 1e-4),
            ("2", 1e-3, 2.0),
            ("5", 3, 5),
            ("-5", 3, -5),
            ("true", False, True),
            ("False", True, False),
            ("10", "mnist", "10"),
            ("[300, 100]", (20,), [300, 100]),
            ("(300,)", (20,), (300,)),
            ("1000", None, 1000),
            ("1e-4", None, 1e-4),
            ("None", None, None),
            ("null", None, None),
            ("cifar10", None, "cifar10"),
        ],
    )
    def test_text_becomes_the_type_of_the_default(self, text, default, value):
        parsed = notebooks.parse(text, default)
        assert parsed == value and type(parsed) is type(value)

    def test_what_does_not_fit_is_left_for_the_check_to_name(self):
        assert [
            notebooks.parse("2.5", 3),
            notebooks.parse("fast", 1e-3),
            notebooks.parse("1", True),
        ] == [2.5, "fast", "1"]

    def test_unknown_name_lists_the_parameters_closest_first(self, notebook):
        with pytest.raises(InputError, match=r"03_net\.ipynb has no parameter 'epoch'") as error:
            notebooks.checked(notebook, {"epoch": 2})
        assert str(error.value).splitlines()[1].split() == [
            "epochs",
            "=",
            "3",
            "#",
            "passes",
            "over",
            "the",
            "images",
        ]
        assert "learning_rate = 0.001  # step size" in str(error.value)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("epochs", 2.0),
            ("epochs", True),
            ("epochs", "2"),
            ("epochs", None),
            ("learning_rate", "0.1"),
            ("learning_rate", True),
            ("augment", 1),
            ("augment", "true"),
            ("dataset", 10),
            ("hidden", 300),
            ("hidden", ["a"]),
            ("hidden", "300"),
        ],
    )
    def test_another_type_is_refused(self, notebook, name, value):
        with pytest.raises(
            InputError, match=rf"{name} of 03_net\.ipynb must be .* got {re.escape(repr(value))}"
        ):
            notebooks.checked(notebook, {name: value})

    def test_what_stands_for_the_type_is_taken(self, notebook):
        values = notebooks.checked(
            notebook, {"learning_rate": 1, "hidden": (20,), "train_size": "all", "epochs": 2}
        )
        assert (
            json.dumps(values)
            == '{"learning_rate": 1.0, "hidden": [20], "train_size": "all", "epochs": 2}'
        )

    def test_a_number_that_yaml_reads_as_text(self, notebook, tmp_path):
        file = tmp_path / "values.yaml"
        file.write_text("learning_rate: 1e-4\n")
        values = notebooks.read_values(file)
        assert values == {"learning_rate": "1e-4"}
        with pytest.raises(InputError, match=r"1\.0e-4, not 1e-4"):
            notebooks.checked(notebook, values)

    @pytest.mark.parametrize("content", ["- a\n", "a: [\n", "text"])
    def test_a_file_without_names_and_values_is_refused(self, tmp_path, content):
        file = tmp_path / "values.yaml"
        file.write_text(content)
        with pytest.raises(InputError, match=r"values\.yaml"):
            notebooks.read_values(file)


class TestRun:
    def test_parameters_python_and_folder(self, tmp_path, monkeypatch):
        path = write(
            tmp_path / "a.ipynb",
            "import os, sys, cnnlib; print(sys.executable, os.getcwd(), sep='\\n')",
            "print(epochs, learning_rate, hidden, dataset)",
        )
        broken = (
            tmp_path / "jupyter" / "kernels" / "python3"
        )  # a kernel of the same name that stands before this Python's own
        broken.mkdir(parents=True)
        spec = {
            "argv": ["no-such-python", "{connection_file}"],
            "display_name": "Python 3",
            "language": "python",
        }
        (broken / "kernel.json").write_text(json.dumps(spec))
        monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
        output = notebooks.run(
            path,
            {"learning_rate": 1, "hidden": (20,)},
            tmp_path / "out" / "b {x}.ipynb",
            progress=False,
        )
        assert output == tmp_path / "out" / "b {x}.ipynb"
        assert printed(output).splitlines() == [
            sys.executable,
            os.path.realpath(tmp_path),
            "3 1.0 [20] mnist",
        ]
        assert [p.name for p in output.parent.iterdir()] == [output.name]
        assert str(tmp_path) not in json.dumps(nbformat.read(output, as_version=4).metadata)

    def test_default_output_is_in_the_results_folder(self, notebook):
        output = notebooks.run(notebook, progress=False)
        assert output == storage.results_folder() / "notebooks" / "03_net.ipynb"

    def test_progress_names_the_sections(self, tmp_path, capsys):
        notebooks.run(
            write(tmp_path / "a.ipynb", "# First part\ntext", "x = 1", "# Second part"),
            output=tmp_path / "b.ipynb",
        )
        assert [line.strip() for line in capsys.readouterr().out.splitlines()] == [
            "2/4 First part",
            "4/4 Second part",
        ]

    def test_a_failing_cell_leaves_the_earlier_output_alone(self, tmp_path):
        output = notebooks.run(
            write(tmp_path / "a.ipynb", "print('good')"),
            output=tmp_path / "out" / "a.ipynb",
            progress=False,
        )
        path = write(tmp_path / "a.ipynb", "print('before')", "net = 1\nnet / 0", "print('after')")
        with pytest.raises(notebooks.NotebookError) as error:
            notebooks.run(path, {"epochs": 1}, output, progress=False)
        message = str(error.value)
        assert message.startswith(
            "a: cell 3, In [4], raised ZeroDivisionError: division by zero\n    net = 1\n    net / 0\n"
        )
        failed = output.with_name("a.failed.ipynb")
        assert str(failed) in message
        assert (
            "good" in printed(output)
            and "before" in printed(failed)
            and "after" not in printed(failed)
        )
        assert sorted(p.name for p in output.parent.iterdir()) == ["a.failed.ipynb", "a.ipynb"]
        notebooks.run(write(tmp_path / "a.ipynb", "print('mended')"), output=output, progress=False)
        assert "mended" in printed(output) and not failed.exists()

    def test_a_kernel_that_dies(self, tmp_path):
        path = write(tmp_path / "a.ipynb", "import os; os._exit(1)")
        with pytest.raises(notebooks.NotebookError, match="its Python process died"):
            notebooks.run(path, output=tmp_path / "b.ipynb", progress=False)
        assert not (tmp_path / "b.ipynb").exists()

    def test_stored_outputs_can_be_renewed_but_not_with_other_parameters(self, notebook):
        notebooks.run(notebook, output=notebook, progress=False)
        assert "epochs 3" in printed(notebook)
        with pytest.raises(InputError, match="is the notebook itself"):
            notebooks.run(notebook, {"epochs": 1}, output=notebook, progress=False)

    def test_nothing_runs_with_a_wrong_parameter(self, tmp_path):
        path = write(tmp_path / "a.ipynb", f"open({str(tmp_path / 'trace')!r}, 'w')")
        with pytest.raises(InputError):
            notebooks.run(path, {"epochs": "many"}, tmp_path / "b.ipynb", progress=False)
        assert not (tmp_path / "trace").exists() and not (tmp_path / "b.ipynb").exists()


class TestReport:
    def test_page_needs_no_network(self, tmp_path):
        badge = "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://example.org/a)"
        text = f"# Title\n{badge}\n\nThe softmax $e^{{z}}$, the price `$5`, and\n\n$$\\sum_j w_j$$\n\nand $x_1_2$ as it was written"
        path = write(
            tmp_path / "a.ipynb",
            text,
            "import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show()",
            "print('<b>')",
        )
        html = report.page(notebooks.run(path, output=tmp_path / "b.ipynb", progress=False))
        assert not re.findall(
            r"<(?:script|link|img|iframe|source)[^>]*(?:src|href)=[\"']?(?:https?:)?//[^>]*", html
        )
        assert not re.findall(r"@import|url\(\s*['\"]?(?:https?:)?//|import\(", html)
        assert (
            ">Open in Colab</a>" in html
            and "data:image/png;base64," in html
            and "&lt;b&gt;" in html
        )
        assert (
            html.count("<math") == 2
            and "<msup>" in html
            and "<code>$5</code>" in html
            and "<code>x_1_2</code>" in html
        )

    def test_course_goes_on_after_a_failure_and_says_so(self, course_folder, tmp_path, capsys):
        write(course_folder / "01_good.ipynb", "# One", "print('fine')")
        write(course_folder / "02_bad.ipynb", "raise ValueError('<no> data')")
        write(course_folder / "03_last.ipynb", "print('last')")
        folder = tmp_path / "report"
        assert notebooks.course(folder=folder) == ["02_bad"]
        out = capsys.readouterr().out
        assert re.findall(r"^\[.*", out, re.MULTILINE) == [
            "[1/3] 01_good ...",
            "[2/3] 02_bad ...",
            "[3/3] 03_last ...",
        ]
        assert (
            "02_bad: cell 2, In [2], raised ValueError: <no> data" in out
            and "1 of 3 notebooks failed: 02_bad" in out
        )
        assert results.recap_text() in out and str(folder / "index.html") in out
        index = (folder / "index.html").read_text(encoding="utf-8")
        assert "<no>" not in index and "&lt;no&gt; data" in index and "LeNet-5" in index
        pages = re.findall(r'href="([^"]+)"', index)
        assert pages == ["01_good.html", "02_bad.failed.html", "03_last.html"]
        assert all((folder / page).is_file() for page in pages)
        assert printed(folder / "03_last.ipynb") == "last\n"

    def test_course_of_named_notebooks(self, course_folder):
        write(course_folder / "01_good.ipynb")
        write(course_folder / "02_other.ipynb")
        assert notebooks.course(["02"], progress=False) == []
        names = {p.name for p in (storage.results_folder() / "course").iterdir()}
        assert names == {"02_other.ipynb", "02_other.html", "index.html"}

    def test_course_without_notebooks(self, course_folder):
        with pytest.raises(InputError, match="there are no notebooks"):
            notebooks.course()


def test_colab_url():
    assert notebooks.colab_url("notebooks/03_lenet1.ipynb") == notebooks.colab_url("03_lenet1")
    assert re.fullmatch(
        r"https://colab\.research\.google\.com/github/[\w.-]+/[\w.-]+/blob/main/notebooks/03_lenet1\.ipynb",
        notebooks.colab_url("03_lenet1"),
    )
