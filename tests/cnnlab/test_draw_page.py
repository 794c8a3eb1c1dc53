"""The drawing page's JavaScript against cnnlib: the same images, inputs and logits, run by Node."""

import json
import shutil
import subprocess

import numpy as np
import pytest

from cnnlab.site import draw_page
from cnnlib import datasets, digits, models, preprocessing

COUNT = 200


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return draw_page.write_page(tmp_path_factory.mktemp("draw")).parent


@pytest.fixture(scope="module")
def node(page):
    """A function that runs JavaScript with the page's scripts on data, and returns its result."""
    if not shutil.which("node"):
        pytest.skip("Node.js is not installed: tests/browser runs the same scripts in Chromium")

    def run(code, data):
        program = (
            f"const digits = require('{page}/digits.js'), nets = require('{page}/nets.js');"
            f"global.window = {{}}; require('{page}/weights.js');"
            "const data = JSON.parse(require('fs').readFileSync(0));"
            f"console.log(JSON.stringify((function () {{ {code} }})()));"
        )
        done = subprocess.run(
            ["node", "-e", program], input=json.dumps(data), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="module")
def test_images():
    return datasets.load("mnist").test.images[:COUNT]


def drawings(count):
    """Canvases with a few thick lines, of any size and place."""
    random = np.random.RandomState(0)
    for _ in range(count):
        canvas = np.zeros((280, 280), np.float32)
        for _ in range(random.randint(1, 4)):
            start, end = random.uniform(20, 260, (2, 2))
            for share in np.linspace(0, 1, 60):
                y, x = start + share * (end - start)
                rows, columns = np.ogrid[:280, :280]
                distance = np.hypot(rows - y, columns - x)
                canvas = np.maximum(canvas, np.clip(11.5 - distance, 0, 1))
        yield np.rint(255 * canvas).astype(np.float32) / 255


def test_a_drawing_is_scaled_and_centred_as_by_cnnlib(node):
    canvases = list(drawings(12))
    found = node(
        "return data.map(c => Array.from(digits.normalise(Float32Array.from(c), 280, 280)))",
        [canvas.ravel().tolist() for canvas in canvases],
    )
    for image, canvas in zip(found, canvases, strict=True):
        rows, columns = (np.flatnonzero(canvas.any(axis=axis)) for axis in (1, 0))
        ink = canvas[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        np.testing.assert_array_equal(np.reshape(image, (28, 28)), digits.normalise(ink))


def test_an_empty_drawing_is_no_digit(node):
    assert node("return digits.normalise(new Float32Array(100), 10, 10)", []) is None


@pytest.mark.parametrize("input_format", ["28x28", "32x32", "16-in-28"])
def test_inputs_are_those_of_preprocessing(node, test_images, input_format):
    found = node(
        f"return data.map(i => Array.from(digits.prepare(Uint8Array.from(i), '{input_format}')))",
        test_images.reshape(COUNT, -1).tolist(),
    )
    expected = preprocessing.prepare(test_images, input_format)
    np.testing.assert_allclose(found, expected.reshape(COUNT, -1), atol=1e-6)


def test_deslanted_inputs_are_those_of_preprocessing_but_for_rounding(node, test_images):
    """float32 sums in another order turn some values of exactly half a grey level."""
    found = node(
        "return data.map(i => Array.from(digits.prepare(Uint8Array.from(i), '20x20', true)))",
        test_images.reshape(COUNT, -1).tolist(),
    )
    expected = preprocessing.prepare(test_images, "20x20", deslanted=True).reshape(COUNT, -1)
    levels = np.abs(np.array(found) - expected) / (1.275 / 255)
    assert levels.max() < 1.01 and (levels > 0.01).mean() < 1e-3


@pytest.mark.parametrize(("name", "recipe", "title"), draw_page.NETS)
def test_logits_are_those_of_keras(node, test_images, name, recipe, title):
    declared = draw_page.exported(name, recipe, title)
    inputs = preprocessing.prepare(test_images, declared["format"], declared["deslanted"])
    expected = models.load_trained(name, recipe).predict(inputs, verbose=0)
    found = node(
        f"const net = nets.load(window.course.nets.find(n => n.name === '{name}'));"
        "return data.map(i => nets.logits(net, Float32Array.from(i)))",
        inputs.reshape(COUNT, -1).tolist(),
    )
    np.testing.assert_allclose(found, expected, atol=1e-4)
