"""Prepare a hosted session, such as Google Colab or Kaggle, for the notebooks.

Their first cell clones the repository and calls `prepare`. Such a session already has TensorFlow,
Keras and most of the rest, and loses its GPU if one of them is replaced. So `prepare` installs from
requirements-colab.lock only what is missing, with hashes and without building cnnlib.
"""

import importlib.metadata
import os
import pathlib
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements-colab.lock"
# Later releases need a newer protobuf than TensorFlow 2.20 accepts, and TFDS cannot be imported.
REPLACED = {"tensorflow-metadata": "<1.18"}
DRIVE = pathlib.Path("/content/drive")


def prepare(drive: bool = False) -> None:
    """Install what this session lacks, make cnnlib importable, and say where results go.

    Running it again changes nothing. With `drive`, on Colab alone, results are kept in Google
    Drive, where they outlast the session; Colab asks for permission.
    """
    lines = list(missing(LOCK.read_text(encoding="utf-8"), installed_version))
    if lines:
        _install(lines)
    # What an editable installation does, without running a build: processes started from here,
    # such as `python -m cnnlib`, find the package.
    site = pathlib.Path(sysconfig.get_path("purelib"))
    (site / "cnn_image_classifiers.pth").write_text(f"{ROOT}\n", encoding="utf-8")
    if drive:
        from google.colab import drive as google_drive

        google_drive.mount(str(DRIVE))
        os.environ["CNNLIB_RESULTS"] = str(DRIVE / "MyDrive" / "cnn-image-classifiers" / "results")
    print(summary())


def summary() -> str:
    """Return one line that says which device trains, with which versions, and where results go."""
    import keras

    from cnnlib import backend, storage

    device = "the CPU (Runtime > Change runtime type offers a GPU)" if backend.on_cpu() else "a GPU"
    packages = f"Keras {keras.__version__}, TensorFlow {installed_version('tensorflow')}"
    return f"Training uses {device}, with {packages}. Results go to {storage.results_folder()}."


def installed_version(name: str) -> str | None:
    """Return the version of an installed distribution, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def missing(lock: str, version_of: Callable[[str], str | None]) -> Iterator[str]:
    """Yield the entries of a lock, "name==version \\" with hashes, that have to be installed here.

    `lock` is the text of the file; `version_of` returns a package's installed version, or None.
    """
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    for entry in re.findall(r"^[^\s#].*(?:\n    --hash.*)*", lock, re.MULTILINE):
        requirement = Requirement(entry.partition(" \\\n")[0])
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        installed = version_of(requirement.name)
        allowed = SpecifierSet(REPLACED.get(requirement.name, ""))
        if installed is None or not allowed.contains(installed, prereleases=True):
            yield entry


def _install(lines: list[str]) -> None:
    """Install these entries alone, and run no code that has no hash."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "requirements.txt"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation"]
        command = [sys.executable, "-m", "pip", "install", *options, "--require-hashes"]
        subprocess.run([*command, "--requirement", str(file)], check=True)
