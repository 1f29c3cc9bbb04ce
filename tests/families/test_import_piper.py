"""Importing Piper voices: the real one, every preset, and files that are not what they say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import load_file

from tests.examples import NOON
from tests.families.vits_fakes import (
    PRESETS,
    canonical,
    piper_config,
    preset,
    read_component,
    write_piper,
)
from voxswap_families.importing.detect import import_voice
from voxswap_families.vits.architecture import VitsArchitecture
from voxswap_registry.draft import VoiceDraft
from voxswap_registry.errors import ImportSourceError, InvalidInputError
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry


def _take(source: Path, tmp_path: Path, **options: Any) -> VoiceDraft:
    return import_voice(source, "fake", workdir=tmp_path / "work", clock=lambda: NOON, **options)


def _tensors(draft: VoiceDraft) -> dict[str, torch.Tensor]:
    path = draft.components[0].path
    assert path is not None
    return read_component(path)


def _digests(draft: VoiceDraft) -> list[str]:
    return [hashlib.sha256(c.path.read_bytes()).hexdigest() for c in draft.components]


def test_joe_has_the_architecture_of_medium(joe_draft: VoiceDraft) -> None:
    architecture = VitsArchitecture.from_config(joe_draft.engine_config, where="joe")
    assert architecture == preset("medium", shrink=1)
    assert architecture.hop_length_samples == joe_draft.audio.hop_length_samples == 256
    assert joe_draft.audio.sample_rate_hertz == 22050
    assert (joe_draft.language, joe_draft.licence, joe_draft.engine) == ("en-US", "CC0", "vits")
    assert (joe_draft.front_end.kind, dict(joe_draft.front_end.options)) == (
        "espeak",
        {"voice": "en-us"},
    )
    assert joe_draft.defaults == {"noise_scale": 0.667, "length_scale": 1.0, "noise_w": 0.8}
    assert joe_draft.speakers == {}


def test_joe_keeps_every_stored_parameter(joe_draft: VoiceDraft, joe_weights: Path) -> None:
    """316 by their names, 32 by their nodes, the symbol table, and the scale of the last flow."""
    graph = onnx.load(joe_weights, load_external_data=False).graph
    stored = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer}
    tensors = _tensors(joe_draft)
    assert len(tensors) == 316 + 32 + 1 + 1
    named = [name for name in tensors if name in stored]
    assert len(named) == 316
    assert all(torch.equal(tensors[name], stored[name]) for name in named)
    assert torch.equal(tensors["enc_p.emb.weight"], stored["sid"])
    torch.testing.assert_close(
        torch.exp(-tensors["dp.flows.0.logs"]), stored["/dp/flows.0/Exp_output_0"]
    )
    assert torch.equal(tensors["flow.flows.6.enc.in_layers.0.weight"], stored["onnx::Conv_8168"])
    assert torch.equal(
        tensors["flow.flows.0.enc.res_skip_layers.3.weight"], stored["onnx::Conv_8261"]
    )


def test_joe_gives_the_same_digests_again(
    joe_draft: VoiceDraft, joe_weights: Path, tmp_path: Path
) -> None:
    again = import_voice(joe_weights.parent, "joe", workdir=tmp_path)
    assert _digests(again) == _digests(joe_draft)


def test_joe_publishes_and_says_where_it_is_from(
    joe_draft: VoiceDraft, registry: Registry, joe_weights: Path
) -> None:
    manifest = registry.publish(joe_draft)
    assert registry.resolve(VoiceRef.parse("joe")) == manifest
    registry.verify(manifest.component("model"))
    provenance = manifest.provenance
    assert provenance.created == "2026-01-02T12:00:00Z"
    assert provenance.source == "en_US-joe-medium.onnx"
    assert set(provenance.source_digests) == {joe_weights.name, f"{joe_weights.name}.json"}
    assert str(joe_weights.parent) not in manifest.to_json().decode()


def test_joe_symbol_table(joe_draft: VoiceDraft) -> None:
    table = json.loads(joe_draft.components[1].path.read_bytes())
    assert table["layout"] == "piper"
    assert (table["symbols"]["_"], table["symbols"]["^"], table["symbols"]["$"]) == ([0], [1], [2])
    assert list(table["symbols"]) == sorted(table["symbols"])


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("n_speakers", [0, 3])
@pytest.mark.parametrize("log_scale", ["folded", "plain", "anonymous"])
def test_presets(name: str, n_speakers: int, log_scale: str, tmp_path: Path) -> None:
    architecture = preset(name, n_speakers=n_speakers)
    source = write_piper(tmp_path, architecture, name=name, log_scale=log_scale)
    draft = _take(source, tmp_path)
    assert VitsArchitecture.from_config(draft.engine_config, where="x") == architecture
    assert draft.speakers == {f"p{i}": i for i in range(n_speakers)}
    assert (draft.language, draft.display_name) == ("en-GB", f"fake {name}")
    assert draft.defaults == {"noise_scale": 0.5, "length_scale": 1.1, "noise_w": 0.7}
    expected = canonical(architecture)
    found = _tensors(draft)
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        torch.testing.assert_close(found[key], tensor, msg=key)


def _dynamo(model: onnx.ModelProto) -> None:
    for i, node in enumerate(model.graph.node):
        node.name = f"node_{i}"


_SHARED = {
    "dec.resblocks.0.convs.1.bias": "dec.resblocks.0.convs.0.bias",
    "enc_p.encoder.norm_layers_1.0.gamma": "enc_p.encoder.norm_layers_2.1.gamma",
    "enc_p.encoder.norm_layers_1.0.beta": "enc_p.encoder.norm_layers_2.1.beta",
}


def _shared(model: onnx.ModelProto) -> None:
    """As exporters do: equal tensors are stored once, and other nodes point at the one copy."""
    graph = model.graph
    for tensor in [t for t in graph.initializer if t.name in _SHARED]:
        graph.initializer.remove(tensor)
    for node in graph.node:
        node.input[:] = [_SHARED.get(value, value) for value in node.input]
    path = "/enc_p/encoder/norm_layers_1.0"
    for name, op_type in (("gamma", "Mul"), ("beta", "Add")):
        inputs = ["y", _SHARED[f"enc_p.encoder.norm_layers_1.0.{name}"]]
        graph.node.append(helper.make_node(op_type, inputs, [name], f"{path}/{op_type}_1"))


def test_nodes_without_paths_are_known_by_their_neighbours(tmp_path: Path) -> None:
    architecture = preset("medium")
    source = write_piper(tmp_path, architecture, edit=_dynamo)
    found = _tensors(_take(source, tmp_path))
    for key, tensor in canonical(architecture).items():
        torch.testing.assert_close(found[key], tensor, msg=key)


def test_tensors_stored_once_for_two_layers(tmp_path: Path) -> None:
    source = write_piper(tmp_path, preset("medium"), edit=_shared)
    found, expected = _tensors(_take(source, tmp_path)), canonical(preset("medium"))
    for key, stored in _SHARED.items():
        assert torch.equal(found[key], expected[stored]), key


def test_external_data_is_refused_and_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(1 << 16))

    def edit(model: onnx.ModelProto) -> None:
        tensor = next(t for t in model.graph.initializer if t.name == "dec.conv_pre.weight")
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../secret")

    source = write_piper(tmp_path / "voice", preset("low"), edit=edit)
    with pytest.raises(ImportSourceError, match=r"keeps dec\.conv_pre\.weight in another file"):
        _take(source, tmp_path)


def _attribute(layer: str, name: str, value: list[int]) -> Callable[[onnx.ModelProto], None]:
    def edit(model: onnx.ModelProto) -> None:
        for node in model.graph.node:
            if node.output[0] == layer:
                attribute = next(a for a in node.attribute if a.name == name)
                attribute.ints[:] = value

    return edit


@pytest.mark.parametrize(
    ("layer", "name", "value"),
    [
        ("dec.ups.1", "strides", [4]),
        ("dec.ups.0", "pads", [3, 3]),
        ("dec.resblocks.4.convs.1", "dilations", [5]),
        ("dp.flows.5.convs.convs_sep.2", "dilations", [4]),
        ("flow.flows.2.enc.in_layers.3", "dilations", [2]),
    ],
)
def test_geometry_that_shapes_do_not_tell_is_checked(
    layer: str, name: str, value: list[int], tmp_path: Path
) -> None:
    source = write_piper(tmp_path, preset("medium"), edit=_attribute(layer, name, value))
    with pytest.raises(ImportSourceError, match=f"{layer} is .*not supported"):
        _take(source, tmp_path)


def test_hidden_convolution_is_refused(tmp_path: Path) -> None:
    def edit(model: onnx.ModelProto) -> None:
        node = next(n for n in model.graph.node if n.output[0] == "dec.ups.2")
        model.graph.node.remove(node)

    with pytest.raises(ImportSourceError, match=r"recognisable as dec\.ups\.2"):
        _take(write_piper(tmp_path, preset("medium"), edit=edit), tmp_path)


def test_quantised_model_is_refused(tmp_path: Path) -> None:
    def edit(model: onnx.ModelProto) -> None:
        model.graph.node.append(helper.make_node("DequantizeLinear", ["a", "b"], ["c"], "q"))

    with pytest.raises(ImportSourceError, match="is quantised"):
        _take(write_piper(tmp_path, preset("medium"), edit=edit), tmp_path)


def test_tensor_with_too_few_bytes_is_refused(tmp_path: Path) -> None:
    def edit(model: onnx.ModelProto) -> None:
        tensor = next(t for t in model.graph.initializer if t.name == "dec.conv_pre.weight")
        tensor.raw_data = tensor.raw_data[:-4]

    with pytest.raises(ImportSourceError, match=r"dec\.conv_pre\.weight is damaged"):
        _take(write_piper(tmp_path, preset("medium"), edit=edit), tmp_path)


def test_convolutions_are_stored_channels_last(tmp_path: Path) -> None:
    source = write_piper(tmp_path, preset("medium"))
    path = _take(source, tmp_path).components[0].path
    assert path is not None
    stored = load_file(path)
    assert stored["dec.conv_pre.weight"].shape == (32, 7, 16)
    assert stored["dec.ups.0.weight"].shape == (32, 16, 16)
    assert stored["dp.flows.3.convs.convs_sep.0.weight"].shape == (16, 3, 1)
    assert stored["enc_p.encoder.attn_layers.0.emb_rel_k"].shape == (1, 9, 8)


def test_bfloat16_is_smaller_and_says_so(tmp_path: Path) -> None:
    source = write_piper(tmp_path, preset("medium"))
    whole, rounded = _take(source, tmp_path), _take(source, tmp_path, dtype="bfloat16")
    sizes = [d.components[0].path.stat().st_size for d in (whole, rounded)]
    assert sizes[1] < sizes[0]
    assert "bfloat16" in rounded.provenance.note
    assert _tensors(rounded)["dp.proj.weight"].dtype == torch.float32


def test_voices_with_one_table_share_it(tmp_path: Path) -> None:
    drafts = [
        _take(write_piper(tmp_path / f"{i}", preset("low"), seed=i), tmp_path) for i in range(2)
    ]
    (model_a, table_a), (model_b, table_b) = map(_digests, drafts)
    assert (model_a != model_b, table_a == table_b) == (True, True)


def test_caller_goes_before_the_files(tmp_path: Path) -> None:
    source = write_piper(tmp_path, preset("low"))
    (tmp_path / "MODEL_CARD").write_text("* License: public domain\n")
    assert _take(source, tmp_path).licence == "public domain"
    draft = _take(source, tmp_path, licence="CC-BY-4.0", language="pt_br")
    assert (draft.licence, draft.language) == ("CC-BY-4.0", "pt-BR")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"num_symbols": 130}, "'num_symbols' is 130, and the weights say 256"),
        ({"num_speakers": 4}, "'num_speakers' is 4"),
        ({"hop_length": 300}, "'hop_length' is 300"),
        ({"audio": {"sample_rate": 22050, "hop_length": 512}}, "'hop_length' is 512"),
        ({"audio": {"sample_rate": -1}}, "sample_rate"),
        ({"audio": None}, "'audio' must be an object"),
        ({"phoneme_id_map": {}}, "0 symbols"),
        ({"phoneme_id_map": {"_": [0], "^": [1]}}, r"'\$' is missing"),
        ({"phoneme_id_map": {"_": [0], "^": [1], "$": [2], "a": [256]}}, "ids from 0 to 255"),
        ({"phoneme_id_map": {"_": [0], "^": [1], "$": [2], "a": "b"}}, "ids from 0 to 255"),
        ({"phoneme_id_map": {"_": [0], "^": [1], "$": [2], "\ud800": [3]}}, "no symbol"),
        ({"phoneme_type": "pinyin"}, "'pinyin'; voxswap reads"),
        ({"espeak": {}}, "'voice' must be a short text"),
        ({"espeak": {"voice": "en; rm -rf"}}, "no espeak-ng voice"),
        ({"espeak": {"voice": "../../dev/zero"}}, "no espeak-ng voice"),
        ({"espeak": {"voice": "en.gb"}}, "no espeak-ng voice"),
        ({"language": {}, "espeak": {"voice": "english-us"}}, "--language en-US"),
        ({"inference": {"length_scale": 0}}, "length_scale"),
        ({"inference": {"length_scale": 11}}, "from 0.1 to 10, found 11"),
        ({"inference": {"noise_scale": float("inf")}}, "Infinity"),
        ({"audio": {"sample_rate": 96000}}, "from 8000 to 48000"),
        ({"inference": {"noise_w": "loud"}}, "noise_w"),
        ({"language": {}, "espeak": {"voice": "?"}}, "espeak"),
        ({"language": {}, "espeak": {"voice": "mb/mb-en1"}}, "no espeak-ng voice"),
        ({"speaker_id_map": {"x": 9}, "num_speakers": 1}, None),
    ],
)
def test_configuration_is_checked(
    change: dict[str, Any], expected: str | None, tmp_path: Path
) -> None:
    source = write_piper(tmp_path, preset("medium"), config=change)
    if expected is None:
        assert _take(source, tmp_path).speakers == {}
        return
    with pytest.raises(ImportSourceError, match=expected) as caught:
        _take(source, tmp_path)
    assert f"{source.name}.json" in str(caught.value)


def test_text_voice_reads_characters(tmp_path: Path) -> None:
    table = {"_": [0], "^": [1], "$": [2], "ж": 3}
    config = {"phoneme_type": "text", "phoneme_id_map": table}
    source = write_piper(tmp_path, preset("low"), name="low", config=config)
    draft = _take(source, tmp_path)
    assert (draft.front_end.kind, draft.front_end.options) == ("characters", {"lowercase": True})
    assert json.loads(draft.components[1].path.read_bytes())["symbols"]["ж"] == [3]


def test_unnamed_speakers_get_numbers(tmp_path: Path) -> None:
    source = write_piper(tmp_path, preset("low", n_speakers=2), config={"speaker_id_map": {}})
    assert _take(source, tmp_path).speakers == {"0": 0, "1": 1}


def test_speaker_out_of_range_is_refused(tmp_path: Path) -> None:
    source = write_piper(tmp_path, preset("low", n_speakers=2), config={"speaker_id_map": {"x": 2}})
    with pytest.raises(ImportSourceError, match="'x' must be a whole number from 0 to 1"):
        _take(source, tmp_path)


def test_folder_with_one_voice_and_with_two(tmp_path: Path) -> None:
    folder = tmp_path / "voices"
    write_piper(folder, preset("low"), name="low")
    assert _take(folder, tmp_path).audio.sample_rate_hertz == 16_000
    write_piper(folder, preset("medium"), name="medium")
    with pytest.raises(ImportSourceError, match=r"2 Piper voices .*name the \.onnx file"):
        _take(folder, tmp_path)


def _write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


_CONFIG = json.dumps(piper_config(preset("low"))).encode()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"this is a text file, not a model\n", "not an ONNX file|no ONNX graph"),
        (b"", "no ONNX graph"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "ONNX"),
    ],
)
def test_file_that_is_no_onnx(data: bytes, expected: str, tmp_path: Path) -> None:
    source = _write(tmp_path / "x.onnx", data)
    _write(tmp_path / "x.onnx.json", _CONFIG)
    with pytest.raises(ImportSourceError, match=expected) as caught:
        _take(source, tmp_path)
    assert str(source) in str(caught.value)
    assert "fetch" in str(caught.value)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.99])
def test_truncated_onnx(fraction: float, tmp_path: Path) -> None:
    source = write_piper(tmp_path, preset("low"))
    data = source.read_bytes()
    source.write_bytes(data[: int(len(data) * fraction)])
    with pytest.raises(ImportSourceError, match=source.name):
        _take(source, tmp_path)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"{}", "'espeak' must be an object"),
        (b"[]", "holds a JSON list"),
        (b"{", "is not JSON"),
        (b'{"phoneme_type": NaN}', "NaN is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[" * 200_000, "is not JSON"),
        (b" " * (9 << 20), "bytes; 8388608 at most"),
    ],
)
def test_bad_json(data: bytes, expected: str, tmp_path: Path) -> None:
    source = write_piper(tmp_path, preset("low"))
    source.with_name(f"{source.name}.json").write_bytes(data)
    with pytest.raises(ImportSourceError, match=expected) as caught:
        _take(source, tmp_path)
    assert f"{source.name}.json" in str(caught.value)


def test_onnx_without_its_json(tmp_path: Path) -> None:
    source = _write(tmp_path / "x.onnx", b"")
    with pytest.raises(ImportSourceError, match=r"x\.onnx\.json: there is no such file"):
        _take(source, tmp_path)


@pytest.mark.parametrize("name", ["voice.pth", "voice", "x.onnx.json", "voice.onnx.zip"])
def test_other_files_are_refused_with_what_is_taken(name: str, tmp_path: Path) -> None:
    with pytest.raises(ImportSourceError, match="no file of a voice; voxswap imports"):
        _take(_write(tmp_path / name, b"x"), tmp_path)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ImportSourceError, match="does not exist"):
        _take(tmp_path / "nowhere", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImportSourceError, match="holds no voice"):
        _take(tmp_path / "empty", tmp_path)


def test_link_that_goes_round_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").symlink_to(tmp_path / "b.onnx")
    (tmp_path / "b.onnx").symlink_to(tmp_path / "a.onnx")
    for name in ("a.onnx", "a.onnx/inside"):
        with pytest.raises(ImportSourceError, match=r"a\.onnx"):
            _take(tmp_path / name, tmp_path)
    (tmp_path / "a.onnx.json").symlink_to(tmp_path / "a.onnx.json")
    with pytest.raises(ImportSourceError, match="circle"):
        _take(tmp_path / "a.onnx", tmp_path)


def test_folder_named_like_a_model(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").mkdir()
    with pytest.raises(ImportSourceError, match="holds no voice"):
        _take(tmp_path / "x.onnx", tmp_path)


def test_bad_requests_are_told_before_reading(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError):
        import_voice(tmp_path / "nowhere", "../x", workdir=tmp_path)
    with pytest.raises(InvalidInputError, match="dtype"):
        _take(tmp_path / "nowhere", tmp_path, dtype="int8")


class _Recorder:
    def __init__(self) -> None:
        self.events: list[Any] = []

    def start(self, label: str, total_bytes: int) -> None:
        self.events.append([label, total_bytes, 0])

    def advance(self, n_bytes: int) -> None:
        self.events[-1][2] += n_bytes

    def finish(self) -> None:
        self.events.append("finished")


def test_progress_adds_up(tmp_path: Path) -> None:
    recorder = _Recorder()
    source = write_piper(tmp_path, preset("low"))
    _take(source, tmp_path, progress=recorder)
    stretches, ends = recorder.events[::2], recorder.events[1::2]
    assert [label for label, _, _ in stretches] == [
        f"read {source.name}.json", f"read {source.name}", "write model.safetensors",
    ]  # fmt: skip
    assert all(total == done > 0 for _, total, done in stretches)
    assert ends == ["finished"] * 3
