"""The pages of results: an overview, and a page for each net and recipe with all its runs."""

import functools
import pathlib
import re
import statistics
from typing import Any

import numpy as np

from cnnlib import datasets, results
from cnnlib.results import recaps, rows

BENCHMARKS = ("mnist", "cifar10")
MISTAKES = 20  # that a page shows


def write_all(folder: pathlib.Path) -> None:
    """Write the overview and the pages of all published runs to `folder`, as Markdown."""
    groups = [runs for benchmark in BENCHMARKS for runs in _groups(benchmark, local=False)]
    _write(folder, groups, local=False)


def write_local(folder: pathlib.Path) -> None:
    """Write the overview and the pages of this machine's runs to `folder`, as Markdown."""
    here = rows.read_local()
    groups = [
        runs
        for benchmark in BENCHMARKS
        for runs in _groups(benchmark, local=True)
        if any(row["run_id"] in here for row in runs)
    ]
    _write(folder, groups, local=True)


def _write(folder, groups, local):
    folder.mkdir(parents=True, exist_ok=True)
    names = [_file_name(runs[0]) for runs in groups]
    for name, runs in zip(names, groups, strict=True):
        (folder / f"{name}.md").write_text(_page(folder, name, runs), encoding="utf-8")
    (folder / "index.md").write_text(_overview(names, local), encoding="utf-8")


def figure(path: pathlib.Path) -> str:
    """Draw published results beside measured ones to `path`; return its alternative text."""
    from cnnlib import plots

    recap = results.recap("mnist")
    drawn = plots.published_beside_measured(recap, title="MNIST: published and measured here")
    _save(drawn, path)
    measured = recap.dropna(subset=["mean"]) if "mean" in recap else recap
    return (
        f"Test errors of {len(measured)} nets and recipes on MNIST, the lecture's result beside "
        "the mean of ours; the table of results has the numbers."
    )


def _groups(benchmark, local):
    """The runs of each net and recipe: a list of lists of rows, by seed."""
    known = rows.read_ledger(benchmark)
    if local:
        here = {r: row for r, row in rows.read_local().items() if row["dataset"] == benchmark}
        known = here | known
    groups: dict[tuple, list[dict[str, Any]]] = {}
    for row in known.values():
        key = (row["model"], row["recipe"], row["train_images"], row["image_order"] == "sample")
        groups.setdefault(key, []).append(row)
    for runs in groups.values():
        runs.sort(key=lambda row: (row["seed"], row["date"]))
    return list(groups.values())


def _file_name(row):
    parts = [row["dataset"], row["model"], row["recipe"]]
    if row["train_images"] != datasets.info(row["dataset"]).train_count:
        parts.append(str(row["train_images"]))
    if row["image_order"] == "sample":
        parts.append("sample")
    return re.sub(r"[^\w.-]+", "-", "-".join(parts))


def _overview(names, local):
    parts = [
        "# Results\n\nThe lecture's results beside those measured here: mean and standard "
        "deviation over n seeds, tested once on the official test set. Each page below has the "
        "command, the runs, and what the nets get wrong.\n"
    ]
    for benchmark in BENCHMARKS:
        title = datasets.info(benchmark).title
        parts.append(f"## {title}\n\n{results.recap_markdown(benchmark, local=local)}\n")
    if table := results.transfer_markdown(local=local):
        parts.append(f"## Transfer learning on CIFAR-10\n\n{table}\n")
    if names:
        entries = "\n".join(names)
        title = "This machine's runs" if local else "All runs"
        parts.append(f"## {title}\n\n```{{toctree}}\n:maxdepth: 1\n\n{entries}\n```\n")
    return "\n".join(parts)


