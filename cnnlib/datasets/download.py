"""Preparing a data set as a TFDS folder: from a download, or from an archive that the user has.

What arrives is compared with a published checksum before anything is made of it.
"""

import os
import pathlib
import shutil
import threading
import urllib.parse
from typing import Any

from cnnlib import integrity, storage
from cnnlib.datasets import catalogue, embedded, prepared
from cnnlib.datasets.catalogue import Info
from cnnlib.errors import InputError, Unavailable

_IDX = (
    *("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    *("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
)
# The files that TFDS would fetch. Fetched here they can be resumed, which TFDS cannot do, and a
# host that does not answer is given up: TFDS goes on trying for three and a half minutes.
ADDRESSES = {
    "fashion_mnist": [
        f"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/{name}" for name in _IDX
    ],
    "cifar10": ["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"],
    "cifar100": ["https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"],
    "caltech101": ["https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip?download=1"],
    "caltech256": [
        "https://data.caltech.edu/records/nyy15-4j048/files/256_ObjectCategories.tar?download=1"
    ],
    "imagenette": ["https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-320.tgz"],
}
# CaltechDATA publishes these; the second of Caltech-101 was published before. TFDS has the others.
DIGESTS = {
    "caltech101": [
        ("sha256", "331234750fc7f77520e50d9565e8b6907b03565e30320da1401130db08c61f91"),
        ("md5", "b224c7392d521a49829488ab0f1120d9"),
    ],
    "caltech256": [("md5", "67b4f42ca05d46448c6bb8ecd2220f6d")],
}
Digests = list[tuple[str, str]]  # algorithm and hexadecimal digits

PATIENCE = 6  # seconds to wait for a host's answer


def folder(info: Info, allow_download: bool) -> pathlib.Path:
    """Return the prepared folder of a data set, downloaded if need be.

    Raises:
        Unavailable: the data set is not available here. The message lists what can be done.
    """
    if found := prepared.find(info):
        return found
    try:
        if not allow_download:
            raise Unavailable("downloads are switched off (download=False)")
        return prepare(info.name)
    except Unavailable as error:
        sample = "its sample, with sample=True, or " if info.name in embedded.SAMPLES else ""
        raise Unavailable(
            f"{info.title} ({info.name}) is not available on this machine. Tried: "
            f"no prepared folder {prepared.data_folder() / info.tfds_name}; {error}.\n"
            "What you can do:\n"
            f"1. connect to the internet and run again, or `python -m cnnlib data fetch "
            f"{info.name}`;\n"
            "2. bring it from a machine that has it: there `python -m cnnlib data bundle "
            f"{info.name} -o FILE`, here `python -m cnnlib data unpack FILE`; or copy the prepared "
            f"TFDS folder, {info.tfds_name}/<version>, and set CNNLIB_DATA to the folder that has "
            "it in tfds/, or TFDS_DATA_DIR to the folder that has it directly;\n"
            f"3. use what the repository carries: {sample}{', '.join(embedded.WHOLE)}."
        ) from error


def prepare(name: str, archive: str | os.PathLike[str] | None = None) -> pathlib.Path:
    """Prepare a data set ahead of its use, with progress bars, and return its folder.

    A download that broke off continues where it stopped.

    Args:
        name: any data set.
        archive: path of the original archive, of Caltech-101 or Caltech-256, to use instead of a
            download.

    Raises:
        InputError: unknown name, an archive that is not the published one, or a folder that cannot
            be written to.
        Unavailable: no answer, a connection that breaks off, a full disk, or ImageNet's archives
            are missing.
        Damaged: the folder is here, but not whole.
    """
    info = catalogue.info(name)
    if found := prepared.find(info):
        prepared.check(found, info)
        return found
    if archive is not None:
        _check_archive(info, archive)
    elif name in ADDRESSES:
        _check_host(ADDRESSES[name][0])
    top = storage.make_folder(prepared.data_folder())
    # Two kernels would write to the same part of a download.
    with storage.one_at_a_time(top / name, f"prepares {name}"):
        return prepared.find(info) or _prepare(info, top, archive)


def _prepare(info: Info, top: pathlib.Path, archive: str | os.PathLike[str] | None) -> pathlib.Path:
    import tensorflow_datasets as tfds

    storage.remove_abandoned(top / info.tfds_name, "incomplete.")  # of killed preparations
    builder: Any
    if info.name in DIGESTS:
        from cnnlib.datasets import caltech

        builder = caltech.BUILDERS[info.name](data_dir=top)
        builder.archive = archive
        digests = dict.fromkeys(ADDRESSES[info.name], DIGESTS[info.name])
    else:
        builder = tfds.builder(info.tfds_name, data_dir=top)
        urls = (builder.url_infos or {}).items()
        digests = {address: [("sha256", known.checksum)] for address, known in urls}
    downloads = top / "downloads" / "manual"  # where TFDS looks for ImageNet's archives
    if archive is None and info.name in ADDRESSES:
        downloads = storage.make_folder(top / "downloads" / "cnnlib" / info.name)
        for address in ADDRESSES[info.name]:
            builder.archive = _fetch(address, downloads, digests.get(address, []))
    # TFDS' own copies on Google's storage carry no checksums.
    config = tfds.download.DownloadConfig(manual_dir=downloads, try_download_gcs=False)
    try:
        builder.download_and_prepare(download_config=config)
    except Exception as error:  # a full disk, a lost connection, an archive that TFDS cannot read
        raise Unavailable(
            f"preparing {info.name} broke off ({_reason(error)}). Once that is mended, run the "
            "same command again: it continues from here"
        ) from error
    if downloads.name == info.name:
        shutil.rmtree(downloads)
    return pathlib.Path(builder.data_dir)


def _check_archive(info: Info, archive: str | os.PathLike[str]) -> None:
    """Raise InputError unless the set is made of such an archive."""
    if info.name not in DIGESTS:
        known = " and ".join(DIGESTS)
        raise InputError(f"{info.name} is not made of an archive of yours: only {known} are")
    if not storage.existing_file(archive).exists():
        raise InputError(f"there is no file {archive}")
    if problem := _problem(archive, DIGESTS[info.name]):
        raise InputError(
            f"{archive} is not the published archive of {info.title}: {problem}. Download it again "
            f"from {info.homepage}."
        )


def _check_host(address: str) -> None:
    """Raise Unavailable unless the host has the file and says so within PATIENCE seconds.

    The question is put in a thread, since nothing bounds the time of a DNS look-up.
    """
    import requests

    problem = [f"no answer within {PATIENCE} seconds"]

    def ask() -> None:
        try:
            answer = requests.head(address, timeout=PATIENCE, allow_redirects=True)
            problem[:] = [] if answer.ok else [f"HTTP {answer.status_code}"]
        except OSError as error:  # such as certificates (REQUESTS_CA_BUNDLE) that are not there
            is_of_requests = isinstance(error, requests.RequestException)
            problem[:] = [type(error).__name__ if is_of_requests else str(error)]

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if problem:
        host = urllib.parse.urlsplit(address).hostname
        raise Unavailable(f"{host} did not answer ({problem[0]})")


def _fetch(address: str, downloads: pathlib.Path, digests: Digests) -> pathlib.Path:
    """Download what is missing of a file, with a progress bar; return its path if it is whole."""
    import requests  # with which TFDS downloads: the same proxies, the same certificates
    import tqdm

    url = urllib.parse.urlsplit(address)
    path = downloads / pathlib.PurePosixPath(url.path).name
    if path.exists():
        return path
    part = path.with_name(path.name + ".part")
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"}
    try:
        with requests.get(address, headers=headers, stream=True, timeout=60) as answer:
            if answer.status_code != 416:  # else nothing is missing
                answer.raise_for_status()
                if answer.status_code != 206:  # a host that cannot resume sends it all again
                    have = 0
                total = have + int(answer.headers.get("Content-Length", 0)) or None
                shown = {"total": total, "initial": have, "unit": "B", "unit_scale": True}
                bar, file = tqdm.tqdm(desc=path.name, **shown), part.open("ab" if have else "wb")
                with bar, file:
                    for chunk in answer.iter_content(1 << 16):
                        bar.update(file.write(chunk))
    except OSError as error:  # requests' errors, too
        raise Unavailable(
            f"the download from {url.hostname} broke off ({_reason(error)}). Run the same command "
            "again: it continues from here"
        ) from error
    if problem := _problem(part, digests):
        part.unlink()
        raise Unavailable(f"{address} is not the file that was published: {problem}. Try again")
    os.replace(part, path)
    return path


def _problem(path: str | os.PathLike[str], digests: Digests) -> str | None:
    """Return None if a file has one of the digests, or there is none, else what is wrong."""
    found = [(algorithm, integrity.digest(path, algorithm)) for algorithm, _ in digests]
    if not digests or set(found) & set(digests):
        return None
    return f"{' '.join(found[0])}, expected {digests[0][1]}"


def _reason(error: Exception) -> str:
    """Return a system error in its own words, another with its type."""
    return getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
