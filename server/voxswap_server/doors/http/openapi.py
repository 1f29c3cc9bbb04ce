"""The OpenAPI document, made of the paths, and a page that shows it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydantic.json_schema import models_json_schema

from voxswap_server.doors.http.exchange import Exchange
from voxswap_server.doors.http.guard import STATUS
from voxswap_server.doors.http.routes import Path

_REF = "#/components/schemas/{model}"
#: Kinds of recordings.
RECORDINGS = ("audio/wav", "audio/flac", "audio/mpeg", "audio/ogg", "audio/pcm")
_PARAMETER = re.compile(r"{(\w+)(?::\w+)?}")


def document(paths: Iterable[Path], version: str) -> dict[str, Any]:
    """OpenAPI 3.1 of what this door takes."""
    paths = list(paths)
    models = {path.body for path in paths if path.body is not None}
    ordered = sorted(models, key=lambda model: (model.__module__, model.__qualname__))
    names, schemas = models_json_schema(
        [(model, "validation") for model in ordered], ref_template=_REF
    )
    found: dict[str, Any] = {}
    for path in paths:
        shown = _PARAMETER.sub(r"{\1}", path.path)
        operation: dict[str, Any] = {
            "summary": path.summary,
            "operationId": f"{path.method.lower()}{re.sub(r'[^A-Za-z0-9]+', '_', shown)}",
            "tags": [path.group],
            "responses": {
                "200": {
                    "description": "as asked",
                    "content": {kind: {"schema": _answer(kind)} for kind in path.answers},
                },
                **_errors(),
            },
        }
        parameters = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in _PARAMETER.findall(path.path)
        ]
        parameters += [
            {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
            for name, text in path.query.items()
        ]
        if parameters:
            operation["parameters"] = parameters
        if path.body is not None:
            schema = names[path.body, "validation"]
            operation["requestBody"] = {
                "required": True,
                "content": {"application/json": {"schema": schema}},
            }
        if path.takes_recording:
            schema = {"type": "string", "format": "binary"}
            operation["requestBody"] = {
                "required": True,
                "content": {kind: {"schema": schema} for kind in RECORDINGS},
            }
        found.setdefault(shown, {})[path.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "voxswap", "version": version},
        "paths": found,
        "components": {"schemas": {**schemas.get("$defs", {}), "Error": _ERROR}},
    }


def _answer(kind: str) -> dict[str, Any]:
    if kind == "application/json":
        return {"type": "object"}
    return (
        {"type": "string"} if kind.startswith("text/") else {"type": "string", "format": "binary"}
    )


def _errors() -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": _REF.format(model="Error")}}}
    statuses = sorted({int(status) for status in STATUS.values()})
    return {
        str(status): {"description": _MEANINGS.get(status, "an error"), "content": content}
        for status in statuses
    }


_MEANINGS = {
    400: "a field is at fault, and is named",
    404: "no such voice, or stream",
    409: "somebody else was first",
    429: "as much as can be done is being done; Retry-After says when to come again",
    500: "the server failed",
    501: "not carried out yet",
    503: "not now; Retry-After says when to come again",
    504: "it would be too late",
}

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "reason", "message", "violations"],
            "properties": {
                "code": {
                    "type": "string",
                    "enum": [code.name for code in STATUS],
                    "description": "the kind of error, as in gRPC",
                },
                "reason": {"type": "string", "description": "what it is; stable, for programs"},
                "message": {"type": "string", "description": "what happened, and what to do"},
                "violations": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["field", "description"],
                        "properties": {
                            "field": {"type": "string"},
                            "description": {"type": "string"},
                        },
                    },
                },
                "retry_after_ms": {"type": "integer"},
                "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        }
    },
}


def document_path(paths: Iterable[Path], version: str) -> Path:
    """Where the document is."""
    made: list[dict[str, Any]] = []
    paths = list(paths)

    async def send(exchange: Exchange) -> None:
        if not made:
            made.append(document(paths, version))
        await exchange.answer_json(made[0])

    return Path("GET", "/openapi.json", send, "This document.")
