"""Preparing a set: downloads, archives handed in, what is refused. No network."""

import bz2
import gzip
import io
import lzma
import os
import struct
import subprocess
import sys
import tarfile
import time
import zipfile

import pytest

from cnnlab import data
from cnnlib import datasets, storage
from cnnlib.datasets import caltech, download, embedded, fetching, prepared
from cnnlib.datasets.catalogue import CATALOGUE
from cnnlib.errors import InputError


def unavailable(name, **options):
    with pytest.raises(datasets.Unavailable) as caught:
        datasets.prepare(name, **options)
    return str(caught.value)


def refused(name, **options):
    with pytest.raises(InputError) as caught:
        datasets.prepare(name, **options)
    assert prepared.find(datasets.info(name)) is None
    return str(caught.value)


def part_of(name, tmp_path):
    (path,) = (tmp_path / "data" / "tfds" / "downloads" / "cnnlib" / name).iterdir()
    return path


@pytest.mark.parametrize("name", ["caltech101", "caltech256"])
def test_a_download_is_prepared_and_the_archive_removed(name, host, published, tmp_path):
    folder = datasets.prepare(name)
    assert datasets.status(name).state == "prepared"
    assert folder.parent.parent == tmp_path / "data" / "tfds"
    assert not list((tmp_path / "data" / "tfds" / "downloads").rglob("*.zip")) and not list(
        tmp_path.rglob("*.part")
    )
    assert datasets.prepare(name) == folder and len(host.requests) == 1


def test_a_download_that_broke_off_goes_on_where_it_stopped(host, published, tmp_path):
    host.cut_after = 80_000
    assert "the download from 127.0.0.1 broke off" in unavailable("caltech256")
    assert part_of("caltech256", tmp_path).stat().st_size == 65_536  # whole chunks
    assert datasets.status("caltech256").state != "prepared"
    host.cut_after = None
    datasets.prepare("caltech256")
    assert host.ranges == ["bytes=65536-"]
    assert datasets.status("caltech256").state == "prepared"


def test_a_download_that_was_killed_before_it_was_renamed_is_not_fetched_again(
    host, published, tmp_path
):
    folder = tmp_path / "data" / "tfds" / "downloads" / "cnnlib" / "caltech256"
    folder.mkdir(parents=True)
    content = published["caltech256"].read_bytes()
    (folder / "256_ObjectCategories.tar.part").write_bytes(content)
    datasets.prepare("caltech256")
    assert host.ranges == [
        f"bytes={len(content)}-"
    ]  # which the host answers with 416: nothing is missing


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"<!DOCTYPE html><html>Sorry, moved.</html>", "it is a web page (HTML), not an archive"),
        (b"\0" * 3000, "expected"),
    ],
)
def test_what_arrives_and_is_not_the_file_is_thrown_away(content, says, host, published, tmp_path):
    host.files["/256_ObjectCategories.tar"] = content
    message = unavailable("caltech256")
    assert says in message and "is not the file that was published" in message
    assert not list(tmp_path.rglob("*.tar*"))


def test_a_flipped_bit_on_the_way(host, published):
    content = bytearray(host.files["/caltech-101.zip"])
    content[len(content) // 2] ^= 1
    host.files["/caltech-101.zip"] = bytes(content)
    assert "is not the file that was published: sha256" in unavailable("caltech101")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk(host, published, tmp_path):
    folder = tmp_path / "data" / "tfds" / "downloads" / "cnnlib" / "caltech256"
    folder.mkdir(parents=True)
    (folder / "256_ObjectCategories.tar.part").symlink_to("/dev/full")
    assert (
        "broke off (No space left on device). Run the same command again: it continues from here"
        in unavailable("caltech256")
    )


def test_a_disk_that_fills_up_while_the_set_is_written(published, monkeypatch):
    """TFDS' incomplete folder is not taken for a prepared one."""

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")
        yield  # a generator, as what it replaces

    monkeypatch.setattr(caltech.Caltech256, "_generate_examples", full)
    assert "No space left on device" in unavailable("caltech256", archive=published["caltech256"])
    assert datasets.status("caltech256").state != "prepared"


def test_two_processes_at_once(published, tmp_path):
    """Both are told the same folder, and the set is prepared by one of them."""
    code = """
import sys
from cnnlib.datasets import caltech, download
from cnnlib.datasets.catalogue import CATALOGUE
name, archive = sys.argv[1:]
print(download.prepare(CATALOGUE[name], archive, partial=True))
"""
    command = [sys.executable, "-c", code, "caltech256", str(published["caltech256"])]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(2)]
    outputs = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    last = {output.splitlines()[-1] for output, _ in outputs}
    assert last == {str(tmp_path / "data" / "tfds" / "caltech256" / "1.0.0")}
    prepared = [
        output
        for output, _ in outputs
        if "Downloading and preparing" in output or "downloaded and prepared" in output
    ]
    assert len(prepared) == 1
    assert not list(tmp_path.rglob("incomplete*"))


# ---- archives handed in


