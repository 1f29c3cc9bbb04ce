"""How the page is served: exactly its files, with what keeps a browser from anything else."""

from __future__ import annotations

import http.client
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import pytest

import voxswap_server.doors.http.page

_STATIC = files(voxswap_server.doors.http.page) / "static"
_FILES = sorted(file.name for file in _STATIC.iterdir())


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


def get(address: str, path: str, method: str = "GET", held: str = "") -> Answer:
    """An answer to a path that is sent as it stands, by a client that has the files ``held``."""
    connection = http.client.HTTPConnection(address, timeout=30)
    try:
        connection.request(method, path, headers={"if-none-match": held} if held else {})
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, headers, answer.read())
    finally:
        connection.close()


@pytest.mark.parametrize(("path", "name"), [("/", "index.html"), ("/docs", "docs.html")])
def test_pages_are_served_with_a_policy(address: str, path: str, name: str) -> None:
    answer = get(address, path)
    assert (answer.status, answer.body) == (200, (_STATIC / name).read_bytes())
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("name", [name for name in _FILES if not name.endswith(".html")])
def test_every_file_is_served_as_it_is(address: str, name: str) -> None:
    answer = get(address, f"/page/{name}")
    assert (answer.status, answer.body) == (200, (_STATIC / name).read_bytes())
    kinds = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8"}
    kind = kinds.get(name.rpartition(".")[2], "image/svg+xml")
    assert answer.headers["content-type"] == kind


def test_a_browser_that_has_a_file_gets_it_no_second_time(address: str) -> None:
    tag = get(address, "/page/main.js").headers["etag"]
    again = get(address, "/page/main.js", held=f'"old", W/{tag}')
    assert (again.status, again.body) == (304, b"")
    assert again.headers["etag"] == tag
    assert get(address, "/page/main.js", held='"old"').status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/page/../files.py",
        "/page/..%2ffiles.py",
        "/page/%2e%2e/files.py",
        "/page/%2e%2e%2f%2e%2e%2fapp.py",
        "/page/..\\files.py",
        "/page//main.js",
        "/page/./main.js",
        "/page/main.js/",
        "/page/main.js%00.css",
        "/page/",
        "/page",
        "/static/main.js",
        "/page/index.html",
        "/page//etc/passwd",
        "/index.html",
        "//etc/passwd",
    ],
)
def test_nothing_else_is_there(address: str, path: str) -> None:
    answer = get(address, path)
    assert answer.status == 404
    assert b'"reason":"NOT_FOUND"' in answer.body


def test_a_page_cannot_be_posted_to(address: str) -> None:
    assert get(address, "/", "POST").status == 405


def test_the_page_is_small_and_in_small_pieces() -> None:
    sizes = {name: len((_STATIC / name).read_bytes()) for name in _FILES}
    assert sum(sizes.values()) < 200_000
    lines = {name: (_STATIC / name).read_text().count("\n") for name in _FILES}
    assert {name: n for name, n in lines.items() if n > 400} == {}


@pytest.mark.parametrize("name", _FILES)
def test_no_file_makes_markup_of_text_or_names_another_site(name: str) -> None:
    text = (_STATIC / name).read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
    code = re.sub(r"^\s*//.*", "", text, flags=re.MULTILINE)
    elsewhere = re.findall(r"(?:https?:)?//[\w.]+\.\w{2,}", code)
    assert [url for url in elsewhere if "www.w3.org" not in url] == []
    assert text.startswith(("// ", "/* ", "<!doctype html>", "<svg"))
