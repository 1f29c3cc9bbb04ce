"""Imports voices, and publishes them in a registry or uploads them to a server."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from voxswap_client.cli.failure import CliError
from voxswap_client.cli.local import as_voice, errors_told, opened
from voxswap_client.cli.progress import ProgressBar
from voxswap_client.types import Registration, Voice

if TYPE_CHECKING:
    from voxswap_client import Client
    from voxswap_registry.draft import VoiceDraft


def found_at(path: Path, args: argparse.Namespace) -> list[argparse.Namespace]:
    """What to import of ``path``: ``args``, or for each of several voices its own id and style.

    Those that each stand for themselves are called by their own names behind ``--id``.
    """
    if args.style is not None:
        return [args]
    with errors_told():
        from voxswap_families.importing.detect import members

        names = members(path)
    if len(names) < 2:
        return [args]
    return [
        argparse.Namespace(**{**vars(args), "id": f"{args.id}/{name.lower()}", "style": name})
        for name in names
    ]


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


def add_to_registry(location: str, args: argparse.Namespace, actor: str) -> Registration:
    """Import one voice and publish it, unless its newest version is the same."""
    with opened(location) as registry, registry.workdir() as workdir:
        from voxswap_registry.graphs import record_imported

        draft = _imported(args, workdir)
        # Whoever imports where the registry is, is an operator: the graph may be run from now on.
        record_imported(registry, draft, actor=actor)
        manifest, created = registry.publish_if_new(
            draft, label=args.label, actor=actor, rewrite=args.rewrite
        )
        return Registration(as_voice(manifest, registry.record(draft.voice_id)), created)


def add_to_server(client: Client, args: argparse.Namespace, actor: str) -> Registration:
    """Import one voice here and upload what the server lacks of it."""
    with errors_told(), tempfile.TemporaryDirectory(prefix="voxswap-") as folder:
        from voxswap_registry.publishing import as_upload

        draft = _imported(args, Path(folder))
        manifest_json, files = as_upload(draft)
        with _uploading(args.id) as progress:
            done = client.register_voice(
                manifest_json,
                files,
                label=args.label or "",
                actor=actor,
                on_progress=progress,
                timeout_s=args.timeout,
            )
        _check_forms(draft, done.voice)
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


def _imported(args: argparse.Namespace, workdir: Path) -> VoiceDraft:
    from voxswap_families.importing.detect import import_voice

    with ProgressBar() as progress:
        draft = import_voice(
            args.path,
            args.id,
            dtype=args.dtype or "auto",
            form=args.form or "auto",
            licence=args.licence,
            code_licence=args.code_licence,
            language=args.language,
            style=args.style,
            workdir=workdir,
            progress=progress,
        )
    return dataclasses.replace(
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
