"""From what an operator writes (a folder, s3://, gs://, az://) to the objects there."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from voxswap_registry.errors import InvalidInputError
from voxswap_registry.storage.folder import FolderObjects

if TYPE_CHECKING:
    from voxswap_registry.storage.bucket import BucketObjects

_BUCKETS = {
    "s3": "s3", "s3a": "s3", "gs": "gs", "az": "az", "azure": "az", "abfs": "az", "abfss": "az",
}  # fmt: skip
_RULE = "write a folder, or a URL of a bucket: s3://bucket/path, gs://bucket/path, az://..."


def is_bucket(location: str) -> bool:
    """Whether ``location`` is a bucket's URL. Raises `InvalidInputError` for another URL."""
    scheme, separator, _ = location.partition("://")
    if not separator or scheme == "file":
        return False
    if scheme not in _BUCKETS:
        raise InvalidInputError.one("registry", f"has the unknown kind {scheme!r}; {_RULE}")
    return True


def open_objects(location: str | Path) -> FolderObjects | BucketObjects:
    """The objects at ``location``. Touches neither disk nor network yet.

    Credentials and endpoints come from the environment, by the names that each cloud's own tools
    read (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, GOOGLE_APPLICATION_CREDENTIALS, ...), never from the
    URL. Raises `InvalidInputError`.
    """
    text = str(location)
    if not is_bucket(text):
        folder = text.removeprefix("file://")
        if not folder:
            raise InvalidInputError.one("registry", f"is empty; {_RULE}")
        return FolderObjects(Path(folder))
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise InvalidInputError.one("registry", f"cannot be opened: {error}; {_RULE}") from error
    # Of abfs://container@account.dfs.core.windows.net/path, what stands before '@' is no user.
    user = "" if parts.scheme in {"abfs", "abfss"} else parts.username
    if user or parts.password or parts.query or parts.fragment:
        raise InvalidInputError.one(
            "registry",
            "carries a user, a password or options; credentials come from the environment",
        )
    if not parts.netloc:
        raise InvalidInputError.one("registry", f"{text!r} names no bucket; {_RULE}")
    from obstore.exceptions import BaseError
    from obstore.store import from_url

    from voxswap_registry.storage.bucket import BucketObjects

    try:
        store = from_url(
            text,
            client_options={
                "timeout": timedelta(seconds=20),
                "connect_timeout": "5 seconds",
                # For an endpoint that the operator wrote so; the clouds' own are never plain HTTP.
                "allow_http": True,
            },
            retry_config={
                "max_retries": 3,
                "retry_timeout": timedelta(seconds=15),
                "backoff": {"max_backoff": timedelta(seconds=2)},
            },
        )
    except (BaseError, ValueError) as error:
        raise InvalidInputError.one(
            "registry", f"{text!r} cannot be opened: {str(error).splitlines()[0]}; {_RULE}"
        ) from error
    return BucketObjects(store, text)
