"""What `python -m cnnlib data` does with data sets: fetch several, list all."""

import os
import urllib.parse
from collections.abc import Iterable

import tabulate

from cnnlib import datasets
from cnnlib.datasets import download, embedded, prepared
from cnnlib.datasets.catalogue import CATALOGUE
from cnnlib.errors import InputError, Unavailable


def fetch(names: Iterable[str], archive: str | os.PathLike[str] | None = None) -> list[str]:
    """Prepare data sets one after the other; return the names of those that failed.

    A data set that is not available does not stop the others. Each gets a line.
    `archive`, only with one name, is that of `datasets.prepare`.

    Raises:
        InputError: unknown name, or an archive that is not the set's.
    """
    infos = [datasets.info(name) for name in names]
    if archive is not None and len(infos) != 1:
        raise InputError("an archive is that of one data set: name just that one")
    failed = []
    for info in infos:
        if info.name in embedded.WHOLE and archive is None:
            print(f"{info.name}: the repository carries it, there is nothing to fetch")
            continue
        how = "already prepared" if prepared.find(info) else "prepared"
        try:
            print(f"{info.name}: {how} in {datasets.prepare(info.name, archive)}")
        except Unavailable as error:
            print(f"{info.name}: failed. {str(error).rstrip('.')}.")
            failed.append(info.name)
    return failed


def table() -> str:
    """Return a table of all data sets: what is on this machine, how large it is, and where."""
    headers, rows = ("data set", "state", "images", "size", "source", "where"), []
    for info in CATALOGUE.values():
        found = datasets.status(info.name)
        address = download.ADDRESSES.get(info.name, ["https://image-net.org"])[0]
        source = urllib.parse.urlsplit(address).hostname or ""
        if found.state in ("embedded", "sample"):
            source = "this repository"
        where = str(found.where or f"{_size(info.download_bytes)} to download")
        if found.where is None and info.name == "imagenet":
            where += " by you: it asks for registration"
        images = f"{found.images:,} of {info.train_count + info.test_count:,}"
        rows.append((info.name, found.state, images, _size(found.size), source, where))
    text = tabulate.tabulate(rows, headers, tablefmt="plain", disable_numparse=True)
    return f"{text}\n\nPrepared data sets are looked for in {prepared.data_folder()}"


def _size(size: int) -> str:
    """Return a number of bytes as people say it: 11.5 MB."""
    if not size:
        return ""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
