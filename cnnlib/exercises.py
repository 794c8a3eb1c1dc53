"""Check a learner's answer to an exercise: a number, numbers, a text, a function or a net.

The author of an exercise seals the right answer with the tolerance (`seal`, `seal_net`) and writes
the sealed text into the notebook, so that nobody reads the answer by accident. The four checks
print what is to be said of the learner's answer, with a hint if it is wrong, and return True,
False, or None if there is no answer yet.
"""

import base64
import copy
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from cnnlib.errors import InputError

NO_ANSWER = "No answer yet: replace None above, run that cell, then this one."
_NUMBER = r"[+-]?(?:\d[\d.,_\s]*\d|\d|\.\d+)(?:e[+-]?\d+)?"


def check(answer: Any, sealed: str, hint: str = "") -> bool | None:
    """Say whether an answer is the one that `seal` sealed.

    A number may be of any type, a text such as "61,706" or "4.8 %", or an array or tensor of one
    element. Several numbers may be a list, a tuple, an array or a text such as "4 and 9". In a
    text, case, punctuation and blanks do not matter.
    """
    right = _opened(sealed)
    if answer is None:
        print(f"{NO_ANSWER} The answer is {_kind(right)}.")
        return None
    judge = _judge_text if isinstance(right["answer"], str) else _judge_numbers
    is_right, remark = judge(answer, right)
    return _report(is_right, _shown(answer), f"The answer is {_kind(right)}.", remark, hint)


def check_function(
    function: Callable | None,
    cases: Iterable[tuple[Sequence[Any], Any]],
    tolerance: float = 1e-6,
    hint: str = "",
) -> bool | None:
    """Say whether a function returns what is expected in each case.

    Args:
        function: the learner's function.
        cases: (arguments, expected result) of each call. Give several that differ in each
            argument, so that a function that ignores one is found out.
        tolerance: how far each number may be from the expected one, times the larger of 1 and it.
        hint: printed after a wrong answer.
    """
    if function is None:
        print(NO_ANSWER)
        return None
    if not callable(function):
        return _report(False, _shown(function), "The answer is a function.", "", hint)
    cases = list(cases)
    for arguments, expected in cases:
        given = copy.deepcopy(list(arguments))
        try:
            problem = _difference(function(*given), expected, tolerance)
        except Exception as error:
            problem = f"raises {type(error).__name__}: {error}"
        if not problem and not _equal(given, arguments):
            problem = "changes its argument: work on a copy"
        if problem:
            name = getattr(function, "__name__", "your function")
            call = f"{name}({', '.join(map(_shown, arguments))})"
            return _report(False, call, "", problem, hint)
    print(f"Right, in {len(cases)} cases, within {tolerance:g}.")
    return True


def check_net(net: Any, sealed: str, hint: str = "") -> bool | None:
    """Say whether a Keras net is the one that was asked for: its input, its output, its weights.

    The net may be Sequential or functional, its layers may have any names, and it may end with
    logits or with their softmax. `sealed` is what `seal_net` made of the right one.
    """
    if net is None:
        print(NO_ANSWER)
        return None
    right = _opened(sealed)["net"]
    try:
        found = _anatomy(net)
    except Exception:
        asked = "The answer is a keras.Model with a known input shape."
        return _report(False, _shown(net), asked, "", hint)
    mine, theirs = found["weighted"], right["weighted"]
    remarks = []
    for what in ("input", "output"):
        if found[what] != right[what]:
            is_, asked = ("x".join(map(str, each[what])) for each in (found, right))
            remarks.append(f"its {what} is {is_}, and {asked} was asked for")
    for layer, own, wanted in zip(_weighted(net), mine, theirs, strict=False):
        if own != wanted:
            remarks.append(f"look at the layer {layer.name} ({own[0]}, {own[1]:,} parameters)")
    if len(mine) != len(theirs):
        remarks.append(f"it has {len(mine)} layers with weights, and {len(theirs)} were asked for")
    if remarks:
        return _report(False, f"the net {net.name}", "", remarks[0], hint)
    print(f"Right: {sum(count for _, count in mine):,} parameters.")
    return True


