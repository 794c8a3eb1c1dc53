"""Run the notebooks of the course one after the other and write a report: `make course`."""

import os
import pathlib
import shutil
import time
from collections.abc import Sequence

from cnnlab import notebooks, output_paths, results_listing
from cnnlab.site.build import Entry, build_report
from cnnlib import storage
from cnnlib.errors import InputError


def run(
    chosen: Sequence[str | os.PathLike[str]] | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> list[str]:
    """Run notebooks at their default parameters and write a report that opens without a network.

    It prints how far it is, published results beside measured ones, and where everything is. A
    notebook that fails does not stop the others.

    `chosen` are paths, names or numbers of notebooks (None: all). The executed ones and the report
    go to `folder` (None: `course/` in the results folder). Returns the names of those that failed.

    Raises:
        InputError: there is no such notebook, or the folder cannot be written to.
    """
    paths = [notebooks.find(notebook) for notebook in chosen or notebooks.names()]
    if len({path.name.casefold() for path in paths}) < len(paths):  # as disks compare names
        raise InputError("two of these notebooks have the same file name: run them apart, with -o")
    folder = output_paths.output_folder(folder or storage.results_folder() / "course")
    entries = [
        _run_one(path, folder, f"[{number}/{len(paths)}]") for number, path in enumerate(paths, 1)
    ]
    print(f"\n{results_listing.text()}\n\nWriting the report ...", flush=True)
    try:
        page = build_report(folder, entries)
    except (OSError, shutil.Error) as error:
        raise InputError(f"cannot write the report to {folder} ({error})") from error
    print(f"Report: {page}\nExecuted notebooks: {folder}")
    failed = [entry.name for entry in entries if entry.failure]
    if failed:
        print(f"{len(failed)} of {len(paths)} notebooks failed: {', '.join(failed)}")
    return failed


def _run_one(path: pathlib.Path, folder: pathlib.Path, position: str) -> Entry:
    """Run one notebook; return how it ended, also when it failed."""
    print(f"{position} {path.stem} ...", flush=True)
    started, executed, failure = time.perf_counter(), folder / path.name, ""
    try:
        notebooks.run(path, output=executed)
    except (notebooks.NotebookError, InputError, OSError) as error:
        failure, executed = str(error), executed.with_suffix(".failed.ipynb")
        print(f"      failed. {failure}", flush=True)
    seconds = time.perf_counter() - started
    print(f"      {seconds:.0f} s", flush=True)
    return Entry(path.stem, executed, seconds, failure)
