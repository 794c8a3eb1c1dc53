"""The files in data/: all are listed with their SHA-256, and none that was altered is read."""

import hashlib
import subprocess

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
        lambda text: text.replace("  ", " "),
        lambda text: text.replace("table", "tabel"),
    ],
)
def test_an_altered_manifest(change, data):
    (data / "SHA256SUMS").write_bytes(change(sums(data)).encode())
    assert "data/SHA256SUMS" in damaged(data / "table.csv")


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
