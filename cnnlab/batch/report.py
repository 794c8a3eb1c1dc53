"""How far the runs of a batch are: as text, and as a page of HTML."""

import datetime
import os
import pathlib
import re
from collections import Counter
from collections.abc import Collection
from html import escape
from typing import Any
from urllib.parse import quote

from cnnlab import output_paths
from cnnlab.batch import file, runs
from cnnlab.batch.runs import DONE, FAILED, RUNNING, TO_DO, NotebookRun, Run
from cnnlib import storage

PAGE = pathlib.Path(__file__).with_name("page.html")
COLUMNS = ("Run", "Status", "Time", "Memory", "Machine", "Result")


def statuses(listed: Collection[Run]) -> list[tuple[Run, str, dict[str, Any]]]:
    """Return (run, DONE or RUNNING or FAILED or TO_DO, record) of each run, in their order.

    The record says who does it or how it ended; it is empty if neither is known.
    """
    finished, found = runs.done(listed), []
    for run in listed:
        record = runs.read_record(run.id)
        status = known = record.get("status", TO_DO)
        if run.id in finished:
            # One that failed may have been done since, by hand or by a command that was killed.
            status = DONE
        elif known == DONE or (known == RUNNING and not runs.is_running(run.id)):
            status = TO_DO
        found.append((run, status, record if status == known else {}))
    return found


def plan_text(path: str | os.PathLike[str]) -> str:
    """Return the runs of a batch file, a line each: status, time, memory, what it is, id."""
    found = statuses(file.read(path))
    expected = runs.expected([run for run, _, _ in found])
    lines, known, unknown = [], 0.0, 0
    for run, status, _ in found:
        minutes, peak = expected[run.id]
        took = f"{minutes_text(minutes):>8} {memory_text(peak):>8}"
        lines.append(f"{status:7} {took}  {run}  [{run.id}]")
        known += (minutes or 0) * (status != DONE)
        unknown += minutes is None and status != DONE
    left = f"about {minutes_text(known)} to do, one after the other" if known else ""
    more = f"{unknown} of unknown length" if unknown else ""
    return "\n".join([*lines, "; ".join(filter(None, [_counts(found), left, more]))])


def status_text(path: str | os.PathLike[str]) -> str:
    """Return which runs of a batch file are running, which failed and why, and the counts."""
    found, lines = statuses(file.read(path)), []
    for run, status, record in found:
        if status == RUNNING:
            where = f"on {record['host']}, process {record['pid']}"
            lines.append(f"running  {run}: since {record['date']} {where}")
        elif status == FAILED:
            lines.append(f"failed   {run}: {_reason(run, record)}")
    return "\n".join([*lines, _counts(found)])


def line(run: Run, record: dict[str, Any], count: str, left: float) -> str:
    """Return how a run ended, and the minutes that are left for the others."""
    ended = record["message"] if record["status"] == DONE else f"FAILED: {_reason(run, record)}"
    took = f"{minutes_text(record['seconds'] / 60)}; " if "seconds" in record else ""
    return f"[{count}] {run}: {ended} ({took}about {minutes_text(left)} left)"


def minutes_text(minutes: float | None) -> str:
    """Return minutes as text: "40 s", "12 min", "3.5 h", or "unknown"."""
    if minutes is None:
        return "unknown"
    if minutes < 1.5:
        return f"{60 * minutes:.0f} s"
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def memory_text(peak: int | None) -> str:
    """Return bytes as text: "1.52 GB", or nothing where they are not known."""
    return f"{peak / 1e9:.2f} GB" if peak else ""


def write(
    path: str | os.PathLike[str], folder: str | os.PathLike[str] | None = None
) -> pathlib.Path:
    """Write the report of a batch file and return its path.

    It is `index.html` in `folder`, without one `batch/NAME.html` in the results folder.
    """
    from tabulate import tabulate

    path = pathlib.Path(path)
    page = runs.file("any", "record").with_name(f"{path.stem}.html")
    page = output_paths.output_folder(folder) / "index.html" if folder else page
    found, rows, failures = statuses(file.read(path)), [], ""
    for run, status, record in found:
        links, message = "; ".join(_links(run, page.parent.resolve())), record.get("message", "")
        took = minutes_text(record["seconds"] / 60) if "seconds" in record else ""
        cells = [str(run), status, took, memory_text(record.get("peak_memory"))]
        cells = [escape(cell) for cell in [*cells, record.get("host", "")]]
        result = links if isinstance(run, NotebookRun) or status == FAILED else escape(message)
        copies = [f"; copy in {escape(place)}" for place in record.get("copies", [])]
        rows.append([*cells, result + "".join(copies)])
        if status == FAILED:
            failures += f"<h2>{escape(str(run))} failed</h2>\n<p>{escape(message)}. {links}</p>\n"
            failures += f"<pre>{escape(record.get('traceback', ''))}</pre>\n"
    parts = {
        "TITLE": f"Batch {escape(path.name)}",
        "DATE": f"{datetime.datetime.now():%Y-%m-%d %H:%M}",
        "COUNTS": _counts(found),
        "TABLE": tabulate(rows, COLUMNS, tablefmt="unsafehtml", disable_numparse=True),
        "FAILURES": failures,
    }
    text = PAGE.read_text(encoding="utf-8")
    text = re.sub(r"\[\[([A-Z]+)\]\]", lambda match: parts[match[1]], text)
    return storage.write_atomically(page, text)


def _links(run, folder):
    """HTML links to the files of a run, relative to `folder`: the whole can be moved or served."""
    titles = {"partial": "the notebook as far as it got", "log": "what it printed"}
    if isinstance(run, NotebookRun):
        titles = {"notebook": "executed notebook"} | titles
    for kind, title in titles.items():
        if (path := runs.file(run.id, kind)).exists():
            target = pathlib.PurePath(os.path.relpath(path.resolve(), folder)).as_posix()
            yield f'<a href="{escape(quote(target, safe="/=."))}">{title}</a>'


def _reason(run, record):
    return f"{record['message'].partition(chr(10))[0]}; see {runs.file(run.id, 'log')}"


def _counts(found):
    """Return "9 runs: 7 done, 2 failed"."""
    count = Counter(status for _, status, _ in found)
    shown = [status for status in (DONE, RUNNING, FAILED, TO_DO) if count[status] or status == DONE]
    return f"{len(found)} runs: " + ", ".join(f"{count[status]} {status}" for status in shown)
