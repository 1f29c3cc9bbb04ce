"""What is true of every family's engine: run over each of them, and over those that tests make up.

A module of tests gives a class of these a fixture `case`; see `test_contract.py`.
"""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.families.files import read
from voxswap_families.contract import Delivery, Engine, LoadedVoice
from voxswap_families.work import finished
from voxswap_registry.controls import CONTROLS, ON_AUDIO
from voxswap_registry.errors import EngineError
from voxswap_registry.families import native_controls_of
from voxswap_registry.manifest import Manifest

#: Every control at its neutral value, and without noise.
STILL = {name: 0.0 if c.neutral is None else c.neutral for name, c in CONTROLS.items()}
USUAL = Delivery(rate=1.0, seed=7, controls={"noise_scale": 0.667, "duration_noise_scale": 0.8})


@dataclass(frozen=True)
class Case:
    """An engine, a voice of its family, and the files of the voice's components by role.

    ``ids`` are symbols that it can say, ``n_symbols`` how many there are. Pieces may differ from
    the whole by ``tolerance``. ``measured`` gives the peak of what a work allocates, where the
    engine's library tells.
    """

    engine: Engine
    manifest: Manifest
    files: Mapping[str, Path]
    ids: Sequence[int]
    n_symbols: int
    tolerance: float
    measured: Callable[[Callable[[], Any]], int] | None = None

    def loaded(self) -> LoadedVoice:
        """The voice, loaded anew."""
        parts = {role: read(self.engine, self.manifest, role, path).place()
                 for role, path in self.files.items()}  # fmt: skip
        return self.engine.assemble(self.manifest, parts)

    def said(
        self,
        loaded: LoadedVoice,
        *,
        delivery: Delivery = USUAL,
        cuts: Sequence[int] = (),
        ids: Sequence[int] = (),
    ) -> npt.NDArray[np.float32]:
        """All of it, in pieces that end at the frames ``cuts``."""
        utterance = finished(loaded.voice.prepare(ids or self.ids, delivery))
        ends = [cut for cut in cuts if cut < utterance.frames]
        spans = zip([0, *ends], [*ends, utterance.frames], strict=True)
        return np.concatenate([finished(utterance.decode(*span)) for span in spans])


