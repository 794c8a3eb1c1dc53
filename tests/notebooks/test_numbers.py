"""A result that a sentence of a notebook tells stands in an output or in a published file.

Looked at are numbers with a decimal point, in per cent, or above 20. What the notebook's code says
(a learning rate, a number of images), the sizes of the data sets, and what the sentence itself
computes (24 · 24 = 576) needs no other evidence.
"""

import re
from decimal import Decimal

import nbformat
import pytest

from cnnlib import datasets, storage

PATHS = sorted(storage.NOTEBOOKS.glob("*.ipynb"))
PUBLISHED = [
    path.read_text(encoding="utf-8") for path in (storage.ROOT / "data" / "published").glob("*.csv")
]
PUBLISHED += re.findall(r"^\|.*", (storage.ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
INFOS = [datasets.info(name) for name in datasets.names()]

# What tells no result: code, addresses, sizes, layers in a row, years, sections, names.
NOT_RESULTS = re.compile(
    r"```.*?```|`[^`]*`|\]\([^)]*\)|\d+ ?[x·] ?\d+|\d+ ?(?:->|→) ?(?:\d+ ?(?:->|→) ?)*\d+"
    r"|\b(?:18|19|20)\d\d\b(?! [a-z]*images)|\b[Ss]ections? [IVX\d][\w.-]*"
    r"|(?<![\d.])[A-Za-z][\w-]*\d[\w.]*",
    re.DOTALL,
)
NUMBER = re.compile(r"(?<![\w.,])\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+)?")

# notebook -> number: why it needs no evidence there
EXCEPTIONS = {
    "05_lenet4_and_boosting": {
        "51": "thousand: the paper, figure 12",
        "260,000": "the paper's words, section III-C.6",
    },
    "07_cifar10_from_scratch": {
        "2,500": "photographs of the sample: 2,000 and 500 held back",
    },
    "08_vgg16_transfer": {
        "44": "pixels that a unit of S9 sees, 16, and 3 * 8 + 4 more",
        "1,280": "256 + 512 + 512 maps",
    },
}


def numbers(text):
    return {Decimal(found.replace(",", "")) for found in NUMBER.findall(text)}


def claims(source):
    """Return the numbers of a text that tell a result, as they are written."""
    text = NOT_RESULTS.sub(" ", source)
    found = {}
    for match in NUMBER.finditer(text):
        written, after = match.group(), text[match.end() : match.end() + 9]
        per_cent = re.match(r"(?: to [\d.]+)?\s?(?:%|per cent)", after)
        if per_cent or "." in written or Decimal(written.replace(",", "")) > 20:
            found[written] = text[max(0, match.start() - 40) : match.end() + 30].replace("\n", " ")
    return found


def outputs(nb):
    """Return all that the notebook prints, as text."""
    parts = []
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            parts += [output.get("text", ""), data.get("text/plain", "")]
            parts.append(re.sub(r"<[^>]*>", " ", data.get("text/html", "")))
    return "\n".join(parts)


def computed(source):
    """Return the results of the equations in a text, such as 24 · 24 = 576, that are right."""
    text = source.replace(",", "").replace("·", "*").replace("−", "-")
    found = set()
    for left, right in re.findall(r"(\(?\d[\d.()]*(?: [*+-] [\d.()]+)+) = (\d+(?:\.\d+)?)", text):
        if eval(left) == float(right):
            found.add(Decimal(right))
    return found


def is_shown(written, shown):
    """Whether a number is among those shown, rounded as it is written."""
    number = Decimal(written.replace(",", ""))
    places = 3 if number and number % 1000 == 0 else number.as_tuple().exponent
    return any(other == number or round(other, -places) == number for other in shown)


@pytest.mark.parametrize("path", PATHS, ids=[path.stem for path in PATHS])
def test_each_result_in_a_sentence_has_its_evidence(path):
    nb = nbformat.read(path, as_version=4)
    code = "\n".join(cell.source for cell in nb.cells if cell.cell_type == "code")
    shown = numbers(outputs(nb))
    known = numbers("\n".join([*PUBLISHED, code.replace("_", "")]))
    known |= {Decimal(count) for info in INFOS for count in (info.train_count, info.test_count)}
    missing = {}
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            here = known | computed(cell.source)
            for written, where in claims(cell.source).items():
                if Decimal(written.replace(",", "")) not in here and not is_shown(written, shown):
                    missing[written] = f"{written}: ...{where}..."
    excepted = EXCEPTIONS.get(path.stem, {})
    assert not [text for written, text in missing.items() if written not in excepted]
    assert not excepted.keys() - missing.keys(), "exceptions that nothing needs"
