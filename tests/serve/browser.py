"""A headless Chromium, driven through a pipe: pages are opened, scripts run, keys and pointers pressed."""

import base64
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None)
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe")
# The browser reads its commands from file descriptor 3 and writes to 4.
AS_3_AND_4 = """\
import os, sys
from fcntl import F_DUPFD, fcntl
read, write = (fcntl(int(end), F_DUPFD, 10) for end in sys.argv[1:3])
os.dup2(read, 3)
os.dup2(write, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


class Page:
    """One page; commands are those of the Chrome DevTools Protocol."""

    def __init__(self, read, write):
        self.read, self.write, self.number, self.session = read, write, 0, None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.ask("Page.enable")

    def ask(self, method, **parameters):
        """The result of a command; events on the way are left out."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.write.write(json.dumps(message).encode() + b"\0")
        self.write.flush()
        while True:
            answer = json.loads(self._message())
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]

    def _message(self):
        found = bytearray()
        while (byte := self.read.read(1)) != b"\0":
            assert byte, "the browser has ended"
            found += byte
        return found

    def run(self, script):
        """What an expression gives, once its promise is kept."""
        found = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, condition):
        """Wait until an expression is true, for at most ten seconds."""
        self.run(f"""new Promise((keep, fail) => {{
          const end = Date.now() + 10000;
          const look = () => ({condition}) ? keep(true) : Date.now() > end ? fail("never: " + {json.dumps(condition)})
            : setTimeout(look, 20);
          look();
        }})""")

    def open(self, address, width=1000, height=800):
        """Load a page at a size."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.ask("Page.navigate", url=address)
        self.until('document.readyState === "complete"')

    def press(self, key, shift=False):
        """Press and release a key."""
        code = {"Tab": 9, "Enter": 13, " ": 32, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        about = {"key": key, "windowsVirtualKeyCode": code.get(key, 0), "modifiers": 8 * shift}
        if key in (" ", "Enter"):
            about["text"] = {"Enter": "\r"}.get(key, key)
        self.ask("Input.dispatchKeyEvent", type="keyDown", **about)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **about)

    def drag(self, points):
        """Press a pointer at the first point, move it to the others, release it."""
        (x, y), *others = points
        about = {"button": "left", "buttons": 1, "clickCount": 1}
        self.ask("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, **about)
        for x, y in others:
            self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y, **about)
        self.ask("Input.dispatchMouseEvent", type="mouseReleased", x=x, y=y, **about)

    def screenshot(self, path):
        """Write what is seen, as PNG."""
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot")["data"]))


@contextmanager
def page(folder):
    """A page of a browser of its own, which ends with the block."""
    to_read, to_write = os.pipe(), os.pipe()
    ends = (to_read[0], to_write[1])
    command = [CHROMIUM, *OPTIONS, *CAMERA, f"--user-data-dir={folder / 'profile'}"]
    process = subprocess.Popen(
        [sys.executable, "-c", AS_3_AND_4, *map(str, ends), *command],
        pass_fds=ends,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_read[0])
    os.close(to_write[1])
    try:
        with open(to_write[0], "rb", buffering=1 << 16) as read, open(to_read[1], "wb") as write:  # noqa: PTH123
            yield Page(read, write)
    finally:
        process.kill()
        process.wait()
