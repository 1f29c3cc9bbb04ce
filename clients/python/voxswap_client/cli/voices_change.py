"""``voxswap voices promote``, ``rollback``, ``unlabel``, ``traffic``, ``update`` and ``delete``."""

from __future__ import annotations

import argparse
import sys

from voxswap_client.cli.catalog import (
    actor,
    add_change,
    catalog,
    same_source,
)
from voxswap_client.cli.commands import Commands, add_command
from voxswap_client.cli.failure import usage_error, warn
from voxswap_client.cli.output import print_json
from voxswap_client.cli.traffic import share, split
from voxswap_client.types import LabelMove, VoiceDetails

STABLE = "stable"


def add_to(actions: Commands) -> None:
    """Add the commands."""
    promote = add_command(actions, "promote", "move a label to a version", run_promote)
    promote.add_argument(
        "voice", metavar="VOICE@VERSION", help="npc/smith@7, or npc/smith@canary by its label"
    )
    promote.add_argument("--label", default=STABLE, metavar="NAME", help="default: stable")
    promote.add_argument(
        "--warm-up", action="store_true", help="first load it and let it speak; no move if it fails"
    )
    promote.add_argument(
        "--test-text", default="", metavar="TEXT", help="what it speaks; goes with --warm-up"
    )
    add_change(promote)

    rollback = add_command(
        actions, "rollback", "move a label back to where it was before", run_rollback
    )
    rollback.add_argument("voice", metavar="ID", help="such as npc/smith")
    rollback.add_argument("--label", default=STABLE, metavar="NAME", help="default: stable")
    add_change(rollback)

    unlabel = add_command(actions, "unlabel", "take a label away", run_unlabel)
    unlabel.add_argument("voice", metavar="ID", help="such as npc/smith")
    unlabel.add_argument("label", metavar="LABEL", help="such as canary")
    add_change(unlabel)

    traffic = add_command(
        actions,
        "traffic",
        "split the traffic of a bare id over versions",
        run_traffic,
        epilog="7=90 8=10 sends nine of ten requests for the bare id to version 7.",
    )
    traffic.add_argument("voice", metavar="ID", help="such as npc/smith")
    traffic.add_argument(
        "shares", metavar="VERSION=WEIGHT", nargs="*", type=share, help="such as 7=90 8=10"
    )
    traffic.add_argument("--clear", action="store_true", help="end the split: stable has it all")
    add_change(traffic)

    update = add_command(actions, "update", "change name, tags or gender of a voice", run_update)
    update.add_argument("voice", metavar="ID", help="such as npc/smith")
    update.add_argument("--name", metavar="TEXT", help="a name for people")
    tags = update.add_mutually_exclusive_group()
    tags.add_argument(
        "--tag", dest="tags", action="append", metavar="TAG", help="repeat it for all it shall have"
    )
    tags.add_argument("--no-tags", dest="tags", action="store_const", const=[], help="take all off")
    update.add_argument("--gender", metavar="NAME", help="as the publisher states it")
    add_change(update)

    delete = add_command(
        actions, "delete", "delete a version, or a voice with all its versions", run_delete
    )
    delete.add_argument(
        "voice", metavar="VOICE[@VERSION]", help="npc/smith@3, or npc/smith for all"
    )
    delete.add_argument("--yes", action="store_true", help="do not ask")
    add_change(delete)


def run_promote(args: argparse.Namespace) -> int:
    """Move a label."""
    if "@" not in args.voice:
        raise usage_error(
            f"{args.voice} does not say which version",
            f"write {args.voice}@3, or a label's name in place of the number",
        )
    if args.test_text and not args.warm_up:
        raise usage_error("--test-text goes with --warm-up")
    with catalog(args) as voices:
        move = voices.promote(
            args.voice,
            args.label,
            warm_up=args.warm_up,
            test_text=args.test_text,
            actor=actor(args),
            note=args.note,
        )
    voice, before = move.voice, move.previous_version
    if before == voice.version:
        told = f"{voice.ref} is {args.label} already"
    else:
        told = f"{voice.ref} is {args.label} now" + (f"; before it was {before}" if before else "")
    return _moved(args, move, told)


