"""What Riva's clients ask for, and in which words they are told what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from tests.registry.catalog_fixture import RecordedStore
from tests.registry.stores import memory_objects
from voxswap.riva.v1 import riva_tts_pb2 as riva
from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.errors import InvalidInputError, NotBuiltError, VoiceNotFoundError
from voxswap_server.audio.encoding import AudioEncoding
from voxswap_server.doors.fields import named
from voxswap_server.doors.grpc.reflection import _Known
from voxswap_server.doors.grpc.riva import voices
from voxswap_server.doors.grpc.riva.asked import FIELDS, check_repeated, request_of
from voxswap_server.doors.grpc.riva.servicer import RENAMED
from voxswap_server.speech.request import CachePolicy, LineClass, MarkKind, SpeechRequest
from voxswap_server.voices import browsing

Message = riva.SynthesizeSpeechRequest


def asked(message: Message, voice: str = "joe", *, is_whole: bool = True) -> SpeechRequest:
    with named(FIELDS):
        return request_of(
            *(message, voice, ""), max_characters=100, tenant="studio", is_whole=is_whole
        )


def test_everything_is_taken_over() -> None:
    request = asked(
        Message(
            text="Hi.",
            encoding=riva.MULAW,
            sample_rate_hz=8000,
            enable_word_time_offsets=True,
            custom_configuration={
                "seed": "18446744073709551615",
                "rate": "1.5",
                "noise_scale": "0",
                "line_class": "BARK",
                "start_by_ms": "250",
                "session_id": "s",
                "cache_policy": "use",
            },
        )
    )
    assert request.encoding is AudioEncoding.MULAW
    assert request.sample_rate_hertz == 8000
    assert request.marks == {MarkKind.WORD}
    assert request.seed == (1 << 64) - 1
    assert (request.rate, dict(request.controls)) == (1.5, {"noise_scale": 0.0})
    assert request.line_class is LineClass.BARK
    assert request.start_by_s == 0.25
    assert (request.session_id, request.tenant) == ("s", "studio")
    assert request.cache_policy is CachePolicy.USE
    assert request.eager


def test_a_stream_may_begin_without_text() -> None:
    request = asked(Message(encoding=riva.LINEAR_PCM), is_whole=False)
    assert request.encoding is AudioEncoding.PCM_S16LE
    with pytest.raises(InvalidInputError, match="text"):
        asked(Message())


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (Message(text="Hi.", encoding=99), "encoding"),  # type: ignore[arg-type]
        (Message(text="Hi.", encoding=riva.OGGOPUS, sample_rate_hz=22050), "sample_rate_hz"),
        (Message(text="Hi.", sample_rate_hz=-1), "sample_rate_hz"),
        (Message(text=" "), "text"),
        (Message(text="Hi.\x00"), "text"),
        (Message(text="Hi.", id=riva.RequestId(value="x" * 129)), "id.value"),
        *(
            (Message(text="Hi.", custom_configuration={key: value}), f"custom_configuration[{key}]")
            for key, value in (
                *(("seed", "-1"), ("seed", "١"), ("seed", "9" * 21), ("seed", "")),
                *(("rate", "fast"), ("rate", "nan"), ("rate", "9"), ("noise_scale", "-1")),
                *(("line_class", "song"), ("start_by_ms", "1.5"), ("start_by_ms", "0")),
                *(("session_id", "x" * 129), ("cache_policy", "default"), ("pitch", "1")),
            )
        ),
    ],
)
def test_what_is_wrong_is_told_by_their_names(message: Message, field: str) -> None:
    with pytest.raises(InvalidInputError) as raised:
        asked(message)
    assert [v.field for v in raised.value.violations] == [field]
    assert field in raised.value.message


def test_a_voice_that_is_none_is_told_by_their_name() -> None:
    with pytest.raises(InvalidInputError, match=r"voice_name: 'Magpie\.EN-US\.Aria' is not"):
        asked(Message(text="Hi."), "Magpie.EN-US.Aria")


def test_a_flood_of_keys_is_told_in_a_few() -> None:
    flood = {f"key-{n}": "x" for n in range(5000)}
    with pytest.raises(InvalidInputError) as raised:
        asked(Message(text="Hi.", custom_configuration=flood))
    assert len(raised.value.violations) == 8


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (Message(text=" <SPEAK>Hi</SPEAK>"), "text"),
        (Message(text="Hi.", custom_dictionary="Nick  nIk"), "custom_dictionary"),
        (Message(text="Hi.", zero_shot_data=riva.ZeroShotData(quality=1)), "zero_shot_data"),
    ],
)
def test_what_is_not_built_is_told_by_their_names(message: Message, field: str) -> None:
    with pytest.raises(NotBuiltError) as raised:
        asked(message)
    assert [v.field for v in raised.value.violations] == [field]
    assert field in raised.value.message


def test_later_requests_repeat_the_settings_or_leave_them_out() -> None:
    first = Message(text="One.", voice_name="joe", custom_configuration={"seed": "1"})
    check_repeated(first, Message(text="Two.", id=riva.RequestId(value="2")))
    check_repeated(first, Message(voice_name="joe", custom_configuration={"seed": "1"}))
    other = Message(voice_name="jane", encoding=riva.FLAC, custom_configuration={"seed": "2"})
    with pytest.raises(InvalidInputError) as raised:
        check_repeated(first, other)
    fields = {v.field for v in raised.value.violations}
    assert fields == {"voice_name", "encoding", "custom_configuration"}


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    store = RecordedStore(memory_objects(), tmp_path)
    store.publish("npc/crowd", language="de-DE", speakers={"Anna": 0, "Ben.Senior": 1})
    store.publish("npc/crowd.anna", gender="female")
    store.publish("npc/smith", language="en-GB", languages=("en-GB", "fr-FR"))
    with store.catalog(private=True) as catalog:
        catalog.refresh()
        yield catalog


@pytest.mark.parametrize(
    ("name", "voice", "speaker"),
    [
        ("npc/smith", "npc/smith", ""),
        ("npc/smith.default", "npc/smith", ""),
        ("npc/smith@1.default", "npc/smith@1", ""),
        ("npc/smith@stable", "npc/smith@stable", ""),
        ("npc/smith.Anna", "npc/smith", "Anna"),
        ("npc/crowd.Anna", "npc/crowd", "Anna"),
        ("npc/crowd@1.Ben.Senior", "npc/crowd@1", "Ben.Senior"),
        ("npc/crowd.Ben.Senior", "npc/crowd", "Ben.Senior"),
        ("npc/crowd.anna", "npc/crowd.anna", ""),
        ("npc/crowd.default", "npc/crowd", "default"),
        ("nobody.Anna", "nobody.Anna", ""),
        ("Magpie.EN-US.Aria", "Magpie.EN-US.Aria", ""),
        ("." * 5000, "." * 5000, ""),
    ],
)
def test_a_name_may_have_a_speaker_in_it(
    catalog: Catalog, name: str, voice: str, speaker: str
) -> None:
    assert voices.named(catalog, name) == (voice, speaker)


@pytest.mark.parametrize(
    ("language", "voice"),
    [("en-US", "npc/crowd.anna"), ("en_us", "npc/crowd.anna"), ("en", "npc/crowd.anna"),
     ("fr", "npc/smith"), ("de-DE", "npc/crowd"), ("", "npc/crowd")],
)  # fmt: skip
def test_no_name_is_the_first_voice_of_a_language(
    catalog: Catalog, language: str, voice: str
) -> None:
    assert browsing.first_of(catalog, language) == voice


def test_a_language_that_nobody_speaks_is_not_found(catalog: Catalog) -> None:
    with pytest.raises(VoiceNotFoundError, match="no voice speaks 'tlh'"):
        browsing.first_of(catalog, "tlh")


def test_voices_are_listed_as_clients_read_them(catalog: Catalog) -> None:
    listed = {c.model_name: dict(c.parameters) for c in voices.config(catalog, "").model_config}
    assert list(listed) == ["npc/crowd", "npc/crowd.anna", "npc/smith"]
    assert listed["npc/crowd"]["subvoices"] == "Anna:0,Ben.Senior:1"
    assert listed["npc/crowd"]["language_code"] == "de-DE"
    assert listed["npc/crowd.anna"]["gender"] == "female"
    assert listed["npc/smith"]["subvoices"] == "default:0"
    assert listed["npc/smith"]["language_codes"] == "en-GB,fr-FR"
    assert listed["npc/smith"]["sample_rate_hz"] == "22050"
    (one,) = voices.config(catalog, "npc/smith").model_config
    assert one.parameters["voice_name"] == "npc/smith"
    with pytest.raises(VoiceNotFoundError):
        voices.config(catalog, "nobody")


def test_a_list_of_voices_is_no_larger_than_clients_take(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voices, "_MOST_BYTES", 300)
    assert len(voices.config(catalog, "").model_config) == 1


def test_a_process_may_hold_the_messages_of_a_riva_client_as_well() -> None:
    """Two files that define one name cannot be loaded together; ours has names of its own."""
    theirs = descriptor_pb2.FileDescriptorProto(name="riva/proto/riva_tts.proto")
    theirs.package = "nvidia.riva.tts"
    for message in riva.DESCRIPTOR.message_types_by_name:
        theirs.message_type.add(name=message)
    pool: descriptor_pool.DescriptorPool = descriptor_pool.Default()
    pool.Add(theirs)
    known = _Known([RENAMED])
    file = known.FindFileContainingSymbol("nvidia.riva.tts.RivaSpeechSynthesis")
    assert file.package == "nvidia.riva.tts"
    assert file.message_types_by_name["SynthesizeSpeechRequest"].fields_by_number[100].name == "id"
    assert known.FindFileByName(file.name) is file
    with pytest.raises(KeyError):
        known.FindFileContainingSymbol("nvidia.riva.tts.Nothing")
