"""A headless Chromium that is asked over pipes (the DevTools protocol), with the standard library alone."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-background-networking",
    "--disable-component-update", "--no-first-run", "--disable-dev-shm-usage", "--remote-debugging-pipe",
)  # fmt: skip
DRAWN = """document.readyState === 'complete' &&
  (!document.getElementById('figures') || 'drawn' in document.documentElement.dataset)"""


def installed() -> str | None:
    """The program, if there is one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@dataclass
class Page:
    """One tab, and what happened in it: addresses that were asked for, complaints and errors."""

    _send: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def heard(self, event: dict[str, Any]) -> None:
        """An event of the browser."""
        method, told = event["method"], event.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(told["exceptionDetails"]))
        elif method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.complaints.append(told["entry"]["text"])
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.complaints.append(str(told["args"]))
        elif method == "Page.javascriptDialogOpening":
            self.complaints.append(f"dialog: {told['message']}")

    def ask(self, method: str, **params: Any) -> Any:
        """A command, and its answer."""
        return self._send(method, params)

    def value(self, expression: str) -> Any:
        """What an expression gives in the page."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def open(self, path: Path | str, width: int = 1280, *, scripts: bool = True) -> None:
        """Show a file, or an address, in a window so wide, and wait until its charts are drawn."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
        self.ask("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.ask("Page.navigate", url=path if isinstance(path, str) else path.resolve().as_uri())
        deadline = time.monotonic() + 60
        while scripts and not self.value(DRAWN):
            assert time.monotonic() < deadline, f"charts were not drawn: {self.complaints}"
            time.sleep(0.05)
        if not scripts:
            time.sleep(1.0)

    def picture(self, path: Path) -> None:
        """The whole page, as PNG."""
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 16_000), "scale": 1}
        told = self.ask("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(told["data"]))

    def printed(self) -> bytes:
        """The page as it is printed, PDF."""
        told = self.ask("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
        return base64.b64decode(told["data"])


@contextlib.contextmanager
def browse(profile: Path) -> Iterator[Page]:
    """A browser with an empty page, of its own profile; gone at the end."""
    program = installed()
    assert program is not None
    from_us, ours = os.pipe()
    theirs, to_us = os.pipe()
    command = [program, *SWITCHES, f"--user-data-dir={profile}", "about:blank"]

    def pipes() -> None:
        os.dup2(from_us, 3)
        os.dup2(to_us, 4)

    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=pipes,  # noqa: PLW1509  # no thread of ours holds a lock that this needs
        pass_fds=(3, 4, from_us, to_us),
    )
    os.close(from_us)
    os.close(to_us)
    numbers, buffer, page = itertools.count(1), bytearray(), Page(None)

    def read() -> dict[str, Any]:
        deadline = time.monotonic() + 60
        while b"\0" not in buffer:
            ready, _, _ = select.select([theirs], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(theirs, 1 << 20) if ready else b""
            assert chunk, "the browser said nothing"
            buffer.extend(chunk)
        end = buffer.index(b"\0")
        message: dict[str, Any] = json.loads(bytes(buffer[:end]))
        del buffer[: end + 1]
        return message

    def send(method: str, params: dict[str, Any], session: str | None = None) -> Any:
        number = next(numbers)
        own = {"id": number, "method": method, "params": params, **({"sessionId": session} if session else {})}
        os.write(ours, json.dumps(own).encode() + b"\0")
        while True:
            message = read()
            if message.get("id") == number:
                assert "error" not in message, message["error"]
                return message["result"]
            if "method" in message:
                page.heard(message)

    try:
        target = next(t for t in send("Target.getTargets", {})["targetInfos"] if t["type"] == "page")
        told = send("Target.attachToTarget", {"targetId": target["targetId"], "flatten": True})
        page._send = lambda method, params: send(method, params, told["sessionId"])
        for domain in ("Page", "Network", "Runtime", "Log"):
            page.ask(f"{domain}.enable")
        yield page
    finally:
        os.close(ours)
        os.close(theirs)
        process.kill()
        process.wait(30)
