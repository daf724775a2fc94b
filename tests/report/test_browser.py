"""The report in Chromium, opened from disk without a network."""

import base64
import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time
import urllib.request

import numpy as np
import pytest
import websocket
from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE = 90.0  # seconds, for the start of the browser on a busy machine
FLAGS = (
    "--headless",
    "--no-sandbox",  # needed by root in containers
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)

# Relative luminance (WCAG 2) of background, text, tick labels and first curve.
LUMINANCE = """
(() => {
  const linear = c => c <= 10 ? c / 3294.6 : ((c / 255 + .055) / 1.055) ** 2.4;
  const luminance = (where, name) => {
    const text = getComputedStyle(document.querySelector(where))[name];
    const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map(Number).map(linear);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  return [luminance("section", "backgroundColor"), luminance("section p", "color"),
          luminance("svg text", "fill"),
          luminance(".charts svg path[style*=run]", "stroke")];
})()
"""
OVERFLOW = "document.documentElement.scrollWidth - window.innerWidth"
OPEN = "document.querySelectorAll('details').forEach(each => each.open = true)"
BROKEN = "[...document.images].filter(i => !i.complete || !i.naturalWidth).length"
SMALLEST_LETTERS = """
Math.min(...[...document.querySelectorAll("svg text")].map(
  text => text.getBoundingClientRect().height).filter(height => height))
"""


class Tab:
    """A tab controlled by the DevTools protocol; keeps requests and error messages."""

    def __init__(self, address):
        self.socket = websocket.create_connection(
            address, timeout=PATIENCE, suppress_origin=True
        )
        self.number, self.requests, self.errors, self.loaded = 0, [], [], False
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        """Sends a command and returns its answer."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        self.socket.send(json.dumps(message))
        while (answer := self.receive()).get("id") != self.number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def receive(self):
        """Returns the next message; events are noted."""
        message = json.loads(self.socket.recv())
        method, parameters = message.get("method"), message.get("params")
        if method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method in ("Runtime.exceptionThrown", "Log.entryAdded"):
            self.errors.append(parameters)
        elif method == "Page.loadEventFired":
            self.loaded = True
        return message

    def show(self, path, *, width=1280, dark=False):
        """Opens a file with the network switched off."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1}
        mobile = width < 600
        self.call("Emulation.setDeviceMetricsOverride", **size, mobile=mobile)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        offline = {"latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        self.call("Network.emulateNetworkConditions", offline=True, **offline)
        self.requests, self.errors, self.loaded = [], [], False
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not self.loaded:
            self.receive()

    def ask(self, expression):
        """Returns the value of a JavaScript expression."""
        words = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        answer = self.call("Runtime.evaluate", **words)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self):
        """Returns the whole page in grey, float `(height, width)`."""
        answer = self.call(
            "Page.captureScreenshot", format="png", captureBeyondViewport=True
        )
        with Image.open(io.BytesIO(base64.b64decode(answer["data"]))) as picture:
            return np.asarray(picture.convert("L"), dtype=float)


def _address(profile):
    """Returns the address of the first tab; waits until the browser has started."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        time.sleep(0.1)
        port = profile / "DevToolsActivePort"
        if port.exists() and port.read_text():
            url = f"http://127.0.0.1:{port.read_text().split()[0]}/json/list"
            with urllib.request.urlopen(url) as answer:
                tabs = json.loads(answer.read())
            pages = [tab for tab in tabs if tab["type"] == "page"]
            if pages:
                return pages[0]["webSocketDebuggerUrl"]
    raise TimeoutError((profile / "browser.log").read_text())


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser on PATH: none of {', '.join(NAMES)}")
    profile = pathlib.Path(tmp_path_factory.mktemp("browser"))
    with (profile / "browser.log").open("wb") as log:
        process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        tab = Tab(_address(profile))
        yield tab
        tab.socket.close()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def file(several, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(several, encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [1280, 390, 320])
def test_page_is_complete_and_fits_the_window(tab, file, width):
    tab.show(file, width=width)
    requests = {url for url in tab.requests if not url.startswith("data:")}
    assert requests == {file.resolve().as_uri()}
    assert tab.errors == []
    assert tab.ask(BROKEN) == 0
    assert tab.ask("document.images.length") > 100
    assert tab.ask(OVERFLOW) == 0  # only tables scroll sideways
    assert tab.ask(SMALLEST_LETTERS) > 9  # in the charts, which are scaled
    assert tab.ask("document.documentElement.scrollHeight") < 5000
    tab.ask(OPEN)
    assert tab.ask(OVERFLOW) == 0
    assert tab.ask(SMALLEST_LETTERS) > 9


def test_page_refuses_requests(tab, file):
    tab.show(file)
    tab.ask("document.body.append(Object.assign(new Image(), {src: 'http://a.test/'}))")
    tab.ask("new Promise(resolve => setTimeout(resolve, 200))")
    assert any("Content Security Policy" in str(error) for error in tab.errors)


@pytest.mark.parametrize("dark", [False, True])
def test_contrast_in_light_and_dark_mode(tab, file, dark):
    tab.show(file, dark=dark)
    ground, *others = tab.ask(LUMINANCE)
    assert (ground < 0.05) if dark else (ground > 0.8)
    # WCAG 2.1: 7 for text at level AAA, 4.5 at AA, 3 for graphics.
    for other, least in zip(others, (7, 4.5, 3), strict=True):
        low, high = sorted((ground, other))
        assert (high + 0.05) / (low + 0.05) > least


def test_screenshots_are_not_empty(tab, file):
    shapes, means = set(), []
    for dark in (False, True):
        tab.show(file, width=390, dark=dark)
        tab.ask(OPEN)
        pixels = tab.screenshot()
        shapes.add(pixels.shape)
        means.append(pixels.mean())
        screens = np.array_split(pixels, len(pixels) // 800)
        assert min(screen.std() for screen in screens) > 5
    ((height, width),) = shapes
    assert (height > 5000, width) == (True, 390)  # the page, not only its first screen
    assert means[0] > 150 > 80 > means[1]
