"""The voxswap client: text in, audio out, against a voxswap server.

::

    from voxswap_client import Client

    with Client("127.0.0.1:50051") as client:
        client.say("npc/village/blacksmith", "Mind the forge.").save("line.wav")

Needs gRPC and protobuf, nothing else. `AsyncClient` is the same for asyncio.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from voxswap_client.errors import (
    CallCancelledError,
    ConversationIdleError,
    DataLossError,
    DeadlineExceededError,
    EventsLostError,
    FailedPreconditionError,
    IncompleteStreamError,
    InternalServerError,
    InvalidRequestError,
    NothingToRollBackError,
    NotImplementedByServerError,
    OverloadedError,
    ResourceExhaustedError,
    RevisionConflictError,
    SelfTestFailedError,
    SlowWatcherError,
    StreamNotFoundError,
    TooLateError,
    UnavailableError,
    UnusableClipError,
    VersionExistsError,
    VersionInUseError,
    Violation,
    VoiceInUseError,
    VoiceNotFoundError,
    VoxswapClientError,
)
from voxswap_client.recording_types import Prosody, ReadStyle, StyleShare
from voxswap_client.residency_types import (
    CastMember,
    CastOutlook,
    ComponentOutlook,
    Explanation,
    Ledger,
    ResidencyEvent,
    ResidencyEventKind,
    ResidencySnapshot,
    Resident,
    ResidentComponent,
    ResidentState,
    SceneOutlook,
    Tier,
)
from voxswap_client.retry import RetryPolicy
from voxswap_client.types import (
    CachePolicy,
    Change,
    Chunk,
    Component,
    EmotionFallback,
    Encoding,
    Expression,
    Header,
    InterruptReceipt,
    LabelMove,
    LineClass,
    Mark,
    MarkKind,
    Pacing,
    PresetDelivery,
    Provenance,
    Registration,
    SpeechResult,
    TrafficShare,
    Trailer,
    UnknownSymbol,
    Voice,
    VoiceDetails,
)
from voxswap_client.version import __version__

if TYPE_CHECKING:
    from voxswap_client._async.client import AsyncClient
    from voxswap_client._async.conversation import AsyncConversation
    from voxswap_client._async.stream import AsyncSpeechStream
    from voxswap_client._async.watch import AsyncResidencyWatch
    from voxswap_client._sync.client import Client
    from voxswap_client._sync.conversation import Conversation
    from voxswap_client._sync.stream import SpeechStream
    from voxswap_client._sync.watch import ResidencyWatch

# grpc takes a tenth of a second to import, which `voxswap --help` need not pay.
_LATE = {
    "AsyncClient": "voxswap_client._async.client",
    "AsyncConversation": "voxswap_client._async.conversation",
    "AsyncResidencyWatch": "voxswap_client._async.watch",
    "AsyncSpeechStream": "voxswap_client._async.stream",
    "Client": "voxswap_client._sync.client",
    "Conversation": "voxswap_client._sync.conversation",
    "ResidencyWatch": "voxswap_client._sync.watch",
    "SpeechStream": "voxswap_client._sync.stream",
}

__all__ = [
    "AsyncClient",
    "AsyncConversation",
    "AsyncResidencyWatch",
    "AsyncSpeechStream",
    "CachePolicy",
    "CallCancelledError",
    "CastMember",
    "CastOutlook",
    "Change",
    "Chunk",
    "Client",
    "Component",
    "ComponentOutlook",
    "Conversation",
    "ConversationIdleError",
    "DataLossError",
    "DeadlineExceededError",
    "EmotionFallback",
    "Encoding",
    "EventsLostError",
    "Explanation",
    "Expression",
    "FailedPreconditionError",
    "Header",
    "IncompleteStreamError",
    "InternalServerError",
    "InterruptReceipt",
    "InvalidRequestError",
    "LabelMove",
    "Ledger",
    "LineClass",
    "Mark",
    "MarkKind",
    "NotImplementedByServerError",
    "NothingToRollBackError",
    "OverloadedError",
    "Pacing",
    "PresetDelivery",
    "Prosody",
    "Provenance",
    "ReadStyle",
    "Registration",
    "ResidencyEvent",
    "ResidencyEventKind",
    "ResidencySnapshot",
    "ResidencyWatch",
    "Resident",
    "ResidentComponent",
    "ResidentState",
    "ResourceExhaustedError",
    "RetryPolicy",
    "RevisionConflictError",
    "SceneOutlook",
    "SelfTestFailedError",
    "SlowWatcherError",
    "SpeechResult",
    "SpeechStream",
    "StreamNotFoundError",
    "StyleShare",
    "Tier",
    "TooLateError",
    "TrafficShare",
    "Trailer",
    "UnavailableError",
    "UnknownSymbol",
    "UnusableClipError",
    "VersionExistsError",
    "VersionInUseError",
    "Violation",
    "Voice",
    "VoiceDetails",
    "VoiceInUseError",
    "VoiceNotFoundError",
    "VoxswapClientError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(import_module(_LATE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
