"""``voxswap voices preset``: a voice that is another one's parts, and says its lines in its way."""

from __future__ import annotations

import argparse
import dataclasses

from voxswap_client.cli import local
from voxswap_client.cli.catalog import actor, add_actor
from voxswap_client.cli.commands import Commands, add_command
from voxswap_client.cli.failure import usage_error
from voxswap_client.cli.output import print_json
from voxswap_client.request import emotion_in
from voxswap_client.types import Registration

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
        "make a voice of a registry's: the same parts, with an emotion, rate and pitch of its own",
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
    local.add_registry(preset)
    add_actor(preset)


def run_preset(args: argparse.Namespace) -> int:
    """Make it, publish it, and say what it is."""
    from voxswap_client.cli.voices import delivered

    emotions = _emotions(args)
    location = local.registry_location(args)
    done = _made(location, args, emotions, actor(args))
    voice = done.voice
    if args.json:
        print_json({"registry": location, "created": done.created, "voice": voice})
        return 0
    what = f"{voice.ref} at {location}"
    print(f"added {what}" if done.created else f"nothing to add: {what} is the same voice", end="")
    told = "" if voice.delivery is None else delivered(voice.delivery)
    print(f": {voice.provenance.source}; {told or 'as that is'}")
    return 0


def _emotions(args: argparse.Namespace) -> dict[str, float] | None:
    if not args.emotion:
        return None
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


def _made(
    location: str, args: argparse.Namespace, emotions: dict[str, float] | None, who: str
) -> Registration:
    with local.opened(location) as registry:
        from voxswap_families.importing.request import tool_name
        from voxswap_registry.clock import utc_now
        from voxswap_registry.names import VoiceRef
        from voxswap_registry.presets import AskedPreset, preset

        said = {name: getattr(args, option) for option, name in _CONTROLS.items()}
        asked = AskedPreset(
            emotions=emotions,
            intensity=args.intensity,
            controls={name: value for name, value in said.items() if value is not None},
            style_prompt=args.style_prompt,
        )
        base = registry.resolve(VoiceRef.parse(args.base, field="base"))
        draft = preset(base, args.id, asked, tool=tool_name(), clock=utc_now)
        draft = dataclasses.replace(
            draft,
            display_name=args.name,
            tags=draft.tags if args.tag is None else tuple(args.tag),
            gender=draft.gender if args.gender is None else args.gender,
        )
        manifest, created = registry.publish_if_new(draft, label=args.label, actor=who)
        return Registration(local.as_voice(manifest, registry.record(args.id)), created)
