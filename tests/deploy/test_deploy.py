"""The deployment files agree with the code they start, and pass the linters of their formats."""

from __future__ import annotations

import configparser
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from voxswap_server.app.command import WRONG_SETTING
from voxswap_server.app.config import Settings, load_settings
from voxswap_server.app.way_down import BEYOND_GRACE_S, LEFT_BEHIND

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = DEPLOY / "docker/Dockerfile"
COMPOSE = DEPLOY / "compose/compose.yaml"
PROMETHEUS = DEPLOY / "prometheus/prometheus.yml"
UNIT = DEPLOY / "systemd/voxswap.service"
TOML = DEPLOY / "systemd/voxswap.toml"
COMMAND = "/opt/voxswap/bin/voxswap"


def run(*command: str | Path) -> None:
    """Run a checker; what it prints is the failure."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr


def installed(tool: str) -> str:
    """A checker that is no Python package: CI has it, a developer may not."""
    path = shutil.which(tool)
    if path is None and os.environ.get("VOXSWAP_CI"):
        pytest.fail(f"CI must have {tool}")
    return path or pytest.skip(f"{tool} is not installed")


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions with their arguments, continued lines joined."""
    lines = [x for x in DOCKERFILE.read_text("utf-8").splitlines() if not x.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(x.split(None, 1)[0], x.split(None, 1)[1]) for x in joined.splitlines() if x.strip()]


def pairs(instruction: str, *, stages: tuple[str, ...]) -> dict[str, str]:
    """The KEY=VALUE arguments of an instruction in these stages, later ones last."""
    found: dict[str, str] = {}
    stage = ""
    for name, arguments in instructions():
        if name == "FROM":
            stage = arguments.split()[-1]
        elif name == instruction and stage in stages:
            found.update(word.partition("=")[::2] for word in shlex.split(arguments))
    return found


def image_settings(*stages: str, environment: dict[str, str] | None = None) -> Settings:
    """What `voxswap serve` reads in a container; raises for a VOXSWAP_ name that is no setting."""
    return load_settings([], pairs("ENV", stages=stages) | (environment or {}))


def port(address: str) -> str:
    return address.rpartition(":")[2]


def size_bytes(text: str) -> int:
    return load_settings([], {"VOXSWAP_MEMORY_BUDGET": text}).memory_budget


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text("utf-8"))
    return found


SERVICES = sorted(compose()["services"])


class TestDockerfile:
    def test_hadolint_finds_nothing(self) -> None:
        run(Path(sys.executable).parent / "hadolint", "--failure-threshold", "style", DOCKERFILE)

    @pytest.mark.parametrize("target", ["cpu", "cuda"])
    def test_a_target_serves_where_it_says(self, target: str) -> None:
        settings = image_settings("runtime", target)
        exposed = dict(instructions())["EXPOSE"].split()
        ports = (settings.listen, settings.http_listen, settings.metrics_listen)
        assert [port(address) for address in ports] == exposed
        assert settings.listen.startswith("0.0.0.0:")
        assert settings.http_listen.startswith("0.0.0.0:")
        assert settings.metrics_listen.startswith("0.0.0.0:")
        assert settings.device.partition(":")[0] == target
        assert settings.registry == "/var/lib/voxswap/registry"

    def test_the_health_check_asks_the_port_that_is_served(self) -> None:
        address = pairs("ENV", stages=("runtime",))["VOXSWAP_ADDRESS"]
        assert port(address) == port(image_settings("runtime").listen)
        assert "VOXSWAP_ADDRESS" in dict(instructions())["HEALTHCHECK"]

    def test_what_is_copied_is_there_and_sent_to_the_engine(self) -> None:
        copied = {
            source
            for name, arguments in instructions()
            if name == "COPY" and "--from" not in arguments
            for source in arguments.split()[:-1]
        }
        ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
        assert copied == {line[1:] for line in ignored if line.startswith("!")}
        assert sorted(x for x in copied if not (ROOT / x).exists()) == []

    def test_the_wheel_has_every_package_it_is_made_of(self) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
        folders = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
        copied = {line.split()[0] for name, line in instructions() if name == "COPY"}
        assert {folder.split("/")[0] for folder in folders} <= copied

    @pytest.mark.parametrize("stage", ["build-cpu", "build-cuda"])
    def test_the_arguments_of_a_build(self, stage: str) -> None:
        arguments = pairs("ARG", stages=(stage,))
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        extras = set(arguments["EXTRAS"].split(","))
        assert extras <= set(project["optional-dependencies"])
        assert "espeak" not in extras, "GPL-3.0: the operator's choice"
        assert not arguments["TORCH_INDEX_URL"], "no registry's address belongs in the repository"

    def test_the_labels_are_the_project_s(self) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        labels = pairs("LABEL", stages=("runtime",))
        told = [labels[f"org.opencontainers.image.{x}"] for x in ("version", "title", "licenses")]
        assert told == [project["version"], project["name"], project["license"]]

    def test_it_runs_as_nobody_in_particular(self) -> None:
        found = dict(instructions())
        assert found["USER"] == "10001:10001"
        assert found["STOPSIGNAL"] == "SIGTERM"


def test_yamllint_finds_nothing() -> None:
    run(sys.executable, "-m", "yamllint", "--strict", "-c", DEPLOY / ".yamllint", DEPLOY)