def run_rollback(args: argparse.Namespace) -> int:
    """Move a label back."""
    with catalog(args) as voices:
        move = voices.roll_back(args.voice, args.label, actor=actor(args), note=args.note)
    before = f"it was {move.previous_version}" if move.previous_version else "no version was"
    return _moved(args, move, f"{move.voice.ref} is {args.label} again; before {before}")


def run_unlabel(args: argparse.Namespace) -> int:
    """Take a label away."""
    with catalog(args) as voices:
        version = voices.withdraw_label(args.voice, args.label, actor=actor(args), note=args.note)
    if args.json:
        print_json({"label": args.label, "voice": args.voice, "previous_version": version})
    else:
        print(f"{args.voice}@{version} is no longer {args.label}")
    return 0


def _moved(args: argparse.Namespace, move: LabelMove, told: str) -> int:
    if args.json:
        print_json({"label": args.label, **_document(move)})
    else:
        print(told)
    voice = move.voice
    if args.label == STABLE and voice.traffic:
        warn(
            f"bare {voice.id} still goes by its traffic split {split(voice.traffic)}",
            f"clear it with: voxswap voices traffic {voice.id} --clear{same_source(args)}",
        )
    return 0


def _document(move: LabelMove) -> dict[str, object]:
    return {"previous_version": move.previous_version or None, "voice": move.voice}


def run_traffic(args: argparse.Namespace) -> int:
    """Split the traffic, or end the split."""
    weights = {item.version: item.weight for item in args.shares}
    if args.clear is bool(args.shares):
        raise usage_error(
            "voices traffic takes either shares or --clear",
            f"such as: voxswap voices traffic {args.voice} 7=90 8=10",
        )
    if len(weights) < len(args.shares):
        raise usage_error("a version has two shares", "give each version one")
    with catalog(args) as voices:
        voice = voices.update_voice(args.voice, traffic=weights, actor=actor(args), note=args.note)
    if args.json:
        print_json({"voice": voice})
    elif voice.traffic:
        print(f"bare {voice.id} goes by {split(voice.traffic)} now")
    else:
        print(f"bare {voice.id} means its stable version now, or the newest if none is")
    return 0


def run_update(args: argparse.Namespace) -> int:
    """Change metadata."""
    changes = {"display_name": args.name, "tags": args.tags, "gender": args.gender}
    if all(value is None for value in changes.values()):
        raise usage_error("there is nothing to change", "give --name, --tag, --no-tags or --gender")
    with catalog(args) as voices:
        voice = voices.update_voice(args.voice, **changes, actor=actor(args), note=args.note)
    if args.json:
        print_json({"voice": voice})
        return 0
    facts = {
        "name": voice.display_name,
        "tags": ", ".join(voice.tags),
        "gender": voice.gender,
    }
    print(f"{voice.id}: " + "; ".join(f"{name} {value or '-'}" for name, value in facts.items()))
    return 0


def run_delete(args: argparse.Namespace) -> int:
    """Delete after asking."""
    if not args.yes and not sys.stdin.isatty():
        raise usage_error("deleting needs a yes", "add --yes, if you are sure")
    with catalog(args) as voices:
        if not args.yes and not _confirmed(voices.get_voice_details(args.voice), args.voice):
            print("nothing was deleted", file=sys.stderr)
            return 1
        gone = voices.delete_voice(args.voice, actor=actor(args), note=args.note)
    voice_id = args.voice.partition("@")[0]
    if args.json:
        print_json({"voice": voice_id, "deleted": gone})
    else:
        print(f"deleted {', '.join(f'{voice_id}@{version}' for version in gone)}")
    return 0


def _confirmed(details: VoiceDetails, ref: str) -> bool:
    versions = details.versions
    if "@" in ref:
        what = details.voice.ref
    elif len(versions) == 1:
        what = f"{ref} with its only version {versions[0]}"
    else:
        what = f"{ref} with all its {len(versions)} versions"
    print(f"delete {what}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
