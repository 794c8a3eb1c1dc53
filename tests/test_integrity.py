"""The files in data/: all are listed with their SHA-256, and none that was altered is read."""

import hashlib
import json
import os
import shutil
import subprocess
import sys

import pytest

from cnnlab import manifest
from cnnlib import integrity, results, storage
from cnnlib.errors import Damaged


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A small data/ with two files and their manifest."""
    folder = tmp_path / "checkout" / "data"
    (folder / "nets").mkdir(parents=True)
    (folder / "table.csv").write_text("a,b\n1,2\n")
    (folder / "nets" / "net.keras").write_bytes(b"weights")
    (folder / "README.md").write_text("not data")
    monkeypatch.setattr(storage, "DATA", folder)
    monkeypatch.setattr(results, "MEASURED", folder / "measured")
    assert manifest.renew() == ["nets/net.keras", "table.csv"]
    return folder


def sums(folder):
    return (folder / "SHA256SUMS").read_text()


def damaged(path):
    with pytest.raises(Damaged) as caught:
        integrity.read_bytes(path)
    return str(caught.value)


def test_every_file_of_the_repository_is_listed_and_right():
    """After a change by hand: python -m cnnlab.manifest."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "data"], cwd=storage.ROOT, capture_output=True, check=True
        ).stdout.decode()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git here")
    files = {name.removeprefix("data/") for name in listed.split("\0") if name}
    files = {name for name in files if not name.rpartition("/")[2].startswith(".")}
    assert set(integrity.digests()) == files - {"README.md", "SHA256SUMS"}
    for name, digests in integrity.digests().items():
        content = (storage.DATA / name).read_bytes()
        assert digests == [hashlib.sha256(content).hexdigest()], name


def test_what_is_altered_missing_or_unknown_is_named_with_its_repair(data):
    assert integrity.read_text(data / "table.csv") == "a,b\n1,2\n"
    (data / "table.csv").write_text("a,b\n1,3\n")
    message = damaged(data / "table.csv")
    assert f"{data / 'table.csv'} is altered or cut off: SHA-256 " in message
    assert "git checkout data/table.csv data/SHA256SUMS" in message
    (data / "table.csv").unlink()
    assert integrity.exists(data / "table.csv")
    assert "No such file" in damaged(data / "table.csv")
    (data / "new.csv").write_text("x")
    assert "is not listed in data/SHA256SUMS" in damaged(data / "new.csv")
    assert not integrity.exists(data / "newer.csv")
    assert not integrity.exists(data / ("x" * 1000))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: text.replace("  ", " "),
        lambda text: "é" + text,
        lambda text: text.replace("table", "tabel"),
    ],
)
def test_an_altered_manifest(change, data):
    (data / "SHA256SUMS").write_bytes(change(sums(data)).encode())
    assert "data/SHA256SUMS" in damaged(data / "table.csv")


def test_a_file_is_written_with_its_digest(data):
    manifest.write(data / "table.csv", "new\n")
    manifest.write(data / "more" / "table.csv", b"more")
    assert integrity.read_text(data / "table.csv") == "new\n"
    assert integrity.read_bytes(data / "more" / "table.csv") == b"more"
    assert manifest.renew() == []


@pytest.mark.parametrize("killed_at", [1, 2, 3])
def test_a_kill_while_a_file_is_written_leaves_a_valid_one(killed_at, data, monkeypatch):
    calls, write = [], storage.write_atomically

    def killed(path, content):
        calls.append(path)
        if len(calls) == killed_at:
            raise KeyboardInterrupt
        return write(path, content)

    monkeypatch.setattr(storage, "write_atomically", killed)
    with pytest.raises(KeyboardInterrupt):
        manifest.write(data / "table.csv", "new\n")
    monkeypatch.undo()
    monkeypatch.setattr(storage, "DATA", data)
    assert integrity.read_text(data / "table.csv") == ("new\n" if killed_at == 3 else "a,b\n1,2\n")
    manifest.write(data / "table.csv", "new\n")
    assert sums(data).count("table.csv") == 1 and integrity.read_text(data / "table.csv") == "new\n"


