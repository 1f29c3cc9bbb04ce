"""The check of a whole manifest: what it refuses, by field, and that published voices pass."""

from __future__ import annotations

import json
import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.families.vits_fakes import PRESETS, preset
from tests.registry.drafts import TINY, listings, make_draft
from voxswap_families.vits.architecture import VitsArchitecture
from voxswap_families.vits.family import VitsFamily
from voxswap_registry.collecting import collect
from voxswap_registry.draft import VoiceDraft
from voxswap_registry.errors import ManifestError, RegistryError
from voxswap_registry.json_reader import read_json
from voxswap_registry.kept import Kept, held_bytes
from voxswap_registry.layout import manifest_key
from voxswap_registry.manifest import (
    MAX_MANIFEST_BYTES,
    Component,
    Manifest,
    is_espeak_voice,
)
from voxswap_registry.named import named_digests
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry

DIGEST = f"sha256:{'a' * 64}"


def manifest(folder: Path, **changes: Any) -> Manifest:
    components = changes.pop(
        "parts",
        (
            Component("model", DIGEST, 7, "application/vnd.safetensors"),
            Component("symbols", DIGEST, 2, "application/json"),
        ),
    )
    return make_draft(folder, **changes).manifest(3, components)


@pytest.fixture
def raw(tmp_path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(manifest(tmp_path).to_json())
    return loaded


def changed(raw: dict[str, Any], path: str, value: Any) -> bytes:
    target: Any = raw
    *outer, last = [int(key) if key.isdigit() else key for key in path.split("/")]
    for key in outer:
        target = target[key]
    target[last] = value
    return json.dumps(raw, ensure_ascii=False).encode()


def faults(data: bytes) -> dict[str, str]:
    with pytest.raises(ManifestError) as caught:
        Manifest.from_json(data, where="here")
    assert caught.value.message.startswith("here: ")
    assert len(caught.value.message) < 4_000
    return {fault.field: fault.description for fault in caught.value.violations}


PATHS = ["../phontab", "../" * 10 + "dev/zero", "", "mb/mb-en1", ".", "..", "en\x00us",
         "en\nus", "/etc/passwd", "a" * 65, "en us", "-v", "en-us+../f3", "en-us+", "+f3",
         "en.gb"]  # fmt: skip


@pytest.mark.parametrize("voice", PATHS)
def test_no_path_reaches_espeak(raw: dict[str, Any], voice: str) -> None:
    told = faults(changed(raw, "front_end/options/voice", voice))
    assert "no espeak-ng voice" in told["front_end.options.voice"]


def test_names_of_espeak_voices_pass() -> None:
    for name in ("en-us", "en-gb-x-rp", "es-419", "cmn-latn-pinyin", "en_US", "en-us+f3", "de"):
        assert is_espeak_voice(name)


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("audio/sample_rate_hertz", 1, "audio.sample_rate_hertz"),
        ("audio/sample_rate_hertz", 7_999, "audio.sample_rate_hertz"),
        ("audio/sample_rate_hertz", 48_001, "audio.sample_rate_hertz"),
        ("audio/hop_length_samples", 11, "audio.hop_length_samples"),
        ("audio/hop_length_samples", 2_206, "audio.hop_length_samples"),
        ("audio/hop_length_samples", 255, "audio.hop_length_samples"),
        ("defaults/length_scale", 1e15, "defaults.length_scale"),
        ("defaults/length_scale", 0, "defaults.length_scale"),
        ("defaults/length_scale", -1, "defaults.length_scale"),
        ("defaults/length_scale", 0.09, "defaults.length_scale"),
        ("defaults/length_scale", 10.1, "defaults.length_scale"),
        ("defaults/noise_scale", -0.1, "defaults.noise_scale"),
        ("defaults/noise_w", 3.1, "defaults.noise_w"),
        ("defaults/loudness", 1.0, "defaults.loudness"),
        ("speakers", {"ann": 8}, "speakers"),
        ("speakers", {"ann": -1}, "speakers"),
        ("speakers", {"ann\x1b[2J": 1}, "speakers"),
        ("speakers", {"": 1}, "speakers"),
        ("speakers", {"a" * 129: 1}, "speakers"),
        ("speakers", {f"{n}": n % 8 for n in range(4_097)}, "speakers"),
        ("front_end/kind", "uroman", "front_end.kind"),
        ("front_end/options", {"voice": ["en"]}, "front_end.options.voice"),
        ("front_end/options", {"voices": "en"}, "front_end.options.voices"),
        ("front_end", {"kind": "characters", "options": {"lowercase": 1}},
         "front_end.options.lowercase"),
        ("front_end", {"kind": "misaki", "options": {"british": "yes"}},
         "front_end.options.british"),
        ("front_end", {"kind": "misaki", "options": {"voice": "en"}}, "front_end.options.voice"),
        ("front_end/options", {"alphabet": "ipa"}, "front_end.options.alphabet"),
        ("front_end/options", {"alphabet": "kantts"}, "front_end.options.alphabet"),
        ("front_end", {"kind": "mandarin", "options": {"voice": "en"}}, "front_end.options.voice"),
        ("front_end", {"kind": "emotivoice", "options": {"voice": "x"}}, "front_end.options.voice"),
        ("language", "../..", "language"),
        ("language", "", "language"),
        ("language", "en_US", "language"),
        ("languages", [], "languages"),
        ("languages", ["de"], "languages"),
        ("languages", ["en-US", "de_DE"], "languages[1]"),
        ("controls", ["loudness"], "controls[0]"),
        ("controls", ["rate", "pitch_semitones"], "controls"),
        ("controls", ["rate"] * 8, "controls"),
        ("emotions", ["happy"], "emotions"),
        ("emotions", ["a\n"], "emotions[0]"),
        ("engine", "../vits", "engine"),
        ("engine", "kokoro", "components"),
        ("engine_config/flow_kernel_size", 4, "engine_config"),
        ("engine_config/n_speakers", 0, "engine_config"),
        ("components/0/role", "vocoder", "components"),
        ("components/0/role", "a/b", "components[0].role"),
        ("components/0/media_type", "a\nb", "components[0].media_type"),
        ("components/0/size_bytes", (2 << 30) + 1, "components[0].size_bytes"),
        ("components/1/size_bytes", (4 << 20) + 1, "components[1].size_bytes"),
        ("licence", "CC0\nERROR forged", "licence"),
        ("licence", "x" * 2_001, "licence"),
        ("display_name", "\x1b]0;x\x07", "display_name"),
        ("display_name", "\u202egnp", "display_name"),
        ("provenance/note", "a\u2028b", "provenance.note"),
        ("provenance/source_digests", {f"{n}": "" for n in range(65)}, "provenance.source_digests"),
        ("provenance/source_digests", {"a\n": ""}, "provenance.source_digests"),
        ("tags", ["a"] * 33, "tags"),
        ("tags", ["a b"], "tags[0]"),
        ("gender", "\t", "gender"),
    ],
)  # fmt: skip
def test_a_fault_is_named_by_its_field(
    raw: dict[str, Any], path: str, value: Any, field: str
) -> None:
    assert field in faults(changed(raw, path, value))


