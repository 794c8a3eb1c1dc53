"""The pages of results: an overview, and a page for each net and recipe with all its runs."""

import functools
import json
import pathlib
import re

import numpy as np

from cnnlib import datasets, results

BENCHMARKS = ("mnist", "cifar10")
MISTAKES = 20  # that a page shows
_histories = functools.cache(results.histories)  # many pages show one table


def write(folder: pathlib.Path, local: bool) -> None:
    """Write the overview and the pages of runs to `folder`, as Markdown.

    Those of published runs or, with `local`, of this machine's.
    """
    _histories.cache_clear()  # of another results folder, or before a training
    folder.mkdir(parents=True, exist_ok=True)
    parts = [
        "# Results\n\nThe lecture's results beside those measured here: mean and standard "
        "deviation over n seeds, tested once on the official test set. Each page below has the "
        "command, the runs, and what the nets get wrong."
    ]
    names = []
    parts += [f"## {title}\n\n{table}" for title, table in tables(local).items()]
    for benchmark in BENCHMARKS:
        for line in results.lines(benchmark, local):
            if line["origin"] == ("this machine" if local else "ledger"):
                names.append(_file_name(line))
                page = _page(folder, names[-1], line)
                (folder / f"{names[-1]}.md").write_text(page, encoding="utf-8")
    if names:
        title, entries = "This machine's runs" if local else "All runs", "\n".join(names)
        parts.append(f"## {title}\n\n```{{toctree}}\n:maxdepth: 1\n\n{entries}\n```")
    (folder / "index.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def tables(local: bool) -> dict[str, str]:
    """Return {title: table of results as Markdown}, as README and the site show them."""
    found = {datasets.info(name).title: results.recap_markdown(name, local) for name in BENCHMARKS}
    return found | {
        "CIFAR-10, with VGG16 trained on ImageNet": results.transfer_markdown(local=local)
    }


def figure(path: pathlib.Path, local: bool) -> str:
    """Draw published results on MNIST beside measured ones to `path`; return the alt text."""
    from cnnlib import plots

    title = "MNIST: published, and measured here"
    drawn = plots.published_beside_measured(results.recap("mnist", local), title=title)
    plots.save(drawn, path)
    return plots.alt_text(drawn)


def _file_name(line):
    first = line["runs"][0]
    parts = [first["dataset"], line["model"], line["recipe"], results.images_text(line)]
    return re.sub(r"[^\w.-]+", "-", "-".join(filter(None, parts)))


def _page(folder, name, line):
    first, info = line["runs"][0], datasets.info(line["runs"][0]["dataset"])
    quantity = results.metric_of(first["dataset"]).removesuffix("_percent").replace("_", " ")
    has_all = first["train_images"] == info.train_count
    size = "" if has_all else f" --train-size {first['train_images']}"
    is_published = line["published"] == line["published"]
    command = f"```\npython -m cnnlib train {line['model']} {first['dataset']} --recipe "
    command += f"{line['recipe']}{size} --seed {first['seed']}\n```"
    if first["image_order"] == "sample" or "other" in json.loads(first["settings"]):
        command = "A notebook made it, from other images or weights than `train` takes."
    parts = [
        f"# {line['model']} by {line['recipe']} on {info.title}",
        f"**{results.measured_text(line)}**, {quantity} in %"
        + (f"; the lecture's table has {line['published']:g}." if is_published else "."),
        command,
        f"{line['parameters']:,} trainable weights, {first['train_images']:,} training images, "
        f"{results.counted(first['epochs'], 'epoch')}, {first['test_images']:,} test images.",
        _curve(folder, name, line),
        _mistakes(folder, name, line["runs"]),
        f"## Runs\n\n| seed | {quantity} % | seconds | date |\n| ---: | ---: | ---: | --- |",
    ]
    table = [
        f"| {row['seed']} | {row['value']:.2f} | "
        f"{results.time_text(row['train_seconds'], 'GPU' in row['device'])} | "
        f"{row['date'].partition('T')[0]} |"
        for row in line["runs"]
    ]
    runs = [f"- `{row['run_id']}`: {_provenance(row)}" for row in line["runs"]]
    text = "\n\n".join(part for part in parts if part)
    return "\n".join([text, *table, "", *runs, ""])


def _provenance(row):
    commit = f"commit {row['commit']}" if row["commit"] else "commit not recorded"
    threads = f"; {row['threads']} threads" if row["threads"] else ""
    return f"{row['versions']}; {row['device']}{threads}; data: {row['data_source']}; {commit}"


def _curve(folder, name, line):
    """The learning curve, as Markdown; "" if no run has a history."""
    from cnnlib import plots

    table = _histories(line["runs"][0]["dataset"])
    table = table[table["run_id"].isin([row["run_id"] for row in line["runs"]])]
    if not len(table):
        return ""
    path = folder / f"{name}-curve.svg"
    _save(plots.learning_curves({line["recipe"]: table}), path)
    last = table[table["epoch"] == table["epoch"].max()]["train_error"].mean()
    alt = f"Loss and training error by epoch; the training error ends at {last:.2f} %."
    return f"## Training\n\n![{alt}]({path.name})"


def _mistakes(folder, name, runs):
    """The test images that most runs get wrong, as Markdown; "" without predictions."""
    from cnnlib import plots

    found = [results.read_predictions(row) for row in runs]
    found = [each for each in found if each is not None]
    test = _mnist_test()
    # The checkout has the whole test set of MNIST, and no other; a run may have fewer images.
    if not found or runs[0]["dataset"] != "mnist" or len(found[0]) != len(test.labels):
        return ""
    wrong = np.sum([each != test.labels for each in found], axis=0)
    worst = [int(i) for i in np.argsort(-wrong, kind="stable")[:MISTAKES] if wrong[i]]
    if not worst:
        return ""
    captions = []
    for i in worst:
        answers = [int(each[i]) for each in found if each[i] != test.labels[i]]
        captions.append(f"{test.labels[i]}, not {max(set(answers), key=answers.count)}")
    path = folder / f"{name}-mistakes.svg"
    _save(plots.image_grid(test.images[worst], captions), path)
    shown = "; ".join(f"image {i}: {caption}" for i, caption in zip(worst, captions, strict=True))
    text = (
        f"{wrong.sum() / len(found):.0f} of {len(test.labels):,} test images are wrong in the mean "
        f"of {results.counted(len(found), 'run')}. Those that most runs get wrong, with the label "
        "and the most frequent wrong answer:"
    )
    return f"## Mistakes\n\n{text}\n\n![The {len(worst)} digits: {shown}]({path.name})"


@functools.cache
def _mnist_test():
    return datasets.load("mnist", download=False).test


def _save(drawn, path):
    import matplotlib.pyplot as plt

    drawn.savefig(path, bbox_inches="tight", facecolor="white")
    plt.close(drawn)
