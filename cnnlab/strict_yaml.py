"""Read YAML files strictly: plain values with their line numbers, and limits on size and depth.

Only what a settings file needs is accepted: mappings with text keys, lists, text, numbers, booleans
and null. Dates, explicit tags, merge keys, repeated keys and numbers in other notations are errors
that name the file and the line.
"""

import dataclasses
import os
import pathlib
import re
from typing import Any

import yaml

from cnnlib.errors import InputError

MAX_BYTES = 1_000_000  # of a file
MAX_DEPTH = 20  # mappings and lists inside each other
MAX_VALUES = 100_000  # with every alias written out
MAX_INTEGER = 2**63 - 1

# The C parser is ten times faster; PyYAML has it on all common platforms.
_PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER = yaml.resolver.Resolver()
_PREFIX = "tag:yaml.org,2002:"


class Mapping(dict):
    """A mapping of the file: `line` is where it begins, `lines` where each key is."""

    line: int
    lines: dict[str, int]


class List(list):
    """A list of the file: `line` is where it begins, `lines` where each item is."""

    line: int
    lines: list[int]


def read(path: str | os.PathLike[str]) -> Any:
    """Return the value that a YAML file holds.

    Raises:
        InputError: the file is not valid, with `file:line:` and the reason.
        OSError: the file cannot be read.
    """
    path = pathlib.Path(path)
    with open(path, "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise InputError(
            f"{path}: is larger than the {MAX_BYTES:,} bytes that are allowed for such a file"
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not text in UTF-8") from error
    return parse(text, str(path))


def parse(text: str, name: str) -> Any:
    """Return the value that a YAML text holds; `name` stands for it in messages. See `read`."""
    builder = _Builder(name)
    try:
        for event in yaml.parse(text, Loader=_PARSER):
            builder.add(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise InputError(
            f"{name}:{mark.line + 1}: is not valid YAML here: {error.problem or error.context}"
        ) from error
    except yaml.YAMLError as error:  # a character that YAML does not allow has no line
        raise InputError(f"{name}: is not YAML: {str(error).splitlines()[0]}") from error
    return builder.value


@dataclasses.dataclass
class _Open:
    """A mapping or list whose end has not been read yet."""

    value: Mapping | List
    anchor: str | None
    key: str | None = None  # of a mapping: the key whose value comes next
    size: int = 1


class _Builder:
    """Turns the parser's events into values, without recursion."""

    def __init__(self, name: str):
        self.name, self.value = name, None
        self.open: list[_Open] = []
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.documents = 0

    def add(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise self._error(line, "a second document (---): expected one")
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise self._error(line, f"nothing before this line is named &{event.anchor}")
            self._place(*self.anchors[event.anchor], line)
        elif isinstance(event, yaml.ScalarEvent):
            self._refuse_tag(event, line)
            value = self._scalar(event, line)
            if event.anchor:
                self.anchors[event.anchor] = value, 1
            self._place(value, 1, line)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._begin(event, line)
        elif isinstance(event, yaml.CollectionEndEvent):
            closed = self.open.pop()
            if closed.anchor:
                self.anchors[closed.anchor] = closed.value, closed.size
            self._place(closed.value, closed.size, closed.value.line)

    def _begin(self, event, line):
        self._refuse_tag(event, line)
        if len(self.open) == MAX_DEPTH:
            raise self._error(line, f"more than {MAX_DEPTH} levels of lists and mappings")
        value = Mapping() if isinstance(event, yaml.MappingStartEvent) else List()
        value.line, value.lines = line, {} if isinstance(value, Mapping) else []
        self._expect_value(value, line)
        self.open.append(_Open(value, event.anchor))

    def _place(self, value, size, line):
        """Put a finished value into the mapping or list that is open."""
        if not self.open:
            self.value = value
            return
        parent = self.open[-1]
        parent.size += size
        if parent.size > MAX_VALUES:
            raise self._error(line, f"more than {MAX_VALUES:,} values, with aliases written out")
        if isinstance(parent.value, List):
            parent.value.append(value)
            parent.value.lines.append(line)
        elif parent.key is None:
            self._expect_value(value, line)
            if value in parent.value:
                raise self._error(line, f"{value!r} is given twice")
            parent.key = value
            parent.value.lines[value] = line
        else:
            parent.value[parent.key] = value
            parent.key = None

    def _expect_value(self, value, line):
        """Raise InputError if `value` stands where a key is expected and is not text."""
        parent = self.open[-1] if self.open else None
        if parent and isinstance(parent.value, Mapping) and parent.key is None:
            if isinstance(value, Mapping | List):
                raise self._error(line, "a list or mapping is not a name")
            if not isinstance(value, str):
                raise self._error(line, f"{value!r} is not a name")

    def _refuse_tag(self, event, line):
        if event.tag is not None:
            raise self._error(
                line,
                f"explicit tags such as {short(event.tag)} are not accepted: write the plain value",
            )

    def _scalar(self, event, line):
        text = event.value
        if not event.implicit[0]:  # quoted, or a block of text
            return text
        kind = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False)).removeprefix(_PREFIX)
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() in ("yes", "true", "on")
        if kind == "timestamp":
            raise self._error(line, f"{text} is a date: write it in quotes if it is meant as text")
        if kind == "int":
            return self._integer(text, line)
        if kind == "float":
            return self._float(text, line)
        return text

    def _integer(self, text, line):
        if re.fullmatch(r"0[0-9]+", text):  # such as the number of a notebook
            return text
        if not re.fullmatch(r"[-+]?(0|[1-9][0-9_]*)", text):
            raise self._error(
                line,
                f"{short(text)} is a number in another notation: write it with decimal digits, or "
                "in quotes if it is meant as text",
            )
        digits = text.replace("_", "")
        if len(digits) > 20 or abs(int(digits)) > MAX_INTEGER:
            raise self._error(
                line, f"{short(text)} is too large: whole numbers go up to {MAX_INTEGER}"
            )
        return int(digits)

    def _float(self, text, line):
        if ":" in text:
            raise self._error(
                line, f"{short(text)} is read as a time: write it in quotes if it is meant as text"
            )
        special = re.fullmatch(r"([-+]?)\.(inf|nan)", text, re.IGNORECASE)
        return float(special[1] + special[2] if special else text.replace("_", ""))

    def _error(self, line, problem):
        return InputError(f"{self.name}:{line}: is not valid YAML here: {problem}")


def short(value: Any, most: int = 60) -> str:
    """Return the text of a value for a message, cut to `most` characters."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."
