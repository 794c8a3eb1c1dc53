"""Bundles: what is packed arrives; nothing that was altered or leads elsewhere is installed."""

import hashlib
import os
import shutil
import time
import zipfile

import pytest

from cnnlab import bundle
from cnnlib import datasets
from cnnlib.errors import InputError

SET = "tfds/caltech101/3.0.2/"


@pytest.fixture(scope="module")
def packed(archives, prepared_archives, tmp_path_factory):
    """A folder with both Caltech sets, prepared in part, and all.zip, the bundle of both."""
    folder = shutil.copytree(prepared_archives, tmp_path_factory.mktemp("here") / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNNLIB_DATA", str(folder))
        for name in archives:
            (version,) = (folder / "tfds" / name).glob("[1-9]*")
            (version / "._dataset_info.json").write_bytes(b"what macOS adds")
            os.utime(version / "features.json", (0, 0))  # 1970, before the first year of a zip
            os.utime(version / "dataset_info.json", (2**32 + 2**31,) * 2)  # 2174, after the last
        patch.setattr(time, "localtime", lambda *seconds: time.gmtime(0))  # a clock that says 1970
        bundle.pack(["caltech101", "caltech256", "mnist"], folder / "all.zip")
    return folder


@pytest.fixture
def path(packed, tmp_path):
    """A copy of the bundle on another, empty machine."""
    return shutil.copy(packed / "all.zip", tmp_path / "all.zip")


def refused(path):
    """The message of a bundle that is refused, of which nothing may be left."""
    with pytest.raises((InputError, datasets.Damaged)) as caught:
        bundle.unpack(path)
    left = {each.name for each in path.parent.rglob("*") if each.is_file()} - {path.name}
    assert not {name for name in left if not name.endswith(".lock")}
    return str(caught.value)


def test_what_is_packed_arrives(path, packed, tmp_path):
    assert len(bundle.unpack(path)) == 2
    assert {datasets.status(name).state for name in ("caltech101", "caltech256")} == {"part"}
    there, here = tmp_path / "data" / SET, packed / SET
    names = {each.name for each in here.iterdir()} - {"._dataset_info.json"}
    assert {each.name for each in there.iterdir()} == names
    assert all((there / name).read_bytes() == (here / name).read_bytes() for name in names)
    assert len(datasets.stream("caltech101", image_size=32, partial=True)) == 3
    with zipfile.ZipFile(path) as archive:
        lines = archive.read("SHA256SUMS").decode().splitlines()
    digest = hashlib.sha256((here / "features.json").read_bytes()).hexdigest()
    assert f"{digest}  {SET}features.json" in lines  # as `sha256sum -c` reads them
    lines = bundle.unpack(path)
    assert [line.split(": ")[-1] for line in lines] == ["already here, the same"] * 2


def test_what_was_killed_half_way_is_done_again_and_another_content_left_alone(path, tmp_path):
    part = tmp_path / "data" / "tfds" / "caltech101" / "incomplete.unpack_3.0.2"
    part.mkdir(parents=True)
    (part / "left over").write_text("half of a file")
    bundle.unpack(path)
    assert datasets.status("caltech101").state == "part" and not part.exists()
    folder = tmp_path / "data" / SET
    assert not (folder / "left over").exists()
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "mine").write_text("mine")
    with pytest.raises(InputError, match="is here already, with another content"):
        bundle.unpack(path)
    assert [each.name for each in folder.iterdir()] == ["mine"]


# ---- files of the zip: `change` gets and returns {name: bytes}


def with_sums(contents):
    """The contents with a SHA256SUMS that fits them: the course knows what a folder must hold."""
    contents.pop("SHA256SUMS", None)
    sums = [f"{hashlib.sha256(each).hexdigest()}  {name}\n" for name, each in contents.items()]
    return contents | {"SHA256SUMS": "".join(sums).encode()}


def named(name):
    return lambda contents: with_sums({name: b"x"} | contents)


