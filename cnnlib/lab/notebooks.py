"""Run the course's notebooks: one with other parameters, checked strictly, or all of them into a report.

A notebook's parameters are the lines of its cell tagged `parameters`: `name = literal  # what it is`. Plain papermill runs the notebooks
too; it takes a misspelt name or a value of the wrong type without a word, which is what `run` is for.
"""

import ast
import dataclasses
import difflib
import functools
import io
import json
import logging
import os
import pathlib
import sys
import tempfile
import time
import tokenize
import tomllib
from datetime import datetime

from cnnlib import storage
from cnnlib.errors import InputError, check_name


class NotebookError(RuntimeError):
    """A cell of a notebook raised. The message names the cell, its exception, and where the notebook is kept as far as it got."""


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One parameter of a notebook: a line `name = default  # comment` of its parameters cell."""

    name: str
    default: object
    comment: str


def names():
    """The names of the course's notebooks, in order: the files of notebooks/ without `.ipynb`."""
    return sorted(path.stem for path in storage.NOTEBOOKS.glob("*.ipynb"))


def find(notebook):
    """The path of a notebook given as a path, a name (`04_lenet1`) or its number (`04`). InputError lists the ones that exist."""
    path = pathlib.Path(notebook)
    if path.is_file() and path.suffix == ".ipynb":
        return path.resolve()
    numbers = {name.partition("_")[0]: name for name in names()}
    wanted = str(notebook).removesuffix(".ipynb")
    return (
        storage.NOTEBOOKS
        / f"{check_name('notebook', numbers.get(wanted.zfill(2), wanted), names())}.ipynb"
    )


