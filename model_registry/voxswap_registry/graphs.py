"""Which graphs may be run: an operator's word for each, by digest.

A graph is a program, and the library that runs it was not made for hostile ones. Looking it over
(`families.Rules.graph_checks`) is the second wall; the first one is that a graph runs only if an
operator trusts it: by importing its voice where the registry is, by `voxswap registry trust-graph`,
or by naming its digest in a server's settings. Of the first two the registry keeps a record, one
small object for each digest, created once. Nothing that comes over the wire ever writes one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from voxswap_registry.clock import Clock, utc_now
from voxswap_registry.draft import VoiceDraft
from voxswap_registry.errors import (
    ComponentMissingError,
    GraphNotTrustedError,
    InvalidInputError,
    RegistryError,
)
from voxswap_registry.families import GraphError, installed, rules_of
from voxswap_registry.layout import blob_key, graph_key
from voxswap_registry.manifest import Component, Manifest
from voxswap_registry.os_errors import as_registry_errors
from voxswap_registry.storage.objects import Objects
from voxswap_registry.store import Registry

SCHEMA_VERSION: Final = 1
_MAX_RECORD_BYTES = 4096
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrustedGraph:
    """A graph that is trusted from now on: which component of which voice, if one was named.

    ``is_new`` is whether it was not trusted before.
    """

    digest: str
    is_new: bool
    voice: str = ""
    role: str = ""


class GraphTrust:
    """Which graphs a server may run. Thread-safe; methods block on the store.

    A yes is kept by digest until the server stops, so a graph is asked about once; a no is not, so
    what an operator trusts meanwhile counts at the next try.
    """

    def __init__(
        self, objects: Objects, *, named: Collection[str] = (), all_signed: bool = False
    ) -> None:
        """``named`` are digests that the settings trust.

        ``all_signed`` says that whatever is loaded was signed by a trusted key: its signature
        covers the graph's digest, and whoever may sign is an operator.
        """
        self._objects = objects
        self._all_signed = all_signed
        self._lock = threading.Lock()
        self._trusted = set(named)

    def check_loaded(self, manifest: Manifest, role: str) -> None:
        """Raise `GraphNotTrustedError` unless the graph ``role`` of a catalog's version may run.

        Raises `RegistryError` if the store cannot say.
        """
        if not self._all_signed:
            self.check(manifest, (role,))

    def check(self, manifest: Manifest, roles: Iterable[str]) -> None:
        """Raise `GraphNotTrustedError` unless these graphs are trusted, whoever signed what."""
        for role in roles:
            component = manifest.component(role)
            if not self._is_trusted(component.digest):
                raise _refused(manifest, component)

    def _is_trusted(self, digest: str) -> bool:
        with self._lock:
            if digest in self._trusted:
                return True
        if not is_recorded(self._objects, digest):
            return False
        with self._lock:
            self._trusted.add(digest)
        return True


def _refused(manifest: Manifest, component: Component) -> GraphNotTrustedError:
    return GraphNotTrustedError(
        f"the {component.role} of {manifest.voice_id} ({component.digest}) is a graph, which is a "
        "program, and no operator trusts it. Import the voice on the server's machine with "
        "`voxswap voices add SOURCE --registry …`; or, if you know where it is from, name the "
        "digest in trusted_graphs, or run `voxswap registry trust-graph "
        f"{component.digest}` on the registry that has it",
        metadata={"role": component.role, "digest": component.digest},
    )


def is_recorded(objects: Objects, digest: str) -> bool:
    """Whether the registry says that an operator trusts ``digest``. Blocks on the store."""
    key = graph_key(digest)
    data = objects.read(key, limit_bytes=_MAX_RECORD_BYTES)
    if data is None:
        return False
    try:
        raw = json.loads(data) if len(data) <= _MAX_RECORD_BYTES else None
    except (ValueError, RecursionError):
        raw = None
    if isinstance(raw, dict) and (raw.get("schema_version"), raw.get("digest")) == (
        SCHEMA_VERSION,
        digest,
    ):
        return True
    _LOGGER.warning(
        "%s in %s is no record of this graph, so it is not trusted; remove it, and trust the graph "
        "again with: voxswap registry trust-graph %s",
        *(key, objects.name, digest),
    )
    return False


def record(
    objects: Objects, digest: str, *, actor: str = "", clock: Clock = utc_now, tool: str
) -> bool:
    """Write that an operator trusts ``digest``; whether that is new. Blocks on the store.

    REQUIRES: the graph was looked over, and an operator asked for it.
    Raises `RegistryError` where the store refuses.
    """
    document = {
        "schema_version": SCHEMA_VERSION,
        "digest": digest,
        "tool": tool,
        "actor": actor,
        "time": clock().isoformat(timespec="seconds"),
    }
    data = json.dumps(document, sort_keys=True, indent=1).encode() + b"\n"
    if is_recorded(objects, digest):
        return False
    if objects.create(graph_key(digest), data):
        return True
    if is_recorded(objects, digest):  # Others were faster.
        return False
    raise RegistryError(
        f"{graph_key(digest)} in {objects.name} is there and is no record of this graph; remove it "
        "and try again"
    )


def record_imported(registry: Registry, draft: VoiceDraft, *, actor: str = "") -> None:
    """Record the graphs of a draft that an importer has just written. Blocks: it hashes them.

    Before publishing, so that no server meets the voice without it. A graph that the draft only
    names by its digest was not imported here, and is not recorded.
    """
    roles = graph_roles(draft.engine)
    for part in draft.components:
        if part.role in roles and part.path is not None:
            with as_registry_errors("read", part.path), part.path.open("rb") as file:
                digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            record(registry.objects, digest, actor=actor, tool=draft.provenance.tool)


def trust_voice(
    registry: Registry, manifest: Manifest, *, actor: str = "", tool: str
) -> list[TrustedGraph]:
    """Trust the graphs of a version that is there, after a look at them; none if it has none.

    Blocks for a second a graph. Raises `GraphNotTrustedError` for one that should not be run
    whoever trusts it, and `RegistryError`.
    """
    found = []
    for role in graph_roles(manifest.engine):
        component = manifest.component(role)
        is_new = _trust(registry, manifest.engine, component, actor=actor, tool=tool)
        found.append(TrustedGraph(component.digest, is_new, manifest.ref, role))
    return found


def trust_digest(registry: Registry, digest: str, *, actor: str = "", tool: str) -> TrustedGraph:
    """Trust a graph whose bytes are in the registry, after a look at it. See `trust_voice`."""
    info = registry.objects.head(blob_key(digest))
    if info is None:
        raise ComponentMissingError(
            f"{digest} is not in {registry.objects.name}; publish a voice that has it first, or "
            "name it in the setting trusted_graphs of the servers"
        )
    kinds = [(engine, role) for engine in installed() for role in graph_roles(engine)]
    faults = []
    for engine, role in kinds:
        component = Component(role, digest, info.size_bytes, "application/onnx")
        try:
            return TrustedGraph(digest, _trust(registry, engine, component, actor=actor, tool=tool))
        except GraphNotTrustedError as error:
            faults.append(error)
    raise (
        faults[0]
        if faults
        else GraphNotTrustedError(
            f"{digest} is of no family that has graphs; none is installed here", metadata={}
        )
    )


def graph_roles(engine: str) -> Collection[str]:
    """The roles of an engine's voices whose components are programs."""
    rules = rules_of(engine)
    return () if rules is None else rules.graph_checks.keys()


def _trust(registry: Registry, engine: str, component: Component, *, actor: str, tool: str) -> bool:
    rules = rules_of(engine)
    assert rules is not None  # noqa: S101 - its roles were asked for
    if component.size_bytes > rules.role_limits[component.role]:
        raise InvalidInputError.one(
            "graph", f"{component.digest} has {component.size_bytes} bytes, more than any graph"
        )
    try:
        with registry.components.hold(component) as file:
            rules.graph_checks[component.role](file.read_bytes())
    except GraphError as error:
        raise GraphNotTrustedError(
            f"{component.digest} {error}; it should not be run, and is not recorded as trusted",
            metadata={"role": component.role, "digest": component.digest},
        ) from error
    return record(registry.objects, component.digest, actor=actor, tool=tool)
