"""The course's notebooks and their parameters, and strict runs of them.

A notebook's parameters are the lines of its cell tagged `parameters`: `name = literal  # comment`.
Plain papermill runs the notebooks as well; it silently accepts a misspelt name or a value of the
wrong type, which `run` refuses.
"""

import ast
import dataclasses
import difflib
import errno
import functools
import json
import os
import pathlib
import re
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from typing import Any

from cnnlab import output_paths
from cnnlib import datasets, recipes, registry, storage
from cnnlib.datasets import embedded
from cnnlib.errors import InputError, check_name, shown

# The course's own notebooks have such names; copies such as 03_lenet1-Copy1 do not.
_COURSE_NAME = re.compile(r"\d\d_\w+", re.ASCII)
# Errors of a disk that is full or may not be written to.
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)
START_SECONDS = 120  # in which the kernel must start, on a busy machine as well


class NotebookError(RuntimeError):
    """A notebook could not be run to its end. The message says where and why."""


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
        InputError: there is none, with the names of those that exist.
    """
    text = os.fspath(notebook)
    path = pathlib.Path(text)
    if path.suffix == ".ipynb" and "\0" not in text and os.path.isfile(path):
        return path.resolve()
    name = path.stem if path.suffix == ".ipynb" else text
    for each in names():
        if name == each or (name.isdecimal() and each.startswith(f"{name.zfill(2)}_")):
            return storage.NOTEBOOKS / f"{each}.ipynb"
    return storage.NOTEBOOKS / f"{check_name('notebook', text, names())}.ipynb"


def repository_url() -> str:
    """Return the address of the repository, which pyproject.toml has."""
    text = (storage.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["project"]["urls"]["Repository"]


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


def cells(notebook: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the cells of a notebook as dicts with cell_type, source and tags, without outputs.

    It reads the JSON alone, which takes a tenth of the time of nbformat with its checks.

    Raises:
        InputError: the file is not a notebook.
    """
    try:
        nb = json.loads(pathlib.Path(notebook).read_text(encoding="utf-8"))
        return [
            {
                "cell_type": cell["cell_type"],
                "source": "".join(cell["source"]),
                "tags": list(cell["metadata"].get("tags", [])),
            }
            for cell in nb["cells"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{notebook} is not a notebook ({type(error).__name__})") from error


def parameters(notebook: str | os.PathLike[str]) -> list[Parameter]:
    """Return the parameters of a notebook in the order of its parameters cell.

    Raises:
        InputError: the file is not a notebook, or the cell has more than assignments of literals.
    """
    path = find(notebook)
    return list(_parameters(path, path.stat().st_mtime_ns))


@functools.lru_cache(maxsize=256)  # a grid asks for the same notebook once for each value
def _parameters(path: pathlib.Path, _modified: int) -> list[Parameter]:
    tagged = (cell for cell in cells(path) if "parameters" in cell["tags"])
    return [each for cell in tagged for each in _assignments(cell["source"], path.name)]


def _assignments(source: str, where: str) -> list[Parameter]:
    """The `name = literal  # comment` statements of a parameters cell."""
    lines, found, line = source.encode().splitlines(), [], 1
    try:
        statements: list[Any] = ast.parse(source).body
        for statement in statements:
            line = statement.lineno
            (target,) = statement.targets
            rest = lines[statement.end_lineno - 1][statement.end_col_offset :].decode()
            found.append(Parameter(target.id, ast.literal_eval(statement.value), rest.strip(" ;#")))
    except (AttributeError, ValueError, SyntaxError) as error:
        line = getattr(error, "lineno", None) or line
        text = "".join(source.splitlines()[line - 1 : line])
        raise InputError(
            f"{where}, line {line} of the parameters cell: {shown(text)} must be `name = literal`"
        ) from error
    return found


def parse(text: str, default: Any) -> Any:
    """Return the text of a command line as a value of `default`'s type.

    With None as the default it is whatever Python or YAML reads in it. A text that does not fit is
    returned as what it looks like, for `checked` to name in its error.
    """
    import yaml

    if isinstance(default, str):
        return text
    for read in (ast.literal_eval, yaml.safe_load):
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, yaml.YAMLError):
            continue
    return text


def read_values(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the parameters in a YAML file; raise InputError if it holds something else."""
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
                f"{name} of {path.name} must be {_expected(default)}, got {shown(value)}. "
                f"{_listing(known.values(), name)}"
            )
        fit[name] = float(value) if isinstance(default, float) else value
        if isinstance(value, tuple):
            fit[name] = list(value)
    return fit


def _is_plain(value):
    """Whether JSON can hold the value: no date, set or bytes."""
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return not isinstance(value, int) or abs(value) < 2**63


def _fits(value, default):
    if default is None:
        return True
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(default, list | tuple):
        return isinstance(value, list | tuple) and (
            not default or all(any(_fits(v, d) for d in default) for v in value)
        )
    return type(value) is type(default)


def _expected(default):
    """What is expected in the place of a default, for a message."""
    if default is None:
        return "text, a number, true, false, null, or a list or mapping of these"
    kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    return f"{kinds.get(type(default), 'a list')} like {default!r}"


def _listing(known: Iterable[Parameter], name: str) -> str:
    """The parameters with defaults and comments, the ones most like `name` first."""
    closest = sorted(known, key=lambda p: -difflib.SequenceMatcher(None, str(name), p.name).ratio())
    if not closest:
        return "It has no parameters."
    lines = [f"  {p.name} = {p.default!r}  # {p.comment}".rstrip(" #") for p in closest]
    return "\n".join(["Its parameters:", *lines])


def check_training(notebook: str | os.PathLike[str], values: dict[str, Any]) -> None:
    """Refuse a net, recipe, data set, seed, number or picture that the notebook cannot use.

    Parameters of these names mean to a notebook of the course what they mean to `train`. What else
    one may be stands in its comment: that 0 is all, or all but some, and which other data sets.

    Raises:
        InputError: the notebook would fail in one of its cells, minutes later.
    """
    from cnnlab import experiment

    path = find(notebook)
    if path.stem not in names():
        return
    comments = {p.name: p.comment for p in parameters(path)}
    defaults = {p.name: p.default for p in parameters(path)}
    known = defaults | values
    dataset = known.get("dataset", "mnist")
    try:
        if "dataset" in values:
            named = re.findall(r'"([\w-]+)"', comments["dataset"])
            check_name("dataset", dataset, [defaults["dataset"], *named])
        info = datasets.info(dataset.removesuffix("-sample"))
        counts = embedded.find(info, dataset.endswith("-sample")) or info
        most = {"train_size": counts.train_count, "test_size": counts.test_count}
        most |= {"seed": 2**32 - 1, "epochs": 100_000}
        if held_out := re.search(r"all but ([\d,]+)", comments.get("train_size", "")):
            most["train_size"] -= int(held_out[1].replace(",", ""))
        if known.get("picture") and not (path.parent / known["picture"]).is_file():
            raise InputError(f"picture: there is no file {path.parent / known['picture']}")
        for name, value in known.items():
            low = int("0: " not in comments[name] and name != "seed")
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if is_number and not low <= value <= most.get(name, value):
                limit = f" to {most[name]}" if name in most else ""
                raise InputError(f"{name} must be a number from {low}{limit}, got {value}")
        if "recipe" in known:
            recipe = recipes.recipe(known["recipe"])
            if known.get("epochs"):
                recipe = recipe.changed(epochs=known["epochs"])
            net = known.get("net", "lenet-5")
            net = f"boosted-{net}" if "patterns" in known else net
            size = known.get("train_size") or None
            experiment.plan(net, info.name, recipe, known.get("seed", 0), size)
        if "net" in values:
            own, found = (registry.net(each["net"]).input_format for each in (defaults, values))
            if found != own:
                raise InputError(f"{values['net']} takes {found}, and it prepares images as {own}")
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from error


def run(
    notebook: str | os.PathLike[str],
    parameters: dict[str, Any] | None = None,
    output: str | os.PathLike[str] | None = None,
) -> pathlib.Path:
    """Run a notebook through papermill, in its own folder and with this very Python.

    It shows how far it is: a bar in a terminal, else a line for each section.

    `parameters` are those that differ from the notebook's own. Returns the path of the executed
    notebook: `output`, or one in `notebooks/` of the results folder. It is replaced once the last
    cell has run.

    Raises:
        InputError: there is no such notebook, parameters do not fit, or `output` cannot be written.
        NotebookError: a cell raised, or the kernel could not start. An earlier output is unchanged;
            the notebook as far as it got is kept beside it as `<name>.failed.ipynb`.
    """
    path = find(notebook)
    parameters = checked(path, parameters or {})
    check_training(path, parameters)
    default = storage.results_folder() / "notebooks" / path.name
    output = output_paths.output_file(default if output is None else output)
    if parameters and output == path:
        raise InputError(f"{output} is the notebook itself: with parameters, write to another file")
    failed = output.with_suffix(".failed.ipynb")
    # Not beside the output, where a killed run would leave it.
    with tempfile.TemporaryDirectory(prefix="cnnlib-") as folder:
        part = pathlib.Path(folder) / output.name
        try:
            _execute(path, part, parameters)
        except NotebookError as error:
            message = f"{path.stem}: {error}"
            if part.exists():  # else the kernel did not even start
                storage.write_atomically(failed, _without_papermill(part))
                message += f"\nThe notebook as far as it got: {failed}"
            raise NotebookError(message) from (error.__cause__ or error)
        storage.write_atomically(output, _without_papermill(part))
    failed.unlink(missing_ok=True)
    return output


def _without_papermill(path):
    """The text of an executed notebook without papermill's times and paths."""
    import nbformat

    nb = read_notebook(path)
    for node in [nb, *nb.cells]:
        node.metadata.pop("papermill", None)
        if node.metadata.get("tags") == []:
            del node.metadata["tags"]
    return nbformat.writes(nb) + "\n"


def _execute(path: pathlib.Path, target: pathlib.Path, parameters: dict[str, Any]) -> None:
    """Run the notebook at `path` in its own folder, and write it to `target` after each cell."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    bar = sys.stderr.isatty()
    try:
        nb = papermill.execute_notebook(
            # papermill reads braces in a path as names of parameters
            *(str(each).replace("{", "{{").replace("}", "}}") for each in (path, target)),
            parameters,
            kernel_name="python3",
            language="python",
            kernel_manager_class=_kernel_manager(),
            # What a cell raises comes as a message; the kernel's own notes are noise.
            extra_arguments=["--log-level=CRITICAL"],
            start_timeout=START_SECONDS,
            record_timing=False,
            cwd=path.parent,
            progress_bar={"desc": f"      {path.stem}", "leave": False} if bar else False,
            on_cell_start=None if bar else _print_sections,
        )
    except papermill.PapermillExecutionError as error:
        number = error.cell_index + 1 - bool(parameters)  # papermill adds a cell with these
        lines = [f"    {line}" for line in error.source.splitlines()[:5]]
        first = f"cell {number}, In [{error.exec_count}], raised {error.ename}: {error.evalue}"
        raise NotebookError("\n".join([first, *lines])) from error
    except DeadKernelError as error:
        raise NotebookError(
            "its Python process ended without an error of its own: most often there was not enough "
            "memory, or a cell called exit()"
        ) from error
    except (OSError, RuntimeError) as error:  # RuntimeError: the kernel died before it answered
        if getattr(error, "errno", None) in UNWRITABLE:
            raise InputError(
                f"cannot write {target} ({error}): make room or choose another folder, then run "
                "the same command again"
            ) from error
        raise NotebookError(f"its kernel could not start ({error})") from error
    # papermill takes sys.exit(0) for a good end; the cells after it have not run.
    code = [cell for cell in nb.cells if cell.cell_type == "code" and cell.source.strip()]
    skipped = sum(cell.execution_count is None for cell in code)
    if skipped or any(o.get("ename") == "SystemExit" for cell in code for o in cell.outputs):
        raise NotebookError(f"a cell left the notebook, so that {skipped} cells did not run")


def _kernel_manager() -> type:
    """A class of kernel manager whose "python3" is this very Python, whatever is installed."""
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
            await super()._async_start_kernel(**options)

        start_kernel = _async_start_kernel

    return ThisPython


def _print_sections(cell: Any, cell_index: int, **_: Any) -> None:
    """Print a line where a section of a notebook begins."""
    heading = cell.source.partition("\n")[0]
    if cell.cell_type == "markdown" and heading.startswith("#"):
        print(f"      {heading.lstrip('# ')}", flush=True)
