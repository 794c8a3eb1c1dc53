"""The drawing page in Chromium: strokes by synthetic pointers, keys, themes, and a phone."""

import base64

import numpy as np
import pytest

from cnnlab.site import draw_page
from cnnlib import digits, models, preprocessing, training

# Replays strokes, lists of points in pixels of the canvas, by pointer events on the canvas.
REPLAY = """
const canvas = document.getElementById("pad"), box = canvas.getBoundingClientRect();
const scale = canvas.clientWidth / canvas.width;
const send = (type, [x, y]) => canvas.dispatchEvent(new PointerEvent(type, {
    pointerId: 1, isPrimary: true, bubbles: true, button: 0, buttons: 1,
    clientX: box.left + canvas.clientLeft + x * scale,
    clientY: box.top + canvas.clientTop + y * scale}));
window.pad.clear();
for (const points of arguments[0]) {
    send("pointerdown", points[0]);
    points.slice(1).forEach(point => send("pointermove", point));
    send("pointerup", points[points.length - 1]);
}
window.pad.answer();
let text = "";
for (const value of window.pad.ink()) text += String.fromCharCode(Math.round(255 * value));
return {ink: btoa(text), latest: window.pad.latest(), image: Array.from(window.pad.latest().image)};
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return draw_page.write_page(tmp_path_factory.mktemp("draw")).as_uri()


@pytest.fixture
def drawing(tab, page):
    tab.screen()
    assert tab.open(page) == ([], [])
    return tab


def test_drawings_get_the_answers_of_keras(drawing):
    """Of scribbles, which are often uncertain: every image, logit and answer."""
    random, found = np.random.RandomState(0), []
    for _ in range(20):
        found.append(drawing.run(REPLAY, [random.uniform(20, 260, (12, 2)).tolist()]))
    assert sum(each["latest"]["uncertain"] for each in found) >= 10  # 60 %: benchmarks/README.md
    images = []
    for each in found:
        canvas = np.frombuffer(base64.b64decode(each["ink"]), np.uint8).reshape(280, 280)
        rows, columns = (np.flatnonzero(canvas.any(axis=axis)) for axis in (1, 0))
        ink = canvas[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] / np.float32(255)
        images.append(digits.normalise(ink))
        np.testing.assert_array_equal(np.reshape(each["image"], (28, 28)), images[-1])
    mean = 0
    for number, (name, recipe, title) in enumerate(draw_page.NETS):
        declared = draw_page.exported(name, recipe, title)
        inputs = np.stack(images)[..., None]
        inputs = preprocessing.prepare(inputs, declared["format"], declared["deslanted"])
        net = models.load_trained(name, recipe)
        logits = np.array([each["latest"]["logits"][number] for each in found])
        if not declared["deslanted"]:  # deslanting rounds a few pixels to another grey level
            np.testing.assert_allclose(logits, net.predict(inputs, verbose=0), atol=1e-4)
        mean = mean + training.predict(net, inputs) / len(draw_page.NETS)
    answers = [each["latest"]["digit"] for each in found]
    np.testing.assert_array_equal(answers, mean.argmax(1))


def test_examples_undo_and_clear(drawing):
    drawing.run("window.pad.clear(); window.pad.answer()")
    assert "Draw a digit" in drawing.find("#answer")[0].text
    assert drawing.run("return window.pad.latest()") is None
    examples = drawing.find(".examples button")
    assert len(examples) == 20
    for number in (0, 7, 19):
        examples[number].click()
        drawing.run("window.pad.answer()")
        label = examples[number].get_attribute("aria-label")[-1]
        assert drawing.find("#answer")[0].text == f"This is a {label}."
    drawing.find("#clear")[0].click()
    assert drawing.run("return window.pad.count()") == 0
    drawing.find("#undo")[0].click()
    assert drawing.run("return window.pad.count()") == 1


def test_a_one_is_drawn_with_the_keyboard(drawing):
    from selenium.webdriver.common.keys import Keys

    (canvas,) = drawing.find("#pad")
    drawing.run("arguments[0].focus()", canvas)
    canvas.send_keys(*[Keys.ARROW_UP] * 12, Keys.SPACE, *[Keys.ARROW_DOWN] * 24, Keys.SPACE)
    drawing.run("window.pad.answer()")
    assert drawing.find("#answer")[0].text == "This is a 1."
    assert drawing.run("return window.pad.count()") == 1
    canvas.send_keys("u")
    assert drawing.run("return window.pad.count()") == 0
    canvas.send_keys("5")
    drawing.run("window.pad.answer()")
    assert drawing.find("#answer")[0].text == "This is a 5."


def test_keys_and_pointers_take_turns(drawing):
    """A key after an example, a stroke by mouse between keys, a tap in a corner: no exception."""
    from selenium.webdriver.common.keys import Keys

    (canvas,) = drawing.find("#pad")
    drawing.run("arguments[0].focus()", canvas)
    count = "return window.pad.count()"
    canvas.send_keys(Keys.SPACE, "5", Keys.ARROW_UP)
    assert drawing.run(count) == 1
    drawing.run(REPLAY, [[[0, 0]]])
    assert drawing.run("return window.pad.latest()") is not None
    canvas.send_keys(Keys.SPACE)
    points = "return window.pad.points()"
    before = drawing.run(points)
    drawing.run(REPLAY.replace("window.pad.clear();", ""), [[[9, 9], [50, 50]]])
    canvas.send_keys(Keys.ARROW_UP, Keys.ARROW_UP)
    assert drawing.run(points) == before + 2
    drawing.find("#clear")[0].click()
    assert drawing.run(count) == 0
    drawing.find("#undo")[0].click()
    assert drawing.run(count) == 3
    for key, code, left in (("U", "KeyU", 2), ("ㅊ", "KeyC", 0), ("ㅕ", "KeyU", 2)):
        drawing.run(
            "arguments[0].dispatchEvent(new KeyboardEvent('keydown', "
            "{key: arguments[1], code: arguments[2], bubbles: true}))",
            *(canvas, key, code),
        )
        assert drawing.run(count) == left
    # The pen that is down when an example is chosen paints no more.
    send = REPLAY.partition("window.pad.clear")[0]
    drawing.run(send + 'send("pointerdown", [50, 50])')
    canvas.send_keys("5")
    seen = drawing.run("return arguments[0].toDataURL()", canvas)
    drawing.run(send + 'send("pointermove", [90, 90])')
    assert drawing.run("return arguments[0].toDataURL()", canvas) == seen
    assert not [e for e in drawing.browser.get_log("browser") if e["level"] == "SEVERE"]


def test_a_stroke_is_announced_once(drawing):
    drawing.run(
        "window.said = 0; new MutationObserver(() => window.said++).observe("
        "document.getElementById('announced'), {childList: true, subtree: true})"
    )
    drawing.run(REPLAY, [[[140, y] for y in range(40, 240, 4)]])
    drawing.until("window.said")
    drawing.browser.execute_async_script("setTimeout(arguments[0], 700)")  # no second one follows
    assert drawing.run("return window.said") == 1
    assert drawing.find("#announced")[0].get_attribute("textContent").startswith("This is a 1")


def test_the_answer_is_seen_without_scrolling_on_a_phone(tab, page):
    tab.screen(tab.PHONE)
    tab.open(page)
    tab.run("window.pad.showExample(0); window.pad.answer()")
    assert tab.run("return document.getElementById('answer').getBoundingClientRect().bottom") < 844


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("device", ["DESKTOP", "PHONE"])
@pytest.mark.parametrize("name", ["index", "watch", "look"])
def test_pages_are_readable_in_both_themes_and_on_a_phone(tab, page, axe, name, device, theme):
    tab.screen(getattr(tab, device), theme)
    tab.open(page.replace("index", name))
    if name == "watch":
        tab.wait("#weights canvas")
    if name == "index":
        tab.run("window.pad.showExample(0); window.pad.answer()")
        touch = "return getComputedStyle(document.getElementById('pad')).touchAction"
        assert tab.run(touch) == "none"
    assert not tab.find("#home .site, a[href*=notebooks]")  # only the site has these pages
    assert tab.overflow() == 0
    assert tab.violations(axe) == []
