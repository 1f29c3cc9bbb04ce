"""``voxswap voices verify`` and ``sign``, which only a registry itself can do."""

from __future__ import annotations

import argparse
from pathlib import Path

from voxswap_client.cli import checking, local
from voxswap_client.cli.commands import Commands, add_command
from voxswap_client.cli.failure import warn
from voxswap_client.cli.output import human_bytes, print_json
from voxswap_client.cli.table import render


def add_to(actions: Commands) -> None:
    """Add the commands."""
    verify = add_command(
        actions, "verify", "hash every component again; exit code 1 if any is bad", run_verify
    )
    verify.add_argument("voices", metavar="VOICE", nargs="*", help="all voices if none is named")
    verify.add_argument(
        "--key",
        dest="keys",
        metavar="FILE.pub",
        type=Path,
        action="append",
        default=[],
        help="a version must be signed with this key, or with another --key",
    )
    local.add_registry(verify)

    sign = add_command(actions, "sign", "sign versions with a private key", run_sign)
    sign.add_argument("voices", metavar="VOICE", nargs="+", help="such as npc/smith@3")
    sign.add_argument(
        "--key", metavar="FILE", type=Path, required=True, help="made by `voxswap keys new FILE`"
    )
    local.add_registry(sign)


def run_verify(args: argparse.Namespace) -> int:
    """Hash components, each once, and print what was found."""
    findings = checking.verify(local.registry_location(args), args.voices, args.keys)
    bad = [finding for finding in findings if not finding.is_good]
    if args.json:
        print_json({"ok": not bad, "components": findings})
        return 1 if bad else 0
    if findings:
        rows = [
            [f.voice, f.role or "-", human_bytes(f.size_bytes) if f.size_bytes else "-", f.result]
            for f in findings
        ]
        print(render(["VOICE", "COMPONENT", "SIZE", "RESULT"], rows, right=["SIZE"]))
    what = "components and signatures" if args.keys else "components"
    print(f"{len(findings) - len(bad)} of {len(findings)} {what} are sound")
    for finding in bad:
        warn(f"{finding.voice}: {finding.message}")
    return 1 if bad else 0


def run_sign(args: argparse.Namespace) -> int:
    """Sign versions."""
    signed = checking.sign(local.registry_location(args), args.voices, args.key)
    if args.json:
        print_json({"signed": [{"voice": ref, "key_id": key_id} for ref, key_id in signed]})
        return 0
    for ref, key_id in signed:
        print(f"signed {ref} with {key_id}")
    return 0
