"""The recap, against means and deviations worked out by hand, and its three written forms."""

import numpy as np
import pandas
import pytest
from PIL import Image

from cnnlab import experiment, ledger, notebooks, publishing
from cnnlab import readme as lab_readme
from cnnlab.readme import BEGIN, END
from cnnlib import datasets, results, storage
from cnnlib.errors import InputError
from cnnlib.results import recaps, rows


def test_recap_of_an_empty_ledger_has_one_line_per_published_row():
    table = results.recap()
    assert table["title"].tolist() == results.published("mnist")["title"].tolist()
    assert table["model"].tolist()[:2] == ["linear-20x20", "mlp-20x20-1000"]
    assert set(table["n"]) == {0}
    assert table["measured_mean"].isna().all() and table["seconds"].isna().all()
    assert table["parameters"].tolist()[-1] == 51000
    assert len(results.recap("cifar10")) == 12
    with pytest.raises(InputError, match="unknown benchmark"):
        results.recap("minst")


def lines_of(title, **arguments):
    table = results.recap(**arguments)
    return table[table["title"] == title].reset_index(drop=True)


def test_recap_averages_over_seeds(run):
    for seed, value in enumerate([0.9, 1.0, 1.4]):
        ledger.record(**run(seed=seed, value=value, train_seconds=10 * seed))
    (line,) = lines_of("LeNet-5").itertuples()
    assert (line.published, line.n, line.protocol, line.recipe) == (0.95, 3, "plain", "standard")
    assert line.measured_mean == pytest.approx(1.1)
    assert line.measured_std == pytest.approx(((0.2**2 + 0.1**2 + 0.3**2) / 2) ** 0.5)  # ddof = 1
    assert (line.parameters, line.seconds, line.origin) == (61706, 10, "this machine")
    assert results.recap().columns.tolist()[:7] == [
        "title",
        "model",
        "published",
        "measured_mean",
        "measured_std",
        "n",
        "protocol",
    ]


GPU = "1 GPU NVIDIA H200; Intel(R) Xeon(R) Processor, 16 cores, Linux"


def test_a_gpus_seconds_are_not_mixed_with_a_cpus(run):
    own = {"model": "cifar10/vgg16", "dataset": "cifar10", "recipe": "short"}
    ledger.record(**run(**own, seed=0, value=93.0, device=GPU, train_seconds=750.0))
    (line,) = lines_of("VGG16", benchmark="cifar10").itertuples()
    assert (line.n, line.seconds, line.on_gpu) == (1, 750, True)
    assert "| 750 (GPU) |" in results.recap_markdown("cifar10")
    for seed, seconds in ((1, 4000.0), (2, 5000.0)):
        ledger.record(**run(**own, seed=seed, value=93.0, device="CPU", train_seconds=seconds))
    (line,) = lines_of("VGG16", benchmark="cifar10").itertuples()
    assert (line.n, line.seconds, line.on_gpu) == (3, 4500, False)
    assert "| 4,500 |" in results.recap_markdown("cifar10")


def test_recap_keeps_ways_apart_and_the_lecture_order(run):
    for changed in (
        {"model": "lenet-5-paper"},
        {"protocol": "distorted", "train_images": 600000},
        {"recipe": "quick", "train_images": 6000, "epochs": 3},
        {"recipe": "quick", "train_images": 60000, "epochs": 3},
        {"epochs": 1},
        {},
        {"model": "lenet-1"},
    ):
        ledger.record(**run(**changed))
    ways = (
        lines_of("LeNet-5")[["model", "protocol", "recipe", "train_images", "epochs"]]
        .to_numpy()
        .tolist()
    )
    assert ways == [
        ["lenet-5", "distorted", "standard", 600000, 20],
        ["lenet-5", "plain", "quick", 6000, 3],
        ["lenet-5", "plain", "quick", 60000, 3],
        ["lenet-5", "plain", "standard", 60000, 1],
        ["lenet-5", "plain", "standard", 60000, 20],
        ["lenet-5-paper", "plain", "standard", 60000, 20],
    ]
    assert lines_of("LeNet-5")["measured_std"].isna().all()  # n = 1
    assert (
        results.recap()["title"].drop_duplicates().tolist()
        == results.published("mnist")["title"].tolist()
    )


