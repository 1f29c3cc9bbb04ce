"""``voxswap voices``: what is registered, at a server or in a registry."""

from __future__ import annotations

import argparse
import itertools
import textwrap
from collections.abc import Sequence

from voxswap_client.cli import (
    voices_add,
    voices_change,
    voices_check,
    voices_fabricate,
    voices_mix,
    voices_preset,
    voices_repack,
    voices_style,
)
from voxswap_client.cli.catalog import add_source, catalog
from voxswap_client.cli.commands import Commands, add_command, add_group
from voxswap_client.cli.failure import warn
from voxswap_client.cli.output import human_bytes, human_time, print_json
from voxswap_client.cli.table import WIDTH, render
from voxswap_client.cli.traffic import percentages, split
from voxswap_client.types import Change, Expression, PresetDelivery, Voice, VoiceDetails

_LABEL_COLUMNS = 14
_FILTERS = ("prefix", "language", "engine", "tags", "gender", "search")


def add_to(commands: Commands) -> None:
    """Add the commands."""
    actions = add_group(
        commands,
        "voices",
        "list, add, promote, roll back and delete voices",
        description="Voices, their versions and labels: at a server, or with --registry in a "
        "folder or bucket. mix, repack, verify, sign and add --embedded work on a registry "
        "alone.",
    )

    listing = add_command(actions, "list", "list voices, each at its newest version", run_list)
    add_source(listing)
    listing.add_argument("--prefix", default="", help="only ids that begin with this")
    listing.add_argument("--language", default="", metavar="LANG", help="'en' takes 'en-US' too")
    listing.add_argument("--engine", default="", metavar="NAME", help="such as vits")
    listing.add_argument(
        "--tag",
        dest="tags",
        action="append",
        default=[],
        metavar="TAG",
        help="repeat it for more",
    )
    listing.add_argument(
        "--search", default="", metavar="WORDS", help="words in its id, its name or a tag"
    )
    listing.add_argument("--gender", default="", metavar="NAME", help="as the publisher states it")

    show = add_command(actions, "show", "show all that is known of one voice", run_show)
    show.add_argument("voice", metavar="VOICE", help="npc/smith, npc/smith@3 or npc/smith@stable")
    add_source(show)

    versions = add_command(
        actions, "versions", "list the versions of a voice, the newest first", run_versions
    )
    versions.add_argument("voice", metavar="ID", help="such as npc/smith")
    add_source(versions)

    history = add_command(
        actions, "history", "list what was done to a voice, the newest first", run_history
    )
    history.add_argument("voice", metavar="ID", help="such as npc/smith")
    history.add_argument(
        "--limit", type=_positive, default=100, metavar="N", help="how many at most (default: 100)"
    )
    add_source(history)

    voices_change.add_to(actions)
    voices_add.add_to(actions)
    voices_fabricate.add_to(actions)
    voices_mix.add_to(actions)
    voices_preset.add_to(actions)
    voices_repack.add_to(actions)

    voices_style.add_to(actions)
    voices_check.add_to(actions)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def run_list(args: argparse.Namespace) -> int:
    """Print a table of voices."""
    filters = {name: getattr(args, name) for name in _FILTERS}
    with catalog(args) as voices:
        found = list(voices.list_voices(**filters))
    if args.json:
        print_json({"voices": found})
        return 0
    numbers = ["VERSION", "HERTZ", "SPEAKERS", "SIZE"]
    headings = ["VOICE", "VERSION", "LANGUAGE", "ENGINE", "HERTZ", "SPEAKERS", "SIZE", "LICENCE"]
    if found:
        print(render(headings, [_row(voice) for voice in found], right=numbers))
    elif any(filters.values()):
        warn("no voice matches")
    else:
        warn("no voices yet; add one with: voxswap voices add SOURCE --id ID")
    _warn_of_problems(found)
    return 0


def _warn_of_problems(voices: Sequence[Voice]) -> None:
    for voice in voices:
        if voice.problem:
            warn(f"{voice.ref} cannot be used: {voice.problem}")


def _row(voice: Voice) -> list[object]:
    if voice.problem and not voice.components:
        return [voice.id, voice.version, "-", "-", "-", "-", "-", "-"]
    return [
        voice.id,
        voice.version,
        voice.language,
        voice.engine,
        voice.sample_rate_hertz,
        len(voice.speakers) or 1,
        human_bytes(voice.size_bytes),
        voice.licence or "-",
    ]


def run_show(args: argparse.Namespace) -> int:
    """Print one voice."""
    with catalog(args) as voices:
        details = voices.get_voice_details(args.voice)
    if args.json:
        print_json(details)
    else:
        print(card(details))
    return 0


