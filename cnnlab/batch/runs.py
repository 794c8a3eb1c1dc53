"""The two kinds of run in a batch: training a net, executing a notebook.

A run has an `id`, made of what determines its result, so that it is done once, on whichever machine
and in whichever batch file:

- A training's id is the run_id of its row in the ledger: net, data set, recipe, seed, number of
  training images and RESULTS_VERSION.
- A notebook's id is made of its cells (not their outputs), the values of all its parameters,
  RESULTS_VERSION and the files in data/, without those that runs write (the recap would have to run
  again after each run).

The source code of cnnlib and the versions of packages are in no id: a batch that was begun is
completed, whatever was edited meanwhile. RESULTS_VERSION is raised when a change alters results.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import pathlib
import re
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from cnnlab import experiment, notebooks
from cnnlab.batch import records
from cnnlab.identity import RESULTS_VERSION
from cnnlib import storage

# Entries of data/ that are no input of a run: what is published from runs, and its checksums.
_NO_INPUTS = ("measured", "nets", "SHA256SUMS")


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one run may use: minutes, and bytes of memory of all its processes together."""

    minutes: float | None = None
    memory: int | None = None


class Run(Protocol):
    """What `TrainingRun` and `NotebookRun` have in common."""

    @property
    def limits(self) -> Limits:
        """What it may use."""

    @property
    def id(self) -> str:
        """The name of the run in the results folder."""

    @property
    def output(self) -> pathlib.Path | None:
        """The executed notebook that the run writes, or None."""

    def is_done(self, finished: records.Finished, copies: str | None = None) -> bool:
        """Return whether the results have it, and its copy is in the place `copies`."""

    def execute(self, run_id: str, copies: str | None = None) -> tuple[str, list[str]]:
        """Do the run. Returns a message and the places where copies of its output are."""


@dataclasses.dataclass(frozen=True)
class TrainingRun:
    """Train one net, test it once, record its row."""

    model: str
    dataset: str
    recipe: str
    seed: int
    train_size: int | None = None  # None: all training images
    limits: Limits = Limits()

    output: ClassVar[None] = None

    def __str__(self) -> str:
        size = "" if self.train_size is None else f" on {self.train_size:,} images"
        return f"{self.model} {self.dataset} {self.recipe} seed {self.seed}{size}"

    @functools.cached_property
    def row(self) -> dict[str, Any]:
        """The columns of the ledger that are known before the training."""
        return experiment.plan(self.model, self.dataset, self.recipe, self.seed, self.train_size)

    @property
    def id(self) -> str:
        """The run_id of its row."""
        return self.row["run_id"]

    def is_done(self, finished: records.Finished, copies: str | None = None) -> bool:
        """Return whether the ledger or this machine has its row. There is nothing to copy."""
        return self.id in finished.rows

    def execute(self, run_id: str, copies: str | None = None) -> tuple[str, list[str]]:
        """Train the net. Returns a message with its error, and no copies."""
        row = experiment.train_row(
            self.model, self.dataset, self.recipe, self.seed, self.train_size
        )
        metric = row["metric"].removesuffix("_percent").replace("_", " ")
        return f"{row['value']:.2f} % {metric}", []


