"""Publishing rows: which ones, in which order, and what a failure leaves."""

import errno
import json
import os
import pathlib
import subprocess
import sys

import pandas
import pytest

from cnnlab import ledger, publishing
from cnnlib import results
from cnnlib.errors import InputError

pytestmark = pytest.mark.usefixtures("measured_folder")


def test_publish_moves_rows_in_the_order_of_the_published_table(run, measured_folder, local_files):
    made = [
        ledger.record(**run(**changed))
        for changed in (
            {"model": "my-own-net"},
            {"model": "lenet-5-paper"},
            {"model": "lenet-5", "seed": 10},
            {"model": "lenet-5", "seed": 9},
            {"model": "lenet-5", "seed": 11, "recipe": "long"},
            {"model": "linear-20x20"},
            {
                "model": "cifar10/dpn92",
                "dataset": "cifar10",
                "train_images": 50000,
                "metric": "test_accuracy_percent",
                "value": 95.1,
            },
        )
    ]
    before = results.measured().set_index("run_id").drop(columns="origin").sort_index()
    taken, left = publishing.publish()
    assert sorted(taken) == sorted(row["run_id"] for row in made) and left == []
    assert local_files() == []
    order = [[row.model, row.recipe, row.seed] for row in results.measured("mnist").itertuples()]
    assert order == [
        ["linear-20x20", "standard", 0],
        ["lenet-5", "long", 11],
        ["lenet-5", "standard", 9],
        ["lenet-5", "standard", 10],
        ["lenet-5-paper", "standard", 0],
        ["my-own-net", "standard", 0],
    ]
    assert results.measured("cifar10")["model"].tolist() == ["cifar10/dpn92"]
    assert set(results.measured()["origin"]) == {"ledger"}
    pandas.testing.assert_frame_equal(
        results.measured().set_index("run_id").drop(columns="origin").sort_index(), before
    )
    content = (measured_folder / "mnist.csv").read_bytes()
    assert b"\r" not in content and content.count(b"\n") == 7
    assert pandas.read_csv(measured_folder / "mnist.csv").columns.tolist() == results.COLUMNS


def test_publish_appends_and_leaves_quick_and_partial_runs(run):
    first = ledger.record(**run(seed=0))
    assert publishing.publish() == ([first["run_id"]], [])
    second = ledger.record(**run(seed=1))
    quick = ledger.record(**run(recipe="quick"))
    changed = ledger.record(**run(recipe="plain,epochs=3"))
    partial = ledger.record(**run(train_images=59999))
    distorted = ledger.record(**run(protocol="distorted", train_images=600000))
    taken, left = publishing.publish()
    assert set(taken) == {second["run_id"], distorted["run_id"]}
    assert set(left) == {quick["run_id"], changed["run_id"], partial["run_id"]}
    assert set(results.measured(local=False)["run_id"]) == {
        first["run_id"],
        second["run_id"],
        distorted["run_id"],
    }


def test_publish_what_is_named(run):
    quick, long, partial = (
        ledger.record(**run(**c))
        for c in ({"recipe": "quick"}, {"recipe": "long"}, {"recipe": "long", "train_images": 9})
    )
    assert publishing.publish(run_ids=partial["run_id"])[0] == [partial["run_id"]]
    assert publishing.publish(recipe="quick") == ([quick["run_id"]], [long["run_id"]])
    for arguments, message in [
        ({"run_ids": ["nothing"]}, "unknown run 'nothing'"),
        ({"recipe": "lnog"}, "unknown recipe 'lnog'. Known: long"),
        ({"run_ids": [long["run_id"]], "recipe": "long"}, "not both"),
    ]:
        with pytest.raises(InputError, match=message):
            publishing.publish(**arguments)
    assert publishing.publish(run_ids=[]) == ([], [long["run_id"]])


def test_publish_refuses_another_value_for_a_published_run(run, published_ledger, local_files):
    before = published_ledger.read_bytes()
    new = ledger.record(**run(seed=2))
    again = ledger.record(**run(seed=1, value=0.96))
    with pytest.raises(
        InputError,
        match=rf"{again['run_id']} has test_error_percent 0.96 here, and test_error_percent "
        "0.95 in the ledger",
    ):
        publishing.publish()
    assert published_ledger.read_bytes() == before
    assert len(local_files()) == 2
    table = results.measured().set_index("run_id")  # the ledger counts until that is settled
    assert table.loc[again["run_id"], ["value", "origin"]].tolist() == [0.95, "ledger"]
    assert table.loc[new["run_id"], "origin"] == "this machine"


def test_publish_that_stopped_before_it_removed_the_files_can_be_repeated(
    run, published_ledger, local_files
):
    before = published_ledger.read_bytes()
    row = ledger.record(**run(seed=1))  # as if its file were still there: same run, same value
    assert results.measured()["origin"].tolist() == ["ledger", "ledger"]
    assert publishing.publish() == ([row["run_id"]], [])
    assert published_ledger.read_bytes() == before
    assert local_files() == []


def test_publish_keeps_the_rows_when_the_disk_fails(
    run, published_ledger, monkeypatch, local_files
):
    before = published_ledger.read_bytes()
    ledger.record(**run(seed=2))
    with monkeypatch.context() as patch:
        patch.setattr(
            os, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full"))
        )
        with pytest.raises(InputError, match="full"):
            publishing.publish()
    assert published_ledger.read_bytes() == before
    assert len(local_files()) == 1
    assert [path.name for path in published_ledger.parent.iterdir() if path.suffix == ".part"] == []


def test_measured_while_another_process_publishes_finds_the_row_once(run, monkeypatch):
    row = ledger.record(**run())
    with monkeypatch.context() as patch:

        def published_just_before(path, **_):
            patch.undo()
            publishing.publish()
            raise FileNotFoundError(path)

        patch.setattr(pathlib.Path, "read_text", published_just_before)
        assert results.measured().to_dict("records") == [row | {"origin": "ledger"}]


def test_two_processes_that_publish_at_once_lose_nothing(run, measured_folder, tmp_path):
    script = """
import json, pathlib, sys
from cnnlab import ledger, publishing
from cnnlib.results import rows
rows.MEASURED = pathlib.Path(sys.argv[1])
columns = json.loads(sys.argv[2])
sys.stdin.readline()  # both start when the test says so
for seed in range(int(sys.argv[3]), 40, 2):
    ledger.record(**columns | {"seed": seed})
    publishing.publish()
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
    assert results.measured(local=False)["seed"].tolist() == list(range(40))
