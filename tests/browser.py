"""Chromium without a window, driven through the pipe of its DevTools protocol."""

import contextlib
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """One page of a headless Chromium."""

    def __init__(self, profile: Path) -> None:
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        options = f"--headless --no-sandbox --disable-gpu --remote-debugging-pipe --user-data-dir='{profile}'"
        self._process = subprocess.Popen(
            # A shell with numbers of two digits for files, which not every sh has
            ["bash", "-c", f"exec '{CHROMIUM}' {options} about:blank 3<&{commands} 4>&{answers}"],
            pass_fds=(commands, answers),
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self._numbers = itertools.count(1)
        self._received = b""
        self._session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def call(self, method: str, **params: Any) -> Any:
        """Return the result of a command of the protocol."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, url: str, width: int) -> None:
        """Open a page in a viewport of a width in pixels, and wait until it is complete, its fonts too."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.call("Page.navigate", url=url)
        self.run(
            "new Promise(done => document.readyState === 'complete' ? done() : addEventListener('load', done))"
            ".then(() => document.fonts.ready).then(() => true)"
        )

    def run(self, script: str) -> Any:
        """Return the value of a script; of a promise, that to which it resolves."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def close(self) -> None:
        """End the browser."""
        self._session = None
        with contextlib.suppress(BrokenPipeError):
            self.call("Browser.close")
        self._process.wait(timeout=20)
        os.close(self._commands)
        os.close(self._answers)

    def _read(self) -> Any:
        while b"\0" not in self._received:
            part = os.read(self._answers, 1 << 16)
            assert part, "Chromium has ended"
            self._received += part
        message, _, self._received = self._received.partition(b"\0")
        return json.loads(message)


def browsers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Yield a browser with a profile of its own and close it, for a fixture; skip where there is no Chromium."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    one = Browser(tmp_path_factory.mktemp("profile"))
    yield one
    one.close()
