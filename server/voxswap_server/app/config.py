"""Settings: from flags, environment and file, in that order; validated before anything starts."""

from __future__ import annotations

import argparse
import os
import tomllib
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from voxswap_registry.errors import VoxswapError
from voxswap_server.app.setting_types import (
    Address,
    Digests,
    KernelsChoice,
    Names,
    Paths,
    RedisUrl,
    Size,
    Voices,
)

ENVIRONMENT_PREFIX = "VOXSWAP_"
# Read by others or before the settings are; not settings themselves.
_OTHER_VARIABLES = {"VOXSWAP_ADDRESS", "VOXSWAP_CI", "VOXSWAP_CONFIG"}

_SIZES = {
    *("memory_budget", "host_budget", "max_message_bytes", "cache_bytes", "max_upload_bytes"),
    *("audio_cache_bytes", "audio_cache_entry_bytes"),
}
_SECRETS = {"audio_cache_redis_url"}

# May be changed in the file while the server runs; SIGHUP has it read again.
RELOADABLE = frozenset({"memory_budget", "idle_ttl_s", "log_level"})


class SettingsError(VoxswapError):
    """A setting is wrong; the message names it, where it came from, and what it takes."""

    reason = "SETTINGS"


class Settings(BaseModel):
    """Everything that an operator may set. Descriptions are the help of ``voxswap serve``."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    registry: str = Field(
        "var/registry",
        min_length=1,
        description="where voices are registered: a folder, or s3://…, gs://…, az://… (credentials "
        "come from the environment)",
    )
    cache_dir: Path = Field(
        Path("var/cache"),
        description="folder for the catalog and for components from a bucket; with "
        "require_signature for a folder's as well",
    )
    cache_bytes: Size = Field(
        20 << 30, ge=1 << 20, description="cap for components in cache_dir, such as 20GiB"
    )
    registry_poll_s: float = Field(
        1.0, ge=0.05, le=3_600, description="seconds between looks for new voices and moved labels"
    )
    require_signature: bool = Field(
        default=False,
        description="speak only with versions that a trusted key has signed, and from copies of "
        "their components in cache_dir",
    )
    trusted_keys: Paths = Field(
        (), description="public keys that are trusted: .pub files or folders of them, by commas"
    )
    trusted_graphs: Digests = Field(
        (),
        max_length=10_000,
        description="digests of graphs that may be run although nobody imported them where the "
        "registry is: sha256:…, by commas",
    )
    allow_fabricated: bool = Field(
        default=False,
        description="speak with voices that `voxswap voices fabricate` made up as well: for tests "
        "and benches",
    )
    max_upload_bytes: Size = Field(
        2 << 30, ge=0, description="most that a client may send of one voice; 0 for nothing"
    )
    max_uploads: int = Field(2, ge=1, le=100, description="voices registered at a time over gRPC")
    listen: Address = Field(
        "127.0.0.1:50051",
        description="where gRPC listens; 0.0.0.0:50051 for every interface (no encryption and no "
        "authentication yet: mind the network)",
    )
    http_listen: Address | Literal["off"] = Field(
        "127.0.0.1:8080",
        description="where the page, HTTP and WebSocket are, or 'off'; with the extra http only",
    )
    http_origins: Names = Field(
        (),
        description="origins of other sites whose pages may use the server, such as "
        "https://studio.example, by commas",
    )
    http_hosts: Names = Field(
        (), description="names that the server is reached by over HTTP, by commas"
    )
    wyoming_listen: Address | Literal["off"] = Field(
        "off",
        description="where Wyoming listens, such as 127.0.0.1:10200 (no authentication: mind the "
        "network), or 'off'; with the extra wyoming only",
    )
    metrics_listen: Address | Literal["off"] = Field(
        "127.0.0.1:9464", description="where Prometheus finds the metrics, or 'off'"
    )
    memory_budget: Size = Field(
        1 << 31, ge=1 << 20, description="cap for resident voices, such as 2GiB"
    )
    host_budget: Size = Field(
        4 << 30,
        ge=1 << 20,
        description="cap for voices kept in page-locked host memory; with a CUDA device only",
    )
    memory_wait_s: float = Field(
        30.0, ge=0.1, le=3_600, description="seconds that a request may wait for memory, at most"
    )
    settle_s: float = Field(
        0.5, ge=0, le=3_600, description="seconds after a load that count as use of the voice"
    )
    idle_ttl_s: float = Field(
        0.0, ge=0, le=1e9, description="seconds without use after which a voice leaves; 0 for never"
    )
    preload: Voices = Field(
        (), description="voices to load before the server says that it is ready, by commas"
    )
    warm_start: bool = Field(
        default=True,
        description="remember what is resident in cache_dir, and load it after the next start",
    )
    device: str = Field(
        "cpu", pattern=r"^(cpu|cuda(:\d+)?)$", description="where voices speak: cpu or cuda:0"
    )
    arithmetic: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="what the large products of VITS voices are computed in; auto: whichever is "
        "faster here, measured once and kept in cache_dir",
    )
    kernels: KernelsChoice = Field(
        "auto",
        description="what computes VITS voices on a CPU: torch, amx, avx512_bf16, avx512_vnni, "
        "avx512, avx2, neon_bf16 or neon; auto: the fastest of those that are built and run here, "
        "measured once",
    )
    compute_threads: int = Field(
        0,
        ge=0,
        le=256,
        description="threads that compute, each for a stream; 0: one per core of two, one less of "
        "more, at most 16",
    )
    lend_idle_threads: bool = Field(
        default=True,
        description="compute threads without work help those that compute, where native kernels do",
    )
    load_threads: int = Field(2, ge=1, le=64, description="components loaded side by side")
    fetch_threads: int = Field(
        2, ge=1, le=64, description="components fetched from a bucket side by side"
    )
    load_timeout_s: float = Field(
        60.0, ge=0.1, le=86_400, description="seconds after which a load or fetch counts as failed"
    )
    audio_cache_bytes: Size = Field(
        64 << 20, ge=0, description="memory for audio that may be asked for again; 0 for no cache"
    )
    audio_cache_entry_bytes: Size = Field(
        4 << 20, ge=1 << 10, le=64 << 20, description="most audio of one request that is kept"
    )
    audio_cache_redis_url: RedisUrl = Field(
        SecretStr(""),
        description="Redis to keep audio in as well, redis://…; with a password, put it into the "
        "file or the environment: others on the machine can see flags",
    )
    audio_cache_ttl_s: float = Field(
        86_400.0, ge=1, le=1e9, description="seconds that Redis keeps audio"
    )
    front_end: Literal["auto", "espeak", "english"] = Field(
        "auto",
        description="text front-end of English voices: espeak-ng if installed, or always one",
    )
    emotion_fallback: Literal["none", "prosody"] = Field(
        "none",
        description="what speaks an emotion that a voice has not, where a request names nothing: "
        "nothing (it is refused), or rate, pitch, volume and pauses",
    )
    max_text_characters: int = Field(
        10_000, ge=1, le=1_000_000, description="longest text of one request"
    )
    max_streams: int = Field(
        256, ge=1, le=100_000, description="streams at a time; more are refused at once"
    )
    first_message_s: float = Field(
        10.0,
        ge=0.1,
        le=3_600,
        description="seconds that a connection or a call may take to say what it wants",
    )
    stalled_write_s: float = Field(
        60.0,
        ge=0.1,
        le=3_600,
        description="seconds after which a call ends whose client does not take what is sent",
    )
    idle_connection_s: float = Field(
        300.0, ge=0.1, le=86_400, description="seconds that a connection without calls is kept"
    )
    keepalive_s: float = Field(
        30.0,
        ge=0.1,
        le=3_600,
        description="seconds of silence after which a client is asked whether it is there",
    )
    max_message_bytes: Size = Field(
        2 << 20, ge=1 << 10, le=64 << 20, description="largest message that a client may send"
    )
    first_segment: Literal["sentence", "clause"] = Field(
        "sentence",
        description="where a first segment of over 120 symbols may end that a listener waits for",
    )
    first_chunk_ms: float = Field(
        80.0, ge=10, le=5_000, description="audio in a stream's first chunk, in milliseconds"
    )
    largest_chunk_ms: float = Field(
        1_500.0, ge=10, le=10_000, description="audio in the largest chunk, in milliseconds"
    )
    step_limit_s: float = Field(
        30.0, ge=1, le=3_600, description="seconds after which a step counts as stuck: streams fail"
    )
    bark_start_ms: float = Field(
        80.0, ge=1, le=60_000, description="how soon a BARK should begin to sound"
    )
    dialogue_start_ms: float = Field(
        200.0, ge=1, le=60_000, description="how soon a line of DIALOGUE should"
    )
    cinematic_start_ms: float = Field(
        1_000.0, ge=1, le=60_000, description="how soon a CINEMATIC line should"
    )
    most_ahead_s: float = Field(
        4.0, ge=0.1, le=3_600, description="audio that a paced stream sends before it is played"
    )
    unpaced_patience_s: float = Field(
        2.0, ge=0.01, le=3_600, description="how long a step of an unpaced stream may have to wait"
    )
    most_load: float = Field(
        0.8, gt=0, le=10, description="share of the device that paced streams may take together"
    )
    most_backlog_s: float = Field(
        30.0, ge=0, le=3_600, description="seconds of compute promised to streams without pacing"
    )
    shutdown_grace_s: float = Field(
        10.0, ge=0, le=3_600, description="time for streams to end when the server is stopped"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="how much is logged"
    )

    @property
    def largest_step_s(self) -> float:
        """The most audio that a step decodes: the tail of a segment goes along with a chunk."""
        return 1.5 * self.largest_chunk_ms / 1e3


def load_settings(
    arguments: Sequence[str], environment: Mapping[str, str] = types.MappingProxyType(os.environ)
) -> Settings:
    """Settings from flags, then environment, then the file of ``--config`` or VOXSWAP_CONFIG.

    Raises `SettingsError`; ``--help`` and unknown flags leave through argparse's `SystemExit`.
    """
    flags = vars(_parser().parse_args(arguments))
    config = flags.pop("config") or environment.get("VOXSWAP_CONFIG")
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}

    def take(found: Mapping[str, Any], origin: str) -> None:
        values.update(found)
        origins.update(dict.fromkeys(found, origin))

    if config:
        take(_file(Path(config)), str(config))
    take(_variables(environment), "the environment")
    take({name: value for name, value in flags.items() if value is not None}, "the flags")
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError("\n".join(_faults(error, origins))) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="voxswap serve",
        description="Serve the voices of a registry over gRPC.",
        epilog='Every flag may also be set in the file of --config (listen = "…") or as an '
        "environment variable (VOXSWAP_LISTEN). Flags come first, then the environment.",
    )
    parser.add_argument("--config", metavar="FILE", help="a TOML file with settings")
    for name, field in Settings.model_fields.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            dest=name,
            metavar=_metavar(field),
            help=f"{field.description} (default: {_shown(name, field.default)})",
        )
    return parser


def _metavar(field: FieldInfo) -> str:
    return {int: "N", float: "NUMBER", Path: "FOLDER"}.get(field.annotation, "VALUE")  # type: ignore[arg-type]


def _shown(name: str, default: object) -> str:
    if isinstance(default, int) and name in _SIZES:
        return f"{default >> 20}MiB"
    if default == () or name in _SECRETS:
        return "none"
    return str(default)


def _file(path: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"--config: {path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"--config: {path} is not TOML: {error}") from error
    return found


def _variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Settings among the environment; a name that is none is an error, not a silence."""
    found: dict[str, str] = {}
    for variable, value in environment.items():
        if variable.startswith(ENVIRONMENT_PREFIX) and variable not in _OTHER_VARIABLES:
            found[variable.removeprefix(ENVIRONMENT_PREFIX).lower()] = value
    return found


def _faults(error: ValidationError, origins: Mapping[str, str]) -> list[str]:
    lines = []
    for fault in error.errors(include_url=False):
        name = str(fault["loc"][0])
        origin = origins.get(name, "a default")
        if fault["type"] == "extra_forbidden":
            known = ", ".join(Settings.model_fields)
            lines.append(f"{name} (from {origin}): there is no such setting; there are {known}")
        else:
            message = fault["msg"].removeprefix("Value error, ")
            found = "what is not shown here" if name in _SECRETS else repr(fault["input"])
            lines.append(f"{name} (from {origin}): {message}; found {found}")
    return list(dict.fromkeys(lines))
