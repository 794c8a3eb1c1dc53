"""Check a learner's answer to an exercise: a number, numbers, a text, a function or a net.

The author of an exercise seals the right answer with the tolerance (`seal`, `seal_net`) and writes
the sealed text into the notebook, so that nobody reads the answer by accident. The four checks
print what is to be said of the learner's answer, with a hint if it is wrong, and return True,
False, or None if there is no answer yet.
"""

import base64
import copy
import json
import math
import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from itertools import zip_longest
from typing import Any

import numpy as np

from cnnlib.errors import InputError

NO_ANSWER = "No answer yet: replace None above, run that cell, then this one."
_NUMBER = r"(?:(?<![\d.])[+-])?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?"
_PARTS = ("units", "filters", "kernel_size", "pool_size", "strides", "padding", "use_bias")
_ZEROS = {"k": 3, "thousand": 3, "만": 4, "m": 6, "million": 6, "백만": 6, "billion": 9}


def check(answer: Any, sealed: str, hint: str = "") -> bool | None:
    """Say whether an answer is the one that `seal` sealed.

    A number may be of any type, a text such as "61,706", "4.8 %", "3 million" or "10^6", or an
    array or tensor of one element. Several numbers may be a list, a tuple, an array or a text such
    as "4 and 9" or "4-9". In a text, case, punctuation and blanks do not matter.
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
        if not problem and not all(map(np.array_equal, given, arguments)):
            problem = "changes its argument: work on a copy"
        if problem:
            name = getattr(function, "__name__", "your function")
            call = f"{name}({', '.join(map(_shown, arguments))})"
            return _report(False, call, "", problem, hint)
    print(f"Right, in {len(cases)} cases, within {tolerance:g}.")
    return True


def check_net(net: Any, sealed: str, hint: str = "") -> bool | None:
    """Say whether a Keras net computes what the net that was asked for, `sealed`, computes.

    Both answer the same inputs with the same weights. So the net may be Sequential or functional,
    an activation a layer or an argument, a dense layer a convolution over the whole map, and it may
    end with logits or with their softmax. If the answers differ, the layer where the two nets part
    is named. The weights of `net` are the same afterwards.
    """
    if net is None:
        print(NO_ANSWER)
        return None
    right = _opened(sealed)["net"]
    try:
        remark = _parting(net, right)
    except Exception:
        asked = "The answer is a keras.Model with one output and one input, of a known shape."
        return _report(False, _shown(net), asked, "", hint)
    if remark:
        return _report(False, f"the net {net.name}", "", remark, hint)
    print(f"Right: {net.count_params():,} parameters.")
    return True


def check_below(value: Any, limit: float, unit: str = "%", hint: str = "") -> bool | None:
    """Say whether a measured value, such as a test error in per cent, is below a limit.

    The value is a number in any form that `check` takes; `unit` is that of both.
    """
    if value is None:
        print(f"{NO_ANSWER} The answer is a number below {limit:g} {unit}.")
        return None
    found = next((read[0] for read in _readings(value) if len(read) == 1), math.nan)
    if not 0 <= found < math.inf:
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
        tolerance: how far a number may be from the right one: half a unit of the last digit that
            the solution prints, or more. Only a whole number needs none: it is exact then.
        unit: of the number, such as "%": it is told to the learner.
        ordered: whether the order of several numbers matters.
        also: other texts that are as right.
        wrong: {a usual wrong answer: what to say of it}. Of texts the learner is told them all.

    Raises:
        InputError: if a number that is not whole has no tolerance.
    """
    if isinstance(answer, str):
        content: dict[str, Any] = {
            "answer": _plain(answer),
            "also": [_plain(text) for text in also],
        }
    else:
        values = np.asarray(answer, dtype=float)
        whole = np.array_equal(values, np.rint(values))
        if tolerance is None and not whole:
            raise InputError(f"{answer!r} is not whole: give the tolerance")
        content = {"answer": (values.astype(int) if whole else values).tolist()}
        content |= {"tolerance": float(tolerance or 0)} | ({} if ordered else {"ordered": False})
    content |= {"unit": unit, "wrong": {str(value): text for value, text in (wrong or {}).items()}}
    return _sealed({key: value for key, value in content.items() if value or key != "unit"})


