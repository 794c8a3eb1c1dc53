"""Published and measured rows: facts, validation, atomicity."""

import csv
import errno
import json
import math
import os
import re

import numpy as np
import pandas
import pytest

from cnnlab import environment, experiment, identity, ledger, publishing
from cnnlib import datasets, recipes, results, storage
from cnnlib.errors import InputError
from cnnlib.results import prediction_files, rows

pytestmark = pytest.mark.usefixtures("measured_folder")

# The lecture's figures, in its order: row -> (title, value).
MNIST = {
    "linear-20x20": ("20x20 -> 10", 8.4),
    "mlp-20x20-1000": ("20x20 -> 1000 -> 10", 3.8),
    "mlp-20x20-300": ("20x20 -> 300 -> 10", 3.6),
    "mlp-28x28-300-100": ("28x28 -> 300 -> 100 -> 10", 3.05),
    "mlp-28x28-1000-150": ("28x28 -> 1000 -> 150 -> 10", 2.95),
    "lenet-1": ("LeNet-1", 1.7),
    "lenet-4": ("LeNet-4", 1.1),
    "lenet-5": ("LeNet-5", 0.95),
    "boosted-lenet-4": ("boosted LeNet-4", 0.7),
}
# row -> (title, accuracy, parameters, multiply-adds)
CIFAR10 = {
    "vgg16": ("VGG16", 92.64, 14728266, 313201664),
    "resnet18": ("ResNet18", 93.02, 11173962, 555422720),
    "resnet50": ("ResNet50", 93.62, 23520842, 1297829888),
    "resnet101": ("ResNet101", 93.75, 42512970, 2509983744),
    "regnetx-200mf": ("RegNetX_200MF", 94.24, 2321946, 223317600),
    "regnety-400mf": ("RegNetY_400MF", 94.29, 5714362, 467089152),
    "mobilenetv2": ("MobileNetV2", 94.43, 2296922, 91154944),
    "resnext29-32x4d": ("ResNeXt29(32x4d)", 94.73, 4774218, 772483072),
    "resnext29-2x64d": ("ResNeXt29(2x64d)", 94.82, 9128778, 1409492992),
    "densenet121": ("DenseNet121", 95.04, 6956298, 888350720),
    "preactresnet18": ("PreActResNet18", 95.11, 11171146, 555422720),
    "dpn92": ("DPN92", 95.16, 34236634, 2042422272),
}
# LeCun et al. 1998, figures 11 and 12, in thousands: row -> (multiply-adds, stored variables)
THOUSANDS = {
    "linear-20x20": (4, 4),
    "mlp-20x20-300": (123, 123),
    "mlp-28x28-300-100": (267, 267),
    "mlp-28x28-1000-150": (469, 469),
    "lenet-1": (100, 3),
    "lenet-4": (260, 17),
    "lenet-5": (401, 60),
    "boosted-lenet-4": (460, 51),
}


