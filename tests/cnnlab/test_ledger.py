"""Rows are recorded, read and published whole or not at all, and only true ones."""

import errno
import json
import math
import os
import subprocess
import sys

import numpy as np
import pandas
import pytest

from cnnlab import environment, ledger
from cnnlib import results, storage
from cnnlib.errors import InputError

pytestmark = pytest.mark.usefixtures("measured_folder")


def test_record_writes_one_row_and_it_is_read(run, local_files):
    row = ledger.record(**run(seed=np.int64(3), value=np.float32(0.5)))
    assert list(row) == results.COLUMNS
    assert row["row_id"] == "mnist/lenet-5"
    assert type(row["seed"]) is int and type(row["value"]) is float
    assert row["versions"] == environment.versions() and row["code"] == environment.code_hash()
    assert local_files() == [f"{row['run_id']}.json"]
    assert json.loads(results.local_file(row["run_id"]).read_text(encoding="utf-8")) == row
    expected = [row | {"origin": "this machine"}]
    assert results.measured().to_dict("records") == results.measured("mnist").to_dict("records")
    assert results.measured().to_dict("records") == expected
    assert len(results.measured("cifar10")) == len(results.measured(local=False)) == 0
    with pytest.raises(InputError, match="unknown benchmark 'svhn'"):
        results.measured("svhn")


BAD = [
    ({"value": math.nan}, "value"),
    ({"dataset": "minst"}, "unknown data set 'minst'. Did you mean mnist"),
    ({"row_id": "mnist/lenet-4"}, "unknown net of the row mnist/lenet-4 'lenet-5'"),
    ({"metric": "error"}, "metric must be 'test_error_percent' or"),
    ({"seed": None}, "seed must be a valid integer, got None"),
    ({"train_images": 0}, "train_images"),
    ({"run_id": "../elsewhere"}, "run_id"),
    ({"date": "yesterday"}, "date"),
    ({"settings": "[1]"}, "settings must be a JSON object"),
]


@pytest.mark.parametrize(("changed", "message"), BAD, ids=[str(changed) for changed, _ in BAD])
def test_record_refuses(run, changed, message, local_files):
    with pytest.raises(InputError, match=message):
        ledger.record(**run(**changed))
    assert local_files() == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "no row"),
        ({"run_id": "another"}, "it holds the run another"),
        ({"value": math.nan}, "value"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_a_damaged_row_of_this_machine_is_named_and_kept(run, content, message):
    row = ledger.record(**run())
    path = results.local_file(row["run_id"])
    path.write_text(content if isinstance(content, str) else json.dumps(row | content))
    before = path.read_bytes()
    for read in (results.measured, ledger.publish):
        with pytest.raises(InputError, match=f"damaged row .*{path.name}: .*{message}"):
            read()
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda lines: [lines[0], lines[1], lines[1]], "line 3: .*does not belong there"),
        (lambda lines: [*lines, "<<<<<<< HEAD"], "line 4: "),
        (lambda lines: [lines[0], lines[1].replace(",0.95,", ",nan,")], "line 2: .*value.*nan"),
        (lambda lines: lines[1:], "line 1: the columns must be run_id,row_id"),
    ],
)
def test_a_damaged_ledger_is_named_and_kept(run, published_ledger, damage, message, local_files):
    damaged = "\n".join(damage(published_ledger.read_text(encoding="utf-8").splitlines()))
    published_ledger.write_text(damaged, encoding="utf-8")
    ledger.record(**run(seed=9))
    for read in (results.measured, ledger.publish):
        with pytest.raises(InputError, match=f"damaged ledger .*mnist.csv, {message}"):
            read()
    assert published_ledger.read_text(encoding="utf-8") == damaged
    assert len(local_files()) == 1


def test_publish_moves_rows_in_the_order_of_the_lectures_table(run, measured_folder, local_files):
    made = [
        ledger.record(**run(**changed))
        for changed in (
            {"model": "my-own-net"},
            {"model": "lenet-5-paper"},
            {"seed": 10},
            {"seed": 9},
            {"seed": 11, "recipe": "long"},
            {"model": "linear-20x20"},
            {"model": "cifar10/dpn92", "dataset": "cifar10"},
        )
    ]
    before = results.rows()
    taken, left = ledger.publish()
    assert sorted(taken) == sorted(row["run_id"] for row in made) and left == []
    assert local_files() == []
    order = [(row.model, row.recipe, row.seed) for row in results.measured("mnist").itertuples()]
    lenets = [("lenet-5", "long", 11), ("lenet-5", "standard", 9), ("lenet-5", "standard", 10)]
    lenets += [("lenet-5-paper", "standard", 0), ("my-own-net", "standard", 0)]
    assert order == [("linear-20x20", "standard", 0), *lenets]
    assert results.rows() == {run: row | {"origin": "ledger"} for run, row in before.items()}
    content = (measured_folder / "mnist.csv").read_bytes()
    assert b"\r" not in content and content.count(b"\n") == 7
    assert pandas.read_csv(measured_folder / "mnist.csv").columns.tolist() == results.COLUMNS


