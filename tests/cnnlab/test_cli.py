"""The command line: what it prints, what it refuses, and that it starts fast."""

import os
import subprocess
import sys
from unittest import mock

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
from cnnlab.batch import runs
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


def test_help_and_listings_import_nothing_heavy():
    code = """
import sys
from cnnlab.cli import cli
cli(["--help"], standalone_mode=False)
cli(["data", "list"], standalone_mode=False)
cli(["results", "show", "cifar10"], standalone_mode=False)
unwanted = {"tensorflow", "keras", "pandas", "matplotlib", "papermill", "tensorflow_datasets"}
sys.exit(f"imported: {heavy}" if (heavy := unwanted & set(sys.modules)) else 0)
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert "Usage:" in process.stdout


def test_an_error_is_one_message_with_a_traceback_on_request():
    command = [sys.executable, "-m", "cnnlib", "run", "no_such_notebook"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "") and "Traceback" not in done.stderr
    assert done.stderr.startswith("Error: unknown notebook 'no_such_notebook'. Known:")
    command.insert(3, "--traceback")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback (most recent call last)" in done.stderr


@pytest.mark.parametrize(
    ("error", "message", "code"),
    [
        (datasets.Damaged("mnist.npz was altered"), "Error: mnist.npz was altered", 2),
        (PermissionError(13, "Permission denied", "rows"), "Error: rows: Permission denied", 2),
        (notebooks.NotebookError("cell 3 failed"), "Error: cell 3 failed", 1),
        (KeyboardInterrupt(), "Stopped.", 130),
    ],
)
def test_expected_errors(monkeypatch, error, message, code):
    monkeypatch.setattr(results_listing, "text", mock.Mock(side_effect=error))
    result = run("results", "show")
    assert (result.exit_code, result.output) == (code, message + "\n")


@pytest.mark.parametrize("error", [RuntimeError("a bug"), OSError("a bug"), TypeError("a bug")])
def test_a_bug_keeps_its_traceback(monkeypatch, error):
    monkeypatch.setattr(results_listing, "text", mock.Mock(side_effect=error))
    assert run("results", "show").exception is error


def test_a_terminal_that_is_not_utf_8_gets_escapes_not_an_error():
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "cnnlib", "results", "show"]
    done = subprocess.run(command, env=environment, capture_output=True)
    assert done.returncode == 0 and b"Traceback" not in done.stderr


class TestTrain:
    def test_defaults(self, trained):
        result = run("train", "lenet-5", "mnist")
        first, *_ = result.stdout.splitlines()
        assert first == "lenet-5 mnist plain seed 0: 1.23 % test error in 12 s"
        assert trained == [("lenet-5", "mnist", "plain", 0, {"train_size": None, "again": False})]

    def test_options(self, trained):
        options = "--recipe quick --seed 3 --train-size 100 --again"
        run("train", "lenet-1", "mnist", *options.split())
        assert trained == [("lenet-1", "mnist", "quick", 3, {"train_size": 100, "again": True})]

    def test_a_known_row_says_so(self, trained, monkeypatch):
        monkeypatch.setattr(experiment, "find", lambda run: {})
        output = run("train", "lenet-5", "mnist").output
        assert "already in the results: --again trains it anew" in output

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
        "option", [("--seed", "-1"), ("--seed", "x"), ("--seed", str(2**32)), ("--train-size", "0")]
    )
    def test_wrong_numbers(self, trained, option):
        assert run("train", "lenet-5", "mnist", *option).exit_code == 2 and trained == []


class TestRun:
    def test_parameters_from_file_and_line(self, notebook, tmp_path):
        values, output = tmp_path / "values.yaml", tmp_path / "a.ipynb"
        values.write_text("rate: 0.3\n")
        for options, printed in (((), "0.3\\n"), (("-p", "rate", "1e-4"), "0.0001\\n")):
            result = run("run", notebook, "-f", values, *options, "-o", output)
            assert result.exit_code == 0, result.output
            assert result.output.splitlines()[-1] == f"Executed notebook: {output}"
            assert printed in output.read_text()

    def test_failures_have_exit_codes(self, notebook, tmp_path):
        missing = "Error: no.yaml: No such file or directory\n"
        for options, code, message in (
            (("-p", "rte", "1"), 2, "Error: net.ipynb has no parameter 'rte'. Its parameters:\n"),
            (("-p", "rate", "2"), 1, "Error: net: cell 2, In [3], raised AssertionError"),
            (("-f", "no.yaml"), 2, missing),
        ):
            result = run("run", notebook, *options, "-o", tmp_path / "a.ipynb")
            assert result.exit_code == code and message in result.output


def test_a_failure_in_the_course_is_in_the_exit_code(monkeypatch):
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

    def test_failures_are_named(self, monkeypatch):
        failed = runs.TrainingRun("lenet-5", "mnist", "plain", 1)
        calls = []
        monkeypatch.setattr(batch, "run", lambda path, **given: calls.append(given) or [failed])
        result = run(
            "batch", "run", "batch.yaml", "--workers", 3, "--copy-to", "s3://a", "--retries", 0
        )
        assert (result.exit_code, result.output) == (1, "1 failed: lenet-5 mnist plain seed 1\n")
        both = ("--workers", 3, "--scheduler", "tcp://a:1")  # workers are of this machine
        assert run("batch", "run", "batch.yaml", *both).exit_code == 2
        given = {"scheduler": None, "workers": 3, "threads": None, "copies": "s3://a", "retries": 0}
        assert calls == [given]


class TestResults:
    def test_show(self):
        for arguments, name in ((["cifar10"], "cifar10"), ([], "mnist")):
            output = run("results", "show", *arguments).output
            assert output == results_listing.text(name) + "\n"

    def test_publish(self, monkeypatch):
        calls = []
        monkeypatch.setattr(ledger, "publish", lambda *given: calls.append(given) or ("a", "bc"))
        assert run("results", "publish").output == "a\n1 rows published, 2 rows left\n"
        run("results", "publish", "a", "b")
        run("results", "publish", "--recipe", "plain")
        assert calls == [((), None), (("a", "b"), None), ((), "plain")]

    def test_readme(self, monkeypatch):
        for changed, options, text, code in (
            (True, ["--check"], "out of date", 1),
            (False, ["--check"], "up to date", 0),
            (True, [], "rewritten", 0),
        ):
            monkeypatch.setattr(readme, "update_readme", lambda check, c=changed: c)
            result = run("results", "readme", *options)
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


def test_clean_says_what_it_removes(tmp_path, monkeypatch):
    path = tmp_path / "left"
    path.write_bytes(bytes(2_000_000))
    monkeypatch.setattr(leftovers, "find", lambda checkpoints: {path: "a reason"})
    lines = run("clean", "--dry-run").output.splitlines()
    assert lines == [f"{path}  (a reason, 2.0 MB)", "2.0 MB would be removed"] and path.exists()
    assert run("clean").output.splitlines()[-1] == "2.0 MB removed" and not path.exists()


class TestData:
    def test_fetch(self, monkeypatch):
        calls = []
        monkeypatch.setattr(fetch, "fetch", lambda *arguments: calls.append(arguments) or [])
        assert run("data", "fetch", "cifar10", "cifar100").exit_code == 0
        run("data", "fetch", "caltech256", "--archive", "a.tar")
        assert calls == [(("cifar10", "cifar100"), None), (("caltech256",), "a.tar")]

    def test_failures_are_named(self, monkeypatch):
        monkeypatch.setattr(fetch, "fetch", lambda *arguments: ["cifar10"])
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


def test_listings_have_one_line_each():
    listings = {"models": models.names(), "datasets": datasets.names()}
    for command, names in (listings | {"recipes": training.recipe_names()}).items():
        assert [line.split()[0] for line in run(command).output.splitlines()] == names