class TestCompose:
    @pytest.mark.parametrize("name", SERVICES)
    def test_a_service_is_confined(self, name: str) -> None:
        service = compose()["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert size_bytes(service["mem_limit"]) > 0
        assert all(x.startswith("127.0.0.1:") for x in service.get("ports", []))
        assert ":" in service["image"]
        assert not service["image"].endswith(":latest")

    @pytest.mark.parametrize("name", ["voxswap", "import"])
    def test_it_builds_a_stage_with_arguments_that_there_are(self, name: str) -> None:
        build = compose()["services"][name]["build"]
        assert (COMPOSE.parent / build["context"]).resolve() == ROOT
        assert ROOT / build["dockerfile"] == DOCKERFILE
        stages = [arguments.split()[-1] for what, arguments in instructions() if what == "FROM"]
        assert build["target"] in stages
        assert set(build["args"]) <= set(pairs("ARG", stages=("build-cpu",)))

    def test_the_server_has_room_for_its_budget_and_time_to_stop(self) -> None:
        service = compose()["services"]["voxswap"]
        settings = image_settings("runtime", "cpu", environment=service["environment"])
        assert size_bytes(service["mem_limit"]) >= settings.memory_budget + (1 << 30)
        stop_s = float(service["stop_grace_period"].removesuffix("s"))
        assert stop_s > settings.shutdown_grace_s + BEYOND_GRACE_S
        served = [port(settings.listen), port(settings.http_listen)]
        assert service["ports"] == [f"127.0.0.1:{number}:{number}" for number in served]

    def test_voices_are_imported_first_and_into_the_registry_that_is_served(self) -> None:
        services = compose()["services"]
        registry = str(image_settings("runtime", "cpu").registry)
        assert services["import"]["command"][-2:] == ["--registry", registry]
        assert services["import"]["volumes"] == [f"registry:{registry}"]
        cache = image_settings("runtime", "cpu").cache_dir
        assert services["voxswap"]["volumes"] == [f"registry:{registry}", f"cache:{cache}"]
        condition = services["voxswap"]["depends_on"]["import"]["condition"]
        assert condition == "service_completed_successfully"

    def test_prometheus_waits_for_a_healthy_server(self) -> None:
        waits = compose()["services"]["prometheus"]["depends_on"]
        assert waits == {"voxswap": {"condition": "service_healthy"}}

    def test_volumes_are_declared_and_mounted_files_are_there(self) -> None:
        sources = {
            volume.partition(":")[0]
            for service in compose()["services"].values()
            for volume in service["volumes"]
        }
        files = {source for source in sources if source.startswith(".")}
        assert sources - files == set(compose()["volumes"])
        assert [x for x in sorted(files) if not (COMPOSE.parent / x).is_file()] == []


class TestPrometheus:
    def test_it_scrapes_the_port_of_the_metrics(self) -> None:
        (job,) = yaml.safe_load(PROMETHEUS.read_text("utf-8"))["scrape_configs"]
        served = port(image_settings("runtime", "cpu").metrics_listen)
        assert job["static_configs"] == [{"targets": [f"voxswap:{served}"]}]

    def test_promtool_finds_nothing(self) -> None:
        run(installed("promtool"), "check", "config", "--lint-fatal", PROMETHEUS)


class TestSystemd:
    @pytest.fixture
    def service(self) -> configparser.SectionProxy:
        # A key may stand twice there, which only the filters of system calls do.
        unit = configparser.ConfigParser(strict=False, interpolation=None, delimiters="=")
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        unit.read_string(UNIT.read_text("utf-8"))
        return unit["Service"]

    @pytest.fixture
    def settings(self, service: configparser.SectionProxy) -> Settings:
        """Its command line, with the example in place of the file that it names."""
        command, verb, *flags = shlex.split(service["ExecStart"])
        assert (command, verb) == (COMMAND, "serve")
        assert flags == ["--config", "/etc/voxswap/voxswap.toml"]
        return load_settings(["--config", str(TOML)], {})

    def test_the_unit_and_the_settings_agree(
        self, service: configparser.SectionProxy, settings: Settings
    ) -> None:
        state = f"/var/lib/{service['StateDirectory']}"
        assert Path(settings.registry).is_relative_to(state)
        assert settings.cache_dir == Path("/var/cache", service["CacheDirectory"])
        assert shlex.split(service["ExecStartPre"])[-2:] == ["--registry", str(settings.registry)]
        assert float(service["TimeoutStopSec"]) > settings.shutdown_grace_s + BEYOND_GRACE_S
        never_again = {int(status) for status in service["RestartPreventExitStatus"].split()}
        assert never_again == {WRONG_SETTING, LEFT_BEHIND}
        assert size_bytes(service["MemoryMax"]) >= settings.memory_budget + (1 << 30)

    def test_the_example_serves_this_machine_only(self, settings: Settings) -> None:
        assert settings.listen.startswith("127.0.0.1:")
        assert settings.http_listen.startswith("127.0.0.1:")
        assert settings.metrics_listen.startswith("127.0.0.1:")

    def test_it_is_confined_as_far_as_compiled_kernels_allow(
        self, service: configparser.SectionProxy
    ) -> None:
        assert service["NoNewPrivileges"] == "yes"
        assert service["ProtectSystem"] == "strict"
        assert service["CapabilityBoundingSet"] == ""
        assert service["MemoryDenyWriteExecute"] == "no", "oneDNN writes its kernels as it runs"

    def test_systemd_finds_nothing(self, tmp_path: Path) -> None:
        # The command is not installed here; something executable stands in for it.
        copy = tmp_path / UNIT.name
        copy.write_text(UNIT.read_text("utf-8").replace(COMMAND, sys.executable), "utf-8")
        systemd = shutil.which("systemd-analyze") or pytest.skip("this machine has no systemd")
        run(systemd, "verify", "--man=no", copy)
