"""A page in a real browser: headless Chromium, spoken to over its DevTools pipe.

The page holds a stream open for ever, so `--dump-dom` and `--screenshot` of the command line, which wait for
the network to be quiet, do not come back. The pipe (file descriptors 3 and 4) needs no port and no library.
"""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time

NAMES = "chromium", "chromium-browser", "google-chrome"
# It says nothing to the network of its own: the only address that it opens is the page.
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
]
START_S = 30


def program():
    """Where the browser is: what CHROMIUM names, else the first of the usual names; None: there is none."""
    named = os.environ.get("CHROMIUM")
    if named:
        return shutil.which(named)
    return next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """One page, open until `close`."""

    def __init__(self, browser, url, width=1920, height=1080):
        self.profile = tempfile.TemporaryDirectory(prefix="riskgate-browser-", ignore_cleanup_errors=True)
        ours_read, theirs_write = os.pipe()
        theirs_read, ours_write = os.pipe()
        # Chromium reads commands from 3 and writes answers to 4, by these very numbers.
        shell = f'exec 3<&{theirs_read} 4>&{theirs_write}; exec "$@"'
        self.process = subprocess.Popen(
            ["bash", "-c", shell, "bash", browser, *FLAGS, f"--user-data-dir={self.profile.name}",
             "--remote-debugging-pipe", "about:blank"],
            pass_fds=(theirs_read, theirs_write), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        os.close(theirs_read)
        os.close(theirs_write)
        os.set_blocking(ours_read, False)
        self.answers, self.commands = ours_read, ours_write
        self.rest, self.asked, self.session = b"", 0, None
        try:
            target = self.ask("Target.createTarget", url="about:blank")["targetId"]
            self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height,
                     deviceScaleFactor=1, mobile=False)
            self.ask("Page.navigate", url=url)
        except BaseException:
            self.close()
            raise

    def ask(self, method, **params):
        self.asked += 1
        message = {"id": self.asked, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            for answer in self.heard():
                if answer.get("id") == self.asked:
                    assert "error" not in answer, answer
                    return answer["result"]
            assert self.process.poll() is None, f"the browser ended with {self.process.returncode}"
            time.sleep(0.01)
        raise AssertionError(f"the browser did not answer {method}")

    def heard(self):
        try:
            self.rest += os.read(self.answers, 1 << 20)
        except BlockingIOError:
            return []
        *whole, self.rest = self.rest.split(b"\0")
        return [json.loads(answer) for answer in whole]

    def run(self, script):
        """The value of a JavaScript expression."""
        answer = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def text(self):
        """What a person can read: without what is hidden."""
        return self.run("document.body === null ? '' : document.body.innerText")

    def screenshot(self, path):
        shot = self.ask("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(shot))

    def close(self):
        for end in (self.commands, self.answers):
            os.close(end)
        # It ends by itself when its pipe is closed; if it hangs, it is killed.
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.profile.cleanup()
