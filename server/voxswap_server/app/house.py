"""Puts the house together: from settings to a server that listens, and back down again."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import importlib
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from voxswap.v1 import (
    residency_pb2,
    residency_pb2_grpc,
    speech_pb2,
    speech_pb2_grpc,
    voices_pb2,
    voices_pb2_grpc,
)
from voxswap_families.contract import Engine, Surroundings
from voxswap_families.register import families, make_engines
from voxswap_families.work import Work
from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.catalog.watcher import CatalogWatcher, Look
from voxswap_registry.errors import EngineError, FrontEndError
from voxswap_registry.manifest import Manifest
from voxswap_registry.signing import TrustedKeys
from voxswap_registry.store import Registry
from voxswap_server.app.audio_cache import keep_audio
from voxswap_server.app.config import Settings, SettingsError
from voxswap_server.app.decisions import Decisions, maker, settle
from voxswap_server.app.metrics import Metrics
from voxswap_server.app.metrics_port import MetricsPort
from voxswap_server.app.residents import (
    Residents,
    in_background,
    keep_residents,
    look_after,
    stop,
    stream_bytes,
)
from voxswap_server.app.way_down import STEPS_S, WayDown
from voxswap_server.compute.process import compute_threads
from voxswap_server.compute.scheduler import Scheduler
from voxswap_server.compute.threads import Surroundings as LaneSurroundings
from voxswap_server.compute.watchdog import watch_steps
from voxswap_server.doors.grpc.guard import Guard
from voxswap_server.doors.grpc.guard import Limits as CallLimits
from voxswap_server.doors.grpc.health import HealthServicer
from voxswap_server.doors.grpc.kept_messages import KeptMessages
from voxswap_server.doors.grpc.reflection import add_reflection
from voxswap_server.doors.grpc.refusals import Refusals
from voxswap_server.doors.grpc.residency import ResidencyServicer
from voxswap_server.doors.grpc.server import ConnectionLimits, Server
from voxswap_server.doors.grpc.speech import SpeechServicer
from voxswap_server.doors.grpc.under_way import CallsUnderWay
from voxswap_server.doors.grpc.voices import VoiceServicer
from voxswap_server.residency.manager import ModelManager
from voxswap_server.speech.admission import Admission, prior
from voxswap_server.speech.books import Limits, Machine
from voxswap_server.speech.cache.cache import AudioCache
from voxswap_server.speech.chunking import Chunking
from voxswap_server.speech.costs import Costs
from voxswap_server.speech.need import Windows
from voxswap_server.speech.pipeline import Stage
from voxswap_server.speech.playback import Pacing
from voxswap_server.speech.request import LineClass
from voxswap_server.speech.serving import Serving
from voxswap_server.speech.speaking import Maker, Speaker
from voxswap_server.speech.stream_memory import StreamMemory
from voxswap_server.text.espeak_library import Espeak
from voxswap_server.text.frontends import espeak_is_installed, make_front_end
from voxswap_server.text.normalization import normalize
from voxswap_server.voices.changes import VoiceChanges
from voxswap_server.voices.self_test import SelfTest
from voxswap_server.voices.store_calls import StoreCalls
from voxswap_server.voices.uploads import Uploads

_LOGGER = logging.getLogger(__name__)

_FIRST_LOOK_S, _FIRST_LOOK_EVER_S = 1.0, 15.0
# Steps that hang keep their threads; so many are replaced.
_SPARE_THREADS = 8

_SERVICES = (
    speech_pb2.DESCRIPTOR.services_by_name["SpeechService"].full_name,
    voices_pb2.DESCRIPTOR.services_by_name["VoiceService"].full_name,
    residency_pb2.DESCRIPTOR.services_by_name["ResidencyService"].full_name,
)


# A stop does not wait for their calls: they are short, or never end.
_NOT_WAITED_FOR = (
    *("/grpc.health.v1.Health/", "/grpc.reflection."),
    "/voxswap.v1.ResidencyService/Watch",
)


@dataclass(frozen=True, slots=True)
class RunningServer:
    """What a server that listens can tell. ``address`` and ``metrics_address`` are as bound."""

    address: str
    metrics_address: str | None
    residents: Residents
    audio_cache: AudioCache
    _grpc: Server

    async def ended(self) -> None:
        """Wait until no call is taken any more, by whoever's doing."""
        await self._grpc.wait_for_termination()

    @property
    def catalog(self) -> Catalog:
        """The voices that there are."""
        return self.residents.catalog

    @property
    def metrics(self) -> Metrics:
        """What is counted."""
        return self.residents.metrics

    @property
    def manager(self) -> ModelManager:
        """The voices that are in memory."""
        return self.residents.manager


