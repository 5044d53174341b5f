"""How the engine is obtained; `go` and `pulumi` are stand-ins here, the real ones run in the e2e tier."""

import dataclasses
import os
import re
import shutil
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from dev import cache
from dev.console import Unmet
from dev.toolchain import build, engine, golang, programs
from dev.toolchain.build import BuildFailed
from dev.toolchain.programs import KUBERNETES, MODULES, PROGRAMS

GO = """#!/bin/sh
echo "$@" >>"$HOME/go.log"
case "$1 $2" in
"env GOVERSION") echo go{version} ;;
"list -e") printf 'fmt\\nmain\\n' ;;
"list -m") echo "$HOME" ;;
build*)
    echo fmt; echo main
    if [ -e "$HOME/broken" ]; then echo './main.go:7:2: undefined: dns.ErrTruncated'; exit 1; fi
    while [ "$1" != -o ]; do shift; done
    echo program >"$2" ;;
esac
"""
PULUMI_ON_PATH = """#!/bin/sh
echo "$@" >>"$HOME/pulumi.log"
case "$*" in
"plugin ls --json") cat "$HOME/plugins.json" ;;
"plugin install"*) [ -e "$HOME/online" ] || { echo 'error: no such host' >&2; exit 1; } ;;
esac
"""

Install = Callable[[str, str], Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a command on the PATH of a machine whose home is `tmp_path`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def install(name: str, content: str) -> Path:
        command = folder / name
        command.write_text(content)
        command.chmod(0o755)
        return command

    return install


@pytest.fixture
def go_log(install: Install, tmp_path: Path) -> Path:
    """A Go on PATH that is new enough, and what it was asked."""
    install("go", GO.replace("{version}", "1.99.1"))
    return tmp_path / "go.log"


class TestPins:
    def test_the_installed_wheels_name_the_versions_that_are_built(self) -> None:
        wheels = {"pulumi": "pulumi", **{name: f"pulumi-{name}" for name in engine.PROVIDERS}}

        engine.check_pins({wheel: metadata.version(wheel) for wheel in wheels.values()})

    def test_a_wheel_of_another_version_is_refused_in_one_line_that_names_both(self) -> None:
        with pytest.raises(Unmet, match=r"pulumi-tls 5\.7\.0 is installed.*5\.6\.2.*pip install") as unmet:
            engine.check_pins({"pulumi-tls": "5.7.0"})

        assert "\n" not in str(unmet.value)

    @pytest.mark.parametrize(
        ("program", "requirement"),
        [
            ("kube", "k8s.io/kubernetes"),
            ("registry", "github.com/distribution/distribution/v3"),
            ("registry-2.7", "github.com/docker/distribution"),
            ("versitygw", "github.com/versity/versitygw"),
            ("traefik", "github.com/traefik/traefik/v3"),
            ("pulumi", "github.com/pulumi/pulumi/pkg/v3"),
            ("pulumi", "github.com/pulumi/pulumi/sdk/v3"),
            ("pulumi-language-python", "github.com/pulumi/pulumi/sdk/v3"),
            ("pulumi-language-yaml", "github.com/pulumi/pulumi-yaml"),
        ],
    )
    def test_the_table_and_go_mod_name_the_same_version(self, program: str, requirement: str) -> None:
        sources, version = PROGRAMS[program].sources, PROGRAMS[program].version

        assert re.search(rf"{requirement} v{version}(\+incompatible)?\n", (sources / "go.mod").read_text())

    def test_a_program_is_stamped_with_its_own_version(self) -> None:
        for program in PROGRAMS.values():
            assert any(re.search(rf"=v?{program.version}$", stamp) for stamp in program.stamps), program.name

    def test_kubernetes_tells_the_same_minor_version_in_all_places(self) -> None:
        assert f"k8s.io/component-base/version.gitMinor={KUBERNETES.split('.')[1]}" in PROGRAMS["kube"].stamps

    @pytest.mark.parametrize("module", sorted(module.name for module in MODULES.iterdir()))
    def test_every_required_module_has_its_checksum(self, module: str) -> None:
        listed, sums = ((MODULES / module / file).read_text() for file in ("go.mod", "go.sum"))
        replaced = set(re.findall(r"(\S+)(?: v\S+)? => ", listed))

        required = re.findall(r"^(?:require )?\s*(\S+\.\S+/\S+) (v\S+)(?: // indirect)?$", listed, re.M)

        assert required
        assert not [
            path for path, version in required if path not in replaced and f"{path} {version}/go.mod h1:" not in sums
        ]

    def test_go_is_pinned_by_hash_for_both_architectures(self) -> None:
        assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}", golang.REQUIREMENT.read_text())) == 2


