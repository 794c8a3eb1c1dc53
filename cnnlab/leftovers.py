"""What killed runs left behind: `python -m cnnlib clean` lists it and removes it.

Nothing that has changed within the last hour is touched: a run may be in progress.
"""

import os
import pathlib
import re

from cnnlib import storage
from cnnlib.datasets import prepared

# The names that storage.replacing and TFDS give to what is not finished.
_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}\.\w+")
_INCOMPLETE = re.compile(r"incomplete\..+|.+\.incomplete\w*")


def find(checkpoints: bool = False) -> dict[pathlib.Path, str]:
    """Return {path: why it is not needed} of what killed runs left in the results and data folders.

    With `checkpoints` also those of trainings that are not complete, and the results of stages: the
    same `train` command would continue from them.
    """
    found = {}
    for top in (storage.results_folder(), storage.DATA, prepared.data_folder()):
        for folder, folders, names in os.walk(top):
            for name in [*folders, *names]:
                if _TEMPORARY.fullmatch(name) or _INCOMPLETE.fullmatch(name):
                    found[pathlib.Path(folder, name)] = "it was not written to its end"
    rows = {path.stem for path in (storage.results_folder() / "rows").glob("*.json")}
    for path in (storage.results_folder() / "stages").glob("[!.]*"):
        is_result = (path / "result.npz").exists()  # from which other stages continue
        if checkpoints or (path.name in rows and not is_result):
            found[path] = "a stage of a training"
    return {path: found[path] for path in sorted(found) if storage.is_abandoned(path)}


def size(path: pathlib.Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    return sum(each.lstat().st_size for each in [path, *path.rglob("*")] if not each.is_dir())