def test_all_faults_are_told_at_once(raw: dict[str, Any]) -> None:
    raw["audio"]["sample_rate_hertz"] = 1
    raw["defaults"] = {"length_scale": 0, "noise_w": 9}
    raw["language"] = "?"
    assert faults(changed(raw, "front_end/options/voice", "../x")).keys() == {
        "audio.sample_rate_hertz", "defaults.length_scale", "defaults.noise_w", "language",
        "front_end.options.voice", "audio.hop_length_samples",
    } - {"audio.hop_length_samples"}  # fmt: skip
    raw |= {"licence": 7, "tags": "x", "audio": {"sample_rate_hertz": "x"}}
    told = faults(json.dumps(raw).encode())
    assert told.keys() == {
        "audio.sample_rate_hertz", "audio.hop_length_samples", "licence", "tags",
        "defaults.length_scale", "defaults.noise_w", "language", "front_end.options.voice",
    }  # fmt: skip
    assert told["audio.sample_rate_hertz"] == "is 'x'; use 8000 to 48000"
    assert told["audio.hop_length_samples"] == "is missing; add it"
    assert told["tags"] == "must be a list, found a text"


def test_not_a_number_is_no_default(tmp_path: Path) -> None:
    """No JSON says so; a draft of a program's own may."""
    for value in (math.nan, math.inf, -math.inf):
        (fault,) = manifest(tmp_path, defaults={"length_scale": value}).faults()
        assert fault.field == "defaults.length_scale"


def test_ordinary_voices_pass(tmp_path: Path) -> None:
    """Texts in any script, joiners and wide spaces; a tab that a model card left; no speakers."""
    manifest(
        tmp_path,
        display_name="Schmied 铁匠 می\u200cخواهم a\u3000b",
        licence="CC0\tsee https://example.org",
        speakers={"ann": 0, "Bob Smith": 7},
        defaults={"length_scale": 1, "noise_scale": 0.0, "noise_w": 0.8},
        gender="female",
        tags=("village",),
    ).check(where="here")
    none = TINY | {"n_speakers": 0, "gin": 0}
    manifest(tmp_path, engine_config=none, speakers={"me": 0}).check(where="here")
    (fault,) = manifest(tmp_path, engine_config=none, speakers={"me": 1}).faults()
    assert fault.field == "speakers"


