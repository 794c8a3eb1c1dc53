"""Batches: a YAML file that lists many runs, read strictly, and a plain engine that runs them one after the other.

The file is a list. Each item is a net to train, or a notebook to run:

    # what it is for; the command; the minutes on two cores; the figures to expect
    - train: {model: lenet-5, dataset: mnist, recipe: plain, seeds: 5}   # seeds 0 to 4; or a list: [0, 7]
    - notebook:
        path: 03_lenet1                # a name, a number, or a file beside the batch file
        parameters: {epochs: 2}        # optional: the same in each run
        grid: {learning_rate: [1.0e-3, 1.0e-2], seed: [0, 1, 2]}   # optional: one run for each combination

Names, types and parameters are all checked before the first run starts.
"""

import dataclasses
import hashlib
import itertools
import json
import pathlib
import re
import subprocess
import sys
import time

from cnnlib import files, notebooks
from cnnlib.errors import InputError, check_name

import yaml


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of a batch. `fields`: model, dataset, recipe, seed if `kind` is "train"; path, parameters if it is "notebook"."""

    kind: str
    fields: dict

    def __str__(self):
        if self.kind == "train":
            return "{model} {dataset} {recipe} seed {seed}".format(**self.fields)
        return " ".join([pathlib.Path(self.fields["path"]).stem, *(f"{k}={v}" for k, v in self.fields["parameters"].items())])

    @property
    def key(self):
        """What two equal runs share (str)."""
        return json.dumps([self.kind, self.fields], sort_keys=True, default=str)


def read(path):
    """The runs of a batch file, list[Run] in the file's order, seeds and grids expanded.

    Raises InputError, `file:line: key: what is wrong, what is expected`, for anything that cannot be run as it stands there.
    """
    path = pathlib.Path(path)
    items = _load(path)
    if not isinstance(items, list) or not items:
        raise InputError(f"{path}:1: expected a list of `- train: ...` and `- notebook: ...` items")
    expand = {"train": _train_runs, "notebook": _notebook_runs}
    runs, seen = [], {}
    for line, item in zip(items.lines, items, strict=True):
        if not isinstance(item, dict) or len(item) != 1:
            raise InputError(f"{path}:{line}: expected one `train: ...` or `notebook: ...`, got {item!r}")
        ((kind, fields),) = item.items()
        _check(f"{path}:{line}", check_name, "kind of item", kind, expand)
        if not isinstance(fields, dict):
            raise InputError(f"{path}:{line}: {kind}: expected keys and values, got {fields!r}")
        for run in expand[kind](fields, path):
            if run.key in seen:
                raise InputError(f"{path}:{line}: {kind}: {run} is already in the item of line {seen[run.key]}")
            seen[run.key] = line
            runs.append(run)
    return runs


def is_done(run):
    """True if the results have this run already, from this source code or this very notebook."""
    from cnnlib import runs

    return runs.is_done(**run.fields) if run.kind == "train" else _output(run).exists()


def run(path):
    """Run what a batch file lists and the results do not have yet, one process each. Returns the runs that failed, list[Run].

    A run that fails does not stop the others. What a run prints is kept in `logs/` in the results folder.
    """
    todo = [each for each in read(path) if not is_done(each)]
    logs = files.make_folder(files.results_folder() / "logs")
    failed, start = [], time.monotonic()
    for number, each in enumerate(todo, 1):
        log = logs / f"{_stem(each)}.log"
        with open(log, "w", encoding="utf-8") as notes:
            process = subprocess.run(_command(each), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=notes, text=True)
            notes.write(process.stdout)
        line = (process.stdout.strip().splitlines() or [str(each)])[-1]
        if process.returncode:
            failed.append(each)
            line = f"{each}: FAILED, see {log}"
        left = (time.monotonic() - start) / number * (len(todo) - number)
        print(f"[{number}/{len(todo)}] {line}" + (f" (about {left / 60:.0f} min left)" if left else ""), flush=True)
    return failed


def _command(run):
    command, fields = [sys.executable, "-m", "cnnlib"], run.fields
    if run.kind == "train":
        return [*command, "train", fields["model"], fields["dataset"], "--recipe", fields["recipe"], "--seed", str(fields["seed"])]
    values = [("-p", name, value if isinstance(value, str) else repr(value)) for name, value in fields["parameters"].items()]
    return [*command, "run", fields["path"], "-o", str(_output(run)), *itertools.chain(*values)]


def _stem(run):
    """A file name for a run: readable, and its own. A notebook that has changed is another run."""
    content = pathlib.Path(run.fields["path"]).read_bytes() if run.kind == "notebook" else b""
    digest = hashlib.sha256(run.key.encode() + content).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9._=-]+', '_', str(run))[:80]}-{digest}"


def _output(run):
    return files.results_folder() / "notebooks" / f"{_stem(run)}.ipynb"


def _train_runs(fields, path):
    """The runs of a `train` item."""
    from cnnlib import datasets, runs, training

    _check_keys(fields, path, required=("model", "dataset", "recipe", "seeds"))
    _check(_at(path, fields, "model"), check_name, "model", fields["model"], runs.names())
    _check(_at(path, fields, "dataset"), check_name, "dataset", fields["dataset"], datasets.names())
    _check(_at(path, fields, "recipe"), training.recipe, str(fields["recipe"]))
    seeds = fields["seeds"]
    if type(seeds) is int and seeds > 0:
        seeds = range(seeds)
    if not seeds or not isinstance(seeds, list | range) or not all(type(seed) is int and seed >= 0 for seed in seeds):
        raise InputError(f"{_at(path, fields, 'seeds')}: expected how many seeds (5 is 0 to 4) or a list like [0, 7], got {seeds!r}")
    what = {key: fields[key] for key in ("model", "dataset", "recipe")}
    return [Run("train", {**what, "seed": seed}) for seed in seeds]


def _notebook_runs(fields, path):
    """The runs of a `notebook` item: one for each combination of its grid."""
    _check_keys(fields, path, required=("path",), optional=("parameters", "grid"))
    notebook = str(fields["path"])
    beside = path.parent / notebook
    notebook = _check(_at(path, fields, "path"), notebooks.find, beside if beside.is_file() else notebook)
    parameters, grid = fields.get("parameters") or {}, fields.get("grid") or {}
    for key, mapping in {"parameters": parameters, "grid": grid}.items():
        if not isinstance(mapping, dict):
            raise InputError(f"{_at(path, fields, key)}: expected names and values, got {mapping!r}")
    for name, values in grid.items():
        if not isinstance(values, list) or not values:
            raise InputError(f"{_at(path, grid, name)}: expected a list of values, got {values!r}")
        if name in parameters:
            raise InputError(f"{_at(path, grid, name)}: is already set under parameters")
    single = {name: _check(_at(path, parameters, name), notebooks.checked, notebook, {name: parameters[name]}) for name in parameters}
    choices = [
        [_check(_at(path, grid, name), notebooks.checked, notebook, {name: value}) for value in values] for name, values in grid.items()
    ]
    merged = [{k: v for choice in (*single.values(), *chosen) for k, v in choice.items()} for chosen in itertools.product(*choices)]
    return [Run("notebook", {"path": str(notebook), "parameters": values}) for values in merged]


def _check_keys(fields, path, required, optional=()):
    for key in fields:
        _check(f"{_at(path, fields, key)}", check_name, "key", key, (*required, *optional))
    for key in required:
        if key not in fields:
            raise InputError(f"{path}:{fields.line}: {key}: is missing; expected {', '.join(required)}")


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
                problem = f"{key!r} is given twice" if key in mapping else f"{key!r} is not a name"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            mapping[key] = self.construct_object(value_node, deep=True)
            mapping.lines[key] = key_node.start_mark.line + 1
        return mapping

    def sequence(self, node):
        sequence = _List(self.construct_object(child, deep=True) for child in node.value)
        sequence.lines = [child.start_mark.line + 1 for child in node.value]
        return sequence


_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.mapping)
_Loader.add_constructor("tag:yaml.org,2002:seq", _Loader.sequence)


def _load(path):
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not text in UTF-8") from error
    except yaml.MarkedYAMLError as error:
        raise InputError(f"{path}:{error.problem_mark.line + 1}: is not valid YAML here: {error.problem}") from error
    except yaml.YAMLError as error:  # a character that YAML does not allow
        raise InputError(f"{path}: is not YAML: {error}") from error
