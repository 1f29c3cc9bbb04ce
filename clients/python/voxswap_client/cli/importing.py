"""Imports voices, and publishes them in a registry or uploads them to a server."""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from voxswap_client.cli.failure import CliError, usage_error
from voxswap_client.cli.local import as_voice, errors_told, opened
from voxswap_client.cli.progress import ProgressBar
from voxswap_client.types import Registration, Voice

if TYPE_CHECKING:
    from voxswap_client import Client
    from voxswap_registry.draft import VoiceDraft
    from voxswap_registry.manifest import Component


def found_at(path: Path, args: argparse.Namespace) -> dict[str | None, str]:
    """What to import of ``path``: the id of each voice by its name there, None for an only one.

    Those that each stand for themselves are called by their own names behind ``--id``; of these
    ``--only`` chooses some. Raises `CliError`.
    """
    if args.style is not None:
        return {args.style: args.id}
    with errors_told():
        from voxswap_families.importing.detect import members

        names = members(path)
    if len(names) < 2:
        if args.only is not None and path.exists():
            raise usage_error(f"--only chooses among several, and {path} holds one voice")
        return {None: args.id}
    return {name: f"{args.id}/{name.lower()}" for name in _chosen(path, names, args.only)}


def _chosen(path: Path, names: Sequence[str], only: str | None) -> list[str]:
    """Those of ``names`` that a pattern of ``only`` fits; all of them without one."""
    if only is None:
        return list(names)
    patterns = list(map(str.strip, only.split(",")))
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise usage_error(
                f"--only has {pattern!r}, which is none of the {len(names)} voices at {path}",
                f"it has {', '.join(names[:8])}{' …' if len(names) > 8 else ''}",
            )
    return [n for n in names if any(fnmatch.fnmatchcase(n, pattern) for pattern in patterns)]


def fabricate(kind: str, folder: Path, seed: int, size: str) -> None:
    """Make up a voice in ``folder``, which is empty or not there."""
    with errors_told():
        from voxswap_families.fabricating import fabricate

        fabricate(kind, folder, seed=seed, size=size)


def kinds() -> dict[str, str]:
    """What can be made up, with a description of each."""
    with errors_told():
        from voxswap_families.register import fabricators

        return {name: each.description for name, each in fabricators().items()}


def add_to_registry(
    location: str, args: argparse.Namespace, voices: Mapping[str | None, str], actor: str
) -> list[Registration]:
    """Import ``voices`` and publish each, unless its newest version is the same."""
    with opened(location) as registry, registry.workdir() as workdir:
        from voxswap_registry.draft import DraftComponent
        from voxswap_registry.graphs import record_imported

        done: list[Registration] = []
        known: dict[Path | None, Component] = {}
        for draft in _imported(args, voices, workdir):
            # What a voice before had of the same file is there, and need not be looked at again.
            parts = tuple(
                replace(DraftComponent.stored(known[part.path]), role=part.role, form=part.form)
                if part.path in known
                else part
                for part in draft.components
            )
            # Whoever imports where the registry is, is an operator: a graph may be run from now on.
            record_imported(registry, draft, actor=actor)
            manifest, created = registry.publish_if_new(
                replace(draft, components=parts),
                label=args.label,
                actor=actor,
                rewrite=args.rewrite,
            )
            for part, component in zip(draft.components, manifest.components, strict=True):
                known[part.path] = component
            record = registry.record(draft.voice_id)
            done.append(Registration(as_voice(manifest, record), created))
        return done


def add_to_server(
    client: Client, args: argparse.Namespace, voices: Mapping[str | None, str], actor: str
) -> list[Registration]:
    """Import ``voices`` here and upload what the server lacks of each."""
    with errors_told(), tempfile.TemporaryDirectory(prefix="voxswap-") as folder:
        from voxswap_registry.publishing import as_upload

        done: list[Registration] = []
        hashed: dict[Path, Component] = {}
        for draft in _imported(args, voices, Path(folder)):
            manifest_json, files = as_upload(draft, hashed)
            with _uploading(draft.voice_id) as progress:
                done.append(
                    client.register_voice(
                        manifest_json,
                        files,
                        label=args.label or "",
                        actor=actor,
                        on_progress=progress,
                        timeout_s=args.timeout,
                    )
                )
            _check_forms(draft, done[-1].voice)
        return done


def _check_forms(draft: VoiceDraft, voice: Voice) -> None:
    """A server that is older than forms takes a voice and forgets them; raises `CliError`."""
    told = {component.role: component.form for component in voice.components}
    lost = [c for c in draft.components if c.form and not told.get(c.role)]
    if lost:
        raise CliError(
            f"{voice.ref} is published, and the server cannot speak it: it is older than "
            f"{lost[0].form} weights",
            f"delete it with `voxswap voices delete {voice.ref}`, and add it with --form plain; or "
            "update the server first",
        )


def add_embedded(location: str, actor: str) -> list[Voice]:
    """Import the voices of installed packages that the registry lacks."""
    with opened(location) as registry, ProgressBar() as progress:
        from voxswap_families.embedded import import_embedded

        found = import_embedded(registry, progress, dtype="auto", actor=actor)
        return [as_voice(manifest, registry.record(manifest.voice_id)) for manifest in found]


def add_packs(
    location: str, args: argparse.Namespace, actor: str
) -> tuple[list[Registration], int]:
    """Publish style packs of Kokoro's; how many the registry lacks then.

    With ``--embedded`` each once: what was deleted stays so.
    """
    with opened(location) as registry, ProgressBar() as progress:
        from voxswap_families.kokoro.pack_voices import add_packs

        found = add_packs(
            registry,
            args.kokoro_packs,
            only=() if args.only is None else tuple(map(str.strip, args.only.split(","))),
            once=args.embedded,
            progress=progress,
            actor=actor,
        )
        done = [
            Registration(as_voice(manifest, registry.record(manifest.voice_id)), is_new)
            for manifest, is_new in found.done
        ]
        return done, len(found.others)


def _imported(
    args: argparse.Namespace, voices: Mapping[str | None, str], workdir: Path
) -> Iterator[VoiceDraft]:
    from voxswap_families.importing.detect import import_voices

    with ProgressBar() as progress:
        for draft in import_voices(
            args.path,
            voices,
            dtype=args.dtype or "auto",
            form=args.form or "auto",
            licence=args.licence,
            code_licence=args.code_licence,
            language=args.language,
            workdir=workdir,
            progress=progress,
        ):
            yield replace(
                draft,
                display_name=draft.display_name if args.name is None else args.name,
                tags=tuple(args.tag or ()),
                gender=draft.gender if args.gender is None else args.gender,
            )


@contextlib.contextmanager
def _uploading(voice_id: str) -> Iterator[Callable[[int, int], None]]:
    """A bar to tell bytes sent, and bytes to send."""
    shown_bytes = -1

    def tell(sent_bytes: int, total_bytes: int) -> None:
        nonlocal shown_bytes
        if shown_bytes < 0:
            shown_bytes = 0
            bar.start(f"uploading {voice_id}", total_bytes)
        bar.advance(sent_bytes - shown_bytes)
        shown_bytes = sent_bytes

    with ProgressBar() as bar:
        yield tell
