"""A headless browser for tests: found on this machine, driven over its debugging protocol. No package brings one."""

import json
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def found():
    """The path of a browser that speaks the protocol, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def browser(folder):
    """A Page in a fresh browser that keeps its files in `folder`."""
    import websocket

    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-allow-origins=*"]
    options += ["--remote-debugging-port=0", "--no-first-run", f"--user-data-dir={folder}", "about:blank"]
    process = subprocess.Popen([found(), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        note = Path(folder) / "DevToolsActivePort"
        wait(lambda: note.exists() and len(note.read_text().splitlines()) == 2, 60)
        port, path = note.read_text().splitlines()
        socket = websocket.create_connection(f"ws://127.0.0.1:{port}{path}", timeout=60)
        yield Page(socket)
        socket.close()
    finally:
        process.kill()
        process.wait()


def wait(done, seconds=20):
    """Wait until done() is true; AssertionError after so many seconds."""
    end = time.monotonic() + seconds
    while not (value := done()):
        assert time.monotonic() < end, f"still not so after {seconds} seconds"
        time.sleep(0.05)
    return value


class Navigated(Exception):
    """The page left for another one before it answered."""


class Page:
    """One tab. `said` collects errors of scripts and of the console."""

    def __init__(self, socket):
        self.socket, self.number, self.session, self.said = socket, 0, None, []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def ask(self, method, **params):
        """The answer to one command."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        self.socket.send(json.dumps(message | ({"sessionId": self.session} if self.session else {})))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == self.number:
                if answer.get("error", {}).get("message") == "Inspected target navigated or closed":
                    raise Navigated(method)
                assert "error" not in answer, (method, answer)
                return answer["result"]
            self._hear(answer)

    def _hear(self, event):
        params = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.said.append(
                str(
                    params["exceptionDetails"]
                    .get("exception", params["exceptionDetails"])
                    .get("description", "an exception")
                )
            )
        elif event.get("method") == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.said.append(" ".join(str(each.get("value", each.get("description"))) for each in params["args"]))
        elif event.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.said.append(params["entry"]["text"])

    def open(self, url, width, height=800):
        """Load a page in a window of this size, scripts and formulas included."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.ask("Page.navigate", url=url)
        wait(lambda: self.run("document.readyState") == "complete" and self.run("location.href") != "about:blank")
        if self.run("!!document.querySelector('script[src*=\"_static/mathjax\"]')"):
            self.run(
                "new Promise(done => { const ask = () => window.MathJax.startup?.promise "
                "? window.MathJax.startup.promise.then(() => done(1)) : setTimeout(ask, 50); ask(); })"
            )

    def run(self, code):
        """The value of an expression of JavaScript; a promise is waited for. Where the page leaves, the next one is asked."""
        how = {"expression": code, "returnByValue": True, "awaitPromise": True}
        try:
            result = self.ask("Runtime.evaluate", **how)
        except Navigated:
            result = self.ask("Runtime.evaluate", **how)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def click(self, selector):
        """Click at the center of the first visible element, where whatever lies on top of it gets the click."""
        x, y = self.run(
            f"(() => {{ const e = [...document.querySelectorAll({json.dumps(selector)})].find(e => e.checkVisibility({{visibilityProperty: true}}));"
            "e.scrollIntoView({block: 'nearest'});"
            "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def picture(self, path):
        """Save what is seen, for the eyes of whoever mends a test."""
        import base64

        Path(path).write_bytes(base64.b64decode(self.ask("Page.captureScreenshot")["data"]))
