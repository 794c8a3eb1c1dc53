"""What transfer learning measured, against means worked out by hand."""

import numpy as np
import pytest

from cnnlab import ledger
from cnnlib import recipes, results

VGG = {
    "model": "vgg16",
    "dataset": "cifar10",
    "train_images": 50000,
    "metric": "test_accuracy_percent",
    "epochs": 30,
}


@pytest.fixture
def rows(run):
    """Three seeds of a way, of which one was run twice; one run of another; a head on a block, on
    all images and on some."""

    def record(**changed):
        return ledger.record(**run(**VGG | {"protocol": "frozen-32"} | changed))

    for seed, value in enumerate([81.0, 82.0, 86.0]):
        record(
            recipe="frozen-32-all-mlp",
            seed=seed,
            value=value,
            train_seconds=600.0,
            trainable_parameters=1_321_994,
        )
    record(
        recipe="frozen-32-all-mlp", seed=0, value=11.0, run_id="old", date="2020-01-01T00:00:00Z"
    )
    record(recipe="fine-tuned-64", protocol="fine-tuned-64", metric="test_error_percent", value=6.5)
    record(recipe="frozen-64-block4-linear", protocol="frozen-64", value=77.0)
    record(recipe="frozen-64-block4-linear", protocol="frozen-64", value=55.0, train_images=10000)
    ledger.record(**run())  # another net


def test_a_line_for_each_way(rows):
    worst, _, frozen, tuned = results.transfer_recap().itertuples()
    assert (worst.recipe, worst.train_images, worst.accuracy_mean) == (
        "frozen-64-block4-linear",
        10000,
        55.0,
    )
    assert (frozen.recipe, frozen.n, frozen.accuracy_mean, frozen.minutes) == (
        "frozen-32-all-mlp",
        3,
        83.0,
        10.0,
    )
    assert frozen.accuracy_std == pytest.approx(np.sqrt(7)) and frozen.trained_weights == 1_321_994
    assert (tuned.recipe, tuned.accuracy_mean, tuned.n) == (
        "fine-tuned-64",
        93.5,
        1,
    )  # an error as accuracy


def test_as_a_reader_wants_to_see_it(rows):
    assert (
        results.transfer_table()["recipe"].tolist()[0] == "frozen-64-block4-linear, 10,000 images"
    )
    markdown = results.transfer_markdown().split("\n")
    assert markdown[:2] == [
        "| recipe | accuracy % (mean ± sd, n) | trained weights | minutes |",
        "| --- | --- | ---: | ---: |",
    ]
    assert markdown[2:] == [
        "| frozen-32-all-mlp | 83.00 ± 2.65 (n = 3) | 1,321,994 | 10.0 |",
        "| fine-tuned-64 | 93.50 (n = 1) | 61,706 | 1.9 |",
    ]


def test_a_gpus_minutes_say_so(run):
    gpu = "1 GPU NVIDIA H200; a processor"
    ledger.record(
        **run(**VGG, protocol="fine-tuned-32", value=90.0, device=gpu, train_seconds=90.0)
    )
    (line,) = results.transfer_recap().itertuples()
    assert (line.minutes, line.on_gpu) == (1.5, True)
    assert results.transfer_markdown().endswith(" 1.5 (GPU) |")


def test_the_grid_has_a_column_for_each_size(rows):
    grid = results.transfer_grid()
    assert grid.index.tolist() == [
        "block 4, linear",
        "blocks 3 to 5, hidden layer",
    ] and grid.columns.tolist() == [32, 64]
    assert (
        grid.loc["block 4, linear", 64] == 77.0
        and grid.loc["blocks 3 to 5, hidden layer", 32] == 83.0
    )
    assert grid.isna().sum().sum() == 2


def test_the_grid_takes_all_recipes_of_frozen_heads(run):
    names = [name for name in recipes.recipe_names() if name.startswith("frozen-")]
    quarters = [
        "frozen-32-quarters",
        "frozen-64-quarters",
    ]  # not of the grid, whose heads see the means of whole maps
    for name in names:
        ledger.record(
            **run(
                **VGG
                | {
                    "protocol": name[:9],
                    "recipe": name,
                    "value": 70.0 if name in quarters else 50.0,
                }
            )
        )
    grid = results.transfer_grid()
    assert grid.size == len(set(names) - set(quarters)) == 24 and (grid == 50.0).all(axis=None)


def test_nothing_measured():
    assert (
        len(results.transfer_recap()) == len(results.transfer_table()) == 0
        and results.transfer_grid().empty
    )


def test_the_benchmarks_table_leaves_them_out(rows):
    assert "vgg16" not in set(results.recap("cifar10")["model"])
