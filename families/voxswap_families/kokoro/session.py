"""The one place where onnxruntime is called: a checked graph in, arrays out, its errors mapped.

onnxruntime is imported when the first base is read (about 0.05 s), never with this module.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from voxswap_families.errors import DeviceMemoryError
from voxswap_registry.errors import EngineError

_MAX_CAUSE = 200  # characters of a foreign error that are passed on
# An arena's pieces double, up to this: larger ones were half empty, smaller ones ill to fill.
_POWERS_OF_TWO, _LARGEST_PIECE_BYTES = 0, 128 << 20
_ONLY_FATAL = 4  # all else is raised, too


class Run:
    """One run of a graph, which can be ended from another thread. Thread-safe; for one use.

    onnxruntime looks at its flag between two nodes of a graph: what ends is a graph of many nodes,
    not a node that lasts for ever. A flag that was set stays set, so each run has its own.
    """

    def __init__(self) -> None:
        self.options = _onnxruntime().RunOptions()
        self.options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def end(self) -> None:
        """Have the run raise before its next node. Nothing happens if it is over."""
        self.options.terminate = True

    @property
    def is_ended(self) -> bool:
        """Whether somebody has called `end`."""
        return bool(self.options.terminate)


class Session:
    """A graph ready to run on the CPU. Immutable; thread-safe, and runs block.

    ``arena_bytes`` bounds the activations of all sessions of this process together. It is meant
    for graphs that ask for absurd amounts; what an honest one takes is well below.
    """

    def __init__(self, graph: bytes, *, threads: int, arena_bytes: int) -> None:
        """Take ``graph`` up; about 0.5 s for 90 MB. ``threads`` 0: one for each core.

        REQUIRES: these very bytes were checked. From a path they would be read a second time, and
        might be others by then. Raises `EngineError` for a graph that does not fit together, and
        `DeviceMemoryError`.
        """
        onnxruntime = _onnxruntime()
        _share_arena(arena_bytes)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = _ONLY_FATAL
        # The graph is an optimised one: a second time gains nothing, and would evaluate parts of it
        # while it is loaded. What runs is what was checked.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        # Patterns are kept for each length of text, and no two segments have the same.
        options.enable_mem_pattern = False
        for key, value in (
            ("session.use_env_allocators", "1"),
            ("session.use_device_allocator_for_initializers", "1"),
            # Threads that wait by spinning take the cores from other engines.
            ("session.intra_op.allow_spinning", "0"),
        ):
            options.add_session_config_entry(key, value)
        with _errors_mapped("the graph cannot be loaded", len(graph)):
            self._session = onnxruntime.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"]
            )
        # onnxruntime's wrapper keeps the bytes for a change of providers; they are as large as the
        # weights, and nobody changes these.
        self._session._model_bytes = None

    def run(
        self, inputs: Mapping[str, npt.NDArray[Any]], run: Run, *, workspace_bytes: int
    ) -> dict[str, npt.NDArray[Any]]:
        """Outputs by name. What it took for activations is given back.

        ``workspace_bytes`` is what it may need. Raises `EngineError`, also for a run that was
        ended, and `DeviceMemoryError`.
        """
        names = [output.name for output in self._session.get_outputs()]
        began = time.monotonic()
        try:
            with _errors_mapped("the graph stopped midway", workspace_bytes):
                found = self._session.run(names, inputs, run.options)
        except EngineError as error:
            if not run.is_ended:
                raise
            raise EngineError(
                f"the graph was ended after {time.monotonic() - began:.0f} s: it takes longer than "
                "a step may; import the voice again from where it came"
            ) from error
        return dict(zip(names, found, strict=True))


@functools.cache
def _onnxruntime() -> Any:
    """The library, told to report to nobody.

    Its builds send what they run to their makers unless this variable is set before it is imported:
    they keep a database in the home folder and a thread that sends it off.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    return onnxruntime


@functools.cache
def _share_arena(arena_bytes: int) -> None:
    """Give onnxruntime's environment, of which a process has one, an arena with an end."""
    onnxruntime = _onnxruntime()
    where = onnxruntime.OrtMemoryInfo(
        "Cpu",
        onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR,
        0,
        onnxruntime.OrtMemType.DEFAULT,
    )
    limits = {
        "max_mem": arena_bytes,
        "arena_extend_strategy": _POWERS_OF_TWO,
        "max_power_of_two_extend_bytes": _LARGEST_PIECE_BYTES,
    }
    onnxruntime.create_and_register_allocator(where, onnxruntime.OrtArenaCfg(limits))


@contextmanager
def _errors_mapped(what: str, needed_bytes: int) -> Iterator[None]:
    """Turn onnxruntime's exceptions into ours.

    A refused allocation has the type of any other failure there. Whether it was one is found out by
    asking for as much again.
    """
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    foreign = (
        state.EPFail,
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoSuchFile,
        state.NotImplemented,
        state.RuntimeException,
        MemoryError,
        RuntimeError,
    )
    try:
        yield
    except foreign as error:
        if isinstance(error, MemoryError) or _is_refused(needed_bytes):
            raise DeviceMemoryError(
                f"cpu refused memory: {what}, which takes up to {needed_bytes} bytes"
            ) from error
        raise EngineError(
            f"{what} ({' '.join(str(error).split())[:_MAX_CAUSE]}); import the voice again"
        ) from error


def _is_refused(size_bytes: int) -> bool:
    try:
        np.empty(size_bytes, np.uint8)
    except MemoryError:
        return True
    return False
