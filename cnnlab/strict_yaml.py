"""Read YAML as plain values, with the line of each.

Accepted are mappings with text keys, lists, text, decimal numbers, booleans and null. Dates and
numbers in other notations (0x10, 010, 1:30) stay text, which a check of types then refuses.
"""

import os
import re
from typing import Any

import yaml

from cnnlib import storage
from cnnlib.errors import InputError, shown

MAX_DEPTH = 20  # mappings and lists inside each other
MAX_VALUES = 100_000  # with every alias written out

# The C parser is ten times faster; PyYAML has it on all common platforms.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_EXPONENT = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+", re.ASCII)  # 1e-4: text to YAML 1.1
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9_]{0,17})", re.ASCII)

# {where: line}: `where` is the path of keys and indices to a value, () for the whole.
Lines = dict[tuple[str | int, ...], int]


def read(path: str | os.PathLike[str]) -> tuple[Any, Lines]:
    """Return the value that a YAML file holds, and the lines of its parts.

    Raises:
        InputError: the file is not valid, with `file:line:` and the reason.
        OSError: the file cannot be read.
    """
    text = storage.existing_file(path).read_bytes()
    lines: Lines = {(): 1}
    try:
        depth = 0  # is looked at beforehand: libyaml's composer recurses without a limit
        for event in yaml.parse(text, Loader=_LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise _error(event, f"more than {MAX_DEPTH} levels of lists and mappings")
        node = yaml.compose(text, Loader=_LOADER)
        return (None if node is None else _value(node, (), lines)), lines
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)  # what is not text in UTF-8 has no line
        where = f"{os.fspath(path)}:{mark.line + 1}" if mark else os.fspath(path)
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(f"{where}: is not valid YAML: {reason}") from error


def _value(node, where, lines):
    """The plain value of a node; the lines of its parts are put into `lines`."""
    lines.setdefault(where, node.start_mark.line + 1)
    if len(lines) > MAX_VALUES or len(where) > MAX_DEPTH:
        raise _error(node, f"more than {MAX_VALUES:,} values, with aliases written out")
    kind, text = node.tag.removeprefix("tag:yaml.org,2002:"), node.value
    if kind == "seq" and isinstance(text, list):
        return [_value(part, (*where, i), lines) for i, part in enumerate(text)]
    if kind == "map" and isinstance(text, list):
        found = {}
        for name, part in text:
            if not name.tag.endswith((":str", ":merge")):
                raise _error(name, "a name must be text, in quotes if it looks like a number")
            if name.value in found:
                raise _error(name, f"{shown(name.value)} is given twice")
            lines[*where, name.value] = name.start_mark.line + 1
            found[name.value] = _value(part, (*where, name.value), lines)
        return found
    if kind in ("null", "bool") or (kind == "float" and ":" not in text):
        return yaml.constructor.SafeConstructor().construct_object(node)
    if kind == "str" and not node.style and _EXPONENT.fullmatch(text):
        return float(text)
    if kind == "int" and _DECIMAL.fullmatch(text):
        return int(text.replace("_", ""))
    if kind in ("str", "int", "float", "timestamp", "merge", "value"):
        return text
    raise _error(node, f"the tag {shown(node.tag)} is not accepted: write the plain value")


def _error(place, problem):
    return yaml.MarkedYAMLError(problem=problem, problem_mark=place.start_mark)
