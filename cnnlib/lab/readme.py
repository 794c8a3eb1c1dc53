"""The README's results, written from the ledger."""

import pathlib

from cnnlib import datasets, storage
from cnnlib.errors import InputError
from cnnlib.results import comparison, transfer_comparison

PICTURE = pathlib.PurePosixPath("docs/published_and_measured.svg")
BEGIN, END = (
    "<!-- results: begin (made by `python -m cnnlib results readme`) -->",
    "<!-- results: end -->",
)


def update_readme(path: pathlib.Path = storage.ROOT / "README.md", check: bool = False) -> bool:
    """Write the published rows between the two markers of README.md; return whether it changes.

    The picture of published beside measured results, PICTURE, is drawn anew as well. With `check`
    nothing is written. Raises InputError if a marker, or the file, is missing.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise InputError(
            f"{path} lacks the line {END if begin else BEGIN} Put it where the results "
            f"{'end' if begin else 'begin'}."
        )
    parts = {
        datasets.info(name).title: comparison.recap_markdown(name, local=False)
        for name in ("mnist", "cifar10")
    }
    if table := transfer_comparison.transfer_markdown(local=False):
        parts["CIFAR-10, with VGG16 trained on ImageNet"] = table
    updated = "\n".join(
        [
            before + BEGIN,
            "",
            *(f"**{title}**\n\n{table}\n" for title, table in parts.items()),
            END + after,
        ]
    )
    if updated != text and not check:
        storage.write_atomically(path, updated)
    if not check:
        draw(storage.make_folder(path.parent / PICTURE.parent) / PICTURE.name)
    return updated != text


def draw(path: pathlib.Path) -> None:
    """Draw MNIST's published results beside the measured ones, from the ledger, as an SVG file."""
    from cnnlib import plots

    figure = plots.published_beside_measured(
        comparison.recap("mnist", local=False), title="MNIST: published, and measured here"
    )
    plots.save(figure, path)
