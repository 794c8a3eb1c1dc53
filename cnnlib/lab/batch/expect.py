"""How long runs may take, from how long such runs took before: no guess where there was none."""

import statistics
from collections import defaultdict

from cnnlib.lab.batch import state


def minutes(runs):
    """{id: minutes, or None where nothing is known} for list[format.Run].

    Of a training: the median of the ledger's rows of the same net, data set and recipe, whatever seed or machine. Of a notebook: what the
    last run of the same notebook with the same parameters took here, before it or cnnlib changed.
    """
    trained = _ledger() if any(run.kind == "train" for run in runs) else {}
    executed = _records() if any(run.kind == "notebook" for run in runs) else {}
    found = {}
    for run in runs:
        if run.kind == "train":
            found[run.id] = trained.get(
                (run.fields["model"], run.fields["dataset"], run.fields["recipe"])
            )
        else:
            found[run.id] = executed.get(str(run))
    return found


def text(minutes):
    """Minutes as text: "40 s", "12 min", "3.5 h", or "unknown"."""
    if minutes is None:
        return "unknown"
    if minutes < 1.5:
        return f"{60 * minutes:.0f} s"
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def _ledger():
    """{(model, dataset, recipe): minutes}."""
    from cnnlib import datasets
    from cnnlib.results import rows

    seconds = defaultdict(list)
    known = [row for name in datasets.names() for row in rows.read_ledger(name).values()]
    for row in [*known, *rows.read_local().values()]:
        seconds[row["model"], row["dataset"], row["recipe"]].append(row["train_seconds"])
    return {key: statistics.median(values) / 60 for key, values in seconds.items()}


def _records():
    """{title of a notebook's run: minutes}."""
    found = {}
    for path in sorted(state.folder().glob("*.json"), key=lambda path: path.stat().st_mtime):
        record = state.read_record(path.stem)
        if record.get("state") == state.DONE and "seconds" in record:
            found[record["title"]] = record["seconds"] / 60
    return found
