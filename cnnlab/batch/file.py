"""The batch file: YAML that lists many runs; docs/batch.md has an example of each item.

Names, types and parameters are all checked before the first run starts, without importing Keras: a
thousand runs take a second or two.
"""

import contextlib
import itertools
import os
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pydantic
from pydantic import AfterValidator, BeforeValidator, Field

from cnnlab import notebooks, strict_yaml
from cnnlab.batch.runs import NotebookRun, Run, TrainingRun
from cnnlib import datasets, recipes, registry, storage
from cnnlib.errors import InputError, check_name, shown

MAX_RUNS = 10_000  # of a file
UNITS = {"MB": 10**6, "GB": 10**9, "MiB": 2**20, "GiB": 2**30}
# The default of what a file need not name, and must not set to nothing.
_UNSET: Any = None


def _number_of_bytes(value: Any) -> int:
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?) ?([A-Za-z]+)", str(value))
    size = int(float(match[1]) * UNITS.get(match[2], 0)) if match else 0
    if not size:
        raise ValueError(f"expected a size like 4 GB (or {', '.join(UNITS)}), got {shown(value)}")
    return size


def _list_of_seeds(value: Any) -> Any:
    seeds = list(range(min(value, MAX_RUNS + 1))) if type(value) is int else value
    if not isinstance(seeds, list) or not seeds:
        raise ValueError(f"expected how many (5: 0 to 4) or a list like [0, 7], got {shown(value)}")
    return seeds


def _known(kind: str, names: Callable[[], list[str]]) -> AfterValidator:
    return AfterValidator(lambda name: check_name(kind, name, names()))


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True)


class Limits(_Strict):
    """What each run may use."""

    minutes: float = Field(default=_UNSET, gt=0, allow_inf_nan=False)
    memory: Annotated[int, BeforeValidator(_number_of_bytes)] = _UNSET


class Train(_Strict):
    """One net, trained once for each seed."""

    model: Annotated[str, _known("model", registry.names)]
    dataset: Annotated[str, _known("dataset", datasets.names)]
    recipe: Annotated[str, AfterValidator(lambda name: recipes.recipe(name) and name)]
    seeds: Annotated[list[int], BeforeValidator(_list_of_seeds)]
    train_size: int = _UNSET
    limits: Limits = Limits()

    def runs(self, limits: dict[str, Any], folder: pathlib.Path) -> Iterator[Run]:
        """Yield the runs of the item."""
        for seed in self.seeds:
            what = self.model, self.dataset, self.recipe, seed, self.train_size
            yield TrainingRun(*what, **limits)


class Notebook(_Strict):
    """One notebook, or `all`, run once for each combination of the grid."""

    path: str | int
    parameters: dict[str, Any] = {}
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    limits: Limits = Limits()

    def runs(self, limits: dict[str, Any], folder: pathlib.Path) -> Iterator[Run]:
        """Yield the runs of the item."""
        for name in notebooks.names() if self.path == "all" else [str(self.path)]:
            with _at("path"):
                beside = folder / name
                path = notebooks.find(beside if os.path.isfile(beside) else name)
            choices = []
            fixed = {key: [value] for key, value in self.parameters.items()}
            for where, lists in (("parameters", fixed), ("grid", self.grid)):
                for key, values in lists.items():
                    with _at(where, key):
                        if where == "grid" and key in fixed:
                            raise InputError("is already set under parameters")
                        choices.append([notebooks.checked(path, {key: one}) for one in values])
            # A notebook of the course goes by its name, which is the same on each machine.
            name = path.stem if path.parent == storage.NOTEBOOKS else str(path)
            for chosen in itertools.product(*choices):
                parameters = {key: one[key] for one in chosen for key in one}
                yield NotebookRun(name, parameters, **limits)


class Item(_Strict):
    """One item of the list."""

    train: Train = _UNSET
    notebook: Notebook = _UNSET
    limits: Limits = _UNSET

    @pydantic.model_validator(mode="after")
    def _is_one(self) -> "Item":
        if len(self.model_fields_set) != 1:
            raise ValueError("expected one `train: ...`, `notebook: ...` or `limits: ...`")
        return self


@contextlib.contextmanager
def _at(*keys):
    """Give an InputError the keys that lead to the mistake in the file."""
    try:
        yield
    except InputError as error:
        error.keys = (*keys, *getattr(error, "keys", ()))
        raise


def read(path: str | os.PathLike[str]) -> list[Run]:
    """Return the runs of a batch file in its order, with seeds and grids expanded.

    Raises:
        InputError: something cannot be run as it stands there; the message is
            `file:line: key: what is wrong, what is expected`.
    """
    path = pathlib.Path(path)
    value, lines = strict_yaml.read(path)
    try:
        return _runs(value, path.parent)
    except InputError as error:
        keys = getattr(error, "keys", ())
        while keys not in lines:
            keys = keys[:-1]
        name = next((f"{key}: " for key in reversed(keys) if isinstance(key, str)), "")
        raise InputError(f"{path}:{lines[keys]}: {name}{error}") from error


def _runs(value, folder):
    try:
        items = pydantic.TypeAdapter(list[Item]).validate_python(value or None)
    except pydantic.ValidationError as error:
        keys, message = _first(error)
        with _at(*keys):
            raise InputError(message) from None
    found: dict[str, Run] = {}
    limits: dict[str, Any] = {}
    for number, item in enumerate(items):
        if item.limits:
            limits |= item.limits.model_dump(exclude_unset=True)
            continue
        each = item.train or item.notebook
        with _at(number, "train" if item.train else "notebook"):
            runs = each.runs(limits | each.limits.model_dump(exclude_unset=True), folder)
            runs = list(itertools.islice(runs, MAX_RUNS + 1 - len(found)))
            if len(found) + len(runs) > MAX_RUNS:
                raise InputError(f"more than {MAX_RUNS:,} runs: divide them into several files")
            for run in runs:
                if run.id.casefold() in found:  # as disks compare names
                    raise InputError(f"{run} is already in the file")
                found[run.id.casefold()] = run
    if not found:
        raise InputError("has limits but no run: add a `- train: ...` or a `- notebook: ...`")
    return list(found.values())


def _first(error):
    """(Keys, message) of the first mistake that pydantic found."""
    # A misspelt key explains a missing one, so it comes first.
    order = {"extra_forbidden": 0, "missing": 1}
    found = min(error.errors(), key=lambda each: order.get(each["type"], 2))
    keys, kind = found["loc"], found["type"]
    message = found["msg"].replace("Input should be", "expected").partition(" or instance")[0]
    message = f"{message.replace('a valid dictionary', 'keys and values')}, got "
    message += shown(found["input"])
    if not keys:
        message = "expected a list of `- train: ...` and `- notebook: ...` items"
    elif kind == "value_error":
        message = str(found["ctx"]["error"])
    elif kind in order:
        models = {"train": Train, "notebook": Notebook, "limits": Limits}
        known = ", ".join(models.get(keys[-2], Item).model_fields)
        problem = f"{keys[-1]} is missing" if kind == "missing" else "is no key here"
        message = f"{problem}; the keys are {known}"
    return keys, message