@pytest.mark.parametrize("name", ["caltech101", "caltech256"])
def test_an_archive_handed_in_needs_no_network(name, published, monkeypatch):
    monkeypatch.setattr(fetching, "ask", lambda address: pytest.fail("asked the network"))
    datasets.prepare(name, archive=published[name])
    assert datasets.status(name).state == "prepared"
    assert published[name].exists()


def test_the_older_archive_of_caltech101(published, tmp_path, monkeypatch):
    import hashlib

    with zipfile.ZipFile(published["caltech101"]) as archive:
        content = archive.read("caltech-101/101_ObjectCategories.tar.gz")
    (tmp_path / "101_ObjectCategories.tar.gz").write_bytes(content)
    monkeypatch.setattr(
        caltech.Caltech101, "older_digests", (("md5", hashlib.md5(content).hexdigest()),)
    )
    datasets.prepare("caltech101", archive=tmp_path / "101_ObjectCategories.tar.gz")
    assert datasets.status("caltech101").state == "prepared"


def test_a_part_is_taken_only_when_asked_for(archives):
    assert "is not the published archive of Caltech-256: md5" in refused(
        "caltech256", archive=archives["caltech256"]
    )
    datasets.prepare("caltech256", archive=archives["caltech256"], partial=True)
    assert datasets.status("caltech256").state == "part"
    with pytest.raises(datasets.Damaged, match="has 75 train and test images, expected 30607"):
        datasets.stream("caltech256", image_size=32)


@pytest.mark.parametrize("partial", [False, True])
def test_an_html_page_saved_as_a_tar(partial, published, tmp_path):
    (tmp_path / "256_ObjectCategories.tar").write_text("<html>Please log in</html>")
    assert "it is a web page (HTML), not an archive" in refused(
        "caltech256", archive=tmp_path / "256_ObjectCategories.tar", partial=partial
    )


@pytest.mark.parametrize(
    ("name", "partial"), [("caltech101", False), ("caltech101", True), ("caltech256", False)]
)
def test_a_truncated_archive(name, partial, published, tmp_path):
    path = tmp_path / published[name].name
    path.write_bytes(published[name].read_bytes()[:-30_000])
    message = refused(name, archive=path, partial=partial)
    assert "cannot be read" in message if partial else "is not the published archive" in message


def test_a_picture_that_is_not_whole(published, tmp_path):
    content = published["caltech256"].read_bytes()
    start = content.index(b"\xff\xd8\xff")
    path = tmp_path / "256_ObjectCategories.tar"
    path.write_bytes(content[: start + 100] + b"\0" * 300 + content[start + 400 :])
    assert "001.ak47/001_0001.jpg is not a whole picture" in refused(
        "caltech256", archive=path, partial=True
    )


def test_the_archive_of_another_set(published, tmp_path):
    with zipfile.ZipFile(published["caltech101"]) as archive:
        (tmp_path / "101.tar.gz").write_bytes(archive.read(archive.namelist()[0]))
    message = refused("caltech256", archive=tmp_path / "101.tar.gz", partial=True)
    assert "has 0 images of Caltech-256" in message
    message = refused("caltech256", archive=published["caltech101"], partial=True)
    assert "it is a zip with no 256_ObjectCategories.tar" in message


def test_a_zip_for_caltech256_is_asked_for_its_own_tar_file(published, tmp_path):
    path = tmp_path / "256_ObjectCategories.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("256_ObjectCategories/001.ak47/001_0001.jpg", b"a picture")
    message = refused("caltech256", archive=path, partial=True)
    assert "it is a zip with no 256_ObjectCategories.tar among its 1 files" in message
    assert "101" not in message.replace("10.22002/D1.20087", "")


def test_a_zip_with_the_tar_file_of_caltech256(published, tmp_path):
    path = tmp_path / "256_ObjectCategories.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(published["caltech256"], "caltech/256_ObjectCategories.tar")
    datasets.prepare("caltech256", archive=path, partial=True)
    assert datasets.status("caltech256").state == "prepared"


def tar_with(path, members):
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_a_member_larger_than_any_picture(published, tmp_path):
    """A sparse file of 20 GB takes 1 kB in the archive: it is refused before it is read."""
    path = tmp_path / "sparse.tar"
    info = tarfile.TarInfo("256_ObjectCategories/001.ak47/001_0001.jpg")
    info.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386:398], header[398:410] = b"%011o\0" % 0, b"%011o\0" % 0  # no data at 0
    header[483:495] = b"%011o\0" % (7 << 30)  # the size of the whole
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    path.write_bytes(bytes(header) + b"\0" * 1024)
    message = refused("caltech256", archive=path, partial=True)
    assert "has 7,516,192,768 bytes, more than any picture of Caltech-256" in message


def test_a_picture_that_is_there_twice(published, tmp_path):
    with tarfile.open(published["caltech256"]) as tar:
        member = next(each for each in tar if "001.ak47" in each.name)
        content = tar.extractfile(member).read()
    path = tar_with(tmp_path / "twice.tar", [(member.name, content)] * 2)
    assert "001.ak47/001_0001.jpg twice" in refused("caltech256", archive=path, partial=True)


