"""The README's results, written from the ledger, and its pictures."""

import base64
import io
import pathlib
import re

from cnnlab import notebooks
from cnnlab.site import result_pages
from cnnlib import storage
from cnnlib.errors import InputError

THUMBNAILS = pathlib.PurePosixPath("docs/thumbnails")
THUMBNAIL = "thumbnail"  # the tag of the cell whose picture stands for its notebook
THUMBNAIL_SIZE = (220, 140)  # pixels, at most
PICTURE = pathlib.PurePosixPath("docs/published_and_measured.svg")
BEGIN = "<!-- results: begin (made by `python -m cnnlib results readme`) -->"
END = "<!-- results: end -->"


def update_readme(path: pathlib.Path = storage.ROOT / "README.md", check: bool = False) -> bool:
    """Write the published rows between the two markers of README.md; return whether it changes.

    README.ko.md beside it, the picture of published beside measured results, PICTURE, and the
    THUMBNAILS of the notebooks are made anew as well. With `check` nothing is written. Raises
    InputError if a marker, or the file, is missing.
    """
    parts, changed = result_pages.tables(local=False), False
    tables = "\n".join(f"**{title}**\n\n{table}\n" for title, table in parts.items())
    for page in [path, *path.parent.glob("README.ko.md")]:
        text = page.read_text(encoding="utf-8") if page.exists() else ""
        before, begin, rest = text.partition(BEGIN)
        _, end, after = rest.partition(END)
        if not (begin and end):
            raise InputError(
                f"{page} lacks the line {END if begin else BEGIN} Put it where the results "
                f"{'end' if begin else 'begin'}."
            )
        updated = f"{before}{BEGIN}\n\n{tables}\n{END}{after}"
        changed = changed or updated != text
        if not check and updated != text:
            storage.write_atomically(page, updated)
    if not check:
        picture = storage.make_folder(path.parent / PICTURE.parent) / PICTURE.name
        result_pages.figure(picture, local=False)
        make_thumbnails(storage.make_folder(path.parent / THUMBNAILS))
    return changed


def make_thumbnails(folder: pathlib.Path) -> list[pathlib.Path]:
    """Write a small picture for each notebook: the one that is stored in the cell tagged so."""
    from PIL import Image

    written = []
    for name in notebooks.names():
        cells = notebooks.read_notebook(storage.NOTEBOOKS / f"{name}.ipynb").cells
        (cell,) = (cell for cell in cells if THUMBNAIL in cell.metadata.get("tags", []))
        html = "".join(output.get("data", {}).get("text/html", "") for output in cell.outputs)
        (encoded,) = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)", html)
        picture = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")
        picture.thumbnail(THUMBNAIL_SIZE)
        path = folder / f"{name[:2]}.png"
        with storage.replacing(path, suffix=".png") as temporary:
            picture.quantize(64).save(temporary, optimize=True)
        written.append(path)
    return written
