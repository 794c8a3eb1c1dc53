"""Folders mean the same everywhere, and files are written whole or not at all."""

import os
import pathlib
import stat
import subprocess
import sys
import time

import pytest

from cnnlib import storage
from cnnlib.errors import InputError

WHERE = """
from cnnlib import storage
from cnnlib.datasets.prepared import data_folder
print(storage.results_folder(), data_folder(), sep="\\n")
"""


def folders(cwd, **variables):
    """The results folder and the data folder, as seen by a process whose working folder is cwd."""
    own = ("CNNLIB_RESULTS", "CNNLIB_DATA", "TFDS_DATA_DIR")
    environment = {name: value for name, value in os.environ.items() if name not in own}
    environment |= {"PYTHONPATH": str(storage.ROOT)} | variables
    command = [sys.executable, "-c", WHERE]
    process = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=True
    )
    return [pathlib.Path(line) for line in process.stdout.splitlines()]


def test_relative_folders_mean_the_same_in_a_notebook_and_in_a_command(tmp_path):
    expected = [storage.ROOT / "my" / "results", storage.ROOT / "my" / "data" / "tfds"]
    for cwd in (storage.ROOT, storage.NOTEBOOKS, tmp_path):
        assert folders(cwd, CNNLIB_RESULTS="my/results", CNNLIB_DATA="my/data") == expected
    home = pathlib.Path("~/tensorflow_datasets").expanduser()
    assert folders(storage.NOTEBOOKS) == [storage.ROOT / "results", home]


def test_absolute_folders_and_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNLIB_RESULTS", str(tmp_path))
    assert storage.results_folder() == tmp_path
    monkeypatch.setenv("CNNLIB_RESULTS", "~/results")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))  # Windows
    assert storage.results_folder() == tmp_path / "results"


@pytest.mark.skipif(os.name == "nt", reason="Windows guesses where the user's folder is")
def test_the_home_folder_of_nobody(monkeypatch):
    monkeypatch.setenv("CNNLIB_RESULTS", "~no-such-user/results")
    with pytest.raises(RuntimeError, match="home directory"):
        storage.results_folder()


def test_a_file_is_replaced_whole_or_stays(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    assert storage.write_atomically(path, "é\n") == path
    assert path.read_bytes() == "é\n".encode()

    def interrupted():
        with storage.replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text(encoding="utf-8") == "é\n"
    assert [each.name for each in path.parent.iterdir()] == ["file.txt"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_a_new_file_has_the_permissions_of_the_umask(umask, mode, tmp_path):
    before = os.umask(umask)
    try:
        path = storage.write_atomically(tmp_path / "file", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    path.chmod(0o640)
    storage.write_atomically(path, "y")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.skipif(os.name == "nt", reason="needs symbolic links")
def test_a_link_is_followed(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    storage.write_atomically(tmp_path / "link", "x")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "target").read_text() == "x"


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="needs devices")
def test_what_is_no_regular_file_is_not_replaced(tmp_path):
    (tmp_path / "device").symlink_to("/dev/null")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path in tmp_path.iterdir():
        with pytest.raises(InputError, match="is not a regular file"):
            storage.write_atomically(path, "x")
    assert pathlib.Path("/dev/null").is_char_device()


def test_what_a_killed_run_left_is_removed_and_nothing_else(tmp_path):
    old, fresh, other = (
        tmp_path / name for name in (".row.json.0123.part", ".row.json.4567.part", "row.json.part")
    )
    folder = tmp_path / ".row.json.89ab.part"
    folder.mkdir()
    for path in (old, fresh, other, folder / "file"):
        path.write_text("left over")
    hours_ago = time.time() - 2 * storage.ABANDONED
    for path in (old, other, folder / "file", folder):
        os.utime(path, (hours_ago, hours_ago))
    storage.write_atomically(tmp_path / "row.json", "{}")
    assert sorted(each.name for each in tmp_path.iterdir()) == [fresh.name, "row.json", other.name]


def test_a_folder_that_is_being_filled_is_not_abandoned(tmp_path):
    part = tmp_path / "incomplete.A"
    part.mkdir()
    (part / "shard").write_text("growing")
    hours_ago = time.time() - 2 * storage.ABANDONED
    os.utime(part, (hours_ago, hours_ago))
    storage.remove_abandoned(tmp_path, "incomplete.")
    assert part.exists()
    os.utime(part / "shard", (hours_ago, hours_ago))
    storage.remove_abandoned(tmp_path, "incomplete.")
    assert not part.exists()
    storage.remove_abandoned(tmp_path / "missing", "incomplete.")
