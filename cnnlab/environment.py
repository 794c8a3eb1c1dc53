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
    """Return what trains here: "1 GPU NVIDIA T4; Intel(R) Xeon(R) CPU @ 2.20GHz, 2 cores, Linux".

    Without a GPU that Keras computes on, it is the processor alone.
    """
    name = platform.processor() or platform.machine()
    # On Linux platform.processor() gives the architecture alone.
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        model = re.search(r"^model name\s*: (.+)$", cpuinfo.read_text(), re.MULTILINE)
        name = model[1] if model else name
    names = gpus() if "keras" in sys.modules else []
    found = [f"{names.count(each)} GPU {each}" for each in dict.fromkeys(names)]
    return "; ".join([*found, f"{name}, {os.cpu_count()} cores, {platform.system()}"])


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
        if os.environ.get(variable, "").isdecimal() and int(os.environ[variable]):
            return int(os.environ[variable])
    # macOS and Windows have no affinity
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> str:
    """Return the packages that a result depends on: "keras 3.15.1 on tensorflow; ..."."""
    # Only a run that imported Keras asks it: its choice may come from keras.json, but importing it
    # takes seconds.
    chosen = os.environ.get("KERAS_BACKEND", "tensorflow")
    if "keras" in sys.modules:
        chosen = sys.modules["keras"].backend.backend()
    found = []
    for package in dict.fromkeys(["keras", chosen, "tensorflow", "tensorflow-datasets", "numpy"]):
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:  # under another name: tensorflow-cpu
            found.append(f"{package} unknown")
    found[0] += f" on {chosen}"
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
    options = {"cwd": folder, "text": True, "timeout": 10}
    git = functools.partial(subprocess.check_output, stderr=subprocess.DEVNULL, **options)
    try:
        changed = git(["git", "status", "--porcelain", "--untracked-files=no"]).strip()
        return git(["git", "rev-parse", "--short=12", "HEAD"]).strip() + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return ""
