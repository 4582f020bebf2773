"""Chromium by the DevTools protocol over a pipe: no server, no port, nothing to install beside the browser."""

import base64
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)  # fmt: skip

# Chromium reads commands from descriptor 3 and writes to 4; copied high first, so that neither overwrites the other.
START = (
    "import fcntl, os, sys; r, w = (fcntl.fcntl(int(n), fcntl.F_DUPFD, 10) for n in sys.argv[1:3]); "
    "os.dup2(r, 3); os.dup2(w, 4); os.execvp(sys.argv[3], sys.argv[3:])"
)


class Chromium:
    """A browser with one page. `events` holds everything that it reported."""

    def __init__(self, profile: Path):
        self.events: list[dict[str, Any]] = []
        self._number, self._unread = 0, b""
        read_commands, self._commands = os.pipe()
        self._answers, write_answers = os.pipe()
        ends = str(read_commands), str(write_answers)
        self._process = subprocess.Popen(
            [sys.executable, "-c", START, *ends, "chromium", *FLAGS, f"--user-data-dir={profile}"],
            pass_fds=(read_commands, write_answers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(read_commands)
        os.close(write_answers)
        self._session: str | None = None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(f"{domain}.enable")

    def close(self) -> None:
        self._session = None
        try:
            self.ask("Browser.close")
            self._process.wait(timeout=20)
        except (OSError, TimeoutError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        os.close(self._commands)
        os.close(self._answers)

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Sends a command and returns its answer."""
        self._number += 1
        session = {"sessionId": self._session} if self._session else {}
        message = json.dumps({"id": self._number, "method": method, "params": params, **session})
        os.write(self._commands, message.encode() + b"\0")
        answer = self._read_until(lambda each: each.get("id") == self._number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def open(self, path: Path, *, width: int, dark: bool = False, media: str = "screen") -> None:
        """Shows a file at a width, and waits until it is loaded. What was reported before is forgotten."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.ask("Emulation.setEmulatedMedia", media=media, features=scheme)
        self.events.clear()
        self.ask("Page.navigate", url=path.as_uri())
        if not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._read_until(lambda each: each.get("method") == "Page.loadEventFired")
        self.value("new Promise(done => setTimeout(() => requestAnimationFrame(done), 100))")

    def value(self, script: str) -> Any:
        """Returns what an expression (or a promise) comes to in the page."""
        result = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["text"])
        return result["result"].get("value")

    def complaints(self) -> list[str]:
        """Returns what the page wrote to the console, threw, or was refused."""
        said = []
        for event in self.events:
            method, params = event["method"], event["params"]
            if method == "Runtime.consoleAPICalled":
                said.append(f"console.{params['type']}: {[each.get('value') for each in params['args']]}")
            elif method == "Runtime.exceptionThrown":
                said.append(f"exception: {params['exceptionDetails']['text']}")
            elif method == "Log.entryAdded":
                said.append(f"{params['entry']['level']}: {params['entry']['text']}")
        return said

    def requests(self) -> list[str]:
        """Returns what the page asked for, apart from what is written in it."""
        sent = [
            event["params"]["request"]["url"] for event in self.events if event["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in sent if not url.startswith("data:")]

    def screenshot(self, path: Path) -> None:
        """Writes the whole page as a picture."""
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        answer = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(answer["data"]))

    def pdf(self) -> bytes:
        """Returns the page as it is printed."""
        return base64.b64decode(self.ask("Page.printToPDF", preferCSSPageSize=True)["data"])

    def _read_until(self, wanted: Any, seconds: float = 60.0) -> dict[str, Any]:
        """Returns the first message that is wanted; events on the way are kept."""
        end = time.monotonic() + seconds
        while True:
            while b"\0" in self._unread:
                message, self._unread = self._unread.split(b"\0", 1)
                read = json.loads(message)
                if "method" in read:
                    self.events.append(read)
                if wanted(read):
                    return read
            if not select.select([self._answers], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError(f"Chromium did not answer within {seconds:.0f} seconds.")
            piece = os.read(self._answers, 1 << 16)
            if not piece:
                raise OSError("Chromium has ended.")
            self._unread += piece
