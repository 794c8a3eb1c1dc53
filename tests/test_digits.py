"""Pictures of digits as files, read as MNIST has them, and nets that say what they are."""

import warnings

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from cnnlab import experiment, ledger
from cnnlib import datasets, digits, models, results, storage, training
from cnnlib.errors import InputError
from cnnlib.models import trained
from drills import pictures as drill


@pytest.fixture(scope="module")
def test_set():
    return datasets.load("mnist").test


@pytest.fixture(scope="module")
def lenet_5():
    return models.load(trained.FOLDER / "lenet-5-plain.keras")


def large_four():
    """A 4 as an array, uint8 (400, 300): a dark pen on bright paper, off the middle."""
    picture = Image.new("L", (300, 400), 230)
    pen = ImageDraw.Draw(picture)
    pen.line([(90, 60), (60, 190), (190, 190)], fill=30, width=18, joint="curve")
    pen.line([(150, 60), (150, 300)], fill=30, width=18)
    return np.asarray(picture)


@pytest.fixture
def four(tmp_path):
    """A 4 as a photograph has it: with noise and a shadow."""
    noise = np.random.RandomState(0).normal(0, 6, (400, 300)) - np.linspace(0, 15, 300)
    path = tmp_path / "four.png"
    Image.fromarray(np.uint8(np.clip(large_four() + noise, 0, 255))).save(path)
    return path


def saved(array, path, **options):
    picture = array if isinstance(array, Image.Image) else Image.fromarray(array)
    picture.save(path, **options)
    return path


def difference(one, other):
    """The mean difference of two digits that may be a pixel apart: other digits differ by 25."""
    shifts = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    return min(np.abs(np.roll(one.astype(int), s, (0, 1)) - other).mean() for s in shifts)


# The centre, and MNIST's own digits


