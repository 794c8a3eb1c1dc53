"""What a row says about the machine, the packages and the code."""

import importlib.metadata
import os
import platform
import subprocess
import sys

import keras
import pytest

from cnnlab import environment


def test_versions_name_the_packages_and_the_backend():
    versions = environment.versions()
    for package in ("keras", "tensorflow", "tensorflow-datasets", "numpy"):
        assert f"{package} {importlib.metadata.version(package)}" in versions
    assert f" on {os.environ.get('KERAS_BACKEND', 'tensorflow')}" in versions
    assert f"python {platform.python_version()}" in versions


def test_versions_of_a_backend_that_is_not_installed(monkeypatch):
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setenv("KERAS_BACKEND", "no-such-backend")
    assert "no-such-backend unknown" in environment.versions()


def test_device_names_the_cores():
    assert f"{os.cpu_count()} cores" in environment.device()


@pytest.fixture
def package(tmp_path):
    for name in (
        "models/lenet.py",
        "datasets/__init__.py",
        "training.py",
        "plots.py",
        "results/ledger.py",
    ):
        path = tmp_path / "original" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"one\ntwo\n")
    return tmp_path / "original"


@pytest.mark.parametrize(
    "name, content, same",
    [
        ("models/lenet.py", b"one\r\ntwo\r\n", True),  # a checkout on Windows
        ("plots.py", b"another", False),
        ("results/ledger.py", b"another", False),
        ("models/lenet.py", b"another", False),
        ("datasets/__init__.py", b"another", False),
        ("training.py", b"another", False),
        ("models/new.py", b"", False),
        ("boosting.py", b"", False),
    ],
)
def test_code_hash_follows_every_source(package, name, content, same):
    before = environment.code_hash(package)
    changed = package.rename(
        package.with_name("changed")
    )  # another path: the hash of a folder is computed once a process
    (changed / name).write_bytes(content)
    assert (environment.code_hash(changed) == before) is same


def test_importing_the_ledger_is_light():
    heavy = "[m for m in ('pandas', 'scipy', 'keras', 'tensorflow') if m in sys.modules]"
    printed = subprocess.check_output(
        [sys.executable, "-c", f"import sys, cnnlib.results; print({heavy})"], text=True
    )
    assert printed.strip() == "[]"


def test_the_gpus_of_a_row_are_named(monkeypatch):
    """TensorFlow calls them by their product's name where the driver tells it."""
    import tensorflow as tf

    assert environment.gpus() == []
    monkeypatch.setattr(keras.distribution, "list_devices", lambda *_: ["gpu:0", "gpu:1"])
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a", "b"])
    details = {"a": {"device_name": "NVIDIA T4"}, "b": {}}
    monkeypatch.setattr(tf.config.experimental, "get_device_details", details.get)
    assert environment.gpus() == ["NVIDIA T4", "GPU"]
