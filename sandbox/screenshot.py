"""Takes the screenshot of the board that the README shows: `make screenshot`.

It runs the demo, opens its board in Chromium, and writes docs/board.png.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from notifier.resources import ROOT

CHROMIUM = Path("/usr/bin/chromium")
SCREENSHOT = ROOT / "docs" / "board.png"
WIDTH = 1280


def main() -> int:
    demo = subprocess.Popen(
        [sys.executable, "-m", "sandbox.demo", "--keep"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with demo:
        try:
            url = _board_url(demo)
            if url is None:
                return demo.wait() or 1
            _take(url)
        finally:
            demo.terminate()
            if demo.stdout is not None:
                demo.stdout.read()  # waits until it has ended
    print(f"{SCREENSHOT.relative_to(ROOT)}: {SCREENSHOT.stat().st_size // 1024} KiB")
    return 0


def _board_url(demo: subprocess.Popen[str]) -> str | None:
    """The address that the demo prints once everything is sent; None: it failed."""
    assert demo.stdout is not None
    for line in demo.stdout:
        print(line, end="", flush=True)
        if found := re.search(r"http://\S+/board", line):
            return found[0]
    return None


def _take(url: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        page = browser.new_page(
            viewport={"width": WIDTH, "height": 720},
            color_scheme="light",
            device_scale_factor=1,
        )
        page.goto(f"{url}?lang=en")
        page.screenshot(path=SCREENSHOT, full_page=True)
        browser.close()


if __name__ == "__main__":
    raise SystemExit(main())
