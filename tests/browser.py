"""Open pages in Chromium, Debian's build without a window, and ask the browser itself about them.

The browser gets the commands of the DevTools protocol through a pipe, so it needs no port.
"""

import json
import os
import subprocess
import sys
import tempfile
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from dev import packages

COMMAND = "chromium-headless-shell"

PROGRAM = f"usr/lib/chromium/{COMMAND}"
"""Path of the program in its package. The command is a script with an absolute path to it."""

FONTS = """<?xml version="1.0"?>
<fontconfig>
  <dir>/usr/share/fonts</dir><dir>{root}/usr/share/fonts</dir><cachedir>{folder}</cachedir>
  <match><edit name="family" mode="append" binding="weak"><string>DejaVu Sans</string></edit></match>
  <alias><family>system-ui</family><prefer><family>DejaVu Sans</family></prefer></alias>
  <alias><family>ui-monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
</fontconfig>
"""
"""Configuration of fontconfig: the fonts of the system, or those that the package depends on."""

OPTIONS = (
    "--no-sandbox",  # root has no sandbox, and the pages are those of the tests
    "--disable-gpu",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
    "about:blank",
)

LAUNCHER = """
import fcntl, os, sys
commands, answers = (fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3])
os.dup2(commands, 3)
os.dup2(answers, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Program that starts the browser, which reads from descriptor 3 and writes to descriptor 4."""

END = b"\0"
"""End of a message of the protocol."""


class Browser:
    """A browser with one page. `events` has the events that it has reported."""

    def __init__(self, commands: BinaryIO, answers: BinaryIO) -> None:
        self._commands, self._answers = commands, answers
        self._number, self._buffer, self._session = 0, b"", ""
        self.events: list[dict[str, Any]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command, and return its result."""
        self._number += 1
        session = {"sessionId": self._session} if self._session else {}
        message = {"id": self._number, "method": method, "params": parameters, **session}
        self._commands.write(json.dumps(message).encode() + END)
        self._commands.flush()
        while (answer := self._read()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return dict(answer["result"])

    def open(self, path: Path, width: int, height: int, *, scheme: str = "light", media: str = "screen") -> None:
        """Open a file at a size of the window, and wait until it is loaded."""
        self.events.clear()
        mobile = width < 600
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        features = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        pairs = [{"name": name, "value": value} for name, value in features.items()]
        self.send("Emulation.setEmulatedMedia", media=media, features=pairs)
        self.send("Page.navigate", url=path.resolve().as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())

    def run(self, script: str) -> Any:
        """Return the value of a JavaScript expression, which may be a promise."""
        result = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def press(self, key: str, text: str = "") -> None:
        """Press a key."""
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, text=text)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key, code=key)

    def screenshot(self, path: Path) -> None:
        """Write the visible part of the page as PNG."""
        path.write_bytes(b64decode(self.send("Page.captureScreenshot", format="png")["data"]))

    def requested_urls(self) -> list[str]:
        """Return the URLs that the page has requested, without its own."""
        requests = [event["params"] for event in self.events if event["method"] == "Network.requestWillBeSent"]
        return [each["request"]["url"] for each in requests if each["type"] != "Document"]

    def complaints(self) -> list[str]:
        """Return the messages of the console and the errors of the page, such as refusals by its policy."""
        kinds = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        return [json.dumps(event["params"]) for event in self.events if event["method"] in kinds]

    def _read(self) -> dict[str, Any]:
        while END not in self._buffer:
            chunk = os.read(self._answers.fileno(), 2**16)
            assert chunk, "the browser ended"
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(END)
        return dict(json.loads(message))


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start Chromium, and end it after the block."""
    chromium = packages.provide_packages({COMMAND: COMMAND})
    program = chromium.root / PROGRAM
    with tempfile.TemporaryDirectory() as folder:
        fonts = Path(folder) / "fonts.conf"
        fonts.write_text(FONTS.format(root=chromium.root, folder=folder))
        env = {**os.environ, "HOME": folder, "FONTCONFIG_FILE": str(fonts), **_library_path(chromium.root)}
        read_commands, write_commands = os.pipe()
        read_answers, write_answers = os.pipe()
        launcher = (sys.executable, "-c", LAUNCHER, str(read_commands), str(write_answers))
        with open(Path(folder) / "log", "wb") as log:
            process = subprocess.Popen(
                [*launcher, str(program), *OPTIONS, f"--user-data-dir={folder}/profile"],
                env=env,
                stderr=log,
                pass_fds=(read_commands, write_answers),
            )
        os.close(read_commands)
        os.close(write_answers)
        with os.fdopen(write_commands, "wb") as commands, os.fdopen(read_answers, "rb") as answers:
            try:
                yield Browser(commands, answers)
            finally:
                process.terminate()
                process.wait()


def _library_path(root: Path) -> Mapping[str, str]:
    """Return the variable for the libraries of the unpacked packages. Some are in folders of their own."""
    if root == Path("/"):
        return {}
    libraries = (library.parent for folder in ("usr/lib", "lib") for library in (root / folder).rglob("lib*.so*"))
    return {"LD_LIBRARY_PATH": os.pathsep.join(sorted({str(folder) for folder in libraries}))}
