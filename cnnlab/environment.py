"""Where a result came from besides its settings: the machine, the packages, the code.

These are provenance: they stand in a row, and no row is identified by them.
"""

import functools
import hashlib
import importlib.metadata
import os
import pathlib
import platform
import re
import subprocess
import sys

from cnnlib import backend, storage


def device() -> str:
    """Return this machine's processor, such as "Intel(R) Xeon(R) CPU @ 2.20GHz, 2 cores, Linux"."""
    name = platform.processor() or platform.machine()
    # On Linux platform.processor() gives the architecture alone.
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"^model name\s*: (.+)$", cpuinfo.read_text(), re.MULTILINE)
        name = found[1] if found else name
    return f"{name}, {os.cpu_count()} cores, {platform.system()}"


def gpus() -> list[str]:
    """Return the names of the GPUs that Keras can compute on, such as "NVIDIA T4"."""
    import keras

    if backend.on_cpu():
        return []
    if keras.config.backend() == "jax":
        import jax

        return [device.device_kind for device in jax.devices() if device.platform != "cpu"]
    import tensorflow as tf

    details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    return [each.get("device_name", "GPU") for each in details]


def threads() -> int:
    """Return how many threads TensorFlow uses for one operation in this process."""
    for variable in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        if os.environ.get(variable, "").isdigit() and int(os.environ[variable]):
            return int(os.environ[variable])
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def versions() -> str:
    """Return the packages that a result depends on: "keras 3.15.1 on tensorflow; ..."."""
    # Ask Keras only if the run imported it: its choice may come from keras.json, but importing it
    # takes seconds.
    backend = (
        sys.modules["keras"].backend.backend()
        if "keras" in sys.modules
        else os.environ.get("KERAS_BACKEND", "tensorflow")
    )
    found = []
    for package in dict.fromkeys(["keras", backend, "tensorflow", "tensorflow-datasets", "numpy"]):
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            # Installed under another name, such as tensorflow-cpu.
            found.append(f"{package} unknown")
    found[0] += f" on {backend}"
    return "; ".join([*found, f"python {platform.python_version()}"])


# Once per process: what was imported counts, not what is edited while it trains.
@functools.cache
def code_hash(package: pathlib.Path = storage.ROOT / "cnnlib") -> str:
    """Return 12 hex digits of the source files of `package`, whatever their line ends."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        content = path.read_bytes().replace(b"\r\n", b"\n")
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + content + b"\0")
    return digest.hexdigest()[:12]


@functools.cache
def commit(folder: pathlib.Path = storage.ROOT) -> str:
    """Return the commit of the checkout, "+" after it if files were changed; "" without git."""
    try:
        git = functools.partial(
            subprocess.run, cwd=folder, capture_output=True, text=True, check=True, timeout=10
        )
        found = git(["git", "rev-parse", "--short=12", "HEAD"]).stdout.strip()
        changed = git(["git", "status", "--porcelain", "--untracked-files=no"]).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
    return found + ("+" if changed else "")
