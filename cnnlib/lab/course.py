"""Run the notebooks of the course one after the other and write a report: `make course`."""

import contextlib
import os
import pathlib
import time
from collections.abc import Sequence
from datetime import datetime

from cnnlib import storage
from cnnlib.errors import InputError
from cnnlib.lab import notebooks, outputs, report, results_listing

# Bytes that are kept for the report: a disk that becomes full on the way must not prevent it.
_RESERVE = 4_000_000


def run(
    chosen: Sequence[str | os.PathLike[str]] | None = None,
    folder: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> list[str]:
    """Run notebooks at their default parameters and write a report that opens without a network.

    It prints how far it is, published results beside measured ones, and where everything is. A
    notebook that fails does not stop the others.

    Args:
        chosen: paths, names or numbers; None for all notebooks of the course.
        folder: for the executed notebooks and the report; None for `course/` in the results folder.
        progress: show how far each notebook is.

    Returns:
        The names of the notebooks that failed.

    Raises:
        InputError: there is no such notebook, or the folder cannot be written to.
    """
    from cnnlib import results

    paths = [notebooks.find(notebook) for notebook in chosen or notebooks.names()]
    if not paths:
        raise InputError(f"there are no notebooks in {storage.NOTEBOOKS}")
    folder = outputs.output_folder(folder or storage.results_folder() / "course")
    reserve = storage.write_atomically(folder / ".reserve", os.urandom(_RESERVE))
    try:
        entries = [
            _run_one(path, folder, f"[{number}/{len(paths)}]", progress)
            for number, path in enumerate(paths, 1)
        ]
    finally:
        reserve.unlink(missing_ok=True)
    for entry in entries:
        if not (folder / entry.page).exists() and (folder / entry.notebook).exists():
            _write_page(folder, entry)
    index = report.index(entries, results.recap_table(), datetime.now(), folder)
    storage.write_atomically(folder / "index.html", index)
    failed = [entry.name for entry in entries if entry.failure]
    print(f"\n{results_listing.text()}\n")
    print(f"Report: {folder / 'index.html'}\nExecuted notebooks: {folder}")
    if failed:
        print(f"{len(failed)} of {len(paths)} notebooks failed: {', '.join(failed)}")
    return failed


def _run_one(path: pathlib.Path, folder: pathlib.Path, position: str, progress: bool):
    """Run one notebook and write its page. Returns its report.Entry, also when it fails."""
    print(f"{position} {path.stem} ...", flush=True)
    started, executed, failure = time.perf_counter(), folder / path.name, ""
    try:
        notebooks.run(path, output=executed, progress=progress)
    except (notebooks.NotebookError, InputError, OSError) as error:
        failure, executed = str(error), executed.with_suffix(".failed.ipynb")
        print(f"      failed. {failure}", flush=True)
    seconds = time.perf_counter() - started
    entry = report.Entry(path.stem, executed.name, executed.stem + ".html", seconds, failure)
    with contextlib.suppress(OSError):  # of an earlier run
        (folder / entry.page).unlink()
    if executed.exists():
        _write_page(folder, entry)
    print(f"      {seconds:.0f} s", flush=True)
    return entry


def _write_page(folder, entry):
    try:
        storage.write_atomically(folder / entry.page, report.page(folder / entry.notebook))
    except (InputError, OSError) as error:
        print(f"      its page could not be written: {error}", flush=True)
