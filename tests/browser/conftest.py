"""A real browser, Chromium, for tests of the pages. install.sh installs it where it can."""

import shutil
import socket

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
    missing = [name for name in ("chromium", "chromedriver") if not shutil.which(name)]
    if missing:
        pytest.skip(
            f"{' and '.join(missing)} not found: on Debian and Ubuntu, "
            "`apt install chromium chromium-driver` (tests/browser/install.sh does it as root)"
        )
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options, service)
    driver.set_script_timeout(120)
    yield driver
    driver.quit()


@pytest.fixture
def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
