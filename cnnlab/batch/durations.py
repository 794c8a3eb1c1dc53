"""Estimate how long runs take from how long such runs took before."""

import functools
import statistics
from collections import defaultdict
from collections.abc import Sequence

from cnnlab.batch import records
from cnnlab.batch.runs import Run, TrainingRun


class Known:
    """How long earlier runs took, read when first asked."""

    def minutes(self, run: Run) -> float | None:
        """Return the minutes that a run will probably take, None if nothing is known.

        For a training, the median of the rows with the same net, data set, recipe and number of
        images, whatever their seed: of this machine's rows or, without them, of the published ones
        that were trained on a CPU. For a notebook, what the last run with the same parameters took
        here.
        """
        if isinstance(run, TrainingRun):
            return self._trainings.get(_key(run.row))
        return self._notebooks.get(str(run))

    @functools.cached_property
    def _trainings(self):
        from cnnlib import datasets
        from cnnlib.results import rows

        published = [row for name in datasets.names() for row in rows.read_ledger(name).values()]
        on_cpus = [row for row in published if not rows.names_gpu(row["device"])]
        return _medians(on_cpus) | _medians(rows.read_local().values())

    @functools.cached_property
    def _notebooks(self):
        found = {}
        paths = records.folder().glob("*.json")
        for path in sorted(paths, key=lambda path: path.stat().st_mtime):
            record = records.read_record(path.stem)
            if record.get("status") == records.DONE and "seconds" in record and "title" in record:
                found[record["title"]] = record["seconds"] / 60
        return found


def minutes(runs: Sequence[Run]) -> dict[str, float | None]:
    """Return {id: minutes, or None where nothing is known}."""
    known = Known()
    return {run.id: known.minutes(run) for run in runs}


def text(minutes: float | None) -> str:
    """Return minutes as text: "40 s", "12 min", "3.5 h", or "unknown"."""
    if minutes is None:
        return "unknown"
    if minutes < 1.5:
        return f"{60 * minutes:.0f} s"
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def _medians(rows):
    """Return the median minutes of the trainings that have a key in common."""
    seconds = defaultdict(list)
    for row in rows:
        seconds[_key(row)].append(row["train_seconds"])
    return {key: statistics.median(values) / 60 for key, values in seconds.items()}


def _key(row):
    return row["model"], row["dataset"], row["recipe"], row["train_images"]
