"""The blocking client."""

from __future__ import annotations

from typing import Unpack

import grpc

from voxswap_client import readiness
from voxswap_client.catalog import Catalog
from voxswap_client.request import SpeechOptions, build_request
from voxswap_client.residency import Residency
from voxswap_client.rpc_status import from_rpc_error
from voxswap_client.stream import SpeechStream
from voxswap_client.types import SpeechResult


class Client(Catalog, Residency):
    """Speaks to one voxswap server over one channel. Thread-safe; its streams are not.

    Every method but `synthesize` and `watch` blocks until the server has answered, and raises
    `VoxswapClientError`. ``timeout_s`` is the deadline of a call with all of its tries: the call's
    own, or else the client's; ``math.inf`` is none. ``credentials`` None: without encryption.
    ``clock``, ``sleep`` and ``random`` are for tests.
    """

    def synthesize(
        self,
        voice: str,
        text: str,
        *,
        timeout_s: float | None = None,
        **options: Unpack[SpeechOptions],
    ) -> SpeechStream:
        """Begin to speak; returns at once. ``with client.synthesize(...) as stream:`` is its use.

        ``voice`` is an id, or ``id@version``; see `SpeechOptions` for the rest. The deadline holds
        for the stream's last chunk, so give one that plays as it reads enough time.
        """
        request = build_request(voice, text, **options)
        return SpeechStream(
            lambda remaining_s: self._speech.Synthesize(request, timeout=remaining_s),
            self._attempts(timeout_s),
            clock=self._clock,
            sleep=self._sleep,
        )

    def say(
        self,
        voice: str,
        text: str,
        *,
        timeout_s: float | None = None,
        **options: Unpack[SpeechOptions],
    ) -> SpeechResult:
        """Speak a line and return it whole."""
        with self.synthesize(voice, text, timeout_s=timeout_s, **options) as stream:
            return stream.collect()

    def wait_ready(self, timeout_s: float = 30.0) -> None:
        """Block until the server is there and its health service says that it serves.

        Raises `DeadlineExceededError` if that takes longer than ``timeout_s``.
        """
        check: grpc.UnaryUnaryMultiCallable[bytes, bytes]
        check = self._channel.unary_unary(readiness.HEALTH_CHECK)
        attempts = self._attempts(timeout_s)
        answered = False
        while True:
            left_s = attempts.next_timeout_s()
            try:
                request = readiness.health_request("")
                if readiness.is_serving(check(request, timeout=left_s, wait_for_ready=True)):
                    return
                answered = True
            except grpc.RpcError as raised:
                if not readiness.may_become_ready(from_rpc_error(raised)):
                    return
            left_s = attempts.remaining_s()
            if left_s is not None and left_s <= readiness.POLL_S:
                raise readiness.not_ready(self._address, timeout_s, answered=answered)
            self._sleep(readiness.POLL_S)
