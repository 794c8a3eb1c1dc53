"""What a row says about the machine, the packages and the code."""

import importlib.metadata
import os
import platform
import subprocess

import keras

from cnnlab import environment


def test_versions_name_the_packages_and_the_backend():
    versions = environment.versions()
    for package in ("keras", "tensorflow", "tensorflow-datasets", "numpy"):
        assert f"{package} {importlib.metadata.version(package)}" in versions
    assert f" on {os.environ.get('KERAS_BACKEND', 'tensorflow')}" in versions
    assert f"python {platform.python_version()}" in versions


def test_a_commit_says_when_files_were_changed(tmp_path):
    assert environment.commit(tmp_path) == ""  # no checkout
    for arguments in (
        ["init", "-q"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "a"],
    ):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    environment.commit.cache_clear()
    assert len(environment.commit(tmp_path)) == 12
    (tmp_path / "file").write_text("")
    subprocess.run(["git", "add", "file"], cwd=tmp_path, check=True)
    environment.commit.cache_clear()
    assert environment.commit(tmp_path).endswith("+")


def test_device_names_the_cores_and_the_gpus(monkeypatch):
    """TensorFlow calls them by their product's name where the driver tells it."""
    import tensorflow as tf

    assert environment.device().endswith(f"{os.cpu_count()} cores, {platform.system()}")
    monkeypatch.setattr(keras.distribution, "list_devices", lambda *_: ["gpu:0", "gpu:1"])
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a", "b", "c"])
    details = {"a": {"device_name": "NVIDIA T4"}, "b": {}, "c": {"device_name": "NVIDIA T4"}}
    monkeypatch.setattr(tf.config.experimental, "get_device_details", details.get)
    assert environment.device().startswith("2 GPU NVIDIA T4; 1 GPU GPU; ")
