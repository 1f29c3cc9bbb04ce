"""A blocking client with the face of an asynchronous one, so that one test tries both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from voxswap_client import Client


class SyncStream:
    """A `SpeechStream` with the face of an `AsyncSpeechStream`."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.cancel = stream.cancel
        self.result = stream.result

    receipt = property(lambda self: self._stream.receipt)
    trailer = property(lambda self: self._stream.trailer)
    ttfa_ms = property(lambda self: self._stream.ttfa_ms)

    async def header(self) -> Any:
        return self._stream.header

    async def collect(self) -> Any:
        return self._stream.collect()

    async def interrupt(self) -> Any:
        return self._stream.interrupt()

    def __aiter__(self) -> SyncStream:
        return self

    async def __anext__(self) -> Any:
        try:
            return next(self._stream)
        except StopIteration:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> SyncStream:
        self._stream.__enter__()
        return self

    async def __aexit__(self, *exc: Any) -> None:
        self._stream.__exit__(*exc)


class SyncWatch:
    """A `ResidencyWatch` with the face of an `AsyncResidencyWatch`."""

    def __init__(self, watch: Any) -> None:
        self._watch = watch
        self.cancel = watch.cancel

    def __aiter__(self) -> SyncWatch:
        return self

    async def __anext__(self) -> Any:
        return next(self._watch)

    async def __aenter__(self) -> SyncWatch:
        self._watch.__enter__()
        return self

    async def __aexit__(self, *exc: Any) -> None:
        self._watch.__exit__(*exc)


class SyncClient:
    """A `Client` with the face of an `AsyncClient`: its calls block, the server has own threads."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def synthesize(self, *args: Any, **options: Any) -> SyncStream:
        return SyncStream(self._client.synthesize(*args, **options))

    def converse(self, *args: Any, **options: Any) -> SyncConversation:
        return SyncConversation(self._client.converse(*args, **options))

    def watch(self, **options: Any) -> SyncWatch:
        return SyncWatch(self._client.watch(**options))

    async def list_voices(self, **options: Any) -> AsyncIterator[Any]:
        for voice in self._client.list_voices(**options):
            yield voice

    async def list_changes(self, *args: Any, **options: Any) -> AsyncIterator[Any]:
        for change in self._client.list_changes(*args, **options):
            yield change

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        async def call(*args: Any, **options: Any) -> Any:
            return method(*args, **options)

        return call


class SyncConversation:
    """A `Conversation` with the face of an `AsyncConversation`."""

    def __init__(self, conversation: Any) -> None:
        self._conversation = conversation
        self.cancel, self.result = conversation.cancel, conversation.result
        self.speak = conversation.speak

    trailer = property(lambda self: self._conversation.trailer)
    ttfa_ms = property(lambda self: self._conversation.ttfa_ms)

    async def header(self) -> Any:
        return self._conversation.header

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._conversation, name)

        async def call(*args: Any, **options: Any) -> Any:
            return method(*args, **options)

        return call

    def __aiter__(self) -> SyncConversation:
        return self

    async def __anext__(self) -> Any:
        try:
            return next(self._conversation)
        except StopIteration:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> SyncConversation:
        self._conversation.__enter__()
        return self

    async def __aexit__(self, *exc: Any) -> None:
        self._conversation.__exit__(*exc)
