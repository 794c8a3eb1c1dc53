"""What a figure depends on besides its settings: the machine, the packages, and the code of cnnlib."""

import functools
import hashlib
import importlib.metadata
import os
import pathlib
import platform
import re
import sys

from cnnlib import storage

# The parts of cnnlib that determine a figure. Plots, the command line and the ledger itself may change without touching one.
FIGURE_SOURCES = (
    "datasets",
    "preprocessing",
    "nets",
    "models",
    "recipes",
    "training",
    "distribution",
    "boosting",
    "transfer",
    "runs",
)


def device():
    """This machine's processor as text, for example "Intel(R) Xeon(R) CPU @ 2.20GHz, 2 cores, Linux"."""
    name = platform.processor() or platform.machine()
    cpuinfo = pathlib.Path(
        "/proc/cpuinfo"
    )  # Linux: platform.processor() only gives the architecture there
    if cpuinfo.exists() and (
        found := re.search(r"^model name\s*: (.+)$", cpuinfo.read_text(), re.MULTILINE)
    ):
        name = found[1]
    return f"{name}, {os.cpu_count()} cores, {platform.system()}"


def versions():
    """The packages that a figure depends on, as text: "keras 3.15.1 on tensorflow; tensorflow 2.21.0; ...; python 3.11.9"."""
    # Keras is asked only if the run imported it: its choice may come from keras.json, but importing it takes seconds.
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
            found.append(
                f"{package} unknown"
            )  # installed under another name, such as tensorflow-cpu
    found[0] += f" on {backend}"
    return "; ".join([*found, f"python {platform.python_version()}"])


@functools.cache  # once a process: what was imported counts, not what is edited while it trains
def code_hash(package=storage.ROOT / "cnnlib", parts=FIGURE_SOURCES):
    """12 hex digits that change when a source of `package` that determines a figure changes; the same with LF and CRLF line ends.

    `parts`: tuple of the modules and folders of `package` that count.
    """
    sources = {path.relative_to(package).as_posix(): path for path in package.rglob("*.py")}
    digest = hashlib.sha256()
    for name in sorted(sources):
        if name.split("/")[0].removesuffix(".py") in parts:
            digest.update(
                name.encode() + b"\0" + sources[name].read_bytes().replace(b"\r\n", b"\n") + b"\0"
            )
    return digest.hexdigest()[:12]
