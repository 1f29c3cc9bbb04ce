"""A tour with ElevenLabs' own SDK, unchanged."""

from __future__ import annotations

import base64

from elevenlabs import VoiceSettings
from elevenlabs.client import ElevenLabs
from elevenlabs.core.api_error import ApiError
from tour import FACTS, check_length, close_times, error_of, is_heard, look, trying

VOICE, TEXT, HERTZ = FACTS["voice"], FACTS["text"], 24_000
client = ElevenLabs(base_url=f"http://{FACTS['address']}", api_key="none")
speech = client.text_to_speech
# Its sockets insist on TLS, which is somebody else's to end: here is nobody.
speech._ws_base_url = f"ws://{FACTS['address']}"


def convert(**changes):
    usual = {"voice_id": VOICE, "text": TEXT, "output_format": f"pcm_{HERTZ}"}
    return b"".join(speech.convert(**usual | changes))


def words_of(*alignments):
    """Words with when they begin, from those of their characters."""
    text = "".join(c for alignment in alignments for c in alignment.characters)
    starts = [s for alignment in alignments for s in alignment.character_start_times_seconds]
    found, at = [], 0
    for word in text.split():
        at = text.index(word, at)
        found.append((word, starts[at]))
        at += len(word)
    return found


with trying("speaks"):
    check_length(convert(), HERTZ)
    assert convert(seed=3) == convert(seed=3)
    assert 0.4 < len(convert(voice_settings=VoiceSettings(speed=2.0))) / len(convert()) < 0.65

with trying("speaks in every format"):
    for name, start in (("mp3_44100_128", b"\xff"), ("opus_48000_64", b"OggS"), ("ulaw_8000", b"")):
        audio = convert(output_format=name)
        assert audio.startswith(start), (name, audio[:8])
        assert len(audio) > 10_000, (name, len(audio))

with trying("streams"):
    pieces = list(speech.stream(VOICE, text=TEXT, output_format=f"pcm_{HERTZ}"))
    assert len(pieces) > 1
    check_length(b"".join(pieces), HERTZ)

with trying("times words"):
    usual = {"text": TEXT, "output_format": f"pcm_{HERTZ}"}
    whole = speech.convert_with_timestamps(VOICE, **usual)
    check_length(base64.b64decode(whole.audio_base_64), HERTZ)
    assert "".join(whole.alignment.characters) == TEXT
    close_times(words_of(whole.alignment))
    parts = list(speech.stream_with_timestamps(VOICE, **usual))
    check_length(b"".join(base64.b64decode(part.audio_base_64) for part in parts), HERTZ)
    told = [part.alignment for part in parts if part.alignment is not None]
    assert len(told) > 1
    close_times(words_of(*told))

with trying("takes text as it comes"):
    fragments = (f"{word} " for word in TEXT.split())
    pieces = list(speech.convert_realtime(VOICE, text=fragments, output_format=f"pcm_{HERTZ}"))
    assert len(pieces) > 1
    check_length(b"".join(pieces), HERTZ)

with trying("changes voice"):
    half = len(convert()) / len(convert(voice_id=FACTS["slow_voice"]))
    assert 0.4 < half < 0.65, half

with trying("lists voices"):
    found = [voice.voice_id for voice in client.voices.search(search="npc").voices]
    assert VOICE in found, found
    assert VOICE in [voice.voice_id for voice in client.voices.get_all().voices]
    assert client.voices.get(VOICE).voice_id == VOICE

with trying("cancels"):
    stream = speech.stream(VOICE, text=TEXT * 30, output_format=f"pcm_{HERTZ}")
    assert next(stream)
    stream.close()
    look()
    pieces = speech.convert_realtime(VOICE, text=iter([TEXT] * 30), output_format=f"pcm_{HERTZ}")
    assert next(pieces)
    pieces.close()
    look()

with trying("refuses an unknown voice") as found:
    error = error_of(lambda: convert(voice_id="nobody"), ApiError)
    assert error.status_code == 404
    assert "nobody" in str(error), error
    found.append(type(error).__name__)
    stream = speech.convert_realtime("nobody", text=iter(["Is it heard? "]))
    assert "nobody" in str(error_of(lambda: list(stream), ApiError))

with trying("names what it refuses"):
    error = error_of(lambda: convert(output_format="pcm_1"), ApiError)
    assert "output_format" in str(error), error
    assert is_heard(convert())
