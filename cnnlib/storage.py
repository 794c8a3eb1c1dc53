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
    """Return the folder that an environment variable names, or None where it is not set.

    A relative path starts at the checkout, so that it means the same folder in a notebook, whose
    working folder is notebooks/, and in a command.
    """
    text = os.environ.get(variable)
    if not text:
        return None
    try:
        return ROOT / pathlib.Path(text).expanduser()
    except RuntimeError as error:  # ~name of an unknown user
        raise InputError(
            f"{variable} is {text!r}, which names no folder ({error}). Set it to another path."
        ) from error


def results_folder() -> pathlib.Path:
    """Return the folder where this machine's runs write: `CNNLIB_RESULTS`, else `results/`."""
    return folder_from("CNNLIB_RESULTS") or ROOT / "results"


def make_folder(
    folder: str | os.PathLike[str], variable: str | None = "CNNLIB_RESULTS"
) -> pathlib.Path:
    """Create `folder` if it is missing, and return it.

    Args:
        folder: the folder, with missing parents.
        variable: the environment variable that moves it, for the error message.

    Raises:
        InputError: the folder cannot be created or written to.
    """
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        elsewhere = f", or set {variable} to a folder that is" if variable else ""
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"cannot write to the folder {folder} ({reason}). Make it writable{elsewhere}."
        ) from error
    return folder


def write_atomically(path: str | os.PathLike[str], content: str | bytes) -> pathlib.Path:
    """Write `content` to `path`; a reader sees the old file or the whole new one, never a part.

    Args:
        path: the file. Its folder is created.
        content: text, written as UTF-8, or bytes.

    Raises:
        InputError: the file cannot be written. The old file, if any, is unchanged.
    """
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    return pathlib.Path(path)


@contextlib.contextmanager
def replacing(
    path: str | os.PathLike[str], suffix: str = ".part", variable: str | None = "CNNLIB_RESULTS"
) -> Iterator[pathlib.Path]:
    """Yield a temporary path that takes the place of `path` at the end, or goes on an error.

    A link is followed. The file keeps its permissions, and a new one gets those of the umask.
    What killed runs left behind in the folder is removed.

    Args:
        path: the file to replace. Its folder is created.
        suffix: ending of the temporary path.
        variable: as for `make_folder`.

    Raises:
        InputError: `path` is no regular file, or cannot be written.
    """
    if "\0" in os.fspath(path):
        raise InputError(f"cannot write {os.fspath(path)!r}: a path has no null characters")
    path = pathlib.Path(os.path.realpath(path))
    make_folder(path.parent, variable)
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

    It is a lock of the operating system, which ends with the process, whatever kills that.

    Args:
        path: the file or folder, which need not exist. The lock is a hidden file beside it.
        doing: what the other process does, for a line that says why this one waits; none if empty.
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


def remove_abandoned(folder: pathlib.Path, prefix: str) -> list[pathlib.Path]:
    """Remove what killed runs left in `folder`, and return the removed paths.

    Args:
        folder: where to look, not in its subfolders. It may be missing.
        prefix: beginning of the names of temporary files and folders. Those that something has
            written to within the last hour stay: they may belong to a run that is under way.
    """
    removed = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            path = pathlib.Path(entry.path)
            if not entry.name.startswith(prefix) or time.time() - _last_change(path) < ABANDONED:
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    path.unlink()
            removed.append(path)
    return removed


def _last_change(path: pathlib.Path) -> float:
    """Return when `path`, or anything in it, was last written to."""
    times = [path.lstat().st_mtime]
    for parent, _, names in os.walk(path):
        times += [os.lstat(os.path.join(parent, name)).st_mtime for name in [*names, "."]]
    return max(times)
