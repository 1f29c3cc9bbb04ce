"""The memory tab: what is there, what happens, and how operators steer it."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.page.browsers import Visit


def steer(page: Page, what: str, voice: str) -> None:
    page.locator("#memory-voice").fill(voice)
    page.locator("#memory-form").get_by_role("button", name=what, exact=True).click()


def test_loads_pins_and_evictions_are_seen(visitor: Visit) -> None:
    page = visitor.open("/#memory")
    events, residents = page.locator("#events"), page.locator("#residents tr")
    steer(page, "Load", "npc/smith")
    row = residents.filter(has_text="npc/smith@1")
    expect(row).to_contain_text("resident")
    expect(events.locator("[data-kind=loaded]").first).to_contain_text("npc/smith@1")
    expect(page.locator("#memory-status")).to_have_text("load npc/smith: done.")
    row.get_by_role("button", name="Pin npc/smith@1").click()
    expect(row).to_contain_text("pinned")
    expect(row.get_by_role("button", name="Unpin npc/smith@1")).to_be_visible()
    # What is pinned is not evicted, and the server says so.
    row.get_by_role("button", name="Unload npc/smith@1").click()
    expect(page.locator("#memory-trouble")).to_contain_text("pinned")
    row.get_by_role("button", name="Unpin npc/smith@1").click()
    expect(page.locator("#memory-trouble")).to_be_empty()
    row.get_by_role("button", name="Unload npc/smith@1").click()
    expect(events.locator("[data-kind=evicted]").first).to_contain_text("for unload")
    expect(row).to_have_count(0)
    # Whoever comes later sees what happened before.
    page.reload()
    expect(events.locator("[data-kind=evicted]").first).to_contain_text("npc/smith@1")


def test_who_speaks_is_leased(visitor: Visit) -> None:
    page = visitor.open()
    page.locator("#voices [aria-selected=true]").wait_for()
    page.locator("#text").fill("The bridge is closed, and nobody may pass. " * 10)
    page.locator("#text").press("Enter")
    page.locator(".word[data-state=now]").wait_for()
    page.get_by_role("tab", name="Memory").click()
    row = page.locator("#residents tr").filter(has_text="npc/guard@2")
    expect(row).to_contain_text("1 speaking")
    page.keyboard.press("Escape")
    expect(row).not_to_contain_text("speaking")
    page.get_by_role("tab", name="Speak").click()
    expect(page.locator("#voices .warm").first).to_contain_text("Guard")
    expect(page.locator("#meter")).to_contain_text("in memory")


def test_the_budget_is_told_in_words_and_as_a_bar(visitor: Visit) -> None:
    page = visitor.open("/#memory")
    bar = page.locator("#budget .bar")
    told = bar.get_attribute("aria-label") or ""
    names = [part.strip().split(" ")[0] for part in told.split(",")]
    assert names == ["Voices", "Loading", "Workspace", "Streams", "Evicting", "Free"]
    expect(page.locator("#budget h3")).to_have_text("2.00 GiB on cpu")
    whole, parts = bar.evaluate(
        """(bar) => {
          const widths = [...bar.children].map((part) => part.getBoundingClientRect().width);
          return [bar.clientWidth, widths.reduce((sum, width) => sum + width, 0)];
        }"""
    )
    assert abs(whole - parts) < 2


def test_what_is_drawn_anew_takes_no_button_away(visitor: Visit) -> None:
    page = visitor.open("/#memory")
    steer(page, "Load", "npc/merchant")
    steer(page, "Load", "npc/smith")
    rows = page.locator("#residents tr")
    expect(rows.first).to_contain_text("npc/smith@1")  # the most recently used
    button = page.get_by_role("button", name="Unload npc/smith@1")
    button.evaluate("(one) => { window.before = one; one.focus(); }")
    for change in ("unload", "load"):  # takes its row up, and down again
        page.evaluate(
            """async (what) => {
                const { tell } = await import("/page/api.js");
                await tell(`/v1/${what}`, { voice: "npc/merchant" });
            }""",
            change,
        )
        expect(rows.filter(has_text="npc/merchant@1")).to_have_count(int(change == "load"))
        expect(button).to_be_focused()
        assert button.evaluate("(one) => one === window.before")
    expect(rows.first).to_contain_text("npc/merchant@1")


def test_explain_says_why(visitor: Visit) -> None:
    page = visitor.open("/#memory")
    steer(page, "Explain", "npc/merchant")
    explanation = page.locator("#explanation")
    expect(explanation).to_contain_text("npc/merchant@1")
    expect(explanation).to_contain_text("Would evict")
    page.locator("#memory-voice").fill("npc//merchant")
    page.locator("#memory-voice").press("Enter")
    expect(page.locator("#memory-trouble")).to_contain_text("voice")
    expect(page.locator("#memory-voice")).to_have_attribute("aria-invalid", "true")
    expect(explanation).to_be_empty()
