"""The two kinds of run in a batch, and what the results folder knows about them.

A run has an `id`, made of what determines its result, so that it is done once, on whichever machine
and in whichever batch file. The source code and the versions of packages are in no id: a batch that
was begun is completed, whatever was edited meanwhile. A row or an executed notebook says that a run
is done; its record only tells who does it, or how it ended and what it took.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import pathlib
import re
import statistics
from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Any

import filelock

from cnnlab import experiment, notebooks
from cnnlab.experiment import RESULTS_VERSION
from cnnlib import datasets, integrity, results, storage
from cnnlib.errors import InputError

DONE, RUNNING, FAILED, TO_DO = "done", "running", "failed", "to do"
# The files of a run in the results folder.
_FILES = {
    "notebook": "notebooks/{}.ipynb",
    "partial": "notebooks/{}.failed.ipynb",  # one that failed, as far as it got
    "log": "logs/{}.log",  # what it printed
    "record": "batch/{}.json",
    "lock": "batch/{}.lock",  # locked by the process that does it, whatever ends that
}


@dataclasses.dataclass(frozen=True)
class TrainingRun:
    """Train one net, test it once, record its row. Its id is the run_id of that row."""

    model: str
    dataset: str
    recipe: str
    seed: int
    train_size: int | None = None  # None: all training images
    minutes: float | None = None  # its limits: minutes, bytes of all its processes together
    memory: int | None = None

    def __str__(self) -> str:
        size = "" if self.train_size is None else f" on {self.train_size:,} images"
        return f"{self.model} {self.dataset} {self.recipe} seed {self.seed}{size}"

    @property
    def arguments(self) -> tuple:
        """Those of `experiment.plan` and `experiment.train_row`."""
        return self.model, self.dataset, self.recipe, self.seed, self.train_size

    @functools.cached_property
    def id(self) -> str:
        """Its name in the results folder."""
        return experiment.plan(*self.arguments)["run_id"]

    def execute(self) -> str:
        """Train the net and return its result as text."""
        row = experiment.train_row(*self.arguments)
        return f"{row['value']:.2f} % {row['metric'].removesuffix('_percent').replace('_', ' ')}"


@dataclasses.dataclass(frozen=True)
class NotebookRun:
    """Execute one notebook.

    Its id is made of its cells (not their outputs), the values of all its parameters,
    RESULTS_VERSION and the files of data/ that are no results themselves.
    """

    notebook: str  # a name of the course, else a path
    parameters: dict[str, Any] = dataclasses.field(default_factory=dict)
    minutes: float | None = None
    memory: int | None = None

    def __str__(self) -> str:
        values = [f"{name}={value}" for name, value in self.parameters.items()]
        return " ".join([pathlib.Path(self.notebook).stem, *values])

    @functools.cached_property
    def id(self) -> str:
        """Its name in the results folder. Raises InputError for what it cannot train."""
        path = notebooks.find(self.notebook)
        notebooks.check_training(path, self.parameters)
        defaults = {p.name: p.default for p in notebooks.parameters(path)}
        values = defaults | self.parameters
        manifest = storage.DATA / integrity.NAME
        inputs = _cells(path, path.stat().st_mtime_ns), _data(manifest.stat().st_mtime_ns)
        content = [*inputs, values, RESULTS_VERSION]
        digest = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode())
        changed = [f"{name}={value}" for name, value in values.items() if value != defaults[name]]
        name = re.sub(r"[^A-Za-z0-9._=-]+", "_", "-".join([path.stem, *changed]))
        return f"{name[:80]}-{digest.hexdigest()[:12]}"

    def execute(self) -> str:
        """Execute the notebook and return where it is."""
        output = file(self.id, "notebook")
        return f"executed notebook {notebooks.run(self.notebook, self.parameters, output)}"


Run = TrainingRun | NotebookRun


def file(run_id: str, kind: str) -> pathlib.Path:
    """Return the path of a run's "notebook", "partial" notebook, "log", "record" or "lock"."""
    return storage.results_folder() / _FILES[kind].format(run_id)


