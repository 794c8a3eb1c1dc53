"""The batch file: YAML that lists many runs, read strictly.

    # purpose; command; minutes on two cores; the results to expect
    - limits: {minutes: 30, memory: 4 GB}   # of each run; both optional
    - train: {model: lenet-5, dataset: mnist, recipe: plain, seeds: 5}   # 0 to 4; or [0, 7]
    - train: {model: lenet-5, dataset: mnist, recipe: plain, seeds: 1, train_size: 10000}
    - notebook:
        path: 04_lenet1                # a name, a number, a file beside this one, or `all`
        parameters: {epochs: 2}        # optional: the same in each run
        grid: {learning_rate: [0.001, 0.01], seed: [0, 1, 2]}   # optional: each combination

An item may have `limits` of its own. Names, types and parameters are all checked before the first
run starts, without importing Keras: a thousand runs take a second or two.
"""

import dataclasses
import functools
import itertools
import math
import os
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from cnnlab import notebooks, strict_yaml
from cnnlab.batch.runs import Limits, NotebookRun, Run, TrainingRun
from cnnlab.strict_yaml import short
from cnnlib import datasets, recipes, registry
from cnnlib.errors import InputError, check_name

MAX_RUNS = 10_000  # of a file
UNITS = {"MB": 10**6, "GB": 10**9, "MiB": 2**20, "GiB": 2**30}
_SEEDS = "how many seeds (5 is 0 to 4) or a list like [0, 7]"
_ITEM = "`train: ...`, `notebook: ...` or `limits: ...`"


def _number_of_bytes(value: Any) -> int:
    match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,12})?) ?([A-Za-z]+)", str(value))
    if not match or match[2] not in UNITS or not float(match[1]):
        raise InputError(f"expected a size like 4 GB (or {', '.join(UNITS)}), got {short(value)!r}")
    return int(float(match[1]) * UNITS[match[2]])


# The default of what a file need not name, and must not set to nothing.
_UNSET: Any = None


