"""What stands between a client and a handler: places, hanging up, errors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from voxswap_server.doors.errors import TooManyCallsError
from voxswap_server.doors.failures import Code, Failure, failure_of
from voxswap_server.doors.http.connections import StreamBrokenError
from voxswap_server.doors.http.errors import ClientGoneError, HttpError
from voxswap_server.doors.http.exchange import Exchange, json_text
from voxswap_server.doors.places import Places, Row
from voxswap_server.doors.shared import Shared

Handler = Callable[[Exchange], Awaitable[None]]

MOST_CALLS, MOST_OPEN = 128, 64
_MOST_READING = 256

#: As Google's APIs have them.
STATUS = {
    Code.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    Code.FAILED_PRECONDITION: HTTPStatus.BAD_REQUEST,
    Code.OUT_OF_RANGE: HTTPStatus.BAD_REQUEST,
    Code.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.ALREADY_EXISTS: HTTPStatus.CONFLICT,
    Code.ABORTED: HTTPStatus.CONFLICT,
    Code.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    Code.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
    Code.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
    Code.DATA_LOSS: HTTPStatus.INTERNAL_SERVER_ERROR,
    Code.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    Code.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong, with the status and headers of its answer."""

    status: int
    failure: Failure
    headers: Mapping[str, str]


#: How a protocol tells of a problem: the body of the answer.
Telling = Callable[[Problem], object]


def problem_of(error: BaseException) -> Problem:
    """What a caller is told of ``error``."""
    if isinstance(error, HttpError):
        failure = Failure(Code.INVALID_ARGUMENT, error.status.name, error.message)
        return Problem(error.status, failure, error.headers)
    return problem_with(failure_of(error))


def problem_with(failure: Failure) -> Problem:
    """How HTTP tells of ``failure``."""
    headers = {}
    if failure.retry_s is not None:
        headers["retry-after"] = str(max(1, round(failure.retry_s)))
    return Problem(STATUS[failure.code], failure, headers)


def tell(problem: Problem) -> dict[str, Any]:
    """voxswap's own way."""
    failure = problem.failure
    told: dict[str, Any] = {
        "code": failure.code.name,
        "reason": failure.reason,
        "message": failure.message,
    }
    told["violations"] = [
        {"field": v.field, "description": v.description} for v in failure.violations
    ]
    if failure.retry_s is not None:
        told["retry_after_ms"] = round(failure.retry_s * 1e3)
    if failure.metadata:
        told["metadata"] = dict(failure.metadata)
    return {"error": told}


def response_of(problem: Problem, telling: Telling = tell) -> Response:
    """The answer that tells of ``problem``."""
    return Response(
        json_text(telling(problem)),
        problem.status,
        dict(problem.headers),
        media_type="application/json",
    )


class Guard:
    """Makes handlers applications. Confined to one event loop."""

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self._reading: Row[asyncio.Timeout] = Row(_MOST_READING, _expire)

    def app(
        self,
        name: str,
        handler: Handler,
        *,
        takes_body: bool = False,
        takes_recording: bool = False,
        speaks: bool = False,
        most: int = MOST_CALLS,
        telling: Telling = tell,
        is_waited_for: bool = True,
    ) -> ASGIApp:
        """``handler`` with places of its own, or of those that speak.

        With ``takes_body`` that is read first: who is slow with it takes no place meanwhile. A
        recording is read in its place, since those that are half here are large.
        ``is_waited_for`` says whether a stop waits for its end.
        """
        places = self.shared.streams if speaks else Places(most, lambda n: _too_many(name, n))
        counted = name if is_waited_for else f"-{name}"

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            exchange = Exchange(Request(scope, receive), send, self.shared.limits)
            try:
                if takes_body:
                    await self._read(exchange)
                with places.one(), self.shared.calls.one(counted):
                    if takes_recording:
                        await self._read(exchange, recording=True)
                    await _unless_gone(handler(exchange), exchange.gone())
            except ClientGoneError:
                return
            except StreamBrokenError:
                raise
            except Exception as error:  # noqa: BLE001 - the one boundary where all of them end
                problem = self.problem_of(error)
                if exchange.has_begun:
                    raise StreamBrokenError from None
                await exchange.answer(response_of(problem, telling))

        return serve

    async def _read(self, exchange: Exchange, *, recording: bool = False) -> None:
        limit_s = self.shared.limits.first_message_s
        try:
            async with asyncio.timeout(limit_s) as limit:
                self._reading.join(limit)
                try:
                    await (exchange.read_recording() if recording else exchange.read())
                finally:
                    self._reading.leave(limit)
        except TimeoutError:
            raise HttpError(
                HTTPStatus.REQUEST_TIMEOUT,
                f"the body did not come within {limit_s:g} s, or too many are waited for; send it "
                "at once",
                headers={"connection": "close"},
            ) from None

    def problem_of(self, error: BaseException) -> Problem:
        """What the caller is told of ``error``; it is counted if the request was right."""
        if isinstance(error, HttpError):
            return problem_of(error)
        return problem_with(self.shared.failure_of(error))


async def _unless_gone(work: Awaitable[None], gone: Awaitable[None]) -> None:
    """Do ``work``, unless the client is ``gone`` first. Waits for its end in either case."""
    tasks = working, going = asyncio.ensure_future(work), asyncio.ensure_future(gone)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if not working.cancelled():
        working.result()
    elif going.done():
        raise ClientGoneError


def _expire(limit: asyncio.Timeout) -> None:
    if not limit.expired():
        limit.reschedule(asyncio.get_running_loop().time())


def _too_many(name: str, most: int) -> TooManyCallsError:
    return TooManyCallsError(
        f"{most} requests for {name} are open, the most that this server takes at a time; try "
        "again, or end one"
    )
