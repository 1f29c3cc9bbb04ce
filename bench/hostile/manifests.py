"""Manifests, and the files that they name, as a stranger could write them: seeded, endless, pure.

Each is made from a valid one, so that one fault at a time meets the code behind the others' checks.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

_NAMES = (
    "../phontab", "../" * 10 + "dev/zero", "/etc/passwd", "..", ".", "", " ", "a/b", "a\\b",
    "\x00", "\x1b]0;owned\x07", "a\nERROR forged", "\r", "\u2028", "\u202etxt.exe", "\ud83d\ude00",
    "x" * 300, "声" * 3_000, "%s%n%d", "${HOME}", "'; DROP TABLE voice;--", "__class__", "-rf",
    "en-us\x00../x", "con", "nan", "NaN", "1e999", "null", "true", "\ufeff", "ﬀ", "İ", "ß",
)  # fmt: skip
_NUMBERS = (
    0, -1, 1, 2, 3, 7, 8, 255, 256, 257, 4_096, 65_535, 65_536, 2**31 - 1, 2**31, 2**32, 2**53,
    2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**31), -(2**63), 10**30, 10**400, 0.0, -0.0, 0.1, 0.5,
    1.5, 1e-320, 1e-9, 1e15, 1e308, -1e308, 44_100, 48_000, 192_000,
)  # fmt: skip
_OTHER: tuple[Any, ...] = (None, True, False, [], {}, [[]], {"": None}, [None] * 100)
_ENGINES = ("vits", "kokoro", "", "VITS", "onnx", "../vits", "pickle")
_ARCHITECTURE_NUMBERS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65, 128, 1_024)

Manifest = dict[str, Any]
_Change = Callable[[random.Random, Manifest], None]


def manifests(valid: Manifest, seed: int, count: int) -> Iterator[bytes]:
    """``count`` documents: ``valid`` with a fault or two, or bytes that are no document at all."""
    for n in range(count):
        chance = random.Random(f"{seed}:{n}")
        if chance.random() < 0.25:
            yield chance.choice(_RAW)(chance, valid)
            continue
        changed = copy.deepcopy(valid)
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            chance.choice(_CHANGES)(chance, changed)
        yield _encoded(changed)


def architectures(valid: Manifest, seed: int, count: int) -> Iterator[bytes]:
    """``count`` documents that differ from ``valid``, a VITS voice, in what it is built like."""
    for n in range(count):
        chance = random.Random(f"{seed}:architecture:{n}")
        changed = copy.deepcopy(valid)
        for _ in range(chance.choice((1, 1, 2, 3))):
            _architecture(chance, changed)
        yield _encoded(changed)


def symbol_tables(valid: bytes, seed: int, count: int) -> Iterator[bytes]:
    """``count`` files in the place of a symbol table."""
    for n in range(count):
        chance = random.Random(f"{seed}:symbols:{n}")
        table = json.loads(valid)
        match chance.randrange(8):
            case 0:
                table["symbols"][chance.choice("abc")] = chance.choice(_anything(chance))
            case 1:
                table["symbols"][chance.choice("abc")] = [chance.choice(_NUMBERS)]
            case 2:
                table["symbols"]["a"] = [chance.randrange(3)] * 10 ** chance.randrange(1, 6)
            case 3:
                table["clusters"] = chance.choice(_anything(chance))
            case 4:
                table[chance.choice(("layout", "pad", "bos", "eos"))] = chance.choice(
                    _anything(chance)
                )
            case 5:
                table["symbols"] = {chance.choice(_NAMES): [1] for _ in range(10)}
            case 6:
                yield chance.choice(_RAW)(chance, table)
                continue
            case _:
                yield _spoilt(chance, valid)
                continue
        yield _encoded(table)


def safetensors(valid: bytes, seed: int, count: int) -> Iterator[bytes]:
    """``count`` files in the place of weights: headers that lie, and bytes that are damaged."""
    size = int.from_bytes(valid[:8], "little")
    header, data = json.loads(valid[8 : 8 + size]), valid[8 + size :]
    for n in range(count):
        chance = random.Random(f"{seed}:weights:{n}")
        changed = copy.deepcopy(header)
        name = chance.choice(sorted(changed))
        match chance.randrange(9):
            case 0:
                changed[name]["shape"] = [chance.choice(_NUMBERS) for _ in range(3)]
            case 1:
                changed[name]["data_offsets"] = [chance.choice(_NUMBERS), chance.choice(_NUMBERS)]
            case 2:
                changed[name]["dtype"] = chance.choice(("F64", "I8", "BOOL", "", "F16", 7))
            case 3:
                changed[chance.choice(_NAMES)] = changed.pop(name)
            case 4:
                changed[name] = chance.choice(_anything(chance))
            case 5:
                del changed[name]
            case 6:
                yield chance.choice(_NUMBERS_OF_BYTES).to_bytes(8, "little") + valid[8:]
                continue
            case 7:
                yield valid[: chance.randrange(len(valid))]
                continue
            case _:
                # Any numbers are weights; not all of them give audio.
                wild = bytearray(data)
                for _ in range(chance.choice((1, 100, 10_000))):
                    wild[chance.randrange(len(wild))] = chance.randrange(256)
                yield valid[: 8 + size] + bytes(wild)
                continue
        encoded = json.dumps(changed, default=str).encode()
        encoded += b" " * (-(8 + len(encoded)) % 64)
        yield len(encoded).to_bytes(8, "little") + encoded + data


_NUMBERS_OF_BYTES = (0, 1, 7, 8, 1 << 10, 1 << 24, 1 << 31, 1 << 63, (1 << 64) - 1)


def _encoded(document: Any) -> bytes:
    """As JSON; what is no Unicode as escapes."""
    try:
        return json.dumps(document, ensure_ascii=False).encode()
    except ValueError:
        return json.dumps(document).encode()


def _anything(chance: random.Random) -> list[Any]:
    return [chance.choice(_NAMES), chance.choice(_NUMBERS), chance.choice(_OTHER), _nested(chance)]


def _nested(chance: random.Random) -> Any:
    value: Any = 1
    for _ in range(chance.choice((2, 5, 31, 40, 200))):
        value = [value] if chance.random() < 0.5 else {"a": value}
    return value


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Of everything in ``value`` that is in an object or a list."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, found in inner:
        yield (*path, key)
        if isinstance(found, dict | list):
            yield from _paths(found, (*path, key))


def _outer(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path[:-1]:
        document = document[key]
    return document


def _anywhere(chance: random.Random, document: Manifest) -> None:
    path = chance.choice(list(_paths(document)))
    _outer(document, path)[path[-1]] = chance.choice(_anything(chance))


def _without(chance: random.Random, document: Manifest) -> None:
    path = chance.choice(list(_paths(document)))
    del _outer(document, path)[path[-1]]


def _number(chance: random.Random, document: Manifest) -> None:
    found = [
        path
        for path in _paths(document)
        if isinstance(_outer(document, path)[path[-1]], int | float)
    ]
    if found:
        path = chance.choice(found)
        _outer(document, path)[path[-1]] = chance.choice(_NUMBERS)


def _name(chance: random.Random, document: Manifest) -> None:
    found = [path for path in _paths(document) if isinstance(_outer(document, path)[path[-1]], str)]
    if found:
        path = chance.choice(found)
        _outer(document, path)[path[-1]] = chance.choice(_NAMES)


def _key(chance: random.Random, document: Manifest) -> None:
    found = [document, *(v for v in document.values() if isinstance(v, dict))]
    chance.choice(found)[chance.choice(_NAMES)] = chance.choice(_anything(chance))


def _many(chance: random.Random, document: Manifest) -> None:
    n = chance.choice((17, 100, 3_000, 5_000))
    match chance.randrange(5):
        case 0:
            document["speakers"] = {f"s{i}": i for i in range(n)}
        case 1:
            document["tags"] = [f"t{i}" for i in range(n)]
        case 2:
            parts = document.get("components") or [{}]
            document["components"] = [
                {**part, "role": f"role{i}"} for i, part in enumerate([parts[0]] * n) if part
            ]
        case 3:
            document["defaults"] = {f"d{i}": 1.0 for i in range(n)}
        case _:
            document["provenance"] = {"source_digests": {f"f{i}": "d" for i in range(n)}}


def _scale(chance: random.Random, document: Manifest) -> None:
    name = chance.choice(("length_scale", "noise_scale", "noise_w"))
    document["defaults"] = {name: chance.choice(_NUMBERS)}


def _rate(chance: random.Random, document: Manifest) -> None:
    key = chance.choice(("sample_rate_hertz", "hop_length_samples"))
    document["audio"] = {"sample_rate_hertz": 22_050, "hop_length_samples": 256} | {
        key: chance.choice(_NUMBERS)
    }


def _voice(chance: random.Random, document: Manifest) -> None:
    document["front_end"] = {
        "kind": chance.choice(("espeak", "espeak", "misaki", "characters", *_NAMES)),
        "options": {chance.choice(("voice", "british", "lowercase")): chance.choice(_NAMES)},
    }


def _engine(chance: random.Random, document: Manifest) -> None:
    document["engine"] = chance.choice(_ENGINES)


def _architecture(chance: random.Random, document: Manifest) -> None:
    config = document.get("engine_config")
    if not isinstance(config, dict) or not config:
        return
    name = chance.choice(sorted(config))
    value = config[name]
    if isinstance(value, list) and value:
        place = chance.randrange(len(value))
        if isinstance(value[place], list) and value[place]:
            value[place][chance.randrange(len(value[place]))] = chance.choice(_ARCHITECTURE_NUMBERS)
        else:
            value[place] = chance.choice(_ARCHITECTURE_NUMBERS)
    else:
        config[name] = chance.choice(_ARCHITECTURE_NUMBERS)


_CHANGES: tuple[_Change, ...] = (
    _anywhere, _without, _number, _name, _key, _many, _scale, _rate, _voice, _engine, _architecture,
)  # fmt: skip


# Bytes


def _other_encoding(chance: random.Random, valid: Any) -> bytes:
    text = json.dumps(valid, ensure_ascii=False)
    return text.encode(chance.choice(("utf-16", "utf-16-be", "utf-32", "utf-8-sig", "utf-7")))


def _twins(chance: random.Random, valid: Any) -> bytes:
    data = json.dumps(valid)
    key = chance.choice(sorted(valid))
    return f'{{"{key}": {json.dumps(chance.choice(_NAMES))}, {data[1:]}'.encode()


def _constant(chance: random.Random, valid: Any) -> bytes:
    data = json.dumps({**valid, "version": 123_456})
    told = chance.choice(("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5_000, "01"))
    return data.replace("123456", told).encode()


def _deep(chance: random.Random, valid: Any) -> bytes:
    depth = chance.choice((33, 200, 2_000, 30_000))
    opening, closing = chance.choice((("[", "]"), ('{"a":', "}")))
    data = json.dumps({**valid, "version": 123_456})
    return data.replace("123456", opening * depth + "1" + closing * depth).encode()


def _large(chance: random.Random, valid: Any) -> bytes:
    padding = " " * chance.choice((60_000, 65_536, 200_000))
    return (json.dumps(valid) + padding).encode()


def _spoilt_document(chance: random.Random, valid: Any) -> bytes:
    return _spoilt(chance, json.dumps(valid).encode())


def _noise(chance: random.Random, valid: Any) -> bytes:
    return chance.randbytes(chance.choice((0, 1, 100, 10_000)))


def _spoilt(chance: random.Random, data: bytes) -> bytes:
    spoilt = bytearray(data)
    for _ in range(chance.choice((1, 2, 10))):
        place = chance.randrange(len(spoilt))
        match chance.randrange(3):
            case 0:
                spoilt[place] = chance.randrange(256)
            case 1:
                del spoilt[place]
            case _:
                spoilt[place:place] = chance.randbytes(3)
    return bytes(spoilt)


_RAW: tuple[Callable[[random.Random, Any], bytes], ...] = (
    _other_encoding, _twins, _constant, _deep, _large, _spoilt_document, _noise,
)  # fmt: skip
