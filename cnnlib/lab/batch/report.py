"""What is done, running, failed: as text for the terminal, and as one HTML page with links to the executed notebooks."""

import datetime
import os
import pathlib
import time
from collections import Counter
from html import escape
from urllib.parse import quote

from cnnlib import storage
from cnnlib.lab.batch import expect, format, state
from cnnlib.lab.report import STYLE

WORDS = ("done", "running", "failed", "to do")


def plan_text(path):
    """The runs of a batch file, a line each: where it stands, its id, how long it may take."""
    found = state.states(format.read(path))
    minutes = expect.minutes([each.run for each in found])
    lines = [
        f"{each.word:7}  {expect.text(minutes[each.run.id]):>8}  {each.run}  [{each.run.id}]"
        for each in found
    ]
    left = [minutes[each.run.id] for each in found if each.word != state.DONE]
    known = [value for value in left if value is not None]
    total = f"; about {expect.text(sum(known))} to do, one after the other" if known else ""
    unknown = (
        f", and {len(left) - len(known)} runs of unknown length"
        if known and len(known) < len(left)
        else ""
    )
    return "\n".join([*lines, f"{_counts(found)}{total}{unknown}"])


def status_text(path):
    """What is running, what failed and why, and how many are done."""
    found = state.states(format.read(path))
    lines = []
    for each in found:
        if each.word == "running":
            lines.append(
                f"running  {each.run}: {_since(each.claim)} on {each.claim.get('host')}, process {each.claim.get('pid')}"
            )
        elif each.word == state.FAILED:
            reason = each.record.get("message", "").partition("\n")[0]
            lines.append(f"failed   {each.run}: {reason}; see {state.log_path(each.run.id)}")
    return "\n".join([*lines, _counts(found)])


def write(path, folder=None):
    """Write the report of a batch file. Returns the path of its page: `index.html` in `folder`, else `batch/NAME.html` in the results."""
    path = pathlib.Path(path)
    page = pathlib.Path(folder) / "index.html" if folder else state.folder() / f"{path.stem}.html"
    return storage.write_atomically(
        page, _page(path.name, state.states(format.read(path)), page.parent.resolve())
    )


def _page(name, found, folder):
    rows = "\n".join(_row(each, folder) for each in found)
    failures = "\n".join(_failure(each, folder) for each in found if each.word == state.FAILED)
    return f"""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Batch {escape(name)}</title>
<style>{STYLE}</style>
<h1>Batch {escape(name)}</h1>
<p>{datetime.datetime.now():%Y-%m-%d %H:%M}. {_counts(found)}.</p>
<div class="wide"><table>
<tr><th>Run</th><th>State</th><th>Time</th><th>Memory</th><th>Where</th><th>Result</th></tr>
{rows}
</table></div>
{"<h2>What failed</h2>" if failures else ""}
{failures}
</html>
"""


def _row(each, folder):
    record = each.record if each.word in (state.DONE, state.FAILED) else {}
    seconds, memory = record.get("seconds"), record.get("peak_memory")
    cells = [
        escape(str(each.run)),
        f'<a href="#{escape(each.run.id)}">failed</a>' if each.word == state.FAILED else each.word,
        expect.text(seconds / 60) if seconds is not None else "",
        f"{memory / 1e9:.2f} GB" if memory else "",
        escape(record.get("host") or each.claim.get("host", "")),
        _result(each, folder),
    ]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _result(each, folder):
    if each.word != state.DONE:
        return _since(each.claim) if each.word == "running" else ""
    if each.run.kind == "train":
        return escape(each.record.get("message", "in the ledger"))
    executed = state.notebook_path(each.run.id)
    copies = [
        escape(f"{place.rstrip('/')}/{executed.name}") for place in each.record.get("copies", [])
    ]
    return "; copy: ".join([_link(executed, "executed notebook", folder), *copies])


def _failure(each, folder):
    links = [
        (state.log_path(each.run.id), "what it printed"),
        (state.partial_path(each.run.id), "the notebook as far as it got"),
    ]
    shown = ", ".join(_link(path, title, folder) for path, title in links if path.exists())
    attempts = each.record.get("attempts", 1)
    tried = f" (tried {attempts} times)" if attempts > 1 else ""
    return f"""<h3 id="{escape(each.run.id)}">{escape(str(each.run))}</h3>
<p>{escape(each.record.get("message", ""))}{tried}. {shown}</p>
<pre>{escape(each.record.get("traceback", ""))}</pre>"""


def _link(path, title, folder):
    """A link that is relative, so that the results folder can be moved or served."""
    path = path.resolve()
    try:
        target = quote(pathlib.PurePath(os.path.relpath(path, folder)).as_posix(), safe="/=")
    except ValueError:  # on another drive of Windows
        target = path.as_uri()
    return f'<a href="{escape(target)}">{title}</a>'


def _counts(found):
    counts = Counter(each.word for each in found)
    return f"{len(found)} runs: " + ", ".join(
        f"{counts[word]} {word}" for word in WORDS if counts[word] or word == state.DONE
    )


def _since(claim):
    minutes = (time.time() - claim.get("since", time.time())) / 60
    return f"for {expect.text(max(minutes, 0))}"  # the clock of another machine may be ahead
