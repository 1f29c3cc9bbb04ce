"""``voxswap voices repack``: stored voices in the form that native kernels map."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voxswap_client.cli import local
from voxswap_client.cli.catalog import actor, add_actor
from voxswap_client.cli.commands import Commands, add_command
from voxswap_client.cli.failure import usage_error, warn
from voxswap_client.cli.output import human_bytes, print_json
from voxswap_client.cli.progress import ProgressBar

if TYPE_CHECKING:
    from voxswap_families.vits.repack import Repacked
    from voxswap_registry.manifest import Manifest
    from voxswap_registry.store import Registry


@dataclass(frozen=True, slots=True)
class _Left:
    """A version that was left as it is."""

    voice: str
    reason: str


def add_to(actions: Commands) -> None:
    """Add the command."""
    repack = add_command(
        actions,
        "repack",
        "publish the packed form of VITS voices of a registry, and tell what it changes",
        run_repack,
        description="Publish the packed form of VITS voices, in which native kernels use their "
        "weights in place: the next version of each voice, with all else as it is. Labels stay "
        "where they are. It tells how far the new version is from the old one in float32. Servers "
        "go on meanwhile.",
    )
    repack.add_argument(
        "voices", metavar="VOICE", nargs="*", help="such as npc/smith or npc/smith@3"
    )
    repack.add_argument(
        "--form",
        choices=("packed", "packed_int8"),
        default="packed",
        help="packed (the default): in bfloat16; packed_int8: feed-forward layers in int8, which "
        "takes less time and is less exact",
    )
    repack.add_argument("--all", action="store_true", help="every voice, at its newest version")
    local.add_registry(repack)
    add_actor(repack)


def run_repack(args: argparse.Namespace) -> int:
    """Repack each, and say what came of it. Exit code 1 if one that was named cannot be packed."""
    if args.all is bool(args.voices):
        raise usage_error("voices repack takes either the names of voices or --all")
    location = local.registry_location(args)
    done: list[Repacked] = []
    left: list[_Left] = []
    failed: list[_Left] = []
    with local.opened(location) as registry:
        from voxswap_families.vits.repack import why_not
        from voxswap_registry.errors import VoxswapError

        for manifest in _manifests(registry, args):
            if reason := why_not(manifest, args.form):
                is_fault = not args.all and not reason.startswith("is packed")
                (failed if is_fault else left).append(_Left(manifest.ref, reason))
                continue
            try:
                done.append(_repacked(registry, manifest, args.form, actor(args)))
            except VoxswapError as error:
                failed.append(_Left(manifest.ref, str(error)))
            else:
                if not args.json:
                    print(told(done[-1]))
    if args.json:
        document = {"registry": location, "repacked": [_as_json(each) for each in done]}
        print_json({**document, "left": left, "failed": failed})
    else:
        _tell_the_rest(args, done, left, failed)
    return 1 if failed else 0


def _manifests(registry: Registry, args: argparse.Namespace) -> list[Manifest]:
    from voxswap_registry.catalog.catalog import Catalog
    from voxswap_registry.names import VoiceRef

    if not args.all:
        return [registry.resolve(VoiceRef.parse(ref)) for ref in args.voices]
    with Catalog(registry) as catalog:
        catalog.refresh()
        return [found.newest for found in catalog.listings() if found.newest]


def _repacked(registry: Registry, manifest: Manifest, form: str, who: str) -> Repacked:
    from voxswap_families.vits.repack import repack

    with registry.workdir() as workdir, ProgressBar() as progress:
        return repack(registry, manifest, workdir=workdir, form=form, actor=who, progress=progress)


def told(repacked: Repacked) -> str:
    """What was done with one version, and how to go on."""
    before, after = (human_bytes(n) for n in repacked.size_bytes)
    found, ref = repacked.comparison, repacked.after.ref
    did = "repacked" if repacked.is_new else "nothing to repack: the same is there of"
    snr = ", ".join(f"{name} {db:.1f}" for name, db in found.snr_db.items())
    moved = f"{found.moved} of {found.durations} durations moved"
    return "\n".join(
        (
            f"{did} {repacked.before.ref} as {ref}: {before} before, {after} now",
            f"  SNR to float32 in dB: {snr}",
            f"  log-spectral distance {found.log_spectral_distance_db:.2f} dB; {moved}",
            f"  labels stay; when it sounds right: voxswap voices promote {ref} --warm-up",
        )
    )


def _as_json(repacked: Repacked) -> dict[str, object]:
    before, after = repacked.size_bytes
    return {
        "voice": repacked.before.ref,
        "repacked": repacked.after.ref,
        "created": repacked.is_new,
        "size_bytes": {"before": before, "after": after},
        "comparison": repacked.comparison,
    }


def _tell_the_rest(
    args: argparse.Namespace, done: list[Repacked], left: list[_Left], failed: list[_Left]
) -> None:
    for each in left if not args.all else ():
        print(f"nothing to repack: {each.voice} {each.reason}")
    for each in failed:
        warn(f"{each.voice} {each.reason}")
    if args.all:
        print(f"{len(done)} repacked, {len(left)} left as they are, {len(failed)} failed")
