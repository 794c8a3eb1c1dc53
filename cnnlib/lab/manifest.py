"""The manifest of data/: `write` replaces a published file together with its SHA-256.

`python -m cnnlib.lab.manifest` renews the whole manifest after files in data/ were changed by hand.
"""

import contextlib
import hashlib
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence

from cnnlib import integrity, storage

# What no reader of data/ takes for data.
IGNORED = ("README.md", integrity.NAME)


def write(path: str | os.PathLike[str], content: str | bytes) -> pathlib.Path:
    """Replace a file in data/ and its SHA-256, so that a kill at any moment leaves both valid.

    Args:
        path: the file. Outside data/ it is written without an entry in the manifest.
        content: text, written as UTF-8, or bytes.

    Raises:
        InputError: the file or the manifest cannot be written.
    """
    path = pathlib.Path(path)
    content = content.encode("utf-8") if isinstance(content, str) else content
    name = integrity.name_of(path)
    if name is None:
        return storage.write_atomically(path, content)
    new = hashlib.sha256(content).hexdigest()
    with _locked():
        known = integrity.digests()
        # First both, then the file, then the new one alone: whatever is there is listed.
        _write_digests(known | {name: list(dict.fromkeys([*known.get(name, []), new]))})
        storage.write_atomically(path, content)
        _write_digests(known | {name: [new]})
    return path


def remove(path: str | os.PathLike[str]) -> None:
    """Remove a file in data/, then its line in the manifest. A missing file is no error."""
    path = pathlib.Path(path)
    with _locked():
        path.unlink(missing_ok=True)
        known = integrity.digests()
        if known.pop(integrity.name_of(path) or "", None):
            _write_digests(known)


def renew() -> list[str]:
    """Write the manifest anew from the files in data/; return the names whose lines changed."""
    with _locked():
        found = {
            path.relative_to(storage.DATA).as_posix(): [
                hashlib.sha256(path.read_bytes()).hexdigest()
            ]
            for path in sorted(storage.DATA.rglob("*"))
            if path.is_file() and not path.name.startswith(".") and path.name not in IGNORED
        }
        try:
            known = integrity.digests()
        except integrity.Damaged:
            known = {}
        _write_digests(found)
    return sorted(name for name in {*found, *known} if found.get(name) != known.get(name))


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """Let one process at a time change the manifest."""
    import filelock

    with filelock.FileLock(storage.make_folder(storage.DATA, variable=None) / ".lock"):
        yield


def _write_digests(digests: Mapping[str, Sequence[str]]) -> None:
    lines = [f"{digest}  {name}\n" for name in sorted(digests) for digest in digests[name]]
    storage.write_atomically(storage.DATA / integrity.NAME, "".join(lines))


if __name__ == "__main__":
    print("\n".join(renew()) or "nothing changed")