def read_record(run_id: str) -> dict[str, Any]:
    """Return the record of a run, empty if there is none or somebody damaged it."""
    try:
        return dict(json.loads(file(run_id, "record").read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return {}


def write_record(run_id: str, record: dict[str, Any]) -> None:
    """Write the record of a run."""
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    storage.write_atomically(file(run_id, "record"), text)


@contextlib.contextmanager
def lock(run_id: str, timeout: float) -> Iterator[bool]:
    """Hold the lock of a run; yield False if another process keeps it for `timeout` seconds.

    It is a lock of the operating system, which ends with the process, whatever kills that.

    Raises:
        InputError: the disk has no locks, or the file cannot be written.
    """
    # A soft lock would outlive a process that is killed.
    held = filelock.FileLock(file(run_id, "lock"), timeout=timeout, fallback_to_soft=False)
    try:
        held.acquire()
    except filelock.Timeout:
        yield False
        return
    except OSError as error:
        raise InputError(
            f"cannot lock {held.lock_file} ({error}): set CNNLIB_RESULTS to a folder that you may "
            "write to, on a disk that has locks, such as NFS version 4 or a local one"
        ) from error
    try:
        yield True
    finally:
        held.release()


def is_running(run_id: str, wait: float = 0) -> bool:
    """Return whether a process does this run now, and still does after `wait` seconds."""
    with lock(run_id, wait) as free:
        return not free


def done(listed: Collection[Run], copies: str | None = None) -> set[str]:
    """Return the ids of those runs that the results have, with a copy in the place `copies`."""
    # This machine first: a row that is published meanwhile is then seen twice, not missed.
    found = {path.stem for path in results.local_rows()}
    for name in {run.dataset for run in listed if isinstance(run, TrainingRun)}:
        found |= results.read_ledger(name).keys()
    found |= {path.stem for path in file("any", "notebook").parent.glob("[!.]*.ipynb")}
    ids = {run.id for run in listed if run.id in found}
    if copies:
        executed = {run.id for run in listed if isinstance(run, NotebookRun)}
        ids -= {each for each in executed if copies not in read_record(each).get("copies", [])}
    return ids


def expected(listed: Collection[Run]) -> dict[str, tuple[float | None, int | None]]:
    """Return {id: (minutes, bytes of memory)} by what such runs took before; None if unknown.

    Such runs differ in their seed alone. The minutes are the median of those on this machine or,
    without them, of the published rows that were trained on a CPU.
    """
    seconds, peaks, published = defaultdict(list), defaultdict(list), defaultdict(list)
    for path in file("any", "record").parent.glob("[!.]*.json"):
        record = read_record(path.stem)
        if "peak_memory" in record:
            peaks[_like(record["title"])].append(record["peak_memory"])
            if record["status"] == DONE:
                seconds[_like(record["title"])].append(record["seconds"])
    for name in {run.dataset for run in listed if isinstance(run, TrainingRun)}:
        for row in results.read_ledger(name).values():
            size = row["train_images"]
            if "GPU" not in row["device"]:
                size = None if size == datasets.info(name).train_count else size
                title = str(TrainingRun(row["model"], name, row["recipe"], 0, size))
                published[_like(title)].append(row["train_seconds"])
    minutes = {key: statistics.median(each) / 60 for key, each in (published | seconds).items()}
    most = {key: max(each) for key, each in peaks.items()}
    keys = {run.id: _like(str(run)) for run in listed}
    return {run_id: (minutes.get(key), most.get(key)) for run_id, key in keys.items()}


def _like(title):
    """What a run has in common with those of other seeds."""
    return re.sub(r" seed[ =]\S+", "", title)


@functools.lru_cache(maxsize=256)
def _cells(path, _modified):
    return hashlib.sha256(json.dumps(notebooks.cells(path), sort_keys=True).encode()).hexdigest()


@functools.lru_cache(maxsize=4)
def _data(_modified):
    """The SHA-256 of the files in data/, without what is published from runs."""
    digests = integrity.digests().items()
    return {name: each for name, each in digests if name.split("/")[0] not in ("measured", "nets")}
