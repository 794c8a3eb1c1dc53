"""Preparing a set: whole downloads, broken ones, archives handed in, what is refused, and two processes at once. No network."""

import os
import subprocess
import sys

import pytest

from cnnlib import datasets
from cnnlib.datasets import caltech, download, embedded, prepared
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
    assert datasets.status("caltech256").state == "absent"
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
        "broke off (No space left on device). Do the same again: it goes on from here"
        in unavailable("caltech256")
    )


def test_a_disk_that_fills_up_while_the_set_is_written(published, monkeypatch):
    """TFDS' incomplete folder is not taken for a prepared one."""

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")
        yield  # a generator, as what it replaces

    monkeypatch.setattr(caltech.Caltech256, "_generate_examples", full)
    assert "No space left on device" in unavailable("caltech256", archive=published["caltech256"])
    assert datasets.status("caltech256").state == "absent"


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
    monkeypatch.setattr(download, "_ask", lambda address: pytest.fail("asked the network"))
    datasets.prepare(name, archive=published[name])
    assert datasets.status(name).state == "prepared"
    assert published[name].exists()


def test_the_older_archive_of_caltech101(published, tmp_path, monkeypatch):
    import hashlib
    import zipfile

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


def test_the_archive_of_another_set(published):
    assert "has 0 images of Caltech-256" in refused(
        "caltech256", archive=published["caltech101"], partial=True
    )


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
    assert download.fetch(["caltech256", "mnist", "caltech101"], say=lines.append) == ["caltech256"]
    assert lines[0] == "caltech256: failed. 127.0.0.1 did not answer (HTTPError 404)."
    assert lines[1] == "mnist: the repository carries it, there is nothing to fetch"
    assert lines[2].startswith("caltech101: prepared in ")
    assert download.fetch(["caltech101"], say=lines.append) == [] and lines[3].startswith(
        "caltech101: already prepared in "
    )


def test_fetch_checks_its_arguments():
    with pytest.raises(InputError, match="unknown data set 'cifar'"):
        download.fetch(["mnist", "cifar"])
    with pytest.raises(InputError, match="name just that one"):
        download.fetch(["caltech101", "caltech256"], archive="a.tar")


def test_nothing_is_downloaded_when_that_is_not_wanted(monkeypatch):
    monkeypatch.setattr(download, "prepare", None)
    with pytest.raises(datasets.Unavailable, match="a download was not wanted"):
        datasets.load("cifar10", download=False)
    with pytest.raises(datasets.Unavailable, match="a download was not wanted"):
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
