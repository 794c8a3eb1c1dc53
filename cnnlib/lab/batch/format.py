"""The batch file: YAML that lists many runs, read strictly.

The file is a list. Each item is a net to train, a notebook to run, or limits for the items below it:

    # what it is for; the command; the minutes on two cores; the figures to expect
    - limits: {minutes: 30, memory: 4 GB}   # of each run; either may be left out, and an item may have `limits` of its own
    - train: {model: lenet-5, dataset: mnist, recipe: plain, seeds: 5}   # seeds 0 to 4; or a list: [0, 7]
    - notebook:
        path: 03_lenet1                # a name, a number, a file beside the batch file, or `all` notebooks of the course
        parameters: {epochs: 2}        # optional: the same in each run
        grid: {learning_rate: [1.0e-3, 1.0e-2], seed: [0, 1, 2]}   # optional: one run for each combination

Names, types and parameters are all checked before the first run starts, without importing Keras: a thousand runs take a second or two.
"""

import dataclasses
import functools
import itertools
import math
import pathlib
import re

import yaml

from cnnlib import datasets, recipes, storage
from cnnlib.errors import InputError, check_name
from cnnlib.lab import notebooks
from cnnlib.lab.batch import ids
from cnnlib.models import registry

UNITS = {"MB": 10**6, "GB": 10**9, "MiB": 2**20, "GiB": 2**30}


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one run may take: minutes, and bytes of memory of all its processes together. None: no limit of its own."""

    minutes: float | None = None
    memory: int | None = None


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of a batch. `fields`: model, dataset, recipe, seed if `kind` is "train"; path, parameters if it is "notebook"."""

    kind: str
    fields: dict
    limits: Limits = Limits()

    def __str__(self):
        if self.kind == "train":
            return "{model} {dataset} {recipe} seed {seed}".format(**self.fields)
        return " ".join(
            [
                pathlib.Path(self.fields["path"]).stem,
                *(f"{k}={v}" for k, v in self.fields["parameters"].items()),
            ]
        )

    @functools.cached_property
    def id(self):
        """What names the run in the results folder (str): see cnnlib.lab.batch.ids."""
        return ids.run_id(self.kind, self.fields)


def read(path):
    """The runs of a batch file, list[Run] in the file's order, seeds and grids expanded.

    Raises InputError, `file:line: key: what is wrong, what is expected`, for anything that cannot be run as it stands there.
    """
    path = pathlib.Path(path)
    items = _load(path)
    if not isinstance(items, list) or not items:
        raise InputError(f"{path}:1: expected a list of `- train: ...` and `- notebook: ...` items")
    expand = {"train": _train_runs, "notebook": _notebook_runs}
    found, seen, limits = [], {}, Limits()
    for line, item in zip(items.lines, items, strict=True):
        if not isinstance(item, dict) or len(item) != 1:
            raise InputError(
                f"{path}:{line}: expected one `train: ...`, `notebook: ...` or `limits: ...`, got {item!r}"
            )
        ((kind, fields),) = item.items()
        _check(f"{path}:{line}", check_name, "kind of item", kind, [*expand, "limits"])
        if not isinstance(fields, dict):
            raise InputError(f"{path}:{line}: {kind}: expected keys and values, got {fields!r}")
        if kind == "limits":
            limits = _limits(fields, path, limits)
            continue
        own = _limits(_mapping(fields, "limits", path), path, limits)
        for run in (dataclasses.replace(each, limits=own) for each in expand[kind](fields, path)):
            run_id = _check(f"{path}:{line}: {kind}", getattr, run, "id")
            if run_id in seen:
                raise InputError(
                    f"{path}:{line}: {kind}: {run} is already in the item of line {seen[run_id]}"
                )
            seen[run_id] = line
            found.append(run)
    if not found:
        raise InputError(
            f"{path}:1: has limits but no run: add a `- train: ...` or a `- notebook: ...`"
        )
    return found


def portable(fields):
    """`fields` of a Run as another checkout takes them: a notebook of the course goes by its name, not by its path here."""
    path = pathlib.Path(fields.get("path", ""))
    return fields | {"path": path.stem} if path.parent == storage.NOTEBOOKS else fields


def _train_runs(fields, path):
    """The runs of a `train` item."""
    _check_keys(
        fields, path, required=("model", "dataset", "recipe", "seeds"), optional=("limits",)
    )
    _check(_at(path, fields, "model"), check_name, "model", fields["model"], registry.names())
    _check(_at(path, fields, "dataset"), check_name, "dataset", fields["dataset"], datasets.names())
    _check(_at(path, fields, "recipe"), recipes.recipe, str(fields["recipe"]))
    seeds = fields["seeds"]
    if type(seeds) is int and seeds > 0:
        seeds = range(seeds)
    if (
        not seeds
        or not isinstance(seeds, list | range)
        or not all(type(seed) is int and seed >= 0 for seed in seeds)
    ):
        raise InputError(
            f"{_at(path, fields, 'seeds')}: expected how many seeds (5 is 0 to 4) or a list like [0, 7], got {seeds!r}"
        )
    what = {key: fields[key] for key in ("model", "dataset", "recipe")}
    return [Run("train", {**what, "seed": seed}) for seed in seeds]


