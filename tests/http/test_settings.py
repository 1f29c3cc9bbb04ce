"""What operators may say of the HTTP door: on or off, and who may use it."""

from __future__ import annotations

import socket

import pytest

from tests.e2e.servers import serving
from tests.http.web import web_of
from voxswap_registry.store import Registry
from voxswap_server.app import http_door
from voxswap_server.app.config import SettingsError

STUDIO = "https://studio.example"


@pytest.fixture
def empty(tmp_path: object) -> str:
    registry = Registry(tmp_path / "registry")  # type: ignore[operator]
    return registry.objects.name


def test_it_is_off_by_one_setting(empty: str) -> None:
    with serving(empty, http_listen="off") as thread:
        assert thread.server.http_address is None


def test_without_its_libraries_a_server_starts_and_says_nothing(
    empty: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(http_door, "find_spec", lambda name: None)
    with serving(empty) as thread:
        assert thread.server.http_address is None
    assert not [record for record in caplog.records if record.levelname in {"WARNING", "ERROR"}]


def test_a_port_that_is_taken_is_told_with_its_setting(empty: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(SettingsError, match=f"http_listen: {address} cannot be had"):
            with serving(empty, http_listen=address):
                pass


def test_pages_of_an_origin_that_is_named_may_ask_and_read(empty: str) -> None:
    with serving(empty, http_origins=STUDIO) as thread:
        web = web_of(thread)
        preflight = web.ask(
            "OPTIONS",
            "/v1/speech",
            headers={
                "Origin": STUDIO,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "content-type",
            },
        )
        assert preflight.status == 204
        assert preflight.headers["access-control-allow-origin"] == STUDIO
        assert "POST" in preflight.headers["access-control-allow-methods"]
        assert "content-type" in preflight.headers["access-control-allow-headers"]
        answer = web.get("/v1/voices", Origin=STUDIO)
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, STUDIO)
        assert answer.headers["vary"] == "Origin"
        # An error is read as well; and nobody else may do any of it.
        assert web.post("/v1/speech", {}, Origin=STUDIO).headers["access-control-allow-origin"]
        assert web.get("/v1/voices", Origin="https://evil.example").status == 403
        with web.socket("/v1/converse", origin=STUDIO):
            pass


def test_names_of_the_server_may_be_added(empty: str) -> None:
    with serving(empty, http_hosts="tts.example, Voices.Example") as thread:
        web = web_of(thread)
        for name in ("tts.example", "voices.example:443", "TTS.example."):
            assert web.get("/v1/voices", Host=name).status == 200
        assert web.get("/v1/voices", Host="other.example").status == 403
