"""``voxswap voices add``: import a voice here, then publish it in a registry or send it off."""

from __future__ import annotations

import argparse
import shlex
import textwrap
from collections.abc import Sequence
from pathlib import Path

from voxswap_client.cli import importing, local
from voxswap_client.cli.catalog import (
    actor,
    add_change,
    asks_server,
    no_server,
    server,
)
from voxswap_client.cli.commands import Commands, add_command
from voxswap_client.cli.connection import address_of, names_server
from voxswap_client.cli.failure import usage_error
from voxswap_client.cli.output import human_bytes, print_json
from voxswap_client.cli.table import WIDTH
from voxswap_client.errors import DeadlineExceededError
from voxswap_client.types import Registration

_ANSWERS_WITHIN_S = 5.0
_TOLD_ONE_BY_ONE = 60  # as many as there are style packs, and some more
_TOLD_WITH_PARTS = 8
_OF_ONE_VOICE = (
    "id", "dtype", "form", "licence", "code_licence", "language", "style", "label", "name",
    "tag", "gender",
)  # fmt: skip


def add_to(actions: Commands) -> None:
    """Add the command."""
    add = add_command(
        actions, "add", "import a voice, and publish it at a server or in a registry", run_add
    )
    add.add_argument(
        "path",
        metavar="SOURCE",
        nargs="?",
        type=Path,
        help="a Piper .onnx, the folder of a voice, a model of ModelScope or EmotiVoice's release "
        "(folder or zip)",
    )
    add.add_argument("--embedded", action="store_true", help="voices of installed packages")
    add.add_argument(
        "--kokoro-packs",
        metavar="TARBALL|FOLDER",
        type=Path,
        help="style packs of Kokoro-82M, as `npm pack kokoro-js@1.2.1` fetches them; with "
        "--embedded each once",
    )
    add.add_argument(
        "--only",
        metavar="NAMES",
        help="which of the packs, or of the voices at SOURCE, such as zf_xiaoxiao,am_* (default: "
        "all)",
    )
    add.add_argument("--id", metavar="ID", help="what the voice shall be called, such as npc/smith")
    add.add_argument(
        "--dtype",
        choices=("auto", "float32", "bfloat16"),
        help="the type of stored weights; auto (the default): bfloat16 if they are packed, else "
        "what this machine is fastest in",
    )
    add.add_argument(
        "--form",
        choices=("auto", "plain", "packed", "packed_int8"),
        help="how weights are laid out; auto (the default): packed for native kernels where that "
        "is possible, unless --dtype is float32; packed_int8: with feed-forward layers in int8",
    )
    add.add_argument("--licence", "--license", metavar="TEXT", help="of the weights")
    add.add_argument(
        "--code-licence", "--code-license", metavar="TEXT", help="of the code that made them"
    )
    add.add_argument("--language", metavar="LANG", help="such as en-US; usually the files say it")
    add.add_argument(
        "--style",
        metavar="NAME",
        help="which one, of a Kokoro folder, a model of ModelScope with several or a speaker of "
        "EmotiVoice; all of the latter are added as ID/NAME if none is named",
    )
    add.add_argument("--label", metavar="NAME", help="a label for the new version, such as canary")
    add.add_argument("--name", metavar="TEXT", help="a name for people")
    add.add_argument("--tag", action="append", help="repeat it for several")
    add.add_argument("--gender", metavar="NAME", help="as the publisher states it")
    add.add_argument(
        "--rewrite",
        action="store_true",
        help="write all bytes again, to repair what is damaged in a bucket",
    )
    add_change(add, note=False)


def run_add(args: argparse.Namespace) -> int:
    """Import one voice, or those of packages and of style packs."""
    has_packs = args.kokoro_packs is not None
    if (args.embedded or has_packs) is (args.path is not None):
        raise usage_error("voices add takes either a SOURCE, or --embedded or --kokoro-packs")
    if args.only is not None and args.embedded and not has_packs:
        raise usage_error("--only chooses among --kokoro-packs", "name these too")
    if args.embedded or has_packs:
        return _add_several(args)
    if not args.id:
        raise usage_error("a voice needs a name", "give it one: --id npc/smith")
    voices = importing.found_at(args.path, args)
    if len(voices) > 1 and not args.json:
        print(f"{args.path} holds {len(voices)} voices: {_some(list(map(str, voices)))}")
    if asks_server(args):
        if args.rewrite:
            raise usage_error("--rewrite works on a registry", "name it with --registry")
        with server(args) as client:
            try:
                client.wait_ready(_ANSWERS_WITHIN_S)  # an import takes a while
            except DeadlineExceededError as error:
                raise no_server(error) from error
            done = importing.add_to_server(client, args, voices, actor(args))
        return _tell_found(args, {"address": address_of(args)}, done)
    location = local.registry_location(args, must_exist=False)
    done = importing.add_to_registry(location, args, voices, actor(args))
    return _tell_found(args, {"registry": location}, done)


