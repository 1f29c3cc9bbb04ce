"""Front-ends of Mandarin that the tests of this folder share."""

from __future__ import annotations

import pytest

from tests.text.mandarin.tables import EMOTIVOICE, KOKORO, kantts_table
from voxswap_server.text.mandarin.emotivoice import EmotiVoiceFrontEnd
from voxswap_server.text.mandarin.kantts import KanttsFrontEnd
from voxswap_server.text.mandarin.misaki import MisakiMandarinFrontEnd
from voxswap_server.text.mandarin.reader import MandarinReader, shared_reader


@pytest.fixture(scope="session")
def reader() -> MandarinReader:
    for module in ("kaldifst", "wetext", "rjieba", "pypinyin", "opencc"):
        pytest.importorskip(module, reason="needs the extra mandarin")
    return shared_reader()


@pytest.fixture(scope="session")
def kokoro(reader: MandarinReader) -> MisakiMandarinFrontEnd:
    del reader  # but it is here
    return MisakiMandarinFrontEnd(KOKORO)


@pytest.fixture(scope="session")
def sambert(reader: MandarinReader) -> KanttsFrontEnd:
    del reader
    return KanttsFrontEnd(kantts_table())


@pytest.fixture(scope="session")
def mandarin_only(reader: MandarinReader) -> KanttsFrontEnd:
    """Of a voice that was trained on no English."""
    del reader
    return KanttsFrontEnd(kantts_table(english=False))


@pytest.fixture(scope="session")
def emotivoice(reader: MandarinReader) -> EmotiVoiceFrontEnd:
    del reader
    return EmotiVoiceFrontEnd(EMOTIVOICE)