class _Strict(BaseModel):
    """A mapping of the file. The description of a field is what its error says is expected."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class LimitsItem(_Strict):
    """`limits`: what each run may use."""

    minutes: float = Field(
        default=_UNSET, gt=0, allow_inf_nan=False, description="a number above 0"
    )
    memory: Annotated[int, BeforeValidator(_number_of_bytes)] = _UNSET

    def over(self, outer: Limits) -> Limits:
        """Return these limits; what they do not name is as in `outer`."""
        return dataclasses.replace(outer, **self.model_dump(exclude_unset=True))


def _known_model(name: str) -> str:
    return check_name("model", name, registry.names())


def _known_dataset(name: str) -> str:
    return check_name("dataset", name, datasets.names())


def _known_recipe(name: str) -> str:
    recipes.recipe(name)
    return name


_Seed = Annotated[int, Field(ge=0)]


class TrainItem(_Strict):
    """`train`: one net, trained once for each seed."""

    model: Annotated[str, AfterValidator(_known_model)] = Field(description="the name of a net")
    dataset: Annotated[str, AfterValidator(_known_dataset)] = Field(
        description="the name of a data set"
    )
    recipe: Annotated[str, AfterValidator(_known_recipe)] = Field(
        description="the name of a recipe"
    )
    seeds: Annotated[int, Field(gt=0)] | Annotated[list[_Seed], Field(min_length=1)] = Field(
        description=_SEEDS
    )
    train_size: int = Field(
        default=_UNSET, gt=0, description="how many training images, a whole number above 0"
    )
    limits: LimitsItem = Field(default=LimitsItem(), description="keys and values")

    def count(self) -> int:
        """Return how many runs the item stands for."""
        return self.seeds if isinstance(self.seeds, int) else len(self.seeds)

    def runs(self, limits: Limits, folder: pathlib.Path) -> Iterator[Run]:
        """Yield the runs of the item."""
        seeds = range(self.seeds) if isinstance(self.seeds, int) else self.seeds
        for seed in seeds:
            yield TrainingRun(self.model, self.dataset, self.recipe, seed, self.train_size, limits)


class NotebookItem(_Strict):
    """`notebook`: one notebook, or `all`, run once for each combination of the grid."""

    path: str | int = Field(description="the name, number or path of a notebook, or `all`")
    parameters: dict[str, Any] = Field(default={}, description="names and values")
    grid: dict[str, Annotated[list[Any], Field(min_length=1, description="a list of values")]] = (
        Field(default={}, description="names and values")
    )
    limits: LimitsItem = Field(default=LimitsItem(), description="keys and values")

    def count(self) -> int:
        """Return how many runs the item stands for."""
        notebooks_ = len(notebooks.names()) if self.path == "all" else 1
        return notebooks_ * math.prod(map(len, self.grid.values()))

    def runs(self, limits: Limits, folder: pathlib.Path) -> Iterator[Run]:
        """Yield the runs of the item. Raises `_FieldError` for what a notebook does not take."""
        for name in self.grid:
            if name in self.parameters:
                raise _FieldError(("grid", name), "is already set under parameters")
        for name in notebooks.names() if self.path == "all" else [str(self.path)]:
            path = _checked(("path",), notebooks.find, _beside(folder, name))
            single = {
                key: self._value(path, ("parameters", key), key, value)
                for key, value in self.parameters.items()
            }
            choices = [
                [self._value(path, ("grid", key, i), key, value) for i, value in enumerate(values)]
                for key, values in self.grid.items()
            ]
            for chosen in itertools.product(*choices):
                values = single | dict(zip(self.grid, chosen, strict=True))
                yield NotebookRun(str(path), values, limits)

    @staticmethod
    def _value(path, where, name, value):
        return _checked(where, notebooks.checked, path, {name: value})[name]


ITEMS: dict[str, type[TrainItem | NotebookItem]] = {
    "train": TrainItem,
    "notebook": NotebookItem,
}


def read(path: str | pathlib.Path) -> list[Run]:
    """Return the runs of a batch file in its order, with seeds and grids expanded.

    Raises:
        InputError: something cannot be run as it stands there; the message is
            `file:line: key: what is wrong, what is expected`.
    """
    path = pathlib.Path(path)
    items = strict_yaml.read(path)
    if not isinstance(items, strict_yaml.List) or not items:
        raise InputError(f"{path}:1: expected a list of `- train: ...` and `- notebook: ...` items")
    found: list[Run] = []
    lines: dict[str, int] = {}
    limits = Limits()
    for line, item in zip(items.lines, items, strict=True):
        kind, fields = _kind_and_fields(item, f"{path}:{line}")
        if kind == "limits":
            limits = _validated(LimitsItem, fields, path).over(limits)
            continue
        parsed = _validated(ITEMS[kind], fields, path)
        if len(found) + parsed.count() > MAX_RUNS:
            raise InputError(
                f"{path}:{line}: {kind}: {len(found) + parsed.count():,} runs up to here; expected "
                f"at most {MAX_RUNS:,} in a file: divide it into several files"
            )
        for run in _expanded(parsed, limits, fields, path):
            run_id = _located(f"{path}:{line}: {kind}", functools.partial(getattr, run, "id"))
            if run_id in lines:
                raise InputError(
                    f"{path}:{line}: {kind}: {run} is already in the item of line {lines[run_id]}"
                )
            lines[run_id] = line
            found.append(run)
    if not found:
        raise InputError(
            f"{path}:1: has limits but no run: add a `- train: ...` or a `- notebook: ...`"
        )
    return found


class _FieldError(InputError):
    """What is wrong with one field of an item: its keys from outside to inside, and why."""

    def __init__(self, keys: tuple, message: str):
        super().__init__(message)
        self.keys = keys


def _kind_and_fields(item, where):
    """The kind of an item and what it holds, a mapping."""
    if not isinstance(item, dict) or len(item) != 1:
        raise InputError(f"{where}: expected one {_ITEM}, got {short(item)!r}")
    ((kind, fields),) = item.items()
    _located(where, lambda: check_name("kind of item", kind, [*ITEMS, "limits"]))
    if not isinstance(fields, dict):
        raise InputError(f"{where}: {kind}: expected keys and values, got {short(fields)!r}")
    return kind, fields


def _expanded(item, limits, fields, path):
    try:
        yield from item.runs(item.limits.over(limits), path.parent)
    except _FieldError as error:
        raise InputError(f"{_at(path, fields, error.keys)}: {error}") from error


def _validated(model: type[_Strict], fields: strict_yaml.Mapping, path: pathlib.Path) -> Any:
    """Return `fields` as a `model`; InputError says where the first mistake is."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    # A misspelt key explains a missing one, so it is told first.
    order = {"extra_forbidden": 0, "missing": 1}
    first = min(errors, key=lambda each: order.get(each["type"], 2))
    keys, model = first["loc"], model
    while keys[0] == "limits" and len(keys) > 1:  # limits within an item
        fields, keys, model = fields["limits"], keys[1:], LimitsItem
    raise InputError(f"{_at(path, fields, keys)}: {_problem(first, keys, model, fields)}")


def _problem(error, keys, model, fields):
    """What is wrong and what is expected, for one error of pydantic."""
    if error["type"] == "missing":
        required = [name for name, field in model.model_fields.items() if field.is_required()]
        return f"is missing; expected {', '.join(required)}"
    if error["type"] == "extra_forbidden":
        try:
            check_name("key", keys[0], model.model_fields)
        except InputError as unknown:
            return str(unknown)
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if keys[0] == "grid" and len(keys) > 1:
        return f"expected a list of values, got {_got(fields['grid'][keys[1]])}"
    expected = model.model_fields[keys[0]].description
    return f"expected {expected}, got {_got(fields[keys[0]])}"


def _got(value):
    return short(repr(value))


def _at(path, fields, keys):
    """`file:line: key` of the innermost of `keys` that has a line in the file."""
    value, line, name = fields, fields.line, keys[0]
    for key in keys:
        lines = getattr(value, "lines", None)
        known = isinstance(value, dict) and key in value
        if not known and not (isinstance(value, list) and isinstance(key, int)):
            break
        line, value = lines[key], value[key]
        name = key if isinstance(key, str) else name
    return f"{path}:{line}: {name}"


def _beside(folder, name):
    """The file of that name beside the batch file if there is one, else the name."""
    beside = folder / name
    return beside if os.path.isfile(beside) else name


def _checked(keys: tuple, function: Callable, *arguments: Any) -> Any:
    """Call `function`; an InputError becomes one of the field with these keys."""
    try:
        return function(*arguments)
    except InputError as error:
        raise _FieldError(keys, str(error)) from error


def _located(where: str, function: Callable[[], Any]) -> Any:
    """Call `function`; an InputError says where in the file it comes from."""
    try:
        return function()
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