def test_the_largest_voices_fit(tmp_path: Path) -> None:
    """LibriTTS has 904 speakers, and more than twice as many may be named."""
    for n, width in ((904, 5), (2_014, 8), (3_000, 4)):
        config = preset("medium", n_speakers=n, shrink=1).to_config()
        speakers = {f"{i:0{width}}": i for i in range(n)}
        data = manifest(tmp_path, engine_config=config, speakers=speakers).to_json()
        assert len(data) < MAX_MANIFEST_BYTES
        assert len(Manifest.from_json(data, where="here").speakers) == n


@pytest.mark.parametrize("name", PRESETS)
def test_the_architectures_of_published_voices_pass(name: str) -> None:
    for n_speakers in (0, 904):
        architecture = preset(name, n_speakers=n_speakers, shrink=1)
        assert VitsArchitecture.read(architecture.to_config()) == architecture


def test_a_voice_of_an_engine_that_is_not_here_is_listed(
    registry: Registry, tmp_path: Path
) -> None:
    """Its loader says what is missing; what anybody can know of it is checked all the same."""
    draft = make_draft(tmp_path, engine="of_tomorrow", engine_config={"layers": [1, {"a": None}]})
    registry.publish(draft)
    (listing,) = listings(registry)
    assert listing.error is None
    draft = make_draft(tmp_path, engine="of_tomorrow", defaults={"length_scale": -1.0})
    with pytest.raises(ManifestError, match=r"defaults\.length_scale is -1\.0; use 0\.1 to 10"):
        registry.publish(draft)


def test_embedded_voices_pass(joe_draft: VoiceDraft, tmp_path: Path) -> None:
    components = tuple(Component(c.role, DIGEST, 7, c.media_type) for c in joe_draft.components)
    joe_draft.manifest(1, components).check(where="joe")


def test_five_kokoro_voices_pass(kokoro_registry: Registry) -> None:
    for listing in listings(kokoro_registry):
        assert listing.newest is not None
        listing.newest.check(where="kokoro")


# What is there already


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("defaults/length_scale", 0, "defaults.length_scale is 0; use 0.1 to 10"),
        ("front_end/options/voice", "../phontab", "front_end.options.voice is '../phontab'"),
        ("audio/sample_rate_hertz", 1, "audio.sample_rate_hertz is 1; use 8000 to 48000"),
        ("provenance/note", "x" * MAX_MANIFEST_BYTES, "more than 65536 bytes"),
    ],
)
def test_a_published_manifest_that_says_so_breaks_itself_alone(
    registry: Registry, tmp_path: Path, path: str, value: Any, told: str
) -> None:
    draft = make_draft(tmp_path)
    registry.publish(draft)
    raw = json.loads(registry.publish(make_draft(tmp_path, data=b"second")).to_json())
    registry.objects.replace(manifest_key("npc/smith", 2), changed(raw, path, value))
    (listing,) = listings(registry)
    assert listing.newest is None
    assert listing.error is not None
    assert told in listing.error.message
    assert "publish" in listing.error.message
    assert registry.resolve(VoiceRef.parse("npc/smith@1")).version == 1
    with pytest.raises(ManifestError):
        registry.resolve(VoiceRef.parse("npc/smith"))
    # What it names is known: nothing of it is collected, and the rest is.
    assert collect(registry, grace=timedelta(0)).blobs == 0
    assert registry.publish(draft).version == 3


def test_a_manifest_that_names_what_nobody_knows_still_stops_a_collection(
    registry: Registry, tmp_path: Path
) -> None:
    manifest = registry.publish(make_draft(tmp_path))
    raw = json.loads(manifest.to_json())
    where = {"voice_id": "npc/smith", "version": 1, "where": "here"}
    assert named_digests(json.dumps(raw).encode(), **where) == {  # type: ignore[arg-type]
        component.digest for component in manifest.components
    }
    changes: tuple[dict[str, Any], ...] = (
        {"schema_version": 2}, {"components": [{}]}, {"version": 2}, {"voice_id": "x"}
    )  # fmt: skip
    for change in changes:
        data = json.dumps(raw | change).encode()
        with pytest.raises(ManifestError):
            named_digests(data, **where)  # type: ignore[arg-type]
        registry.objects.replace(manifest_key("npc/smith", 1), data)
        with pytest.raises(RegistryError, match="nothing was collected"):
            collect(registry, grace=timedelta(0))