def _page(folder, name, runs):
    from cnnlib.plots import style

    first, info = runs[0], datasets.info(runs[0]["dataset"])
    values = [row["value"] for row in runs]
    quantity = first["metric"].removesuffix("_percent").replace("_", " ")
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    published = _published(first)
    size = (
        ""
        if first["train_images"] == info.train_count
        else f" --train-size {first['train_images']}"
    )
    parts = [
        f"# {first['model']} by {first['recipe']} on {info.title}",
        f"**{statistics.fmean(values):.2f}{spread} % {quantity}** (n = {len(values)})"
        + (f"; the lecture's table has {published} %." if published else "."),
        f"```\npython -m cnnlib train {first['model']} {first['dataset']} --recipe "
        f"{first['recipe']}{size} --seed 0\n```",
        f"{first['trainable_parameters']:,} trainable weights, {first['train_images']:,} training "
        f"images, {style.counted(first['epochs'], 'epoch')}, {first['test_images']:,} test images.",
        _curve(folder, name, runs),
        _mistakes(folder, name, runs),
        "## Runs",
        _table(runs, quantity),
        "\n".join(f"- `{row['run_id']}`: {_provenance(row)}" for row in runs),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _published(row):
    if not row["row_id"]:
        return None
    table = results.published(row["dataset"])
    line = table[table["row_id"] == row["row_id"]].iloc[0]
    value = line["value"] if line["metric"] == row["metric"] else 100 - line["value"]
    return f"{value:.2f}"


def _table(runs, quantity):
    lines = [f"| seed | {quantity} % | seconds | date |", "| ---: | ---: | ---: | --- |"]
    for row in runs:
        seconds = recaps.time_text(row["train_seconds"], rows.names_gpu(row["device"]), 0)
        date = row["date"].partition("T")[0]
        lines.append(f"| {row['seed']} | {row['value']:.2f} | {seconds} | {date} |")
    return "\n".join(lines)


def _provenance(row):
    commit = f"commit {row['commit']}" if row["commit"] else "commit not recorded"
    threads = f"; {row['threads']} threads" if row["threads"] else ""
    return f"{row['versions']}; {row['device']}{threads}; data: {row['data_source']}; {commit}"


def _curve(folder, name, runs):
    """The learning curve, as Markdown; "" if no run has a history."""
    from cnnlib import plots

    table = _histories(runs[0]["dataset"])
    table = table[table["run_id"].isin([row["run_id"] for row in runs])]
    if not len(table):
        return ""
    path = folder / f"{name}-curve.svg"
    _save(plots.learning_curves({runs[0]["recipe"]: table}), path)
    last = table[table["epoch"] == table["epoch"].max()]["train_error"].mean()
    alt = f"Loss and training error by epoch; the training error ends at {last:.2f} %."
    return f"## Training\n\n![{alt}]({path.name})"


def _mistakes(folder, name, runs):
    """The test images that most runs get wrong, as Markdown; "" without predictions."""
    from cnnlib import plots
    from cnnlib.plots import style

    found = [results.predictions(row["run_id"]) for row in runs]
    found = [each for each in found if each is not None]
    if not found or runs[0]["dataset"] != "mnist":  # the checkout has the whole test set of MNIST
        return ""
    test = _mnist_test()
    wrong = np.sum([each != test.labels for each in found], axis=0)
    worst = np.argsort(-wrong, kind="stable")[:MISTAKES]
    worst = [int(i) for i in worst if wrong[i]]
    if not worst:
        return ""
    captions = [f"{test.labels[i]}, not {_most_frequent(found, i, test.labels[i])}" for i in worst]
    path = folder / f"{name}-mistakes.svg"
    _save(plots.image_grid(test.images[worst], captions), path)
    shown = "; ".join(f"image {i}: {caption}" for i, caption in zip(worst, captions, strict=True))
    text = (
        f"{np.mean([np.sum(each != test.labels) for each in found]):.0f} of {len(test.labels):,} "
        f"test images are wrong in the mean of {style.counted(len(found), 'run')}. Those that most "
        "runs get wrong, with the label and the most frequent wrong answer:"
    )
    return f"## Mistakes\n\n{text}\n\n![The {len(worst)} digits: {shown}]({path.name})"


@functools.cache
def _mnist_test():
    return datasets.load("mnist", download=False).test


@functools.cache
def _histories(dataset):
    return results.histories(dataset)


def _most_frequent(found, image, label):
    answers = [int(each[image]) for each in found if each[image] != label]
    return max(set(answers), key=answers.count)


def _save(drawn, path):
    import matplotlib.pyplot as plt

    drawn.savefig(path, bbox_inches="tight", facecolor="white")
    plt.close(drawn)