def check_below(value: Any, limit: float, unit: str = "%", hint: str = "") -> bool | None:
    """Say whether a measured value, such as a test error in per cent, is below a limit.

    The value is a number in any form that `check` takes; `unit` is that of both.
    """
    if value is None:
        print(f"{NO_ANSWER} The answer is a number below {limit:g} {unit}.")
        return None
    found = next((each for each in _numbers(value) if 0 <= each < math.inf), None)
    if found is None:
        return _report(False, _shown(value), f"The answer is a number in {unit}.", "", hint)
    if unit == "%" and found < min(1, limit / 10):  # no error of this course is so small
        return _report(False, _shown(value), "", "that looks like a share: give per cent", hint)
    if found < limit:
        print(f"Right: {found:.4g} {unit} is below {limit:g} {unit}.")
        return True
    if unit == "%" and found > 100 - limit > 50:
        hint = "Is it the share of right answers? The error is 100 minus that."
    print(f"Not yet: {found:.4g} {unit} is not below {limit:g} {unit}. {hint}".rstrip())
    return False


def seal(
    answer: float | str | Sequence[float],
    tolerance: float | None = None,
    *,
    unit: str = "",
    ordered: bool = True,
    also: Sequence[str] = (),
    wrong: Mapping[float | str, str] | None = None,
) -> str:
    """Seal the right answer to an exercise, for the notebook's call of `check`.

    Args:
        answer: a number, several numbers, or a text.
        tolerance: how far a number may be from the right one. Whole numbers are exact unless it is
            given; other numbers need it. Make it half a unit of the last digit that the solution
            prints, or more.
        unit: of the number, such as "%": it is told to the learner.
        ordered: whether the order of several numbers matters.
        also: other texts that are as right.
        wrong: {a usual wrong answer: what to say of it}.

    Raises:
        InputError: if a number that is not whole has no tolerance.
    """
    content: dict[str, Any]
    if isinstance(answer, str):
        content = {"answer": _plain(answer), "also": [_plain(text) for text in also]}
    else:
        values = np.asarray(answer, dtype=float)
        whole = np.array_equal(values, np.rint(values))
        if tolerance is None and not whole:
            raise InputError(
                f"the answer {answer!r} is not whole: give the tolerance within which an "
                "answer counts as right"
            )
        content = {"answer": (values.astype(int) if whole else values).tolist()}
        content |= {"tolerance": float(tolerance or 0)} | ({} if ordered else {"ordered": False})
    content |= {"unit": unit, "wrong": {str(value): text for value, text in (wrong or {}).items()}}
    return _sealed({key: value for key, value in content.items() if value or key != "unit"})


def seal_net(net: Any) -> str:
    """Seal a Keras net that an exercise asks for, for the notebook's call of `check_net`."""
    return _sealed({"net": _anatomy(net)})


def _report(is_right: bool, shown: str, expected: str, remark: str, hint: str) -> bool:
    if is_right:
        print(" ".join(part for part in ("Right.", remark) if part))
    else:
        problem = f"{shown}: {remark}." if remark else f"{shown} is not the answer."
        print(" ".join(part for part in (f"Not yet: {problem}", expected, hint) if part))
    return is_right


def _kind(right: Mapping[str, Any]) -> str:
    """Return what kind of answer is right, with the tolerance, and nothing of the answer itself."""
    if isinstance(right["answer"], str):
        return "a text"
    values = np.asarray(right["answer"])
    unit = f" in {right['unit']}" if right.get("unit") else ""
    tolerance = right.get("tolerance", 0)
    if values.size == 1:
        if tolerance:
            return f"a number{unit}, right within {tolerance:g}"
        return f"a whole number{unit}"
    order = "" if right.get("ordered", True) else " in any order"
    accuracy = f", each right within {tolerance:g}" if tolerance else ""
    return f"{values.size} numbers{unit}{order}{accuracy}"