def colab_url(notebook):
    """The address that opens a notebook of the course in Google Colab, made from the one repository address in pyproject.toml."""
    project = tomllib.loads((storage.ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    repository = project["urls"]["Repository"].removeprefix("https://github.com/")
    return f"https://colab.research.google.com/github/{repository}/blob/main/notebooks/{pathlib.Path(notebook).stem}.ipynb"


def parameters(notebook):
    """The parameters of a notebook, list[Parameter] in the order of its parameters cell; empty if it has no such cell.

    Raises InputError if the file is not a notebook, or the cell holds anything but assignments of literals.
    """
    path = find(notebook)
    stat = path.stat()
    return list(_parameters(path, stat.st_mtime_ns, stat.st_size))


@functools.lru_cache(maxsize=256)  # a grid asks for the same notebook once a value
def _parameters(path, *_):
    for cell in cells(path):
        if cell["cell_type"] == "code" and "parameters" in cell["tags"]:
            return _assignments(cell["source"], path.name)
    return []


def cells(notebook):
    """The cells of a notebook, list[dict] with cell_type, source and tags: what decides what it does, without what it printed.

    Reads the JSON alone, which is ten times faster than nbformat's import. Raises InputError if the file is not a notebook.
    """
    try:
        nb = json.loads(pathlib.Path(notebook).read_text(encoding="utf-8"))
        if nb["nbformat"] != 4:
            raise ValueError(f"its format is {nb['nbformat']}, expected 4")
        text = lambda source: source if isinstance(source, str) else "".join(source)  # noqa: E731
        return [
            {
                "cell_type": cell["cell_type"],
                "source": text(cell["source"]),
                "tags": list(cell["metadata"].get("tags", [])),
            }
            for cell in nb["cells"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{notebook} is not a notebook ({type(error).__name__}: {str(error).splitlines()[0]})"
        ) from error


def parse(text, default):
    """Turn a command line's text into a value of `default`'s type; with None as the default, whatever Python or YAML reads in it.

    What does not fit is returned as what it looks like, for `checked` to name in its error.
    """
    if isinstance(default, str):
        return text
    if isinstance(default, bool):
        return {"true": True, "false": False}.get(text.lower(), text)
    for read in (type(default), _literal) if isinstance(default, int | float) else (_literal,):
        try:
            return read(text)
        except ValueError:
            pass
    return text


def read_values(path):
    """Parameters from a YAML file, as a dict. InputError if it does not hold names and values."""
    import yaml

    try:
        values = yaml.safe_load(pathlib.Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold lines of `name: value`, got {values!r}")
    return values


def checked(notebook, values):
    """Return the values (dict) as the notebook takes them. InputError, with a list of its parameters, for an unknown name or a value
    of another type than the default's. A whole number may stand for a float, a list for a tuple, anything for a default of None."""
    path = find(notebook)
    known = {p.name: p for p in parameters(path)}
    fit = {}
    for name, value in values.items():
        if name not in known:
            raise InputError(
                f"{path.name} has no parameter {name!r}. {_listing(known.values(), name)}"
            )
        default = known[name].default
        if not _fits(value, default):
            raise InputError(
                f"{name} of {path.name} must be {_kind(default)}, got {value!r}{_hint(value, default)}. {_listing(known.values(), name)}"
            )
        fit[name] = (
            float(value)
            if isinstance(default, float)
            else list(value)
            if isinstance(value, tuple)
            else value
        )
    return fit


def run(notebook, parameters=None, output=None, progress=True):
    """Run a notebook through papermill, in its own folder and with this very Python. Returns the path of the executed notebook.

    Args:
        notebook: a path, a name or a number: see `find`. parameters: dict of the ones that differ from the notebook's own.
        output: where to write the executed notebook; `notebooks/` in the results folder if None. It is replaced once the last cell has run.
        progress: show how far it is, by cell: a bar in a terminal, else a line a section.
    Raises InputError for a missing notebook or parameters that do not fit; NotebookError if a cell raises: an earlier output is then left
        alone, and the notebook as far as it got is kept beside it as `<name>.failed.ipynb`.
    """
    path = find(notebook)
    parameters = checked(path, parameters or {})
    output = pathlib.Path(output) if output else storage.results_folder() / "notebooks" / path.name
    if parameters and output.resolve() == path:
        raise InputError(
            f"{output} is the notebook itself: with parameters that differ from its own, write to another file"
        )
    storage.make_folder(output.parent)
    handle, part = tempfile.mkstemp(dir=output.parent, prefix=f".{output.stem}.", suffix=".ipynb")
    os.close(handle)
    failed = output.with_suffix(".failed.ipynb")
    try:
        _execute(path, part, parameters, progress)
        _move(part, output)
        failed.unlink(missing_ok=True)
    except NotebookError as error:
        _move(part, failed)
        raise NotebookError(
            f"{path.stem}: {error}\nThe notebook as far as it got: {failed}"
        ) from error
    finally:
        pathlib.Path(part).unlink(missing_ok=True)
    return output


def course(notebooks=None, folder=None, progress=True):
    """Run notebooks at their default parameters, one after the other, and write a report that opens without a server or a network.

    Prints how far it is, the recap of published and measured figures, and where everything is. A notebook that fails does not stop
    the others. Returns the names of the notebooks that failed.

    Args: notebooks: paths, names or numbers, all of the course if None; folder: for the executed notebooks and their pages,
        `course/` in the results folder if None.
    """
    from cnnlib import results
    from cnnlib.lab import report

    paths = [find(notebook) for notebook in notebooks or names()]
    if not paths:
        raise InputError(f"there are no notebooks in {storage.NOTEBOOKS}")
    folder = storage.make_folder(folder or storage.results_folder() / "course")
    entries = []
    for number, path in enumerate(paths, 1):
        print(f"[{number}/{len(paths)}] {path.stem} ...", flush=True)
        started, executed, failure = time.perf_counter(), folder / path.name, ""
        try:
            run(path, output=executed, progress=progress)
        except NotebookError as error:
            failure, executed = str(error), executed.with_suffix(".failed.ipynb")
            print(f"      failed. {failure}", flush=True)
        entry = report.Entry(
            path.stem, executed.with_suffix(".html").name, time.perf_counter() - started, failure
        )
        entries.append(entry)
        storage.write_atomically(folder / entry.page, report.page(executed))
        print(f"      {entry.seconds:.0f} s", flush=True)
    storage.write_atomically(
        folder / "index.html", report.index(entries, results.recap_table(), datetime.now())
    )
    failed = [entry.name for entry in entries if entry.failure]
    print(
        f"\n{results.recap_text()}\n\nReport: {folder / 'index.html'}\nExecuted notebooks: {folder}"
    )
    if failed:
        print(f"{len(failed)} of {len(paths)} notebooks failed: {', '.join(failed)}")
    return failed


def _read(path):
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:  # nbformat, json and jsonschema each have their own
        raise InputError(f"{path} is not a notebook ({str(error).splitlines()[0]})") from error


def _assignments(source, where):
    """The `name = literal  # comment` lines of a parameters cell."""
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise InputError(
            f"{where}, line {error.lineno} of the parameters cell: {error.msg}"
        ) from error
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokens
        if token.type == tokenize.COMMENT
    }
    found = []
    for statement in statements:
        try:
            (target,) = statement.targets
            found.append(
                Parameter(
                    target.id,
                    ast.literal_eval(statement.value),
                    comments.get(statement.end_lineno, ""),
                )
            )
        except (AttributeError, ValueError) as error:
            line = ast.get_source_segment(source, statement)
            raise InputError(
                f"{where}, line {statement.lineno} of the parameters cell: `{line}` must be `name = literal`"
            ) from error
    return found


def _literal(text):
    """A value written as Python or as YAML: `(300, 100)`, `[300, 100]`, `1e-4`, `None`, `null`, `cifar10`."""
    import yaml

    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        pass
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(text) from error


def _fits(value, default):
    if default is None:
        return True
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(default, list | tuple):
        return isinstance(value, list | tuple) and (
            not default or all(any(_fits(v, d) for d in default) for v in value)
        )
    if isinstance(default, dict):
        return isinstance(value, dict)
    return type(value) is type(default)


def _kind(default):
    kinds = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "text",
        list: "a list",
        tuple: "a list",
        dict: "a mapping",
    }
    return f"{kinds.get(type(default), type(default).__name__)} like {default!r}"


def _hint(value, default):
    """What to write instead, for the two ways in which a number becomes text in a YAML file."""
    if (
        not isinstance(value, str)
        or isinstance(default, bool)
        or not isinstance(default, int | float)
    ):
        return ""
    try:
        float(value)
    except ValueError:
        return ""
    if "e" in value.lower():
        return (
            " (text: YAML reads an exponent only after a point and with a sign: 1.0e-4, not 1e-4)"
        )
    return " (text: write it without quotes)"


def _listing(known, name):
    """The parameters with defaults and comments, the ones most like `name` first."""
    closest = sorted(known, key=lambda p: -difflib.SequenceMatcher(None, name, p.name).ratio())
    if not closest:
        return "It has no parameters."
    lines = [f"{p.name} = {p.default!r}" for p in closest]
    width = max(map(len, lines))
    return "Its parameters:\n" + "\n".join(
        f"  {line:{width}}  # {p.comment}".rstrip(" #")
        for line, p in zip(lines, closest, strict=True)
    )


def _execute(path, target, parameters, progress):
    """Papermill from `path` to `target`, which it writes after each cell. NotebookError if a cell raises or the kernel dies."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    logging.getLogger("papermill").setLevel(
        logging.ERROR
    )  # it warns of parameter lines that it cannot read; `checked` has read them
    bar = progress and sys.stderr.isatty()
    try:
        papermill.execute_notebook(
            path,
            target.replace("{", "{{").replace("}", "}}"),  # papermill formats the path
            parameters,
            kernel_name="python3",
            language="python",
            kernel_manager_class=_kernel_manager_of_this_python(),
            extra_arguments=[
                "--log-level=CRITICAL"
            ],  # what a cell raises comes as a message; the kernel's own notes are noise
            record_timing=False,
            cwd=path.parent,
            progress_bar={"desc": f"      {path.stem}", "leave": False} if bar else False,
            on_cell_start=_print_section(len(_read(path).cells) + bool(parameters))
            if progress and not bar
            else None,
        )
    except papermill.PapermillExecutionError as error:
        lines = [f"    {line}" for line in error.source.splitlines()[:5]]
        number = (
            error.cell_index + 1 - bool(parameters)
        )  # papermill adds a cell with the parameters
        raise NotebookError(
            "\n".join(
                [
                    f"cell {number}, In [{error.exec_count}], raised {error.ename}: {error.evalue}",
                    *lines,
                ]
            )
        ) from error
    except DeadKernelError as error:
        raise NotebookError(
            "its Python process died without an error of its own: most often there was not enough memory"
        ) from error


def _kernel_manager_of_this_python():
    """A class of kernel manager for which "python3" is the Python that runs now, whatever kernel bears that name on this machine."""
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpecManager
    from traitlets import default

    class ThisPython(AsyncKernelManager):
        @default("kernel_spec_manager")
        def _no_installed_kernels(self):
            return KernelSpecManager(kernel_dirs=[])

    return ThisPython


def _print_section(total):
    """A hook that prints a line where a section of the notebook begins."""

    def on_cell_start(cell, cell_index):
        heading = cell.source.partition("\n")[0]
        if cell.cell_type == "markdown" and heading.startswith("#"):
            print(f"      {cell_index + 1}/{total} {heading.lstrip('# ')}", flush=True)

    return on_cell_start


def _move(part, output):
    """Move an executed notebook to its place, without the times and paths that papermill leaves in its metadata."""
    import nbformat

    nb = _read(part)
    for node in [nb, *nb.cells]:
        node.metadata.pop("papermill", None)
        if node.metadata.get("tags") == []:
            del node.metadata["tags"]
    storage.write_atomically(output, nbformat.writes(nb) + "\n")
