"""The page that looks inside: its numbers are Keras', and mouse, touch and keys reach all of it."""

import base64

import keras
import numpy as np
import pytest

from cnnlab.site import draw_page
from cnnlib import models, preprocessing, training

EXAMPLE = 14  # of the page's examples: a 7


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return draw_page.write_page(tmp_path_factory.mktemp("draw")).with_name("look.html").as_uri()


@pytest.fixture(scope="module")
def digit():
    """The example that the tests look at, uint8 (1, 28, 28, 1)."""
    data = base64.b64decode(draw_page.examples()[EXAMPLE]["image"])
    return np.frombuffer(data, np.uint8).reshape(1, 28, 28, 1)


@pytest.fixture(scope="module")
def lenet():
    return models.load_trained("lenet-5", "plain")


@pytest.fixture
def look(tab, page):
    tab.screen()
    assert tab.open(page) == ([], [])
    tab.find(".examples button")[EXAMPLE].click()
    return tab


def in_words(look, css):
    return look.find(css)[0].text.replace("−", "-")


def test_the_window_sums_what_a_layer_of_keras_sums(look, digit):
    kernel = np.repeat([[-1.0], [-1.0], [4.0], [-1.0], [-1.0]], 5, axis=1)
    layer = keras.layers.Conv2D(1, 5, use_bias=False)
    layer.build((None, 28, 28, 1))
    for name, weights in (("horizontal strokes", kernel), ("vertical strokes", kernel.T)):
        look.run(
            "const preset = document.getElementById('preset'); preset.value = arguments[0];"
            "preset.dispatchEvent(new Event('change'))",
            name,
        )
        layer.set_weights([weights[:, :, None, None]])
        expected = np.ravel(layer(digit / np.float32(255)))
        np.testing.assert_allclose(look.run("return window.look.map"), expected, atol=1e-4)
    row, column = look.run("return window.look.corner()")
    products = [float(t.text.replace("−", "-")) for t in look.find("#products span")]
    shown = digit[0, row : row + 5, column : column + 5, 0] / 255 * kernel.T
    np.testing.assert_allclose(products, shown.ravel(), atol=0.0051)
    assert f"is {shown.sum():.2f}." in in_words(look, "#sum")


def test_a_kernel_is_edited(look, digit):
    fields = look.find("#kernel input")
    for field in fields:
        field.clear()
        field.send_keys("0,5" if field is fields[0] else "0")
    expected = digit[0, :24, :24, 0] / 510
    np.testing.assert_allclose(look.run("return window.look.map"), expected.ravel(), atol=1e-6)
    fields[1].send_keys("x")
    assert fields[1].get_attribute("aria-invalid") == "true"
    assert look.run("return document.getElementById('preset').value") == "your own"


def test_units_compute_what_keras_computes(look, digit, lenet):
    inputs = preprocessing.prepare(digit, "32x32")
    names = [layer.name for layer in lenet.layers[1:] if layer.name != "flatten"]
    outputs = [lenet.get_layer(name).output for name in names]
    found = look.run(
        "return Object.fromEntries(Object.entries(window.look.layers)"
        ".map(([name, {maps}]) => [name, Array.from(maps)]))"
    )
    expected = dict(zip(names, keras.Model(lenet.input, outputs)(inputs), strict=True))
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], np.ravel(values), atol=1e-5, err_msg=name)
    for name, after, unit, size in (
        ("C1", "X1", (5, 20, 3), 25),
        ("S2", "X2", (1, 9, 13), 4),
        ("C3", "X3", (15, 0, 9), 150),
        ("S4", "X4", (7, 4, 2), 4),
        ("C5", "X5", (119, 0, 0), 400),
        ("F6", "X6", (83, 0, 0), 120),
        ("output", "output", (7, 0, 0), 84),
    ):
        channel, row, column = unit
        told = look.run("return window.look.unit(...arguments)", name, *unit)
        assert sum(len(each["products"]) for each in told["inputs"]) == size
        at = (0, channel) if expected[name].ndim == 2 else (0, row, column, channel)
        assert told["sum"] + told["bias"] == pytest.approx(float(expected[name][at]), abs=1e-5)
        assert told["output"] == pytest.approx(float(expected[after][at]), abs=1e-5)


