import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from cnnlib import datasets, digits, models, training
from cnnlib.errors import InputError
from cnnlib.lab import experiment, ledger


@pytest.fixture
def four(tmp_path):
    """A 4 drawn with a dark pen on bright paper, off the middle, as a photograph would be: noise, a shadow."""
    picture = Image.new("L", (300, 400), 230)
    pen = ImageDraw.Draw(picture)
    pen.line([(90, 60), (60, 190), (190, 190)], fill=30, width=18, joint="curve")
    pen.line([(150, 60), (150, 300)], fill=30, width=18)
    noisy = (
        np.asarray(picture)
        + np.random.RandomState(0).normal(0, 6, (400, 300))
        - np.linspace(0, 15, 300)
    )
    Image.fromarray(np.uint8(np.clip(noisy, 0, 255))).save(tmp_path / "four.png")
    return tmp_path / "four.png"


def test_a_picture_becomes_a_digit_as_mnist_has_it(four):
    digit = digits.read_picture(four)
    assert digit.shape == (28, 28, 1) and digit.dtype == np.uint8 and digit.max() > 200
    rows, columns = np.flatnonzero(digit.any(axis=(1, 2))), np.flatnonzero(digit.any(axis=(0, 2)))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    np.testing.assert_allclose(ndimage.center_of_mass(digit[..., 0]), [13.5, 13.5], atol=0.51)
    assert (
        ndimage.label(digit[..., 0], structure=np.ones((3, 3)))[1] == 1
    )  # one stroke: neither noise nor shadow is left


def test_bright_ink_on_dark_and_transparent_pictures_give_the_same_digit(four, tmp_path):
    digit = digits.read_picture(four)
    clean = 230 - 200 * (np.asarray(Image.open(four)) < 130)
    Image.fromarray(np.uint8(255 - clean)).save(tmp_path / "negative.png")
    ink = np.zeros((400, 300, 4), np.uint8)
    ink[..., 3] = 255 * (clean < 130)
    Image.fromarray(ink).save(tmp_path / "transparent.png")
    for name in ("negative.png", "transparent.png"):
        other = digits.read_picture(tmp_path / name)
        assert np.abs(other.astype(int) - digit).mean() < 6


def test_mnists_own_digits_come_back_nearly_unchanged(tmp_path):
    for i, image in enumerate(datasets.load("mnist").test.images[:50]):
        Image.fromarray(image[..., 0]).save(tmp_path / "digit.png")
        again = digits.read_picture(tmp_path / "digit.png")
        best = min(
            np.abs(np.roll(again[..., 0].astype(int), (dy, dx), (0, 1)) - image[..., 0]).mean()
            for dy in (-1, 0, 1)
            for dx in (-1, 0, 1)
        )
        assert best < 12, i


def test_describe_shows_the_digit_and_names_the_class(four):
    row = experiment.train_row(
        "mlp-20x20-300", "mnist", training.recipe("quick", epochs=2), train_size=10000
    )
    text = digits.describe("mlp-20x20-300", [four])
    assert f"mlp-20x20-300, {row['run_id']}.keras, test error {row['value']:.2f} % on mnist" in text
    assert "four.png: 4 (" in text
    assert (
        sum(line.strip() != "" and set(line) <= set(digits.SHADES) for line in text.splitlines())
        == 20
    )
    assert digits.describe(str(ledger.net_path(row["run_id"])), [four]) == text


def test_a_net_that_comes_with_the_course_is_used_where_this_machine_has_none(
    four, tmp_path, monkeypatch
):
    from cnnlib.models import trained
    from cnnlib.results import rows

    monkeypatch.setattr(rows, "MEASURED", tmp_path / "measured")
    monkeypatch.setattr(trained, "FOLDER", tmp_path / "nets")
    recipe = training.recipe("deslanted-small", epochs=1)
    first, second = (
        experiment.train_row("linear-20x20", "mnist", recipe, seed, train_size=2000)
        for seed in (0, 1)
    )
    assert ledger.publish([first["run_id"], second["run_id"]])[0]
    paths = list((tmp_path / "nets").iterdir())
    assert paths == [tmp_path / "nets" / "linear-20x20-deslanted-small,epochs=1.keras"]
    path, row = digits.find_net("linear-20x20")
    assert path in [
        ledger.net_path(r["run_id"]) for r in (first, second)
    ]  # this machine's come first
    monkeypatch.setenv("CNNLIB_RESULTS", str(tmp_path / "empty"))
    path, row = digits.find_net("linear-20x20")
    assert (path, row["run_id"], row["protocol"]) == (paths[0], first["run_id"], "deslanted")
    assert digits.find_net(str(path))[1]["run_id"] == first["run_id"]
    assert "four.png: " in digits.describe("linear-20x20", [four])


@pytest.mark.parametrize(
    ("model", "content", "message"),
    [
        ("lenet-5", None, "there is no file .*own.png"),
        ("lenet-5", b"<html>", "not a picture that Pillow can read .*PNG, JPEG"),
        ("lenet-5", "blank", "looks empty"),
        (
            "lenet-4-paper",
            "digit",
            "no trained lenet-4-paper in .*nets. Train one first: python -m cnnlib train lenet-4-paper mnist",
        ),
        ("lenet5", "digit", "unknown model 'lenet5'. Known: lenet-5"),
        ("no/such.keras", "digit", "there is no file .*such.keras"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, four, model, content, message):
    path = tmp_path / "own.png"
    if content == "digit":
        path = four
    elif content == "blank":
        Image.new("L", (50, 50), 200).save(path)
    elif content:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        digits.describe(model, [path])


def test_a_net_given_by_its_path_loads_in_a_fresh_process(four, tmp_path):
    models.build("lenet-5-paper").save(tmp_path / "paper.keras")
    command = [sys.executable, "-m", "cnnlib", "predict", str(tmp_path / "paper.keras"), str(four)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "four.png: " in done.stdout, done.stderr
    (tmp_path / "paper.keras").write_text("no net")
    done = subprocess.run(command, capture_output=True, text=True)
    assert (
        done.returncode == 2
        and "is not a net that Keras can read" in done.stderr
        and "Traceback" not in done.stderr
    )
