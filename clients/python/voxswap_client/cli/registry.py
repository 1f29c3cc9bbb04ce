"""``voxswap registry``: care of a registry as a whole."""

from __future__ import annotations

import argparse
import re
from datetime import timedelta

from voxswap_client.cli import local
from voxswap_client.cli.catalog import actor, add_actor
from voxswap_client.cli.commands import Commands, add_command, add_group
from voxswap_client.cli.output import human_bytes, print_json
from voxswap_client.cli.progress import ProgressBar

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def add_to(commands: Commands) -> None:
    """Add the commands."""
    text = "collect garbage in a registry, and fetch voices ahead of need"
    actions = add_group(commands, "registry", text)

    collect = add_command(
        actions,
        "gc",
        "remove blobs that no version names, and what dead processes left",
        run_collect,
        local.add_registry,
        description="Remove blobs that no version names, and what dead processes left. Nothing "
        "younger than the grace period goes, and nothing at all while somebody publishes.",
    )
    collect.add_argument(
        "--grace",
        type=duration,
        default=timedelta(hours=24),
        metavar="TIME",
        help="keep what is younger, such as 90m, 24h or 7d (default: 24h)",
    )
    collect.add_argument("--dry-run", action="store_true", help="only say what would go")

    pull = add_command(
        actions,
        "pull",
        "fetch voices of a bucket into this machine's cache",
        run_pull,
        local.add_registry,
        description="Fetch the components of voices into this machine's cache, so that a server's "
        "first use of them need not wait for the network. A download that broke off goes on where "
        "it ended.",
    )
    pull.add_argument("voices", metavar="VOICE", nargs="*", help="all voices if none is named")

    trust = add_command(
        actions,
        "trust-graph",
        "let servers run the graphs of voices that are there already",
        run_trust_graph,
        local.add_registry,
        description="Let servers run the graphs of voices that are there already. A graph is a "
        "program: trust one only if you know where it is from. It is looked over first, and "
        "refused if it holds what no honest one needs. `voxswap voices add` trusts what it "
        "imports, so this is for voices from before, from a copy or from afar.",
    )
    trust.add_argument(
        "graphs",
        metavar="VOICE|DIGEST",
        nargs="+",
        help="a voice, or the digest of a graph: sha256:…",
    )
    add_actor(trust)


def duration(text: str) -> timedelta:
    """A number with a unit, such as ``24h``. Raises `ArgumentTypeError`."""
    match = re.fullmatch(r"(\d{1,6})([smhd])", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError("write a whole number with s, m, h or d, such as 24h")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def run_collect(args: argparse.Namespace) -> int:
    """Collect garbage, and say what went."""
    location = local.registry_location(args)
    with local.opened(location) as registry, ProgressBar() as progress:
        from voxswap_registry.collecting import collect

        found = collect(registry, grace=args.grace, dry_run=args.dry_run, progress=progress)
    if args.json:
        print_json({"registry": location, "dry_run": args.dry_run, "collected": found})
        return 0
    did = "would remove" if args.dry_run else "removed"
    print(f"{did} {found.blobs} blobs ({human_bytes(found.bytes)}) from {location}")
    print(f"kept {found.kept} blobs that versions name, {found.young} that are too young to go")
    if found.leftovers:
        print(f"{did} {found.leftovers} other leftovers")
    return 0


def run_pull(args: argparse.Namespace) -> int:
    """Fetch voices into the cache."""
    location = local.registry_location(args)
    with local.opened(location) as registry, ProgressBar() as progress:
        from voxswap_registry.catalog.catalog import Catalog
        from voxswap_registry.names import VoiceRef

        if args.voices:
            manifests = [registry.resolve(VoiceRef.parse(ref)) for ref in args.voices]
        else:
            with Catalog(registry) as catalog:
                catalog.refresh()
                manifests = [found.newest for found in catalog.listings() if found.newest]
        components = {c.digest: c.by_name() for manifest in manifests for c in manifest.components}
        for component in components.values():
            with registry.components.hold(component, progress=progress):
                pass
    n_bytes = sum(component.size_bytes for component in components.values())
    if args.json:
        print_json({"voices": len(manifests), "components": len(components), "bytes": n_bytes})
        return 0
    print(
        f"{len(components)} components of {len(manifests)} voices are here ({human_bytes(n_bytes)})"
    )
    return 0


def run_trust_graph(args: argparse.Namespace) -> int:
    """Record that graphs may be run."""
    location = local.registry_location(args)
    with local.opened(location) as registry:
        from voxswap_families.importing.request import tool_name
        from voxswap_registry import graphs
        from voxswap_registry.names import VoiceRef

        who = {"actor": actor(args), "tool": tool_name()}
        found = []
        for name in args.graphs:
            if name.startswith("sha256:"):
                found.append(graphs.trust_digest(registry, name, **who))
            else:
                manifest = registry.resolve(VoiceRef.parse(name))
                found += graphs.trust_voice(registry, manifest, **who)
    if args.json:
        print_json({"registry": location, "graphs": found})
        return 0
    for graph in found:
        what = f", the {graph.role} of {graph.voice}" if graph.voice else ""
        print(f"{'trusted' if graph.is_new else 'trusted already'}: {graph.digest}{what}")
    if not found:
        print("nothing to trust: these voices have no graphs")
    return 0