# Numbers


def _judge_numbers(answer: Any, right: Mapping[str, Any]) -> tuple[bool, str]:
    wanted = np.ravel(np.asarray(right["answer"], dtype=float))
    tolerance = right.get("tolerance", 0)
    # A little more than the tolerance: the limit itself is right, whatever binary fractions say.
    reach = tolerance * (1 + 1e-6) + 1e-9 * np.abs(wanted)
    if wanted.size == 1:
        found = _numbers(answer)
        if any(abs(value - wanted[0]) <= reach[0] for value in found):
            return True, f"(within {tolerance:g})" if tolerance else ""
        return False, _remark(found[0], float(wanted[0]), float(reach[0]), right) if found else ""
    values = _several(answer)
    if values is None:
        return False, ""
    if values.size != wanted.size:
        return False, f"{values.size} numbers, and {wanted.size} were asked for"
    in_order = (np.abs(values - wanted) <= reach).all()
    if in_order or (np.abs(np.sort(values) - np.sort(wanted)) > reach.max()).any():
        return bool(in_order), ""
    if not right.get("ordered", True):
        return True, ""
    return False, "the numbers are right, but their order is not"


def _remark(value: float, wanted: float, reach: float, right: Mapping[str, Any]) -> str:
    """Return what is to be said of a wrong number: a usual mistake, if it is one."""
    for wrong, remark in right.get("wrong", {}).items():
        if abs(value - float(wrong)) <= max(reach, 1e-6):
            return remark
    if not math.isfinite(value):
        return "that is no finite number"
    remarks = {-1.0: "look at the sign"}
    if right.get("unit") == "%":
        remarks |= dict.fromkeys((100.0, 0.01), "per cent or a share? Look at the unit")
    powers = [1000.0**power for power in (-3, -2, -1, 1, 2, 3)]
    remarks |= dict.fromkeys(powers, "thousands, millions? Look at the unit")
    for factor, remark in remarks.items():
        if wanted and abs(factor * value - wanted) <= max(reach, 1e-3 * abs(wanted)):
            return remark
    if right.get("tolerance", 0):
        close = abs(value - wanted) <= 5 * reach
        return "close, but not within the tolerance: give more digits" if close else ""
    return "off by one" if abs(value - wanted) == 1 else ""


def _numbers(answer: Any) -> list[float]:
    """Return what number an answer may mean: none, one, or two where a comma is ambiguous."""
    if isinstance(answer, bool | np.bool_):
        return []
    if not isinstance(answer, str):
        values = _several(answer)
        return values.tolist() if values is not None and values.size == 1 else []
    found = re.findall(_NUMBER, answer.lower().replace("\u2212", "-"))
    if len(found) != 1:  # of a text with words or a unit around one number
        return []
    digits = re.sub(r"[_\s]", "", found[0])
    readings = [digits.replace(",", ".")]
    if re.match(r"[+-]?\d{1,3}(,\d{3})+(?!\d)", digits):  # 61,706 or, less likely, 1,097
        readings.insert(0, digits.replace(",", ""))
    return [float(reading) for reading in readings if reading.count(".") <= 1]


