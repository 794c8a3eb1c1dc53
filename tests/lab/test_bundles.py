"""Bundles: what is packed arrives, and nothing that was altered or leads out of the folder is installed."""

import hashlib
import os
import shutil
import zipfile

import pytest

from cnnlib import datasets, storage
from cnnlib.datasets import bundles
from cnnlib.errors import InputError


@pytest.fixture
def bundle(published, tmp_path, monkeypatch):
    """A bundle of both Caltech sets and of weights; afterwards this is the other machine, with empty folders."""
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        (folder / "weights").mkdir(parents=True)
    (here / "weights" / "vgg16_notop.float16.npz").write_bytes(b"weights")
    monkeypatch.setattr(storage, "DATA", here)
    for name, path in published.items():
        datasets.prepare(name, archive=path)
    bundles.bundle(["caltech101", "caltech256", "mnist"], tmp_path / "all.zip")
    monkeypatch.setattr(storage, "DATA", there)
    monkeypatch.setenv("CNNLIB_DATA", str(tmp_path / "other"))
    return tmp_path / "all.zip"


def altered(bundle, change):
    """The same zip with other contents: change gets and returns {name: bytes}; its SHA256SUMS is as `change` leaves it."""
    with zipfile.ZipFile(bundle) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    contents = change(contents)
    with zipfile.ZipFile(bundle, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return bundle


def refused(bundle, error=InputError):
    with pytest.raises(error) as caught:
        bundles.unpack(bundle)
    return str(caught.value)


def shard_of(contents):
    return next(name for name in contents if "caltech101-train" in name)


def test_what_is_packed_arrives(bundle, tmp_path):
    assert datasets.status("caltech101").state == "absent"
    assert len(bundles.unpack(bundle)) == 3
    assert {datasets.status(name).state for name in ("caltech101", "caltech256")} == {"prepared"}
    for path in (tmp_path / "data" / "tfds" / "caltech101" / "3.0.2").iterdir():
        assert (
            path.read_bytes()
            == (tmp_path / "other" / "tfds" / "caltech101" / "3.0.2" / path.name).read_bytes()
        )
    assert (tmp_path / "there" / "weights" / "vgg16_notop.float16.npz").read_bytes() == b"weights"
    assert len(datasets.stream("caltech101", image_size=32)) == 3


def test_the_sums_are_those_that_sha256sum_checks(bundle):
    with zipfile.ZipFile(bundle) as archive:
        assert archive.namelist()[-1] == "SHA256SUMS" and {
            info.compress_type for info in archive.infolist()
        } == {zipfile.ZIP_STORED}
        for line in archive.read("SHA256SUMS").decode().splitlines():
            digest, name = line.split("  ")
            assert hashlib.sha256(archive.read(name)).hexdigest() == digest


def test_it_can_be_repeated(bundle, tmp_path):
    bundles.unpack(bundle)
    (tmp_path / "other" / "tfds" / "caltech101" / "incomplete.unpack_3.0.2").mkdir()
    assert [line.split(": ")[-1] for line in bundles.unpack(bundle)] == [
        "already here, the same"
    ] * 3


def test_what_was_killed_half_way_is_done_again(bundle, tmp_path):
    part = tmp_path / "other" / "tfds" / "caltech101" / "incomplete.unpack_3.0.2"
    part.mkdir(parents=True)
    (part / "left over").write_text("half of a file")
    bundles.unpack(bundle)
    assert datasets.status("caltech101").state == "prepared" and not part.exists()
    assert not (tmp_path / "other" / "tfds" / "caltech101" / "3.0.2" / "left over").exists()


def test_a_folder_with_another_content_is_left_alone(bundle, tmp_path):
    folder = tmp_path / "other" / "tfds" / "caltech101" / "3.0.2"
    folder.mkdir(parents=True)
    (folder / "mine").write_text("mine")
    assert f"{folder} is here already, with another content" in refused(bundle)
    assert [path.name for path in folder.iterdir()] == ["mine"]


def test_a_file_that_differs_from_its_sum(bundle, tmp_path):
    def change(contents):
        contents[shard_of(contents)] = contents[shard_of(contents)][:-1] + b"?"
        return contents

    assert "is damaged: SHA-256" in refused(altered(bundle, change), datasets.Damaged)
    assert datasets.status("caltech101").state == "absent"
    assert not list((tmp_path / "other").rglob("incomplete*"))


def test_a_flipped_bit(bundle):
    content = bytearray(bundle.read_bytes())
    content[content.index(b"caltech101-train.tfrecord") + 2000] ^= 1
    bundle.write_bytes(content)
    assert "is damaged" in refused(bundle, datasets.Damaged)
    assert datasets.status("caltech101").state == "absent"


@pytest.mark.parametrize(
    "name",
    [
        "../outside.txt",
        "/etc/outside.txt",
        "tfds/../../outside.txt",
        "tfds/caltech101/3.0.2/../../../../outside.txt",
        "tfds/caltech101/../3.0.2/outside.txt",
        "C:\\outside.txt",
        "tfds/caltech101/3.0.2/..\\outside.txt",
        "tfds/unknown/1.0.0/file",
        "tfds/caltech101/file",
        "tfds/caltech101/3.0.2/.hidden",
        "weights/other.npz",
        "weights/",
        "notes.txt",
    ],
)
def test_a_path_that_does_not_belong_there(name, bundle, tmp_path):
    def change(contents):
        contents["SHA256SUMS"] += f"{hashlib.sha256(b'x').hexdigest()}  {name}\n".encode()
        return contents | {name: b"x"}

    assert "is refused" in refused(altered(bundle, change))
    assert not list((tmp_path / "other").rglob("*.*")) and not list(tmp_path.rglob("outside*"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda contents: contents | {"tfds/caltech101/3.0.2/more": b"x"}, "is altered"),
        (
            lambda contents: {
                name: contents[name] for name in contents if name != shard_of(contents)
            },
            "is altered",
        ),
        (
            lambda contents: {name: contents[name] for name in contents if name != "SHA256SUMS"},
            "it has no SHA256SUMS",
        ),
        (lambda contents: contents | {"SHA256SUMS": b"nonsense"}, "is altered"),
    ],
)
def test_files_and_sums_that_do_not_agree(change, says, bundle):
    assert says in refused(altered(bundle, change))


