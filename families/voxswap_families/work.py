"""Computing in steps: what an engine hands to whoever owns the device.

An engine writes a computation as a generator and yields wherever it may be left for a while. Where
it needs a network that others may need at the same moment, it yields a `Call` instead of calling:
calls of one key are then made together where that pays, and each gets its own result.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Generator, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

_LOGGER = logging.getLogger(__name__)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Call:
    """A network on its input. ``together`` takes inputs of calls with one ``key``, in any number.

    It gives their results in the same order, each as if it had been called alone.
    """

    key: Hashable
    input: Any
    together: Callable[[Sequence[Any]], Sequence[Any]]


Steps = Generator[Call | None, Any, _T]


class SuspendedError(Exception):
    """A guard kept a work from its next step. Nothing of it is lost: it may be given to go on."""


class Work(Generic[_T]):
    """A computation on its way. Not thread-safe, but may be stepped by one thread after another.

    Dropping it frees what it holds. Its steps must not be slow but for ``may_be_long`` ones, which
    keep a device to themselves for longer than others should wait.
    """

    def __init__(
        self,
        steps: Steps[_T],
        *,
        around: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext,
        may_be_long: bool = False,
        guard: Callable[[], bool] | None = None,
        interrupt: Callable[[], None] | None = None,
    ) -> None:
        """``around`` is entered for each step, on whatever thread runs it.

        ``guard`` is asked right before each step, there: whether what it computes with is still
        what it was. If not, the step is not taken, and the work ends for now. It takes a few
        microseconds and raises nothing. ``interrupt`` asks the step that is under way to end soon;
        the step then raises. It is called from another thread, and must not block.
        """
        self._steps: Steps[_T] | None = steps
        self._around = around
        self._call: Call | None = None
        self._result: _T | None = None
        self._error: BaseException | None = None
        self._interrupt = interrupt
        self.may_be_long = may_be_long
        self._guard = guard
        self._is_suspended = False

    @classmethod
    def of(
        cls,
        compute: Callable[[], _T],
        *,
        may_be_long: bool = False,
        interrupt: Callable[[], None] | None = None,
    ) -> Work[_T]:
        """All of ``compute`` as one step."""

        def steps() -> Steps[_T]:
            return compute()
            yield  # a generator, and its only step

        return cls(steps(), may_be_long=may_be_long, interrupt=interrupt)

    @property
    def key(self) -> Hashable | None:
        """What the next step will call, or None: works with one key can go on together."""
        return self._call.key if self._call is not None else None

    @property
    def is_done(self) -> bool:
        """Whether it came to its end, good or bad, or may not go on for now."""
        return self._steps is None or self._is_suspended

    @property
    def is_intact(self) -> bool:
        """Whether its guard, asked now, still stands for what was computed."""
        return self._guard is None or self._guard()

    def interrupt(self) -> bool:
        """Ask the step under way to end soon; whether there is a way to. From any thread."""
        if self._interrupt is None:
            return False
        try:
            self._interrupt()
        except Exception:
            _LOGGER.exception("a step of compute cannot be interrupted")
            return False
        return True

    def result(self) -> _T:
        """What it came to; raises what it raised, or `SuspendedError`. Only once it `is_done`."""
        if self._is_suspended:
            raise SuspendedError
        if self._error is not None:
            raise self._error
        assert self.is_done  # noqa: S101 - see above
        return cast("_T", self._result)

    def step(self) -> None:
        """Go on by a little. What it raises is kept for `result`."""
        if not self._may_go_on():
            return
        with self._around():
            call, result = self._call, None
            if call is not None:
                try:
                    (result,) = call.together([call.input])
                except BaseException as error:  # noqa: BLE001 - raised by `result`
                    self._end(error=error)
                    return
            self._go_on(result)

    def _may_go_on(self) -> bool:
        self._is_suspended = self._guard is not None and not self._guard()
        return not self._is_suspended

    def _go_on(self, result: object) -> None:
        assert self._steps is not None  # noqa: S101 - who is done is not stepped
        self._call = None
        try:
            self._call = self._steps.send(result)
        except StopIteration as end:
            self._end(end.value)
        except BaseException as error:  # noqa: BLE001 - raised by `result`
            self._end(error=error)

    def _end(self, result: _T | None = None, error: BaseException | None = None) -> None:
        self._result, self._error = result, error
        self._steps = self._call = None

    @staticmethod
    def step_together(works: Sequence[Work[Any]]) -> None:
        """One step of each of ``works``, whose keys are equal and not None.

        If the call fails they go on one by one, so that only those fail that are at fault.
        """
        works = [work for work in works if work._may_go_on()]
        if not works:
            return
        first = works[0]
        assert first._call is not None  # noqa: S101 - see above
        with first._around():
            try:
                results = first._call.together([w._call.input for w in works if w._call])
            except Exception:  # noqa: BLE001 - comes again from whose fault it is
                results = ()
            if len(results) == len(works):
                for work, result in zip(works, results, strict=True):
                    work._go_on(result)
                return
        for work in works:
            work.step()


def finished(work: Work[_T]) -> _T:
    """All steps of ``work``, one after the other."""
    while not work.is_done:
        work.step()
    return work.result()