def _several(answer: Any) -> np.ndarray | None:
    """Return numbers as a flat array, or None if the answer is nothing of the kind."""
    if isinstance(answer, str):
        found = re.findall(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", answer.lower())
        return np.array([float(number) for number in found]) if found else None
    try:
        values = np.asarray(list(answer) if isinstance(answer, (set, frozenset)) else answer)
        if values.dtype.kind == "U":
            return np.array([_numbers(str(part))[0] for part in np.ravel(values)])
        return np.ravel(values).astype(float) if values.dtype.kind in "iufO" else None
    except Exception:  # whatever an object does when it is asked for numbers
        return None


# Texts


def _judge_text(answer: Any, right: Mapping[str, Any]) -> tuple[bool, str]:
    given = _plain(str(answer))
    if given in (right["answer"], *right.get("also", ())):
        return True, ""
    wrong = {_plain(text): remark for text, remark in right.get("wrong", {}).items()}
    return False, wrong.get(given, "")


def _plain(text: str) -> str:
    """Return a text without what does not matter: case, punctuation, hyphens, blanks."""
    return " ".join(re.sub(r"[^\w%+.]+|\.(?!\d)", " ", text.casefold()).replace("_", " ").split())


# Functions


def _difference(result: Any, expected: Any, tolerance: float) -> str:
    """Return how a result differs from the expected one, "" if it does not."""
    if result is None:
        return "returns None: end with return"
    if isinstance(expected, str):
        return "" if _plain(str(result)) == _plain(expected) else f"returns {_shown(result)}"
    try:
        found, wanted = np.asarray(result), np.asarray(expected, dtype=float)
        numeric = found.dtype.kind in "biuf"
    except Exception:
        numeric = False
    if not numeric:
        return f"returns {_shown(result)}, which is not numbers"
    if found.shape != wanted.shape and not (found.size == wanted.size == 1):
        return f"returns the shape {found.shape}, and {wanted.shape} was expected"
    found = found.astype(float).reshape(wanted.shape)
    off = ~np.isclose(found, wanted, rtol=tolerance, atol=tolerance, equal_nan=True)
    if not off.any():
        return ""
    if wanted.size <= 24:
        return f"returns {_shown(result)}, and {_shown(expected)} was expected"
    first = tuple(np.argwhere(off)[0].tolist())
    return (
        f"differs from what was expected at {off.sum():,} of {off.size:,} places, first at "
        f"{list(first)}: {found[first]:.6g}, expected {wanted[first]:.6g}"
    )


def _equal(given: Sequence[Any], arguments: Sequence[Any]) -> bool:
    try:
        np.testing.assert_equal(given, list(arguments))
    except AssertionError:
        return False
    return True


def _shown(value: Any) -> str:
    """Return a value as short text: an array by its shape if it is large."""
    if isinstance(value, np.ndarray) and value.size > 24:
        return f"array of shape {value.shape}"
    if isinstance(value, (np.ndarray, np.generic)):
        value = (np.round(value, 4) if value.dtype.kind == "f" else value).tolist()
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


# Nets


def _anatomy(net: Any) -> dict[str, Any]:
    """Return what matters of a Keras net: input and output shape, and its layers with weights."""
    return {
        "input": list(net.input_shape[1:]),
        "output": list(net.output_shape[1:]),
        "weighted": [[type(layer).__name__, int(layer.count_params())] for layer in _weighted(net)],
    }


def _weighted(net: Any) -> list[Any]:
    """Return the layers with weights of a net and of the nets inside it, in order."""
    inner = [_weighted(layer) if hasattr(layer, "layers") else [layer] for layer in net.layers]
    return [layer for layers in inner for layer in layers if layer.count_params()]


# Sealing: nobody reads the answer by accident. It is no secret from those who want to know.


def _sealed(content: Mapping[str, Any]) -> str:
    data = json.dumps(content, separators=(",", ":")).encode()
    check_sum = hashlib.sha256(data).digest()[:2]
    return base64.urlsafe_b64encode(check_sum + _mixed(data, check_sum)).decode().rstrip("=")


def _opened(sealed: str) -> dict[str, Any]:
    try:
        raw = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
        data = _mixed(raw[2:], raw[:2])
        if hashlib.sha256(data).digest()[:2] != raw[:2]:
            raise ValueError
        return json.loads(data)
    except (ValueError, TypeError, AttributeError):
        raise InputError(
            f"{sealed!r} is no sealed answer: copy the exercise's check cell from the notebook "
            "again, or make one with exercises.seal"
        ) from None


def _mixed(data: bytes, salt: bytes) -> bytes:
    stream = b"".join(
        hashlib.sha256(salt + str(block).encode()).digest() for block in range(len(data) // 32 + 1)
    )
    return bytes(a ^ b for a, b in zip(data, stream, strict=False))
