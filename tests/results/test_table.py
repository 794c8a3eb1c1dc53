"""The table of results, against means and deviations worked out by hand, and all its forms."""

import json
import math

import numpy as np
import pandas
import pytest

from cnnlab import experiment, ledger, manifest, readme, results_listing
from cnnlab.readme import BEGIN, END
from cnnlab.site import result_pages
from cnnlib import datasets, results, storage
from cnnlib.errors import InputError

pytestmark = pytest.mark.usefixtures("measured_folder")
GPU = "1 GPU NVIDIA H200; Intel(R) Xeon(R) Processor, 16 cores, Linux"
CIFAR = {"dataset": "cifar10", "train_images": 50000, "metric": "test_accuracy_percent"}


def lines_of(title, benchmark="mnist"):
    return [line for line in results.lines(benchmark) if line["title"] == title]


def test_nothing_measured():
    table = results.recap()
    assert table["title"].tolist() == results.published("mnist")["title"].tolist()
    assert set(table["n"]) == {0} and set(table["protocol"]) == {""}
    assert table["measured_mean"].isna().all() and table["seconds"].isna().all()
    assert len(results.recap("cifar10")) == 12
    assert len(results.transfer_recap()) == 0
    with pytest.raises(InputError, match="unknown benchmark"):
        results.recap("minst")


def test_a_line_averages_over_seeds(run):
    for seed, value in enumerate([0.9, 1.0, 1.4]):
        ledger.record(**run(seed=seed, value=value, train_seconds=10 * seed))
    (line,) = lines_of("LeNet-5")
    assert (line["published"], line["n"], line["protocol"]) == (0.95, 3, "plain")
    assert line["measured_mean"] == pytest.approx(1.1)
    deviation = ((0.2**2 + 0.1**2 + 0.3**2) / 2) ** 0.5  # ddof = 1
    assert line["measured_std"] == pytest.approx(deviation)
    assert (line["parameters"], line["seconds"]) == (61706, 10)
    assert [row["seed"] for row in line["runs"]] == [0, 1, 2]
    assert results.recap().dtypes[["measured_mean", "parameters"]].tolist() == ["float64", "Int64"]


def test_a_gpus_seconds_are_not_mixed_with_a_cpus(run):
    own = CIFAR | {"model": "cifar10/vgg16", "recipe": "short", "value": 93.0}
    ledger.record(**run(**own, seed=0, device=GPU, train_seconds=750.0))
    assert "| 750 (GPU) |" in results.recap_markdown("cifar10")
    for seed, seconds in ((1, 4000.0), (2, 5000.0)):
        ledger.record(**run(**own, seed=seed, device="CPU", train_seconds=seconds))
    assert "| 4,500 |" in results.recap_markdown("cifar10")


def test_settings_are_kept_apart_in_the_lectures_order(run):
    for changed in (
        {"model": "lenet-5-paper"},
        {"protocol": "distorted", "train_images": 600000},
        {"recipe": "quick", "train_images": 6000, "epochs": 3},
        {"epochs": 1},
        {},
        {"model": "lenet-1"},
    ):
        ledger.record(**run(**changed))
    names = ("model", "protocol", "recipe", "train_images", "epochs")
    assert [[line[name] for name in names] for line in lines_of("LeNet-5")] == [
        ["lenet-5", "distorted", "standard", 600000, 20],
        ["lenet-5", "plain", "quick", 6000, 3],
        ["lenet-5", "plain", "standard", 60000, 1],
        ["lenet-5", "plain", "standard", 60000, 20],
        ["lenet-5-paper", "plain", "standard", 60000, 20],
    ]
    titles = results.recap()["title"].drop_duplicates().tolist()
    assert titles == results.published("mnist")["title"].tolist()


def test_the_newest_of_two_runs_with_one_seed_counts(run):
    ledger.record(**run(run_id="a", value=2.0, date="2026-02-01T00:00:00Z"))
    ledger.record(**run(run_id="b", value=3.0, date="2026-01-01T00:00:00Z"))
    ledger.record(**run(run_id="c", value=4.0, date="2026-01-01T00:00:00Z", seed=1))
    (line,) = lines_of("LeNet-5")
    assert (line["n"], line["measured_mean"]) == (2, 3.0)


