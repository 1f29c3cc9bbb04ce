"""Pages in headless Chromium, with an eye on everything that no page of ours may do."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page

from bench.chromium import CHROMIUM, browsing

# What was lit, which shapes the mouth had, and what the page tried that its policy forbids.
_RECORDER = """
window.recorded = {lit: [], shapes: [], forbidden: []};
document.addEventListener("securitypolicyviolation", (event) => {
  window.recorded.forbidden.push(`${event.violatedDirective}: ${event.blockedURI}`);
});
new MutationObserver((changes) => {
  for (const {target, attributeName} of changes) {
    if (attributeName === "data-state" && target.dataset.state === "now") {
      window.recorded.lit.push(target.textContent);
    }
    if (attributeName === "data-viseme") window.recorded.shapes.push(target.dataset.viseme);
  }
}).observe(document, {subtree: true, attributeFilter: ["data-state", "data-viseme"]});
"""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser. Skips where there is none, but never in CI."""
    if not os.access(CHROMIUM, os.X_OK) and not os.environ.get("VOXSWAP_CI"):
        pytest.skip("needs Chromium (apt-get install chromium)")
    with browsing() as browser:
        yield browser


@dataclass
class Visit:
    """One page, and what it did beside what it was asked for."""

    page: Page
    address: str
    errors: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def open(self, path: str = "/") -> Page:
        self.page.goto(f"http://{self.address}{path}")
        return self.page

    def recorded(self, name: str) -> list[str]:
        found: list[str] = self.page.evaluate(f"() => window.recorded.{name}")
        return found

    def measured(self) -> dict[str, Any]:
        found: dict[str, Any] = self.page.evaluate("() => window.voxswap")
        return found

    def hear(self, told: ConsoleMessage) -> None:
        """A browser calls it an error too when a server refuses what somebody asked for."""
        is_refusal = "the server responded with a status of 4" in told.text
        if told.type == "error" and not is_refusal:
            self.errors.append(told.text)

    def check(self) -> None:
        """Nothing came from elsewhere, nothing was forbidden, nothing failed."""
        assert self.elsewhere == []
        assert self.recorded("forbidden") == []
        assert self.errors == []


@contextlib.contextmanager
def visit(browser: Browser, address: str, **how: Any) -> Iterator[Visit]:
    """A page of its own; ``how`` is what `Browser.new_context` takes."""
    context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **how})
    try:
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.add_init_script(_RECORDER)
        found = Visit(page, address)

        def note(url: str) -> None:
            if urlsplit(url).scheme not in {"blob", "data"} and urlsplit(url).netloc != address:
                found.elsewhere.append(url)

        page.on("request", lambda request: note(request.url))
        page.on("websocket", lambda socket: note(socket.url))
        page.on("pageerror", lambda error: found.errors.append(str(error)))
        page.on("console", found.hear)
        yield found
        found.check()
    finally:
        context.close()


def write(page: Page, text: str) -> None:
    """A line, once there is a voice that may speak it."""
    page.locator("#voices [role=option][aria-selected=true]").wait_for()
    page.locator("#text").fill(text)


def spoken(page: Page) -> None:
    """Wait for the end of what is spoken."""
    page.get_by_text("Spoken to its end.").wait_for()