def _notebook_runs(fields, path):
    """The runs of a `notebook` item: one for each combination of its grid, and for each notebook of the course if its path is `all`."""
    if fields.get("path") == "all":
        every = [_with_path(fields, name) for name in notebooks.names()]
        return [run for each in every for run in _notebook_runs(each, path)]
    _check_keys(fields, path, required=("path",), optional=("parameters", "grid", "limits"))
    notebook = str(fields["path"])
    beside = path.parent / notebook
    notebook = _check(
        _at(path, fields, "path"), notebooks.find, beside if beside.is_file() else notebook
    )
    parameters, grid = _mapping(fields, "parameters", path), _mapping(fields, "grid", path)
    for name, values in grid.items():
        if not isinstance(values, list) or not values:
            raise InputError(f"{_at(path, grid, name)}: expected a list of values, got {values!r}")
        if name in parameters:
            raise InputError(f"{_at(path, grid, name)}: is already set under parameters")
    single = {
        name: _check(
            _at(path, parameters, name), notebooks.checked, notebook, {name: parameters[name]}
        )
        for name in parameters
    }
    choices = [
        [
            _check(_at(path, grid, name), notebooks.checked, notebook, {name: value})
            for value in values
        ]
        for name, values in grid.items()
    ]
    merged = [
        {k: v for choice in (*single.values(), *chosen) for k, v in choice.items()}
        for chosen in itertools.product(*choices)
    ]
    return [Run("notebook", {"path": str(notebook), "parameters": values}) for values in merged]


def _with_path(fields, name):
    changed = _Mapping(fields | {"path": name})
    changed.line, changed.lines = fields.line, fields.lines
    return changed


def _limits(fields, path, default):
    """`fields` of a `limits` mapping as Limits; what it does not name is as in `default`."""
    for key in fields:
        _check(_at(path, fields, key), check_name, "key", key, ("minutes", "memory"))
    found = dataclasses.asdict(default)
    if "minutes" in fields:
        minutes = found["minutes"] = fields["minutes"]
        if (
            isinstance(minutes, bool)
            or not isinstance(minutes, int | float)
            or not 0 < minutes < math.inf
        ):
            raise InputError(
                f"{_at(path, fields, 'minutes')}: expected a number above 0, got {minutes!r}"
            )
    if "memory" in fields:
        text = str(fields["memory"])
        match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([A-Za-z]+)", text)
        if not match or match[2] not in UNITS or not float(match[1]):
            raise InputError(
                f"{_at(path, fields, 'memory')}: expected a size like 4 GB (or {', '.join(UNITS)}), got {text!r}"
            )
        found["memory"] = int(float(match[1]) * UNITS[match[2]])
    return Limits(**found)


def _mapping(fields, key, path):
    """The mapping under `key`, empty if there is none."""
    mapping = fields.get(key) or {}
    if not isinstance(mapping, dict):
        raise InputError(f"{_at(path, fields, key)}: expected names and values, got {mapping!r}")
    return mapping


def _check_keys(fields, path, required, optional=()):
    for key in fields:
        _check(f"{_at(path, fields, key)}", check_name, "key", key, (*required, *optional))
    for key in required:
        if key not in fields:
            raise InputError(
                f"{path}:{fields.line}: {key}: is missing; expected {', '.join(required)}"
            )


def _at(path, mapping, key):
    return f"{path}:{mapping.lines[key]}: {key}"


def _check(where, function, *arguments):
    """Call `function`, and say where in the file what it complains of stands."""
    try:
        return function(*arguments)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


class _Mapping(dict):
    """A mapping of the file: `line` is where it begins, `lines` where each key stands."""


class _List(list):
    """A list of the file: `lines` is where each item stands."""


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, with line numbers and without keys that are given twice."""

    def mapping(self, node):
        mapping = _Mapping()
        mapping.line, mapping.lines = node.start_mark.line + 1, {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node)
            if not isinstance(key, str) or key in mapping:
                problem = (
                    f"{key!r} is given twice" if isinstance(key, str) else f"{key!r} is not a name"
                )
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            mapping[key] = self.construct_object(value_node, deep=True)
            mapping.lines[key] = key_node.start_mark.line + 1
        return mapping

    def construct_object(self, node, deep=False):
        try:
            return super().construct_object(node, deep)
        except ValueError as error:  # 2026-02-30: written as a date, but there is no such day
            raise yaml.constructor.ConstructorError(
                None, None, str(error), node.start_mark
            ) from error

    def sequence(self, node):
        sequence = _List(self.construct_object(child, deep=True) for child in node.value)
        sequence.lines = [child.start_mark.line + 1 for child in node.value]
        return sequence


_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.mapping)
_Loader.add_constructor("tag:yaml.org,2002:seq", _Loader.sequence)
_Loader.add_constructor("tag:yaml.org,2002:merge", _Loader.construct_scalar)  # `<<`: an unknown key


def _load(path):
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not text in UTF-8") from error
    except yaml.MarkedYAMLError as error:
        raise InputError(
            f"{path}:{error.problem_mark.line + 1}: is not valid YAML here: {error.problem}"
        ) from error
    except yaml.YAMLError as error:  # a character that YAML does not allow
        raise InputError(f"{path}: is not YAML: {error}") from error