def test_runs_of_this_machine_have_lines_of_their_own_in_every_form(run, tmp_path):
    ledger.record(**run(seed=0, value=1.0))
    ledger.publish()
    ledger.record(**run(seed=1, value=2.0))
    ledger.record(**run(seed=2, value=3.0))
    origins = [(line["origin"], line["n"]) for line in lines_of("LeNet-5")]
    assert origins == [("ledger", 1), ("this machine", 2)]
    assert results.recap("mnist", local=False)["n"].sum() == 1
    result_pages.write(tmp_path / "local", local=True)
    result_pages.write(tmp_path / "site", local=False)
    own, published = "this machine: 2.50 ± 0.71 (n = 2)", "1.00 (n = 1)"
    for text in (results.recap_markdown(), (tmp_path / "local" / "index.md").read_text()):
        assert f"| {published} |" in text and f"| {own} |" in text
    assert all(part in results_listing.text() for part in ("this machine: 2.50", published))
    page = "mnist-lenet-5-standard.md"
    assert f"**{own}**, test error in %; the lecture's table has 0.95." in (
        tmp_path / "local" / page
    ).read_text(encoding="utf-8")
    for path in (tmp_path / "site").glob("*.md"):
        assert "this machine" not in path.read_text(encoding="utf-8")
    assert f"**{published}**" in (tmp_path / "site" / page).read_text(encoding="utf-8")


def test_a_net_that_the_lecture_does_not_have_comes_last(run):
    for seed, value in enumerate([93.0, 94.0]):
        ledger.record(**run(**CIFAR, model="cifar10/fast", seed=seed, value=value))
    line = results.lines("cifar10")[-1]
    assert (line["title"], line["n"], line["measured_mean"]) == ("cifar10/fast", 2, 93.5)
    assert math.isnan(line["published"])
    last = results.recap_markdown("cifar10").split("\n\n")[0].split("\n")[-1]
    assert last.startswith("| cifar10/fast |  | this machine: 93.50 ± 0.71 (n = 2) | plain, ")


def test_what_a_net_kept_in_float16_reaches_stands_below_the_table(tmp_path, monkeypatch):
    net = {"model": "cifar10/fast", "recipe": "plain", "dataset": "cifar10", "test_images": 10_000}
    monkeypatch.setattr(storage, "DATA", tmp_path)
    (tmp_path / "SHA256SUMS").touch()
    (tmp_path / "nets").mkdir()
    path = tmp_path / "nets" / "cifar10-fast-plain.weights.json"
    manifest.write(path, json.dumps(net | {"test_accuracy_percent": 94.125}))
    below = results.recap_markdown("cifar10").split("\n\n")[1]
    assert below.startswith('`models.load_trained("cifar10/fast", "plain")` returns the net')
    assert below.endswith("reach 94.12 % of the 10,000 test images.")
    assert "load_trained" not in results.recap_markdown("mnist")


def test_what_is_not_measured_names_the_command_that_measures_it():
    for benchmark in ("mnist", "cifar10"):
        table = results.recap_markdown(benchmark)
        for line in results.lines(benchmark):
            command = results.command(line["model"], benchmark)
            assert f"| not measured here | `{command}` |" in table
            *_, net, dataset, _, recipe = command.split()
            assert experiment.plan(net, dataset, recipe)["recipe"] == recipe


def test_markdown(run):
    for seed, value in enumerate([2.0, 3.0]):
        changed = {"model": "mlp-28x28-500-150", "trainable_parameters": 469160}
        ledger.record(**run(**changed, seed=seed, value=value))
    ledger.record(**run(recipe="quick", train_images=6000, epochs=1, test_images=500))
    ledger.publish(run_id for run_id in results.rows())
    lines = results.recap_markdown().split("\n")
    assert lines[1] == "| --- | ---: | --- | --- | ---: | ---: |" and len(lines) == 2 + 9
    assert (
        "| 28x28 -> 1000 -> 150 -> 10, as mlp-28x28-500-150 | 2.95 | 2.50 ± 0.71 (n = 2) "
        "| plain, standard, 20 epochs | 469,160 | 116 |"
    ) in lines
    assert (
        "| LeNet-5 | 0.95 | 0.95 (n = 1) | plain, quick, 1 epoch, 6,000 images, tested on 500 "
        "| 61,706 | 116 |"
    ) in lines


@pytest.mark.parametrize("name", ["mnist", "cifar10", "cifar100"])
def test_the_listing_fits_a_terminal(name, run, monkeypatch):
    monkeypatch.setattr(results, "MEASURED", storage.DATA / "measured")
    ledger.record(**run(recipe="plain,epochs=123,learning_rate=0.00123456789"))
    lines = results_listing.text(name).splitlines()
    assert max(map(len, lines)) <= 80
    if name == "cifar10":
        assert any(line.split() == ["DPN92", "95.16", "not", "measured", "here"] for line in lines)
        assert "frozen-32-all-mlp" in "\n".join(lines).partition("Transfer learning")[2]


