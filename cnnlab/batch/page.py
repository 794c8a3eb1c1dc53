"""The report of a batch: one HTML page with links to the executed notebooks and what failed."""

import datetime
import os
import pathlib
from html import escape
from urllib.parse import quote

from cnnlab.batch import batch_file, durations, records, status
from cnnlab.batch.records import DONE, FAILED, RUNNING
from cnnlab.batch.status import RunStatus
from cnnlib import storage

STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { padding: .3rem .8rem; text-align: left; border-bottom: 1px solid #8888; }
td { font-variant-numeric: tabular-nums; }
pre { white-space: pre-wrap; border-left: .3rem solid #c33; padding-left: .7rem; }
"""


def write(path: str | pathlib.Path, folder: str | pathlib.Path | None = None) -> pathlib.Path:
    """Write the report of a batch file.

    Args:
        path: the batch file.
        folder: where to write `index.html`; None for `batch/NAME.html` in the results folder.

    Returns:
        The path of the page.
    """
    path = pathlib.Path(path)
    page = pathlib.Path(folder) / "index.html" if folder else records.folder() / f"{path.stem}.html"
    found = status.statuses(batch_file.read(path))
    return storage.write_atomically(page, _page(path.name, found, page.parent.resolve()))


def link(path: pathlib.Path, title: str, folder: pathlib.Path) -> str:
    """Return an HTML link, relative to `folder`, so that the whole can be moved or served."""
    path = path.resolve()
    try:
        target = quote(pathlib.PurePath(os.path.relpath(path, folder)).as_posix(), safe="/=")
    except ValueError:  # on another drive of Windows
        target = path.as_uri()
    return f'<a href="{escape(target)}">{escape(title)}</a>'


def _page(name, found, folder):
    rows = "\n".join(_row(each, folder) for each in found)
    failures = "\n".join(_failure(each, folder) for each in found if each.status == FAILED)
    return f"""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Batch {escape(name)}</title>
<style>{STYLE}</style>
<h1>Batch {escape(name)}</h1>
<p>{datetime.datetime.now():%Y-%m-%d %H:%M}. {status.counts(found)}.</p>
<div class="wide"><table>
<tr><th>Run</th><th>Status</th><th>Time</th><th>Memory</th><th>Machine</th><th>Result</th></tr>
{rows}
</table></div>
{"<h2>What failed</h2>" if failures else ""}
{failures}
</html>
"""


def _row(each: RunStatus, folder: pathlib.Path) -> str:
    record = each.record if each.status in (DONE, FAILED) else {}
    seconds, memory = record.get("seconds"), record.get("peak_memory")
    failed = f'<a href="#{escape(quote(each.run.id))}">failed</a>'
    cells = [
        escape(str(each.run)),
        failed if each.status == FAILED else each.status,
        durations.text(seconds / 60) if seconds is not None else "",
        f"{memory / 1e9:.2f} GB" if memory else "",
        escape(record.get("host") or each.claim.get("host", "")),
        _result(each, folder),
    ]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _result(each: RunStatus, folder: pathlib.Path) -> str:
    if each.status != DONE:
        return status.since(each.claim) if each.status == RUNNING else ""
    executed = each.run.output
    if executed is None:
        return escape(each.record.get("message", "in the ledger"))
    places = each.record.get("copies", [])
    copies = [escape(f"{place.rstrip('/')}/{executed.name}") for place in places]
    return "; copy: ".join([link(executed, "executed notebook", folder), *copies])


def _failure(each: RunStatus, folder: pathlib.Path) -> str:
    run_id, attempts = each.run.id, each.record.get("attempts", 1)
    files = [
        (records.log_path(run_id), "what it printed"),
        (records.partial_path(run_id), "the notebook as far as it got"),
    ]
    shown = ", ".join(link(path, title, folder) for path, title in files if path.exists())
    tried = f" (tried {attempts} times)" if attempts > 1 else ""
    return f"""<h3 id="{escape(run_id)}">{escape(str(each.run))}</h3>
<p>{escape(each.record.get("message", ""))}{tried}. {shown}</p>
<pre>{escape(each.record.get("traceback", ""))}</pre>"""