@contextlib.asynccontextmanager
async def running(
    settings: Settings, way_down: WayDown | None = None
) -> AsyncIterator[RunningServer]:
    """A server that listens as long as the block lasts.

    On leaving: health turns NOT_SERVING, no new call is taken, streams get
    ``shutdown_grace_s`` to end and are cancelled after it, then everything is evicted and closed.
    What hangs is left behind, and ``way_down`` has its name; see there for the times.
    Raises `SettingsError` if an address cannot be had or a device is not there.
    """
    way_down = way_down or WayDown(settings.shutdown_grace_s)
    metrics = Metrics(settings.device)
    async with contextlib.AsyncExitStack() as stack:
        espeak = _espeak(settings, metrics, stack, way_down)
        # Side by side: one waits for torch, the other for disk or network.
        importing = asyncio.create_task(asyncio.to_thread(_import_engines))
        stack.callback(importing.cancel)
        looks = [metrics.observe_look]
        catalog, watch_registry = await _catalog(settings, metrics, looks, stack, way_down)
        await importing
        registry = catalog.registry
        scheduler = _scheduler(settings, metrics)
        way_down.closing_on_thread(stack, "compute", lambda: _close(scheduler, way_down))
        coding = None
        if settings.device != "cpu":  # The device's thread is not kept waiting by codecs.
            coding = Scheduler("voxswap-coding", threads=compute_threads(settings.compute_threads))
            way_down.closing_on_thread(stack, "codecs", coding.close)
        decisions = await _decisions(settings, scheduler)
        metrics.show_build(decisions.labels())
        engines = _engines(settings, decisions, scheduler.threads, espeak)
        residents = await keep_residents(settings, catalog, engines, metrics, stack, way_down)
        # Before residency waits for its leases, once no stream is left.
        stack.callback(scheduler.abandon)
        manager = residents.manager
        looks.append(residents.observe_look)
        for engine in engines.values():
            await scheduler.run(Work.of(engine.warm_up))
        await scheduler.run(Work.of(functools.partial(normalize, "It is 7 o'clock.", "en")))
        manager.ready()

        refusals = Refusals(metrics.refused)
        calls = CallsUnderWay(_NOT_WAITED_FOR)
        guard = Guard(
            CallLimits(settings.max_streams, settings.first_message_s, settings.stalled_write_s),
            refusals,
            under_way=calls,
            observe_undecodable=metrics.observe_undecodable,
        )
        metrics.watch_calls(lambda: guard.open_calls)
        server = Server(
            guard,
            ConnectionLimits(
                hello_s=settings.first_message_s,
                idle_s=settings.idle_connection_s,
                keepalive_s=settings.keepalive_s,
                max_message_bytes=settings.max_message_bytes,
            ),
        )
        serving = Serving(
            manager.bars,
            long_engines=frozenset(e.name for e in engines.values() if e.steps_may_be_long),
        )
        health = HealthServicer(catalog, serving, _SERVICES, executor=_threads(stack, 2, "health"))
        stage = Stage(
            scheduler,
            coding=coding,
            chunking=Chunking(settings.first_chunk_ms, settings.largest_chunk_ms),
            pacing=_pacing(settings),
            bars=manager.bars,
            memory=StreamMemory(
                stream_bytes(settings.memory_budget),
                manager.take_for_stream,
                manager.give_for_stream,
            ),
        )
        admission = _admission(settings, stage, engines)
        metrics.watch_speech(
            lambda: scheduler.waiting,
            lambda: admission.shown.load,
            lambda: admission.shown.backlog_s,
            scheduler.busy,
        )
        metrics.watch_stuck(lambda: scheduler.lost, lambda: len(manager.bars))
        audio_cache = keep_audio(
            settings, metrics, stack, way_down, maker=maker(decisions, settings.device)
        )
        making = Maker(manager, stage, admission, on_use=residents.uses.count)
        speech = SpeechServicer(
            Speaker(catalog, making, audio_cache, metrics.streams),
            catalog,
            residents.ahead,
            max_text_characters=settings.max_text_characters,
        )
        store = StoreCalls()
        stack.callback(store.close)
        uploads = Uploads(
            registry,
            store,
            check=residents.loader.check,
            check_graphs=residents.loader.check_graphs,
            must_be_signed=settings.require_signature,
            max_bytes=settings.max_upload_bytes,
            max_uploads=settings.max_uploads,
        )
        stack.push_async_callback(uploads.close)
        self_test = SelfTest(making, observe=metrics.observe_self_test)
        kept_messages = KeptMessages()
        metrics.watch_beside("messages", lambda: kept_messages.size_bytes)
        voices = VoiceServicer(
            catalog, store, VoiceChanges(catalog, store, uploads, self_test), kept_messages
        )
        speech_pb2_grpc.add_SpeechServiceServicer_to_server(speech, server)
        voices_pb2_grpc.add_VoiceServiceServicer_to_server(voices, server)
        residency_pb2_grpc.add_ResidencyServiceServicer_to_server(
            ResidencyServicer(
                *(catalog, manager, residents.events),
                host_tier=residents.host_tier,
                beside=metrics.beside,
            ),
            server,
        )
        health_pb2_grpc.add_HealthServicer_to_server(health, server)
        add_reflection(
            server, (*_SERVICES, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
        )
        address = _bind(server, settings.listen)
        metrics_address = None
        if settings.metrics_listen != "off":
            metrics_port = _serve_metrics(settings.metrics_listen, metrics, refusals)
            way_down.closing_on_thread(stack, "metrics", metrics_port.close)
            metrics_address = metrics_port.address
        # What lives from here on lives as long as the process: keep the collector off it.
        gc.collect()
        gc.freeze()
        await server.start()

        async def become_ready() -> None:
            await residents.preload()
            serving.become_ready()

        # Nothing is awaited from here on until all of this is on the stack.
        if settings.preload:
            in_background(stack, way_down, become_ready(), "preload")
        else:
            residents.preloaded.set()
            serving.become_ready()
        in_background(stack, way_down, watch_registry(), "watching the registry")
        watching = watch_steps(scheduler, serving.set_threads, after_s=settings.step_limit_s)
        in_background(stack, way_down, watching, "watch compute")
        in_background(stack, way_down, admission.keep_showing(), "the books of admission")
        look_after(residents, stack, way_down)
        stack.push_async_callback(_stop_serving, server, calls, scheduler, way_down)
        # Watchers end, and need not be waited for.
        stack.callback(residents.events.close)
        stack.callback(serving.drain)
        stack.callback(way_down.begin)
        yield RunningServer(address, metrics_address, residents, audio_cache, server)


def _espeak(
    settings: Settings, metrics: Metrics, stack: contextlib.AsyncExitStack, way_down: WayDown
) -> Espeak | None:
    """espeak-ng, with its processes started here so that no voice waits for them."""
    if settings.front_end == "english":
        return None
    espeak = Espeak()
    way_down.closing_on_thread(stack, "the processes of espeak-ng", espeak.close)
    if espeak_is_installed():
        metrics.watch_workers("espeak-ng", espeak.statistics)
        metrics.watch_beside("espeak-ng", espeak.resident_bytes)
        try:
            espeak.start()
        except FrontEndError as error:
            _LOGGER.warning("%s", error)  # voices that need it say so, and others speak
    return espeak


async def _stop_serving(
    server: Server, calls: CallsUnderWay, scheduler: Scheduler, way_down: WayDown
) -> None:
    """Take no call any more; those under way have their grace, and end then, whatever hangs."""
    stopping = asyncio.ensure_future(server.stop(way_down.left_s()))
    await way_down.grace(calls.ended())
    if way_down.is_hurried:
        server.hang_up()
    way_down.hurry()
    await asyncio.wait([stopping], timeout=STEPS_S)
    if calls.count:
        _LOGGER.warning(
            "%d calls did not end when they were cancelled; steps under way count as stuck",
            calls.count,
        )
        scheduler.abandon()
    server.hang_up()  # Whoever still watches, and does not take the end of it.
    await way_down.within("the gRPC server", lambda: asyncio.wait([stopping]))


def _close(scheduler: Scheduler, way_down: WayDown) -> None:
    """Blocks; see `Scheduler.close`."""
    if lost := scheduler.close(patience_s=STEPS_S / 2):
        way_down.left_behind.append(f"{lost} steps of compute")


async def _catalog(
    settings: Settings,
    metrics: Metrics,
    observers: Sequence[Callable[[Look], None]],
    stack: contextlib.AsyncExitStack,
    way_down: WayDown,
) -> tuple[Catalog, Callable[[], Coroutine[Any, Any, None]]]:
    """The catalog of the registry, looked at once; and what watches it from then on.

    ``observers`` hear of each look; who comes to the list later hears of the later ones.
    """
    trusted = None
    if settings.require_signature:
        if not settings.trusted_keys:
            raise SettingsError(
                "trusted_keys: is empty, and require_signature is set; name the .pub files of "
                "those whose voices may speak"
            )
        trusted = TrustedKeys.load(settings.trusted_keys)
    registry = await asyncio.to_thread(
        Registry.open,
        settings.registry,
        cache_dir=settings.cache_dir,
        cache_bytes=settings.cache_bytes,
        # Who may write to the store, and has no key, must not reach what was verified.
        private_copies=settings.require_signature,
    )
    catalog = await asyncio.to_thread(Catalog, registry, folder=settings.cache_dir, trusted=trusted)
    way_down.closing_on_thread(stack, "the catalog", catalog.close)  # waits for a look under way

    def observe(look: Look) -> None:
        for observer in observers:
            observer(look)

    watcher = CatalogWatcher(
        catalog,
        poll_s=settings.registry_poll_s,
        observer=observe,
        executor=_threads(stack, 1, "watch"),
    )
    metrics.watch_catalog(catalog.count, registry.components.cached_bytes)
    metrics.watch_beside("catalog", lambda: catalog.kept_bytes)
    # A store that hangs must not keep a server from speaking with the voices that it knows.
    first = asyncio.create_task(watcher.look(), name="first look at the registry")
    patience_s = _FIRST_LOOK_S if catalog.is_complete else _FIRST_LOOK_EVER_S
    await asyncio.wait([first], timeout=patience_s)

    way_down.closing(stack, "the first look at the registry", lambda: stop(first))

    async def watch() -> None:
        await first
        await watcher.run()

    return catalog, watch


def _threads(stack: contextlib.AsyncExitStack, n: int, name: str) -> ThreadPoolExecutor:
    """Threads for work that waits for the store; nobody waits for them in the end."""
    executor = ThreadPoolExecutor(n, thread_name_prefix=f"voxswap-{name}")
    stack.callback(executor.shutdown, wait=False, cancel_futures=True)
    return executor


def _pacing(settings: Settings) -> Pacing:
    return Pacing(
        start_budget_s={
            LineClass.BARK: settings.bark_start_ms / 1e3,
            LineClass.DIALOGUE: settings.dialogue_start_ms / 1e3,
            LineClass.CINEMATIC: settings.cinematic_start_ms / 1e3,
        },
        most_ahead_s=settings.most_ahead_s,
        patience_s=settings.unpaced_patience_s,
    )


def _admission(settings: Settings, stage: Stage, engines: Mapping[str, Engine]) -> Admission:
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
        windows=Windows(
            stage.chunking.first_ms / 1e3,
            stage.chunking.largest_ms / 1e3,
            settings.most_ahead_s,
        ),
        prior=expected,
        speeds=stage.scheduler.speeds,
    )


