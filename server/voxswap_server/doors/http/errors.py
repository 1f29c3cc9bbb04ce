"""What goes wrong in HTTP itself, before anybody asks what is wanted."""

from __future__ import annotations

from http import HTTPStatus

from voxswap_registry.errors import VoxswapError


class HttpError(VoxswapError):
    """An answer with a status of its own; ``headers`` go along."""

    reason = "HTTP"

    def __init__(
        self, status: HTTPStatus, message: str, *, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


class ClientGoneError(Exception):
    """Whoever asked hung up."""
