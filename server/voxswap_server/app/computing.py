"""What computes: threads, what this machine computes in, engines, and who may have them."""

from __future__ import annotations

import functools
import importlib
import logging
import os
import time
from collections.abc import Mapping

from voxswap_families.contract import Engine, EngineContext
from voxswap_families.errors import KernelsError
from voxswap_families.layers.native.lending import KernelLending
from voxswap_families.layers.native.library import load, pick
from voxswap_families.register import families, make_engines
from voxswap_families.work import Work
from voxswap_registry.errors import EngineError
from voxswap_registry.manifest import Manifest
from voxswap_server.app.config import Settings, SettingsError
from voxswap_server.app.decisions import Decisions, settle
from voxswap_server.app.metrics import Metrics
from voxswap_server.app.way_down import STEPS_S, WayDown
from voxswap_server.compute.hooks import ThreadHooks
from voxswap_server.compute.process import compute_threads
from voxswap_server.compute.scheduler import Scheduler
from voxswap_server.speech.admission import Admission, prior
from voxswap_server.speech.books import Limits
from voxswap_server.speech.costs import Costs, Machine
from voxswap_server.speech.pipeline import Stage
from voxswap_server.speech.playback import Pacing
from voxswap_server.speech.request import LineClass
from voxswap_server.text.espeak.library import Espeak
from voxswap_server.text.frontends import make_front_end

_LOGGER = logging.getLogger(__name__)

# Steps that hang keep their threads; so many are replaced.
_SPARE_THREADS = 8


def import_engines() -> None:
    """Takes a second or two, without an event loop to hold up."""
    for family in families().values():
        importlib.import_module(family.engine_module)


def make_scheduler(settings: Settings, metrics: Metrics, lending: KernelLending) -> Scheduler:
    """Compute threads for the device: of a GPU one, since it computes there."""
    import torch

    def compute_alone() -> None:
        # A thread that torch does not know yet gets the number that any thread set last, when it
        # computes for the first time. Asking makes it known.
        torch.get_num_threads()
        torch.set_num_threads(1)

    compute_alone()
    return Scheduler(
        threads=compute_threads(settings.compute_threads) if settings.device == "cpu" else 1,
        # Where a GPU's step hangs, so would every other.
        spare=_SPARE_THREADS if settings.device == "cpu" else 0,
        spare_long=_SPARE_THREADS,
        hooks=ThreadHooks(
            prepare=compute_alone,
            observe=metrics.observe_step,
            observe_stuck=metrics.observe_stuck,
            # Whoever waits for a GPU computes as well.
            cpu_clock=lending.cpu_clock if settings.device == "cpu" else time.perf_counter,
            lending=lending,
        ),
    )


def open_lending(settings: Settings, decisions: Decisions, lending: KernelLending) -> None:
    """Let idle threads help, if they may and native kernels compute."""
    if settings.lend_idle_threads and settings.device == "cpu" and decisions.kernels != "torch":
        lending.open(load(decisions.kernels))


def watch_compute(metrics: Metrics, scheduler: Scheduler, lending: KernelLending) -> None:
    """Show what computes, and what waits for it."""
    text = "Compute threads that took steps over the last seconds, on average."
    metrics.show("busy_threads", text, lambda: scheduler.busy()[0], steps="short")
    metrics.show("busy_threads", text, lambda: scheduler.busy()[1], steps="long")
    metrics.show("queue_depth", "Works in line for the device.", lambda: scheduler.waiting)
    text = "Threads whose steps do not come back."
    metrics.show("stuck_threads", text, lambda: scheduler.lost)
    text = "Products of native kernels that idle threads helped with."
    metrics.show("shared_products", text, lambda: lending.shared[0])
    text = "Of these, how many were waited for because a helper had lost its core."
    metrics.show("shared_products_late", text, lambda: lending.shared[1])
    text = "How often helpers stopped for a while, since others needed their cores."
    metrics.show("lending_pauses", text, lambda: lending.shared[2])


def watch_admission(metrics: Metrics, admission: Admission) -> None:
    """Show what is let in."""
    text = "Share of what there is to compute with that paced streams need."
    metrics.show("admitted_load", text, lambda: admission.shown.load)
    text = "Compute that streams without pacing wait for."
    metrics.show("backlog_seconds", text, lambda: admission.shown.backlog_s)


def close_scheduler(scheduler: Scheduler, way_down: WayDown) -> None:
    """Blocks; see `Scheduler.close`."""
    if lost := scheduler.close(patience_s=STEPS_S / 2):
        way_down.left_behind.append(f"{lost} steps of compute")


async def decisions_of(settings: Settings, scheduler: Scheduler) -> Decisions:
    """How this machine computes, settled on a thread that will.

    Raises `SettingsError` for a device or kernels that are not there.
    """
    import torch

    if settings.device.startswith("cuda"):
        index = int(settings.device.partition(":")[2] or 0)
        count = torch.cuda.device_count()
        if index >= count:
            raise SettingsError(
                f"device: {settings.device} is not there: torch sees {count} CUDA devices; use cpu"
            )
    try:
        pick(settings.kernels)
    except KernelsError as error:
        raise SettingsError(f"kernels: {error.message}") from error
    return (await scheduler.run(Work.of(functools.partial(settle, settings)))).result


def engines_of(
    settings: Settings, decisions: Decisions, threads: int, espeak: Espeak | None
) -> dict[str, Engine]:
    """The engines, on their device."""
    _LOGGER.info("computing with %d threads", threads)

    return make_engines(
        EngineContext(
            device=settings.device,
            arithmetic=decisions.arithmetic,
            kernels=decisions.kernels,
            most_steps=threads,
            threads=compute_threads(settings.compute_threads),
            front_ends=functools.partial(make_front_end, espeak=espeak, prefer=decisions.front_end),
        )
    )


def pacing_of(settings: Settings) -> Pacing:
    """How far ahead of their listeners paced streams are made."""
    return Pacing(
        start_budget_s={
            LineClass.BARK: settings.bark_start_ms / 1e3,
            LineClass.DIALOGUE: settings.dialogue_start_ms / 1e3,
            LineClass.CINEMATIC: settings.cinematic_start_ms / 1e3,
        },
        most_ahead_s=settings.most_ahead_s,
        patience_s=settings.unpaced_patience_s,
    )


def admission_of(settings: Settings, stage: Stage, engines: Mapping[str, Engine]) -> Admission:
    """The door, for what ``engines`` are expected to cost."""
    # onnxruntime's threads.
    long_width = float(compute_threads(settings.compute_threads))

    def expected(manifest: Manifest) -> Costs:
        engine = engines.get(manifest.engine)
        if engine is None:
            return prior(None)  # whoever loads it says so
        width = long_width if engine.steps_may_be_long else 0.0
        try:
            return prior(engine.pace(manifest), long_width=width)
        except EngineError:
            return prior(None, long_width=width)  # as above

    return Admission(
        Limits(settings.most_load, settings.most_backlog_s),
        stage.pacing,
        clock=stage.clock,
        machine=Machine(stage.scheduler.threads, float(len(os.sched_getaffinity(0)))),
        long_width=long_width,
        chunking=stage.chunking,
        prior=expected,
        speeds=stage.scheduler.speeds,
    )