def seal_net(net: Any) -> str:
    """Seal a Keras net that an exercise asks for, for the notebook's call of `check_net`."""
    shape = list(net.input_shape[1:])
    output, numbers = _answers(net, shape)
    content = {"input": shape, "output": output, "numbers": numbers, "steps": _steps(net)}
    return _sealed({"net": content | {"parameters": net.count_params()}})


def _report(is_right: bool, shown: str, expected: str, remark: str, hint: str) -> bool:
    problem = f"{shown}: {remark}." if remark else f"{shown} is not the answer."
    parts = ("Right.", remark) if is_right else (f"Not yet: {problem}", expected, hint)
    print(" ".join(filter(None, parts)))
    return is_right


def _kind(right: Mapping[str, Any]) -> str:
    """Return what kind of answer is right, with the tolerance, and nothing of the answer itself."""
    if isinstance(right["answer"], str):
        choices = sorted([right["answer"], *right.get("wrong", {})])
        return "a text" if len(choices) == 1 else f"one of {', '.join(map(repr, choices))}"
    values = np.asarray(right["answer"])
    unit = f" in {right['unit']}" if right.get("unit") else ""
    within = f"right within {right['tolerance']:g}" if right.get("tolerance") else ""
    if values.size == 1:
        return f"a number{unit}, {within}" if within else f"a whole number{unit}"
    order = "" if right.get("ordered", True) else " in any order"
    return f"{values.size} numbers{unit}{order}{f', each {within}' if within else ''}"


def _judge_numbers(answer: Any, right: Mapping[str, Any]) -> tuple[bool, str]:
    wanted = np.ravel(np.asarray(right["answer"], dtype=float))
    tolerance, ordered = right.get("tolerance", 0), right.get("ordered", True)
    # A little more than the tolerance: the limit itself is right, whatever binary fractions say.
    reach = tolerance * (1 + 1e-6) + 1e-9 * np.abs(wanted).max()
    readings = _readings(answer)
    fitting = [np.array(read) for read in readings if len(read) == wanted.size]
    if any((np.abs(values - wanted) <= reach).all() for values in fitting):
        return True, f"(within {tolerance:g})" if tolerance and wanted.size == 1 else ""
    if not fitting:
        read = " and ".join(f"{value:.10g}" for value in (readings or [[]])[0])
        return False, f"that is read as {read}" if read else ""
    if wanted.size == 1:
        return False, _remark(fitting[0][0], wanted[0], reach, right)
    if any((np.abs(np.sort(values) - np.sort(wanted)) <= reach).all() for values in fitting):
        return not ordered, "the numbers are right, but their order is not" if ordered else ""
    return False, ""


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
    remarks |= dict.fromkeys((1e-9, 1e-6, 1e-3, 1e3, 1e6, 1e9), "thousands? Look at the unit")
    for factor, remark in remarks.items():
        if wanted and abs(factor * value - wanted) <= max(reach, 1e-3 * abs(wanted)):
            return remark
    if abs(value - wanted) <= 5 * reach:
        return "close, but not within the tolerance: give more digits"
    return "off by one" if abs(value - wanted) == 1 else ""


