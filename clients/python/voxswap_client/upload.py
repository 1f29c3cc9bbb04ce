"""What an upload sends: the manifest, the bytes that the server lacks in pieces, and a commit."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voxswap.v1 import voices_pb2
from voxswap_client.errors import InvalidRequestError, Violation, VoxswapClientError

# A message with its digest and offset stays below 1 MiB.
PIECE_BYTES = (1 << 20) - 1024
_MAX_ASKED = 1000  # components in one FindMissingComponentsRequest

OnProgress = Callable[[int, int], object]


@dataclass(frozen=True, slots=True)
class Part:
    """One component that must be sent, and the file that has its bytes."""

    component: voices_pb2.Component
    path: Path


def components_of(manifest_json: bytes) -> list[voices_pb2.Component]:
    """The components that a manifest names, each digest once. Raises `InvalidRequestError`."""
    try:
        found = [
            voices_pb2.Component(
                role=item["role"],
                digest=item["digest"],
                size_bytes=item["size_bytes"],
                media_type=item["media_type"],
                form=item.get("form", ""),
            )
            for item in json.loads(manifest_json)["components"]
        ]
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        description = (
            "must be a JSON object whose 'components' have role, digest, size_bytes and media_type "
            f"({type(error).__name__}: {error})"
        )
        raise InvalidRequestError(
            f"the voice cannot be sent: manifest_json {description}",
            violations=[Violation("manifest_json", description)],
        ) from error
    return list({component.digest: component for component in found}.values())


def questions(
    components: Sequence[voices_pb2.Component],
) -> Iterator[voices_pb2.FindMissingComponentsRequest]:
    """The requests that ask for all of them."""
    rest = iter(components)
    while batch := list(itertools.islice(rest, _MAX_ASKED)):
        yield voices_pb2.FindMissingComponentsRequest(components=batch)


def parts(
    components: Sequence[voices_pb2.Component],
    missing: Collection[str],
    files: Mapping[str, Path],
) -> list[Part]:
    """What must be sent. Blocks: opens every file.

    `InvalidRequestError` names every component whose file is not there, cannot be read or has
    another size.
    """
    found: list[Part] = []
    faults: list[Violation] = []
    for component in components:
        if component.digest in missing:
            path = files.get(component.digest)
            fault = "no file is given" if path is None else _fault(path, component.size_bytes)
            if path is None or fault:
                what = f"{component.role} {component.digest}: {fault}"
                faults.append(Violation("components", what))
            else:
                found.append(Part(component, path))
    if faults:
        raise InvalidRequestError(
            "the server lacks components that cannot be sent: "
            + "; ".join(fault.description for fault in faults),
            violations=faults,
        )
    return found


def _fault(path: Path, size_bytes: int) -> str:
    try:
        with path.open("rb") as file:
            actual_bytes = file.seek(0, 2)
    except OSError as error:
        return f"{path} cannot be read: {error.strerror or error}"
    if actual_bytes == size_bytes:
        return ""
    return f"{path} has {actual_bytes} bytes, and the manifest says {size_bytes}"


def messages(
    first: voices_pb2.RegisterVoiceRequest, wanted: Sequence[Part]
) -> Iterator[voices_pb2.RegisterVoiceRequest]:
    """All messages of an upload. Blocks on the disk; holds one piece at a time.

    Without the last one the server publishes nothing, however the stream ended.

    Raises `VoxswapClientError` if a file cannot be read or became shorter.
    """
    yield first
    for part in wanted:
        offset, size_bytes = 0, part.component.size_bytes
        while offset < size_bytes:
            data = _read(part.path, offset, min(PIECE_BYTES, size_bytes - offset))
            yield voices_pb2.RegisterVoiceRequest(
                component=voices_pb2.ComponentBytes(
                    digest=part.component.digest, offset_bytes=offset, data=data
                )
            )
            offset += len(data)
    yield voices_pb2.RegisterVoiceRequest(commit=voices_pb2.UploadCommit())


def _read(path: Path, offset: int, n_bytes: int) -> bytes:
    # Opened for each piece: an upload may be dropped at any of them, and in any thread.
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(offset)
            data = file.read(n_bytes)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    if not data:
        raise _unreadable(path, "it became shorter while it was being sent")
    return data


def _unreadable(path: Path, why: str) -> VoxswapClientError:
    return VoxswapClientError(f"the upload was given up: cannot read {path}: {why}")


class Meter:
    """Counts the bytes that were sent and tells ``on_progress``. For one thread at a time."""

    def __init__(self, wanted: Sequence[Part], on_progress: OnProgress | None) -> None:
        self._total_bytes = sum(part.component.size_bytes for part in wanted)
        self._sent_bytes = 0
        self._on_progress = on_progress
        if on_progress is not None:
            on_progress(0, self._total_bytes)

    def sent(self, message: voices_pb2.RegisterVoiceRequest) -> None:
        """``message`` is out."""
        self._sent_bytes += len(message.component.data)
        if self._on_progress is not None and message.HasField("component"):
            self._on_progress(self._sent_bytes, self._total_bytes)