class TestGo:
    def test_the_one_on_path_is_used_when_it_is_new_enough(self, install: Install) -> None:
        on_path = install("go", GO.replace("{version}", "1.26.0"))

        assert golang.choose(MODULES / "kube") == golang.Go((1, 26, 0), on_path)

    @pytest.mark.parametrize("version", ["1.25.12", "1.26rc1", "1.9"])
    def test_an_older_one_gives_way_to_the_wheel(self, install: Install, version: str) -> None:
        install("go", GO.replace("{version}", version))

        assert golang.choose(MODULES / "kube").command.is_relative_to(cache.root())

    def test_without_one_the_wheel_is_used(self, install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "")

        assert golang.choose(MODULES / "kube").release in golang.REQUIREMENT.read_text()

    def test_a_module_that_needs_more_than_the_wheel_says_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", "")
        (tmp_path / "go.mod").write_text("module m\n\ngo 1.99.0\n")

        with pytest.raises(Unmet, match=r"needs Go 1\.99\.0.*install that Go"):
            golang.choose(tmp_path)

    def test_verification_cannot_be_switched_off_from_outside(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GOFLAGS", "-insecure")
        monkeypatch.setenv("GONOSUMDB", "*")
        monkeypatch.setenv("GONOSUMCHECK", "1")

        environment = golang.environment()

        assert environment["GOFLAGS"].startswith("-mod=readonly")
        assert not {"GONOSUMDB", "GONOSUMCHECK", "GOINSECURE"} & environment.keys()

    def test_where_modules_come_from_is_the_users_own_setting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GOPROXY", "https://proxy.example")

        assert golang.environment()["GOPROXY"] == "https://proxy.example"


class TestBuild:
    def test_a_program_lies_in_the_cache_under_all_of_its_names(self, go_log: Path) -> None:
        folder = build.build("kube")

        assert folder.is_relative_to(cache.root())
        assert {file.name for file in folder.iterdir()} == {"kube", *PROGRAMS["kube"].also}
        assert (folder / "kubelet").read_text() == "program\n"

    def test_a_program_is_built_once(self, go_log: Path) -> None:
        assert build.build("registry") == build.build("registry")

        assert sum(line.startswith("build") for line in go_log.read_text().splitlines()) == 1

    def test_its_step_names_it_and_its_version(self, go_log: Path, capsys: pytest.CaptureFixture[str]) -> None:
        build.build("registry")

        assert "✓ registry 3.1.2 built" in capsys.readouterr().err

    def test_nothing_generated_lies_in_the_sources(self, go_log: Path) -> None:
        build.build("registry")

        kinds = {path.suffix for path in MODULES.rglob("*") if path.is_file()}
        assert kinds == {".go", ".mod", ".sum"}

    def test_a_failure_shows_the_compilers_last_words_the_log_and_the_remedy(
        self, go_log: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "broken").touch()

        with pytest.raises(build.BuildFailed) as failed:
            build.build("registry")

        log = re.search(r"^All of it: (.+)$", str(failed.value), re.M)
        assert "undefined: dns.ErrTruncated" in str(failed.value)
        assert log
        assert "fmt\nmain\n./main.go:7:2" in Path(log[1]).read_text()
        assert "run the same command again" in str(failed.value)

    def test_a_failure_leaves_no_program(self, go_log: Path, tmp_path: Path) -> None:
        (tmp_path / "broken").touch()
        with pytest.raises(build.BuildFailed):
            build.build("registry")
        (tmp_path / "broken").unlink()

        assert (build.build("registry") / "registry").exists()

    def test_every_clone_finds_the_same_build(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        here = build.digest(PROGRAMS["registry"], "1.26")
        monkeypatch.setattr(programs, "MODULES", shutil.copytree(MODULES, tmp_path / "clone"))

        assert build.digest(PROGRAMS["registry"], "1.26") == here

    def test_one_changed_source_is_another_build(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        before = build.digest(PROGRAMS["kube"], "1.26")
        monkeypatch.setattr(programs, "MODULES", shutil.copytree(MODULES, tmp_path / "clone"))
        (tmp_path / "clone/kube/main.go").write_text("package main\n")

        assert build.digest(PROGRAMS["kube"], "1.26") != before

    @pytest.mark.parametrize("change", [{"stamps": ("main.version=2",)}, {"tags": "slim"}, {"module": "pulumi"}])
    def test_another_command_or_module_is_another_build(self, change: dict[str, str]) -> None:
        program = PROGRAMS["kube"]
        changed = dataclasses.replace(program, **change)  # type: ignore[arg-type]

        assert build.digest(changed, "1.26") != build.digest(program, "1.26")

    def test_another_go_release_is_another_build_and_a_patch_of_it_is_not(self) -> None:
        releases = [golang.Go(version, Path("go")).release for version in [(1, 26, 1), (1, 26, 2), (1, 27, 0)]]

        assert len({build.digest(PROGRAMS["kube"], release) for release in releases}) == 2


class TestEngine:
    @pytest.fixture
    def on_path(self, install: Install, tmp_path: Path) -> Path:
        """A user's own `pulumi`, and what it was asked. It has no plugins yet."""
        install("pulumi", PULUMI_ON_PATH)
        install("pulumi-language-python", "")
        (tmp_path / "plugins.json").write_text("[]")
        return tmp_path / "pulumi.log"

    @pytest.fixture
    def built(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The programs that were built, each an empty file in a folder of its own."""
        names: list[str] = []

        def build(name: str) -> Path:
            names.append(name)
            folder = cache.root() / "programs" / f"{name}-{PROGRAMS[name].version}-0123"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
            return folder

        monkeypatch.setattr(engine, "build", build)
        return names

    def test_a_pulumi_with_its_plugins_is_used_as_it_is(self, on_path: Path, built: list[str], tmp_path: Path) -> None:
        plugins = [f'{{"name": "{name}", "version": "{_version(name)}"}}' for name in engine.PROVIDERS]
        (tmp_path / "plugins.json").write_text(f"[{', '.join(plugins)}]")

        assert engine.provide() == engine.Engine(path=None, env={})
        assert "install" not in on_path.read_text()
        assert not built

    def test_plugins_that_can_be_downloaded_are(self, on_path: Path, built: list[str], tmp_path: Path) -> None:
        (tmp_path / "online").touch()

        assert engine.provide() == engine.Engine()
        assert f"plugin install resource tls {_version('tls')}\n" in on_path.read_text()

    def test_where_plugins_cannot_be_had_everything_is_built(
        self, on_path: Path, built: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert engine.provide().path
        assert "no such host" in capsys.readouterr().err
        assert len(built) == 5

    def test_a_built_engine_has_a_home_of_its_own(self, install: Install, built: list[str], tmp_path: Path) -> None:
        provided = engine.provide()

        home = Path(provided.env["PULUMI_HOME"])
        assert provided.path == home / "bin"
        assert home.is_relative_to(cache.root())
        assert (home / f"plugins/resource-tls-v{_version('tls')}/pulumi-resource-tls").exists()
        assert not (tmp_path / ".pulumi").exists()

    def test_other_programs_are_built_at_the_same_time(self, install: Install, built: list[str]) -> None:
        engine.provide(also=("kube", "registry"))

        assert {"kube", "registry", "pulumi"} <= set(built)
        assert len(built) == 7

    def test_one_program_that_does_not_build_keeps_the_others_from_starting(
        self, install: Install, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        started: list[str] = []

        def build(name: str) -> Path:
            started.append(name)
            time.sleep(0.02)
            raise BuildFailed(name)

        monkeypatch.setattr(engine, "build", build)
        with pytest.raises(BuildFailed):
            engine.provide()
        assert len(started) <= 2 * engine.AT_ONCE

    def test_a_built_engine_asks_the_network_for_nothing(self, install: Install, built: list[str]) -> None:
        assert engine.OFFLINE.items() <= engine.provide().env.items()

    def test_its_language_host_lies_beside_it(self, install: Install, built: list[str]) -> None:
        folder = engine.provide().path

        assert folder
        assert {file.name for file in folder.iterdir()} == {"pulumi", "pulumi-language-python"}
        assert not any(file.is_symlink() for file in folder.iterdir())

    def test_in_a_shell_of_the_built_engine_it_is_found_again(
        self, install: Install, built: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = engine.provide()
        assert first.path
        (first.path / "pulumi").chmod(0o755)
        monkeypatch.setenv("PATH", f"{first.path}:{os.environ['PATH']}")

        assert engine.provide() == first

    def test_a_missing_wheel_is_named(
        self, install: Install, built: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(engine, "PROVIDERS", ("kubernetes", "nonesuch"))

        with pytest.raises(Unmet, match=r"pulumi-nonesuch is missing: `pip install -r requirements.txt`"):
            engine.provide()


def _version(provider: str) -> str:
    return PROGRAMS[f"pulumi-resource-{provider}"].version
