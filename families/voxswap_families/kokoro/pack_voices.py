"""Publishes style packs of Kokoro-82M as voices on the base that ships in packages."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from voxswap_families.importing.request import ImportRequest, tool_name
from voxswap_families.kokoro import format as kokoro
from voxswap_families.kokoro.embedded import GRAPH, ORIGIN, shipped_parts
from voxswap_families.kokoro.importer import KokoroParts, kokoro_draft
from voxswap_families.kokoro.pack_files import chosen_packs, packs_in, read_packs
from voxswap_families.kokoro.packs import GRADES, PACKAGE, PACKS, VERSION
from voxswap_registry import graphs
from voxswap_registry.clock import Clock, utc_now
from voxswap_registry.draft import DraftComponent, VoiceDraft
from voxswap_registry.layout import VOICES, voice_object
from voxswap_registry.manifest import Manifest
from voxswap_registry.progress import NullProgress, Progress
from voxswap_registry.store import Registry

_IDS = "kokoro"


@dataclass(frozen=True, slots=True)
class PackVoices:
    """Versions, each with whether it is new; and packs of the source that were never published."""

    done: tuple[tuple[Manifest, bool], ...]
    others: tuple[str, ...]


def add_packs(
    registry: Registry,
    source: Path,
    *,
    only: Sequence[str] = (),
    once: bool = False,
    progress: Progress | None = None,
    actor: str = "",
    clock: Clock = utc_now,
) -> PackVoices:
    """Publish each pack of ``source`` as ``kokoro/NAME``, unless its newest version is the same.

    ``source`` is the tarball of npm's kokoro-js, or a folder of its packs; ``only`` are their names
    or patterns. All are verified before the first is published. With ``once``, whatever was ever
    there is left alone, and ``source`` is read only if something is missing.

    Blocks; takes a tenth of a second a voice, and seconds more if the base has to be made. Its
    graph is trusted from then on. Raises `InvalidInputError` for a pattern that matches nothing,
    `ImportSourceError`, and `RegistryError` where the store refuses.
    """
    wanted = chosen_packs(only)
    known = _ever_there(registry)
    if once:
        wanted = tuple(name for name in wanted if name not in known)
    done: list[tuple[Manifest, bool]] = []
    if wanted:
        progress = progress or NullProgress()
        packs = read_packs(source, only, wanted, progress)
        with registry.workdir() as workdir:
            shared: KokoroParts | None = None
            for name, data in packs.items():
                request = ImportRequest(
                    *(f"{_IDS}/{name}", "float32", None, None, None, workdir, progress, clock)
                )
                if shared is None:
                    shared = shipped_parts(registry, request)
                    graphs.record(registry.objects, GRAPH, actor=actor, tool=tool_name())
                draft = _draft(request, shared, name, data)
                graphs.record_imported(registry, draft, actor=actor)
                done.append(registry.publish_if_new(draft, actor=actor))
                # Of the next one, nothing of it is hashed again.
                base = DraftComponent.stored(done[-1][0].component("base"))
                shared = dataclasses.replace(shared, base=base)
    known = known.union(manifest.voice_id.rpartition("/")[2] for manifest, _ in done)
    return PackVoices(tuple(done), tuple(n for n in packs_in(source) if n not in known))


def _ever_there(registry: Registry) -> frozenset[str]:
    """The packs whose voices have, or had, a version. Blocks on one listing."""
    keys = registry.objects.keys(f"{VOICES}/{_IDS}")
    found = {at.voice_id for key in keys if (at := voice_object(key)) is not None}
    return frozenset(name for name in PACKS if f"{_IDS}/{name}" in found)


def _draft(request: ImportRequest, shared: KokoroParts, name: str, data: bytes) -> VoiceDraft:
    import numpy as np

    style = np.frombuffer(data, "<f4").astype(np.float32).reshape(kokoro.STYLE_SHAPE)
    notes = [ORIGIN]
    if name in GRADES:
        notes.append(f"Their author grades this voice {GRADES[name]}, of A to F.")
    if name == "af_nicole":
        notes.append("It whispers.")
    if name.startswith("j"):
        notes.append("A Japanese voice that reads English here.")
    return kokoro_draft(
        request,
        shared,
        name,
        kokoro.checked_style(style),
        source=f"{PACKAGE} {VERSION} (npm): {name}.bin",
        sources={f"{name}.bin": f"sha256:{PACKS[name]}"},
        licence="Apache-2.0",
        note=" ".join(notes),
    )
