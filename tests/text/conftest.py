"""The processes of espeak-ng that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from voxswap_server.text.espeak.library import Espeak


@pytest.fixture(scope="session")
def espeak() -> Iterator[Espeak]:
    pytest.importorskip("espeakng_loader", reason="needs the extra espeak")
    espeak = Espeak()
    yield espeak
    espeak.close()
