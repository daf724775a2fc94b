"""A real browser, spoken to in the DevTools protocol: what a reader would see."""

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time

import websocket

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WAITED = 90.0  # seconds, for a browser that starts on a busy machine


def find():
    """The browser's program; None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """One tab: its requests and complaints are kept, its document can be asked."""

    def __init__(self, address):
        self.socket = websocket.create_connection(
            address, timeout=WAITED, suppress_origin=True
        )
        self.number, self.requests, self.complaints, self.loaded = 0, [], [], 0
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        """Sends a command and waits for its answer; keeps the events on the way."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        self.socket.send(json.dumps(message))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]
            self._keep(answer)

    def _keep(self, event):
        method, parameters = event["method"], event["params"]
        if method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method in ("Runtime.exceptionThrown", "Log.entryAdded"):
            self.complaints.append(parameters)
        elif method == "Page.loadEventFired":
            self.loaded += 1

    def show(self, path, *, width=1280, dark=False):
        """Opens a file from disk, as wide and as dark as asked, without a network."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        offline = {"latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        self.call("Network.emulateNetworkConditions", offline=True, **offline)
        self.requests, self.complaints, before = [], [], self.loaded
        self.call("Page.navigate", url=path.resolve().as_uri())
        while self.loaded == before:
            self._keep(json.loads(self.socket.recv()))

    def ask(self, expression):
        """The value of a JavaScript expression."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self, path):
        """Writes the whole page, below the fold too, as PNG."""
        answer = self.call(
            "Page.captureScreenshot", format="png", captureBeyondViewport=True
        )
        path.write_bytes(base64.b64decode(answer["data"]))


@contextlib.contextmanager
def opened(folder):
    """A browser with one page; ended in the end."""
    log = folder / "browser.log"
    words = [
        find(),
        "--headless",
        "--no-sandbox",  # containers run as root
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--remote-debugging-port=0",
        f"--user-data-dir={folder / 'profile'}",
        "about:blank",
    ]
    with log.open("wb") as file:
        process = subprocess.Popen(
            words, stderr=file, stdout=file, start_new_session=True
        )
    try:
        page = Page(_address(log))
        yield page
        page.socket.close()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _address(log):
    """The first tab's, asked for over the port that the browser says it listens on."""
    import urllib.request

    deadline = time.monotonic() + WAITED
    while time.monotonic() < deadline:
        found = re.search(r"DevTools listening on ws://([^/\s]+)/", log.read_text())
        if found:
            with urllib.request.urlopen(f"http://{found[1]}/json/list") as answer:
                tabs = json.loads(answer.read())
            pages = [tab for tab in tabs if tab["type"] == "page"]
            if pages:
                return pages[0]["webSocketDebuggerUrl"]
        time.sleep(0.1)
    raise TimeoutError(log.read_text())
