"""What of a data set is on this machine. Looks at file names, sizes and dataset_info.json only: no TensorFlow, no network."""

import dataclasses
import pathlib

from cnnlib.datasets import embedded, tfds_source
from cnnlib.datasets.catalogue import CATALOGUE
from cnnlib.datasets.errors import Damaged
from cnnlib.errors import check_name


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
    folder = tfds_source.find(info)
    if folder:
        size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
        try:
            images = sum(split.count for split in tfds_source.check(folder, info, partial=True).values())
        except Damaged as error:
            return Status(name, "damaged", folder, size, 0, str(error))
        return Status(name, "prepared" if images == info.train_count + info.test_count else "part", folder, size, images)
    for state, known in (("embedded", embedded.WHOLE), ("sample", embedded.SAMPLES)):
        file = known.get(name)
        if file and file.path.exists():
            return Status(name, state, file.path, file.path.stat().st_size, file.train_count + file.test_count)
    return Status(name, "absent")