def test_published_mnist():
    table = results.published("mnist")
    assert table["row_id"].tolist() == [f"mnist/{name}" for name in MNIST]
    assert list(zip(table["title"], table["value"], strict=True)) == list(MNIST.values())
    assert set(table["metric"]) == {"test_error_percent"}
    assert table["models"].str.split(";").str[0].tolist() == list(MNIST)
    known = table[table["parameters"].notna()]
    counts = zip(known["multiply_adds"] // 1000, known["parameters"] // 1000, strict=True)
    assert dict(zip(known["row_id"].str.removeprefix("mnist/"), counts, strict=True)) == THOUSANDS


def test_published_mnist_says_where_the_lecture_and_the_paper_differ():
    table = results.published("mnist").set_index("row_id")
    assert table.loc["mnist/mlp-20x20-300", "protocol"] == "28x28-300-10 trained with distortions"
    assert "1.6" in table.loc["mnist/mlp-20x20-300", "other_figures"]
    assert table.loc["mnist/mlp-20x20-1000", "protocol"] == "28x28-1000-10 trained with distortions"
    assert "500-150" in table.loc["mnist/mlp-28x28-1000-150", "caveat"]
    assert table.loc["mnist/mlp-28x28-1000-150", "models"] == "mlp-28x28-1000-150;mlp-28x28-500-150"
    assert "12.0" in table.loc["mnist/linear-20x20", "other_figures"]
    assert "48,120" in table.loc["mnist/lenet-4", "caveat"]


def test_published_cifar10():
    table = results.published("cifar10")
    facts = table[["title", "value", "parameters", "multiply_adds"]].itertuples(
        index=False, name=None
    )
    assert dict(zip(table["row_id"].str.removeprefix("cifar10/"), facts, strict=True)) == CIFAR10
    assert (
        table["row_id"].tolist()
        == [f"cifar10/{name}" for name in CIFAR10]
        == table["models"].tolist()
    )
    assert set(table["metric"]) == {"test_accuracy_percent"}
    assert table["caveat"].str.contains("single run at its best test epoch").all()


def test_published_of_all_benchmarks():
    assert results.published()["row_id"].tolist() == [f"mnist/{name}" for name in MNIST] + [
        f"cifar10/{name}" for name in CIFAR10
    ]
    assert (
        not results.published().drop(columns=["parameters", "multiply_adds"]).isna().any(axis=None)
    )
    with pytest.raises(InputError, match=r"unknown benchmark 'minst'. Known: mnist"):
        results.published("minst")


@pytest.mark.parametrize("benchmark", ["mnist", "cifar10"])
def test_published_files_are_plain_csv(benchmark):
    content = (
        (storage.DATA / "published" / f"{benchmark}.csv").read_bytes().replace(b"\r\n", b"\n")
    )  # git on Windows may convert
    table = pandas.read_csv(storage.DATA / "published" / f"{benchmark}.csv")
    assert (
        table.to_csv(index=False, lineterminator="\n").count("\n")
        == content.count(b"\n")
        == len(table) + 1
    )
    with open(
        storage.DATA / "published" / f"{benchmark}.csv", newline="", encoding="utf-8"
    ) as file:
        assert {len(fields) for fields in csv.reader(file, strict=True)} == {10}


def test_measured_of_an_empty_ledger():
    table = results.measured()
    assert table.columns.tolist() == [*results.COLUMNS, "origin"]
    assert len(table) == 0
    with pytest.raises(InputError, match="unknown benchmark 'svhn'"):
        results.measured("svhn")


def test_record_writes_one_row_and_measured_reads_it(run, local_files):
    row = ledger.record(
        **run(seed=np.int64(3), value=np.float32(0.5), train_images=np.int32(60000))
    )
    assert list(row) == results.COLUMNS
    assert row["row_id"] == "mnist/lenet-5"
    assert type(row["seed"]) is int and type(row["value"]) is float
    assert (
        row["device"] == environment.device()
        and row["versions"] == environment.versions()
        and row["code"] == environment.code_hash()
    )
    assert local_files() == [f"{row['run_id']}.json"]
    assert (
        json.loads(
            (storage.results_folder() / "rows" / local_files()[0]).read_text(encoding="utf-8")
        )
        == row
    )
    assert results.measured().to_dict("records") == [row | {"origin": "this machine"}]
    assert results.measured("mnist").to_dict("records") == [row | {"origin": "this machine"}]
    assert len(results.measured("cifar10")) == len(results.measured(local=False)) == 0


def test_record_takes_what_the_caller_knows_better(run):
    row = ledger.record(
        **run(device="one A100", date="2026-01-31T23:59:59Z", run_id="mine-1", row_id="")
    )
    assert (row["device"], row["date"], row["run_id"], row["row_id"]) == (
        "one A100",
        "2026-01-31T23:59:59Z",
        "mine-1",
        "",
    )


def test_record_refuses_the_row_of_another_net(run, local_files):
    with pytest.raises(
        InputError,
        match="lenet-5 is no net of the row mnist/lenet-4, which is for lenet-4, lenet-4-paper",
    ):
        ledger.record(**run(row_id="mnist/lenet-4"))
    assert local_files() == []


@pytest.mark.parametrize(
    "model, dataset, row_id",
    [
        ("lenet-5-paper", "mnist", "mnist/lenet-5"),
        ("mlp-28x28-300", "mnist", "mnist/mlp-20x20-300"),
        ("lenet-5", "fashion_mnist", ""),
        ("lenet-5", "cifar10", ""),
        ("cifar10/vgg16", "cifar10", "cifar10/vgg16"),
        ("my-own-net", "mnist", ""),
    ],
)
def test_record_finds_the_lecture_row(run, model, dataset, row_id):
    assert ledger.record(**run(model=model, dataset=dataset))["row_id"] == row_id


def test_the_same_run_again_replaces_its_row(run):
    ledger.record(**run(value=1.5))
    ledger.record(**run(value=1.25, train_seconds=1))
    assert results.measured()["value"].tolist() == [1.25]


KNOWN = {
    "model": "lenet-5",
    "dataset": "mnist",
    "image_order": "official",
    "recipe": "plain",
    "settings": {},
    "seed": 0,
    "train_images": 60000,
}
DETERMINING = {
    "model": "lenet-4",
    "dataset": "fashion_mnist",
    "image_order": "by digest",
    "settings": {"epochs": 3},
    "seed": 1,
    "train_images": 1000,
    "results_version": 2,
}


def test_run_id_is_known_before_the_run(run):
    row = run(settings="{}", recipe="plain")
    expected = identity.run_id(**KNOWN)
    assert expected.startswith("lenet-5-mnist-plain-seed0-")
    assert len(expected.removeprefix("lenet-5-mnist-plain-seed0-")) == 8
    assert identity.run_id(**KNOWN | {"seed": np.int64(0)}) == expected
    for value in (0.95, 2.0):
        changed = {"value": value, "train_seconds": value, "device": str(value), "code": str(value)}
        assert ledger.record(**row | changed)["run_id"] == expected


@pytest.mark.parametrize("column", DETERMINING)
def test_run_id_changes_with_what_determines_the_result(column):
    changed = identity.run_id(**KNOWN | {column: DETERMINING[column]})
    assert changed[-8:] != identity.run_id(**KNOWN)[-8:]


def test_the_name_of_a_recipe_is_for_the_reader():
    renamed = identity.run_id(**KNOWN | {"recipe": "ordinary"})
    assert renamed == identity.run_id(**KNOWN).replace("plain", "ordinary")


@pytest.mark.parametrize(
    ("arguments", "run_id"),
    [
        (("lenet-5", "mnist"), "lenet-5-mnist-plain-seed0-980b7766"),
        (("boosted-lenet-4", "mnist", "boosted"), "boosted-lenet-4-mnist-boosted-seed0-897c43cc"),
        (("linear-20x20", "mnist", "deslanted-small"), None),
        (("mlp-28x28-300-100", "mnist"), "mlp-28x28-300-100-mnist-plain-seed0-3bc6a874"),
    ],
)
def test_published_rows_are_found_by_todays_settings(arguments, run_id, monkeypatch):
    """A change of a net's options, of a default or of a recipe would make them unknown."""
    monkeypatch.setattr(rows, "MEASURED", storage.DATA / "measured")
    planned = experiment.plan(*arguments)["run_id"]
    assert experiment.is_done(*arguments) and run_id in (None, planned)


def test_every_published_row_has_the_run_id_of_its_settings(monkeypatch):
    monkeypatch.setattr(rows, "MEASURED", storage.DATA / "measured")
    for row in results.measured(local=False).to_dict("records"):
        assert re.fullmatch(re.escape(ledger.run_id_of(row)) + r"(-earlier\d+)?", row["run_id"])
        settings = recipes.recipe(row["recipe"]).settings()
        assert rows.settings_text(settings) == row["settings"]


def test_kept_predictions_give_the_published_value(monkeypatch):
    monkeypatch.setattr(rows, "MEASURED", storage.DATA / "measured")
    labels = datasets.load("mnist").test.labels
    kept = 0
    for row in results.measured("mnist", local=False).to_dict("records"):
        predictions = prediction_files.read("mnist", row["run_id"])
        if predictions is not None:
            assert 100 * np.mean(predictions != labels) == pytest.approx(row["value"])
            kept += 1
    assert kept >= 13


def test_run_id_is_a_file_name(run, local_files):
    row = ledger.record(**run(model="cifar10/vgg16", dataset="cifar10"))
    assert row["run_id"].startswith("cifar10-vgg16-cifar10-standard-seed0-")
    assert local_files() == [row["run_id"] + ".json"]


BAD = [
    ({"value": math.nan}, "value"),
    ({"value": math.inf}, "value"),
    ({"value": np.float64("nan")}, "value"),
    ({"value": 100.5}, "value"),
    ({"value": -0.1}, "value"),
    ({"value": 101, "metric": "test_accuracy_percent"}, "value"),
    ({"value": True}, "value"),
    ({"value": "0.95"}, "value"),
    ({"dataset": "minst"}, "unknown benchmark 'minst'. Known: mnist"),
    ({"row_id": "mnist/lenet-6"}, "unknown row 'mnist/lenet-6'. Known: mnist/lenet"),
    ({"row_id": "cifar10/vgg16"}, "unknown row"),  # a row of another benchmark
    (
        {"metric": "error"},
        "metric must be 'test_error_percent' or 'test_accuracy_percent', got 'error'",
    ),
    ({"seed": None}, "seed must be a valid integer, got None"),
    ({"seed": -1}, "seed"),
    ({"seed": 1.0}, "seed"),
    ({"seed": "1"}, "seed"),
    ({"seed": True}, "seed"),
    ({"seed": np.True_}, "seed"),
    ({"train_images": 0}, "train_images must be greater than or equal to 1, got 0"),
    ({"epochs": -1}, "epochs"),
    ({"trainable_parameters": 61706.0}, "trainable_parameters"),
    ({"train_seconds": -0.5}, "train_seconds must be greater than or equal to 0"),
    ({"train_seconds": math.inf}, "train_seconds"),
    ({"model": ""}, "a name has letters"),
    ({"model": " "}, "a name has"),
    ({"protocol": "two\nlines"}, "a name has"),
    ({"recipe": None}, "recipe must be a valid string, got None"),
    ({"run_id": "../elsewhere"}, "run_id string should match pattern"),
    ({"date": "yesterday"}, "date must be UTC like 2026-01-31T23:59:59Z"),
    ({"recipe": "plain/../../../elsewhere"}, "a name has letters"),
    ({"recipe": "/etc/passwd"}, "a name has letters"),
    ({"model": "..\\elsewhere"}, "a name has letters"),
    ({"epochs": 10**30}, "epochs must be less than or equal to"),
    ({"train_images": 2**64}, "train_images must be less than or equal to"),
    ({"seed": 2**64}, "seed must be less than"),
    ({"settings": "[1]"}, "settings must be a JSON object"),
    ({"settings": "[" * 100_000}, "settings must be a JSON object"),
    ({"colour": "red"}, "has the unknown colour. The columns are run_id, row_id, model"),
]


@pytest.mark.parametrize("changed, message", BAD, ids=[str(changed) for changed, _ in BAD])
def test_record_refuses(run, changed, message, local_files):
    with pytest.raises(InputError, match=message):
        ledger.record(**run(**changed))
    assert local_files() == []


def test_record_names_what_is_missing(run, local_files):
    columns = run()
    del columns["seed"], columns["value"]
    with pytest.raises(InputError, match="the row lacks seed, value"):
        ledger.record(**columns)
    assert local_files() == []


def test_record_into_a_folder_that_cannot_be_written(run, tmp_path, monkeypatch):
    (tmp_path / "occupied").write_text("a file where the folder should be")
    monkeypatch.setenv("CNNLIB_RESULTS", str(tmp_path / "occupied"))
    with pytest.raises(InputError, match=r"cannot write to the folder .*CNNLIB_RESULTS"):
        ledger.record(**run())


@pytest.mark.parametrize("failing", ["replace", "fsync"])
def test_record_leaves_nothing_when_the_disk_fails(run, monkeypatch, failing, local_files):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, failing, full)
    with pytest.raises(InputError, match=os.strerror(errno.ENOSPC)):
        ledger.record(**run())
    assert local_files() == []


