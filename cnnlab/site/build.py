"""Collect the sources of the site in a temporary folder and build it with Sphinx."""

import dataclasses
import datetime
import importlib
import io
import pathlib
import re
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from html import escape
from typing import Any

import cnnlib
from cnnlab import environment, notebooks, output_paths
from cnnlab.site import draw_page, notebook_pages, result_pages
from cnnlib import storage
from cnnlib.errors import InputError

TITLE = "CNN image classifiers"
PICTURE = "docs/at_a_glance.webp"  # made by benchmarks/at_a_glance.py
PAGES = ("CONTRIBUTING.md", "CHANGELOG.md", "README.ko.md")  # beside README
# The modules whose docstrings are the API reference, in the order in which data flows.
MODULES: tuple[str, ...] = ("datasets", "preprocessing", "models", "recipes", "training")
MODULES += ("boosting", "transfer", "results", "plots", "exercises", "digits")


@dataclasses.dataclass(frozen=True)
class Entry:
    """One notebook that was run for a report."""

    name: str
    notebook: pathlib.Path  # the executed notebook; as far as it got if it failed
    seconds: float
    failure: str = ""  # why it failed, "" if it did not


def build_site(folder: str | pathlib.Path | None = None) -> pathlib.Path:
    """Build the site: notebooks with their stored outputs, results, glossary, API reference.

    A site in `folder` (None: `site/` in the checkout) is replaced. Returns the path of its first
    page.

    Raises:
        InputError: the folder cannot be written to, or has something else than a site.
    """
    folder = output_paths.output_folder(folder or storage.ROOT / "site")
    if any(folder.iterdir()) and not (folder / ".buildinfo").exists():
        raise InputError(f"{folder} has other files than a site: give an empty folder")
    paths = [storage.NOTEBOOKS / f"{name}.ipynb" for name in notebooks.names()]
    entries = [Entry(path.stem, path, 0) for path in paths]
    print("[1/3] The results: curves, mistakes and tables of each net ...", flush=True)
    with tempfile.TemporaryDirectory(prefix="cnnlib-site-") as temporary:
        source = pathlib.Path(temporary) / "source"
        _write_reference(source)
        names, alt = _write_sources(source, entries, local=False)
        _write(source / "index.md", _site_index(source, names, alt))
        count = sum(1 for _ in source.rglob("*.md")) + len(names)
        print(f"[2/3] Sphinx: {count} pages, one to two minutes ...", flush=True)
        built = _sphinx(source, pathlib.Path(temporary), TITLE)
        print("[3/3] The pages to draw, watch and look inside ...", flush=True)
        draw_page.write_page(built / "draw", has_site=True)
        _write_whole(built / "notebooks", names.values())
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(built, folder, dirs_exist_ok=True)
    return folder / "index.html"


def build_report(folder: pathlib.Path, entries: Sequence[Entry]) -> pathlib.Path:
    """Build the report of notebooks that were run, into the folder that has them.

    Returns the path of its first page: what ran, what failed, published beside measured.
    """
    with tempfile.TemporaryDirectory(prefix="cnnlib-report-") as temporary:
        source = pathlib.Path(temporary) / "source"
        executed = [entry for entry in entries if entry.notebook.exists()]
        names, alt = _write_sources(source, executed, local=True)
        _write(source / "index.md", _report_index(source, entries, names, alt))
        built = _sphinx(source, pathlib.Path(temporary), f"{TITLE}: report")
        shutil.copytree(built, folder, dirs_exist_ok=True)
    return folder / "index.html"


def _write_sources(source, entries, local):
    """Write notebooks, documents and results to `source`.

    Returns {name of the entry: name of its page} and the alternative text of the figure of results.
    """
    import nbformat

    names: dict[str, str] = {}
    for entry in entries:
        # The name of a page becomes part of addresses and of Sphinx' lists.
        name = re.sub(r"[^\w.-]+", "_", entry.name)
        while name in names.values():
            name += "_"
        nb = notebook_pages.prepared(entry.notebook, entry.name, entry.failure)
        _write(source / "notebooks" / f"{name}.ipynb", nbformat.writes(nb))
        names[entry.name] = name
    paths = sorted((storage.ROOT / "docs").glob("[!.]*.md"))
    for path in [*paths, *(storage.ROOT / name for name in PAGES)]:
        text = notebook_pages.without_requests(path.read_text(encoding="utf-8"))
        if path.stem == "glossary":
            text = _with_index_entries(text)
        _write(source / path.relative_to(storage.ROOT), text)
    shutil.copy(storage.ROOT / PICTURE, source / PICTURE)
    result_pages.write(source / "results", local)
    return names, result_pages.figure(source / "docs" / "published_and_measured.svg", local)


