"""Scenes: their voices are prepared, their lines are heard in order."""

from __future__ import annotations

import json
import re

from playwright.sync_api import Page, WebSocketRoute, expect

from tests.e2e.servers import ServerThread
from tests.page.browsers import Visit


def lines(page: Page, *texts: str) -> None:
    """As many lines as there are texts; the last ones are removed."""
    page.locator(".scene-line").first.wait_for()
    while page.locator(".scene-line").count() > len(texts):
        page.get_by_role("button", name="Remove").last.click()
    for row, text in zip(page.locator(".scene-line").all(), texts, strict=True):
        row.get_by_label("Line").fill(text)


def test_a_scene_is_prepared_and_played_in_order(visitor: Visit, page_server: ServerThread) -> None:
    sent: list[str] = []
    visitor.page.on(
        "websocket",
        lambda socket: socket.on("framesent", lambda data: sent.append(str(data))),
    )
    visitor.page.on(
        "request",
        lambda asked: sent.append(asked.post_data or "") if "prepare" in asked.url else None,
    )
    visitor.page.add_init_script(
        """window.states = [];
        new MutationObserver((all) => {
          for (const {target} of all) {
            const place = [...document.querySelectorAll(".scene-line")].indexOf(target);
            if (place >= 0) window.states.push([place, target.dataset.state]);
          }
        }).observe(document, {subtree: true, attributeFilter: ["data-state"]});"""
    )
    page = visitor.open("/#scene")
    lines(page, "Halt!", "Only me.", "Go.")
    page.locator(".scene-line").nth(1).get_by_label("Class").select_option("cinematic")
    page.get_by_role("button", name="Play the scene").click()
    expect(page.locator("#scene-status")).to_have_text("The scene is over.")
    heard = [place for place, state in page.evaluate("() => states") if state == "speaking"]
    done = [place for place, state in page.evaluate("() => states") if state == "done"]
    assert heard == done == [0, 1, 2]
    frames = [json.loads(frame) for frame in sent]
    cast = frames[0]["cast"]
    assert [member["voice"] for member in cast] == ["npc/guard", "npc/merchant", "npc/guard"]
    assert cast[0]["first_line_ms"] == 0 < cast[1]["first_line_ms"] < cast[2]["first_line_ms"]
    starts = [frame for frame in frames if frame.get("type") == "start"]
    classes = [frame["line_class"] for frame in starts]
    assert classes == ["bark", "cinematic", "dialogue"]
    assert [frame.get("start_by_ms") for frame in starts] == [2000, None, None]
    told = page.locator(".scene-line .told").all_inner_texts()
    assert re.search(r"bark\s+(warm|cold).*first audio \d[\d.]* ms.*due 2000 ms", told[0])
    assert re.search(r"cinematic\s+(warm|cold).*first audio \d[\d.]* ms", told[1])
    assert page_server.on_loop(lambda: len(page_server.house.manager.residents())) >= 2


def test_a_line_that_cannot_be_spoken_is_passed_over(visitor: Visit) -> None:
    page = visitor.open("/#scene")
    lines(page, "One.", "Two.", "Three.")
    rows = page.locator(".scene-line")
    rows.nth(1).get_by_label("Start by").fill("0")
    page.get_by_role("button", name="Play the scene").click()
    expect(page.locator("#scene-status")).to_have_text("The scene is over.")
    states = rows.evaluate_all("(all) => all.map((row) => row.dataset.state)")
    assert states == ["done", "failed", "done"]
    expect(rows.nth(1).locator(".told")).to_contain_text("INVALID_INPUT start_by_ms")


def test_a_line_that_finds_no_room_is_asked_for_again(visitor: Visit) -> None:
    asked: list[str] = []

    def refusing(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def pass_on(frame: str | bytes) -> None:
            said = json.loads(frame)
            if said["type"] == "start":
                asked.append(said["text"])
            if asked.count("Two.") != 1:
                server.send(frame)
            elif said["type"] == "start":
                error = {"reason": "OVERLOADED", "message": "busy", "violations": []}
                told = {"type": "error", "conversation": said["conversation"]}
                socket.send(json.dumps({**told, "error": {**error, "retry_after_ms": 20}}))

        socket.on_message(pass_on)

    visitor.page.route_web_socket("**/v1/converse", refusing)
    page = visitor.open("/#scene")
    lines(page, "One.", "Two.")
    page.get_by_role("button", name="Play the scene").click()
    expect(page.locator("#scene-status")).to_have_text("The scene is over.")
    assert asked == ["One.", "Two.", "Two."]
    expect(page.locator(".scene-line[data-state=done]")).to_have_count(2)


def test_a_cast_that_is_not_there_is_told(visitor: Visit) -> None:
    page = visitor.open("/#scene")
    lines(page, "One.")
    page.locator(".scene-line").get_by_label("Voice").fill("npc/nobody")
    page.get_by_role("button", name="Play the scene").click()
    expect(page.locator("#scene-trouble")).to_contain_text("npc/nobody")
    expect(page.get_by_role("button", name="Play the scene")).to_be_enabled()


def test_a_scene_is_interrupted(visitor: Visit) -> None:
    page = visitor.open("/#scene")
    lines(page, "The bridge is closed, and nobody may pass before the morning.", "Two.")
    page.get_by_role("button", name="Play the scene").click()
    page.locator(".scene-line[data-state=speaking]").wait_for()
    page.keyboard.press("Escape")
    expect(page.locator("#scene-stop")).to_be_disabled()
    expect(page.locator(".scene-line").first).to_contain_text("interrupted")
    expect(page.locator(".scene-line").nth(1)).to_have_attribute("data-state", "idle")


def test_lines_are_added_moved_and_removed_by_keys(visitor: Visit) -> None:
    page = visitor.open("/#scene")
    lines(page, "One.", "Two.")
    page.get_by_role("button", name="Add a line").press("Enter")
    page.keyboard.type("Three.")
    page.get_by_role("button", name="Move up").last.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    texts = page.get_by_label("Line").evaluate_all("(all) => all.map((one) => one.value)")
    typed = [text for text in texts if text in {"One.", "Two.", "Three."}]
    assert typed == ["Three.", "One.", "Two."]
    page.locator(".scene-line").first.get_by_role("button", name="Remove").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".scene-line")).to_have_count(2)
    # The focus is where one may go on.
    expect(page.locator(".scene-line").first.get_by_role("button", name="Remove")).to_be_focused()