def damage_json(content):
    (results_file,) = (storage.results_folder() / "rows").iterdir()
    results_file.write_text(content, encoding="utf-8")
    return results_file


@pytest.mark.parametrize("content", ["", '{"run_id": "x"', "[1]", "{}", "null"])
def test_a_damaged_local_row_is_named_and_kept(run, content):
    ledger.record(**run())
    path = damage_json(content)
    for read in (results.measured, publishing.publish):
        with pytest.raises(InputError, match=f"damaged row .*{path.name}"):
            read()
    assert path.read_text(encoding="utf-8") == content


def test_a_local_row_under_another_name_or_with_nan_is_damaged(run):
    row = ledger.record(**run())
    damage_json(json.dumps(row | {"run_id": "another"}))
    with pytest.raises(InputError, match="holds the run another"):
        results.measured()
    damage_json(json.dumps(row | {"value": math.nan}))
    with pytest.raises(InputError, match="value must be a"):
        results.measured()


def test_a_results_folder_of_another_version_is_refused_and_kept(run):
    row = ledger.record(**run())
    path = damage_json(json.dumps(row | {"top5": 99.0}))
    with pytest.raises(
        InputError,
        match=r"damaged row .*: the row has the unknown top5. The columns are run_id, .* "
        "Nothing was changed",
    ):
        results.measured()
    without = {column: value for column, value in row.items() if column != "epochs"}
    path.write_text(json.dumps(without), encoding="utf-8")
    with pytest.raises(InputError, match="the row lacks epochs"):
        results.measured()
    assert json.loads(path.read_text(encoding="utf-8")) == without


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda lines: [lines[0], lines[1], lines[1]], r"line 3: the run lenet-5.* a second time"),
        (lambda lines: [*lines, "<<<<<<< HEAD"], "line 4: 1 fields where 24 belong"),
        (lambda lines: [lines[0], lines[1], lines[2][:60]], "line 3: .* fields where 24 belong"),
        (
            lambda lines: [lines[0], lines[1].replace(",0.95,", ",,")],
            "line 2: value must be a.*''",
        ),
        (
            lambda lines: [lines[0], lines[1].replace(",0.95,", ",nan,")],
            "line 2: .*value must be a.*nan",
        ),
        (
            lambda lines: [
                lines[0],
                lines[1].replace(",mnist,", ",cifar10,").replace("mnist/lenet-5", ""),
            ],
            "line 2: a row of cifar10",
        ),
        (lambda lines: [lines[0], lines[1], lines[2] + ',"'], "line 3: unexpected end of data"),
        (lambda lines: lines[1:], "line 1: the columns must be run_id,row_id"),
        (lambda lines: [], "line 0: the columns must be run_id,row_id"),
    ],
)
def test_a_damaged_ledger_is_named_and_kept(run, published_ledger, damage, message, local_files):
    damaged = "\n".join(damage(published_ledger.read_text(encoding="utf-8").splitlines()))
    published_ledger.write_text(damaged, encoding="utf-8")
    ledger.record(**run(seed=9))
    for read in (results.measured, publishing.publish):
        with pytest.raises(InputError, match=f"damaged ledger .*mnist.csv, {message}"):
            read()
    assert published_ledger.read_text(encoding="utf-8") == damaged
    assert len(local_files()) == 1


def test_the_ledger_of_the_project_is_whole(monkeypatch):
    monkeypatch.setattr(rows, "MEASURED", storage.DATA / "measured")
    table = results.measured(local=False)
    assert table["run_id"].is_unique
    assert set(table["row_id"]) <= {"", *results.published()["row_id"]}