def _write_whole(folder, names):
    """Join the pages of the notebooks into one to print: `course.html`, beside them."""
    parts = ""
    for name in names:
        page = (folder / f"{name}.html").read_text(encoding="utf-8")
        article = page[page.index('<article class="bd-article">') : page.index("</article>")]
        parts += re.sub(r'\b(id="|href="#)', rf"\g<1>{name}-", article) + "</article>\n"
    styles = "\n".join(re.findall(r'<link [^>]*rel="stylesheet"[^>]*>', page))
    text = (pathlib.Path(__file__).parent / "course.html").read_text(encoding="utf-8")
    _write(folder / "course.html", text.replace("[[STYLES]]", styles).replace("[[PAGES]]", parts))


def _with_index_entries(glossary):
    """Let the search lead from a term's Korean words, which begin its entry, to the entry."""
    wanted = r"^(## .+\n\n)([^.\n]*[가-힣][^.\n]*)\."

    def entry(match):
        words = [f"! {word.strip()}" for word in re.split(r"[(),;]", match[2]) if word.strip()]
        return f"{match[1]}```{{index}} {', '.join(words)}\n```\n\n{match[0][len(match[1]) :]}"

    return re.sub(wanted, entry, glossary, flags=re.MULTILINE)


def _write_reference(source):
    """A page of the API reference for each module, made from its docstrings."""
    for name in MODULES:
        directive = f".. automodule:: cnnlib.{name}\n   :members:\n"
        if hasattr(importlib.import_module(f"cnnlib.{name}"), "__path__"):  # a folder of modules
            directive += "   :imported-members:\n"
        text = f"# cnnlib.{name}\n\n```{{eval-rst}}\n{directive}```\n"
        _write(source / "reference" / f"{name}.md", text)
    text = "# Reference\n\nThe functions and classes that the notebooks use."
    entries = _toctree("Modules", MODULES, option=":maxdepth: 1")
    _write(source / "reference" / "index.md", f"{text}\n\n{entries}\n")


def _site_index(source, names, alt):
    text = (pathlib.Path(__file__).parent / "index.md").read_text(encoding="utf-8")
    first, cards = next(iter(names.values()), ""), [_card(source, name) for name in names.values()]
    text = text.replace("[[ALT]]", alt).replace("[[START]]", f"notebooks/{first}.html")
    text = text.replace("[[CARDS]]", "\n".join(cards))
    return "\n\n".join([text, *_toctrees(source, names)])


def _card(source, name):
    """A notebook as a card: picture and question, and what README says of it."""
    title = notebook_pages.title_of(
        notebooks.read_notebook(source / "notebooks" / f"{name}.ipynb"), name
    )
    line = rf"\[{re.escape(name)}\]\([^)]*\) \| (?:.*\? )?([^|]*) \| ([\d.]+) \|"
    found = re.search(line, (storage.ROOT / "README.md").read_text(encoding="utf-8"))
    about = f"<p>{escape(found[1])}. {found[2]}&nbsp;min</p>" if found else ""
    picture = f'<img src="_static/{name[:2]}.png" alt="">' if found else ""
    return f'<a href="notebooks/{name}.html">{picture}<b>{escape(title)}</b>{about}</a>'


def _toctrees(source, names):
    documents = [f"docs/{path.stem}" for path in sorted((source / "docs").glob("[!.]*.md"))]
    reference = ["reference/index"] if (source / "reference").exists() else []
    return [
        _toctree("Notebooks", [f"notebooks/{name}" for name in names.values()]),
        _toctree("Results", ["results/index"]),
        _toctree("Pages", [*documents, "README.ko"]),
        _toctree("Code", [*reference, "CONTRIBUTING", "CHANGELOG"]),
    ]


