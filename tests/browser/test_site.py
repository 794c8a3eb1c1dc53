"""The site in Chromium: every page, from a folder and from a server, in both themes, on a phone."""

import functools
import http.server
import threading

import pytest

from cnnlab import site


@pytest.fixture(scope="module")
def folder(browser, tmp_path_factory):
    """The site as `make site` builds it, with the notebooks' stored outputs."""
    return site.build_site(tmp_path_factory.mktemp("site")).parent


@pytest.fixture(scope="module")
def address(folder):
    """The address of a server that has the site."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_every_page_opens_without_an_error_or_a_request_to_elsewhere(tab, folder, address):
    pages = [path for path in sorted(folder.rglob("*.html")) if "_static" not in path.parts]
    assert len(pages) > 25
    tab.screen(tab.PHONE)
    found = {}
    for path in pages:
        name = path.relative_to(folder).as_posix()
        errors, elsewhere = tab.open(path.as_uri())
        found[name] = [*errors, *elsewhere]
        found[name] += [each.get_attribute("href") for each in tab.find("a[href^='#../']")]
        if tab.overflow():
            found[name].append(f"{tab.overflow()} pixels wider than a phone")
    for name in ("index.html", "notebooks/04_lenet1.html", "draw/index.html"):
        errors, elsewhere = tab.open(f"{address}/{name}")
        found[f"served {name}"] = [*errors, *elsewhere]
    assert {name: faults for name, faults in found.items() if faults} == {}


@pytest.mark.parametrize("served", [False, True])
def test_search_finds_a_term_of_the_course(tab, folder, address, served):
    start = address if served else folder.as_uri()
    tab.screen()
    tab.open(f"{start}/search.html?q=receptive+field")
    tab.wait("ul.search li a")
    found = " ".join(each.text for each in tab.find("ul.search li"))
    assert "Glossary" in found and "receptive" in found.lower()


@pytest.mark.parametrize("term, entry", [("과적합", "overfitting"), ("신경망", "net")])
def test_search_leads_from_a_korean_word_to_its_entry(tab, folder, term, entry):
    tab.screen()
    tab.open((folder / "search.html").as_uri() + f"?q={term}")
    tab.wait("ul.search li a")
    tab.open(tab.find("ul.search li a")[0].get_attribute("href"))
    target = "document.getElementById(decodeURIComponent(location.hash.slice(1)))"
    assert tab.run(f"return {target}.closest('section').id") == entry


@pytest.mark.parametrize(
    "name, numbers", [("index", []), ("watch", ["02", "03", "04"]), ("look", ["04", "06"])]
)
def test_pages_to_draw_watch_and_look_lead_back(tab, folder, name, numbers):
    tab.screen()
    tab.open((folder / f"draw/{name}.html").as_uri())
    for link, number in zip(tab.find("a[href^='../notebooks']"), numbers, strict=True):
        assert link.text == number
        assert (folder / "draw" / link.get_dom_attribute("href")).resolve().is_file()
    assert tab.find("#home .site")[0].get_dom_attribute("href") == "../index.html"


@pytest.mark.parametrize("device", ["DESKTOP", "PHONE"])
@pytest.mark.parametrize("name", ["02_how_a_net_learns", "07_cifar10_from_scratch"])
def test_code_fits_and_solutions_are_folded(tab, folder, name, device):
    tab.screen(getattr(tab, device))
    tab.open((folder / f"notebooks/{name}.html").as_uri())
    cells = tab.find("div.cell pre")
    assert len(cells) > 40
    wide = "return arguments[0].scrollWidth > arguments[0].clientWidth"
    assert not [each.text for each in cells if tab.run(wide, each)]
    assert len(tab.find("details.solution")) >= 4 and not tab.find("details.solution[open]")
    shown = [each.text for each in tab.find("div.cell pre") if each.is_displayed()]
    assert not [text for text in shown if "NBVAL" in text or "find_spec" in text]
    assert not [text for text in shown if "exercises.check(" in text]


@pytest.mark.parametrize("name, solutions", [("02_how_a_net_learns", 4), ("course", 36)])
def test_on_paper_pages_are_light_and_solutions_unfolded(tab, folder, name, solutions):
    tab.screen(theme="dark")
    tab.open((folder / f"notebooks/{name}.html").as_uri())
    tab.run("dispatchEvent(new Event('beforeprint'))")
    assert len(tab.find("details.solution[open]")) == len(tab.find("details.solution")) >= solutions
    assert tab.run("return document.documentElement.dataset.theme") == "light"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    "name",
    [
        "index",
        "notebooks/02_how_a_net_learns",
        "results/index",
        "docs/glossary",
        "reference/models",
    ],
)
def test_pages_are_readable_in_both_themes(tab, folder, axe, name, theme):
    tab.screen(theme=theme)
    tab.open((folder / f"{name}.html").as_uri())
    assert tab.run("return document.documentElement.dataset.theme") == theme
    assert tab.violations(axe) == []
