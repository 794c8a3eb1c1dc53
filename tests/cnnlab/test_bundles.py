"""Bundles: what is packed arrives; nothing that was altered or leads elsewhere is installed."""

import hashlib
import os
import shutil
import zipfile

import pytest

from cnnlab import bundles
from cnnlib import datasets, storage
from cnnlib.errors import InputError


@pytest.fixture
def bundle(published, tmp_path, monkeypatch):
    """A bundle of both Caltech sets and of weights; afterwards this is another, empty machine."""
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        (folder / "weights").mkdir(parents=True)
        shutil.copytree(storage.DATA / "class_names", folder / "class_names")
        sums = (storage.DATA / "SHA256SUMS").read_text().splitlines(keepends=True)
        sums = [line for line in sums if "weights" not in line]
        sums.append(f"{hashlib.sha256(b'weights').hexdigest()}  weights/vgg16_notop.float16.npz\n")
        (folder / "SHA256SUMS").write_text("".join(sums))
    (here / "weights" / "vgg16_notop.float16.npz").write_bytes(b"weights")
    monkeypatch.setattr(storage, "DATA", here)
    for name, path in published.items():
        datasets.prepare(name, archive=path)
    bundles.bundle(["caltech101", "caltech256", "mnist"], tmp_path / "all.zip")
    monkeypatch.setattr(storage, "DATA", there)
    monkeypatch.setenv("CNNLIB_DATA", str(tmp_path / "other"))
    return tmp_path / "all.zip"


def altered(bundle, change):
    """The same zip with other contents: `change` gets and returns {name: bytes}."""
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
    assert datasets.status("caltech101").state != "prepared"
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
        assert archive.namelist()[-1] == "SHA256SUMS"
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
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
    assert datasets.status("caltech101").state != "prepared"
    assert not list((tmp_path / "other").rglob("incomplete*"))


def test_a_flipped_bit(bundle):
    content = bytearray(bundle.read_bytes())
    content[content.index(b"caltech101-train.tfrecord") + 2000] ^= 1
    bundle.write_bytes(content)
    assert "is damaged" in refused(bundle, datasets.Damaged)
    assert datasets.status("caltech101").state != "prepared"


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

    assert "does not belong into a bundle" in refused(altered(bundle, change))
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


def with_sums(contents):
    """The contents with a SHA256SUMS that fits them."""
    contents.pop("SHA256SUMS", None)
    sums = [f"{hashlib.sha256(each).hexdigest()}  {name}\n" for name, each in contents.items()]
    return contents | {"SHA256SUMS": "".join(sums).encode()}


def renamed(old, new):
    return lambda contents: {name.replace(old, new): each for name, each in contents.items()}


def stray_alone(contents):
    return {"tfds/caltech101/3.0.2/stray.txt": b"x"}


def stray_beside(contents):
    return contents | {"tfds/caltech101/3.0.2/stray.txt": b"x"}


def without_images(contents):
    return {name: each for name, each in contents.items() if "tfrecord" not in name}


def of_another_version(contents):
    name = "tfds/caltech101/3.0.2/dataset_info.json"
    return contents | {name: contents[name].replace(b'"3.0.2"', b'"9.9.9"')}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (renamed("/3.0.2/", "/999.0.0/"), "does not belong into a bundle"),
        (stray_alone, "holds no whole caltech101"),
        (stray_beside, "stray.txt is none of its files"),
        (without_images, "is missing"),
        (of_another_version, "its files are of version 9.9.9"),
        (lambda contents: {}, None),
    ],
)
def test_what_tfds_has_not_written_is_not_installed(change, says, bundle, tmp_path):
    """The sums of these bundles are right: the course knows better what a folder must hold."""
    altered(bundle, lambda contents: with_sums(change(contents)))
    if says is None:
        assert bundles.unpack(bundle) == []
    else:
        assert says in refused(bundle, (InputError, datasets.Damaged))
    assert datasets.status("caltech101").state != "prepared"
    assert not list((tmp_path / "other").rglob("incomplete*"))


