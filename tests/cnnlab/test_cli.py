"""The command line: what it prints, what it refuses, and that it starts fast."""

import os
import subprocess
import sys
from unittest import mock
from unittest.mock import call

import click
import pytest
from click.testing import CliRunner

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


def commands(group, prefix=()):
    for name, command in group.commands.items():
        yield (*prefix, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*prefix, name))


def test_every_command_has_help_of_one_line():
    for path, _ in commands(cli):
        result = run(*path, "--help")
        description = result.output.split("\n\n")[1].strip()
        assert result.exit_code == 0, path
        assert description.endswith(".") and "\n" not in description, path


def test_help_listings_and_completions_import_nothing_heavy():
    code = """
import sys
from click.shell_completion import ShellComplete
from cnnlab.cli import cli
complete = ShellComplete(cli, {}, "cnnlib", "").get_completions
for line in ("train boosted-lenet-5", "train lenet-5 cifar10", "train --recipe desl", "run 04"):
    print([each.value for each in complete(line.split()[:-1], line.split()[-1])])
cli(["--help"], standalone_mode=False)
cli(["data", "list"], standalone_mode=False)
cli(["results", "show", "cifar10"], standalone_mode=False)
unwanted = {"tensorflow", "keras", "pandas", "matplotlib", "papermill", "tensorflow_datasets"}
sys.exit(f"imported: {heavy}" if (heavy := unwanted & set(sys.modules)) else 0)
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines()[:4] == [
        "['boosted-lenet-5', 'boosted-lenet-5-paper']",
        "['cifar10', 'cifar100']",
        "['deslanted', 'deslanted-small']",
        "['04_lenet1']",
    ]
    assert "Usage:" in process.stdout


def test_an_error_is_one_message_with_a_traceback_on_request():
    command = [sys.executable, "-m", "cnnlib", "run", "no_such_notebook"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "") and "Traceback" not in done.stderr
    assert done.stderr.startswith("Error: unknown notebook 'no_such_notebook'. ")
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


def test_a_bug_keeps_its_traceback(monkeypatch):
    for error in (RuntimeError("a bug"), OSError("a bug"), TypeError("a bug")):
        monkeypatch.setattr(results_listing, "text", mock.Mock(side_effect=error))
        assert run("results", "show").exception is error


def test_a_parameter_that_is_given_twice_runs_nothing(monkeypatch):
    monkeypatch.setattr(notebooks, "run", mock.Mock())
    result = run("run", "04_lenet1", "-p", "epochs", "1", "-p", "epochs", "2")
    assert (result.exit_code, result.output) == (2, "Error: the parameter epochs is given twice\n")
    assert not notebooks.run.called


def test_malformed_settings_of_dask_are_told_in_one_line(tmp_path):
    (tmp_path / "dask.yaml").write_text("distributed: [")
    file = tmp_path / "batch.yaml"
    file.write_text("- train: {model: linear-20x20, dataset: mnist, recipe: quick, seeds: 1}\n")
    own = {"DASK_CONFIG": str(tmp_path / "dask.yaml"), "CNNLIB_RESULTS": str(tmp_path / "results")}
    command = [sys.executable, "-m", "cnnlib", "batch", "run", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | own)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "Dask does not take its own configuration" in done.stderr and "dask.yaml" in done.stderr


def test_a_terminal_that_is_not_utf_8_gets_escapes_not_an_error():
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "cnnlib", "results", "show"]
    done = subprocess.run(command, env=environment, capture_output=True)
    assert done.returncode == 0 and b"Traceback" not in done.stderr


def test_a_command_draws_whatever_window_system_the_user_has_set():
    code = "from cnnlab.cli import cli; cli(['recipes'], standalone_mode=False)"
    command = [sys.executable, "-c", f"{code}; import matplotlib.pyplot as plt; plt.figure()"]
    done = subprocess.run(command, env=os.environ | {"MPLBACKEND": "no-such"}, capture_output=True)
    assert done.returncode == 0, done.stderr


FAILED = runs.TrainingRun("lenet-5", "mnist", "plain", 1)
BUNDLED = "all.zip: 2 files. On the other machine: python -m cnnlib data unpack all.zip"
RUN = {"scheduler": None, "workers": 3, "threads": None, "copies": "s3://a", "retries": 0}

# The words of a command; the function it calls and what that returns; what it is given; what is
# printed and the exit code.
CALLS = [
    ("course 03", course, "run", ["03_lenet1"], call(("03",), None), "", 1),
    ("results publish", ledger, "publish", (["a"], ["b", "c"]), call((), None),
     "a\n1 rows published, 2 rows left", 0),
    ("results publish a b --recipe plain", ledger, "publish", ([], []), call(("a", "b"), "plain"),
     "0 rows published, 0 rows left", 0),
    ("results readme", readme, "update_readme", True, call(check=False),
     "README.md is rewritten", 0),
    ("results readme --check", readme, "update_readme", True, call(check=True),
     "README.md is out of date", 1),
    ("results readme --check", readme, "update_readme", False, call(check=True),
     "README.md is up to date", 0),
    ("data fetch cifar10 mnist", fetch, "fetch", ["cifar10"],
     call(("cifar10", "mnist"), None), "1 of 2 failed: cifar10", 1),
    ("data fetch caltech256 --archive a.tar", fetch, "fetch", [],
     call(("caltech256",), "a.tar"), "", 0),
    ("data bundle cifar10 -o all.zip", bundle, "pack", ["a", "b"], call(("cifar10",), "all.zip"),
     BUNDLED, 0),
    ("data unpack all.zip", bundle, "unpack", ["all.zip: 2 files"], call("all.zip"),
     "all.zip: 2 files", 0),
    ("batch run b.yaml --workers 3 --copy-to s3://a --retries 0", batch, "run", [FAILED],
     call("b.yaml", **RUN), "1 failed: lenet-5 mnist plain seed 1", 1),
    ("batch run b.yaml --workers 3 --scheduler tcp://a:1", batch, "run", [], None, None, 2),
    ("predict lenet-5 a.png b.png", digits, "describe", ("a 4", []),
     call("lenet-5", ("a.png", "b.png"), None),
     "Asking lenet-5 ...\na 4", 0),
    ("predict lenet-5 a.png --no-invert", digits, "describe", ("a 4", ["it looks empty"]),
     call("lenet-5", ("a.png",), False), "Asking lenet-5 ...\na 4\nError: it looks empty", 1),
]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "module", "name", "returns", "given", "printed", "code"),
    CALLS,
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_calls(monkeypatch, words, module, name, returns, given, printed, code):
    function = mock.Mock(return_value=returns)
    monkeypatch.setattr(module, name, function)
    result = run(*words.split())
    assert result.exit_code == code and function.call_args == given
    assert printed is None or result.output.strip() == printed


def test_train_says_where_the_row_and_the_net_are(monkeypatch):
    """Of a training that does not happen."""
    row = {"run_id": "net-0", "recipe": "plain", "metric": "test_error_percent"}
    row |= {"value": 1.234, "train_seconds": 12.3}
    train_row = mock.Mock(return_value=row)
    monkeypatch.setattr(experiment, "train_row", train_row)
    monkeypatch.setattr(experiment, "find", lambda run: None)
    ledgers = f"Row: {results.ledger_file('mnist')} (net-0)"
    first = "lenet-5 mnist plain seed 0: 1.23 % test error in 12 s"
    assert run("train", "lenet-5", "mnist").stdout.splitlines() == [first, ledgers]
    own = {"train_size": None, "again": False}
    assert train_row.call_args == call("lenet-5", "mnist", "plain", 0, **own)
    row, net = results.local_file("net-0"), results.local_file("net-0", "nets")
    for path in (row, net):
        storage.write_atomically(path, b"")
    options = "--recipe quick --seed 3 --train-size 100 --again"
    lines = run("train", "lenet-1", "mnist", *options.split()).stdout.splitlines()
    assert lines[1:] == [f"Row: {row}", f"Net: {net}"]
    own = {"train_size": 100, "again": True}
    assert train_row.call_args == call("lenet-1", "mnist", "quick", 3, **own)
    for option in ("--seed -1", f"--seed {2**32}", "--train-size 0"):
        assert run("train", "lenet-5", "mnist", *option.split()).exit_code == 2
    assert train_row.call_count == 2
    monkeypatch.setattr(experiment, "find", lambda run: {})
    assert "already in the results: --again trains it" in run("train", "lenet-5", "mnist").output


@pytest.mark.slow
def test_run_takes_parameters_from_a_file_and_the_line(write_notebook, tmp_path):
    values, output = tmp_path / "values.yaml", tmp_path / "a.ipynb"
    code = "print(rate)\nassert rate < 1"
    notebook = write_notebook(tmp_path / "net.ipynb", code, parameters="rate = 0.1  # step size")
    values.write_text("rate: 0.3\n")
    done = run("run", notebook, "-f", values, "-p", "rate", "1e-4", "-o", output)
    assert done.output.splitlines()[-1] == f"Executed notebook: {output}"
    assert "0.0001\\n" in output.read_text() and done.exit_code == 0
    for options, code, message in (
        (("-p", "rte", "1"), 2, "Error: net.ipynb has no parameter 'rte'. Its parameters:\n"),
        (("-p", "rate", "2"), 1, "Error: net: cell 2, In [3], raised AssertionError"),
        (("-f", "no.yaml"), 2, "Error: no.yaml: No such file or directory\n"),
    ):
        result = run("run", notebook, *options, "-o", tmp_path / "a.ipynb")
        assert result.exit_code == code and message in result.output


def test_copies_to_work_in(course_folder, write_notebook, monkeypatch, tmp_path):
    write_notebook(course_folder / "01_net.ipynb")
    monkeypatch.setattr(editions, "WORK", tmp_path / "work")
    assert run("notebooks", "copy").output == f"Copied to {tmp_path / 'work'}: 01_net\n"
    assert f"Kept as they are in {tmp_path / 'work'}: 01_net\n" in run("notebooks", "copy").output


@pytest.mark.parametrize("edition", ["student", "teacher"])
def test_editions_need_a_folder(edition, tmp_path):
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


def test_listings():
    listings = {"models": models.names(), "datasets": [*datasets.names(), "imagenette"]}
    for command, names in (listings | {"recipes": training.recipe_names()}).items():
        assert [line.split()[0] for line in run(command).output.splitlines()] == names
    for arguments, name in ((["cifar10"], "cifar10"), ([], "mnist")):
        output = run("results", "show", *arguments).output
        assert output == results_listing.text(name) + "\n"
    lines = run("data", "list").output.splitlines()
    assert lines[0].split()[:5] == ["data", "set", "state", "images", "size"]
    assert [line.split()[0] for line in lines[1:9]] == [*datasets.names(), "imagenette"]
    assert [line.split()[1] for line in lines[1:4]] == ["embedded", "sample", "sample"]
