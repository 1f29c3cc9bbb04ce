"""For everybody: keys alone, readers of screens, narrow and dark screens, less motion."""

from __future__ import annotations

import json
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.page.browsers import Visit, spoken, visit, write

_PLACES = ("/", "/#scene", "/#memory", "/docs")


def ready(page: Page, path: str) -> None:
    """Wait for what the server tells of that place."""
    there = {
        "/": "#voices [aria-selected=true]",
        "/#scene": ".scene-line",
        "/#memory": "#budget .bar",
        "/docs": ".operation",
    }
    page.locator(there[path]).first.wait_for()


def serious(page: Page) -> list[str]:
    """What axe finds, beyond the minor."""
    found: dict[str, Any] = Axe().run(page).response
    assert found["passes"]
    return [
        f"{fault['id']}: {json.dumps([node['html'][:120] for node in fault['nodes']])}"
        for fault in found["violations"]
        if fault["impact"] in {"moderate", "serious", "critical"}
    ]


def everything(page: Page, path: str) -> None:
    """All on the page that may be there: words, facts, an error, a receipt, a row of the table."""
    if path == "/":
        write(page, "The bridge is closed, and nobody may pass before the morning. " * 5)
        page.locator("#text").press("Enter")
        page.locator(".word[data-state=now]").wait_for()
        page.keyboard.press("Escape")
        page.locator("#receipt").wait_for()
        page.locator("#text").fill(" ")
        page.locator("#download").click()
        page.locator("#trouble li").wait_for()
    elif path == "/#memory":
        page.locator("#memory-voice").fill("npc/guard")
        page.get_by_role("button", name="Load", exact=True).click()
        page.locator("#residents tr").first.wait_for()


@pytest.mark.parametrize("path", _PLACES)
def test_axe_finds_nothing_by_day_or_by_night_nor_is_320_pixels_too_narrow(
    visitor: Visit, path: str
) -> None:
    page = visitor.open(path)
    ready(page, path)
    everything(page, path)
    shades = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        assert serious(page) == []
        ground = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        shades[scheme] = sum(int(part) for part in ground[4:-1].split(","))
    assert shades["light"] > 600
    assert shades["dark"] < 100
    page.set_viewport_size({"width": 320, "height": 640})
    wide = page.evaluate("() => document.documentElement.scrollWidth")
    beyond = page.locator("main :visible").evaluate_all(
        "(all) => all.filter((one) => one.getBoundingClientRect().right > 321)"
        ".map((one) => one.id || one.className)"
    )
    assert (wide, beyond) == (320, [])


def test_less_motion_moves_the_mouth_without_easing(browser: Browser, address: str) -> None:
    with visit(browser, address, reduced_motion="reduce") as found:
        page = found.open()
        write(page, "Nobody may pass.")
        page.locator("#text").press("Enter")
        spoken(page)
        assert len(set(found.recorded("shapes"))) > 2
        still = page.locator("#play").evaluate("(one) => getComputedStyle(one).transitionDuration")
        assert still == "0s"


def focused(page: Page) -> str:
    """What has the focus; empty once it has left the page."""
    found: str = page.evaluate(
        "() => document.activeElement === document.body ? ''"
        ": document.activeElement.id || document.activeElement.textContent.slice(0, 20)"
    )
    return found


def test_keys_alone_do_everything(visitor: Visit) -> None:
    page = visitor.open()
    ready(page, "/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Tab")
    assert focused(page) == "tab-speak"
    # Arrows move between tabs, and around.
    for key, name in (("ArrowRight", "scene"), ("End", "memory"), ("ArrowRight", "speak")):
        page.keyboard.press(key)
        assert focused(page) == f"tab-{name}"
        expect(page.locator(f"#panel-{name}")).to_be_visible()
        expect(page.locator("[role=tabpanel]:visible")).to_have_count(1)
    page.keyboard.press("Tab")  # the address of the API
    page.keyboard.press("Tab")
    assert focused(page) == "search"
    page.keyboard.press("ArrowDown")
    assert focused(page) == "voices"
    page.keyboard.press("ArrowDown")
    chosen = page.locator("#voices [aria-selected=true]")
    expect(chosen).to_contain_text("Merchant")
    active = page.locator("#voices").get_attribute("aria-activedescendant")
    assert chosen.get_attribute("id") == active
    page.keyboard.press("Enter")
    assert focused(page) == "text"
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("Nobody may pass.")
    page.keyboard.press("Enter")
    spoken(page)
    assert visitor.recorded("lit") == ["Nobody", "may", "pass"]
    # Everything that can be used is reached, and is seen to be.
    seen = []
    while (name := focused(page)) and name not in seen:
        seen.append(name)
        shown = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
        assert shown != "none", name
        page.keyboard.press("Tab")
    reached = ["play", "control-rate", "seed", "keep-seed", "format", "download", "copy"]
    assert [name for name in reached if name not in seen] == []


def test_readers_of_screens_hear_what_happens(visitor: Visit) -> None:
    page = visitor.open()
    write(page, "Yes.")
    page.get_by_role("button", name="Play").first.click()
    spoken(page)
    live = page.locator("#status")
    expect(live).to_have_role("status")
    expect(page.get_by_role("listbox", name="Voice")).to_be_visible()
    expect(page.get_by_role("textbox", name="Line")).to_be_visible()
    expect(page.get_by_role("slider", name="Rate")).to_be_visible()
    expect(page.get_by_role("img", name="Waveform of the line")).to_be_visible()
    expect(page.get_by_role("tab", name="Speak")).to_have_attribute("aria-selected", "true")
    assert page.locator("#mouth").get_attribute("aria-hidden") == "true"
