"""The page: from the press to the first sample heard, and how long its main thread is busy."""

from __future__ import annotations

import statistics
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

import voxswap_server.doors.http.page
from bench.chromium import browsing
from bench.lines import LINE
from bench.report import Report
from bench.servers import serving
from voxswap_families.embedded import import_embedded
from voxswap_families.vits.embedded import JOE
from voxswap_registry.store import Registry

_MOST_KB = 200


def run(report: Report, *, device: str, quick: bool = False) -> None:
    """Measure everything; about a minute and a half."""
    static = files(voxswap_server.doors.http.page) / "static"
    size = sum(len(file.read_bytes()) for file in static.iterdir())
    report.add("all files of the page", size / 1e3, "kB", _MOST_KB)
    with tempfile.TemporaryDirectory(prefix="voxswap-bench-") as name:
        folder = Path(name)
        import_embedded(Registry(folder / "registry"), voices=(JOE,), dtype="auto")
        registry, cache = folder / "registry", folder / "cache"
        with (
            serving(registry, cache_dir=cache, device=device, http_listen="127.0.0.1:0") as server,
            browsing() as browser,
        ):
            page = browser.new_page()
            page.goto(f"http://{server.http_address}/")
            page.locator("#voices [aria-selected=true]").wait_for()
            _measure(report, page, lines=4 if quick else 15)


def _measure(report: Report, page: Page, *, lines: int) -> None:
    """The first line is loaded for, and not counted."""
    found = [_spoken(page) for _ in range(lines + 1)][1:]
    for name, key in (("first bytes", "firstAudioMs"), ("first sample heard", "heardMs")):
        values = sorted(one[key] for one in found)
        report.add(f"{name} after the press, median", statistics.median(values), "ms")
        report.add(f"{name} after the press, longest", values[-1], "ms")
    report.add(
        "longest task of the main thread while a line plays, 0 for none over 50 ms",
        max(one["longestTaskMs"] for one in found),
        "ms",
    )


def _spoken(page: Page) -> dict[str, Any]:
    """What the page measures of one line that is pressed for, and heard to its end."""
    page.evaluate("() => { window.voxswap.longestTaskMs = 0; }")
    page.locator("#text").fill(LINE)
    page.locator("#play").click()
    page.locator("#status", has_text="Speaking").wait_for()
    page.locator("#status", has_text="Spoken to its end").wait_for()
    measured: dict[str, Any] = page.evaluate("() => window.voxswap")
    return measured