@pytest.mark.parametrize(
    "error", [MemoryError("8 GB"), ValueError("tfds"), struct.error("unpack"), AssertionError("x")]
)
def test_what_will_always_fail_does_not_say_to_try_again(error, published, monkeypatch):
    def fail(*arguments, **options):
        raise error
        yield

    monkeypatch.setattr(caltech.Caltech256, "_generate_examples", fail)
    message = unavailable("caltech256", archive=published["caltech256"])
    assert "would fail again: download the archive again from https://doi.org" in message
    assert "same command again" not in message


@pytest.mark.parametrize("ending", ["gz", "bz2", "xz"])
def test_an_altered_compressed_tar(ending, published, tmp_path):
    """zlib.error, OSError and LZMAError: each is one clear error."""
    path = tmp_path / f"256_ObjectCategories.tar.{ending}"
    compress = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}[ending]
    content = bytearray(compress(published["caltech256"].read_bytes()[:200_000]))
    middle = len(content) // 2
    content[middle : middle + 50] = bytes(255 - each for each in content[middle : middle + 50])
    path.write_bytes(content)
    message = refused("caltech256", archive=path, partial=True)
    assert "cannot be read" in message or "is not a whole picture" in message


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_an_archive_that_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.tar")
    for path in (tmp_path / "pipe.tar", tmp_path):
        assert "is not a file" in refused("caltech256", archive=path)


def test_what_killed_preparations_left_is_removed(published, tmp_path):
    folder = tmp_path / "data" / "tfds" / "caltech256"
    old, fresh = folder / "incomplete.ABC_1.0.0", folder / "incomplete.DEF_1.0.0"
    for path in (old, fresh):
        path.mkdir(parents=True)
        (path / "shard").write_text("half")
    hours_ago = time.time() - 2 * storage.ABANDONED
    for path in (old / "shard", old):
        os.utime(path, (hours_ago, hours_ago))
    datasets.prepare("caltech256", archive=published["caltech256"])
    assert not old.exists() and fresh.exists()


def test_sets_that_are_made_of_no_archive(tmp_path):
    assert "only caltech101 and caltech256 are" in refused(
        "cifar10", archive=tmp_path / "cifar.tar"
    )


def test_a_missing_archive(tmp_path):
    with pytest.raises(FileNotFoundError):
        datasets.prepare("caltech256", archive=tmp_path / "no.tar")


# ---- ImageNet


def test_imagenet_says_how_to_get_it(tmp_path):
    message = unavailable("imagenet")
    for part in (
        "https://image-net.org/download-images",
        *download.IMAGENET_FILES,
        str(tmp_path / "data" / "tfds" / "downloads" / "manual"),
    ):
        assert part in message
    assert "imagenette" in message


def test_imagenet_archives_that_are_not_the_published_ones(tmp_path):
    folder = tmp_path / "data" / "tfds" / "downloads" / "manual"
    folder.mkdir(parents=True)
    (folder / "ILSVRC2012_img_val.tar").write_text("<html>")
    assert "has to be downloaded by you" in unavailable("imagenet")
    assert "is a web page" in refused("imagenet", partial=True)


# ---- the loop of `python -m cnnlib data fetch`


def test_fetch_goes_on_after_a_failure(host, published, monkeypatch):
    lines = []
    host.files.pop("/256_ObjectCategories.tar")
    assert data.fetch(["caltech256", "mnist", "caltech101"], say=lines.append) == ["caltech256"]
    assert lines[0] == "caltech256: failed. 127.0.0.1 did not answer (HTTPError 404)."
    assert lines[1] == "mnist: the repository carries it, there is nothing to fetch"
    assert lines[2].startswith("caltech101: prepared in ")
    assert data.fetch(["caltech101"], say=lines.append) == [] and lines[3].startswith(
        "caltech101: already prepared in "
    )


def test_fetch_checks_its_arguments():
    with pytest.raises(InputError, match="unknown data set 'cifar'"):
        data.fetch(["mnist", "cifar"])
    with pytest.raises(InputError, match="name just that one"):
        data.fetch(["caltech101", "caltech256"], archive="a.tar")


def test_nothing_is_downloaded_when_that_is_not_wanted(monkeypatch):
    monkeypatch.setattr(download, "prepare", None)
    with pytest.raises(datasets.Unavailable, match="downloads are switched off"):
        datasets.load("cifar10", download=False)
    with pytest.raises(datasets.Unavailable, match="downloads are switched off"):
        datasets.stream("caltech101", image_size=32, download=False)


def test_status_of_what_is_embedded_sampled_and_absent():
    states = {name: datasets.status(name).state for name in CATALOGUE}
    assert states == {
        name: "embedded"
        if name in embedded.WHOLE
        else "sample"
        if name in embedded.SAMPLES
        else "absent"
        for name in CATALOGUE
    }