VGG = CIFAR | {"model": "vgg16", "protocol": "frozen-32", "epochs": 30}


@pytest.fixture
def transferred(run):
    """Three seeds of a recipe, of which one was run twice; a head on a block; fine-tuning."""

    def record(recipe, **changed):
        ledger.record(**run(**VGG | {"recipe": recipe} | changed))

    for seed, value in enumerate([81.0, 82.0, 86.0]):
        weights = {"trainable_parameters": 1_321_994, "train_seconds": 600.0}
        record("frozen-32-all-mlp", seed=seed, value=value, **weights)
    record("frozen-32-all-mlp", value=11.0, run_id="old", date="2020-01-01T00:00:00Z")
    gpu = {"device": GPU, "train_seconds": 90.0}
    record("fine-tuned-64", metric="test_error_percent", value=6.5, **gpu)
    record("frozen-64-all-linear,blocks=4", value=77.0)
    record("frozen-64-all-linear,blocks=4", value=55.0, train_images=10000)
    ledger.record(**run())  # another net
    ledger.publish(list(results.rows()))


def test_transfer_learning_has_a_table_of_its_own(transferred):
    recap, block = results.transfer_recap(), "frozen-64-all-linear,blocks=4"
    assert recap["recipe"].tolist() == [block, block, "frozen-32-all-mlp", "fine-tuned-64"]
    assert recap["measured_mean"].tolist() == [55.0, 77.0, 83.0, 93.5]  # an error as accuracy
    assert "vgg16" not in set(results.recap("cifar10")["model"])
    first = results.transfer_table()["recipe"][0]
    assert first == "frozen-64-all-linear,blocks=4, 10,000 images"
    text = results.transfer_markdown().split("\n")
    assert text[:2] + text[4:] == [
        "| recipe | accuracy % (mean ± sd, n) | trained weights | minutes |",
        "| --- | --- | ---: | ---: |",
        "| frozen-32-all-mlp | 83.00 ± 2.65 (n = 3) | 1,321,994 | 10.0 |",
        "| fine-tuned-64 | 93.50 (n = 1) | 61,706 | 1.5 (GPU) |",
    ]


def test_the_pages_draw_curves_and_mistakes(run, tmp_path):
    labels = datasets.load("mnist").test.labels
    wrong = np.where(np.arange(10_000) < 25, (labels + 1) % 10, labels)
    history = pandas.DataFrame({"epoch": [1], "loss": [0.5], "train_error": [12.0]})
    ledger.record(**run(value=0.25), predictions=wrong, history=history)
    ledger.publish()
    result_pages.write(tmp_path, local=False)
    page = (tmp_path / "mnist-lenet-5-standard.md").read_text(encoding="utf-8")
    assert "the training error ends at 12.00 %" in page and "25 of 10,000 test images" in page
    assert f"image 0: {labels[0]}, not {wrong[0]}" in page
    assert len(list(tmp_path.glob("*.svg"))) == 2
    alt = result_pages.figure(tmp_path / "figure.svg", local=False)
    assert "LeNet-5: published 0.95, measured 0.25" in alt


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(f"# Course\n\nÜber.\n\n{BEGIN}\nold\n{END}\n\nThe end.\n", encoding="utf-8")
    return path


def test_update_readme_writes_the_ledger_between_the_markers(run, path):
    ledger.record(**run(value=1.23))
    ledger.publish()
    ledger.record(**run(value=4.56, recipe="local"))
    before = path.read_text(encoding="utf-8")
    korean = path.with_name("README.ko.md")
    korean.write_text(before, encoding="utf-8")
    assert readme.update_readme(path, check=True) is True
    assert path.read_text(encoding="utf-8") == before
    assert readme.update_readme(path) is True
    text = path.read_text(encoding="utf-8")
    assert korean.read_text(encoding="utf-8") == text
    assert text.startswith(f"# Course\n\nÜber.\n\n{BEGIN}\n\n**MNIST**\n\n| Net |")
    assert text.endswith(f"|\n\n{END}\n\nThe end.\n")
    assert text.index("1.23 (n = 1)") < text.index("**CIFAR-10**") < text.index("DPN92")
    assert "old" not in text and "4.56" not in text  # not in the ledger
    assert readme.update_readme(path) is readme.update_readme(path, check=True) is False
    path.write_text(text.replace(END, ""), encoding="utf-8")
    with pytest.raises(InputError, match=f"lacks the line {END}"):
        readme.update_readme(path)
