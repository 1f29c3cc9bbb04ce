"""The kinds of store that the registry's tests run on, and what must be true of each at all times.

S3 is moto's, over real HTTP, with what moto lacks put before it. Everything is given to the client
in so many words; nothing of the machine's own environment reaches it.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import logging
import os
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from obstore.store import MemoryStore, S3Store

from tests.registry.drafts import listings
from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.layout import BLOBS, VOICES, blob_digest, blob_key, voice_object
from voxswap_registry.state import VoiceRecord
from voxswap_registry.storage.bucket import BucketObjects
from voxswap_registry.storage.folder import FolderObjects
from voxswap_registry.storage.objects import Objects
from voxswap_registry.store import Registry

KEY_ID, SECRET = "AKIAVOXSWAPTESTS", "the-secret-that-no-message-may-show"
FORBIDDEN = "forbidden"  # a bucket that nobody may touch
REGION = "us-east-1"


def memory_objects() -> BucketObjects:
    """A bucket in this process's memory."""
    return BucketObjects(MemoryStore(), "memory://")


def s3_objects(
    endpoint: str, bucket: str, *, key_id: str = KEY_ID, retries: int = 0
) -> BucketObjects:
    """A bucket at an endpoint that speaks S3. Works in any process."""
    with without_ambient_settings():
        store = S3Store(
            bucket,
            endpoint=endpoint,
            region=REGION,
            access_key_id=key_id,
            secret_access_key=SECRET,
            virtual_hosted_style_request=False,
            client_options={"allow_http": True},
            retry_config={
                "max_retries": retries,
                "retry_timeout": timedelta(seconds=10),
                "backoff": {
                    "base": 2,
                    "init_backoff": timedelta(milliseconds=1),
                    "max_backoff": timedelta(milliseconds=2),
                },
            },
        )
    return BucketObjects(store, f"s3://{bucket}")


@contextlib.contextmanager
def without_ambient_settings() -> Iterator[None]:
    """No credentials, endpoints or proxies of this machine inside the block."""
    with mock.patch.dict(os.environ):
        for name in list(os.environ):
            if name.upper().startswith("AWS_") or name.upper().endswith("_PROXY"):
                del os.environ[name]
        yield


