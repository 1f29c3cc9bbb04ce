"""What ``describe`` is answered: voices, as many as one event may tell of."""

from __future__ import annotations

import asyncio
from importlib.metadata import version

from wyoming.info import Attribution, Info, TtsProgram, TtsVoice, TtsVoiceSpeaker

from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.catalog.index import VoiceFilter
from voxswap_registry.manifest import Manifest
from voxswap_server.doors.wyoming.events import encoded
from voxswap_server.voices import browsing

_MOST_VOICES, _MOST_SPEAKERS = 1000, 256
_ATTRIBUTION = Attribution("voxswap", "")


class Described:
    """The answer, made anew when the catalog has changed. Confined to one event loop."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._making = asyncio.Lock()
        self._made: tuple[int, bytes] | None = None

    async def event(self) -> bytes:
        """``info``, as it is sent."""
        async with self._making:
            generation = self._catalog.generation()
            if self._made is None or self._made[0] != generation:
                self._made = generation, await asyncio.to_thread(self._info)
            return self._made[1]

    def _info(self) -> bytes:
        found = browsing.listings(self._catalog, VoiceFilter(), after="", limit=_MOST_VOICES)
        program = TtsProgram(
            name="voxswap",
            attribution=_ATTRIBUTION,
            installed=True,
            description="voices of one server, loaded as they are asked for",
            version=version("voxswap"),
            voices=[_voice(voice.newest) for voice in found if voice.newest is not None],
            supports_synthesize_streaming=True,
        )
        return encoded(Info(tts=[program]).event())


def _voice(manifest: Manifest) -> TtsVoice:
    speakers = [TtsVoiceSpeaker(name) for name in list(manifest.speakers)[:_MOST_SPEAKERS]]
    return TtsVoice(
        name=manifest.voice_id,
        attribution=_ATTRIBUTION,
        installed=True,
        description=manifest.display_name or manifest.voice_id,
        version=str(manifest.version),
        languages=list(manifest.spoken_languages),
        speakers=speakers or None,
    )
