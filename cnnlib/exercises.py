"""Check a learner's answer to an exercise: a number, numbers, a text, a function or a net.

The author of an exercise seals the right answer with the tolerance (`seal`, `seal_net`) and writes
the sealed text into the notebook, so that nobody reads the answer by accident. `check` and
`check_net` then say whether the learner's answer is right, in whatever form it is given.
"""

import base64
import copy
import hashlib
import json
import math
import numbers
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from cnnlib.errors import InputError

NO_ANSWER = "No answer yet: replace None above, run that cell, then this one."
_NUMBER = r"[+-]?(?:\d[\d.,_'\u2009\u202f ]*\d|\d|\.\d+)(?:e[+-]?\d+)?"


def check(answer: Any, sealed: str, hint: str = "") -> bool | None:
    """Say whether an answer is right.

    A number may be of any type, a text such as "61,706" or "4.8 %", or an array or tensor of one
    element. Several numbers may be a list, a tuple, an array or a text such as "4 and 9". In a
    text, case, punctuation and blanks do not matter.

    Args:
        answer: the learner's answer, None if there is none yet.
        sealed: what `seal` made of the right answer.
        hint: printed after a wrong answer.

    Returns:
        True, False, or None if there is no answer yet.
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
        function: the learner's function, None if there is none yet.
        cases: (arguments, expected result) of each call. Give several that differ in each
            argument, so that a function that ignores one is found out.
        tolerance: how far each number may be from the expected one, times the larger of 1 and it.
        hint: printed after a wrong answer.

    Returns:
        True, False, or None if there is no function yet.
    """
    if function is None:
        print(NO_ANSWER)
        return None
    if not callable(function):
        return _report(False, _shown(function), "The answer is a function.", "", hint)
    count = 0
    for arguments, expected in cases:
        count += 1
        call = f"{getattr(function, '__name__', 'your function')}({_arguments(arguments)})"
        given = copy.deepcopy(list(arguments))
        try:
            result = function(*given)
        except Exception as error:
            problem = f"raises {type(error).__name__}: {error}"
            return _report(False, call, "", problem, hint)
        problem = _difference(result, expected, tolerance)
        if problem:
            return _report(False, call, "", problem, hint)
        if not all(_same(one, other) for one, other in zip(given, arguments, strict=True)):
            return _report(False, call, "", "changes its argument: work on a copy", hint)
    print(f"Right, in {count} cases, within {tolerance:g}.")
    return True


def check_net(net: Any, sealed: str, hint: str = "") -> bool | None:
    """Say whether a Keras net is the one that was asked for: its input, its output, its weights.

    The net may be Sequential or functional, its layers may have any names, and it may end with
    logits or with their softmax.

    Args:
        net: the learner's keras.Model, None if there is none yet.
        sealed: what `seal_net` made of the net that was asked for.
        hint: printed after a wrong answer.

    Returns:
        True, False, or None if there is no net yet.
    """
    if net is None:
        print(NO_ANSWER)
        return None
    right = _opened(sealed)["net"]
    shown = f"the net {getattr(net, 'name', '')}".strip()
    try:
        found = _anatomy(net)
    except Exception:
        return _report(
            False, _shown(net), "The answer is a keras.Model with a known input shape.", "", hint
        )
    for what in ("input", "output"):
        if found[what] != right[what]:
            remark = f"its {what} is {_by(found[what])}, and {_by(right[what])} was asked for"
            return _report(False, shown, "", remark, hint)
    for name, (kind, count), (right_kind, right_count) in zip(
        found["names"], found["weighted"], right["weighted"], strict=False
    ):
        if kind != right_kind or count != right_count:
            remark = f"look at the layer {name} ({kind}, {count:,} parameters)"
            return _report(False, shown, "", remark, hint)
    mine, theirs = len(found["weighted"]), len(right["weighted"])
    if mine != theirs:
        remark = f"it has {mine} layers with weights, and {theirs} were asked for"
        return _report(False, shown, "", remark, hint)
    print(f"Right: {sum(count for _, count in found['weighted']):,} parameters.")
    return True