def _readings(answer: Any) -> list[list[float]]:
    """Return the numbers of an answer, in each way in which commas, points and blanks are used."""
    if not isinstance(answer, str):
        try:
            values = np.ravel(np.asarray(list(answer) if isinstance(answer, Set) else answer))
            if values.dtype.kind != "U":
                return [] if values.dtype.kind in "bc" else [values.astype(float).tolist()]
        except Exception:  # whatever an object does when it is asked for numbers
            return []
        answer = "; ".join(values.tolist())
    text = re.sub("[⁰¹²³⁴-⁹⁻]+", r"^\g<0>", answer)  # 10⁶
    text = unicodedata.normalize("NFKC", text).casefold().replace("\u2212", "-")
    text = re.sub(r"(?<=\d)_(?=\d)", "", text).replace("**", "^")
    text = re.sub(r"(?<=\d)\s*[x*·⋅×]\s*10\s*\^\s*", "e", text)  # 3 x 10^6
    text = re.sub(r"\b10\s*\^\s*", "1e", text)
    for word, zeros in _ZEROS.items():
        text = re.sub(rf"(?<=\d)\s*{word}(?!\w)", f"e{zeros}", text)
    english = re.sub(r"(?<=\d)[,\s](?=\d{3}(?!\d))", "", text)  # 61,706 or 61 706
    other = re.sub(r"(?<=\d)[.\s](?=\d{3}(?!\d))", "", text).replace(",", ".")  # 61.706 or 4,8
    found = (re.findall(_NUMBER, written) for written in (english, other, text))
    return [list(map(float, numbers)) for numbers in found if numbers]


def _judge_text(answer: Any, right: Mapping[str, Any]) -> tuple[bool, str]:
    given = _plain(str(answer))
    if given in (right["answer"], *right.get("also", ())):
        return True, ""
    wrong = {_plain(text): remark for text, remark in right.get("wrong", {}).items()}
    return False, wrong.get(given, "")


def _plain(text: str) -> str:
    """Return a text without what does not matter: case, punctuation, hyphens, blanks."""
    return " ".join(re.sub(r"[^\w%+.]+|\.(?!\d)", " ", text.casefold()).replace("_", " ").split())


def _difference(result: Any, expected: Any, tolerance: float) -> str:
    """Return how a result differs from the expected one, "" if it does not."""
    if result is None:
        return "returns None: end with return"
    try:
        found, wanted = np.asarray(result), np.asarray(expected, dtype=float)
        found = found.astype(float, casting="same_kind" if found.dtype.kind in "cSU" else "unsafe")
    except Exception:
        return f"returns {_shown(result)}, which is not numbers"
    if found.shape != wanted.shape and not (found.size == wanted.size == 1):
        return f"returns the shape {found.shape}, and {wanted.shape} was expected"
    found = found.reshape(wanted.shape)
    off = ~np.isclose(found, wanted, rtol=tolerance, atol=tolerance, equal_nan=True)
    if not off.any():
        return ""
    if wanted.size <= 24:
        return f"returns {_shown(result)}, and {_shown(expected)} was expected"
    first = tuple(np.argwhere(off)[0].tolist())
    where = f"{off.sum():,} of {off.size:,} places, first at {list(first)}"
    return f"differs at {where}: {found[first]:.6g}, and {wanted[first]:.6g} was expected"


def _shown(value: Any) -> str:
    """Return a value as short text: an array by its shape if it is large."""
    if isinstance(value, np.ndarray) and value.size > 24:
        return f"array of shape {value.shape}"
    if isinstance(value, (np.ndarray, np.generic)):
        value = (np.round(value.astype(float), 4) if value.dtype.kind == "f" else value).tolist()
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _parting(net: Any, right: Mapping[str, Any]) -> str:
    """Return where a net parts from the right one, "" if it computes the same."""
    given, asked = list(net.input_shape[1:]), right["input"]
    if given != asked:
        return f"its input is {given}, and {asked} was asked for"
    output, numbers = _answers(net, asked)
    if output != right["output"]:
        return f"its output is {output}, and {right['output']} was asked for"
    steps = _steps(net)
    close = np.allclose(numbers, right["numbers"], 0, 0.01 * np.abs(right["numbers"]).max())
    if close and net.count_params() == right["parameters"]:
        # Dropout changes no output here: it must stand between the same layers with weights.
        mine, asked = (
            [step.get("dropout") for _, step in each if {"dropout", "use_bias"} & {*step}]
            for each in (steps, right["steps"])
        )
        return "" if mine == asked else "it is right but for dropout: look at its rate and place"
    has, wanted = (Counter(map(_word, each)) for each in (steps, right["steps"]))
    missing, extra = list(wanted - has), list(has - wanted)
    # Where ways join, the order of the layers says little about where the two nets part.
    if {"Add", "Concatenate"} & {*wanted} and missing and not extra:
        return f"something is missing: {missing[0]}"
    if "BatchNormalization" in extra:
        return "batch norm was not asked for"
    last = "the input"
    for (layer, own), (_, theirs) in zip_longest(
        steps, right["steps"], fillvalue=("", dict[str, Any]())
    ):
        keys = ("activation", "dropout", "kind", *_PARTS)
        part = next((key for key in keys if own.get(key) != theirs.get(key)), "")
        if part in ("activation", "dropout") or not own:
            mine = own.get(part, f"none, {layer or 'the end'} comes next")
            return f"look at the {part} after {last}: {mine}"
        if part:
            return f"look at the {part.replace('_', ' ')} of {layer}: {own.get(part)}"
        last = layer
    return "its layers look right: look at their options and how they are connected"


