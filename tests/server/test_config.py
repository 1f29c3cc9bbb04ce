from __future__ import annotations

import contextlib
import sys
import traceback
from pathlib import Path

import pytest
from pydantic import ValidationError

from voxswap_server.app.audio_cache import keep_audio
from voxswap_server.app.config import Settings, SettingsError, load_settings
from voxswap_server.app.metrics import Metrics
from voxswap_server.app.way_down import WayDown


def test_defaults_listen_on_loopback() -> None:
    settings = load_settings([], {})
    assert settings == Settings.model_validate({})
    assert settings.listen.startswith("127.0.0.1:")
    assert str(settings.metrics_listen).startswith("127.0.0.1:")


def test_flags_go_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "voxswap.toml"
    file.write_text('memory_budget = "1GiB"\nlisten = "127.0.0.1:1"\nmax_streams = 5\n')
    environment = {"VOXSWAP_LISTEN": "127.0.0.1:2", "VOXSWAP_MEMORY_BUDGET": "2G"}
    settings = load_settings(["--config", str(file), "--memory-budget", "3GiB"], environment)
    assert settings.memory_budget == 3 << 30
    assert settings.listen == "127.0.0.1:2"
    assert settings.max_streams == 5
    assert load_settings([], {"VOXSWAP_CONFIG": str(file)}).max_streams == 5


@pytest.mark.parametrize(
    ("text", "size"),
    [("1048576", 1 << 20), ("512MiB", 512 << 20), ("1.5 GB", 3 << 29), ("2g", 2 << 30)],
)
def test_sizes(text: str, size: int) -> None:
    assert load_settings(["--memory-budget", text], {}).memory_budget == size


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--listen", "localhost"], r"listen \(from the flags\): write host:port"),
        (["--listen", "localhost:70000"], r"listen .*write host:port"),
        (["--memory-budget", "lots"], r"memory_budget .*such as 512MiB or 2GiB; found 'lots'"),
        (["--memory-budget", "1"], r"memory_budget .*greater than or equal to 1048576"),
        (["--trusted-graphs", "sha256:abc"], r"trusted_graphs .*64 hexadecimal digits"),
        (["--compute-threads", "-1"], r"compute_threads .*greater than or equal to 0"),
        (["--device", "tpu"], r"device \(from the flags\)"),
        (["--kernels", "sse9"], r"kernels .*'auto', 'torch', 'amx', .* or 'neon'; found 'sse9'"),
        (["--kernels", "avx2", "--device", "cuda"], r"kernels .*these are a CPU's"),
        (["--kernels", "avx2", "--arithmetic", "float32"], r"kernels .*round to bfloat16"),
        (["--front-end", "magic"], r"front_end .*'auto', 'espeak' or 'english'"),
        (["--max-text-characters", "0"], r"max_text_characters"),
        (["--shutdown-grace-s", "nan"], r"shutdown_grace_s"),
        (["--first-chunk-ms", "nan"], r"first_chunk_ms"),
        (["--memory-budget", f"{1 << 63}"], r"memory_budget .*less than or equal"),
        (["--memory-budget", "9" * 400 + "TiB"], r"memory_budget .*less than or equal"),
        (["--audio-cache-bytes", f"{(1 << 50) + 1}"], r"audio_cache_bytes .*less than or equal"),
        (["--stalled-write-s", "inf"], r"stalled_write_s"),
        (["--first-message-s", "0"], r"first_message_s"),
    ],
)
def test_a_wrong_flag_is_named(flags: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_settings(flags, {})


def test_a_wrong_variable_and_an_unknown_one_are_named() -> None:
    with pytest.raises(SettingsError, match=r"max_streams \(from the environment\)"):
        load_settings([], {"VOXSWAP_MAX_STREAMS": "many"})
    with pytest.raises(SettingsError, match=r"memory_budged \(from the environment\): there is no"):
        load_settings([], {"VOXSWAP_MEMORY_BUDGED": "1G"})
    load_settings([], {"VOXSWAP_ADDRESS": "somewhere:1", "VOXSWAP_CI": "1"})


URL = "redis://me:hunter2@redis:6379/0"


def test_a_password_is_shown_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    settings = load_settings([], {"VOXSWAP_AUDIO_CACHE_REDIS_URL": URL})
    assert settings.audio_cache_redis_url.get_secret_value() == URL
    assert "hunter2" not in repr(settings) + str(settings)
    with pytest.raises(SettingsError, match=r"audio_cache_redis_url .*write redis://") as raised:
        load_settings(["--audio-cache-redis-url", URL.replace("redis:", "http:")], {})
    told = "".join(traceback.format_exception(raised.value))
    assert "hunter2" not in told
    with pytest.raises(SystemExit):
        load_settings(["--help"], {"VOXSWAP_AUDIO_CACHE_REDIS_URL": URL})
    assert "hunter2" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "url", ["redis://me:hun/ter2@redis:6379/0", "redis://redis:hunter2", "rediss://[hunter2"]
)
async def test_a_url_that_cannot_be_read_is_told_without_what_it_was(url: str) -> None:
    settings = Settings.model_validate({"audio_cache_redis_url": url})
    async with contextlib.AsyncExitStack() as stack:
        with pytest.raises(SettingsError, match="audio_cache_redis_url: cannot be read") as raised:
            keep_audio(settings, Metrics("cpu"), stack, WayDown(0.0), maker="here")
    assert "ter2" not in "".join(traceback.format_exception(raised.value))


async def test_a_redis_that_is_not_installed_is_told_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "voxswap_server.speech.cache.redis_store", None)
    settings = Settings.model_validate({"audio_cache_redis_url": URL})
    async with contextlib.AsyncExitStack() as stack:
        with pytest.raises(SettingsError, match=r"pip install 'voxswap\[redis\]'"):
            keep_audio(settings, Metrics("cpu"), stack, WayDown(0.0), maker="here")


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings(["--listen", "x", "--memory-budget", "y"], {})
    assert len(raised.value.message.splitlines()) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("listen = [", "is not TOML"),
        ("liste = 'x'", r"liste \(from .*voxswap\.toml\): there is no such setting"),
        ("max_streams = 0", r"max_streams \(from .*voxswap\.toml\)"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "voxswap.toml"
    file.write_text(content)
    with pytest.raises(SettingsError, match=message):
        load_settings(["--config", str(file)], {})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nothing\.toml cannot be read"):
        load_settings(["--config", str(tmp_path / "nothing.toml")], {})


def test_help_names_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load_settings(["--help"], {})
    shown = capsys.readouterr().out
    for name in Settings.model_fields:
        assert f"--{name.replace('_', '-')}" in shown


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), 1 << 64, 1e300])
@pytest.mark.parametrize(
    "name",
    [name for name, field in Settings.model_fields.items() if field.annotation in (int, float)],
)
def test_no_number_is_without_an_end(name: str, value: float) -> None:
    with pytest.raises(ValidationError, match=name):
        Settings.model_validate({name: value})


def test_graphs_are_trusted_by_digest() -> None:
    first, second = (f"sha256:{digit * 64}" for digit in "ab")
    assert load_settings([], {}).trusted_graphs == ()
    found = load_settings([], {"VOXSWAP_TRUSTED_GRAPHS": f"{first}, {second},"})
    assert found.trusted_graphs == (first, second)
