"""Numbers in prose stand in an output or the code of their notebook, or in a published file."""

import re

import nbformat
import pytest

from cnnlib import storage
from cnnlib.lab import notebooks

# As written in prose: 12, 3.5, 60,000. Not part of a name such as LeNet-5, 28x28 or ResNeXt29.
NUMBER = re.compile(
    r"(?<![\w.,/-])\d{1,3}(?:,\d{3})+(?:\.\d+)?|(?<![\w.,])\d+(?:\.\d+)?(?![\w]|\.\d|,\d{3})"
)
NO_PROSE = (
    re.compile(r"```.*?```|`[^`]*`", re.DOTALL),
    re.compile(r"\$\$.*?\$\$|\$[^$]*\$", re.DOTALL),
    re.compile(r"(?<=\])\([^)]*\)|https?://\S+|<[^>]*>"),
)
# Numbers with a source outside the notebook, and where it is.
FACTS = {
    "50000": "CIFAR-10's training images; ImageNet's validation images",
    "255": "the largest value of a byte",
    "250": "writers of MNIST: LeCun et al. 1998, section III-A",
    "120": "breeds of dogs among ImageNet's classes",
    "784": "28 times 28",
    "17000": "LeNet-4's parameters as the paper prints them, section III-C.8",
    "260000": "LeNet-4's connections as the paper prints them, section III-C.8",
    "1.28": "million training images of ImageNet",
}
# Calculated from what stands there; and numbers of a thought experiment.
EXCEPTIONS = {
    "03_mlp_baselines": {"785", "401", "8230"},  # inputs and a bias; their sum
    "04_lenet1": {"576"},  # 24 times 24 places
    "05_lenet4_and_boosting": {"600", "33000", "51000", "30000"},  # rounded, or 1 % of 60,000
    "07_cifar10_from_scratch": {"99"},  # "99 of 100 digits": LeNet-5's accuracy, rounded
    "09_benchmark_recap": {"138", "840"},  # 138,357,544 in millions; an exercise's number
}


def numbers(text):
    return {each.rstrip(".").replace(",", "") for each in re.findall(r"\d[\d,]*(?:\.\d+)?", text)}


@pytest.fixture(scope="module")
def published():
    files = [
        *(storage.DATA / "published").glob("*.csv"),
        *(storage.DATA / "measured").glob("*.csv"),
    ]
    texts = [path.read_text(encoding="utf-8") for path in (*files, storage.ROOT / "README.md")]
    return numbers(" ".join(texts))


def shown(cell):
    """Return a code cell's source and the text of its outputs, without pictures."""
    texts = [cell.source]
    for output in cell.outputs:
        data = output.get("data", {})
        texts += [output.get("text", ""), data.get("text/plain", "")]
        texts.append(re.sub(r'src="data:[^"]*"', "", data.get("text/html", "")))
    return " ".join(texts)


def unsupported(nb, known):
    """Return the numbers in prose that stand nowhere else, each with the words around it."""
    known = known | numbers(" ".join(shown(c) for c in nb.cells if c.cell_type == "code"))
    found = {}
    for cell in nb.cells:
        if cell.cell_type != "markdown":
            continue
        text = cell.source
        for pattern in NO_PROSE:
            text = pattern.sub("", text)
        for match in NUMBER.finditer(text):
            number = match[0].replace(",", "")
            small = "." not in number and (int(number) <= 20 or 1900 <= int(number) <= 2026)
            if not small and number not in known:
                around = text[max(0, match.start() - 40) : match.end() + 25]
                found.setdefault(number, around.replace("\n", " "))
    return found


@pytest.mark.parametrize("name", notebooks.names())
def test_every_number_in_prose_has_its_source(name, published):
    nb = nbformat.read(storage.NOTEBOOKS / f"{name}.ipynb", 4)
    found = unsupported(nb, published | set(FACTS))
    assert {n: found[n] for n in found.keys() - EXCEPTIONS.get(name, set())} == {}


def test_an_invented_number_is_found():
    prose = nbformat.v4.new_markdown_cell("It takes 3 epochs to reach 97.3 % with 60,000 images.")
    code = nbformat.v4.new_code_cell("images = 60000")
    nb = nbformat.v4.new_notebook(cells=[prose, code])
    assert set(unsupported(nb, set())) == {"97.3"}
