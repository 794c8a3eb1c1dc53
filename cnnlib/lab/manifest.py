"""Renew the SHA-256 of the files in data/ after a change by hand: python -m cnnlib.lab.manifest."""

import hashlib

import filelock

from cnnlib import integrity, storage
from cnnlib.errors import Damaged
from cnnlib.results import rows

NOT_DATA = ("README.md", integrity.NAME)


def renew() -> list[str]:
    """Write data/SHA256SUMS anew from the files there; return the names whose digest changed."""
    with filelock.FileLock(storage.make_folder(rows.MEASURED, variable=None) / ".lock"):
        found = {
            path.relative_to(storage.DATA).as_posix(): [
                hashlib.sha256(path.read_bytes()).hexdigest()
            ]
            for path in sorted(storage.DATA.rglob("*"))
            if path.is_file() and not path.name.startswith(".") and path.name not in NOT_DATA
        }
        try:
            known = integrity.digests()
        except Damaged:
            known = {}
        integrity.write_digests(found)
    return sorted(name for name in {*found, *known} if found.get(name) != known.get(name))


if __name__ == "__main__":
    print("\n".join(renew()) or "Nothing changed.")