def test_recap_counts_the_newest_of_two_runs_with_one_seed(run):
    ledger.record(**run(run_id="a", value=2.0, date="2026-02-01T00:00:00Z"))
    ledger.record(**run(run_id="b", value=3.0, date="2026-01-01T00:00:00Z", code="older"))
    ledger.record(
        **run(run_id="c", value=4.0, date="2026-01-01T00:00:00Z", code="older", seed=1)
    )  # older code still counts
    (line,) = lines_of("LeNet-5").itertuples()
    assert (line.n, line.measured_mean) == (2, 3.0)


def test_recap_says_where_the_runs_are(run):
    ledger.record(**run(seed=0, value=1.0))
    publishing.publish()
    ledger.record(**run(seed=1, value=2.0))
    assert lines_of("LeNet-5")["origin"].tolist() == ["ledger + this machine"]
    (line,) = lines_of("LeNet-5", local=False).itertuples()
    assert (line.origin, line.n, line.measured_mean) == ("ledger", 1, 1.0)


def test_recap_brings_an_error_to_the_published_metric(run):
    net = {"model": "cifar10/resnet18", "dataset": "cifar10", "train_images": 50000}
    ledger.record(**run(**net, seed=0, metric="test_accuracy_percent", value=94.0))
    ledger.record(**run(**net, seed=1, metric="test_error_percent", value=5.0))
    (line,) = lines_of("ResNet18", benchmark="cifar10").itertuples()
    assert (line.published, line.measured_mean) == (93.02, 94.5)


def test_a_net_that_the_lecture_does_not_have_comes_last_without_a_published_figure(run):
    own = {
        "model": "cifar10/fast",
        "dataset": "cifar10",
        "train_images": 50000,
        "metric": "test_accuracy_percent",
    }
    for seed, value in enumerate([93.0, 94.0]):
        ledger.record(**run(**own, seed=seed, value=value))
    line = list(results.recap("cifar10").itertuples())[-1]
    assert (line.title, line.model, line.n, line.measured_mean) == (
        "cifar10/fast",
        "cifar10/fast",
        2,
        93.5,
    )
    assert pandas.isna(line.published)
    last = results.recap_markdown("cifar10").split("\n")[-1]
    assert last.startswith(
        "| cifar10/fast |  | 93.50 ± 0.71 (n = 2) | plain, standard, 20 epochs |"
    )


def test_what_is_not_measured_names_the_command_that_measures_it():
    rows = dict(
        zip(
            results.recap_table("cifar10")["Net"],
            results.recap_table("cifar10")["protocol, recipe"],
            strict=True,
        )
    )
    assert rows["DPN92"] == "`python -m cnnlib train cifar10/dpn92 cifar10 --recipe benchmark`"
    for benchmark in ("mnist", "cifar10"):
        for model in results.recap(benchmark)["model"]:
            *_, net, dataset, _, recipe = recaps.command(model, benchmark).split()
            assert experiment.plan(net, dataset, recipe)["recipe"] == recipe


@pytest.mark.parametrize(
    "arguments, text",
    [
        ((8.4321, 0.0549, 5), "8.43 ± 0.05 (n = 5)"),
        ((0.9, float("nan"), 1), "0.90 (n = 1)"),
        ((0, 0, 0), "not measured here"),
    ],
)
def test_mean_and_deviation(arguments, text):
    assert results.mean_and_deviation(*arguments) == text


def test_recap_markdown(run):
    for seed, value in enumerate([2.0, 3.0]):
        ledger.record(
            **run(model="mlp-28x28-500-150", seed=seed, value=value, trainable_parameters=469160)
        )
    ledger.record(**run(recipe="quick", train_images=6000, epochs=1))
    lines = results.recap_markdown().split("\n")
    assert (
        lines[0]
        == "| Net | published error % | measured error % (mean ± sd, n) | protocol, recipe "
        "| parameters | seconds |"
    )
    assert lines[1] == "| --- | ---: | --- | --- | ---: | ---: |"
    assert (
        "| 20x20 -> 10 | 8.4 | not measured here | `python -m cnnlib train linear-20x20 mnist "
        "--recipe plain` |  |  |" in lines
    )
    name = "28x28 -> 1000 -> 150 -> 10, as mlp-28x28-500-150"
    assert (
        f"| {name} | 2.95 | 2.50 ± 0.71 (n = 2) | plain, standard, 20 epochs | 469,160 | 116 |"
        in lines
    )
    assert (
        "| LeNet-5 | 0.95 | 0.95 (n = 1) | plain, quick, 1 epoch, 6,000 images | 61,706 | 116 |"
        in lines
    )
    assert len(lines) == 2 + 9
    assert "published accuracy %" in results.recap_markdown("cifar10")