def card(details: VoiceDetails) -> str:
    """Everything about a voice that people want to know, with its components below."""
    voice = details.voice
    origin = voice.provenance
    facts = [
        ("voice", voice.ref),
        ("problem", voice.problem),
        ("made up", "yes: its weights are random numbers" if voice.fabricated else ""),
        ("name", voice.display_name),
        ("versions", ", ".join(_named(version, details) for version in details.versions)),
        ("traffic", split(voice.traffic)),
        ("language", ", ".join(voice.languages) or voice.language),
        ("engine", voice.engine),
        ("rate", f"{voice.sample_rate_hertz} Hz" if voice.sample_rate_hertz else ""),
        ("speakers", ", ".join(voice.speakers)),
        ("emotions", ", ".join(voice.emotions)),
        ("expression", expression(voice)),
        ("controls", ", ".join(voice.controls)),
        ("preset", "" if voice.delivery is None else delivered(voice.delivery)),
        ("gender", voice.gender),
        ("tags", ", ".join(voice.tags)),
        ("licence", voice.licence),
        ("code licence", origin.code_licence),
        ("size", human_bytes(voice.size_bytes)),
        ("source", origin.source),
        ("imported", f"{human_time(origin.created)} UTC" if origin.created else ""),
        ("with", origin.tool),
        ("note", origin.note),
    ]
    lines = [
        textwrap.fill(
            " ".join(value.split()),
            WIDTH,
            initial_indent=label.ljust(_LABEL_COLUMNS),
            subsequent_indent=" " * _LABEL_COLUMNS,
            break_on_hyphens=False,
        )
        for label, value in facts
        if value
    ]
    if voice.components:
        rows = [
            [f"{c.role}, {c.form}" if c.form else c.role, human_bytes(c.size_bytes), c.digest]
            for c in voice.components
        ]
        lines += ["", render(["COMPONENT", "SIZE", "DIGEST"], rows, right=["SIZE"])]
    return "\n".join(lines)


def delivered(delivery: PresetDelivery) -> str:
    """What a preset says without being asked, in words."""
    told = [f"{name} {share:g}" for name, share in delivery.emotions.items()]
    if told:
        told[-1] += f", intensity {delivery.intensity:g}"
    told += ["what it does not list by rate, pitch and volume"] if delivery.fallback else []
    told += [f"{name} {value:g}" for name, value in sorted(delivery.controls.items())]
    told += [f"style {delivery.style_prompt!r}"] if delivery.style_prompt else []
    return "; ".join(told)


def expression(voice: Voice) -> str:
    """What it can do for an emotion or a style, in words; empty if nobody says."""
    found = [] if voice.expression is None else [_EXPRESSIONS[voice.expression]]
    found += ["takes a style in words"] if voice.style_prompts else []
    found += ["takes a style off a recording"] if voice.reads_style else []
    return "; ".join(found)


_EXPRESSIONS = {
    Expression.NONE: "none",
    Expression.NATIVE: "native",
    Expression.PROSODY: "prosody, where that is asked for",
}


def _named(version: int, details: VoiceDetails) -> str:
    labels = sorted(name for name, named in details.labels.items() if named == version)
    return f"{version} ({', '.join(labels)})" if labels else str(version)


def run_versions(args: argparse.Namespace) -> int:
    """Print a table of versions."""
    with catalog(args) as voices:
        found = voices.list_versions(args.voice)
    if args.json:
        print_json({"versions": found})
    else:
        print(versions_table(found))
        _warn_of_problems(found)
    return 0


def versions_table(versions: Sequence[Voice]) -> str:
    """The versions of one voice, with the traffic that a bare id brings each of them."""
    shares = percentages(versions)
    problems = ["PROBLEM"] if any(voice.problem for voice in versions) else []
    headings = ["VERSION", "LABELS", "TRAFFIC %", "LANGUAGE", "SIZE", "IMPORTED", *problems]
    rows = [
        [
            voice.version,
            ", ".join(voice.labels) or "-",
            shares.get(voice.version, "-"),
            voice.language or "-",
            human_bytes(voice.size_bytes) if voice.components else "-",
            human_time(voice.provenance.created),
            *([voice.problem or "-"] if problems else []),
        ]
        for voice in versions
    ]
    return render(headings, rows, right=["VERSION", "TRAFFIC %", "SIZE"])


def run_history(args: argparse.Namespace) -> int:
    """Print a table of changes."""
    with catalog(args) as voices:
        found = list(itertools.islice(voices.list_changes(args.voice), args.limit + 1))
    shown = found[: args.limit]
    if args.json:
        print_json({"changes": shown})
    elif shown:
        print(history_table(shown))
    else:
        print(f"nothing was changed of {args.voice} since it was added")
    if len(found) > args.limit:
        warn(f"there are older changes; see them with --limit {args.limit * 10}")
    return 0


def history_table(changes: Sequence[Change]) -> str:
    """What was done to a voice, by whom, and why."""
    rows = [
        [c.revision, human_time(c.time), c.actor or "-", c.action or "-", c.note or "-"]
        for c in changes
    ]
    return render(["REVISION", "WHEN (UTC)", "WHO", "WHAT", "WHY"], rows, right=["REVISION"])
