"""The command line: what it prints, what it refuses, and that it starts fast."""

import os
import subprocess
import sys

import click
import nbformat
import pytest
from click.testing import CliRunner
from nbformat.v4 import new_code_cell, new_notebook

from cnnlab import (
    batch,
    bundle,
    course,
    editions,
    experiment,
    fetch,
    ledger,
    leftovers,
    notebooks,
    readme,
    results_listing,
)
from cnnlab.cli import cli
from cnnlib import datasets, digits, models, results, storage, training


def run(*arguments):
    return CliRunner().invoke(cli, [str(a) for a in arguments])


@pytest.fixture
def notebook(tmp_path):
    cells = [
        new_code_cell("rate = 0.1  # step size", metadata={"tags": ["parameters"]}),
        new_code_cell("print(rate)\nassert rate < 1"),
    ]
    nbformat.write(new_notebook(cells=cells), tmp_path / "net.ipynb")
    return tmp_path / "net.ipynb"


@pytest.fixture
def trained(monkeypatch):
    """The arguments of trainings, none of which happens."""
    calls = []

    def train_row(model, dataset, recipe, seed, **options):
        calls.append((model, dataset, recipe, seed, options))
        return {
            "run_id": f"{model}-{seed}",
            "dataset": dataset,
            "recipe": recipe,
            "metric": "test_error_percent",
            "value": 1.234,
            "train_seconds": 12.3,
        }

    monkeypatch.setattr(experiment, "train_row", train_row)
    monkeypatch.setattr(experiment, "find", lambda run: None)
    return calls


def commands(group, prefix=()):
    for name, command in group.commands.items():
        yield (*prefix, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*prefix, name))


@pytest.mark.parametrize("path", [path for path, _ in commands(cli)], ids=" ".join)
def test_every_command_has_help_of_one_line(path):
    result = run(*path, "--help")
    assert result.exit_code == 0
    description = result.output.split("\n\n")[1]
    assert description.strip().endswith(".") and "\n" not in description