def test_recap_text_fits_a_terminal(run):
    for seed in range(10):
        ledger.record(
            **run(
                model="mlp-28x28-500-150",
                seed=seed,
                protocol="distorted",
                recipe="a-recipe-with-a-long-name",
                train_images=600000,
            )
        )
    text = results.recap_text()
    assert max(map(len, text.split("\n"))) <= 110
    lines = text.split("\n")
    assert [line.split("  ")[0] for line in lines[2:4]] == [
        "---------------------------",
        "20x20 -> 10",
    ]
    shown = next(i for i, line in enumerate(lines) if line.startswith("28x28 -> 1000"))
    assert "0.95 ± 0.00 (n = 10)" in lines[shown] and lines[shown].endswith("61,706      116")
    assert lines[shown + 1].startswith("as mlp-28x28-500-150 ")
    for cell in results.recap_table().to_numpy().ravel():  # nothing is cut off
        assert all(word in text for word in cell.split())


@pytest.fixture
def readme(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(f"# Course\n\nÜber.\n\n{BEGIN}\nold\n{END}\n\nThe end.\n", encoding="utf-8")
    return path


def test_update_readme_writes_the_ledger_between_the_markers(run, readme):
    ledger.record(**run(value=1.23))
    publishing.publish()
    ledger.record(**run(value=4.56, recipe="local"))
    before = readme.read_text(encoding="utf-8")
    assert lab_readme.update_readme(readme, check=True) is True
    assert readme.read_text(encoding="utf-8") == before
    assert lab_readme.update_readme(readme) is True
    text = readme.read_text(encoding="utf-8")
    assert text.startswith(f"# Course\n\nÜber.\n\n{BEGIN}\n\n**MNIST**\n\n| Net |")
    assert text.endswith(f"|\n\n{END}\n\nThe end.\n")
    assert "old" not in text
    assert (
        text.index("1.23 (n = 1)")
        < text.index(f"**{datasets.info('cifar10').title}**")
        < text.index("DPN92")
    )
    assert "4.56" not in text  # not in the ledger
    assert lab_readme.update_readme(readme) is lab_readme.update_readme(readme, check=True) is False
    assert readme.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("marker", [BEGIN, END])
def test_update_readme_needs_both_markers(readme, marker):
    text = readme.read_text(encoding="utf-8").replace(marker, "")
    readme.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as error:
        lab_readme.update_readme(readme)
    assert f"lacks the line {marker}" in str(error.value)
    assert readme.read_text(encoding="utf-8") == text


def test_every_notebook_has_a_thumbnail_in_the_readme(tmp_path):
    shown = (storage.ROOT / "README.md").read_text(encoding="utf-8")
    paths = lab_readme.make_thumbnails(tmp_path)
    assert [path.stem for path in paths] == [name[:2] for name in notebooks.names()]
    for path in paths:
        with Image.open(path) as picture:
            assert max(picture.width / 220, picture.height / 140) == pytest.approx(1, abs=0.01)
            assert len(np.unique(np.asarray(picture.convert("L")))) > 10
        assert f"{lab_readme.THUMBNAILS}/{path.name}" in shown


def test_update_readme_without_a_readme(tmp_path):
    with pytest.raises(InputError, match=r"no-readme\.md lacks the line"):
        lab_readme.update_readme(tmp_path / "no-readme.md")
    assert not (tmp_path / "no-readme.md").exists()


def test_the_readme_of_the_project_is_current(monkeypatch):
    monkeypatch.setattr(rows, "MEASURED", storage.DATA / "measured")
    assert not lab_readme.update_readme(check=True), (
        "README.md differs from the ledger: run `python -m cnnlib results readme`"
    )


def test_recap_reads_back_as_numbers(run):
    ledger.record(**run())
    assert pandas.api.types.is_float_dtype(results.recap()["measured_mean"])
    assert results.recap()["parameters"].dtype == "Int64"