class S3Server:
    """moto's S3 on a free port of this machine. Thread-safe; stops at the end of the block.

    In front of it stands what S3 does and moto does not: one request at a time meets the objects,
    so a conditional write looks and writes in one step, and unknown keys are turned away.
    """

    def __init__(self) -> None:
        from moto.moto_server.threaded_moto_server import ThreadedMotoServer

        self._moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._lock = threading.Lock()
        self._log = logging.getLogger("werkzeug")
        self.loses_answer: Callable[[str, str], bool] = lambda _method, _path: False

    def __enter__(self) -> S3Server:
        self._log_level = self._log.level
        self._log.setLevel(logging.CRITICAL)
        self._moto.start()
        server = self._moto._server
        assert server is not None
        self._app, server.app = server.app, self._answer
        host, port = self._moto.get_host_and_port()
        self.endpoint = f"http://{host}:{port}"
        self._address = (host, port)
        self.request("PUT", f"/{FORBIDDEN}", past_the_door=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._moto.stop()
        server = self._moto._server
        assert server is not None
        server.server_close()
        self._log.setLevel(self._log_level)

    def new_bucket(self) -> str:
        """The name of a bucket that nobody else has: moto's servers share their buckets."""
        bucket = f"bucket-{secrets.token_hex(8)}"
        self.request("PUT", f"/{bucket}")
        return bucket

    def objects(self, bucket: str | None = None, **options: Any) -> BucketObjects:
        """The objects of a bucket, of a new one if none is named."""
        return s3_objects(self.endpoint, bucket or self.new_bucket(), **options)

    def seed(self, bucket: str, keys: Iterable[str]) -> None:
        """Put objects there by the back door: quickly."""
        from moto.core.models import DEFAULT_ACCOUNT_ID
        from moto.s3.models import s3_backends

        for key in keys:
            s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(bucket, key, b"x")

    def request(self, method: str, path: str, *, past_the_door: bool = False) -> bytes:
        """Ask the server without obstore; what it answers."""
        connection = http.client.HTTPConnection(*self._address, timeout=30)
        with contextlib.closing(connection):
            scope = f"Credential={KEY_ID}/20260102/{REGION}/s3/aws4_request"
            signed = f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=unchecked"
            headers = {"Authorization": signed, "Content-Length": "0"}
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            answer = response.read()
            assert past_the_door or response.status == 200, answer
            return answer

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if f"Credential={KEY_ID}/" not in environ.get("HTTP_AUTHORIZATION", ""):
            return _refusal("InvalidAccessKeyId", start_response)
        if path.split("/")[1] == FORBIDDEN:
            return _refusal("AccessDenied", start_response)
        lost = self.loses_answer(environ["REQUEST_METHOD"], path)
        answers: list[Any] = []
        with self._lock:
            app: Any = self._app
            body = list(app(environ, lambda *answer: answers.append(answer)))
        if lost:
            start_response("503 Service Unavailable", [("Content-Length", "0")])
            return []
        start_response(*answers[0])
        return body


def _refusal(code: str, start_response: Any) -> Iterable[bytes]:
    body = f"<Error><Code>{code}</Code><Message>No.</Message></Error>".encode()
    start_response("403 Forbidden", [("Content-Length", str(len(body)))])
    return [body]


def records(registry: Registry) -> dict[str, VoiceRecord]:
    """Every voice of which there is any object, as it is in the store."""
    found = (voice_object(info.key) for info in registry.objects.list(VOICES))
    return {voice_id: registry.look(voice_id) for voice_id in {v.voice_id for v in found if v}}


def stored_blobs(objects: Objects) -> set[str]:
    """The digests of all blobs."""
    return {blob_digest(info.key) or info.key for info in objects.list(BLOBS)}


def referenced_blobs(registry: Registry) -> set[str]:
    """The digests of all blobs that some visible version names."""
    return {
        component.digest
        for voice_id, record in records(registry).items()
        for version in record.versions
        for component in registry.read(voice_id, version).components
    }


def check_sound(registry: Registry, catalog: Catalog | None = None) -> None:
    """What is true whatever happened: all that can be seen is whole, and listed as it is.

    By ``catalog`` after it has looked again; without one, by a fresh one.
    """
    objects, found = registry.objects, records(registry)
    for voice_id, record in found.items():
        assert not record.state.deleted & set(record.versions)
        named = {*record.state.labels.values(), *record.state.traffic}
        assert named <= set(record.versions), f"{voice_id}: {named} of {record.versions}"
        for version in record.versions:
            for component in registry.read(voice_id, version).components:
                data = b"".join(objects.stream(blob_key(component.digest)))
                assert f"sha256:{hashlib.sha256(data).hexdigest()}" == component.digest
                assert len(data) == component.size_bytes
    if catalog is None:
        listed = listings(registry)
    else:
        catalog.refresh()
        listed = list(catalog.listings())
    assert [listing.error for listing in listed] == [None] * len(listed)
    assert {listing.voice_id: listing.record for listing in listed} == {
        voice_id: record for voice_id, record in found.items() if record.versions
    }


def check_collected(registry: Registry) -> None:
    """What is true after a collection without grace: nothing lies there that nobody needs."""
    objects, found = registry.objects, records(registry)
    assert stored_blobs(objects) == referenced_blobs(registry)
    for info in objects.list(VOICES):
        named = voice_object(info.key)
        assert named is not None
        assert named.kind == "state" or named.number in found[named.voice_id].versions, info.key
    assert not [
        info.key for folder in ("publishing", "collecting") for info in objects.list(folder)
    ]


Place = tuple[str, ...]  # ("folder", path) or ("s3", endpoint, bucket): what another process gets


def objects_at(place: Place) -> Objects:
    """The objects at a place, in whichever process."""
    kind, *where = place
    return FolderObjects(Path(where[0])) if kind == "folder" else s3_objects(*where)
