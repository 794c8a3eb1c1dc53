"""The lecture's tables against what the lecture and its sources print, and the published rows."""

import keras
import numpy as np
import pytest

from cnnlib import datasets, results

# The lecture's results, in its order: row -> (title, value).
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
# row -> (title, accuracy); counts are in models/test_tables.py
CIFAR10 = {
    **{"vgg16": ("VGG16", 92.64), "resnet18": ("ResNet18", 93.02)},
    **{"resnet50": ("ResNet50", 93.62), "resnet101": ("ResNet101", 93.75)},
    **{"regnetx-200mf": ("RegNetX_200MF", 94.24), "regnety-400mf": ("RegNetY_400MF", 94.29)},
    **{"mobilenetv2": ("MobileNetV2", 94.43), "resnext29-32x4d": ("ResNeXt29(32x4d)", 94.73)},
    **{"resnext29-2x64d": ("ResNeXt29(2x64d)", 94.82), "densenet121": ("DenseNet121", 95.04)},
    **{"preactresnet18": ("PreActResNet18", 95.11), "dpn92": ("DPN92", 95.16)},
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


def test_mnist():
    table = results.published("mnist")
    assert table["row_id"].tolist() == [f"mnist/{name}" for name in MNIST]
    assert list(zip(table["title"], table["value"], strict=True)) == list(MNIST.values())
    assert set(table["metric"]) == {"test_error_percent"}
    assert table["models"].str.split(";").str[0].tolist() == list(MNIST)
    known = table[table["parameters"].notna()]
    counts = zip(known["multiply_adds"] // 1000, known["parameters"] // 1000, strict=True)
    assert dict(zip(known["row_id"].str.removeprefix("mnist/"), counts, strict=True)) == THOUSANDS


def test_cifar10():
    table = results.published("cifar10")
    facts = table[["title", "value"]].itertuples(False, None)
    names = [f"cifar10/{name}" for name in CIFAR10]
    assert dict(zip(table["row_id"], facts, strict=True)) == dict(
        zip(names, CIFAR10.values(), strict=True)
    )
    assert table["row_id"].tolist() == names == table["models"].tolist()
    assert set(table["metric"]) == {"test_accuracy_percent"}
    assert table["caveat"].str.contains("single run at its best test epoch").all()


def test_keras_applications_and_costs():
    table = results.keras_applications().set_index("model")
    assert len(table) == 33 and table.index.is_unique
    assert all(callable(getattr(keras.applications, name)) for name in table.index)
    assert table["top1_percent"].between(70, 86).all()
    assert (table["top5_percent"] > table["top1_percent"]).all()
    assert all(table["depth"].isna() == table.index.str.startswith("EfficientNetV2"))
    costs = results.costs()
    assert set(costs.index) == {*results.published("cifar10")["row_id"], "cifar10/fast"}
    assert (costs["last_loss"] < costs["first_loss"]).all()


def test_the_ledger_is_whole_and_kept_predictions_give_its_values():
    rows = results.rows(local=False)
    assert {row["row_id"] for row in rows.values()} <= {"", *results.published()["row_id"]}
    labels = datasets.load("mnist").test.labels
    kept = 0
    for row in rows.values():
        predictions = results.read_predictions(row)
        if predictions is not None and row["dataset"] == "mnist":
            assert 100 * np.mean(predictions != labels) == pytest.approx(row["value"])
            kept += 1
    assert kept >= 13
