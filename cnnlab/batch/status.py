"""The status of the runs of a batch, as data and as text for the terminal."""

import dataclasses
import pathlib
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from cnnlab.batch import batch_file, claims, durations, records
from cnnlab.batch.records import DONE, FAILED, RUNNING, TO_DO
from cnnlab.batch.runs import Run, done

__all__ = ["RunStatus", "counts", "done", "plan_text", "since", "status_text", "statuses"]

STATUSES = (DONE, RUNNING, FAILED, TO_DO)


@dataclasses.dataclass(frozen=True)
class RunStatus:
    """How far a run is."""

    run: Run
    status: str  # one of STATUSES
    record: dict[str, Any]  # how it ended; empty if it has not
    claim: dict[str, Any]  # who does it now; empty if nobody does


def statuses(runs: Sequence[Run]) -> list[RunStatus]:
    """Return the status of each run, in their order."""
    finished, names = done(runs), records.listing(records.folder())
    found = []
    for run in runs:
        record = records.read_record(run.id) if f"{run.id}.json" in names else {}
        claim = claims.read(run.id) if f"{run.id}.claim" in names else {}
        if run.id in finished and record.get("status") != DONE:
            # It failed once, and was then done by hand or by a command that was killed.
            record = {}
        if run.id in finished:
            status = DONE
        elif claim:
            status = RUNNING
        else:
            status = FAILED if record.get("status") == FAILED else TO_DO
        found.append(RunStatus(run, status, record, claim))
    return found


def plan_text(path: str | pathlib.Path) -> str:
    """Return the runs of a batch file, one line each: status, expected time, title, id."""
    found = statuses(batch_file.read(path))
    minutes = durations.minutes([each.run for each in found])
    lines = [
        f"{each.status:7}  {durations.text(minutes[each.run.id]):>8}  {each.run}  [{each.run.id}]"
        for each in found
    ]
    left = [minutes[each.run.id] for each in found if each.status != DONE]
    known = [value for value in left if value is not None]
    total = f"; about {durations.text(sum(known))} to do, one after the other" if known else ""
    unknown = len(left) - len(known)
    more = f", and {unknown} runs of unknown length" if known and unknown else ""
    return "\n".join([*lines, f"{counts(found)}{total}{more}"])


def status_text(path: str | pathlib.Path) -> str:
    """Return which runs of a batch file are running, which failed and why, and the counts."""
    found = statuses(batch_file.read(path))
    lines = []
    for each in found:
        if each.status == RUNNING:
            host, process = each.claim.get("host"), each.claim.get("pid")
            lines.append(f"running  {each.run}: {since(each.claim)} on {host}, process {process}")
        elif each.status == FAILED:
            reason = each.record.get("message", "").partition("\n")[0]
            lines.append(f"failed   {each.run}: {reason}; see {records.log_path(each.run.id)}")
    return "\n".join([*lines, counts(found)])


def counts(found: Sequence[RunStatus]) -> str:
    """Return "9 runs: 7 done, 2 failed"."""
    count = Counter(each.status for each in found)
    shown = [status for status in STATUSES if count[status] or status == DONE]
    return f"{len(found)} runs: " + ", ".join(f"{count[status]} {status}" for status in shown)


def since(claim: dict[str, Any]) -> str:
    """Return for how long a run has been in progress, as text."""
    minutes = (time.time() - claim.get("since", time.time())) / 60
    return f"for {durations.text(max(minutes, 0))}"  # the clock of another machine may be ahead
