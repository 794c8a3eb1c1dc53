"""What of a data set is on this machine, by names and sizes of files: no TensorFlow, no network."""

import dataclasses
import pathlib

from cnnlib.datasets import embedded, prepared
from cnnlib.datasets.catalogue import info
from cnnlib.errors import Damaged


@dataclasses.dataclass(frozen=True)
class Status:
    """What `status` returns."""

    name: str
    # "prepared", "part" (a prepared folder with fewer images), "damaged", "embedded" (whole in the
    # repository), "sample" (only a sample in the repository), or "absent"
    state: str
    where: pathlib.Path | None = None
    size: int = 0  # bytes
    images: int = 0
    problem: str = ""  # of a damaged folder


def status(name: str) -> Status:
    """Return the best of what is on this machine of a data set.

    A part counts as "part" only if its files are whole.

    Raises:
        InputError: unknown name.
    """
    known = info(name)
    if name in embedded.WHOLE:
        return _of_repository(name, "embedded", embedded.WHOLE[name])
    folder = prepared.find(known)
    if folder is None:
        if name in embedded.SAMPLES:
            return _of_repository(name, "sample", embedded.SAMPLES[name])
        return Status(name, "absent")
    try:
        size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
        splits = prepared.check(folder, known, partial=True)
    except Damaged as error:
        return Status(name, "damaged", folder, size, 0, str(error))
    except OSError as error:  # a folder that may not be entered
        return Status(name, "damaged", folder, 0, 0, f"{folder}: {error.strerror or error}")
    images = sum(split.count for split in splits.values())
    is_whole = images == known.train_count + known.test_count
    return Status(name, "prepared" if is_whole else "part", folder, size, images)


def _of_repository(
    name: str, state: str, file: embedded.Whole | embedded.Sheets | embedded.Pictures
) -> Status:
    """Return the status of what the repository carries, if its files are there."""
    try:
        size = sum(path.stat().st_size for path in file.files())
    except (Damaged, OSError) as error:
        return Status(name, "damaged", file.path, 0, 0, str(error))
    return Status(name, state, file.path, size, file.train_count + file.test_count)
