"""Files from the network: a host that does not answer is given up, a broken download continues."""

import hashlib
import os
import pathlib
import threading
import urllib.parse

from cnnlib.errors import Unavailable

PATIENCE = 6  # seconds to wait for a host's answer

Digest = tuple[str, str]  # algorithm, hexadecimal digits


def fetch(address: str, folder: pathlib.Path, digest: Digest | None) -> pathlib.Path:
    """Download `address` into `folder`, or what is missing of it, and return its path.

    Args:
        address: of the file.
        folder: where the file goes. A part of it that is there already is kept.
        digest: what the file must have, where one was published.

    Raises:
        Unavailable: the download broke off, or the file is not the published one.
    """
    import requests  # with which TFDS downloads: the same proxies, the same certificates

    path = folder / file_name(address)
    if path.exists():
        return path
    part = path.with_name(path.name + ".part")
    try:
        _download(address, part)
    except (requests.RequestException, OSError) as error:  # requests' errors are OSErrors too
        raise Unavailable(
            f"the download from {urllib.parse.urlsplit(address).hostname} broke off "
            f"({reason(error)}). Run the same command again: it continues from here"
        ) from error
    problem = digest and digest_problem(part, digest)
    if problem:
        part.unlink()
        raise Unavailable(
            f"{address} is not the file that was published: {problem}. It was removed; try again "
            "later"
        )
    os.replace(part, path)
    return path


def _download(address: str, part: pathlib.Path) -> None:
    """Append to `part` what is missing of the file at `address`, with a progress bar."""
    import requests
    import tqdm

    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    with requests.get(address, headers=headers, stream=True, timeout=10 * PATIENCE) as answer:
        if have and answer.status_code == 416:  # nothing is missing
            return
        answer.raise_for_status()
        if answer.status_code != 206:  # a host that cannot resume sends it all again
            have = 0
        total = have + int(answer.headers.get("Content-Length", 0)) or None
        bar = tqdm.tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=part.stem)
        with bar, part.open("ab" if have else "wb") as file:
            for chunk in answer.iter_content(1 << 16):
                file.write(chunk)
                bar.update(len(chunk))


def check_host(address: str) -> None:
    """Raise Unavailable unless the host of `address` has the file and says so in time."""
    problem = ask(address)
    if problem:
        raise Unavailable(f"{urllib.parse.urlsplit(address).hostname} did not answer ({problem})")


def ask(address: str) -> str | None:
    """Return None if the host of `address` answers within PATIENCE seconds, else the problem.

    Proxies are honoured. The question is put in a thread, since nothing bounds the time of a DNS
    look-up.
    """
    import requests

    answers: list[str | None] = []

    def head() -> None:
        try:
            requests.head(address, timeout=PATIENCE, allow_redirects=True).raise_for_status()
            answers.append(None)
        except requests.RequestException as error:
            status = "" if error.response is None else f" {error.response.status_code}"
            answers.append(type(error).__name__ + status)

    thread = threading.Thread(target=head, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return answers[0] if answers else f"no answer within {PATIENCE} seconds"


def digest_problem(path: str | os.PathLike[str], digest: Digest) -> str | None:
    """Return None if the file has the digest, else what is wrong with it."""
    algorithm, expected = digest
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    if found == expected:
        return None
    if is_web_page(path):
        return "it is a web page (HTML), not an archive"
    return f"{algorithm} {found}, expected {expected} ({os.path.getsize(path):,} bytes)"


def is_web_page(path: str | os.PathLike[str]) -> bool:
    """Return whether a file begins like HTML."""
    with open(path, "rb") as file:
        return file.read(512).lstrip()[:1] == b"<"


def file_name(address: str) -> str:
    """Return the file's name in an address."""
    return pathlib.PurePosixPath(urllib.parse.urlsplit(address).path).name


def reason(error: BaseException) -> str:
    """Return an error in one line: a system error in its own words, another with its type."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return f"{type(error).__name__}: {error}"
