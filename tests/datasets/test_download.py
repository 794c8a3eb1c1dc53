"""Preparing a set: downloads, archives handed in, what is refused. No network."""

import hashlib
import os
import shutil
import socket
import threading
import zipfile

import pytest

from cnnlab import fetch
from cnnlib import datasets
from cnnlib.datasets import download, prepared
from cnnlib.errors import InputError


def unavailable(name, **options):
    with pytest.raises(datasets.Unavailable) as caught:
        datasets.prepare(name, **options)
    return str(caught.value)


@pytest.fixture
def downloads(tmp_path):
    folder = tmp_path / "data" / "tfds" / "downloads" / "cnnlib" / "caltech256"
    folder.mkdir(parents=True)
    return folder


def test_a_download_is_prepared_once_and_the_archive_removed(host, published, tmp_path):
    folder = datasets.prepare("caltech101")
    assert datasets.status("caltech101").state == "prepared"
    assert folder.parent.parent == tmp_path / "data" / "tfds"
    assert not list((tmp_path / "data" / "tfds" / "downloads" / "cnnlib").iterdir())
    assert datasets.prepare("caltech101") == folder and len(host.requests) == 1


def test_a_download_that_broke_off_continues_where_it_stopped(host, published, downloads):
    host.cut_after = 80_000
    assert "the download from 127.0.0.1 broke off" in unavailable("caltech256")
    (part,) = downloads.iterdir()
    assert part.stat().st_size == 65_536  # whole chunks
    assert datasets.status("caltech256").state == "sample"
    host.cut_after = None
    folder = datasets.prepare("caltech256")
    assert host.ranges[1:] == ["bytes=65536-"]
    assert datasets.status("caltech256").state == "prepared"
    # Killed before the whole file was renamed: the host answers 416, nothing is missing.
    shutil.rmtree(folder)
    downloads.mkdir()
    shutil.copy(published["caltech256"], part)
    datasets.prepare("caltech256")
    assert host.ranges[2:] == [f"bytes={published['caltech256'].stat().st_size}-"]


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def test_what_arrives_and_is_not_the_file_is_thrown_away(host, published, tmp_path):
    path = "/256_ObjectCategories.tar"
    host.files[path] = flipped(host.files[path])
    assert "is not the file that was published: sha256" in unavailable("caltech256")
    assert not list(tmp_path.rglob("*.tar*"))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk(host, published, downloads):
    (downloads / "256_ObjectCategories.tar.part").symlink_to("/dev/full")
    message = unavailable("caltech256")
    assert "No space left on device). Run the same command again: it continues" in message


def test_two_at_once_share_one_preparation(published, capfd):
    found = []
    arguments = ("caltech256", published["caltech256"])
    prepare = lambda: found.append(datasets.prepare(*arguments))  # noqa: E731
    threads = [threading.Thread(target=prepare) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [prepared.find(datasets.info("caltech256"))] * 2
    assert capfd.readouterr().out.count("downloaded and prepared") == 1


# ---- hosts that do not answer, and what can be done then


def test_no_network(tmp_path, monkeypatch):
    """Every request goes to a proxy that refuses: a port of this machine that nobody listens on."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{unused.getsockname()[1]}"
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, proxy)
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(datasets.Unavailable) as caught:
        datasets.load("cifar10")
    for part in (
        "www.cs.toronto.edu did not answer (ProxyError)",
        f"no prepared folder {tmp_path / 'data' / 'tfds' / 'cifar10'}",
        "python -m cnnlib data fetch cifar10",
        "its sample, with sample=True, or mnist.",
    ):
        assert part in str(caught.value)
    assert not (tmp_path / "data").exists()


def test_hosts_that_are_given_up(host, published, monkeypatch):
    host.files.clear()
    assert "127.0.0.1 did not answer (HTTP 404)" in unavailable("caltech256")
    monkeypatch.setattr(download, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection, says nothing
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/file"
        monkeypatch.setitem(download.ADDRESSES, "caltech256", [address])
        assert "127.0.0.1 did not answer" in unavailable("caltech256")
    hang = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: hang.wait() and [])
    assert "did not answer (no answer within 0.2 seconds)" in unavailable("cifar10")
    hang.set()


def test_nothing_is_downloaded_when_that_is_not_wanted(monkeypatch):
    monkeypatch.setattr(download, "prepare", None)
    for load in (datasets.load, datasets.stream):
        with pytest.raises(datasets.Unavailable, match="downloads are switched off"):
            load("cifar10", download=False)


def test_imagenet_says_how_to_get_it(tmp_path):
    message = unavailable("imagenet")
    manual = str(tmp_path / "data" / "tfds" / "downloads" / "manual")
    assert "ILSVRC2012_img_train.tar" in message and manual in message


# ---- archives handed in


def test_an_archive_handed_in_needs_no_network(published, tmp_path, monkeypatch):
    """In each container in which it is found."""
    monkeypatch.setattr(download, "_check_host", None)
    datasets.prepare("caltech256", archive=published["caltech256"])
    assert datasets.status("caltech256").state == "prepared" and published["caltech256"].exists()
    with zipfile.ZipFile(published["caltech101"]) as archive:
        content = archive.read("caltech-101/101_ObjectCategories.tar.gz")
    inner = tmp_path / "101_ObjectCategories.tar.gz"
    inner.write_bytes(content)
    older = ("md5", hashlib.md5(content).hexdigest())
    monkeypatch.setitem(download.DIGESTS, "caltech101", [("sha256", "0" * 64), older])
    datasets.prepare("caltech101", archive=inner)
    assert datasets.status("caltech101").state == "prepared"


@pytest.mark.parametrize("change", [lambda tar: tar[:-30_000], flipped])
def test_an_archive_that_is_not_the_published_one_is_refused(change, published, tmp_path):
    path = tmp_path / "256_ObjectCategories.tar"
    path.write_bytes(change(published["caltech256"].read_bytes()))
    with pytest.raises(InputError, match="is not the published archive of Caltech-256: sha256"):
        datasets.prepare("caltech256", path)
    assert prepared.find(datasets.info("caltech256")) is None
    with pytest.raises(InputError, match="only caltech101 and caltech256 are"):
        datasets.prepare("cifar10", path)


# ---- the loop of `python -m cnnlib data fetch`


def test_fetch_goes_on_after_a_failure(host, published, capsys):
    host.files.pop("/256_ObjectCategories.tar")
    assert fetch.fetch(["caltech256", "mnist", "caltech101"]) == ["caltech256"]
    assert fetch.fetch(["caltech101"]) == []
    printed = capsys.readouterr().out.splitlines()
    lines = [line for line in printed if line.startswith(("caltech", "mnist"))]
    assert lines[0] == "caltech256: failed. 127.0.0.1 did not answer (HTTP 404)."
    assert lines[2].startswith("caltech101: prepared in ")
    assert lines[3].startswith("caltech101: already prepared in ")
    with pytest.raises(InputError, match="name just that one"):
        fetch.fetch(["caltech101", "caltech256"], archive="a.tar")
