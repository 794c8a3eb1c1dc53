"""What killed runs left behind: `python -m cnnlib clean` lists it and removes it.

Nothing that a run has changed within the last hour is touched: it may be in progress.
"""

import contextlib
import dataclasses
import os
import pathlib
import re
import shutil
import time
from collections.abc import Iterator

from cnnlib import datasets, storage
from cnnlib.datasets import prepared

# The names that storage.replacing, notebooks.run and TFDS give to what is not finished.
_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}\.\w+|\.reserve")
_INCOMPLETE = re.compile(r"incomplete\..+|.+\.incomplete\w*")


@dataclasses.dataclass(frozen=True)
class Leftover:
    """A file or folder that no run needs."""

    path: pathlib.Path
    reason: str
    size: int  # bytes

    def __str__(self) -> str:
        return f"{self.path}  ({self.reason}, {self.size / 1e6:.1f} MB)"


def find(checkpoints: bool = False) -> list[Leftover]:
    """Return what killed runs left in the results folder and in the data folders.

    Args:
        checkpoints: also the checkpoints of trainings that have not been completed, and the
            results of stages. The same `train` command would continue from them.
    """
    found = [*_temporary(), *_incomplete(), *_checkpoints(checkpoints)]
    return sorted(found, key=lambda each: each.path)


def remove(found: list[Leftover]) -> None:
    """Remove what `find` returned."""
    for each in found:
        if each.path.is_dir() and not each.path.is_symlink():
            shutil.rmtree(each.path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                each.path.unlink()


def _temporary() -> Iterator[Leftover]:
    """Temporary files in the results folder and in data/."""
    for top in (storage.results_folder(), storage.DATA):
        for folder, _, names in os.walk(top):
            for name in names:
                path = pathlib.Path(folder) / name
                if _TEMPORARY.fullmatch(name) and _is_abandoned(path):
                    yield _leftover(path, "a file that was not written to its end")


def _incomplete() -> Iterator[Leftover]:
    """Data sets whose preparation was killed."""
    folders = {prepared.data_folder(), storage.DATA}
    if own := storage.folder_from("CNNLIB_DATA"):
        folders.add(own)
    for top in sorted(map(pathlib.Path, folders)):
        for path in [*top.glob("*"), *top.glob("*/*")]:
            if path.is_dir() and _INCOMPLETE.fullmatch(path.name) and _is_abandoned(path):
                yield _leftover(path, "a data set that was not prepared to its end")


def _checkpoints(all_of_them: bool) -> Iterator[Leftover]:
    """Checkpoints of trainings whose row is there, or of all trainings, and results of stages."""
    from cnnlab.batch import runs

    finished = runs.finished_rows(datasets.names())
    top = storage.results_folder()
    # The first edition kept them in checkpoints/.
    for path in [*top.glob("stages/*"), *top.glob("checkpoints/*")]:
        if path.is_dir() and _is_abandoned(path):
            if (path / "result.npz").exists():  # cnnlab.stages.RESULT
                if all_of_them:
                    yield _leftover(path, "the result of a stage, from which others continue")
            elif path.name in finished:
                yield _leftover(path, "checkpoints of a training whose row is recorded")
            elif all_of_them:
                yield _leftover(path, "checkpoints of a training that was not completed")


def _is_abandoned(path):
    """Whether nobody has changed a file, or anything in a folder, within the last hour."""
    return time.time() - max(_times(path), default=time.time()) > storage.ABANDONED


def _times(path):
    for each in [path, *path.rglob("*")] if path.is_dir() else [path]:
        with contextlib.suppress(OSError):  # removed meanwhile
            yield each.lstat().st_mtime


def _leftover(path, reason):
    files = [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]
    return Leftover(path, reason, sum(each.lstat().st_size for each in files))
