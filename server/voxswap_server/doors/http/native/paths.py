"""voxswap's own paths."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import BaseRoute

from voxswap_server.doors.http.guard import MOST_OPEN, Guard
from voxswap_server.doors.http.native.asked import (
    Budget,
    Interrupt,
    LongSpeech,
    Named,
    Prepare,
    Speech,
)
from voxswap_server.doors.http.native.converse import ConverseHandler
from voxswap_server.doors.http.native.recordings import MOST_RECORDINGS, RecordingHandlers
from voxswap_server.doors.http.native.residency import ResidencyHandlers
from voxswap_server.doors.http.native.speech import SpeechHandlers
from voxswap_server.doors.http.native.voices import VoiceHandlers
from voxswap_server.doors.http.routes import Path, socket_route
from voxswap_server.doors.http.services import Services
from voxswap_server.doors.http.sockets import Sockets
from voxswap_server.doors.http.whole import Whole

_AUDIO = ("audio/wav", "audio/mpeg", "audio/ogg", "audio/flac", "audio/pcm")


def paths(services: Services, guard: Guard, whole: Whole) -> Sequence[Path]:
    """What is asked over HTTP."""
    speech = SpeechHandlers(services, guard, whole)
    residency = ResidencyHandlers(services, guard)
    return (
        Path(
            *("POST", "/v1/speech", speech.speech),
            "Speak a text: audio as it is made, or events with audio, marks and receipt.",
            body=LongSpeech,
            answers=(*_AUDIO, "text/event-stream"),
            speaks=True,
        ),
        Path(
            *("POST", "/api/tts", speech.tts),
            "Speak a text: JSON in, a whole WAV file out.",
            body=Speech,
            answers=("audio/wav",),
            speaks=True,
        ),
        Path(
            *("POST", "/v1/style", RecordingHandlers(services).style),
            "Read off a recording how it is spoken, as a style for a voice.",
            takes_recording=True,
            query={
                "voice": "the voice that is to speak like it",
                "raw_sample_rate_hertz": "of 16-bit samples without a header",
                "session_id": "a bare voice resolves as it will for the session's lines",
            },
            most=MOST_RECORDINGS,
        ),
        Path(
            *("POST", "/v1/interrupt", speech.interrupt),
            "Stop a stream, and hear how far it had got.",
            body=Interrupt,
        ),
        Path(
            *("POST", "/v1/prepare", residency.prepare),
            "Begin to load the voices of a scene.",
            body=Prepare,
        ),
        Path(
            *("GET", "/v1/residents", residency.residents),
            "What is in memory: voices, components and the ledgers.",
        ),
        Path(
            *("GET", "/v1/events", residency.events),
            "Loads and evictions as they happen, as server-sent events.",
            query={"after_sequence": "go on after this event", "epoch": "of that event"},
            answers=("text/event-stream",),
            most=MOST_OPEN,
            is_waited_for=False,
        ),
        Path(
            *("GET", "/v1/explain", residency.explain),
            "What loading a voice would evict, how long it would take, and why.",
            query={"voice": "the voice"},
        ),
        Path(*("POST", "/v1/load", residency.load), "Make a voice resident.", body=Named),
        Path(*("POST", "/v1/unload", residency.unload), "Evict a voice.", body=Named),
        Path(*("POST", "/v1/pin", residency.pin), "Load a voice, and keep it.", body=Named),
        Path(*("POST", "/v1/unpin", residency.unpin), "Keep a voice no longer.", body=Named),
        Path(
            *("POST", "/v1/budget", residency.set_budget),
            "Change the memory budget until the server stops.",
            body=Budget,
        ),
    )


def voice_list(services: Services) -> Path:
    """`GET /v1/voices`, a path that others have too."""
    return Path(
        *("GET", "/v1/voices", VoiceHandlers(services).voices),
        "A page of voices, each at its newest version.",
        query={
            "search": "words that are in its id, its name or a tag",
            "prefix": "what its id begins with",
            "language": "en takes en-US too",
            "engine": "such as vits",
            "gender": "as its publisher states it",
            "tag": "may come several times: voices with all of them",
            "page_size": "1 to 1000; 100 unless set",
            "page_token": "next_page_token of the page before",
        },
    )


def one_voice(services: Services) -> Path:
    """`GET /v1/voices/{voice}`, a path that others have too."""
    handler = VoiceHandlers(services).voice
    return Path("GET", "/v1/voices/{voice:path}", handler, "One voice at one version.")


def sockets(services: Services, guard: Guard, made: Sockets) -> Sequence[BaseRoute]:
    """What is said over WebSockets."""
    converse = ConverseHandler(services, guard)
    return (socket_route("/v1/converse", made.app(converse, tell=converse.fault)),)
