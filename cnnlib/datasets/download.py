"""Ways to a prepared TFDS folder: a download that goes on where it stopped, an archive that the user has, ImageNet's manual folder.

What arrives is compared with a published checksum before anything is made of it. One process at a time prepares a set; others wait for it.
"""

import contextlib
import hashlib
import os
import pathlib
import sys
import threading
import urllib.parse

from cnnlib import storage
from cnnlib.datasets import embedded, prepared
from cnnlib.datasets.catalogue import CATALOGUE
from cnnlib.errors import InputError, Unavailable, check_name

_IDX = [
    f"{part}-idx{n}-ubyte.gz"
    for part, n in (
        ("train-images", 3),
        ("train-labels", 1),
        ("t10k-images", 3),
        ("t10k-labels", 1),
    )
]
# The files that TFDS would fetch. Fetched here they can be resumed, which TFDS cannot do, and a host that does not answer is given up
# after PATIENCE seconds: TFDS itself goes on trying for three and a half minutes.
ADDRESSES = {
    "mnist": [f"https://storage.googleapis.com/cvdf-datasets/mnist/{name}" for name in _IDX],
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
PATIENCE = 6
TAKE_ARCHIVES = ("caltech101", "caltech256")
IMAGENET_FILES = ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar")


def prepare(info, archive=None, partial=False):
    """Prepare the data set that `info` describes as a TFDS folder, with progress bars; return the version folder.

    Args: archive: path of the original archive, of Caltech-101 or Caltech-256, instead of a download; partial: take an archive that
        holds a part of the set.
    Raises Unavailable (no answer within PATIENCE seconds, a connection that breaks off, a full disk, ImageNet's archives not there) and
        InputError (an archive that is not the set's). What has been downloaded is kept; the next call goes on from there.
    """
    if archive and info.name not in TAKE_ARCHIVES:
        raise InputError(
            f"{info.name} is not made of an archive of yours: only {' and '.join(TAKE_ARCHIVES)} are"
        )
    if archive:
        open(archive, "rb").close()  # it is there and can be read, or this says what is the matter
    elif info.name in ADDRESSES:
        _check_host(ADDRESSES[info.name][0])
    try:
        folder = storage.make_folder(prepared.data_folder(), variable="CNNLIB_DATA")
    except InputError as error:
        raise Unavailable(str(error)) from error
    with one_at_a_time(folder, info.name):
        done = prepared.find(info)  # by the process that was waited for
        return done or _prepare(info, folder, archive, partial)


def fetch(names, archive=None, partial=False, say=print):
    """Prepare data sets one after the other, for `python -m cnnlib data fetch`; return the names of those that failed.

    `say` is called with a line for each. A set that cannot be had does not stop the others. Arguments as for `prepare`.
    """
    infos = [CATALOGUE[check_name("data set", name, CATALOGUE)] for name in names]
    if archive and len(infos) != 1:
        raise InputError("an archive is that of one data set: name just that one")
    failed = []
    for info in infos:
        folder = prepared.find(info)
        try:
            if folder:
                prepared.check(folder, info, partial)
                say(f"{info.name}: already prepared in {folder}")
            elif info.name in embedded.WHOLE:
                say(f"{info.name}: the repository carries it, there is nothing to fetch")
            else:
                say(f"{info.name}: prepared in {prepare(info, archive, partial)}")
        except Unavailable as error:
            say(f"{info.name}: failed. {error}.")
            failed.append(info.name)
    return failed


def _prepare(info, folder, archive, partial):
    import tensorflow_datasets as tfds

    if info.name in TAKE_ARCHIVES:
        from cnnlib.datasets import caltech

        builder = caltech.BUILDERS[info.name](data_dir=folder, archive=archive, partial=partial)
        digests = dict.fromkeys(ADDRESSES[info.name], builder.digest)
    else:
        builder = tfds.builder(info.tfds_name, data_dir=folder)
        digests = {
            address: ("sha256", known.checksum)
            for address, known in (builder.url_infos or {}).items()
        }
    downloads = folder / "downloads" / "manual"
    if info.name == "imagenet":
        _check_imagenet(downloads, digests, partial)
    elif not archive:
        downloads = storage.make_folder(folder / "downloads" / "cnnlib" / info.name)
        fetched = [
            _fetch(address, downloads, digests.get(address)) for address in ADDRESSES[info.name]
        ]
        if info.name in TAKE_ARCHIVES:
            builder.archive = fetched[0]
    config = tfds.download.DownloadConfig(
        manual_dir=downloads, try_download_gcs=False
    )  # TFDS' own copies carry no checksums
    try:
        builder.download_and_prepare(download_config=config)
    except InputError:
        raise
    except (
        Exception
    ) as error:  # disk full, a file that went away: the name and the way out are the same
        raise Unavailable(
            f"preparing {info.name} broke off ({_reason(error)}). Do the same again: it goes on from here"
        ) from error
    if info.name in ADDRESSES and not archive:
        _remove(downloads)
    return pathlib.Path(builder.data_dir)


def _fetch(address, folder, digest):
    """Download `address` into `folder`, or what is missing of it; return its path once the digest, (algorithm, hex) or None, is right."""
    import requests  # with which TFDS downloads: the same proxies, the same certificates
    import tqdm

    path = folder / _file_name(address)
    if path.exists():
        return path
    part = path.with_name(path.name + ".part")
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    try:
        with requests.get(address, headers=headers, stream=True, timeout=10 * PATIENCE) as answer:
            if have and answer.status_code != 416:  # 416: nothing is missing
                have = (
                    have if answer.status_code == 206 else 0
                )  # a host that cannot resume sends it all again
            if answer.status_code != 416:
                answer.raise_for_status()
                total = have + int(answer.headers.get("Content-Length", 0)) or None
                bar = tqdm.tqdm(
                    total=total, initial=have, unit="B", unit_scale=True, desc=path.name
                )
                with bar, part.open("ab" if have else "wb") as file:
                    for chunk in answer.iter_content(1 << 16):
                        file.write(chunk)
                        bar.update(len(chunk))
    except (requests.RequestException, OSError) as error:  # requests' errors are OSErrors too
        host = urllib.parse.urlsplit(address).hostname
        raise Unavailable(
            f"the download from {host} broke off ({_reason(error)}). Do the same again: it goes on from here"
        ) from error
    problem = digest and digest_problem(part, digest)
    if problem:
        part.unlink()
        raise Unavailable(
            f"{address} is not the file that was published: {problem}. It was thrown away; try again later"
        )
    os.replace(part, path)
    return path


def digest_problem(path, digest):
    """None if the file has the digest (algorithm, hex), else what is wrong with it."""
    algorithm, expected = digest
    with open(path, "rb") as file:
        head = file.read(512)
        file.seek(0)
        found = hashlib.file_digest(file, algorithm).hexdigest()
    if found == expected:
        return None
    if head.lstrip()[:1] == b"<":
        return "it is a web page (HTML), not an archive"
    return f"{algorithm} {found}, expected {expected} ({os.path.getsize(path):,} bytes)"


def _check_imagenet(folder, digests, partial):
    """Raise Unavailable unless ImageNet's archives are in TFDS' manual folder and are the published ones."""
    here = [name for name in IMAGENET_FILES if (folder / name).is_file()]
    if len(here) < (1 if partial else 2):
        raise Unavailable(
            f"ImageNet has to be downloaded by you: its makers ask for registration. Register at https://image-net.org/download-images, "
            f"download {' (138 GB) and '.join(IMAGENET_FILES)} (6.3 GB) of ILSVRC 2012, put both into {folder} and do the same again. "
            "With the second alone, `--partial` prepares the test images. To look at pictures of the kind, prepare imagenette: ten "
            "classes, 0.3 GB, no registration"
        )
    for name in here:
        published = next(digest for address, digest in digests.items() if address.endswith(name))
        print(f"Checking {name} ...", file=sys.stderr, flush=True)
        problem = digest_problem(folder / name, published)
        if problem:
            raise InputError(
                f"{folder / name} is not the file that was published: {problem}. Download it again."
            )


def _check_host(address):
    """Raise Unavailable unless the host of `address` has the file and says so within PATIENCE seconds."""
    problem = _ask(address)
    if problem:
        raise Unavailable(f"{urllib.parse.urlsplit(address).hostname} did not answer ({problem})")


def _ask(address):
    """None if the host of `address` answers within PATIENCE seconds, else what was the matter. Proxies are honoured.

    The question is put in a thread, since nothing bounds the time of a DNS look-up.
    """
    import requests

    answers = []

    def ask():
        try:
            requests.head(address, timeout=PATIENCE, allow_redirects=True).raise_for_status()
            answers.append(None)
        except requests.RequestException as error:
            status = "" if error.response is None else f" {error.response.status_code}"
            answers.append(type(error).__name__ + status)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return answers[0] if answers else f"no answer within {PATIENCE} seconds"


@contextlib.contextmanager
def one_at_a_time(folder, name):
    """Hold the lock `name` of a folder; say so if another process has it, and wait."""
    import filelock

    lock = filelock.FileLock(folder / f".{name}.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        print(f"Another process prepares {name}: waiting for it ...", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _file_name(address):
    return pathlib.PurePosixPath(urllib.parse.urlsplit(address).path).name


def _reason(error):
    """`error` in one line: a system error by its own text, another with its type."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return f"{type(error).__name__}: {error}"


def _remove(folder):
    """Remove the files of a folder of downloads, and the folder."""
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