def _answers(net: Any, shape: Sequence[int]) -> tuple[list[int], list[float]]:
    """Return the output shape of a net and four numbers made of its outputs for fixed inputs.

    A weight is filled in flat order with numbers that depend on its size alone, so a kernel of any
    form gets the same ones. The scale keeps activations from saturating. Softmax becomes logits.
    """
    inputs = np.random.RandomState(0).uniform(-1, 1, (4, *shape)).astype("float32")
    before = net.get_weights()
    try:
        for weight in net.weights:
            values = np.random.RandomState(math.prod(weight.shape)).uniform(-1, 1, weight.shape)
            positive = "variance" in weight.name or "gamma" in weight.name
            weight.assign(1 + values / 2 if positive else values * (9 / np.size(values)) ** 0.25)
        found = np.asarray(net(inputs, training=False)).astype(float)
    finally:
        net.set_weights(before)
    if found.shape[-1] > 1:
        if (found >= 0).all() and np.allclose(found.sum(axis=-1), 1, atol=1e-3):
            found = np.log(np.maximum(found, 1e-30))
        found -= found.mean(axis=-1, keepdims=True)  # softmax has lost what all logits share
    mixed = np.random.RandomState(1).uniform(-1, 1, (4, found.size)) @ found.ravel()
    return list(found.shape[1:]), [float(f"{value:.4g}") for value in mixed]


def _steps(net: Any) -> list[Any]:
    """Return (layer's name, what it is) for each layer or activation that computes something."""
    steps: list[Any] = []
    for layer in net.layers:
        kind, config = type(layer).__name__, layer.get_config()
        if hasattr(layer, "layers"):
            steps += _steps(layer)
        elif "rate" in config:
            steps.append((layer.name, {"dropout": config["rate"]}))
        elif kind not in ("InputLayer", "Flatten", "Reshape"):
            activation = str(config.get("activation", kind.lower() if kind == "ReLU" else "linear"))
            if kind not in ("Activation", "ReLU", "Softmax"):
                parts = {part: str(config[part]) for part in _PARTS if part in config}
                # A convolution over the whole map; what joins several maps has no one input.
                if "filters" in parts and parts["kernel_size"] == str(layer.input.shape[1:-1]):
                    kind = "Dense"
                    parts = {"units": parts["filters"], "use_bias": parts["use_bias"]}
                steps.append((layer.name, {"kind": kind} | parts))
            if activation not in ("linear", "softmax"):
                steps.append((layer.name, {"activation": activation}))
    return steps


def _word(step: Any) -> str:
    """Return what a step is: the kind of a layer, such as Conv2D, or an activation."""
    _, what = step
    return what.get("kind") or what.get("activation") or "Dropout"


def _sealed(content: Mapping[str, Any]) -> str:
    """Return an answer as a text that nobody reads by accident."""
    data = json.dumps(content, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(zlib.compress(data, 9)).decode().rstrip("=")


def _opened(sealed: str) -> dict[str, Any]:
    try:
        data = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
        return json.loads(zlib.decompress(data))
    except (ValueError, TypeError, zlib.error):
        problem = f"{sealed!r} is no sealed answer: copy the check cell from the notebook again"
        raise InputError(problem) from None