def allocated(work: Callable[[], Any]) -> int:
    """The most that Python and numpy had at a time while ``work`` ran."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


class EngineContract:
    """The tests. ``case`` is a `Case`."""

    def test_it_lists_every_component_as_a_part(self, case: Case) -> None:
        case.engine.check(case.manifest)
        roles = [spec.role for spec in case.engine.parts(case.manifest)]
        assert sorted(roles) == sorted({part.role for part in case.manifest.components})

    def test_parts_are_no_larger_than_was_said(self, case: Case) -> None:
        for spec in case.engine.parts(case.manifest):
            part = read(case.engine, case.manifest, spec.role, case.files[spec.role]).place()
            assert 0 < part.resident_bytes <= spec.footprint_bytes, spec.role
            assert 0 <= part.allocated_bytes <= part.resident_bytes

    def test_a_host_part_may_be_placed_again(self, case: Case) -> None:
        for role, path in case.files.items():
            host_part = read(case.engine, case.manifest, role, path)
            first, second = host_part.place(), host_part.place()
            assert first.resident_bytes == second.resident_bytes
            assert host_part.host_bytes >= 0

    def test_durations_are_those_of_the_symbols(self, case: Case) -> None:
        utterance = finished(case.loaded().voice.prepare(case.ids, USUAL))
        assert len(utterance.durations_frames) == len(case.ids)
        assert min(utterance.durations_frames) >= 0
        assert sum(utterance.durations_frames) == utterance.frames > 0
        assert utterance.held_bytes >= 0

    def test_pieces_joined_are_the_whole(self, case: Case) -> None:
        loaded = case.loaded()
        whole = case.said(loaded)
        hop = case.manifest.audio.hop_length_samples
        assert whole.dtype == np.float32
        assert len(whole) % hop == 0
        assert np.isfinite(whole).all()
        assert 0 < np.abs(whole).max() <= 1
        for cuts in ((7,), (1, 2, 3), tuple(range(5, len(whole) // hop, 13))):
            pieces = case.said(loaded, cuts=cuts)
            assert pieces.shape == whole.shape
            assert np.abs(pieces - whole).max() <= case.tolerance, cuts

    def test_a_seed_says_the_same_whatever_runs_between(self, case: Case) -> None:
        loaded = case.loaded()
        first = case.said(loaded, cuts=(10,))
        utterance = finished(loaded.voice.prepare(case.ids, USUAL))
        begun = finished(utterance.decode(0, 10))
        case.said(loaded, delivery=replace(USUAL, seed=8))
        rest = finished(utterance.decode(10, utterance.frames))
        assert np.array_equal(np.concatenate([begun, rest]), first)
        assert np.array_equal(case.said(loaded, cuts=(10,)), first)

    def test_what_left_and_came_back_says_the_same(self, case: Case) -> None:
        first = case.said(case.loaded())
        gc.collect()
        assert np.array_equal(case.said(case.loaded()), first)

    def test_slower_is_longer(self, case: Case) -> None:
        loaded = case.loaded()
        usual, slow = (
            len(case.said(loaded, delivery=Delivery(rate=rate, seed=7))) for rate in (1.0, 0.5)
        )
        assert 1.5 * usual < slow < 2.5 * usual

    def test_each_control_that_is_its_own_is_heard_and_no_other_is(self, case: Case) -> None:
        loaded = case.loaded()
        still = case.said(loaded, delivery=Delivery(1.0, 7, STILL))
        controls = native_controls_of(case.manifest)
        assert "rate" in controls
        for name in CONTROLS.keys() - {"rate"}:
            moved = Delivery(1.0, 7, {**STILL, name: CONTROLS[name].most})
            is_heard = not np.array_equal(case.said(loaded, delivery=moved), still)
            assert is_heard == (name in controls), name

    def test_a_neutral_control_is_the_same_as_none(self, case: Case) -> None:
        loaded, neutral = (
            case.loaded(),
            {n: v for n, v in STILL.items() if CONTROLS[n].setting == ""},
        )
        unset = Delivery(1.0, 7, {n: v for n, v in STILL.items() if n not in neutral})
        still = case.said(loaded, delivery=unset)
        assert np.array_equal(case.said(loaded, delivery=Delivery(1.0, 7, STILL)), still)

    def test_pieces_joined_are_the_whole_with_controls(self, case: Case) -> None:
        own = {n: CONTROLS[n].most for n in native_controls_of(case.manifest) if n in ON_AUDIO}
        if not own:
            pytest.skip("it changes nothing but what other tests change")
        loaded, delivery = case.loaded(), Delivery(1.2, 7, {**STILL, **own})
        whole = case.said(loaded, delivery=delivery)
        pieces = case.said(loaded, delivery=delivery, cuts=(1, 2, 9, 10, 31))
        assert pieces.shape == whole.shape
        assert np.abs(pieces - whole).max() <= case.tolerance

    def test_symbols_and_speakers_that_are_none_are_refused(self, case: Case) -> None:
        voice = case.loaded().voice
        for ids in ([], [-1], [case.n_symbols], [*case.ids, 1 << 40]):
            with pytest.raises(EngineError):
                finished(voice.prepare(ids, USUAL))

    def test_as_many_symbols_as_it_takes_can_be_said_at_any_rate(self, case: Case) -> None:
        loaded = case.loaded()
        for rate in (0.25, 1.0, 4.0):
            most = loaded.voice.most_symbols(rate)
            assert most >= 8
        ids = [case.ids[i % len(case.ids)] for i in range(loaded.voice.most_symbols(4.0))]
        said = case.said(loaded, ids=ids, delivery=replace(USUAL, rate=4.0))
        assert np.isfinite(said).all()

    def test_frames_are_told_in_order_and_once(self, case: Case) -> None:
        utterance = finished(case.loaded().voice.prepare(case.ids, USUAL))
        for span in ((-1, 2), (0, 0), (0, utterance.frames + 1), (5, 3)):
            with pytest.raises(ValueError, match="frames"):
                finished(utterance.decode(*span))

    def test_steps_take_no_more_than_was_said(self, case: Case) -> None:
        if case.measured is None:
            pytest.skip("its library does not tell what it allocates")
        loaded = case.loaded()
        bound = case.engine.workspace_bytes(case.manifest, largest_chunk_s=1.0)
        assert case.measured(lambda: case.said(loaded)) <= bound

    def test_dropping_it_frees_it(self, case: Case) -> None:
        parts = {role: read(case.engine, case.manifest, role, path).place()
                 for role, path in case.files.items()}  # fmt: skip
        loaded = case.engine.assemble(case.manifest, parts)
        case.said(loaded)
        gone = [weakref.ref(loaded.voice)]
        del loaded, parts
        gc.collect()
        assert [ref() for ref in gone] == [None]

    def test_a_component_that_is_none_is_an_error(self, case: Case, tmp_path: Path) -> None:
        for role, path in case.files.items():
            whole = path.read_bytes()
            for data in (b"", b"\0" * 64, whole[: len(whole) // 2]):
                (tmp_path / role).write_bytes(data)
                with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is asked below
                    read(case.engine, case.manifest, role, tmp_path / role).place()
                assert type(caught.value).__module__.startswith(
                    ("voxswap_registry", "voxswap_families")
                ), (role, data[:8], caught.value)

    def test_warming_up_and_pace(self, case: Case) -> None:
        case.engine.warm_up()
        pace = case.engine.pace(case.manifest)
        assert pace is None or min(pace.prepare_s_per_symbol, pace.decode_s_per_s) > 0
