"""Recordings in Redis, which several servers may share and which outlives them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from voxswap_server.speech.cache import recording
from voxswap_server.speech.cache.store import StoreFault

_LOGGER = logging.getLogger(__name__)

KEY_PREFIX = f"voxswap:audio:{recording.SCHEMA_VERSION}:"

_GET_S, _PUT_S = 0.1, 1.0
_REST_S = 5.0
_MOST_AT_A_TIME = 32
_LOG_EVERY_S = 60.0


class RedisStore:
    """An `AudioStore` in Redis. Confined to one event loop.

    Whatever Redis does, ``get`` and ``put`` end within their time. If it cannot be reached, or does
    not answer, it is left alone for ``rest_s``; then one call tries again, and the others go on as
    if it were not there until that one has an answer. A call that is cancelled, or too slow for who
    waits, ends on its own, and counts among those under way until then.
    """

    def __init__(
        self,
        url: str,
        *,
        ttl_s: float,
        most_bytes: int,
        on_fault: Callable[[StoreFault], object] = lambda fault: None,
        clock: Callable[[], float] = time.monotonic,
        get_s: float = _GET_S,
        put_s: float = _PUT_S,
        rest_s: float = _REST_S,
    ) -> None:
        """``url`` is redis://, rediss:// or unix://; ValueError if it is none. Connects later.

        Entries go ``ttl_s`` after they were written. Those above ``most_bytes`` are not read.
        """
        self._redis = Redis.from_url(
            url, retry=Retry(NoBackoff(), 0), socket_timeout=put_s, socket_connect_timeout=put_s
        )
        self._ttl_ms = max(1, round(ttl_s * 1e3))
        self._most_bytes = most_bytes
        self._on_fault = on_fault
        self._clock = clock
        self._get_s, self._put_s, self._rest_s = get_s, put_s, rest_s
        self._rests_until_s: float | None = None
        self._logs_from_s = float("-inf")
        self._calls: set[asyncio.Future[object]] = set()

    async def get(self, key: str) -> bytes | None:
        """The bytes, or None: if there are none, and if Redis does not say so in time."""
        if not self._may_call():
            return None
        # Not GET: that would have us take in whatever somebody else put there.
        asking = self._redis.getrange(KEY_PREFIX + key, 0, self._most_bytes)
        found = await self._answer(asking, self._get_s)
        if not isinstance(found, bytes) or not 0 < len(found) <= self._most_bytes:
            return None
        return found

    async def put(self, key: str, value: bytes) -> None:
        """Keep it, if Redis takes it in time."""
        if len(value) <= self._most_bytes and self._may_call():
            asking = self._redis.set(KEY_PREFIX + key, value, px=self._ttl_ms)
            await self._answer(asking, self._put_s)

    async def close(self) -> None:
        """Let go of the connections; calls under way are waited for, as long as they may last."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=2 * self._put_s)
        await self._redis.aclose()

    async def _answer(self, asking: Awaitable[object], patience_s: float) -> object:
        """What Redis says, or None.

        Not `asyncio.timeout`, and no cancelling: redis-py 8.1 leaves a connection open that is
        cancelled while it is being made. The call ends by itself, by its socket's timeout.
        """
        call = asyncio.ensure_future(asking)
        self._calls.add(call)
        call.add_done_callback(self._ended)
        await asyncio.wait([call], timeout=patience_s)
        if not call.done():
            self._failed(TimeoutError(f"no answer in {patience_s:g} s"))
            return None
        error = call.exception()
        if error is not None:
            self._failed(error)
            return None
        self._rests_until_s = None
        return call.result()

    def _ended(self, call: asyncio.Future[object]) -> None:
        self._calls.discard(call)
        if not call.cancelled():
            call.exception()  # perhaps nobody waits for it any more

    def _may_call(self) -> bool:
        if self._rests_until_s is not None:
            now = self._clock()
            if now < self._rests_until_s:
                return False
            self._rests_until_s = now + self._rest_s  # for all but this one
        if len(self._calls) >= _MOST_AT_A_TIME:
            self._on_fault(StoreFault.BUSY)
            return False
        return True

    def _failed(self, error: BaseException) -> None:
        now = self._clock()
        match error:
            case TimeoutError() | RedisTimeoutError():
                fault = StoreFault.TIMEOUT
            case RedisConnectionError() | OSError():
                fault = StoreFault.CONNECTION
            case _:
                fault = StoreFault.REFUSED  # it is there, and answers
        self._rests_until_s = None if fault is StoreFault.REFUSED else now + self._rest_s
        self._on_fault(fault)
        if now >= self._logs_from_s:
            self._logs_from_s = now + _LOG_EVERY_S
            # Messages of redis-py name host and port and never the URL, which has the password.
            _LOGGER.warning(
                "the audio cache's Redis fails, and lines are made anew meanwhile: %s: %s "
                "(said once in %g s; voxswap_audio_cache_faults_total counts)",
                type(error).__name__,
                error,
                _LOG_EVERY_S,
            )
