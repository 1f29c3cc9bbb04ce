"""``voxswap voices add``: import a voice here, then publish it in a registry or send it off."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from voxswap_client.cli import local
from voxswap_client.cli.catalog import Actions, actor, add_action, add_change, asks_server
from voxswap_client.cli.connection import address_of, connect
from voxswap_client.cli.failure import usage_error
from voxswap_client.cli.output import human_bytes, print_json
from voxswap_client.cli.progress import ProgressBar
from voxswap_client.types import Registration

_OF_ONE_VOICE = ("id", "dtype", "licence", "code_licence", "language", "label", "tags", "gender")


def add_to(actions: Actions) -> None:
    """Add the command."""
    add = add_action(actions, "add", "import a voice and publish it, here or at a server")
    add.add_argument(
        "source", metavar="SOURCE", nargs="?", type=Path, help="a Piper .onnx or a folder"
    )
    add.add_argument("--embedded", action="store_true", help="voices of installed packages")
    add.add_argument("--id", metavar="ID", help="what the voice shall be called, such as npc/smith")
    add.add_argument("--dtype", choices=("float32", "bfloat16"), help="of the weights")
    add.add_argument("--licence", "--license", metavar="TEXT", help="of the weights")
    add.add_argument(
        "--code-licence", "--code-license", metavar="TEXT", help="of the code that made them"
    )
    add.add_argument("--language", metavar="TAG", help="such as en-US; usually the files say it")
    add.add_argument("--label", metavar="NAME", help="a label for the new version, such as canary")
    add.add_argument("--name", metavar="TEXT", help="a name for people")
    add.add_argument("--tag", dest="tags", action="append", help="repeat it for several")
    add.add_argument("--gender", help="as the publisher states it")
    add_change(add, note=False)
    add.set_defaults(run=run_add)


def run_add(args: argparse.Namespace) -> int:
    """Import one voice, or those that ship in packages."""
    if args.embedded is (args.source is not None):
        raise usage_error("voices add takes either a SOURCE or --embedded")
    if args.embedded:
        return _add_embedded(args)
    if not args.id:
        raise usage_error("a voice needs a name", "give it one: --id npc/smith")
    order = local.Import(
        source=args.source,
        voice_id=args.id,
        dtype=args.dtype or "float32",
        licence=args.licence,
        code_licence=args.code_licence,
        language=args.language,
        display_name=args.name,
        tags=tuple(args.tags or ()),
        gender=args.gender,
    )
    if asks_server(args):
        target = {"address": address_of(args)}
        done = _upload(args, order)
    else:
        root = local.registry_path(args, must_exist=False)
        target = {"registry": str(root)}
        done = local.add_voice(root, order, label=args.label or "", actor=actor(args))
    return _tell(args, target, [done])


def _add_embedded(args: argparse.Namespace) -> int:
    if any(getattr(args, name) for name in (*_OF_ONE_VOICE, "name")):
        raise usage_error("--embedded voices bring their own id, licence and the rest")
    if asks_server(args):
        raise usage_error(
            "--embedded voices are added to a registry, not sent to a server",
            "name the registry with --registry",
        )
    root = local.registry_path(args, must_exist=False)
    added = [Registration(voice, created=True) for voice in local.add_embedded(root)]
    if not added and not args.json:
        print(f"nothing to add: {root} has every voice that installed packages bring")
        return 0
    return _tell(args, {"registry": str(root)}, added)


def _upload(args: argparse.Namespace, order: local.Import) -> Registration:
    bar = UploadBar(order.voice_id)
    with tempfile.TemporaryDirectory(prefix="voxswap-") as folder, connect(args) as client:
        prepared = local.prepare(order, Path(folder))
        try:
            return client.register_voice(
                prepared.manifest_json,
                prepared.files,
                label=args.label or "",
                actor=actor(args),
                on_progress=bar,
                timeout_s=args.timeout,
            )
        finally:
            bar.finish()


class UploadBar:
    """Shows what `voxswap_client.Client.register_voice` reports. For one thread at a time."""

    def __init__(self, voice_id: str) -> None:
        self._label = f"sending {voice_id}"
        self._bar = ProgressBar()
        self._sent_bytes: int | None = None
        self.finish = self._bar.finish

    def __call__(self, sent_bytes: int, total_bytes: int) -> None:
        """So much is sent."""
        if self._sent_bytes is None:
            self._bar.start(self._label, total_bytes)
        self._bar.advance(sent_bytes - (self._sent_bytes or 0))
        self._sent_bytes = sent_bytes


def _tell(args: argparse.Namespace, target: dict[str, str | None], done: list[Registration]) -> int:
    if args.json:
        added = [item.voice for item in done if item.created]
        unchanged = [item.voice for item in done if not item.created]
        print_json({**target, "added": added, "unchanged": unchanged})
        return 0
    (where,) = target.values()
    for item in done:
        voice = item.voice
        labels = f", labelled {', '.join(voice.labels)}" if voice.labels else ""
        if item.created:
            print(f"added {voice.ref} ({human_bytes(voice.size_bytes)}{labels}) to {where}")
        else:
            print(f"nothing to add: {voice.ref} at {where} is the same voice{labels}")
    return 0
