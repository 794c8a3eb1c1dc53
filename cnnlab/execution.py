"""Execute one notebook with papermill, in a kernel of this very Python."""

import contextlib
import errno
import logging
import os
import pathlib
import socket
import sys
import tempfile
import warnings
from collections.abc import Callable
from typing import IO, Any

from cnnlib.errors import InputError

NEEDED_FILES, WANTED_FILES = 128, 1024  # that a process may have open
START_SECONDS = 120  # in which the kernel must start, on a busy machine as well


class NotebookError(RuntimeError):
    """A notebook could not be run to its end. The message says where and why."""


def execute(
    path: pathlib.Path, target: pathlib.Path, parameters: dict[str, Any], progress: bool
) -> None:
    """Run the notebook at `path`, and write it to `target` after each cell.

    Args:
        path: the notebook. It runs in its own folder.
        target: where papermill writes.
        parameters: values that `notebooks.checked` has accepted.
        progress: show how far it is: a bar in a terminal, else a line for each section.

    Raises:
        NotebookError: a cell raised or left, or the kernel could not start or died.
        InputError: `target` cannot be written.
    """
    import papermill
    from nbclient.exceptions import DeadKernelError

    _check_loopback()
    _check_open_files()
    bar = progress and sys.stderr.isatty()
    with tempfile.TemporaryFile() as messages, _quiet_failures():
        try:
            nb = papermill.execute_notebook(
                _escaped(path),
                _escaped(target),
                parameters,
                kernel_name="python3",
                language="python",
                kernel_manager_class=_kernel_manager(messages),
                # What a cell raises comes as a message; the kernel's own notes are noise.
                extra_arguments=["--log-level=CRITICAL"],
                start_timeout=START_SECONDS,
                record_timing=False,
                cwd=path.parent,
                progress_bar={"desc": f"      {path.stem}", "leave": False} if bar else False,
                on_cell_start=_print_sections(path) if progress and not bar else None,
                on_cell_executed=_stop_at_exit(bool(parameters)),
            )
        except NotebookError:
            raise
        except papermill.PapermillExecutionError as error:
            raise NotebookError(_raised(error, bool(parameters))) from error
        except DeadKernelError as error:
            raise NotebookError(
                "its Python process died without an error of its own: most often there was not "
                f"enough memory{_last_lines(messages)}"
            ) from error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES):
                raise InputError(
                    f"cannot write {target} ({error.strerror}): make room or choose another "
                    "folder, then run the same command again"
                ) from error
            raise NotebookError(_not_started(error, messages)) from error
        except Exception as error:
            # Of the libraries that start a kernel and talk to it, each with errors of its own.
            raise NotebookError(_not_started(error, messages)) from error
    _check_that_no_cell_left(nb, bool(parameters))


def _check_loopback():
    """Raise NotebookError if this machine cannot talk to itself, as it must to a kernel."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=5).close()
    except OSError as error:
        raise NotebookError(
            "its kernel cannot start: this machine has no loopback network, 127.0.0.1 "
            f"({error.strerror or error}). Set it up: ip link set lo up"
        ) from error


def _check_open_files():
    """Raise the limit of open files if it is low; NotebookError if it cannot be raised enough."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY in (soft, hard) or soft >= WANTED_FILES:
        return
    soft = min(hard, WANTED_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < NEEDED_FILES:
        raise NotebookError(
            f"its kernel cannot start: a process may open {soft} files here, and a kernel needs "
            f"{NEEDED_FILES}. Raise the limit: ulimit -n {WANTED_FILES}"
        )


@contextlib.contextmanager
def _quiet_failures():
    """Withhold what the kernel's libraries log and leave unfinished: the error tells the reason.

    papermill also warns of parameter lines that it cannot read; `notebooks.checked` has read them.
    """
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            # papermill takes a question mark in a path for the end of an address.
            warnings.filterwarnings("ignore", module="papermill.iorw")
            yield
    finally:
        sys.unraisablehook = hook


def _escaped(path):
    """A path as papermill takes it literally: it reads braces as names of parameters."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _kernel_manager(messages: IO[bytes]) -> type:
    """A class of kernel manager whose "python3" is the Python that runs now.

    Another kernel of that name on this machine is ignored. What the kernel's process prints to
    stderr outside of cells goes to the file `messages`.
    """
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpecManager
    from traitlets import default

    class ThisPython(AsyncKernelManager):
        @default("kernel_spec_manager")
        def _no_installed_kernels(self):
            return KernelSpecManager(kernel_dirs=[])

        async def _async_start_kernel(self, **options):
            # Whatever the user has set, figures are pictures in the notebook.
            inline = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
            options["env"] = os.environ | inline | {"PYTHONUTF8": "1"}
            options["stderr"] = messages.fileno()
            await super()._async_start_kernel(**options)

        start_kernel = _async_start_kernel

    return ThisPython


def _print_sections(path: pathlib.Path) -> Callable:
    """A hook that prints a line where a section of the notebook begins."""
    import nbformat

    total = len(nbformat.read(path, as_version=4).cells)

    def on_cell_start(cell, cell_index):
        heading = cell.source.partition("\n")[0]
        if cell.cell_type == "markdown" and heading.startswith("#"):
            # papermill's own cell of parameters comes in addition.
            number = min(cell_index + 1, total)
            print(f"      {number}/{total} {heading.lstrip('# ')}", flush=True)

    return on_cell_start


def _stop_at_exit(has_parameters: bool) -> Callable:
    """A hook that raises NotebookError after a cell that called exit() or quit()."""

    def on_cell_executed(cell, cell_index, execute_reply):
        payloads = execute_reply["content"].get("payload", [])
        if any(payload.get("source") == "ask_exit" for payload in payloads):
            raise NotebookError(f"cell {cell_index + 1 - has_parameters} called exit() or quit()")

    return on_cell_executed


def _raised(error, has_parameters):
    """The message for a cell that raised, which papermill reports."""
    number = error.cell_index + 1 - has_parameters  # papermill adds a cell with the parameters
    lines = [f"    {line}" for line in error.source.splitlines()[:5]]
    first = f"cell {number}, In [{error.exec_count}], raised {error.ename}: {error.evalue}"
    return "\n".join([first, *lines])


def _not_started(error, messages):
    return (
        f"its kernel could not start or was lost ({type(error).__name__}: {error}). Frequent "
        "reasons are a start-up file of IPython that ends the kernel (see `ipython locate "
        "profile`), a low limit of open files (see `ulimit -n`) and little memory"
        f"{_last_lines(messages)}"
    )


def _last_lines(messages, most=10):
    """What the kernel's process printed last, to be added to a message; "" if nothing."""
    messages.seek(0)
    lines = messages.read().decode("utf-8", "replace").strip().splitlines()[-most:]
    return "\n".join([". It printed:", *(f"    {line}" for line in lines)]) if lines else ""


def _check_that_no_cell_left(nb, has_parameters):
    """Raise NotebookError if cells did not run because one before them called sys.exit()."""
    code = [
        (number, cell)
        for number, cell in enumerate(nb.cells, 1 - has_parameters)
        if cell.cell_type == "code" and cell.source.strip()
    ]
    skipped = [number for number, cell in code if cell.execution_count is None]
    for number, cell in code:
        if any(output.get("ename") == "SystemExit" for output in cell.outputs):
            rest = f", so {len(skipped)} cells after it did not run" if skipped else ""
            raise NotebookError(
                f"cell {number}, In [{cell.execution_count}], left the notebook (SystemExit){rest}"
            )
    if skipped:
        raise NotebookError(f"cell {skipped[0]} did not run, nor did {len(skipped) - 1} others")
