"""The course's notebooks and their parameters, and strict runs of them.

A notebook's parameters are the lines of its cell tagged `parameters`: `name = literal  # comment`.
Plain papermill runs the notebooks as well; it silently accepts a misspelt name or a value of the
wrong type, which `run` refuses.
"""

import ast
import dataclasses
import difflib
import functools
import io
import json
import os
import pathlib
import re
import tempfile
import tokenize
import tomllib
from collections.abc import Iterable
from typing import Any

from cnnlab import output_paths
from cnnlab.execution import NotebookError
from cnnlib import storage
from cnnlib.errors import InputError, check_name, shown

__all__ = [
    "NotebookError",
    "Parameter",
    "cells",
    "checked",
    "colab_url",
    "find",
    "names",
    "parameters",
    "parse",
    "read_values",
    "run",
]

# The course's own notebooks have such names; copies such as 03_lenet1-Copy1 do not.
_COURSE_NAME = re.compile(r"\d\d_\w+", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One parameter of a notebook: a line `name = default  # comment` of its parameters cell."""

    name: str
    default: Any
    comment: str


def names() -> list[str]:
    """Return the names of the course's notebooks in order: `01_datasets_tour`, ..."""
    stems = (path.stem for path in storage.NOTEBOOKS.glob("*.ipynb"))
    return sorted(stem for stem in stems if _COURSE_NAME.fullmatch(stem))


def find(notebook: str | os.PathLike[str]) -> pathlib.Path:
    """Return the path of a notebook given as a path, a name (`04_lenet1`) or a number (`04`).

    Raises:
        InputError: there is none, with the names of those that exist; or several have the number.
    """
    text = os.fspath(notebook)
    path = pathlib.Path(text)
    if path.suffix == ".ipynb" and "\0" not in text and os.path.isfile(path):
        return path.resolve()
    name = text.removesuffix(".ipynb")
    if name.isdecimal():
        numbered = [each for each in names() if each.partition("_")[0] == name.zfill(2)]
        if len(numbered) > 1:
            raise InputError(
                f"notebook {name!r} may be {' or '.join(numbered)}: give the whole name"
            )
        name = numbered[0] if numbered else name
    here = storage.NOTEBOOKS / f"{name}.ipynb"
    if pathlib.PurePath(name).name == name and os.path.isfile(here):  # also a copy in that folder
        return here
    return storage.NOTEBOOKS / f"{check_name('notebook', name, names())}.ipynb"


def colab_url(notebook: str | os.PathLike[str]) -> str:
    """Return the address that opens a notebook of the course in Google Colab."""
    repository = repository_url().removeprefix("https://github.com/")
    name = pathlib.Path(notebook).stem
    return f"https://colab.research.google.com/github/{repository}/blob/main/notebooks/{name}.ipynb"


def repository_url() -> str:
    """Return the address of the repository, which pyproject.toml has."""
    text = (storage.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["project"]["urls"]["Repository"]


def parameters(notebook: str | os.PathLike[str]) -> list[Parameter]:
    """Return the parameters of a notebook in the order of its parameters cell.

    Raises:
        InputError: the file is not a notebook, or the cell has more than assignments of literals.
    """
    path = find(notebook)
    stat = path.stat()
    return list(_parameters(path, stat.st_mtime_ns, stat.st_size))


@functools.lru_cache(maxsize=256)  # a grid asks for the same notebook once for each value
def _parameters(path, *_):
    for cell in cells(path):
        if cell["cell_type"] == "code" and "parameters" in cell["tags"]:
            return _assignments(cell["source"], path.name)
    return []


def cells(notebook: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the cells of a notebook as dicts with cell_type, source and tags, without outputs.

    It reads the JSON alone, which takes a tenth of the time of importing nbformat.

    Raises:
        InputError: the file is not a notebook.
    """
    try:
        nb = json.loads(pathlib.Path(notebook).read_text(encoding="utf-8"))
        if nb["nbformat"] != 4:
            raise ValueError(f"its format is {nb['nbformat']}, expected 4")
        return [
            {
                "cell_type": cell["cell_type"],
                "source": "".join(cell["source"]),
                "tags": list(cell["metadata"].get("tags", [])),
            }
            for cell in nb["cells"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"{notebook} is not a notebook ({type(error).__name__}: {reason})"
        ) from error


def parse(text: str, default: Any) -> Any:
    """Return the text of a command line as a value of `default`'s type.

    With None as the default it is whatever Python or YAML reads in it. A text that does not fit is
    returned as what it looks like, for `checked` to name in its error.
    """
    if isinstance(default, str):
        return text
    if isinstance(default, bool):
        return {"true": True, "false": False}.get(text.lower(), text)
    readers = (type(default), _literal) if isinstance(default, int | float) else (_literal,)
    for read in readers:
        try:
            return read(text)
        except ValueError:
            pass
    return text


def read_values(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the parameters in a YAML file.

    Raises:
        InputError: the file does not hold names and values.
    """
    from cnnlab import strict_yaml

    values, _ = strict_yaml.read(path)
    if not isinstance(values, dict):
        raise InputError(f"{os.fspath(path)} must hold lines of `name: value`, got {shown(values)}")
    return values


def checked(notebook: str | os.PathLike[str], values: dict[str, Any]) -> dict[str, Any]:
    """Return the values as the notebook takes them.

    A value must have the type of the default. A whole number may stand for a float, a list for a
    tuple, and anything that JSON can hold for a default of None.

    Raises:
        InputError: an unknown name or another type, with a list of the notebook's parameters.
    """
    path = find(notebook)
    known = {p.name: p for p in parameters(path)}
    fit = {}
    for name, value in values.items():
        if name not in known:
            raise InputError(
                f"{path.name} has no parameter {name!r}. {_listing(known.values(), name)}"
            )
        default = known[name].default
        if not (_is_plain(value) and _fits(value, default)):
            raise InputError(
                f"{name} of {path.name} must be {_expected(default)}, got {shown(value)}"
                f"{_hint(value, default)}. {_listing(known.values(), name)}"
            )
        fit[name] = _converted(value, default)
    return fit


def run(
    notebook: str | os.PathLike[str],
    parameters: dict[str, Any] | None = None,
    output: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> pathlib.Path:
    """Run a notebook through papermill, in its own folder and with this very Python.

    Args:
        notebook: a path, a name or a number: see `find`.
        parameters: those that differ from the notebook's own.
        output: where to write the executed notebook; None for `notebooks/` in the results folder.
            It is replaced once the last cell has run.
        progress: show how far it is: a bar in a terminal, else a line for each section.

    Returns:
        The path of the executed notebook.

    Raises:
        InputError: there is no such notebook, parameters do not fit, or `output` cannot be written.
        NotebookError: a cell raised, or the kernel could not start. An earlier output is unchanged;
            the notebook as far as it got is kept beside it as `<name>.failed.ipynb`.
    """
    from cnnlab import execution

    path = find(notebook)
    parameters = checked(path, parameters or {})
    default = storage.results_folder() / "notebooks" / path.name
    output = output_paths.output_file(default if output is None else output)
    if parameters and output == path:
        raise InputError(
            f"{output} is the notebook itself: with parameters that differ from its own, write to "
            "another file"
        )
    failed = output.with_suffix(".failed.ipynb")
    # Not beside the output, where a killed run would leave it.
    with tempfile.TemporaryDirectory(prefix="cnnlib-") as folder:
        part = pathlib.Path(folder) / output.name
        try:
            execution.execute(path, part, parameters, progress)
            _move(part, output)
            failed.unlink(missing_ok=True)
        except NotebookError as error:
            message = f"{path.stem}: {error}"
            if part.exists():  # else the kernel did not even start
                _move(part, failed)
                message += f"\nThe notebook as far as it got: {failed}"
            raise NotebookError(message) from (error.__cause__ or error)
    return output


def _assignments(source, where):
    """The `name = literal  # comment` lines of a parameters cell."""
    try:
        statements = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None) or 1
        raise InputError(f"{where}, line {line} of the parameters cell: {error}") from error
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
            value = ast.literal_eval(statement.value)
            found.append(Parameter(target.id, value, comments.get(statement.end_lineno, "")))
        except (AttributeError, ValueError) as error:
            line = ast.get_source_segment(source, statement)
            raise InputError(
                f"{where}, line {statement.lineno} of the parameters cell: `{line}` must be "
                "`name = literal`"
            ) from error
    return found


def _literal(text):
    """A value written as Python or YAML: `(300, 100)`, `[300]`, `1e-4`, `None`, `cifar10`."""
    from cnnlab import strict_yaml

    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return strict_yaml.parse(text, "the value")[0]


def _is_plain(value):
    """Whether JSON can hold the value: no date, set or bytes, and no number beyond 64 bits."""
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) for key in value) and all(map(_is_plain, value.values()))
    if type(value) is int:
        return abs(value) < 2**63
    return value is None or type(value) in (bool, float, str)


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


def _converted(value, default):
    if isinstance(default, float):
        return float(value)
    return list(value) if isinstance(value, tuple) else value


def _expected(default):
    """What is expected in the place of a default, for a message."""
    if default is None:
        return "text, a number, true, false, null, or a list or mapping of these"
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
    """What to write instead, where a number has become text in a YAML file."""
    is_number = isinstance(default, int | float) and not isinstance(default, bool)
    if not (isinstance(value, str) and is_number):
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


def _listing(known: Iterable[Parameter], name: str) -> str:
    """The parameters with defaults and comments, the ones most like `name` first."""
    ratio = {p.name: difflib.SequenceMatcher(None, str(name), p.name).ratio() for p in known}
    closest = sorted(known, key=lambda p: -ratio[p.name])
    if not closest:
        return "It has no parameters."
    lines = [f"{p.name} = {p.default!r}" for p in closest]
    width = max(map(len, lines))
    described = [
        f"  {line:{width}}  # {p.comment}".rstrip(" #")
        for line, p in zip(lines, closest, strict=True)
    ]
    return "\n".join(["Its parameters:", *described])


def read_notebook(path: pathlib.Path) -> Any:
    """Return a notebook as nbformat reads it. Raises InputError if it is none."""
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except OSError:
        raise
    except Exception as error:  # nbformat, json and jsonschema each have their own
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path} is not a notebook ({reason})") from error


def _move(part, output):
    """Move an executed notebook to its place, without papermill's times and paths."""
    import nbformat

    nb = read_notebook(part)
    for node in [nb, *nb.cells]:
        node.metadata.pop("papermill", None)
        if node.metadata.get("tags") == []:
            del node.metadata["tags"]
    storage.write_atomically(output, nbformat.writes(nb) + "\n")
