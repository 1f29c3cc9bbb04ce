"""``voxswap voices preset``: a voice that is another one's parts, and says its lines in its way."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping
from typing import TypedDict

from voxswap_client.cli import local
from voxswap_client.cli.catalog import actor, add_change, asks_server, server
from voxswap_client.cli.commands import Commands, add_command
from voxswap_client.cli.connection import address_of
from voxswap_client.cli.failure import usage_error
from voxswap_client.cli.output import print_json
from voxswap_client.cli.table import WIDTH
from voxswap_client.types import Registration


class Asked(TypedDict):
    """What a preset shall say otherwise than its base, as the client and the registry take it."""

    emotions: Mapping[str, float] | None
    intensity: float | None
    controls: Mapping[str, float]
    style_prompt: str | None
    display_name: str
    tags: tuple[str, ...] | None
    gender: str | None


_CONTROLS = {
    "rate": "rate",
    "pitch": "pitch_semitones",
    "pitch_range": "pitch_range",
    "volume": "volume_db",
    "pauses": "pause_scale",
}


def add_to(actions: Commands) -> None:
    """Add the command."""
    preset = add_command(
        actions,
        "preset",
        "make a voice of another one's parts, with an emotion, rate and pitch of its own",
        run_preset,
        epilog="What a request says of emotions goes before a preset's; its rate, pitch and the "
        "like are on top. A preset of a preset has what it does not say from that.",
    )
    preset.add_argument("id", metavar="ID", help="what the voice shall be called: npc/guard")
    preset.add_argument(
        "--base", metavar="VOICE", required=True, help="whose parts it has: joe, or joe@3"
    )
    preset.add_argument(
        "--emotion",
        action="append",
        metavar="NAME[=SHARE]",
        help="angry, or angry=0.7 and again sad=0.2; the rest is neutral",
    )
    preset.add_argument("--intensity", type=float, metavar="N", help="of it, 0 to 2; 1 unless set")
    preset.add_argument("--rate", type=float, metavar="FACTOR", help="2 is twice as fast")
    preset.add_argument("--pitch", type=float, metavar="SEMITONES", help="12: an octave up")
    preset.add_argument("--pitch-range", type=float, metavar="FACTOR", help="0 is monotonous")
    preset.add_argument("--volume", type=float, metavar="DECIBELS", help="-40 to 12")
    preset.add_argument("--pauses", type=float, metavar="FACTOR", help="2: twice as long")
    preset.add_argument("--style-prompt", metavar="WORDS", help="a style in words")
    preset.add_argument("--label", metavar="NAME", help="a label for the new version: canary")
    preset.add_argument("--name", metavar="TEXT", default="", help="a name for people")
    preset.add_argument("--tag", action="append", help="repeat it for several")
    preset.add_argument("--gender", metavar="NAME", help="as the publisher states it")
    add_change(preset, note=False)


def run_preset(args: argparse.Namespace) -> int:
    """Make it, publish it, and say what it is."""
    from voxswap_client.cli.voices import delivered

    asked = _asked(args)
    if asks_server(args):
        with server(args) as client:
            done = client.create_preset(
                args.id, args.base, **asked, label=args.label or "", actor=actor(args)
            )
        where = {"address": address_of(args)}
    else:
        location = local.registry_location(args)
        done = _made(location, args, asked, actor(args))
        where = {"registry": location}
    voice = done.voice
    if args.json:
        print_json({**where, "created": done.created, "voice": voice})
        return 0
    what = f"{voice.ref} {'to' if done.created else 'at'} {next(iter(where.values()))}"
    told = "" if voice.delivery is None else delivered(voice.delivery)
    begun = f"added {what}" if done.created else f"nothing to add: {what} is the same voice"
    line = f"{begun}: {voice.provenance.source}; {told or 'as that is'}"
    print(textwrap.fill(line, WIDTH, subsequent_indent="  ", break_on_hyphens=False))
    return 0


def _asked(args: argparse.Namespace) -> Asked:
    said = {name: getattr(args, option) for option, name in _CONTROLS.items()}
    return {
        "emotions": _emotions(args),
        "intensity": args.intensity,
        "controls": {name: value for name, value in said.items() if value is not None},
        "style_prompt": args.style_prompt,
        "display_name": args.name,
        "tags": None if args.tag is None else tuple(args.tag),
        "gender": args.gender,
    }


def _emotions(args: argparse.Namespace) -> dict[str, float] | None:
    if not args.emotion:
        return None
    from voxswap_client.emotions import emotion_in

    try:
        found = emotion_in(", ".join(args.emotion))
    except ValueError as error:
        raise usage_error(f"--emotion: {error}", "say it once for each emotion") from error
    if isinstance(found, str):
        raise usage_error(
            f"--emotion {found} is read off each text, and a preset has one that stays",
            "name the emotion, or let requests ask for it",
        )
    return found


def _made(location: str, args: argparse.Namespace, asked: Asked, who: str) -> Registration:
    with local.opened(location) as registry:
        from voxswap_families.importing.request import tool_name
        from voxswap_registry.clock import utc_now
        from voxswap_registry.names import VoiceRef
        from voxswap_registry.presets import AskedPreset, preset

        base = registry.resolve(VoiceRef.parse(args.base, field="base"))
        draft = preset(base, args.id, AskedPreset(**asked), tool=tool_name(), clock=utc_now)
        manifest, created = registry.publish_if_new(draft, label=args.label, actor=who)
        return Registration(local.as_voice(manifest, registry.record(args.id)), created)
