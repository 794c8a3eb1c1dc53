"""A real browser, Chromium, for tests of the pages. install.sh installs it where it can."""

import json
import shutil
import socket
import subprocess
from urllib.parse import urlsplit

import pytest

# Chromium as root in a container, and without its own requests to its makers' hosts.
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--allow-file-access-from-files",
)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A Selenium driver of Chromium that records console messages and network requests."""
    found = [shutil.which(name) for name in ("chromium", "google-chrome", "chromium-browser")]
    binary, driver_path = next(filter(None, found), None), shutil.which("chromedriver")
    if not binary or not driver_path:
        pytest.skip(
            "Chromium or chromedriver not found: on Debian and Ubuntu, "
            "`apt install chromium chromium-driver` (tests/browser/install.sh does it as root)"
        )
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(driver_path)
    driver = webdriver.Chrome(options, service)
    driver.set_script_timeout(120)
    yield driver
    driver.quit()


class Tab:
    """A tab of the browser, and what tests ask of the page in it."""

    PHONE, DESKTOP = (390, 844), (1280, 900)

    def __init__(self, browser):
        self.browser = browser
        self.run = browser.execute_script
        self.find = lambda css: browser.find_elements("css selector", css)

    def screen(self, size=DESKTOP, theme="light"):
        """Show pages on a screen of this size in CSS pixels, to a reader who prefers this theme."""
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": theme}]
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def open(self, address):
        """Open a page. Return its console errors and its requests to elsewhere."""
        self.browser.get("about:blank")
        self.browser.get_log("browser"), self.browser.get_log("performance")
        self.browser.get(address)
        log = self.browser.get_log("browser")
        errors = [entry["message"] for entry in log if entry["level"] == "SEVERE"]
        here = urlsplit(address)[:2]
        asked = [url for url in self._requests() if urlsplit(url).scheme not in ("data", "blob")]
        return errors, [url for url in asked if urlsplit(url)[:2] != here]

    def _requests(self):
        log = [
            json.loads(each["message"])["message"] for each in self.browser.get_log("performance")
        ]
        sent = [each["params"] for each in log if each["method"] == "Network.requestWillBeSent"]
        return [each["request"]["url"] for each in sent]

    def wait(self, css):
        """Wait until the page has an element."""
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.browser, 120).until(lambda _: self.find(css))

    def until(self, condition):
        """Wait until an expression of JavaScript is true."""
        look = (
            f"const done = arguments[0], look = () => {condition} ? done() : setTimeout(look, 50)"
        )
        self.browser.execute_async_script(f"{look}; look()")

    def overflow(self):
        """Return how many pixels the page is wider than the screen."""
        return self.run("const d = document.documentElement; return d.scrollWidth - d.clientWidth")

    def violations(self, axe):
        """Return what axe-core finds serious or critical, a line each."""
        # Colours at rest: a page that has just opened still fades into its theme.
        self.run(
            "const style = document.createElement('style');"
            "style.textContent = '* { transition: none !important }';"
            "document.head.append(style)"
        )
        self.run(axe)
        found = self.browser.execute_async_script(
            "const done = arguments[0];"
            "axe.run(document, {resultTypes: ['violations']}).then(r => done(r.violations))"
        )
        return [
            f"{each['id']}: {each['nodes'][0]['target']} ({len(each['nodes'])} places)"
            for each in found
            if each["impact"] in ("serious", "critical")
        ]


@pytest.fixture
def tab(browser):
    return Tab(browser)


@pytest.fixture
def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="session")
def axe(tmp_path_factory):
    """The source of axe-core, from npm's registry."""
    folder = tmp_path_factory.mktemp("axe")
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "axe-core@4.12.1"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"axe-core, which checks accessibility, could not be installed by npm: {error}")
    return (folder / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")
