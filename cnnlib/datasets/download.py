"""Preparing a data set as a TFDS folder: from a download, or from an archive that the user has.

What arrives is compared with a published checksum before anything is made of it.
"""

import os
import pathlib
import shutil
import sys
from typing import Any

from cnnlib import storage
from cnnlib.datasets import fetching, prepared
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
TAKE_ARCHIVES = ("caltech101", "caltech256")
IMAGENET_FILES = ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar")


def prepare(
    info: Info, archive: str | os.PathLike[str] | None = None, partial: bool = False
) -> pathlib.Path:
    """Prepare a data set, with progress bars, and return its version folder.

    Args:
        info: the data set.
        archive: path of the original archive, of Caltech-101 or Caltech-256, to use instead of a
            download.
        partial: accept an archive that holds a part of the set.

    Raises:
        Unavailable: no answer, a connection that breaks off, a full disk, or ImageNet's archives
            are missing. What has been downloaded is kept; the next call continues from there.
        InputError: the archive is not the set's.
    """
    if archive is not None and info.name not in TAKE_ARCHIVES:
        raise InputError(
            f"{info.name} is not made of an archive of yours: only {' and '.join(TAKE_ARCHIVES)} "
            "are"
        )
    if archive is not None:
        _check_archive(archive)
    elif info.name in ADDRESSES:
        fetching.check_host(ADDRESSES[info.name][0])
    try:
        folder = storage.make_folder(prepared.data_folder(), variable="CNNLIB_DATA")
    except InputError as error:
        raise Unavailable(str(error)) from error
    # Two kernels would write to the same part of a download.
    with storage.one_at_a_time(folder / info.name, f"prepares {info.name}"):
        found = prepared.find(info)  # by the process that was waited for
        if found:
            return found
        # What killed preparations left behind.
        storage.remove_abandoned(folder / info.tfds_name, "incomplete.")
        return _prepare(info, folder, archive, partial)


def _check_archive(archive: str | os.PathLike[str]) -> None:
    """Raise an error unless the archive is a file that can be read."""
    if os.path.exists(archive) and not os.path.isfile(archive):
        raise InputError(f"{archive} is not a file: give the path of the archive")
    open(archive, "rb").close()


def _prepare(
    info: Info, folder: pathlib.Path, archive: str | os.PathLike[str] | None, partial: bool
) -> pathlib.Path:
    import tensorflow_datasets as tfds

    builder: Any
    if info.name in TAKE_ARCHIVES:
        from cnnlib.datasets import caltech

        builder = caltech.BUILDERS[info.name](data_dir=folder, archive=archive, partial=partial)
        digests = dict.fromkeys(ADDRESSES[info.name], builder.digest)
    else:
        builder = tfds.builder(info.tfds_name, data_dir=folder)
        urls = builder.url_infos or {}
        digests = {address: ("sha256", known.checksum) for address, known in urls.items()}
    downloads = folder / "downloads" / "manual"
    if info.name == "imagenet":
        _check_imagenet(downloads, digests, partial)
    elif archive is None:
        downloads = storage.make_folder(folder / "downloads" / "cnnlib" / info.name)
        fetched = [
            fetching.fetch(address, downloads, digests.get(address))
            for address in ADDRESSES[info.name]
        ]
        if info.name in TAKE_ARCHIVES:
            builder.archive = fetched[0]
    # TFDS' own copies on Google's storage carry no checksums.
    config = tfds.download.DownloadConfig(manual_dir=downloads, try_download_gcs=False)
    try:
        builder.download_and_prepare(download_config=config)
    except InputError:
        raise
    except OSError as error:  # a full disk, a lost connection: it may work the next time
        raise Unavailable(
            f"preparing {info.name} broke off ({fetching.reason(error)}). Once that is mended, "
            "run the same command again: it continues from here"
        ) from error
    except Exception as error:  # whatever TFDS makes of an archive that it cannot use
        advice = (
            "check your version of tensorflow-datasets"
            if archive is None
            else f"download the archive again from {info.homepage}"
        )
        raise Unavailable(
            f"preparing {info.name} failed ({fetching.reason(error)}), and would fail again: "
            f"{advice}"
        ) from error
    if info.name in ADDRESSES and archive is None:
        shutil.rmtree(downloads)
    return pathlib.Path(builder.data_dir)


def _check_imagenet(
    folder: pathlib.Path, digests: dict[str, fetching.Digest], partial: bool
) -> None:
    """Raise an error unless ImageNet's published archives are in TFDS' manual folder."""
    here = [name for name in IMAGENET_FILES if (folder / name).is_file()]
    if len(here) < (1 if partial else 2):
        raise Unavailable(
            "ImageNet has to be downloaded by you: its makers ask for registration. Register at "
            "https://image-net.org/download-images, download "
            f"{' (138 GB) and '.join(IMAGENET_FILES)} (6.3 GB) of ILSVRC 2012, put both into "
            f"{folder} and run the same command again. With the second alone, `--partial` prepares "
            "the test images. To look at pictures of the kind, prepare imagenette: ten classes, "
            "0.3 GB, no registration"
        )
    for name in here:
        published = next(digest for address, digest in digests.items() if address.endswith(name))
        print(f"Checking {name} ...", file=sys.stderr, flush=True)
        problem = fetching.digest_problem(folder / name, published)
        if problem:
            raise InputError(
                f"{folder / name} is not the file that was published: {problem}. Download it again."
            )
