"""The house: everything that serves voices but its doors. It opens no port."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

from voxswap_families.layers.native.lending import KernelLending
from voxswap_families.work import Work
from voxswap_registry.catalog.catalog import Catalog
from voxswap_registry.catalog.watcher import Look
from voxswap_registry.errors import FrontEndError
from voxswap_registry.names import VoiceRef
from voxswap_registry.store import Registry
from voxswap_server.app.audio_cache import keep_audio
from voxswap_server.app.background import in_background
from voxswap_server.app.computing import (
    admission_of,
    close_scheduler,
    decisions_of,
    engines_of,
    import_engines,
    make_scheduler,
    open_lending,
    pacing_of,
    watch_admission,
    watch_compute,
)
from voxswap_server.app.config import Settings
from voxswap_server.app.decisions import maker
from voxswap_server.app.metrics import Metrics
from voxswap_server.app.remembering import WarmStart
from voxswap_server.app.residency import (
    from_any_thread,
    keep_residents,
    look_after,
    stream_bytes,
)
from voxswap_server.app.residents import EventReporter, Residents
from voxswap_server.app.watched import watched_catalog
from voxswap_server.app.way_down import WayDown
from voxswap_server.audio.clips.reader import ClipReader
from voxswap_server.compute.process import compute_threads
from voxswap_server.compute.scheduler import Scheduler
from voxswap_server.compute.watchdog import watch_steps
from voxswap_server.residency.events import EventLog
from voxswap_server.residency.manager import ModelManager
from voxswap_server.residency.popularity import Popularity
from voxswap_server.residency.steering import Steering
from voxswap_server.speech.cache.cache import AudioCache
from voxswap_server.speech.chunking import Chunking
from voxswap_server.speech.pipeline import Stage
from voxswap_server.speech.recordings import Recordings
from voxswap_server.speech.request import EmotionFallback
from voxswap_server.speech.serving import Serving
from voxswap_server.speech.speaking import Maker, Speaker
from voxswap_server.speech.stream_memory import StreamMemory
from voxswap_server.text.espeak.library import Espeak
from voxswap_server.text.frontends import espeak_is_installed
from voxswap_server.text.normalization import normalize
from voxswap_server.voices.changes import VoiceChanges
from voxswap_server.voices.self_test import SelfTest
from voxswap_server.voices.store_calls import StoreCalls
from voxswap_server.voices.uploads import Uploads

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class House:
    """What doors ask: ``speaker`` for speech, ``changes`` for changing voices, the rest to look at.

    Confined to one event loop. ``store`` is for calls that block on the registry's store;
    ``espeak`` has the processes of espeak-ng, unless the settings do without.
    """

    settings: Settings
    metrics: Metrics
    residents: Residents
    scheduler: Scheduler
    speaker: Speaker
    audio_cache: AudioCache
    recordings: Recordings
    changes: VoiceChanges
    steering: Steering
    store: StoreCalls
    serving: Serving
    espeak: Espeak | None

    @property
    def catalog(self) -> Catalog:
        """The voices that there are."""
        return self.residents.catalog

    @property
    def manager(self) -> ModelManager:
        """The voices that are in memory."""
        return self.residents.manager

    @property
    def events(self) -> EventLog:
        """What comes and goes."""
        return self.residents.reporter.log


@contextlib.asynccontextmanager
async def open_house(settings: Settings, way_down: WayDown) -> AsyncIterator[House]:
    """A house that can speak as long as the block lasts, with its upkeep in the background.

    On leaving, everything is evicted and closed; whoever opened doors has closed them by then.
    What hangs is left behind, and ``way_down`` has its name; see there for the times.
    Raises `SettingsError` if a device is not there.
    """
    metrics = Metrics(settings.device)
    async with contextlib.AsyncExitStack() as stack:
        espeak = _espeak(settings, metrics, stack, way_down)
        # Side by side: one waits for torch, the other for disk or network.
        importing = asyncio.create_task(asyncio.to_thread(import_engines))
        stack.callback(importing.cancel)
        reporter = EventReporter(metrics, EventLog())
        catalog, watch_registry = await watched_catalog(
            settings, metrics, from_any_thread(reporter.report_quarantine), stack, way_down
        )
        await importing
        lending = KernelLending()
        scheduler = make_scheduler(settings, metrics, lending)
        way_down.closing_on_thread(stack, "compute", lambda: close_scheduler(scheduler, way_down))
        coding = None
        if settings.device != "cpu":  # The device's thread is not kept waiting by codecs.
            coding = Scheduler("voxswap-coding", threads=compute_threads(settings.compute_threads))
            way_down.closing_on_thread(stack, "codecs", coding.close)
        decisions = await decisions_of(settings, scheduler)
        metrics.show_build(decisions.labels())
        engines = engines_of(settings, decisions, scheduler.threads, espeak)
        metrics.watch_prompts(engines)
        residents = keep_residents(settings, catalog, engines, reporter, stack, way_down)
        # Before residency waits for its leases, once no stream is left.
        stack.callback(scheduler.abandon)
        manager = residents.manager
        for engine in engines.values():
            await scheduler.run(Work.of(engine.warm_up))
        # Not before: how fast one thread is was measured there.
        open_lending(settings, decisions, lending)
        await scheduler.run(Work.of(functools.partial(normalize, "It is 7 o'clock.", "en")))
        manager.ready()

        serving = Serving(
            manager.bars,
            long_engines=frozenset(e.name for e in engines.values() if e.steps_may_be_long),
        )
        stage = _stage(settings, scheduler, coding, manager)
        admission = admission_of(settings, stage, engines)
        watch_compute(metrics, scheduler, lending)
        watch_admission(metrics, admission)
        text = "Versions that may not speak for a while."
        metrics.show("barred_voices", text, lambda: len(manager.bars))
        audio_cache = keep_audio(
            settings, metrics, stack, way_down, maker=maker(decisions, settings.device)
        )
        recordings = _recordings(catalog, stage, metrics, stack, way_down)
        uses = Popularity()
        making = Maker(manager, stage, admission, on_use=uses.count)
        store = StoreCalls()
        stack.callback(store.close)
        uploads = _uploads(settings, catalog.registry, store, residents)
        stack.push_async_callback(uploads.close)
        self_test = SelfTest(making, observe=metrics.observe_self_test)

        warm_start = WarmStart(
            *(manager, residents.ahead, uses),
            resolve=lambda voice: catalog.resolve(VoiceRef.parse(voice)),
            path=settings.cache_dir / "residents.json",
        )

        async def become_ready() -> None:
            await warm_start.preload(settings.preload)
            serving.become_ready()

        def observe_look(look: Look) -> None:
            metrics.observe_look(look)
            residents.observe_look(look)

        # Nothing is awaited from here on until all of this is on the stack.
        in_background(stack, way_down, become_ready(), "preload")
        in_background(stack, way_down, watch_registry(observe_look), "watching the registry")
        watching = watch_steps(scheduler, serving.set_threads, after_s=settings.step_limit_s)
        in_background(stack, way_down, watching, "watch compute")
        in_background(stack, way_down, admission.keep_showing(), "the books of admission")
        look_after(residents, warm_start, stack, way_down)
        # Watchers end, and need not be waited for.
        stack.callback(reporter.log.close)
        yield House(
            settings,
            metrics,
            residents,
            scheduler,
            Speaker(
                *(catalog, making, audio_cache, metrics.streams),
                fallback=EmotionFallback(settings.emotion_fallback),
            ),
            audio_cache,
            recordings,
            VoiceChanges(catalog, store, uploads, self_test),
            Steering(
                *(catalog, manager, reporter.log),
                host_tier=residents.host_tier,
                beside=metrics.beside,
            ),
            store,
            serving,
            espeak,
        )


def _stage(
    settings: Settings, scheduler: Scheduler, coding: Scheduler | None, manager: ModelManager
) -> Stage:
    """Where lines are computed and paced."""
    return Stage(
        scheduler,
        coding=coding,
        parts_at_clause=settings.first_segment == "clause",
        chunking=Chunking(settings.first_chunk_ms, settings.largest_chunk_ms),
        pacing=pacing_of(settings),
        bars=manager.bars,
        memory=StreamMemory(
            stream_bytes(settings.memory_budget),
            manager.take_for_stream,
            manager.give_for_stream,
        ),
    )


def _uploads(
    settings: Settings, registry: Registry, store: StoreCalls, residents: Residents
) -> Uploads:
    """Components that clients send, as large and as well signed as the settings want them."""
    return Uploads(
        registry,
        store,
        check=residents.loader.check,
        check_graphs=residents.loader.check_graphs,
        must_be_signed=settings.require_signature,
        max_bytes=settings.max_upload_bytes,
        max_uploads=settings.max_uploads,
    )


def _recordings(
    catalog: Catalog,
    stage: Stage,
    metrics: Metrics,
    stack: contextlib.AsyncExitStack,
    way_down: WayDown,
) -> Recordings:
    """What listens to clips; its processes begin with the first one."""
    reader = ClipReader()
    metrics.watch_workers("recordings", reader.statistics)
    metrics.watch_beside("recordings", reader.resident_bytes)
    recordings = Recordings(
        *(catalog, catalog.registry.components, stage.scheduler, reader), clock=stage.clock
    )
    way_down.closing_on_thread(stack, "recordings", recordings.close)
    return recordings


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
