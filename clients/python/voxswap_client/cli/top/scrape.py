"""Fetches a server's page of metrics."""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.request

from voxswap_client.cli.failure import usage_error
from voxswap_client.cli.top.prometheus import Scrape, parse

_MAX_BYTES = 8 << 20
_PORT = 9464
_DEFAULT_HOST = "127.0.0.1"
_TARGET = re.compile(r"(?:dns:(?://[^/]*/)?|ipv4:|ipv6:)?(\[[^\]]+\]|[^:/]+):\d+")


class ScrapeError(Exception):
    """There were no metrics; the message says why."""


def metrics_url(wanted: str | None, address: str) -> str | None:
    """Where to look: as ``wanted``, or on the host of the server's ``address``; None: nowhere."""
    if wanted == "off":
        return None
    if wanted is None:
        match = _TARGET.fullmatch(address)
        return f"http://{match[1] if match else _DEFAULT_HOST}:{_PORT}/metrics"
    if not re.match(r"https?://[^/]", wanted):
        example = f"http://{_DEFAULT_HOST}:{_PORT}/metrics"
        raise usage_error(f"--metrics takes a URL, not {wanted}", f"such as {example}, or off")
    return wanted


def fetch(url: str, *, timeout_s: float = 2.0) -> Scrape:
    """The metrics at ``url``. Blocks; raises `ScrapeError`. No proxy is asked."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    # `metrics_url` lets nothing but http and https through.
    request = urllib.request.Request(url, headers={"Accept": "text/plain"})  # noqa: S310
    try:
        with opener.open(request, timeout=timeout_s) as response:
            data = response.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ScrapeError(f"{url}: the page is larger than {_MAX_BYTES >> 20} MiB")
        return parse(data.decode())
    except urllib.error.HTTPError as error:
        error.close()
        raise ScrapeError(f"{url}: HTTP {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        cause = error.reason
        told = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
        raise ScrapeError(f"{url}: {told}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ScrapeError(f"{url}: {str(error) or type(error).__name__}") from error