@dataclasses.dataclass(frozen=True)
class NotebookRun:
    """Execute one notebook with given parameters."""

    path: str
    parameters: dict[str, Any] = dataclasses.field(default_factory=dict)
    limits: Limits = Limits()

    def __str__(self) -> str:
        values = [f"{name}={value}" for name, value in self.parameters.items()]
        return " ".join([pathlib.Path(self.path).stem, *values])

    @functools.cached_property
    def id(self) -> str:
        """The notebook's name, the parameters that differ from its own, and a digest."""
        path = notebooks.find(self.path)
        defaults = {p.name: p.default for p in notebooks.parameters(path)}
        values = defaults | self.parameters
        content = [
            _cells_digest(path, path.stat().st_mtime_ns),
            values,
            RESULTS_VERSION,
            _data_digest(_data_files()),
        ]
        text = json.dumps(content, sort_keys=True, default=str)
        digest = hashlib.sha256(text.encode()).hexdigest()
        changed = [f"{name}={value}" for name, value in values.items() if value != defaults[name]]
        name = re.sub(r"[^A-Za-z0-9._=-]+", "_", "-".join([path.stem, *changed]))
        return f"{name[:80]}-{digest[:12]}"

    @property
    def output(self) -> pathlib.Path:
        """The executed notebook."""
        return records.notebook_path(self.id)

    def is_done(self, finished: records.Finished, copies: str | None = None) -> bool:
        """Return whether its executed notebook is in the results, and in the place `copies`."""
        if f"{self.id}.ipynb" not in finished.notebooks:
            return False
        return copies is None or copies in records.read_record(self.id).get("copies", [])

    def execute(self, run_id: str, copies: str | None = None) -> tuple[str, list[str]]:
        """Execute the notebook. Returns a message and the places where copies of it are."""
        output = records.notebook_path(run_id)
        places = records.read_record(run_id).get("copies", [])
        if not output.exists():
            notebooks.run(self.path, self.parameters, output)
        if copies and copies not in places:
            copy(output, f"{copies.rstrip('/')}/{output.name}")
            places = [*places, copies]
        return f"executed notebook {output}", places


def done(runs: Sequence[Run], copies: str | None = None) -> set[str]:
    """Return the ids of those `runs` that the results have.

    Args:
        copies: the place where executed notebooks must be as well, or None.
    """
    finished = records.Finished({run.dataset for run in runs if isinstance(run, TrainingRun)})
    return {run.id for run in runs if run.is_done(finished, copies)}


def to_json(run: Run) -> dict[str, Any]:
    """Return a run as data that another checkout of the same commit can read.

    A notebook of the course goes by its name, not by its path on this machine.
    """
    assert isinstance(run, TrainingRun | NotebookRun)
    fields = {f.name: getattr(run, f.name) for f in dataclasses.fields(run) if f.name != "limits"}
    if isinstance(run, TrainingRun):
        return {"train": fields}
    path = pathlib.Path(run.path)
    return {
        "notebook": fields | {"path": path.stem} if path.parent == storage.NOTEBOOKS else fields
    }


def from_json(data: dict[str, Any]) -> Run:
    """Return the run that `to_json` described."""
    ((kind, fields),) = data.items()
    return {"train": TrainingRun, "notebook": NotebookRun}[kind](**fields)


def copy(notebook: pathlib.Path, url: str) -> None:
    """Write a notebook to any place that papermill can write to: a folder, s3://, gs://, abs://."""
    from papermill.iorw import papermill_io

    if "://" not in url:
        storage.make_folder(pathlib.Path(url).parent, variable=None)
        storage.write_atomically(url, notebook.read_bytes())
        return
    papermill_io.write(notebook.read_text(encoding="utf-8"), url)


@functools.lru_cache(maxsize=256)
def _cells_digest(path, _modified):
    return hashlib.sha256(json.dumps(notebooks.cells(path), sort_keys=True).encode()).hexdigest()


def _data_files():
    """The files of data/ that determine results: a tuple of (name, time of last change)."""
    paths = [path for path in storage.DATA.rglob("*") if path.is_file()]
    names = {path.relative_to(storage.DATA).as_posix(): path for path in paths}
    return tuple(
        (name, names[name].stat().st_mtime_ns)
        for name in sorted(names)
        if name.split("/")[0] not in _NO_INPUTS
        and not name.endswith(".md")
        and not names[name].name.startswith(".")
    )


@functools.lru_cache(maxsize=4)
def _data_digest(files):
    digest = hashlib.sha256()
    for name, _ in files:
        with open(storage.DATA / name, "rb") as file:
            digest.update(name.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
