"""A server of voices that need nothing and speak at once, and pages of it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.e2e.servers import ServerThread, serving
from tests.page.browsers import Visit, chromium, visit
from voxswap_families.importing.detect import import_voice
from voxswap_registry.store import Registry

_PITCHES = {"npc/guard": (95, 190), "npc/merchant": (140,), "npc/smith": (80,)}


@pytest.fixture(scope="session")
def page_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerThread]:
    """Three voices, one of them in two versions."""
    folder = tmp_path_factory.mktemp("tones")
    registry = Registry(folder / "registry")
    for voice_id, pitches in _PITCHES.items():
        for pitch in pitches:
            source = folder / "voice.tone.json"
            tone = {"pitch_hertz": pitch, "name": voice_id.removeprefix("npc/").title()}
            source.write_text(json.dumps(tone))
            registry.publish(import_voice(source, voice_id, workdir=folder))
    with serving(folder / "registry") as thread:
        yield thread


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Of one module: as long as it is there, no event loop may run in this thread."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def address(page_server: ServerThread) -> str:
    found = page_server.server.http_address
    assert found is not None
    return found


@pytest.fixture
def visitor(browser: Browser, address: str) -> Iterator[Visit]:
    with visit(browser, address) as found:
        yield found