def _some(names: Sequence[str]) -> str:
    more = len(names) - _TOLD_ONE_BY_ONE
    return ", ".join(names[:_TOLD_ONE_BY_ONE]) + (f" and {more} more" if more > 0 else "")


def _tell_found(args: argparse.Namespace, target: dict[str, str], done: list[Registration]) -> int:
    """Besides what is new, what was found of voices that have several parts.

    Of many, the first: they are of one kind, since they come of one place.
    """
    code = tell(args, target, done)
    for item in () if args.json else done[: len(done) if len(done) <= _TOLD_WITH_PARTS else 1]:
        voice = item.voice
        weights = [c for c in voice.components if c.role != "symbols"]
        if len(weights) < 2:
            continue
        facts = [
            f"{voice.engine}, {voice.language}, {voice.sample_rate_hertz} Hz",
            ", ".join(f"{c.role} {human_bytes(c.size_bytes)} {c.digest[7:15]}" for c in weights),
            f"speakers {', '.join(voice.speakers)}" if voice.speakers else "",
            f"emotions {', '.join(voice.emotions)}" if voice.emotions else "",
        ]
        told = f"{voice.ref}: {'; '.join(filter(None, facts))}"
        print(textwrap.fill(told, WIDTH, subsequent_indent="  ", break_on_hyphens=False))
    return code


def _add_several(args: argparse.Namespace) -> int:
    these = "--embedded" if args.embedded else "--kokoro-packs"
    if any(getattr(args, name) for name in _OF_ONE_VOICE):
        raise usage_error(f"{these} voices bring their own id, licence and the rest")
    if args.registry is None and names_server(args):
        raise usage_error(
            f"{these} voices are added to a registry, not sent to a server",
            "name the registry with --registry",
        )
    location = local.registry_location(args, must_exist=False)
    who = actor(args)
    done, others = [], 0
    if args.embedded:
        done += [Registration(v, created=True) for v in importing.add_embedded(location, who)]
    if args.kokoro_packs is not None:
        packs, others = importing.add_packs(location, args, who)
        done += packs
    if not done and not args.json:
        which = "installed packages bring" if args.kokoro_packs is None else "is asked for"
        print(f"nothing to add: {location} has every voice that {which}")
    else:
        tell(args, {"registry": location}, done)
    if others and not args.json:
        words = ["voxswap", "voices", "add", "--kokoro-packs", str(args.kokoro_packs)]
        command = shlex.join([*words, "--registry", location])
        print(f"{others} more in these packs; add them with: {command}")
    return 0


def tell(args: argparse.Namespace, target: dict[str, str], done: list[Registration]) -> int:
    """Print what is new at ``target``, of which there is one, and what was there already."""
    if args.json:
        added = [item.voice for item in done if item.created]
        unchanged = [item.voice for item in done if not item.created]
        print_json({**target, "added": added, "unchanged": unchanged})
        return 0
    (where,) = target.values()
    for item in done[:_TOLD_ONE_BY_ONE]:
        voice = item.voice
        labels = f", labelled {', '.join(voice.labels)}" if voice.labels else ""
        if item.created:
            print(f"added {voice.ref} ({human_bytes(voice.size_bytes)}{labels}) to {where}")
        else:
            print(f"nothing to add: {voice.ref} at {where} is the same voice{labels}")
    if others := done[_TOLD_ONE_BY_ONE:]:
        new = sum(item.created for item in others)
        told = f"added {new} of {len(others)} others, up to {others[-1].voice.ref}, to {where}"
        print(told if new else f"nothing to add: {len(others)} others at {where} are the same")
    return 0
