"""A tour with NVIDIA's own Riva client, unchanged."""

from __future__ import annotations

import itertools

import grpc
import riva.client
import riva.client.proto.riva_tts_pb2 as messages
from tour import FACTS, PAUSE_S, check_length, is_about, is_heard, look, trying

TEXT, SEED, VOICE = FACTS["text"], str(FACTS["seed"]), FACTS["voice"]
RATE, SAMPLES, WORDS = FACTS["sample_rate_hertz"], FACTS["samples"], FACTS["words"]
REPEATABLE = {"seed": SEED}
Encoding = riva.client.AudioEncoding

auth = riva.client.Auth(uri=FACTS["address"])
service = riva.client.SpeechSynthesisService(auth)


def words_of(*answers):
    return [[w.word, w.start_time, w.end_time] for a in answers for w in a.meta.words]


def refusal(call, code):
    """What is said when ``call`` is refused with ``code``."""
    try:
        list(call())
    except grpc.RpcError as error:
        found = error
    else:
        raise AssertionError("it was not refused")
    assert found.code() is code, (found.code(), found.details())
    return found.details()


def unary(**settings):
    usual = {"text": TEXT, "voice_name": VOICE, "sample_rate_hz": RATE}
    return service.synthesize(**usual | settings)


with trying("lists voices"):
    asked = messages.RivaSynthesisConfigRequest()
    found = {
        c.model_name: dict(c.parameters)
        for c in service.stub.GetRivaSynthesisConfig(asked).model_config
    }
    named = found[VOICE]
    # As the client's own script for people puts names together.
    first = named["subvoices"].split(",")[0].split(":")[0]
    assert is_heard(unary(voice_name=f"{named['voice_name']}.{first}").audio)
    assert named["language_code"], named

with trying("speaks"):
    answer = unary(custom_configuration=REPEATABLE)
    assert is_heard(answer.audio)
    assert len(answer.audio) == 2 * SAMPLES, (len(answer.audio), 2 * SAMPLES)

with trying("speaks at other rates"):
    for rate in (8_000, 16_000, 24_000, 44_100):
        audio = unary(sample_rate_hz=rate, custom_configuration=REPEATABLE).audio
        assert is_heard(audio)
        assert is_about(len(audio) / 2 / rate, SAMPLES / RATE), (rate, len(audio))

with trying("changes voice"):
    half = len(unary().audio) / len(unary(voice_name=FACTS["slow_voice"]).audio)
    assert 0.4 < half < 0.65, half

with trying("speaks in every encoding"):
    for name, start, rate in (
        ("FLAC", b"fLaC", RATE),
        ("OGGOPUS", b"OggS", 24_000),
        ("MULAW", b"", 8_000),
        ("ALAW", b"", 8_000),
    ):
        audio = unary(
            encoding=Encoding.Value(name), sample_rate_hz=rate, custom_configuration=REPEATABLE
        ).audio
        assert audio.startswith(start), (name, audio[:8])
        if not start:
            assert is_about(len(audio) / rate, SAMPLES / RATE), (name, len(audio))

with trying("times words"):
    answer = unary(custom_configuration=REPEATABLE, enable_word_time_offsets=True)
    assert words_of(answer) == WORDS, (words_of(answer), WORDS)
    assert answer.meta.text == TEXT

with trying("streams"):
    for text in (TEXT, [TEXT, "And this as well."]):
        answers = list(
            service.synthesize_online(
                text,
                VOICE,
                sample_rate_hz=RATE,
                custom_configuration=REPEATABLE,
                enable_word_time_offsets=True,
            )
        )
        audio = b"".join(a.audio for a in answers)
        assert len(answers) > 1
        assert is_heard(audio)
        assert len(audio) >= 2 * 0.8 * SAMPLES
        spoken = words_of(*answers)
        said = TEXT if isinstance(text, str) else " ".join(text)
        assert [w for w, _, _ in spoken] == [w.strip(".,!?") for w in said.split()], spoken
        times = list(itertools.chain.from_iterable(w[1:] for w in spoken))
        assert times == sorted(times), spoken
        assert times[-1] <= len(audio) / 2 / RATE * 1e3 + 1, (times[-1], len(audio))

with trying("takes text as it comes"):
    # In a list: what it does with any other iterable raises TypeError.
    sentences = [f"{sentence}." for sentence in TEXT.rstrip(".").split(". ")]
    answers = list(service.synthesize_online(sentences, VOICE, sample_rate_hz=RATE))
    check_length(b"".join(a.audio for a in answers), RATE, 0.03, PAUSE_S)

with trying("streams to clients that send one request"):
    call = auth.channel.unary_stream(
        "/nvidia.riva.tts.RivaSpeechSynthesis/SynthesizeOnline",
        request_serializer=messages.SynthesizeSpeechRequest.SerializeToString,
        response_deserializer=messages.SynthesizeSpeechResponse.FromString,
    )
    request = messages.SynthesizeSpeechRequest(
        text=TEXT, voice_name=VOICE, encoding=Encoding.LINEAR_PCM, id={"value": "mine"}
    )
    answers = list(call(request))
    assert is_heard(b"".join(a.audio for a in answers))
    assert {a.id.value for a in answers} == {"mine"}

Code = grpc.StatusCode

with trying("takes the first voice of a language"):
    assert is_heard(unary(voice_name=None, language_code="en-US").audio)
    told = refusal(lambda: unary(voice_name=None, language_code="tlh"), Code.NOT_FOUND)
    assert "tlh" in told, told

with trying("refuses an unknown voice") as noted:
    assert "nobody" in refusal(lambda: unary(voice_name="nobody"), Code.NOT_FOUND)
    told = refusal(lambda: unary(voice_name="English-US.Female-1"), Code.INVALID_ARGUMENT)
    assert "voice_name" in told, told
    told = refusal(lambda: service.synthesize_online(TEXT, "nobody"), Code.NOT_FOUND)
    assert "nobody" in told, told
    noted.append("RpcError, NOT_FOUND")

with trying("names what it does not do"):
    told = refusal(lambda: unary(custom_dictionary={"Nick": "nIk"}), Code.UNIMPLEMENTED)
    assert "custom_dictionary" in told, told
    told = refusal(lambda: unary(text="<speak>Hi</speak>"), Code.UNIMPLEMENTED)
    assert "text" in told, told
    wrong = {"exaggeration": "1", "rate": "fast"}
    told = refusal(lambda: unary(custom_configuration=wrong), Code.INVALID_ARGUMENT)
    assert "custom_configuration[exaggeration]" in told, told
    assert "custom_configuration[rate]" in told, told
    told = refusal(lambda: unary(encoding=Encoding.OGGOPUS), Code.INVALID_ARGUMENT)
    assert "sample_rate_hz" in told, told

with trying("refuses a reply that is too long"):
    told = refusal(lambda: unary(text=TEXT * 60, sample_rate_hz=48_000), Code.INVALID_ARGUMENT)
    assert "SynthesizeOnline" in told, told

with trying("cancels"):
    stream = service.synthesize_online(TEXT * 100, VOICE)
    assert next(iter(stream)).audio
    stream.cancel()
    look()
