"""The document says what the server does: real requests and answers are judged by it."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from tests.http.web import Web

BODIES: dict[str, dict[str, Any]] = {
    "/v1/speech": {"voice": "joe", "text": "Halt!", "controls": {"rate": 1.5}, "seed": "7"},
    "/api/tts": {"voice": "joe", "text": "Halt!"},
    "/v1/prepare": {"cast": [{"voice": "joe", "first_line_ms": 10}]},
    "/v1/load": {"voice": "joe"},
    "/v1/unload": {"voice": "joe"},
    "/v1/pin": {"voice": "joe"},
    "/v1/unpin": {"voice": "joe"},
    "/v1/budget": {"budget_bytes": 2 << 30},
    "/v1/interrupt": {"stream_id": "nobody"},
    "/v1/audio/speech": {"model": "tts-1", "input": "Halt!", "voice": {"id": "joe"}},
    "/v1/text-to-speech/{voice}": {"text": "Halt!", "voice_settings": {"speed": 1.0}},
    "/v1/text-to-speech/{voice}/stream": {"text": "Halt!"},
    "/v1/text-to-speech/{voice}/with-timestamps": {"text": "Halt!"},
    "/v1/text-to-speech/{voice}/stream/with-timestamps": {"text": "Halt!"},
    "/tts/bytes": {
        "model_id": "sonic",
        "transcript": "Halt!",
        "voice": {"mode": "id", "id": "joe"},
        "output_format": {"container": "wav", "sample_rate": 24000},
    },
    "/tts/sse": {
        "model_id": "sonic",
        "transcript": "Halt!",
        "voice": "joe",
        "output_format": {"container": "raw", "sample_rate": 24000},
    },
    "/tts_to_audio/": {"text": "Halt!", "speaker_wav": "joe"},
    "/synthesize": {"text": "Halt!"},
}
# What ends by itself, or asks for nothing but a name.
QUERIES = {"/tts_stream": "?text=Halt&speaker_wav=joe", "/v1/explain": "?voice=joe"}
PLACES = {"voice": "joe", "model": "tts-1"}
_ENDLESS = {"/v1/events"}


@pytest.fixture(scope="module")
def document(server: Any) -> dict[str, Any]:
    found: dict[str, Any] = Web(server.server.http_address).get("/openapi.json").json
    return found


def schema_of(document: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "components": document["components"]}


def test_every_path_is_asked_as_the_document_says(web: Web, document: dict[str, Any]) -> None:
    """Each operation's body fits its schema, and its answer is of a type that it names."""
    asked = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if path in _ENDLESS:
                continue
            where = path.format(**PLACES) + QUERIES.get(path, "")
            body = BODIES.get(path)
            sent = operation.get("requestBody", {}).get("content", {})
            if sent and "application/json" not in sent:
                kind = next(iter(sent))  # a recording, which goes as it is
                answer = web.ask(
                    method.upper(), where, raw=b"no recording", headers={"Content-Type": kind}
                )
                assert answer.status == 400
                jsonschema.validate(
                    answer.json,
                    schema_of(
                        document,
                        operation["responses"]["400"]["content"]["application/json"]["schema"],
                    ),
                )
                continue
            if sent:
                assert body is not None, f"the test has no body for {path}"
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                jsonschema.validate(body, schema_of(document, schema))
            answer = web.ask(method.upper(), where, body)
            told = operation["responses"][str(answer.status)]["content"]
            kinds = [kind.partition(";")[0] for kind in told]
            assert answer.headers["content-type"].partition(";")[0] in kinds, path
            if answer.status != 200:
                schema = told["application/json"]["schema"]
                jsonschema.validate(answer.json, schema_of(document, schema))
                assert path == "/v1/interrupt"
            asked.append(path)
    assert len(asked) > 25


def test_what_the_document_refuses_the_server_refuses(web: Web, document: dict[str, Any]) -> None:
    for path, body in BODIES.items():
        schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        wrong = body | {"colour": "red"}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema_of(document, schema["schema"]))
        assert web.post(path.format(**PLACES), wrong).status == 400


def test_the_document_is_one(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    names = [o["operationId"] for path in document["paths"].values() for o in path.values()]
    assert len(set(names)) == len(names)
    text = str(document)
    for reference in set(text.split("#/components/schemas/")[1:]):
        assert reference.partition("'")[0] in document["components"]["schemas"]