def _import_engines() -> None:
    """Takes a second or two, without an event loop to hold up."""
    for family in families().values():
        importlib.import_module(family.engine_module)


def _scheduler(settings: Settings, metrics: Metrics) -> Scheduler:
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
        surroundings=LaneSurroundings(
            prepare=compute_alone,
            observe=metrics.observe_step,
            observe_stuck=metrics.observe_stuck,
            # Whoever waits for a GPU computes as well.
            cpu_clock=time.thread_time if settings.device == "cpu" else time.perf_counter,
        ),
    )


async def _decisions(settings: Settings, scheduler: Scheduler) -> Decisions:
    """How this machine computes, settled on a thread that will."""
    import torch

    if settings.device.startswith("cuda"):
        index = int(settings.device.partition(":")[2] or 0)
        count = torch.cuda.device_count()
        if index >= count:
            raise SettingsError(
                f"device: {settings.device} is not there: torch sees {count} CUDA devices; use cpu"
            )
    return (await scheduler.run(Work.of(functools.partial(settle, settings)))).result


def _engines(
    settings: Settings, decisions: Decisions, threads: int, espeak: Espeak | None
) -> dict[str, Engine]:
    """The engines, on their device."""
    _LOGGER.info("computing with %d threads", threads)

    return make_engines(
        Surroundings(
            device=settings.device,
            arithmetic=decisions.arithmetic,
            most_steps=threads,
            threads=compute_threads(settings.compute_threads),
            front_ends=functools.partial(make_front_end, espeak=espeak, prefer=decisions.front_end),
        )
    )


def _bind(server: grpc.aio.Server, listen: str) -> str:
    try:
        port = server.add_insecure_port(listen)
    except RuntimeError as error:
        raise SettingsError(
            f"listen: {listen} cannot be had; it is taken or not an address of this machine"
        ) from error
    return f"{listen.rpartition(':')[0]}:{port}"


def _serve_metrics(listen: str, metrics: Metrics, refusals: Refusals) -> MetricsPort:
    host, _, port = listen.rpartition(":")
    loop = asyncio.get_running_loop()

    def refused() -> None:
        told = "too many connections at the metrics port; the oldest, which said nothing, went"
        loop.call_soon_threadsafe(refusals.note, "METRICS_BUSY", told)

    try:
        return MetricsPort(
            host.strip("[]"),
            int(port),
            metrics.registry,
            refused=refused,
        )
    except OSError as error:
        raise SettingsError(
            f"metrics_listen: {listen} cannot be had ({error.strerror}); use another port, or 'off'"
        ) from error
