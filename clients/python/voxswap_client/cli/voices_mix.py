"""``voxswap voices mix``: a new voice out of the styles of others."""

from __future__ import annotations

import argparse
import dataclasses
from typing import NamedTuple

from voxswap_client.cli import local
from voxswap_client.cli.catalog import actor, add_actor
from voxswap_client.cli.commands import Commands, add_command
from voxswap_client.cli.voices_add import tell
from voxswap_client.types import Registration


class Part(NamedTuple):
    """A voice and its weight, as the command line has them."""

    voice: str
    weight: float


def add_to(actions: Commands) -> None:
    """Add the command."""
    mix = add_command(
        actions,
        "mix",
        "mix Kokoro voices of a registry, of one model, to a new voice there",
        run_mix,
        epilog="--of kokoro/jf_gongitsune=0.7 --of kokoro/jm_kumo=0.3 is nearer to the first one.",
    )
    mix.add_argument("id", metavar="ID", help="what the voice shall be called, such as npc/smith")
    mix.add_argument(
        "--of",
        metavar="VOICE=WEIGHT",
        type=part,
        action="append",
        required=True,
        help="a voice and its weight from 0 to 1; give two or more, with the sum 1",
    )
    mix.add_argument("--label", metavar="NAME", help="a label for the new version, such as canary")
    mix.add_argument("--name", metavar="TEXT", default="", help="a name for people")
    mix.add_argument("--tag", action="append", default=[], help="repeat it for several")
    mix.add_argument("--gender", metavar="NAME", help="as the publisher states it")
    local.add_registry(mix)
    add_actor(mix)


def part(text: str) -> Part:
    """A voice with its weight, such as ``kokoro/jm_kumo=0.3``. Raises `ArgumentTypeError`."""
    voice, equals, weight = text.rpartition("=")
    try:
        return Part(voice, float(weight))
    except ValueError:
        told = "is no number" if equals else "is missing"
        raise argparse.ArgumentTypeError(
            f"{text!r}: the weight {told}; write it such as kokoro/jm_kumo=0.3"
        ) from None


def run_mix(args: argparse.Namespace) -> int:
    """Mix, publish, and say what is new."""
    location = local.registry_location(args)
    done = _mixed(location, args, actor(args))
    return tell(args, {"registry": location}, [done])


def _mixed(location: str, args: argparse.Namespace, who: str) -> Registration:
    with local.opened(location) as registry, registry.workdir() as workdir:
        from voxswap_families.kokoro.mixing import Share, mix
        from voxswap_registry.names import VoiceRef

        shares = [
            Share(VoiceRef.parse(voice, field=f"of[{place}]"), weight)
            for place, (voice, weight) in enumerate(args.of)
        ]
        draft = mix(registry, args.id, shares, workdir=workdir)
        draft = dataclasses.replace(
            draft,
            display_name=args.name,
            tags=tuple(args.tag),
            gender=draft.gender if args.gender is None else args.gender,
        )
        manifest, created = registry.publish_if_new(draft, label=args.label, actor=who)
        return Registration(local.as_voice(manifest, registry.record(args.id)), created)