def test_strokes_that_decide_are_those_of_keras(look, digit, lenet):
    found = look.browser.execute_async_script("window.look.occluded.then(arguments[0])")
    wiped = np.repeat(digit, 784, axis=0)
    for place, (row, column) in enumerate(np.ndindex(28, 28)):
        wiped[place, max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3] = 0
    logits = np.log(training.predict(lenet, preprocessing.prepare(wiped, "32x32")))
    others = np.delete(logits, 7, axis=1).max(axis=1)
    np.testing.assert_allclose(found, logits[:, 7] - others, atol=1e-3)
    row, column = np.unravel_index(np.argmin(found), (28, 28))
    assert look.run("return window.look.spot()") == [row, column]


def test_keys_move_the_frame_the_unit_and_the_square(look):
    from selenium.webdriver.common.keys import Keys

    for css, state in (("#image", "corner"), ("#deciding", "spot")):
        look.browser.execute_async_script("window.look.occluded.then(arguments[0])")
        before = look.run(f"return window.look.{state}()")
        look.find(css)[0].send_keys(Keys.ARROW_DOWN, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
        after = look.run(f"return window.look.{state}()")
        assert after == [before[0] + 1, before[1] + 2]
    maps = look.find(".layer .pictures[tabindex]")[0]
    maps.send_keys(Keys.ARROW_DOWN, Keys.PAGE_DOWN, Keys.ARROW_RIGHT)
    chosen = look.run("return window.look.chosen()")
    assert chosen == {"stage": "C1", "map": 1, "row": 1, "column": 1}
    assert in_words(look, "#unit-title") == "C1, map 2, row 2, column 2"


@pytest.mark.parametrize("kind", ["mouse", "touch"])
def test_pointers_move_the_frame_and_choose_a_unit(tab, page, kind):
    tab.screen(tab.PHONE)
    tab.open(page)
    touch = {"enabled": kind == "touch", "maxTouchPoints": 1}
    tab.browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", touch)

    def press(element, down, right):
        """Press an element at this share of its height and width."""
        box = tab.run(
            "arguments[0].scrollIntoView({block: 'center'});"
            "const b = arguments[0].getBoundingClientRect();"
            "return [b.left, b.top, b.width, b.height]",
            element,
        )
        x, y = box[0] + right * box[2], box[1] + down * box[3]
        if kind == "touch":
            for name, points in (("touchStart", [{"x": x, "y": y}]), ("touchEnd", [])):
                event = {"type": name, "touchPoints": points}
                tab.browser.execute_cdp_cmd("Input.dispatchTouchEvent", event)
            return
        for name in ("mouseMoved", "mousePressed", "mouseReleased"):
            event = {"type": name, "x": x, "y": y, "button": "left", "clickCount": 1}
            tab.browser.execute_cdp_cmd("Input.dispatchMouseEvent", event)

    try:
        press(tab.find("#image")[0], 10.5 / 28, 20.5 / 28)
        assert tab.run("return window.look.corner()") == [8, 18]
        press(tab.find(".layer.of16 canvas")[3], 0.55, 0.05)
        tab.until("document.getElementById('unit').getBoundingClientRect().top < 844")
        chosen = tab.run("return window.look.chosen()")
        assert chosen == {"stage": "C3", "map": 3, "row": 5, "column": 0}
    finally:
        tab.browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


def test_it_takes_the_last_drawing(tab, page):
    tab.screen()
    tab.open(page.replace("look.html", "index.html"))
    tab.run("localStorage.clear(); window.pad.showExample(5); window.pad.answer()")
    tab.until("localStorage.getItem('drawing')")
    drawn = tab.run("return Array.from(window.pad.latest().image)")
    tab.open(page)
    pixels = tab.run("return Array.from(window.look.layers.input.maps)")
    expected = preprocessing.prepare(np.reshape(drawn, (1, 28, 28, 1)).astype(np.uint8), "32x32")
    np.testing.assert_allclose(pixels, expected.ravel(), atol=1e-6)