def replaced(name, old, new):
    return lambda contents: with_sums(
        contents | {SET + name: contents[SET + name].replace(old, new)}
    )


def without_images(contents):
    empty = {SET + "dataset_info.json": b'{"version": "3.0.2", "splits": []}'}
    return with_sums(without("tfrecord")(contents) | empty)


def without(part):
    return lambda contents: {name: each for name, each in contents.items() if part not in name}


TFDS = b"tensorflow_datasets.core.features.image_feature"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        *[
            (named(name), "does not belong into a bundle")
            for name in (
                *("../outside", "/etc/outside", "notes.txt", "tfds/unknown/1.0.0/file", SET),
                *(f"{SET}../../../../outside", f"{SET}..\\outside", f"{SET}.hidden", f"{SET}a/b"),
                *("tfds/caltech101/../3.0.2/outside", "tfds/caltech101/999.0.0/features.json"),
            )
        ],
        (lambda contents: contents | {f"{SET}more": b"x"}, "its files are not those"),
        (without("caltech101-train"), "its files are not those"),
        (without("SHA256SUMS"), "it has no SHA256SUMS"),
        (lambda contents: contents | {f"{SET}features.json": b"?"}, "features.json in "),
        (lambda contents: with_sums({f"{SET}stray.txt": b"x"}), "holds no whole caltech101"),
        (named(f"{SET}stray.txt"), "stray.txt is none of its files"),
        (lambda contents: with_sums(without("tfrecord")(contents)), "is missing"),
        (without_images, "has no images"),
        (replaced("dataset_info.json", b'"3.0.2"', b'"9.9.9"'), "its files are of version 9.9.9"),
        (replaced("features.json", TFDS, b"this"), "'this.Image' is no feature of TFDS"),
    ],
)
def test_contents_that_are_refused(change, says, path):
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in change(contents).items():
            archive.writestr(name, content)
    assert says in refused(path)


# ---- bytes of the zip


def compressed(content):
    """The first entry in the zip's directory says that its file is compressed."""
    at = content.index(b"PK\x01\x02") + 10
    return content[:at] + b"\x08\x00" + content[at + 2 :]


def overlapping(content):
    """Each stored file claims the whole archive: together more than its size."""
    content, start, size = bytearray(content), 0, (len(content) - 100).to_bytes(4, "little")
    while (start := content.find(b"PK\x01\x02", start + 1)) >= 0:
        content[start + 20 : start + 28] = size * 2
        content[start + 42 : start + 46] = bytes(4)
    return content


def flipped(content):
    at = content.index(b"caltech101-train.tfrecord") + 2000
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (compressed, "is compressed or encrypted"),
        (overlapping, "its files would have more bytes than it has itself"),
        (flipped, "is damaged"),
        (lambda content: content[: len(content) // 2], "opy"),
        (lambda content: b"<html>Please log in</html>", "is not a whole bundle"),
    ],
)
def test_bytes_that_are_refused(change, says, path):
    path.write_bytes(change(path.read_bytes()))
    assert says in refused(path)


def test_a_full_disk_leaves_nothing_behind(path, packed, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(os, "replace", full)
    assert "No space left on device" in refused(path)
    monkeypatch.setenv("CNNLIB_DATA", str(packed))
    with pytest.raises(InputError, match="cannot write"):
        bundle.pack(["caltech101"], path.parent / "b.zip")
    assert not list(path.parent.glob("*b.zip*"))


def test_what_cannot_be_packed(path, tmp_path):
    with pytest.raises(datasets.Unavailable, match="data fetch cifar10` first"):
        bundle.pack(["cifar10"], tmp_path / "a.zip")
    with pytest.raises(InputError, match="nothing to pack"):
        bundle.pack(["mnist"], tmp_path / "a.zip")
    bundle.unpack(path)
    next((tmp_path / "data").rglob("caltech101-train*")).write_bytes(b"cut")
    with pytest.raises(datasets.Damaged):
        bundle.pack(["caltech101"], tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()
