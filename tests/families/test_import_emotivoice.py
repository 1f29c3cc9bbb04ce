"""EmotiVoice's release: what voices are made of it, and what is told of one that is wrong."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.families.emotivoice_faults import FAULTS, JOINT, STYLE, UNSEEN
from tests.families.emotivoice_fixtures import TINY, joint_fixture
from tests.families.files import mapped
from tests.families.sambert_directories import asked, files, zipped
from voxswap_families.emotivoice.config import EMOTIONS, EmotiVoiceConfig
from voxswap_families.emotivoice.fabricate import fabricate_emotivoice
from voxswap_families.emotivoice.importer import (
    emotivoice_members,
    find_emotivoice,
    import_emotivoice,
    import_speakers,
)
from voxswap_families.emotivoice.tokens import made_up_tokens
from voxswap_families.importing.detect import import_voices, members
from voxswap_families.symbols import SymbolTable
from voxswap_registry.draft import VoiceDraft
from voxswap_registry.errors import ImportSourceError, InvalidInputError
from voxswap_registry.manifest import FrontEndSpec
from voxswap_registry.store import Registry

NAMES = ("8051", "8052", "8053")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release; not to be changed."""
    folder = tmp_path_factory.mktemp("made") / "release"
    folder.mkdir()
    fabricate_emotivoice(folder, 1, "tiny")
    return folder


@pytest.fixture
def release(made: Path, tmp_path: Path) -> Path:
    """One that may be spoilt."""
    return Path(shutil.copytree(made, tmp_path / "release"))


def imported(path: Path, workdir: Path, **changes: Any) -> list[VoiceDraft]:
    found = find_emotivoice(path)
    assert found is not None
    voices = {name: f"emo/{name}" for name in emotivoice_members(found)}
    return list(import_speakers(found, asked(workdir, **changes), voices))


def test_a_voice_of_each_speaker_on_one_base(made: Path, tmp_path: Path) -> None:
    drafts = imported(made, tmp_path)
    assert [draft.voice_id for draft in drafts] == [f"emo/{name}" for name in NAMES]
    first, second, _ = drafts
    assert first.front_end == FrontEndSpec("emotivoice")
    assert (first.language, first.languages) == ("zh-CN", ("zh-CN", "en-US"))
    assert (first.display_name, first.gender) == ("Nobody", "female")
    assert (second.display_name, second.gender) == ("EmotiVoice 8052", "")
    assert first.emotions == EMOTIONS
    assert first.fabricated is True
    assert (first.audio.sample_rate_hertz, first.audio.hop_length_samples) == (16_000, 256)
    assert "Apache-2.0" in first.provenance.code_licence
    assert len(first.provenance.source_digests) == 9
    EmotiVoiceConfig.read(first.engine_config)
    # What they share is one file, and what is a speaker's own is a row.
    ours, theirs = files(first), files(second)
    assert {role for role in ours if ours[role] != theirs[role]} == {"speaker"}
    table = torch.load(made / JOINT, weights_only=True)["generator"]["am.spk_tokenizer.weight"]
    for row, draft in enumerate(drafts):
        assert torch.equal(mapped(files(draft)["speaker"])["speaker"], table[row])
    symbols = SymbolTable.from_json(ours["symbols"].read_bytes())
    assert symbols.start == symbols.end == (1,)
    assert symbols.symbols["sp1"] == (made_up_tokens().index("sp1"),)
    # What only trained them is not in a component, and nothing else is missing.
    kept = {*mapped(ours["acoustic"]), *mapped(ours["vocoder"]), *mapped(ours["style"])}
    assert {name.split(".")[0] for name in kept} == {"am", "generator", "bert"}
    assert not any("alignment" in name or "spk_tokenizer" in name for name in kept)


