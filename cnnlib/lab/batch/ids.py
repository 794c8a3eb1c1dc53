"""The id of a run: the content of what determines its result.

A run whose notebook, parameters, data or source code of cnnlib has changed has another id, so it runs again. One for which they are the
same has the same id, on every machine and in every batch file, so it does not.

- Of a training it is the ledger's run_id: net, data set, recipe, seed, and the source code that determines a figure. The bytes of the data
  are in it through that code, which pins the checksum of MNIST and the version of each other data set.
- Of a notebook it is made of its cells (not of what they printed), the values of all its parameters, the source code of cnnlib, and the
  files in data/. What runs have measured (data/measured/, data/nets/, results/) is not in it: the recap would run again after each run.

The versions of the packages are in no id: a batch that was begun is completed as it was begun; the ledger's rows name the versions.
"""

import functools
import hashlib
import json
import re

from cnnlib import storage
from cnnlib.lab import environment, experiment, notebooks

# What only starts runs or shows them, and what runs have written.
_WITHOUT_INFLUENCE = ("__main__", "batch", "report")
_WRITTEN_BY_RUNS = ("measured", "nets")


def run_id(kind, fields):
    """The id (str, fit for a file name) of a run of this kind with these fields, see `format.Run`."""
    if kind == "train":
        return experiment.plan(**fields)["run_id"]
    path, given = notebooks.find(fields["path"]), fields["parameters"]
    defaults = {p.name: p.default for p in notebooks.parameters(path)}
    values = defaults | given
    content = [
        _cells_hash(path, path.stat().st_mtime_ns),
        values,
        _code_hash(),
        _data_hash(_data_files()),
    ]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
    name = "-".join(
        [
            path.stem,
            *(f"{name}={value}" for name, value in values.items() if value != defaults[name]),
        ]
    )
    return f"{re.sub(r'[^A-Za-z0-9._=-]+', '_', name)[:80]}-{digest[:12]}"


@functools.lru_cache(maxsize=256)
def _cells_hash(path, _):
    return hashlib.sha256(json.dumps(notebooks.cells(path), sort_keys=True).encode()).hexdigest()


@functools.cache
def _code_hash():
    package = storage.ROOT / "cnnlib"
    parts = {path.name.removesuffix(".py") for path in package.iterdir()}
    return environment.code_hash(package, tuple(sorted(parts - set(_WITHOUT_INFLUENCE))))


def _data_files():
    paths = [
        path
        for path in storage.DATA.rglob("*")
        if path.is_file() and path.suffix != ".md" and not path.name.startswith(".")
    ]
    names = {path.relative_to(storage.DATA).as_posix(): path for path in paths}
    return tuple(
        (name, names[name].stat().st_mtime_ns)
        for name in sorted(names)
        if name.split("/")[0] not in _WRITTEN_BY_RUNS
    )


@functools.lru_cache(maxsize=4)
def _data_hash(names):
    digest = hashlib.sha256()
    for name, _ in names:
        with open(storage.DATA / name, "rb") as file:
            digest.update(name.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