def test_publish_takes_what_is_named_else_neither_quick_nor_partial_runs(run):
    wanted = [ledger.record(**run())["run_id"], ledger.record(**run(seed=1))["run_id"]]
    changes = ({"recipe": "quick"}, {"recipe": "plain,epochs=3"}, {"train_images": 59999})
    quick, changed, partial = (ledger.record(**run(**each))["run_id"] for each in changes)
    taken, left = ledger.publish()
    assert sorted(taken) == wanted and sorted(left) == sorted([quick, changed, partial])
    assert ledger.publish([partial])[0] == [partial]
    assert ledger.publish(recipe="quick") == ([quick], [changed])
    for arguments, message in (
        ({"run_ids": ["nothing"]}, "unknown run 'nothing'"),
        ({"recipe": "pain,epochs=3"}, "unknown recipe .* Did you mean plain,epochs=3"),
    ):
        with pytest.raises(InputError, match=message):
            ledger.publish(**arguments)


def test_publish_refuses_another_value_for_a_published_run(run, published_ledger, local_files):
    before = published_ledger.read_bytes()
    ledger.record(**run(seed=2))
    again = ledger.record(**run(seed=1, value=0.96))["run_id"]
    with pytest.raises(InputError, match=rf"{again} has .* 0.96 here, and 0.95 in the ledger"):
        ledger.publish()
    assert published_ledger.read_bytes() == before and len(local_files()) == 2
    assert results.rows()[again]["value"] == 0.95  # the ledger counts until that is settled


def test_publish_that_stopped_can_be_repeated(run, published_ledger, monkeypatch, local_files):
    before = published_ledger.read_bytes()
    row = ledger.record(**run(seed=1))  # as if its file were still there: same run, same value
    assert ledger.publish() == ([row["run_id"]], [])
    assert published_ledger.read_bytes() == before and local_files() == []
    run_id = ledger.record(**run(seed=2), predictions=np.arange(10_000) % 10)["run_id"]
    with monkeypatch.context() as patch:

        def killed(*arguments):
            assert results.published_predictions("mnist", run_id).exists()
            raise KeyboardInterrupt

        patch.setattr(ledger, "write_ledger", killed)
        with pytest.raises(KeyboardInterrupt):
            ledger.publish()
    with monkeypatch.context() as patch:

        def full(*_):
            raise OSError(errno.ENOSPC, "full")

        patch.setattr(os, "replace", full)
        with pytest.raises(InputError, match="full"):
            ledger.publish()
    assert published_ledger.read_bytes() == before and len(local_files()) == 1
    assert not list(published_ledger.parent.glob("*.part"))
    assert ledger.publish() == ([run_id], [])
    np.testing.assert_array_equal(results.predictions(run_id), np.arange(10_000) % 10)
    assert not [path for path in storage.results_folder().rglob("*") if path.is_file()]


def test_two_processes_that_publish_at_once_lose_nothing(run, measured_folder, tmp_path):
    script = """
import json, pathlib, sys
from cnnlab import ledger
from cnnlib import results
results.MEASURED = pathlib.Path(sys.argv[1])
columns = json.loads(sys.argv[2])
sys.stdin.readline()  # both start when the test says so
for seed in range(int(sys.argv[3]), 8, 2):
    ledger.record(**columns | {"seed": seed, "run_id": f"run-{seed}"})
    ledger.publish()
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(measured_folder), json.dumps(run()), str(first)],
            stdin=subprocess.PIPE,
            env=os.environ | {"CNNLIB_RESULTS": str(tmp_path / folder)},
        )
        for first, folder in [(0, "results"), (1, "another")]
    ]
    for process in processes:
        process.stdin.write(b"\n")
        process.stdin.flush()
    assert [process.wait() for process in processes] == [0, 0]
    assert results.measured(local=False)["seed"].tolist() == list(range(8))


def test_remove_deletes_a_row_and_all_that_belongs_to_it(run):
    history = pandas.DataFrame({"epoch": [1], "loss": [0.5], "train_error": [12.0]})
    belongs = {"predictions": np.zeros(10_000, int), "history": history}
    row, other = (ledger.record(**run(seed=seed), **belongs)["run_id"] for seed in (0, 1))
    with pytest.raises(InputError, match="unknown run 'x'"):
        ledger.remove([row, "x"])
    assert len(ledger.remove([row])) == 3  # row, history, predictions
    left = {path.stem for path in storage.results_folder().rglob("*") if path.is_file()}
    assert left == {other}