def test_help_imports_nothing_heavy():
    code = """
import sys
from cnnlab.cli import cli
cli(["--help"], standalone_mode=False)
unwanted = {"tensorflow", "keras", "pandas", "numpy", "matplotlib", "papermill", "nbformat"}
sys.exit(f"imported: {heavy}" if (heavy := unwanted & set(sys.modules)) else 0)
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert "Usage:" in process.stdout


def test_as_a_module():
    process = subprocess.run(
        [sys.executable, "-m", "cnnlib", "--version"], capture_output=True, text=True
    )
    assert process.returncode == 0 and process.stdout.startswith("cnnlib, version ")


def test_an_error_is_one_message_without_traceback():
    process = subprocess.run(
        [sys.executable, "-m", "cnnlib", "run", "no_such_notebook"], capture_output=True, text=True
    )
    assert process.returncode == 2 and process.stdout == ""
    assert (
        process.stderr.startswith("Error: unknown notebook 'no_such_notebook'. Known:")
        and "Traceback" not in process.stderr
    )


def test_traceback_on_request():
    process = subprocess.run(
        [sys.executable, "-m", "cnnlib", "--traceback", "run", "no_such_notebook"],
        capture_output=True,
        text=True,
    )
    assert process.returncode == 1 and "Traceback (most recent call last)" in process.stderr


@pytest.mark.parametrize(
    ("error", "message", "code"),
    [
        (datasets.Unavailable("mnist cannot be had"), "Error: mnist cannot be had", 2),
        (datasets.Damaged("mnist.npz was altered"), "Error: mnist.npz was altered", 2),
        (
            PermissionError(13, "Permission denied", "results/rows"),
            "Error: results/rows: Permission denied",
            2,
        ),
        (notebooks.NotebookError("cell 3 failed"), "Error: cell 3 failed", 1),
        (KeyboardInterrupt(), "Stopped.", 130),
    ],
)
def test_expected_errors(monkeypatch, error, message, code):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(results_listing, "text", fail)
    result = run("results", "show")
    assert (result.exit_code, result.output) == (code, message + "\n")


@pytest.mark.parametrize("error", [RuntimeError("a bug"), OSError("a bug"), TypeError("a bug")])
def test_a_bug_keeps_its_traceback(monkeypatch, error):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(results_listing, "text", fail)
    assert run("results", "show").exception is error


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_that_is_not_utf_8_gets_escapes_not_an_error(encoding):
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    for arguments in (["results", "show"], ["predict", "ø→"]):
        run = subprocess.run(
            [sys.executable, "-m", "cnnlib", *arguments], env=environment, capture_output=True
        )
        output = (run.stdout + run.stderr).decode(encoding, "replace")
        assert "Traceback" not in output and "UnicodeEncodeError" not in output
        assert arguments[0] == "predict" or run.returncode == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_is_one_message():
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "cnnlib", "models"]
        run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert run.returncode != 0 and "Traceback" not in run.stderr


class TestTrain:
    def test_defaults(self, trained):
        result = run("train", "lenet-5", "mnist")
        first, *_ = result.stdout.splitlines()
        assert first == "lenet-5 mnist plain seed 0: 1.23 % test error in 12 s"
        assert trained == [("lenet-5", "mnist", "plain", 0, {"train_size": None, "again": False})]

    def test_options(self, trained):
        run(
            "train",
            "lenet-1",
            "mnist",
            "--recipe",
            "quick",
            "--seed",
            3,
            "--train-size",
            100,
            "--again",
        )
        assert trained == [("lenet-1", "mnist", "quick", 3, {"train_size": 100, "again": True})]

    def test_a_known_row_says_so(self, trained, monkeypatch):
        monkeypatch.setattr(experiment, "find", lambda run: {})
        assert (
            "already in the results: --again trains it anew"
            in run("train", "lenet-5", "mnist").output
        )

    def test_it_says_where_the_row_and_the_net_are(self, trained):
        row, net = results.local_file("lenet-5-0"), results.local_file("lenet-5-0", "nets")
        storage.write_atomically(row, "{}")
        storage.write_atomically(net, b"")
        assert run("train", "lenet-5", "mnist").stdout.splitlines()[1:] == [
            f"Row: {row}",
            f"Net: {net}",
        ]
        row.unlink()
        net.unlink()
        (line,) = run("train", "lenet-5", "mnist").stdout.splitlines()[1:]
        assert line == f"Row: {results.ledger_file('mnist')} (lenet-5-0)"

    @pytest.mark.parametrize(
        "option",
        [("--seed", "-1"), ("--seed", "x"), ("--seed", str(2**32)), ("--train-size", "0")],
    )
    def test_wrong_numbers(self, trained, option):
        assert run("train", "lenet-5", "mnist", *option).exit_code == 2 and trained == []

    @pytest.mark.parametrize(
        "arguments",
        [("lenet-6", "mnist"), ("lenet-5", "mnits"), ("lenet-5", "mnist", "--recipe", "plane")],
    )
    def test_unknown_names_list_the_known_ones(self, arguments):
        result = run("train", *arguments)
        assert (
            result.exit_code == 2
            and result.output.startswith("Error: unknown ")
            and ". Known: " in result.output
        )


class TestRun:
    def test_parameters_from_file_and_line(self, notebook, tmp_path):
        (tmp_path / "values.yaml").write_text("rate: 0.3\n")
        result = run("run", notebook, "-f", tmp_path / "values.yaml", "-o", tmp_path / "a.ipynb")
        assert (
            result.exit_code == 0
            and result.output.splitlines()[-1] == f"Executed notebook: {tmp_path / 'a.ipynb'}"
        )
        assert "0.3\\n" in (tmp_path / "a.ipynb").read_text()
        run(
            "run",
            notebook,
            "-f",
            tmp_path / "values.yaml",
            "-p",
            "rate",
            "1e-4",
            "-o",
            tmp_path / "b.ipynb",
        )
        assert "0.0001\\n" in (tmp_path / "b.ipynb").read_text()

    def test_unknown_parameter(self, notebook):
        result = run("run", notebook, "-p", "rte", "1")
        assert result.exit_code == 2
        first, second = result.output.splitlines()
        assert first == "Error: net.ipynb has no parameter 'rte'. Its parameters:"
        assert second == "  rate = 0.1  # step size"

    def test_wrong_type(self, notebook):
        result = run("run", notebook, "-p", "rate", "fast")
        assert (
            result.exit_code == 2
            and "Error: rate of net.ipynb must be a number like 0.1, got 'fast'" in result.output
        )

    def test_a_failing_cell(self, notebook, tmp_path):
        result = run("run", notebook, "-p", "rate", "2", "-o", tmp_path / "a.ipynb")
        assert (
            result.exit_code == 1
            and "Error: net: cell 2, In [3], raised AssertionError" in result.output
        )

    def test_a_missing_file_of_parameters(self, notebook):
        result = run("run", notebook, "-f", "no.yaml")
        assert (result.exit_code, result.output) == (
            2,
            "Error: no.yaml: No such file or directory\n",
        )


class TestCourse:
    def test_all(self, notebook, monkeypatch, tmp_path):
        notebook.rename(notebook.with_name("01_net.ipynb"))
        monkeypatch.setattr(storage, "NOTEBOOKS", notebook.parent)
        result = run("course", "-o", tmp_path / "report")
        assert result.exit_code == 0 and (tmp_path / "report" / "index.html").is_file()

    def test_a_failure_is_in_the_exit_code(self, monkeypatch):
        monkeypatch.setattr(course, "run", lambda names, folder: ["03_lenet1"])
        assert run("course").exit_code == 1


class TestBatch:
    @pytest.fixture
    def file(self, tmp_path):
        file = tmp_path / "batch.yaml"
        file.write_text("- train: {model: lenet-5, dataset: mnist, recipe: plain, seeds: 2}\n")
        return file

    def test_plan_and_status(self, file):
        lines = run("batch", "plan", file).output.splitlines()
        assert len(lines) == 3 and all("lenet-5 mnist plain seed" in line for line in lines[:2])
        assert run("batch", "status", file).output.splitlines()[-1].startswith("2 runs: ")

    def test_report(self, file, tmp_path):
        result = run("batch", "report", file, "-o", tmp_path / "report")
        assert result.exit_code == 0 and (tmp_path / "report" / "index.html").is_file()
        assert result.output.splitlines()[-1] == f"Report: {tmp_path / 'report' / 'index.html'}"

    def test_failures_are_named(self, monkeypatch):
        failed = batch.TrainingRun("lenet-5", "mnist", "plain", 1)
        calls = []
        monkeypatch.setattr(batch, "run", lambda *arguments: calls.append(arguments) or [failed])
        result = run(
            "batch", "run", "batch.yaml", "--workers", 3, "--copy-to", "s3://a", "--retries", 0
        )
        assert (result.exit_code, result.output) == (1, "1 failed: lenet-5 mnist plain seed 1\n")
        assert calls == [("batch.yaml", None, 3, None, "s3://a", 0)]

    def test_workers_are_of_this_machine(self):
        assert (
            run("batch", "run", "batch.yaml", "--workers", 3, "--scheduler", "tcp://a:1").exit_code
            == 2
        )

    def test_a_missing_file(self):
        assert (
            run("batch", "run", "no.yaml").output == "Error: no.yaml: No such file or directory\n"
        )


class TestResults:
    def test_show(self):
        for arguments, name in ((["cifar10"], "cifar10"), ([], "mnist")):
            output = run("results", "show", *arguments).output
            assert output == results_listing.text(name) + "\n"

    def test_publish(self, monkeypatch):
        calls = []
        monkeypatch.setattr(
            ledger,
            "publish",
            lambda run_ids, recipe: calls.append((run_ids, recipe)) or (["a"], ["b", "c"]),
        )
        assert run("results", "publish").output == "a\n1 rows published, 2 rows left\n"
        run("results", "publish", "a", "b")
        run("results", "publish", "--recipe", "plain")
        assert calls == [((), None), (("a", "b"), None), ((), "plain")]

    @pytest.mark.parametrize(
        ("changed", "check", "text", "code"),
        [
            (True, True, "out of date", 1),
            (False, True, "up to date", 0),
            (True, False, "rewritten", 0),
            (False, False, "up to date", 0),
        ],
    )
    def test_readme(self, monkeypatch, changed, check, text, code):
        monkeypatch.setattr(readme, "update_readme", lambda check: changed)
        result = run("results", "readme", *(["--check"] if check else []))
        assert (result.exit_code, result.output) == (code, f"README.md is {text}\n")


class TestNotebooks:
    def test_copies_to_work_in(self, notebook, monkeypatch, tmp_path):
        notebook.rename(notebook.with_name("01_net.ipynb"))
        monkeypatch.setattr(storage, "NOTEBOOKS", notebook.parent)
        monkeypatch.setattr(editions, "working_folder", lambda: tmp_path / "work")
        assert run("notebooks", "copy").output == f"Copied to {tmp_path / 'work'}: 01_net\n"
        assert run("notebooks", "copy").output.splitlines() == [
            f"Kept as they are in {tmp_path / 'work'}: 01_net",
            f"Copied to {tmp_path / 'work'}: none",
        ]

    @pytest.mark.parametrize("edition", ["student", "teacher"])
    def test_editions_need_a_folder(self, edition, tmp_path):
        assert run("notebooks", edition).exit_code == 2
        result = run("notebooks", edition, "-o", "s3://bucket/a")
        assert result.exit_code == 2 and "only paths of this machine" in result.output
        result = run("notebooks", edition, "-o", tmp_path / "edition")
        assert result.exit_code == 0
        assert len(result.output.splitlines()) == len(list((tmp_path / "edition").iterdir()))


class TestClean:
    def test_it_says_what_it_removes(self, tmp_path, monkeypatch):
        path = tmp_path / "left"
        path.write_bytes(bytes(2_000_000))
        monkeypatch.setattr(leftovers, "find", lambda checkpoints: {path: "a reason"})
        assert run("clean", "--dry-run").output.splitlines() == [
            f"{path}  (a reason, 2.0 MB)",
            "2.0 MB would be removed",
        ]
        assert path.exists()
        assert run("clean").output.splitlines()[-1] == "2.0 MB removed"
        assert not path.exists()


class TestData:
    def test_fetch(self, monkeypatch):
        calls = []
        monkeypatch.setattr(fetch, "fetch", lambda *arguments, say: calls.append(arguments) or [])
        assert run("data", "fetch", "cifar10", "cifar100").exit_code == 0
        run("data", "fetch", "caltech256", "--archive", "a.tar", "--partial")
        assert calls == [(("cifar10", "cifar100"), None, False), (("caltech256",), "a.tar", True)]

    def test_failures_are_named(self, monkeypatch):
        monkeypatch.setattr(fetch, "fetch", lambda *arguments, say: ["cifar10"])
        result = run("data", "fetch", "mnist", "cifar10")
        assert (result.exit_code, result.output) == (1, "1 of 2 failed: cifar10\n")

    def test_bundle_and_unpack(self, monkeypatch):
        monkeypatch.setattr(bundle, "pack", lambda names, output: ["a", "b"])
        monkeypatch.setattr(bundle, "unpack", lambda file: [f"{file}: 2 files"])
        expected = "all.zip: 2 files. On the other machine: python -m cnnlib data unpack all.zip\n"
        assert run("data", "bundle", "cifar10", "-o", "all.zip").output == expected
        assert run("data", "unpack", "all.zip").output == "all.zip: 2 files\n"
        assert run("data", "bundle", "cifar10").exit_code == 2

    def test_list_has_a_line_for_each_set(self):
        lines = run("data", "list").output.splitlines()
        assert lines[0].split()[:5] == ["data", "set", "state", "images", "size"]
        assert [line.split()[0] for line in lines[1:9]] == [*datasets.names(), "imagenette"]
        assert [line.split()[1] for line in lines[1:4]] == ["embedded", "sample", "sample"]

    def test_listing_imports_nothing_heavy(self):
        code = """
import sys
from cnnlab.cli import cli
cli(["data", "list"], standalone_mode=False)
unwanted = {"tensorflow", "keras", "pandas", "matplotlib", "tensorflow_datasets"}
sys.exit(f"imported: {heavy}" if (heavy := unwanted & set(sys.modules)) else 0)
"""
        process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert process.returncode == 0, process.stderr


def test_predict(monkeypatch):
    bad = []
    monkeypatch.setattr(
        digits, "describe", lambda model, images, invert: (f"{model} {images} {invert}", bad)
    )
    assert run("predict", "lenet-5", "a.png", "b.png").output == "lenet-5 ('a.png', 'b.png') None\n"
    bad.append("b.png looks empty")
    done = run("predict", "lenet-5", "a.png", "--no-invert")
    assert done.output == "lenet-5 ('a.png',) False\nError: b.png looks empty\n"
    assert done.exit_code == 1


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("models", models.names()),
        ("datasets", datasets.names()),
        ("recipes", training.recipe_names()),
    ],
)
def test_listings_have_one_line_each(command, names):
    assert [line.split()[0] for line in run(command).output.splitlines()] == names
