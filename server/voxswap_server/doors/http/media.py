"""What the bytes of each encoding are called in HTTP."""

from __future__ import annotations

from voxswap_server.audio.encoding import AudioEncoding

_PLAIN = {
    AudioEncoding.WAV: "audio/wav",
    AudioEncoding.FLAC: "audio/flac",
    AudioEncoding.OGG_OPUS: "audio/ogg; codecs=opus",
    AudioEncoding.MP3: "audio/mpeg",
    AudioEncoding.OPUS_PACKETS: "application/octet-stream",
}
# RFC 3551 and 4856 have big-endian samples under audio/L16, and ours are not.
_RATED = {
    AudioEncoding.PCM_S16LE: "audio/pcm",
    AudioEncoding.PCM_F32LE: "audio/x-float32",
    AudioEncoding.MULAW: "audio/basic",
    AudioEncoding.ALAW: "audio/x-alaw-basic",
}
_ACCEPTED = {
    "audio/wav": AudioEncoding.WAV,
    "audio/wave": AudioEncoding.WAV,
    "audio/x-wav": AudioEncoding.WAV,
    "audio/flac": AudioEncoding.FLAC,
    "audio/x-flac": AudioEncoding.FLAC,
    "audio/ogg": AudioEncoding.OGG_OPUS,
    "audio/opus": AudioEncoding.OGG_OPUS,
    "audio/mpeg": AudioEncoding.MP3,
    "audio/mp3": AudioEncoding.MP3,
    "audio/pcm": AudioEncoding.PCM_S16LE,
    "audio/x-float32": AudioEncoding.PCM_F32LE,
    "audio/basic": AudioEncoding.MULAW,
    "audio/x-alaw-basic": AudioEncoding.ALAW,
}


def media_type(encoding: AudioEncoding, sample_rate_hertz: int) -> str:
    """The Content-Type of a stream."""
    if encoding in _RATED:
        return f"{_RATED[encoding]}; rate={sample_rate_hertz}; channels=1"
    return _PLAIN[encoding]


def accepted(header: str) -> AudioEncoding | None:
    """The first encoding of an Accept header, the best liked first; None if it names none."""
    ranges = []
    for place, text in enumerate(header[:1024].split(",")):
        name, *parameters = (part.strip().lower() for part in text.split(";"))
        quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            ranges.append((-float(quality), place, name))
        except ValueError:
            continue
    for disliked, _, name in sorted(ranges):
        if disliked < 0 and name in _ACCEPTED:
            return _ACCEPTED[name]
    return None
