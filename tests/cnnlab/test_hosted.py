"""A hosted session gets what it lacks, and keeps what it has."""

import importlib.metadata
import os
import pathlib
import subprocess
import sys

import pytest

from cnnlab import hosted, notebooks

HASH = f"--hash=sha256:{'0' * 64}"
LOCK = f"""\
keras==3.13.2 \\
    {HASH} \\
    {HASH}
    # via cnnlib
only-windows==1 ; sys_platform == 'nowhere' \\
    {HASH}
papermill==2.7.0 \\
    {HASH}
tensorflow-metadata==1.17.3 \\
    {HASH}
"""


def names(installed, lock=LOCK):
    return [entry.split("==")[0] for entry in hosted.missing(lock, installed.get)]


def test_only_what_is_missing_is_installed_with_its_hashes():
    assert names({}) == ["keras", "papermill", "tensorflow-metadata"]
    # Whatever their versions, packages stay; only this one breaks an import.
    some = {"keras": "3.99", "tensorflow-metadata": "1.21.0"}
    assert names(some) == ["papermill", "tensorflow-metadata"]
    assert names({"keras": "3.8", "papermill": "1.0", "tensorflow-metadata": "1.17.1"}) == []
    needed = {"keras", "papermill", "pydantic", "importlib-resources", "tensorflow-metadata"}
    assert needed <= set(names({}, hosted.LOCK.read_text()))


@pytest.fixture
def session(tmp_path, monkeypatch):
    """A session that lacks two packages, whose pip does nothing but tell what it was asked for."""
    asked = []

    def pip(command, check):
        file = pathlib.Path(command[command.index("--requirement") + 1])
        asked.append((command, file.read_text(encoding="utf-8")))

    have = dict.fromkeys(importlib.metadata.packages_distributions(), "1.17.3")
    monkeypatch.setattr(subprocess, "run", pip)
    monkeypatch.setattr(hosted, "LOCK", tmp_path / "lock")
    hosted.LOCK.write_text(LOCK)
    monkeypatch.setattr(hosted, "installed_version", lambda name: have.get(name))
    monkeypatch.setattr(hosted, "summary", lambda: "one line")
    monkeypatch.setattr(hosted.sysconfig, "get_path", lambda name: str(tmp_path))
    return tmp_path, have, asked


def test_preparing_installs_with_hashes_and_twice_is_harmless(session, capsys):
    folder, have, asked = session
    have.update({"keras": "3.13.2"})
    have.pop("papermill", None)
    hosted.prepare()
    ((command, text),) = asked
    assert {"--require-hashes", "--no-deps", "--no-build-isolation"} <= set(command)
    assert text.startswith("papermill==2.7.0 \\\n") and "keras" not in text
    have.update({"papermill": "2.7.0", "tensorflow-metadata": "1.17.3"})
    hosted.prepare()
    assert len(asked) == 1 and capsys.readouterr().out == "one line\none line\n"
    assert (folder / "cnn_image_classifiers.pth").read_text() == f"{hosted.ROOT}\n"


@pytest.mark.slow
class TestFirstCell:
    def run(self, folder, address):
        """Run the cell in a Python without packages."""
        cells = notebooks.cells(notebooks.find("01"))
        code = next(cell["source"] for cell in cells if cell["cell_type"] == "code")
        cell = code.replace(notebooks.repository_url(), str(address))
        environment = {name: os.environ.get(name, "") for name in ("PATH", "SYSTEMROOT")}
        command = [sys.executable, "-S", "-c", cell]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)

    @pytest.fixture
    def repository(self, tmp_path):
        """A repository whose `hosted.prepare` says that it was called."""
        folder = tmp_path / "origin"
        for name in ("cnnlib/__init__.py", "cnnlab/__init__.py", "tests/x"):
            (folder / name).parent.mkdir(parents=True)
            (folder / name).touch()
        (folder / "cnnlab" / "hosted.py").write_text("def prepare(drive): print('prepared', drive)")
        git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", folder]
        for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
            subprocess.run([*git, *command], check=True)
        return folder

    def test_clones_once_and_reuses_a_clone_but_not_half_of_one(self, repository, tmp_path):
        work = tmp_path / "work"
        (work / "cnn-image-classifiers" / "cnnlib").mkdir(parents=True)  # a clone that broke off
        first = self.run(work, repository)
        assert first.stdout == "prepared False\n", first.stderr
        (repository / "tests" / "x").unlink()
        again = self.run(work, tmp_path / "nowhere")
        assert again.stdout == "prepared False\n", again.stderr

    def test_in_a_checkout_it_names_the_kernel_and_clones_nothing(self, tmp_path):
        (tmp_path / "cnnlib").mkdir()
        (tmp_path / "notebooks").mkdir()
        result = self.run(tmp_path / "notebooks", tmp_path / "nowhere")
        assert "choose that of .venv" in result.stderr
        assert list((tmp_path / "notebooks").iterdir()) == []
