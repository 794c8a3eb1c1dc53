"""Where things are, and how a file is written whole or not at all."""

import contextlib
import os
import pathlib
import tempfile

from cnnlib.errors import InputError

ROOT = (
    pathlib.Path(__file__).resolve().parent.parent
)  # the checkout: the package is installed from it, editable
DATA = ROOT / "data"
NOTEBOOKS = ROOT / "notebooks"


def results_folder():
    """The folder where runs on this machine write: `CNNLIB_RESULTS`, else `results/` in the checkout."""
    return pathlib.Path(os.environ.get("CNNLIB_RESULTS") or ROOT / "results").expanduser()


def make_folder(folder, variable="CNNLIB_RESULTS"):
    """Create `folder` if it is missing; InputError, with the environment variable that moves it, if it cannot be written to."""
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        elsewhere = f", or set {variable} to a folder that is" if variable else ""
        raise InputError(
            f"cannot write to the folder {folder} ({error.strerror or error}). Make it writable{elsewhere}."
        ) from error
    return folder


def write_atomically(path, content):
    """Write `content` (str as UTF-8, or bytes) to `path`: readers see the old file or the whole new one, never a part.

    Raises InputError if the folder cannot be written to or the disk is full; the old file is then as it was.
    """
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    return pathlib.Path(path)


@contextlib.contextmanager
def replacing(path, suffix=".part", variable="CNNLIB_RESULTS"):
    """For what writes a file by itself: yields a temporary path beside `path` that takes its place at the end, or is removed on an error.

    suffix: of the temporary path; variable: as for `make_folder`. Raises InputError as `write_atomically`.
    """
    path = pathlib.Path(path)
    make_folder(path.parent, variable)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=suffix)
    os.close(handle)
    try:
        yield pathlib.Path(temporary)
        os.chmod(temporary, 0o644)  # mkstemp makes it private
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(
            f"cannot write {path} ({error.strerror or error}): make room, then do the same again"
        ) from error
    finally:
        pathlib.Path(temporary).unlink(missing_ok=True)
