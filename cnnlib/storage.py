"""Where the project's folders are, and how files are written: whole or not at all, in turn."""

import contextlib
import os
import pathlib
import secrets
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator

from cnnlib.errors import InputError

# The checkout: the package is installed from it, editable.
ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = ROOT / "data"
NOTEBOOKS = ROOT / "notebooks"

# A temporary file or folder that nobody has changed for this many seconds was left by a killed run.
ABANDONED = 3600


def folder_from(variable: str) -> pathlib.Path | None:
    """Return the folder that a variable names; a relative path starts at the checkout."""
    text = os.environ.get(variable)
    try:
        return ROOT / pathlib.Path(text).expanduser() if text else None
    except RuntimeError as error:  # ~somebody
        raise InputError(f"{variable} is {text!r}, and there is no such home folder") from error


def results_folder() -> pathlib.Path:
    """Return the folder where this machine's runs write: `CNNLIB_RESULTS`, else `results/`."""
    return folder_from("CNNLIB_RESULTS") or ROOT / "results"


def make_folder(folder: str | os.PathLike[str]) -> pathlib.Path:
    """Create `folder` and its parents where they are missing; InputError if it is not writable."""
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"cannot write to the folder {folder} ({reason}). Make it writable, or choose another: "
            "CNNLIB_RESULTS is where results go, CNNLIB_DATA where data sets go."
        ) from error
    return folder


def existing_file(path: str | os.PathLike[str]) -> pathlib.Path:
    """Return the path of a file to be read; reading a pipe or a device may never end.

    Raises InputError if something else is there. That nothing is there, reading will say.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise InputError(f"{path} is a folder, a pipe or a device: give the path of a file")
    return pathlib.Path(path)


def write_atomically(path: str | os.PathLike[str], content: str | bytes) -> pathlib.Path:
    """Write text or bytes; a reader sees the old file or the whole new one, never a part."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    return pathlib.Path(path)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], suffix: str = ".part") -> Iterator[pathlib.Path]:
    """Yield a temporary path, ending in `suffix`, that takes the place of `path` at the end.

    On an error it is removed. A link is followed. The file keeps its permissions, and a new one
    gets those of the umask. Its folder is created, and what killed runs left there is removed.
    Raises InputError if `path` is no regular file, or cannot be written.
    """
    if "\0" in os.fspath(path):
        raise InputError(f"cannot write {os.fspath(path)!r}: a path has no null characters")
    path = pathlib.Path(os.path.realpath(path))
    make_folder(path.parent)
    if path.exists() and not path.is_file():
        raise InputError(f"cannot write {path}: it is not a regular file. Give another path.")
    remove_abandoned(path.parent, f".{path.name}.")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{suffix}")
    try:
        # Not mkstemp, whose files are private whatever the umask.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        if path.exists():
            os.chmod(temporary, stat.S_IMODE(path.stat().st_mode))
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(
            f"cannot write {path} ({error.strerror or error}). Make room or choose another path, "
            "then run the same command again."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def one_at_a_time(path: str | os.PathLike[str], doing: str = "") -> Iterator[None]:
    """Hold the lock of a file or folder, after any other process that holds it.

    It is a lock of the operating system, which ends with the process: a hidden file beside `path`.
    `doing` is what the other process does, for a line that says why this one waits.
    """
    import filelock

    path = pathlib.Path(path)
    lock = filelock.FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        if doing:
            print(f"waiting for another process that {doing}", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def remove_abandoned(folder: pathlib.Path, prefix: str) -> None:
    """Remove what killed runs left in `folder`: temporary files and folders named `prefix...`."""
    with contextlib.suppress(OSError):  # the folder is missing, or another process is faster
        for path in folder.iterdir():
            if path.name.startswith(prefix) and is_abandoned(path):
                remove(path)


def is_abandoned(path: pathlib.Path) -> bool:
    """Return whether nothing was written to `path`, or in it, within the last hour."""
    times = [each.lstat().st_mtime for each in [path, *path.rglob("*")]]
    return time.time() - max(times) > ABANDONED


def remove(path: pathlib.Path) -> None:
    """Remove a file, a link, or a folder with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
