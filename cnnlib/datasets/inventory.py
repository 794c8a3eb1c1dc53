"""What of a data set is on this machine. Looks at file names, sizes and dataset_info.json only: no TensorFlow, no network."""

import dataclasses
import pathlib
import urllib.parse

from cnnlib.datasets import download, embedded, prepared
from cnnlib.datasets.catalogue import CATALOGUE
from cnnlib.errors import Damaged, check_name


@dataclasses.dataclass(frozen=True)
class Status:
    """`state` is one of: "prepared", "part" (a prepared folder with fewer images), "damaged", "embedded", "sample", "absent"."""

    name: str
    state: str
    where: pathlib.Path | None = None
    size: int = 0  # bytes
    images: int = 0
    problem: str = ""  # of a damaged folder


def status(name):
    """The Status of a data set: the best of what is here. A part counts as "part" only if its files are whole."""
    info = CATALOGUE[check_name("data set", name, CATALOGUE)]
    folder = prepared.find(info)
    if folder:
        size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
        try:
            images = sum(
                split.count for split in prepared.check(folder, info, partial=True).values()
            )
        except Damaged as error:
            return Status(name, "damaged", folder, size, 0, str(error))
        return Status(
            name,
            "prepared" if images == info.train_count + info.test_count else "part",
            folder,
            size,
            images,
        )
    for state, known in (("embedded", embedded.WHOLE), ("sample", embedded.SAMPLES)):
        file = known.get(name)
        if file and file.path.exists():
            return Status(
                name, state, file.path, file.path.stat().st_size, file.train_count + file.test_count
            )
    return Status(name, "absent")


def table():
    """The text of `python -m cnnlib data list`: a line for each set with its state, images, size, source, and where it is."""
    rows = [("data set", "state", "images", "size", "source", "where")]
    for info in CATALOGUE.values():
        found = status(info.name)
        whole = info.train_count + info.test_count
        address = download.ADDRESSES.get(info.name, ["https://image-net.org"])[0]
        source = (
            "this repository"
            if found.state in ("embedded", "sample")
            else urllib.parse.urlsplit(address).hostname
        )
        size = megabytes(found.size or info.download_bytes)
        where = found.where or f"{size} to download" + (
            " by you: it asks for registration" if info.name == "imagenet" else ""
        )
        rows.append(
            (
                info.name,
                found.state,
                f"{found.images:,} of {whole:,}",
                size if found.size else "",
                source,
                str(where),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, "", f"Prepared sets are looked for in {prepared.data_folder()}"])


def megabytes(size):
    """A size in bytes as people say it: 11.5 MB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