@pytest.mark.parametrize("content", [b"<html>Please log in</html>", b"", None])
def test_what_is_no_bundle(content, bundle):
    bundle.write_bytes(bundle.read_bytes()[:-1000] if content is None else content)
    assert "is not a whole bundle" in refused(bundle)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        bundles.unpack(tmp_path / "no.zip")


def test_what_is_not_prepared_is_not_packed(tmp_path):
    with pytest.raises(datasets.Unavailable, match="data fetch cifar10` first"):
        bundles.bundle(["cifar10"], tmp_path / "a.zip")
    with pytest.raises(InputError, match="unknown data set"):
        bundles.bundle(["cifar"], tmp_path / "a.zip")


def test_a_damaged_set_is_not_packed(bundle, tmp_path):
    bundles.unpack(bundle)
    next((tmp_path / "other").rglob("caltech101-train*")).write_bytes(b"cut")
    with pytest.raises(datasets.Damaged):
        bundles.bundle(["caltech101"], tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


def test_a_full_disk_leaves_nothing_behind(bundle, tmp_path, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(os, "replace", full)
    assert "No space left on device" in refused(bundle)
    assert datasets.status("caltech101").state == "absent" and not list(
        (tmp_path / "other").rglob("incomplete*")
    )
    shutil.rmtree(tmp_path / "other")
    monkeypatch.setenv("CNNLIB_DATA", str(tmp_path / "data"))
    with pytest.raises(InputError, match="cannot write"):
        bundles.bundle(["caltech101"], tmp_path / "b.zip")
    assert not list(tmp_path.glob("*b.zip*"))
