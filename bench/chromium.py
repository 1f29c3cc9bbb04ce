"""Headless Chromium as Debian has it, driven by Playwright, for whoever looks at the page."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

from playwright.sync_api import Browser, sync_playwright

#: `apt-get install chromium` puts it there.
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
_FLAGS = ("--no-sandbox", "--autoplay-policy=no-user-gesture-required")


@contextlib.contextmanager
def browsing() -> Iterator[Browser]:
    """A browser. As long as it is there, no event loop may run in this thread."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()