def test_other_weights_are_not_installed(bundle, tmp_path):
    altered(
        bundle, lambda contents: with_sums(contents | {"weights/vgg16_notop.float16.npz": b"other"})
    )
    assert "is not the published file" in refused(bundle, datasets.Damaged)
    assert not (tmp_path / "there" / "weights" / "vgg16_notop.float16.npz").exists()


def test_a_compressed_bundle_is_refused_before_it_fills_the_disk(bundle, tmp_path):
    """10 MB of zeros in 10 kB; a bomb of any size is refused in the same way."""
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tfds/caltech101/3.0.2/dataset_info.json", b"\0" * 10_000_000)
        archive.writestr("SHA256SUMS", b"")
    assert "is compressed" in refused(bundle)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 99])
def test_other_compression_methods(method, bundle):
    content = bytearray(bundle.read_bytes())
    directory = content.index(b"PK\x01\x02")
    content[directory + 10 : directory + 12] = int(method).to_bytes(2, "little")
    bundle.write_bytes(content)
    assert "is compressed" in refused(bundle)


def test_encrypted_members(bundle):
    content = bytearray(bundle.read_bytes())
    directory = content.index(b"PK\x01\x02")
    content[directory + 8] |= 1
    bundle.write_bytes(content)
    assert "is encrypted" in refused(bundle)


def test_members_that_overlap(bundle):
    """Each stored file claims the whole archive: together more than its size."""
    with zipfile.ZipFile(bundle) as archive:
        first = archive.infolist()[0]
    content, size = bytearray(bundle.read_bytes()), bundle.stat().st_size
    start = 0
    while (start := content.find(b"PK\x01\x02", start)) >= 0:
        for offset in (20, 24):
            content[start + offset : start + offset + 4] = (size - 100).to_bytes(4, "little")
        content[start + 42 : start + 46] = first.header_offset.to_bytes(4, "little")
        start += 46
    bundle.write_bytes(content)
    assert "its files would have more bytes than it has itself" in refused(bundle)


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("half", ["first", "second"])
def test_a_half_that_is_missing(half, cut, bundle, tmp_path):
    content = bundle.read_bytes()
    at = int(len(content) * cut)
    bundle.write_bytes(content[at:] if half == "first" else content[:at])
    message = refused(bundle, (InputError, datasets.Damaged))
    assert "opy" in message and "make room" not in message.lower()
    assert not list((tmp_path / "other").rglob("*.tfrecord*"))


def test_a_truncated_member(bundle):
    """The directory promises more bytes of the last file than there are before it."""
    content = bytearray(bundle.read_bytes())
    with zipfile.ZipFile(bundle) as archive:
        last = archive.getinfo(next(n for n in archive.namelist() if "weights" in n))
    directory = content.rindex(b"PK\x01\x02", 0, content.rindex(b"PK\x01\x02"))
    for offset in (20, 24):
        content[directory + offset : directory + offset + 4] = (5000).to_bytes(4, "little")
    bundle.write_bytes(content)
    message = refused(bundle, (InputError, datasets.Damaged))
    assert "damaged" in message or "whole" in message, last


def test_what_does_not_fit_on_the_disk_is_refused_first(bundle, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    message = refused(bundle)
    assert "do not fit into" in message and "1,000 left" in message
    assert not list((tmp_path / "other").rglob("*.tfrecord*"))


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
    assert datasets.status("caltech101").state != "prepared" and not list(
        (tmp_path / "other").rglob("incomplete*")
    )
    shutil.rmtree(tmp_path / "other")
    monkeypatch.setenv("CNNLIB_DATA", str(tmp_path / "data"))
    with pytest.raises(InputError, match="cannot write"):
        bundles.bundle(["caltech101"], tmp_path / "b.zip")
    assert not list(tmp_path.glob("*b.zip*"))
