"""The page of the API shows what the document says, and what it cannot: the WebSocket."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.page.browsers import Visit


def test_every_path_is_shown_with_its_fields(visitor: Visit) -> None:
    page = visitor.open("/docs")
    page.locator(".operation").first.wait_for()
    document = page.request.get(f"http://{visitor.address}/openapi.json").json()
    told = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    sections = page.locator(".operation:has(.method)")
    assert sections.count() == len(told) + 1  # the WebSocket
    for method, path, operation in told:
        section = page.locator(f"#{operation['operationId']}")
        expect(section.locator("h3")).to_have_text(f"{method}{path}")
        expect(section).to_contain_text(operation["summary"])
    speech = page.locator("#post_v1_speech")
    for field in ("voice", "audio.sample_rate_hertz", "controls.rate", "line_class"):
        expect(speech.locator("dt", has_text=field).first).to_be_visible()
    expect(speech).to_contain_text("bark | dialogue | cinematic")
    expect(page.locator("#sockets")).to_contain_text("/v1/converse")
    expect(page.locator("#errors")).to_contain_text("429")
    page.locator("#contents").get_by_role("link", name="/v1/prepare").click()
    expect(page.locator("#post_v1_prepare")).to_be_in_viewport()


def test_a_document_that_does_not_come_is_told(visitor: Visit) -> None:
    visitor.page.route("**/openapi.json", lambda route: route.abort())
    page = visitor.page
    page.goto(f"http://{visitor.address}/docs")
    expect(page.locator("#docs-note")).to_contain_text("cannot be reached")
    assert any("ERR_FAILED" in error for error in visitor.errors)
    visitor.errors.clear()
