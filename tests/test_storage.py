"""Folders mean the same everywhere, and files are written whole or not at all."""

import os
import pathlib
import time

import pytest

from cnnlab import batch, bundle, notebooks
from cnnlib import checkpoints, datasets, digits, integrity, models, results, storage
from cnnlib.datasets.prepared import data_folder
from cnnlib.errors import InputError


def test_relative_folders_are_those_of_the_checkout_and_the_home_folder_is_known(
    tmp_path, monkeypatch
):
    """So that they mean the same in a notebook and in a command."""
    monkeypatch.chdir(tmp_path)
    for variable in ("HOME", "USERPROFILE"):  # the second on Windows
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    for given, expected in (
        ("my/results", storage.ROOT / "my" / "results"),
        (str(tmp_path), tmp_path),
        ("~/results", tmp_path / "home" / "results"),
        (None, storage.ROOT / "results"),
    ):
        if given is None:
            monkeypatch.delenv("CNNLIB_RESULTS")
        else:
            monkeypatch.setenv("CNNLIB_RESULTS", given)
        assert storage.results_folder() == expected
    monkeypatch.setenv("CNNLIB_DATA", "my/data")
    assert data_folder() == storage.ROOT / "my" / "data" / "tfds"


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


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="needs links and devices")
def test_a_link_is_followed_and_what_is_no_regular_file_is_not_replaced(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    storage.write_atomically(tmp_path / "link", "x")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "target").read_text() == "x"
    (tmp_path / "device").symlink_to("/dev/null")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("device", "pipe", "folder"):
        with pytest.raises(InputError, match="is not a regular file"):
            storage.write_atomically(tmp_path / name, "x")
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


@pytest.mark.parametrize(
    "read",
    [
        integrity.read_text,
        batch.read,
        notebooks.read_values,
        digits.read_picture,
        models.load,
        lambda path: bundle.unpack(path),
        lambda path: checkpoints.read(path, {}),
        lambda path: datasets.prepare("caltech256", path),
    ],
)
def test_no_door_waits_for_a_pipe(read, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path in tmp_path.iterdir():
        with pytest.raises(InputError, match=f"{path.name} is a folder, a pipe or a device"):
            read(path)


def test_a_row_in_the_results_may_begin_with_a_byte_order_mark_and_may_not_be_a_pipe(tmp_path):
    path = storage.write_atomically(tmp_path / "a", "\ufeffairplane")
    assert integrity.read_text(path) == "airplane"
    storage.make_folder(results.local_file("any").parent)
    os.mkfifo(results.local_file("any"))
    with pytest.raises(InputError, match="is a folder, a pipe or a device"):
        results.read_local()