def test_mnists_digits_come_back_to_their_places(test_set, lenet_5):
    boxes = []
    for image in test_set.images[..., 0]:
        rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
        boxes.append(image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    centred = np.stack([digits.centre_by_mass(box) for box in boxes])[..., None]
    np.testing.assert_array_equal(centred, test_set.images)
    error = 100 * np.mean(digits.probabilities(lenet_5, centred).argmax(axis=1) != test_set.labels)
    assert error == pytest.approx(0.74, abs=0.02)


def test_mnists_digits_as_files_are_read_unchanged(test_set, tmp_path):
    for image in test_set.images[:30, ..., 0]:
        again = digits.read_picture(saved(image, tmp_path / "digit.png"))[..., 0]
        assert np.abs(again.astype(int) - image).max() <= 1  # 254 becomes 255


def test_a_picture_becomes_a_digit_as_mnist_has_it(four):
    digit = digits.read_picture(four)
    assert digit.shape == (28, 28, 1) and digit.dtype == np.uint8 and digit.max() > 200
    rows, columns = np.flatnonzero(digit.any(axis=(1, 2))), np.flatnonzero(digit.any(axis=(0, 2)))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    np.testing.assert_allclose(ndimage.center_of_mass(digit[..., 0]), [14, 14], atol=0.51)
    # one stroke: neither noise nor shadow is left
    assert ndimage.label(digit[..., 0], structure=np.ones((3, 3)))[1] == 1


# Formats


def formats():
    """Yield (name, suffix, array) of the same 4 in each kind of pixels."""
    grey = large_four()
    share = grey / np.float32(255)
    ink = 255 - np.uint8(255.0 * (grey - 30) / 200)
    transparent = np.zeros((*grey.shape, 4), np.uint8)
    transparent[..., 3] = ink
    white_ink = transparent.copy()
    white_ink[..., :3] = 255
    corners = np.full((*grey.shape, 4), 255, np.uint8)
    corners[..., :3] = grey[..., None]
    corners[:30, :30, 3] = corners[-30:, -30:, 3] = 0
    yield "bright on dark", "png", 255 - grey
    yield "16 bits", "png", grey.astype(np.uint16) * 257
    yield "float", "tif", share
    yield "palette", "gif", Image.fromarray(grey).convert("P")
    yield "black and white", "png", grey > 128
    yield "dark ink on nothing", "png", transparent
    yield "bright ink on nothing", "webp", white_ink
    yield "transparent corners", "png", corners


@pytest.mark.parametrize(("name", "suffix", "array"), list(formats()), ids=lambda x: str(x)[:30])
def test_every_kind_of_pixels_gives_the_same_digit(name, suffix, array, tmp_path):
    plain = digits.read_picture(saved(large_four(), tmp_path / "plain.png"))
    options = {"lossless": True} if suffix == "webp" else {}
    other = digits.read_picture(saved(array, tmp_path / f"other.{suffix}", **options))
    assert difference(other, plain) < 1


def test_a_drawing_on_nothing_may_fill_its_box(tmp_path):
    """A bold 1, cut to its box, is no photograph with holes."""
    ink = drill.stroke(datasets.load("mnist").test.images[14, ..., 0])
    rows, columns = np.nonzero(ink > 0.3)
    cut = ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    pixels = np.zeros((*cut.shape, 4), np.uint8)
    pixels[..., 3] = 255 * cut
    assert digits.read_picture(saved(pixels, tmp_path / "a.png")).any() and cut.mean() > 0.6


TURNED = {
    2: lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    3: lambda picture: picture.rotate(180),
    6: lambda picture: picture.transpose(Image.Transpose.ROTATE_90),
    8: lambda picture: picture.transpose(Image.Transpose.ROTATE_270),
}
BROKEN = [b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b"Exif\0\0II", b"Exif\0\0no"]
BROKEN.append(b"Exif\0\0MM\0*\0\0\0\x08\0\x05" + b"\xff" * 30)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_a_camera_that_was_turned_and_broken_exif_data(suffix, tmp_path):
    four, path = Image.fromarray(large_four()), tmp_path / f"exif.{suffix}"
    plain = digits.read_picture(saved(large_four(), tmp_path / "plain.png"))
    cases = [(four, exif) for exif in BROKEN]
    for orientation, turned in TURNED.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        cases.append((turned(four), exif))
    for picture, exif in cases:
        assert difference(digits.read_picture(saved(picture, path, exif=exif)), plain) < 12


# Size


def test_the_real_limit_is_stated_in_megapixels(tmp_path):
    (tmp_path / "huge.pbm").write_bytes(b"P4\n20000 20000\n")
    with pytest.raises(InputError, match=r"too many pixels, and the limit is 179 megapixels"):
        digits.read_picture(tmp_path / "huge.pbm")


# Pages that are not clean


LEAST = {"clean": 7, "pencil": 6, "specks": 7, "shadow": 6, "chalk": 7, "thin_pen": 5}


@pytest.mark.parametrize("kind", LEAST)
def test_eight_digits_on_difficult_pages(kind, lenet_5):
    """Of 30 it is 29 or more in the mean, 26 for the fine pen (`drills/pictures.py`)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert drill.right_answers(lenet_5, getattr(drill, kind), count=8) >= LEAST[kind]


@pytest.mark.parametrize(
    ("ink", "paper"),
    [((200, 40, 40), (40, 122, 40)), ((255, 250, 40), (250, 250, 250))],
    ids=["red on green", "highlighter on white"],
)
def test_ink_as_grey_as_the_paper_is_seen_in_its_colour(ink, paper, tmp_path):
    plain = digits.read_picture(saved(large_four(), tmp_path / "plain.png"))
    share = ((230 - large_four()) / 200.0)[..., None]
    page = share * np.array(ink) + (1 - share) * np.array(paper)
    page += np.random.RandomState(0).normal(0, 3, page.shape)
    path = saved(np.uint8(np.clip(page, 0, 255)), tmp_path / "colour.png")
    assert difference(digits.read_picture(path), plain) < 12


def test_what_else_is_on_the_page_is_said(tmp_path):
    four = large_four()
    alone = digits.read_picture(saved(four, tmp_path / "alone.png"))
    specks = np.pad(four, ((0, 0), (0, 200)), constant_values=230)
    specks[40:50, 450:460] = specks[350:358, 400:408] = 30
    for page, note in (
        (np.concatenate(2 * [four], axis=1), "There seem to be 2 digits or more"),
        (specks, "2 specks or strokes were left out."),
    ):
        with pytest.warns(UserWarning, match=note):
            digit = digits.read_picture(saved(page, tmp_path / "page.png"))
        assert difference(digit, alone) < 12


def test_a_digit_of_two_strokes_stays_whole(test_set):
    for i in (694, 856, 1131, 1940):  # fives whose bars are far from their bows
        ink, notes = digits.find_digit(test_set.images[i].astype(np.float32))
        assert not notes, i
        found = digits.normalise(ink)
        assert np.abs(found.astype(int) - test_set.images[i, ..., 0]).max() <= 1, i


def test_an_empty_page_is_refused_whatever_its_noise(tmp_path):
    random = np.random.RandomState(0)
    for level, noise in ((200, 0), (0, 0), (180, 2), (180, 15), (128, 40)):
        page = np.clip(random.normal(level, noise, (300, 400)), 0, 255)
        for array in (np.uint8(page), np.uint16(page * 20), np.float32(page)):
            with pytest.raises(InputError, match="looks empty"):
                digits.read_picture(saved(array, tmp_path / "empty.tif"))


# Nets


def test_a_trial_does_not_replace_the_net_of_the_course(four):
    given = {"recipe": training.recipe("quick", epochs=1), "train_size": 200}
    trial = experiment.train_row("linear-20x20", "mnist", **given)
    assert digits.find_net("linear-20x20")[0].name == "linear-20x20-deslanted-small.keras"
    path, row = digits.find_net(trial["run_id"])
    assert path == results.local_file(trial["run_id"], "nets") and row["run_id"] == trial["run_id"]
    text, _ = digits.describe(trial["run_id"], [four])
    assert f"{trial['run_id']}.keras, test error {trial['value']:.2f} % on mnist after 1 ep" in text
    path.unlink()
    with pytest.raises(InputError, match=r"is not on this machine.*train .*--recipe quick"):
        digits.find_net(trial["run_id"])


def test_a_net_of_other_pictures_is_refused(run, four):
    row = ledger.record(**run(model="linear-28x28", dataset="fashion_mnist"))
    path = storage.write_atomically(results.local_file(row["run_id"], "nets"), b"a net")
    for asked in (row["run_id"], str(path)):
        with pytest.raises(InputError, match=r"was trained on fashion_mnist.*trained on mnist"):
            digits.describe(asked, [four])


def test_a_bad_picture_does_not_discard_the_answers_to_the_others(four, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(InputError, match="there is no picture in"):
        digits.describe("lenet-5", [folder])
    (folder / ".hidden").write_text("no picture")
    (folder / "notes.txt").write_text("no picture")
    four.rename(folder / "four.png")
    text, bad = digits.describe("lenet-5", [folder])
    net = "Net: lenet-5, lenet-5-plain.keras, test error 0.74 % on mnist after 20 epochs"
    assert net in text and "four.png: 4 (" in text
    drawn = [line for line in text.splitlines() if line.strip() and set(line) <= set(digits.SHADES)]
    assert len(drawn) == 20
    assert len(bad) == 1 and "notes.txt is not a picture" in bad[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>", "not a picture that Pillow can read .*PNG, JPEG"),
        (b"\0\0\0\x18ftypheic", "it is a HEIC file.*save it as JPEG"),
    ],
)
def test_what_is_no_picture_is_said(tmp_path, content, message):
    (tmp_path / "own.png").write_bytes(content)
    with pytest.raises(InputError, match=message):
        digits.describe("lenet-5", [tmp_path / "own.png"])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("cifar10/fast", "no cifar10/fast that was trained on mnist.*such as lenet-5"),
        ("lenet-4-paper", "no lenet-4-paper that was trained on mnist .*cnnlib train"),
        ("no/such.keras", r"there is no file .*such\.keras"),
    ],
)
def test_a_net_that_is_not_here_is_said(four, model, message):
    with pytest.raises(InputError, match=message):
        digits.describe(model, [four])


def test_a_net_given_by_its_path_is_one_of_digits(four, tmp_path):
    path = tmp_path / "net.keras"
    models.build("lenet-5-paper").save(path)
    text, bad = digits.describe(str(path), [four])
    assert "four.png: " in text and "not in the results" in text and not bad
    models.build("cifar10/fast").save(path)
    with pytest.raises(InputError, match="is no net of the course for digits"):
        digits.describe(str(path), [four])
    path.write_text("no net")
    with pytest.raises(InputError, match="is not a net that Keras can read"):
        digits.load_net(path)
