"""Write files in data/ together with their SHA-256 in the manifest, data/SHA256SUMS.

`python -m cnnlab.manifest` renews all digests after a change by hand.
"""

import hashlib
import os
import pathlib
from collections.abc import Mapping, Sequence

import filelock

from cnnlib import integrity, results, storage
from cnnlib.errors import Damaged

NOT_DATA = ("README.md", integrity.NAME)


def lock() -> filelock.BaseFileLock:
    """Return the lock by which one process at a time changes data/, its manifest included.

    It is a lock of the operating system, which ends with the process, whatever kills that. Whoever
    holds it may take it again.
    """
    folder = storage.make_folder(results.MEASURED)
    return filelock.FileLock(folder / ".lock", is_singleton=True)


def write(path: str | os.PathLike[str], content: str | bytes) -> pathlib.Path:
    """Replace a file, and its digest if it is in data/; a kill at any moment leaves both valid."""
    path = pathlib.Path(path)
    content = content.encode("utf-8") if isinstance(content, str) else content
    name = integrity.name_of(path)
    if name is None:
        return storage.write_atomically(path, content)
    new = hashlib.sha256(content).hexdigest()
    with lock():
        known = integrity.digests()
        # First both digests, then the file, then the new one alone: whatever is there is listed.
        _write_digests(known | {name: list(dict.fromkeys([*known.get(name, []), new]))})
        storage.write_atomically(path, content)
        _write_digests(known | {name: [new]})
    return path


def renew() -> list[str]:
    """Write data/SHA256SUMS anew from the files there; return the names whose digest changed."""
    with lock():
        found = {
            path.relative_to(storage.DATA).as_posix(): [integrity.digest(path)]
            for path in sorted(storage.DATA.rglob("*"))
            if path.is_file() and not path.name.startswith(".") and path.name not in NOT_DATA
        }
        try:
            known = integrity.digests()
        except Damaged:
            known = {}
        _write_digests(found)
    return sorted(name for name in {*found, *known} if found.get(name) != known.get(name))


def _write_digests(digests: Mapping[str, Sequence[str]]) -> None:
    lines = [f"{digest}  {name}\n" for name in sorted(digests) for digest in digests[name]]
    storage.write_atomically(storage.DATA / integrity.NAME, "".join(lines))


if __name__ == "__main__":
    print("\n".join(renew()) or "Nothing changed.")
