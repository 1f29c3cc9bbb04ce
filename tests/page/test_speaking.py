"""Lines are written, heard, looked at and interrupted in a real browser."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, expect

from tests.page.browsers import Visit, spoken, visit, write

LINE = "Nobody may pass."
WORDS = ["Nobody", "may", "pass"]
LONG = "The bridge is closed, and nobody may pass before the morning. " * 8
_SHAPES = frozenset(
    ["sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "ih", "oh", "ou"]
)


def test_enter_plays_a_line(visitor: Visit) -> None:
    page = visitor.open()
    write(page, LINE)
    page.locator("#text").press("Enter")
    spoken(page)
    measured = visitor.measured()
    # A second, decoded and played, and neither silent nor clipped.
    assert 10_000 < measured["played"]["samples"] < 40_000
    assert 0.01 < measured["played"]["rms"] < measured["played"]["peak"] < 1
    assert visitor.recorded("lit") == WORDS
    shapes = visitor.recorded("shapes")
    assert len(shapes) > 3
    assert set(shapes) <= _SHAPES
    assert shapes[-1] == "sil"
    expect(page.locator("#mouth")).to_have_attribute("data-viseme", "sil")
    assert 0 < measured["firstAudioMs"] < measured["heardMs"]
    facts = page.locator("#facts").inner_text()
    assert re.search(r"First audio\s+[\d.]+ m?s\s+Heard\s+[\d.]+ m?s\s+Voice\s+(warm|cold)", facts)
    assert re.search(r"Length\s+\d\.\d\d s\s+Speed\s+[\d.]+ ×\s+Seed\s+\d+", facts)


def test_a_line_is_drawn_as_it_comes(visitor: Visit) -> None:
    page = visitor.open()
    write(page, LONG)
    page.locator("#play").click()
    page.locator(".word[data-state=now]").wait_for()
    expect(page.locator("#playhead")).to_be_visible()
    ink = """(canvas) => {
      const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const colours = new Set();
      for (const pixel of new Uint32Array(data.buffer)) colours.add(pixel);
      return colours.size;
    }"""
    expect(page.locator("#words .word[data-state=said]").nth(2)).to_be_visible()
    assert page.locator("#waveform").evaluate(ink) > 2
    assert page.locator("#spectrogram").evaluate(ink) > 50
    # The main thread was free: what takes long is done by the worker and the thread of audio.
    assert visitor.measured()["longestTaskMs"] < 1_000
    page.locator("#text").press("Escape")


def test_shift_and_enter_is_a_new_line(visitor: Visit) -> None:
    page = visitor.open()
    write(page, "One.")
    page.locator("#text").press("End")
    page.locator("#text").press("Shift+Enter")
    page.locator("#text").type("Two.")
    expect(page.locator("#text")).to_have_value("One.\nTwo.")
    assert visitor.recorded("lit") == []


def test_an_interruption_has_a_receipt(visitor: Visit) -> None:
    page = visitor.open()
    write(page, LONG)
    page.locator("#text").press("Enter")
    expect(page.locator("#words .word[data-state=said]").nth(1)).to_be_visible()
    page.locator("#text").press("Escape")
    receipt = page.locator("#receipt")
    expect(receipt).to_contain_text("the server’s receipt")
    expect(page.get_by_role("status").filter(has_text="Interrupted.")).to_be_visible()
    told = re.search(r"Heard\s+([\d.]+) s, up to “(\w+)”\s+Sent\s+([\d.]+) s", receipt.inner_text())
    assert told is not None
    heard, word, sent = told.groups()
    assert 0 < float(heard) < float(sent)
    assert word in LONG
    expect(page.locator("#stop")).to_be_disabled()
    # What was not heard is not lit.
    said = page.locator(".word[data-state=said]").all_inner_texts()
    assert said[-1] == word
    expect(page.locator(".word[data-state=now]")).to_have_count(0)


def test_a_new_line_takes_the_place_of_the_one_before(visitor: Visit) -> None:
    page = visitor.open()
    write(page, LONG)
    page.locator("#text").press("Enter")
    page.locator(".word[data-state=now]").wait_for()
    write(page, LINE)
    page.locator("#text").press("Enter")
    spoken(page)
    expect(page.locator("#words")).to_have_text(LINE)
    expect(page.locator("#receipt")).to_be_hidden()


def test_errors_name_their_field(visitor: Visit) -> None:
    page = visitor.open()
    write(page, LINE)
    page.locator("#seed").fill("twelve")
    page.locator("#seed").press("Enter")
    expect(page.get_by_role("alert").filter(has_text="seed")).to_contain_text("INVALID_INPUT")
    expect(page.locator("#seed")).to_have_attribute("aria-invalid", "true")
    page.locator("#seed").fill("12")
    page.locator("#text").fill("x" * 10_001)
    page.locator("#text").press("Enter")
    expect(page.locator("#trouble")).to_contain_text("text has 10001 characters; 10000 at most")
    expect(page.locator("#text")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#seed")).not_to_have_attribute("aria-invalid", "true")
    page.locator("#text").fill(" ")
    page.locator("#text").press("Enter")
    expect(page.locator("#trouble")).to_contain_text("NOTHING_TO_SPEAK")


def test_controls_are_those_of_the_voice(visitor: Visit) -> None:
    page = visitor.open()
    write(page, LINE)
    names = page.locator("#controls input").evaluate_all("(all) => all.map((one) => one.id)")
    assert names == [
        *("control-emotion_strength", "control-rate"),
        *("control-noise_scale", "control-duration_noise_scale", "control-pitch_semitones"),
        *("control-pitch_range", "control-volume_db", "control-pause_scale"),
    ]
    rate = page.get_by_label("Rate", exact=True)
    rate.press("Home")
    expect(rate).to_have_attribute("aria-valuetext", "0.25 ×")
    rate.press("End")
    expect(rate).to_have_attribute("aria-valuetext", "4 ×")
    expect(page.locator("#code")).to_contain_text('"controls":{"rate":4}')
    page.locator("#text").press("Enter")
    spoken(page)
    assert visitor.measured()["played"]["samples"] < 12_000
    page.get_by_label("Leave rate to the voice").click()
    expect(page.locator("#code")).not_to_contain_text("controls")


def test_a_voice_of_tomorrow_has_what_it_lists(visitor: Visit) -> None:
    voice = {
        "id": "tomorrow",
        "version": 1,
        "versions": [1],
        "problem": "",
        "speakers": ["anna", "bert"],
        "emotions": ["angry", "sad"],
        "style_prompts": True,
        "controls": [{"name": "pitch_semitones", "least": -12, "most": 12, "neutral": 0}],
    }
    answer = {"voices": [voice], "next_page_token": ""}
    visitor.page.route("**/v1/voices?*", lambda route: route.fulfill(json=answer))
    page = visitor.open()
    write(page, LINE)
    page.get_by_label("Speaker").select_option("bert")
    page.get_by_label("Emotion", exact=True).select_option("sad")
    page.get_by_label("Style in words").fill("whispering")
    page.get_by_label("Pitch", exact=True).press("End")
    expect(page.get_by_label("Pitch", exact=True)).to_have_attribute("aria-valuetext", "12 st")
    code = page.locator("#code")
    expect(code).to_contain_text('"speaker":"bert"')
    expect(code).to_contain_text('"controls":{"pitch_semitones":12}')
    expect(code).to_contain_text(
        '"emotion":{"mixture":[{"emotion":"sad","weight":1}],"intensity":1}'
    )
    expect(code).to_contain_text('"style_prompt":"whispering"')
    page.get_by_label("Emotion", exact=True).select_option("auto")
    expect(code).to_contain_text('"emotion":{"from_text":true,"intensity":1}')


def test_prosody_speaks_what_a_voice_does_not_list(visitor: Visit) -> None:
    page = visitor.open()
    write(page, "Yes.")
    page.get_by_label("Emotion", exact=True).select_option("sad")
    expect(page.locator("#code")).to_contain_text('"fallback":"prosody"')
    page.locator("#text").press("Enter")
    spoken(page)
    expect(page.locator("#facts")).to_contain_text("sad 1 (PROSODY)")


def test_a_seed_is_kept(visitor: Visit) -> None:
    page = visitor.open()
    write(page, "Yes.")
    page.locator("#text").press("Enter")
    spoken(page)
    page.get_by_role("button", name="Keep").click()
    seed = page.locator("#seed").input_value()
    assert seed.isdecimal()
    expect(page.locator("#facts")).to_contain_text(seed)
    expect(page.locator("#code")).to_contain_text(f'"seed":"{seed}"')


def test_two_versions_speak_the_same_line(visitor: Visit) -> None:
    asked: list[str] = []
    visitor.page.on(
        "websocket",
        lambda socket: socket.on("framesent", lambda data: asked.append(str(data))),
    )
    page = visitor.open()
    write(page, "Yes.")
    expect(page.locator("#voices [aria-selected=true]")).to_contain_text("Guard")
    for name in "AB":
        page.get_by_role("button", name=f"Play {name}", exact=True).click()
        side = page.locator(".side", has=page.locator(f"#play-{name}"))
        expect(side.get_by_role("status")).to_contain_text(" s")
        expect(side.get_by_role("status")).to_contain_text(",")
    starts = [frame for frame in asked if '"start"' in frame]
    versions = [re.search(r'"voice":"(npc/guard@\d)"', frame) for frame in starts]
    assert [found and found[1] for found in versions] == ["npc/guard@1", "npc/guard@2"]
    seeds = {found[1] for frame in starts if (found := re.search(r'"seed":"(\d+)"', frame))}
    assert len(seeds) == 1


def test_a_line_to_try_is_in_the_language_of_the_voice(visitor: Visit) -> None:
    page = visitor.page
    usual = {"version": 1, "versions": [1], "problem": "", "engine": "kokoro"}
    voices = [
        {**usual, "id": "kokoro/af_heart", "language": "en-US", "display_name": "Heart"},
        {**usual, "id": "kokoro/jm_kumo", "language": "ja", "display_name": "Kumo"},
        {**usual, "id": "kokoro/zf_xiaoxiao", "language": "zh-CN", "display_name": "Xiaoxiao"},
    ]
    answer = {"voices": voices, "next_page_token": ""}
    page.route("**/v1/voices*", lambda route: route.fulfill(json=answer))
    visitor.open()
    text, options = page.locator("#text"), page.locator("#voices [role=option]")
    expect(options.nth(2)).to_contain_text("Xiaoxiao")
    expect(options.nth(2)).to_contain_text("zh-CN")
    expect(text).to_have_value(re.compile("^The bridge is closed"))
    options.nth(2).click()
    expect(text).to_have_value(re.compile("^天黑以后"))
    options.nth(1).click()
    expect(text).to_have_value(re.compile("^天黑以后"))
    options.nth(0).click()
    expect(text).to_have_value(re.compile("^The bridge is closed"))
    write(page, LINE)
    options.nth(2).click()
    expect(text).to_have_value(LINE)


def test_names_are_text_and_no_markup(visitor: Visit) -> None:
    name = "<img src=x onerror=alert(1)>"
    voice = {"id": "a", "version": 1, "versions": [1], "problem": "", "display_name": name}
    broken = {"id": "b", "version": 1, "versions": [1], "problem": name}
    answer = {"voices": [voice, broken], "next_page_token": ""}
    visitor.page.route("**/v1/voices?*", lambda route: route.fulfill(json=answer))
    page = visitor.open()
    write(page, name)
    options = page.locator("#voices [role=option]")
    expect(options.first).to_contain_text(name)
    expect(options.nth(1)).to_contain_text(name)
    expect(options.nth(1)).to_have_attribute("aria-disabled", "true")
    page.locator("#text").press("Enter")
    expect(page.locator("#trouble")).to_contain_text("NOT_FOUND")
    expect(page.locator("#words")).to_have_text(name)
    expect(page.locator("main img")).to_have_count(0)


def test_search_finds_voices(visitor: Visit) -> None:
    page = visitor.open()
    options = page.locator("#voices [role=option]")
    expect(options).to_have_count(3)
    page.locator("#search").fill("smith")
    expect(options).to_have_count(1)
    expect(page.locator("#voices [aria-selected=true]")).to_contain_text("npc/smith")
    page.locator("#search").fill("nobody")
    expect(page.locator("#voices-note")).to_have_text("No voice is called that.")


def test_a_page_of_an_address_that_is_not_secure_speaks_too(browser: Browser, address: str) -> None:
    with visit(browser, address) as found:
        found.page.add_init_script("delete BaseAudioContext.prototype.audioWorklet")
        page = found.open()
        write(page, LINE)
        page.locator("#text").press("Enter")
        spoken(page)
        # On a busy machine a word may be over before the page is drawn again.
        lit = found.recorded("lit")
        assert lit == [word for word in WORDS if word in lit] != []
        assert found.measured()["played"]["rms"] > 0.01
        write(page, LONG)
        page.locator("#text").press("Enter")
        expect(page.locator("#words .word[data-state=said]").nth(1)).to_be_visible()
        page.locator("#stop").click()
        expect(page.locator("#receipt")).to_be_visible()


def test_a_line_that_loses_its_server_says_so(visitor: Visit) -> None:
    page = visitor.page
    page.route_web_socket("**/v1/converse", lambda socket: socket.close(code=1012))
    visitor.open()
    write(page, LINE)
    page.locator("#text").press("Enter")
    expect(page.get_by_role("alert").filter(has_text="UNREACHABLE")).to_be_visible()
    expect(page.locator("#stop")).to_be_disabled()
