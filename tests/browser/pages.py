"""What tests ask of a page in the browser."""

import json
from urllib.parse import urlsplit

PHONE, DESKTOP = (390, 844), (1280, 900)


def set_screen(browser, size, theme="light"):
    """Show pages on a screen of this size in CSS pixels, for a reader who prefers this theme."""
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": theme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def opened(browser, address):
    """Open a page. Return its console errors and the requests that left its host or folder."""
    browser.get_log("browser"), browser.get_log("performance")  # those of the page before
    browser.get(address)
    errors = [
        entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"
    ]
    return errors, [url for url in requests(browser) if is_external(url, address)]


def requests(browser):
    messages = [json.loads(each["message"])["message"] for each in browser.get_log("performance")]
    sent = [each["params"] for each in messages if each["method"] == "Network.requestWillBeSent"]
    return [each["request"]["url"] for each in sent]


def is_external(url, page):
    asked, here = urlsplit(url), urlsplit(page)
    return asked.scheme not in ("data", "blob") and asked[:2] != here[:2]


def overflow(browser):
    """Return how many pixels the page is wider than the screen."""
    return browser.execute_script(
        "const d = document.documentElement; return d.scrollWidth - d.clientWidth"
    )


def violations(browser, axe):
    """Return what axe-core finds serious or critical, a line each."""
    browser.execute_script(axe)
    found = browser.execute_async_script(
        "const done = arguments[0];"
        "axe.run(document, {resultTypes: ['violations']}).then(r => done(r.violations))"
    )
    return [
        f"{each['id']}: {each['nodes'][0]['target']} ({len(each['nodes'])} places)"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