# JSON


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1"])
def test_json_is_utf_8(encoding: str) -> None:
    data = '{"é": "ä"}'.encode(encoding)
    with pytest.raises(ManifestError, match="not JSON"):
        read_json(data, where="here", limit_bytes=100)
    assert read_json('{"é": 1}'.encode(), where="here", limit_bytes=100) == {"é": 1}


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'{"a": 1, "b": 2, "a": 1}', "the key 'a' is there twice"),
        (b'{"a": {"b": [{"c": 1, "c": 2}]}}', "the key 'c' is there twice"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": -Infinity}', "-Infinity is no number"),
        (b'{"a": 1e999}', "not JSON"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "not JSON"),
        (b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}", "deeper than 32"),
    ],
)
def test_what_readers_would_read_otherwise_is_not_json(data: bytes, told: str) -> None:
    with pytest.raises(ManifestError, match=told):
        read_json(data, where="here", limit_bytes=1 << 20)


# What is kept


def test_what_is_kept_is_bounded_by_bytes() -> None:
    kept: Kept[str] = Kept(100)
    for key in "abcde":
        kept.put(key, key.upper(), 30)
    assert [kept.get(key) for key in "abcde"] == [None, None, "C", "D", "E"]
    assert (len(kept), kept.size_bytes) == (3, 90)
    assert kept.get("c") == "C"
    kept.put("f", "F", 40)
    assert [kept.get(key) for key in "cdef"] == ["C", None, "E", "F"]
    kept.put("c", "anew", 50)
    assert [kept.get(key) for key in "cef"] == ["anew", None, "F"]
    assert kept.size_bytes == 90
    kept.put("c", "too large", 101)
    assert (kept.get("c"), kept.size_bytes) == (None, 40)


def test_what_a_manifest_holds_is_counted(tmp_path: Path) -> None:
    small = manifest(tmp_path)
    config = preset("medium", n_speakers=2_000).to_config()
    large = manifest(
        tmp_path, engine_config=config, speakers={f"speaker{n}": n for n in range(2_000)}
    )
    assert 4_000 < held_bytes(small) < 20_000
    # A text of eleven letters, a number, and their place in a dictionary.
    assert 2_000 * 100 < held_bytes(large) < 2_000 * 250


def test_a_form_is_its_familys_or_another_voxswaps(tmp_path: Path, raw: dict[str, Any]) -> None:
    raw["engine_config"] = json.loads(json.dumps(preset("low", shrink=1, n_speakers=8).to_config()))
    plain = Manifest.from_json(json.dumps(raw).encode(), where="here")
    assert plain.component("model").form is None
    assert b"form" not in plain.to_json()
    packed = changed(raw, "components/0/form", "packed")
    assert Manifest.from_json(packed, where="here").component("model").form == "packed"
    for place, form in ((0, "packed_again"), (1, "packed")):
        raw["components"][0].pop("form", None)
        told = faults(changed(raw, f"components/{place}/form", form))
        assert told[f"components[{place}].form"].startswith(f"is '{form}', which is not known here")
        assert "update voxswap to the one that wrote it" in told[f"components[{place}].form"]
    for wrong in ("", "Packed", "a b", "x" * 33, None, 7):
        assert "components[0].form" in faults(changed(raw, "components/0/form", wrong))


def test_of_an_engine_that_is_not_here_any_form_is_listed(raw: dict[str, Any]) -> None:
    raw["engine"] = "unheard"
    data = changed(raw, "components/0/form", "whatever")
    assert Manifest.from_json(data, where="here").component("model").form == "whatever"


def test_a_family_that_is_older_than_forms_has_none(
    raw: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(VitsFamily, "forms")
    assert "components[0].form" in faults(changed(raw, "components/0/form", "packed"))


def test_a_role_that_is_optional_may_be_lacked_and_no_other(
    tmp_path: Path, raw: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw["engine_config"] = json.loads(json.dumps(preset("low", shrink=1, n_speakers=8).to_config()))
    monkeypatch.setattr(VitsFamily, "optional_roles", ("speaker",), raising=False)
    monkeypatch.setattr(VitsFamily, "role_limits", {**VitsFamily.role_limits, "speaker": 1 << 10})
    model, symbols = raw["components"]
    speaker = {**symbols, "role": "speaker", "size_bytes": 768}
    for parts in ([model, symbols], [model, symbols, speaker]):
        data = json.dumps({**raw, "components": parts}).encode()
        assert len(Manifest.from_json(data, where="here").components) == len(parts)
    for parts in ([model, speaker], [model, symbols, {**speaker, "role": "other"}]):
        told = faults(json.dumps({**raw, "components": parts}).encode())["components"]
        assert told.endswith("has model, symbols, and may have speaker")
