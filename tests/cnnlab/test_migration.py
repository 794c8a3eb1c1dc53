"""Rows of the first edition, whose ids held a hash of the source code, are brought up to date."""

import csv
import json

import pytest

from cnnlab import ledger, migration
from cnnlib import results, storage
from cnnlib.errors import InputError
from cnnlib.results import history_files, rows

COLUMNS = [
    "run_id",
    "row_id",
    "model",
    "dataset",
    "data_source",
    "protocol",
    "recipe",
    "seed",
    "train_images",
    "metric",
    "value",
    "trainable_parameters",
    "epochs",
    "train_seconds",
    "device",
    "versions",
    "code",
    "date",
]


def first_edition(run_id, **changed):
    """A row as the first edition wrote it."""
    return {
        "run_id": run_id,
        "row_id": "mnist/lenet-5",
        "model": "lenet-5",
        "dataset": "mnist",
        "data_source": "embedded data/mnist.npz",
        "protocol": "plain",
        "recipe": "plain",
        "seed": 0,
        "train_images": 60000,
        "metric": "test_error_percent",
        "value": 0.74,
        "trainable_parameters": 61706,
        "epochs": 20,
        "train_seconds": 181.5,
        "device": "a processor, 2 cores, Linux",
        "versions": "keras 3.15.1 on tensorflow; python 3.11.7",
        "code": "376bbc2252f3",
        "date": "2026-11-24T07:01:54Z",
    } | changed


@pytest.fixture(autouse=True)
def measured(tmp_path, monkeypatch):
    """A published table of the first edition with four rows, two of them with the same settings."""
    monkeypatch.setattr(rows, "MEASURED", tmp_path / "measured")
    found = [
        first_edition("lenet-5-a", code="older"),
        first_edition("lenet-5-b", date="2026-11-24T09:55:22Z"),
        first_edition("lenet-5-c", seed=1, value=0.8),
        first_edition("lenet-5-d", recipe="plain,epochs=3", epochs=3),
    ]
    rows.MEASURED.mkdir()
    with open(rows.ledger_file("mnist"), "w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(found)
    history = history_files.published_file("mnist")
    history.parent.mkdir()
    lines = [f"{row['run_id']},1,{0.5 + i},3.0" for i, row in enumerate(found)]
    history.write_text("\n".join(["run_id,epoch,loss,train_error", *lines]) + "\n")


def test_published_rows_keep_everything_but_their_names():
    renamed = migration.migrate()
    table = results.measured("mnist", local=False).set_index("run_id")
    assert len(renamed) == len(table) == 4 and table.index.is_unique
    new = table.loc[renamed["lenet-5-b"]]
    assert renamed["lenet-5-a"] == f"{renamed['lenet-5-b']}-earlier1"  # the newest has the name
    assert table.loc[renamed["lenet-5-a"]]["code"] == "older"
    assert (new["value"], new["train_seconds"], new["epochs"]) == (0.74, 181.5, 20)
    assert (new["image_order"], new["test_images"], new["threads"], new["commit"]) == (
        "official",
        10000,
        0,
        "",
    )
    assert json.loads(table.loc[renamed["lenet-5-d"]]["settings"]) == {"epochs": 3}
    losses = results.histories("mnist", local=False).set_index("run_id")["loss"]
    assert [losses[renamed[f"lenet-5-{letter}"]] for letter in "abcd"] == [0.5, 1.5, 2.5, 3.5]
    assert results.recap("mnist", local=False)["n"].sum() == 3  # the earlier run counts no more


def test_a_second_migration_changes_nothing():
    migration.migrate()
    before = (
        rows.ledger_file("mnist").read_bytes(),
        history_files.published_file("mnist").read_bytes(),
    )
    assert migration.migrate() == {}
    after = (
        rows.ledger_file("mnist").read_bytes(),
        history_files.published_file("mnist").read_bytes(),
    )
    assert after == before


def test_a_migration_that_stopped_before_the_table_was_written_can_be_repeated(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "write_ledger", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            migration.migrate()
    renamed = migration.migrate()
    losses = results.histories("mnist", local=False).set_index("run_id")["loss"]
    assert [losses[renamed[f"lenet-5-{letter}"]] for letter in "abcd"] == [0.5, 1.5, 2.5, 3.5]


def test_rows_of_this_machine_move_with_history_and_net():
    folder = storage.results_folder()
    for name in ("rows", "histories", "nets"):
        (folder / name).mkdir(parents=True)
    (folder / "rows" / "old.json").write_text(json.dumps(first_edition("old", seed=7)))
    (folder / "histories" / "old.csv").write_text("run_id,epoch,loss,train_error\nold,1,0.25,4\n")
    (folder / "nets" / "old.keras").write_bytes(b"net")
    with pytest.raises(InputError, match="first edition, `python -m cnnlib results migrate`"):
        rows.read_local()
    new = migration.migrate()["old"]
    assert rows.read_local()[new]["seed"] == 7
    assert ledger.net_path(new).read_bytes() == b"net"
    history = results.histories("mnist").set_index("run_id")
    assert history.loc[new]["loss"] == 0.25
    assert not list(folder.rglob("old*"))


def test_a_row_that_cannot_be_understood_is_named_and_nothing_changes():
    path = rows.ledger_file("mnist")
    path.write_text(path.read_text().replace("plain,epochs=3", "unknown-recipe"))
    before = path.read_bytes()
    with pytest.raises(InputError, match="unknown recipe 'unknown-recipe'"):
        migration.migrate()
    assert path.read_bytes() == before