def check_below(value: Any, limit: float, unit: str = "%", hint: str = "") -> bool | None:
    """Say whether a measured value, such as a test error in per cent, is below a limit.

    Args:
        value: a number in any form that `check` takes, None if there is none yet.
        limit: the value must be smaller.
        unit: of both.
        hint: printed after a value that is too large.

    Returns:
        True, False, or None if there is no value yet.
    """
    if value is None:
        print(f"{NO_ANSWER} The answer is a number below {limit:g} {unit}.")
        return None
    found = [number for number in _as_numbers(value) if math.isfinite(number)]
    if not found or min(found) < 0:
        return _report(False, _shown(value), f"The answer is a number in {unit}.", "", hint)
    if unit == "%" and found[0] < min(1, limit / 10):  # no error of this course is so small
        return _report(False, _shown(value), "", "that looks like a share: give per cent", hint)
    if found[0] < limit:
        print(f"Right: {found[0]:.4g} {unit} is below {limit:g} {unit}.")
        return True
    advice = f" {hint}" if hint else ""
    if unit == "%" and found[0] > 100 - limit > 50:
        advice = " Is it the share of right answers? The error is 100 minus that."
    print(f"Not yet: {found[0]:.4g} {unit} is not below {limit:g} {unit}.{advice}")
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
    content: dict[str, Any] = {"answer": answer}
    if isinstance(answer, str):
        content["answer"] = _plain(answer)
        if also:
            content["also"] = [_plain(text) for text in also]
    else:
        values = np.asarray(answer, dtype=float)
        whole = np.array_equal(values, np.rint(values))
        content["answer"] = (values.astype(int) if whole else values).tolist()
        if tolerance is None and not whole:
            raise InputError(
                f"the answer {answer!r} is not whole: give the tolerance within which an "
                "answer counts as right"
            )
        if tolerance:
            content["tolerance"] = float(tolerance)
        if not ordered:
            content["ordered"] = False
    if unit:
        content["unit"] = unit
    if wrong:
        content["wrong"] = {str(value): remark for value, remark in wrong.items()}
    return _sealed(content)


def seal_net(net: Any) -> str:
    """Seal a Keras net that an exercise asks for, for the notebook's call of `check_net`."""
    anatomy = _anatomy(net)
    del anatomy["names"]
    return _sealed({"net": anatomy})


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
    # A little more than the tolerance: the limit itself is right, whatever binary fractions say.
    tolerance = right.get("tolerance", 0) * (1 + 1e-6) + 1e-9 * np.abs(wanted)
    if wanted.size == 1:
        candidates = _as_numbers(answer)
        if not candidates:
            return False, ""
        for value in candidates:
            if abs(value - wanted[0]) <= tolerance[0]:
                return True, f"(within {right['tolerance']:g})" if right.get("tolerance", 0) else ""
        return False, _remark(candidates[0], float(wanted[0]), float(tolerance[0]), right)
    values = _as_list(answer)
    if values is None:
        return False, ""
    if values.size != wanted.size:
        return False, f"{values.size} numbers, and {wanted.size} were asked for"
    if not right.get("ordered", True):
        values, wanted = np.sort(values), np.sort(wanted)
    if (np.abs(values - wanted) <= tolerance).all():
        return True, ""
    if (np.abs(np.sort(values) - np.sort(wanted)) <= tolerance.max()).all():
        return False, "the numbers are right, but their order is not"
    return False, ""


def _remark(value: float, wanted: float, tolerance: float, right: Mapping[str, Any]) -> str:
    """Return what is to be said of a wrong number: a usual mistake, if it is one."""
    for wrong, remark in right.get("wrong", {}).items():
        if abs(value - float(wrong)) <= max(tolerance, 1e-6):
            return remark
    if not math.isfinite(value):
        return "that is no finite number"
    near = lambda other: abs(other - wanted) <= max(tolerance, 1e-3 * abs(wanted))  # noqa: E731
    if wanted and near(-value):
        return "look at the sign"
    if wanted and right.get("unit") == "%" and (near(100 * value) or near(value / 100)):
        return "per cent or a share? Look at the unit"
    if wanted and any(near(value * 1000.0**power) for power in (-3, -2, -1, 1, 2, 3)):
        return "thousands, millions? Look at the unit"
    if right.get("tolerance", 0) and abs(value - wanted) <= 5 * tolerance:
        return "close, but not within the tolerance: give more digits"
    if not right.get("tolerance", 0) and abs(value - wanted) == 1:
        return "off by one"
    return ""


def _as_numbers(answer: Any) -> list[float]:
    """Return what number an answer may mean: none, one, or two where a comma is ambiguous."""
    if isinstance(answer, str):
        return _numbers_of_text(answer)
    if isinstance(answer, (bool, np.bool_)):
        return []
    if isinstance(answer, numbers.Number) and not isinstance(answer, complex):
        try:
            return [float(answer)]  # type: ignore[arg-type]
        except OverflowError:  # a whole number of more than 308 digits
            return []
    values = _as_list(answer)
    return [float(values[0])] if values is not None and values.size == 1 else []


def _numbers_of_text(text: str) -> list[float]:
    text = text.strip().lower().replace("\u2212", "-").replace("\u00a0", " ")
    if fraction := re.fullmatch(r"([+-]?\d+)\s*/\s*(\d+)", text):
        below = int(fraction[2])
        return [float(Fraction(int(fraction[1]), below))] if below else []
    text = re.sub(r"\s*(?:\*|x|×|·)\s*10\s*(?:\*\*|\^)\s*([+-]?\d+)", r"e\1", text)
    # One number, with words or a unit around it.
    found = re.findall(_NUMBER, text)
    return _readings(found[0]) if len(found) == 1 else []