# Runs in a copy of the checkout, of which it alters one file after the other.
DRILL = """
import json, pathlib, random, sys
from cnnlib import datasets, integrity, models, results, storage
from cnnlib.errors import InputError
from cnnlib.models import trained, vgg

def reader(name):
    folder, _, rest = name.partition("/")
    stem = pathlib.PurePosixPath(name).stem
    if name == "mnist.npz":
        return lambda: datasets.load("mnist", train_size=1, test_size=1)
    if folder == "samples":
        data_set = rest.partition("/")[0].partition(".")[0].removesuffix("_train")
        data_set = data_set.removesuffix("_test")
        if data_set.startswith("caltech"):
            return lambda: datasets.stream(data_set, sample=True, image_size=32)
        return lambda: datasets.load(data_set, sample=True)
    if folder == "class_names":
        def names():
            vars(datasets.info(stem)).pop("class_names", None)  # what is kept of an earlier reading
            return datasets.info(stem).class_names
        return names
    if folder == "weights":
        return lambda: models.vgg16_weights()
    if folder == "nets":
        return lambda: trained.load(storage.DATA / name) if name.endswith(".keras") else (
            integrity.read_bytes(storage.DATA / name))
    if name == "published/keras_applications.csv":
        return results.keras_applications
    if folder == "published":
        return lambda: results.published(stem)
    if name == "measured/costs.csv":
        return results.costs
    if name.startswith("measured/histories/"):
        return lambda: results.read_history(storage.DATA / name)
    if name.startswith("measured/predictions/"):
        return lambda: results.read_predictions(pathlib.PurePosixPath(name).parent.name, stem)
    if folder == "measured":
        return lambda: results.measured(stem, local=False)
    raise SystemExit(f"who reads data/{name}?")

def alterations(content, random):
    for _ in range(2):
        flipped = bytearray(content)
        flipped[random.randrange(len(content))] ^= 1 << random.randrange(8)
        yield "one bit", bytes(flipped)
    yield "cut", content[: random.randrange(len(content))]
    yield "empty", b""
    yield "longer", content + b"\\n"
    yield "missing", None

random, problems, count = random.Random(0), [], 0
for name in sys.argv[1:]:
    path, read = storage.DATA / name, reader(name)
    content = path.read_bytes()
    path.unlink()  # the copy's own file from now on, whatever it was linked to
    for kind, altered in alterations(content, random):
        if altered is not None:
            path.write_bytes(altered)
        elif path.exists():
            path.unlink()
        count += 1
        try:
            read()
            problems.append(f"{name}, {kind}: read without a word")
        except (InputError, datasets.Damaged) as error:
            if name not in str(error) or "git checkout data/" not in str(error):
                problems.append(f"{name}, {kind}: {error}")
        except Exception as error:
            problems.append(f"{name}, {kind}: {type(error).__name__}: {error}")
    path.write_bytes(content)
print(json.dumps([count, problems]))
"""


def test_drill_no_altered_file_is_read_without_a_word(tmp_path):
    """A flipped bit, a cut, an empty, a longer and a missing file, of every file in data/."""
    root = tmp_path / "checkout"
    shutil.copytree(storage.ROOT / "cnnlib", root / "cnnlib")
    names = sorted(integrity.digests())
    for name in [*names, "SHA256SUMS"]:
        target = root / "data" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(storage.DATA / name)
    pictures = [name for name in names if name.startswith("samples/caltech")]
    several = [name for name in names if name.startswith("measured/predictions/")]
    drilled = [name for name in names if name not in {*pictures[2:], *several[2:]}]
    command, environment = [sys.executable, "-c", DRILL, *drilled], {"PYTHONPATH": str(root)}
    process = subprocess.run(
        command, cwd=root, env=os.environ | environment, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    count, problems = json.loads(process.stdout.splitlines()[-1])
    assert count == 6 * len(drilled) and not problems, "\n".join(problems[:20])
    assert (storage.DATA / "mnist.npz").stat().st_size > 11_000_000  # the copy's links were cut