def test_the_weights_are_the_fixtures(release: Path, tmp_path: Path) -> None:
    """In the layout of the reference's own state dict, which has weight norm as torch has it."""
    fixture = joint_fixture(TINY)
    table = fixture.tensors["am.spk_tokenizer.weight"]
    rows = {
        "tokenlist": ["_", "<sos/eos>", *(f"t{n}" for n in range(fixture.acoustic.n_symbols - 2))],
        "speaker2": [f"s{n}" for n in range(len(table))],
    }
    for name, lines in rows.items():
        (release / "data/youdao/text" / name).write_text("\n".join(lines), "utf-8")
    config = yaml.safe_dump(fixture.config)
    (release / "config/joint/config.yaml").write_text(config, "utf-8")
    torch.save({"generator": dict(fixture.tensors)}, release / JOINT)
    draft = imported(release, tmp_path)[3]
    found = EmotiVoiceConfig.read(draft.engine_config)
    assert (found.acoustic, found.vocoder) == (fixture.acoustic, fixture.vocoder)
    for role, prefix in (("acoustic", "am."), ("vocoder", "generator.")):
        expected = fixture.stored(prefix)
        weights = mapped(files(draft)[role])
        assert weights.keys() == expected.keys()
        assert all(torch.equal(weights[name], expected[name]) for name in weights)
    assert torch.equal(mapped(files(draft)["speaker"])["speaker"], table[3])


def test_one_speaker_and_a_zip_are_taken_as_well(made: Path, release: Path, tmp_path: Path) -> None:
    whole = {role: path.read_bytes() for role, path in files(imported(made, tmp_path)[1]).items()}
    for prefix in ("", "EmotiVoice-main/"):
        path = zipped(release, prefix)
        assert members(path) == NAMES
        draft = import_emotivoice(path, asked(tmp_path, style="8052"))
        assert draft.fabricated is True
        assert {role: file.read_bytes() for role, file in files(draft).items()} == whole
    (draft,) = import_voices(path, {"8052": "emo/x"}, workdir=tmp_path / "work")
    assert draft.voice_id == "emo/x"


def test_the_highest_number_speaks_and_what_is_beside_is_left_alone(
    release: Path, tmp_path: Path
) -> None:
    (release / JOINT).with_name("g_00000010").write_bytes(b"older")
    (release / JOINT).with_name("do_00140000").write_bytes(b"discriminators")
    (release / STYLE).with_name("checkpoint_1").write_bytes(b"older")
    (release / "data/youdao/text/README.md").unlink()
    UNSEEN(release)
    drafts = imported(release, tmp_path)
    assert [draft.voice_id for draft in drafts] == ["emo/8052", "emo/8051", "emo/8053"]
    assert drafts[0].display_name == "EmotiVoice 8052"


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_told(
    release: Path, fault: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    change, message = FAULTS[fault]
    change(release)
    with pytest.raises(ImportSourceError) as raised:
        imported(release, tmp_path)
    told = raised.value.message
    assert re.search(message, told, re.DOTALL), told
    assert str(release) in told
    assert not (tmp_path / "was_run").exists()
    # Nothing was written for voices that are none.
    assert not (tmp_path / "work").exists()


def test_what_is_asked_for_and_is_not_there(made: Path, tmp_path: Path) -> None:
    with pytest.raises(ImportSourceError, match=r"no speaker '2014'; choose .*: 8051, 8052, 8053"):
        import_emotivoice(made, asked(tmp_path, style="2014"))
    with pytest.raises(ImportSourceError, match="has 3 speakers; choose one with --style"):
        import_emotivoice(made, asked(tmp_path))
    with pytest.raises(InvalidInputError, match="durations of an EmotiVoice voice"):
        imported(made, tmp_path, dtype="bfloat16")
    with pytest.raises(InvalidInputError, match="for VITS voices"):
        imported(made, tmp_path, form="packed")
    with pytest.raises(InvalidInputError, match="is not a voice id"):
        list(import_voices(made, {"8051": "emo/no good"}, workdir=tmp_path / "work"))


def test_folders_of_others_are_left_to_others(made: Path, tmp_path: Path) -> None:
    assert find_emotivoice(tmp_path) is None
    assert find_emotivoice(tmp_path / "nowhere") is None
    (tmp_path / "config/joint").mkdir(parents=True)
    (tmp_path / "config/joint/config.yaml").write_text("a: 1")
    assert find_emotivoice(tmp_path) is None
    assert find_emotivoice(made) == made


def test_what_is_published_is_one_base(made: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    manifests = [registry.publish(draft) for draft in imported(made, tmp_path)]
    digests = {c.digest for manifest in manifests for c in manifest.components}
    assert len(digests) == 5 + len(NAMES)
    assert len({manifest.kind for manifest in manifests}) == 1
