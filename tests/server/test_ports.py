"""Ports of doors that listen themselves."""

from __future__ import annotations

import asyncio
import socket

import pytest

from voxswap_server.doors.ports import bound


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_small_pieces_do_not_wait_for_one_another(host: str) -> None:
    sock, address = bound(host, 0)
    accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def look(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found = writer.get_extra_info("socket")
        accepted.set_result(found.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    async with await asyncio.start_server(look, sock=sock):
        port = int(address.rpartition(":")[2])
        _, writer = await asyncio.open_connection(host, port)
        assert await accepted
        writer.close()


def test_a_port_that_is_taken_is_not_had_twice() -> None:
    sock, address = bound("127.0.0.1", 0)
    with sock:
        sock.listen()
        with pytest.raises(OSError, match="in use"):
            bound("127.0.0.1", int(address.rpartition(":")[2]))
