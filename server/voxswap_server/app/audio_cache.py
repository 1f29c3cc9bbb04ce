"""The audio cache as the settings want it."""

from __future__ import annotations

import contextlib

from voxswap_server.app.config import Settings, SettingsError
from voxswap_server.app.metrics import Metrics
from voxswap_server.app.way_down import WayDown
from voxswap_server.speech.cache.cache import AudioCache
from voxswap_server.speech.cache.store import AudioStore, MemoryStore, TieredStore


def keep_audio(
    settings: Settings,
    metrics: Metrics,
    stack: contextlib.AsyncExitStack,
    way_down: WayDown,
    *,
    maker: str,
) -> AudioCache:
    """The cache; ``stack`` closes it. Raises `SettingsError` if Redis cannot be as it is set.

    ``maker`` names what audio depends on beside request and version: servers that share a Redis
    may differ.
    """
    counts = metrics.audio_cache
    memory = MemoryStore(settings.audio_cache_bytes, on_eviction=counts.evicted)
    store: AudioStore | None = memory if settings.audio_cache_bytes else None
    if store is not None and (url := settings.audio_cache_redis_url.get_secret_value()):
        store = TieredStore(memory, _redis(url, settings, metrics))
    cache = AudioCache(
        store,
        on_request=counts.request,
        on_fault=counts.fault,
        maker=maker,
        most_entry_bytes=settings.audio_cache_entry_bytes,
        most_held_bytes=settings.audio_cache_bytes,
        parts_at_clause=settings.first_segment == "clause",
    )
    way_down.closing(stack, "the audio cache", cache.close)
    text = "Bytes of recordings in memory."
    metrics.show("audio_cache_bytes", text, lambda: memory.statistics().bytes)
    text = "Recordings in memory."
    metrics.show("audio_cache_entries", text, lambda: memory.statistics().entries)
    text = "Bytes held for streams that share what is being made, or are sent a recording."
    metrics.show("audio_cache_held_bytes", text, lambda: cache.statistics().held_bytes)
    metrics.watch_beside(
        "audio cache", lambda: memory.statistics().bytes + cache.statistics().held_bytes
    )
    return cache


def _redis(url: str, settings: Settings, metrics: Metrics) -> AudioStore:
    try:
        from voxswap_server.speech.cache.redis_store import RedisStore
    except ImportError as error:
        raise SettingsError(
            "audio_cache_redis_url: needs the package redis: pip install 'voxswap[redis]'"
        ) from error
    try:
        return RedisStore(
            url,
            ttl_s=settings.audio_cache_ttl_s,
            most_bytes=settings.audio_cache_entry_bytes,
            on_fault=metrics.audio_cache.fault,
        )
    except ValueError:
        # Neither the URL nor what was said of it: a slash in a password makes it part of the port.
        raise SettingsError(
            "audio_cache_redis_url: cannot be read (it is not shown here); write "
            "redis://user:password@host:6379/0, with percent-encoding for signs in the password"
        ) from None