def _report_index(source, entries, names, alt):
    failed = [entry for entry in entries if entry.failure]
    outcome = f"All {len(entries)} notebooks ran to their end"
    if failed:
        outcome = f"{len(failed)} of {len(entries)} notebooks failed"
    kind, now = "danger" if failed else "tip", datetime.datetime.now()
    machine = f"cnnlib {cnnlib.__version__}; {environment.versions()}; {environment.device()}"
    html = "<table class='table'>\n<tr><th>Notebook</th><th>Status</th><th>Time</th></tr>\n"
    for entry in entries:
        name, status = escape(entry.name), "failed" if entry.failure else "done"
        if entry.name in names:
            name = f'<a href="notebooks/{names[entry.name]}.html">{name}</a>'
        html += f"<tr><td>{name}</td><td>{status}</td><td>{entry.seconds:.0f} s</td></tr>\n"
    html += "</table>\n"
    for entry in failed:
        html += f"<h3>{escape(entry.name)}</h3>\n<pre>{escape(entry.failure)}</pre>\n"
    tables = result_pages.tables(local=True)
    return "\n\n".join(
        [
            f"# {TITLE}: report",
            f":::{{admonition}} {outcome}\n:class: {kind}\n\n{now:%Y-%m-%d %H:%M}. {machine}.\n:::",
            notebook_pages.fenced("{raw} html", html),
            "## Published beside measured",
            f"![{alt}](docs/published_and_measured.svg)",
            "Results that begin with *this machine* were measured here; the others come with the "
            "course, and [Results](results/index.md) has more about each.",
            *(f"### {title}\n\n{table}" for title, table in tables.items()),
            *_toctrees(source, names),
        ]
    )


def _toctree(caption, names, option=":hidden:"):
    entries = "\n".join(names)
    return f"```{{toctree}}\n{option}\n:caption: {caption}\n\n{entries}\n```"


def _write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _sphinx(source: pathlib.Path, temporary: pathlib.Path, title: str) -> pathlib.Path:
    """Run Sphinx on `source`. Returns the folder with the pages."""
    from sphinx.application import Sphinx

    static = temporary / "static"
    static.mkdir()
    for name in ("site.css", "site.js", "favicon.svg"):
        shutil.copy(pathlib.Path(__file__).parent / name, static)
    shutil.copytree(storage.ROOT / "docs" / "thumbnails", static, dirs_exist_ok=True)
    built, messages = temporary / "html", io.StringIO()
    with warnings.catch_warnings():
        # Of Sphinx' extensions: each uses something that a later Sphinx will not have.
        warnings.simplefilter("ignore")
        app = Sphinx(
            srcdir=source,
            confdir=None,
            outdir=built,
            doctreedir=temporary / "doctrees",
            buildername="html",
            confoverrides=_settings(title, static),
            status=None,
            warning=messages,
            parallel=1,
        )
        app.build()
    if app.statuscode:
        raise RuntimeError(f"Sphinx could not build the site:\n{messages.getvalue()[-2000:]}")
    korean = (built / "README.ko.html").read_text(encoding="utf-8")
    _write(built / "README.ko.html", korean.replace('<html lang="en"', '<html lang="ko"'))
    return built


def _settings(title: str, static: pathlib.Path) -> dict[str, Any]:
    return {
        "project": title,
        "html_title": title,
        "release": cnnlib.__version__,
        "language": "en",
        "highlight_language": "text",
        "extensions": [
            "myst_nb",
            "sphinx_copybutton",
            "sphinx.ext.autodoc",
            "sphinx.ext.napoleon",
            "cnnlab.site.mathml",
        ],
        "exclude_patterns": ["**.svg"],
        "html_theme": "sphinx_book_theme",
        "html_math_renderer": "mathml",
        "html_static_path": [str(static)],
        "html_css_files": ["site.css"],
        "html_js_files": ["site.js"],
        "html_favicon": str(static / "favicon.svg"),
        "autodoc_typehints": "none",  # the docstrings give shapes and types in words
        "html_show_copyright": False,
        "html_context": {"default_mode": "auto"},  # light or dark as the reader has it
        "html_show_search_summary": False,  # it reads pages by requests that file:// refuses
        "html_theme_options": {
            "repository_url": notebooks.repository_url(),
            "use_repository_button": True,
            "navbar_persistent": [],  # the search is in the side bar
            "footer_content_items": [],
            "show_toc_level": 2,
            "navigation_with_keys": True,
        },
        "nb_execution_mode": "off",
        "nb_merge_streams": True,
        "myst_enable_extensions": ["amsmath", "colon_fence", "dollarmath"],
        "myst_heading_anchors": 4,
        "autodoc_member_order": "bysource",
        "copybutton_selector": "div.highlight pre",
        "suppress_warnings": ["myst.xref_missing", "myst.header", "mystnb.unknown_mime_type"],
    }
