"""``voxswap keys``: key pairs for signing voices."""

from __future__ import annotations

import argparse
from pathlib import Path

from voxswap_client.cli.commands import Commands, add_command, add_group
from voxswap_client.cli.local import errors_told
from voxswap_client.cli.output import print_json


def add_to(commands: Commands) -> None:
    """Add the commands."""
    text = "make and show keys for signing voices"
    actions = add_group(commands, "keys", text)
    text = "make a key pair: FILE (private, keep it) and FILE.pub (for servers)"
    new = add_command(actions, "new", text, run_new)
    new.add_argument("path", metavar="FILE", type=Path)
    show = add_command(actions, "show", "print the ids of public keys", run_show)
    show.add_argument("paths", metavar="FILE.pub", type=Path, nargs="+")


def run_new(args: argparse.Namespace) -> int:
    """Make a key pair."""
    with errors_told():
        from voxswap_registry.signing import new_key_pair

        pair = new_key_pair(args.path)
    if args.json:
        print_json(
            {
                "key_id": pair.key_id,
                "private": str(pair.private_path),
                "public": str(pair.public_path),
            }
        )
        return 0
    print(f"made {pair.key_id}")
    print(f"  {pair.private_path}  private: keep it secret, and keep a copy; sign with --key")
    print(f"  {pair.public_path}  public: give it to servers, with --trusted-keys")
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Print ids of public keys."""
    with errors_told():
        from voxswap_registry.signing import PublicKey

        found = {str(path): PublicKey.load(path).key_id for path in args.paths}
    if args.json:
        print_json({"keys": found})
        return 0
    for path, key_id in found.items():
        print(f"{key_id}  {path}")
    return 0
