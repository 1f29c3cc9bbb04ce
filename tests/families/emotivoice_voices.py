"""A small EmotiVoice voice of fixtures, as components and a manifest."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.fakes.family import SYMBOLS
from tests.fakes.manifests import digest_of, make_manifest
from tests.families.emotivoice_fixtures import TINY, joint_fixture, style_fixture
from voxswap_families.emotivoice.config import CONTROLS, EMOTIONS, PROMPTS, EmotiVoiceConfig
from voxswap_families.importing.weights import write_safetensors
from voxswap_registry.manifest import Audio, Component, Manifest
from voxswap_registry.progress import NullProgress

#: What prompts and lines are written in; the style fixture has a few rows more.
WORDS = (
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", *"普通开心悲伤生气恐惧惊讶厌恶你好世界，。",
    "calm", "very", "##ly",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class EmotiVoiceFiles:
    """A voice that could be loaded: its manifest, its components, and a line of symbols."""

    manifest: Manifest
    files: Mapping[str, Path]
    ids: Sequence[int]
    n_symbols: int


def write_voice(folder: Path, **changes: Any) -> EmotiVoiceFiles:
    """With its components in ``folder``; ``changes`` are of its manifest."""
    joint, style = joint_fixture(TINY), style_fixture()
    config = EmotiVoiceConfig(joint.acoustic, joint.vocoder, style.architecture, PROMPTS)
    tensors = {
        "acoustic": joint.stored("am."),
        "vocoder": joint.stored("generator."),
        "style": style.stored,
        "speaker": {"speaker": joint.speaker.clone()},
    }
    folder.mkdir(exist_ok=True)
    files = {role: folder / f"{role}.safetensors" for role in tensors}
    for role, found in tensors.items():
        write_safetensors(found, files[role], progress=NullProgress())
    unused = [f"[unused{n}]" for n in range(style.architecture.vocabulary - len(WORDS))]
    words = "\n".join([*WORDS, *unused])
    for role, data in (("vocabulary", words.encode()), ("symbols", SYMBOLS)):
        files[role] = folder / role
        files[role].write_bytes(data)
    components = [
        Component(role, digest_of(f"emotivoice {role}"), path.stat().st_size, "x/y")
        for role, path in files.items()
    ]
    manifest = dataclasses.replace(
        make_manifest(),
        engine="emotivoice",
        controls=CONTROLS,
        emotions=EMOTIONS,
        engine_config=config.to_config(),
        components=tuple(components),
        audio=Audio(joint.vocoder.sample_rate_hertz, joint.vocoder.hop_samples),
    )
    return EmotiVoiceFiles(
        dataclasses.replace(manifest, **changes),
        files,
        joint.found["ids"].tolist() * 3,
        joint.acoustic.n_symbols,
    )
