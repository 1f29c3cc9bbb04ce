"""Imports a tone: a small JSON file that says how somebody's voice box is built."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC
from pathlib import Path
from typing import Final

from voxswap_families.importing.request import (
    ImportRequest,
    no_packing,
    no_style,
    one_line,
    tool_name,
)
from voxswap_families.importing.source import MAX_JSON_BYTES, parse_json, read_source
from voxswap_families.tone.phones import PHONES
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.errors import ImportSourceError
from voxswap_registry.manifest import Audio, FrontEndSpec, Provenance
from voxswap_registry.os_errors import as_registry_errors

ENGINE: Final = "tone"
CONTROLS: Final = ("rate", "noise_scale", "duration_noise_scale")
TONE: Final = "tone"  # the role of the component
SAMPLE_RATE_HERTZ: Final = 16_000
HOP_LENGTH_SAMPLES: Final = 160
MAX_TONE_BYTES: Final = 4_096
PITCH_HERTZ: Final = (50.0, 500.0)
FORMANT_SCALE: Final = (0.5, 2.0)
_SUFFIX = ".tone.json"


def find_tone(source: Path) -> Path | None:
    """``source`` if its name ends in ``.tone.json``, or the one in that folder which does. Blocks.

    Raises `ImportSourceError` if there are several.
    """
    if not source.is_dir():
        return source if source.name.endswith(_SUFFIX) else None
    found = sorted(source.glob(f"*{_SUFFIX}"))
    if len(found) > 1:
        names = ", ".join(path.name for path in found[:4])
        raise ImportSourceError(f"{source} holds {len(found)} tones ({names}); name one of them")
    return found[0] if found else None


def import_tone(path: Path, request: ImportRequest) -> VoiceDraft:
    """Convert the tone in ``path``. Blocks; raises `ImportSourceError`."""
    no_style(request, path)
    no_packing(request, path)
    source = read_source(path, limit_bytes=MAX_JSON_BYTES, progress=request.progress)
    config = parse_json(source)
    tone = {
        "pitch_hertz": config.number("pitch_hertz", default=110.0, within=PITCH_HERTZ),
        "formant_scale": config.number("formant_scale", default=1.0, within=FORMANT_SCALE),
    }
    language = request.language or config.text("language", "en-US")
    # IPA by espeak-ng where that is wanted; letters by themselves need nothing.
    match config.text("front_end", "characters"):
        case "characters":
            front_end = FrontEndSpec("characters", {"lowercase": True})
        case "espeak":
            front_end = FrontEndSpec("espeak", {"voice": language.lower()})
        case other:
            raise config.fault("front_end", f"is {other!r}; use 'characters' or 'espeak'")
    table = {
        "layout": "piper",
        **dict.fromkeys(("pad", "bos", "eos")),
        "symbols": {symbol: [place] for place, symbol in enumerate(PHONES)},
    }
    with as_registry_errors("write into", request.workdir):
        request.workdir.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="tone-", dir=request.workdir))
        files = {TONE: folder / "tone.json", "symbols": folder / "symbols.json"}
        for role, content in ((TONE, tone), ("symbols", table)):
            text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
            files[role].write_bytes(text.encode())
    created = request.clock().astimezone(UTC).replace(microsecond=0, tzinfo=None)
    return VoiceDraft(
        voice_id=request.voice_id,
        engine=ENGINE,
        engine_config={},
        components=tuple(
            DraftComponent(role, file, "application/json") for role, file in files.items()
        ),
        audio=Audio(SAMPLE_RATE_HERTZ, HOP_LENGTH_SAMPLES),
        language=language,
        front_end=front_end,
        speakers={},
        defaults={"length_scale": 1.0, "noise_scale": 1.0, "noise_w": 0.0},
        controls=CONTROLS,
        licence=request.licence or one_line(config.text("licence", "unknown")),
        provenance=Provenance(
            source=one_line(path.name),
            source_digests={one_line(path.name): source.digest},
            tool=tool_name(),
            created=f"{created.isoformat()}Z",
            code_licence=request.code_licence or "Apache-2.0",
        ),
        display_name=one_line(config.text("name", "")),
    )