def _readings(text: str) -> list[float]:
    """Return the values that the digits of a number may stand for, the likelier first."""
    mantissa, _, exponent = re.sub(r"[_'\s\u2009\u202f]", "", text).partition("e")
    power = f"e{exponent}" if exponent else ""
    if "," not in mantissa:
        readings = [mantissa]
    elif "." in mantissa and mantissa.rindex(",") > mantissa.rindex("."):  # 1.234,5
        readings = [mantissa.replace(".", "").replace(",", ".")]
    elif re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", mantissa):  # 61,706 or, less likely, 1,097
        readings = [mantissa.replace(",", "")]
        if mantissa.count(",") == 1 and "." not in mantissa:
            readings.append(mantissa.replace(",", "."))
    else:
        readings = [mantissa.replace(",", ".")]
    values = []
    for reading in readings:
        try:
            values.append(float(reading + power))
        except ValueError:  # such as 1.2.3
            continue
    return values


def _as_list(answer: Any) -> np.ndarray | None:
    """Return several numbers as a flat array, or None if the answer is nothing of the kind."""
    if isinstance(answer, str):
        found = re.findall(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", answer.lower())
        return np.array([float(number) for number in found]) if found else None
    if isinstance(answer, (set, frozenset)):
        answer = list(answer)
    try:
        values = np.asarray(answer)
        if values.dtype.kind in "OU":
            parts = [_as_numbers(part) for part in np.ravel(values)]
            return np.array([part[0] for part in parts])
        return np.ravel(values).astype(float) if values.dtype.kind in "iuf" else None
    except Exception:  # whatever an object does when it is asked for numbers
        return None


# Texts


def _judge_text(answer: Any, right: Mapping[str, Any]) -> tuple[bool, str]:
    given = _plain(answer) if isinstance(answer, str) else _plain(str(answer))
    if given in (right["answer"], *right.get("also", ())):
        return True, ""
    for wrong, remark in right.get("wrong", {}).items():
        if given == _plain(wrong):
            return False, remark
    return False, ""


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
        found, wanted = np.asarray(result), np.asarray(expected)
        numeric = found.dtype.kind in "biuf"
    except Exception:
        numeric = False
    if not numeric:
        return f"returns {_shown(result)}, which is not numbers"
    if found.shape != wanted.shape and not (found.size == wanted.size == 1):
        return f"returns the shape {found.shape}, and {wanted.shape} was expected"
    found, wanted = found.astype(float).reshape(wanted.shape), wanted.astype(float)
    if np.allclose(found, wanted, rtol=tolerance, atol=tolerance, equal_nan=True):
        return ""
    if wanted.size <= 24:
        return f"returns {_shown(result)}, and {_shown(expected)} was expected"
    off = ~np.isclose(found, wanted, rtol=tolerance, atol=tolerance, equal_nan=True)
    first = tuple(int(i) for i in np.argwhere(off)[0])
    return (
        f"differs from what was expected at {off.sum():,} of {off.size:,} places, first at "
        f"{list(first)}: {found[first]:.6g}, expected {wanted[first]:.6g}"
    )


def _same(one: Any, other: Any) -> bool:
    try:
        return bool(np.array_equal(np.asarray(one), np.asarray(other), equal_nan=True))
    except TypeError:
        return bool(np.array_equal(np.asarray(one), np.asarray(other)))


def _arguments(arguments: Sequence[Any]) -> str:
    return ", ".join(_shown(argument) for argument in arguments)


def _shown(value: Any) -> str:
    """Return a value as short text: an array by its shape if it is large."""
    if isinstance(value, np.ndarray) and value.size > 24:
        return f"array of shape {value.shape}"
    if isinstance(value, np.ndarray):
        return str(np.round(value, 4).tolist() if value.dtype.kind in "f" else value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


# Nets


def _anatomy(net: Any) -> dict[str, Any]:
    """Return what matters of a Keras net: input and output shape, and its layers with weights."""
    weighted = [layer for layer in _layers(net) if layer.count_params()]
    return {
        "input": list(net.input_shape[1:]),
        "output": list(net.output_shape[1:]),
        "names": [layer.name for layer in weighted],
        "weighted": [[type(layer).__name__, int(layer.count_params())] for layer in weighted],
    }


def _layers(net: Any) -> list[Any]:
    """Return the layers of a net and of the nets inside it, in order."""
    return [
        inner
        for layer in net.layers
        for inner in (_layers(layer) if hasattr(layer, "layers") else [layer])
    ]


def _by(shape: Sequence[int | None]) -> str:
    return "x".join("any" if side is None else str(side) for side in shape)


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
