"""The engine on PATH is used, or one is built. `go` and `pulumi` are fakes. The end-to-end tests run the real ones."""

import functools
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

from dev import cache
from dev.errors import BuildError, RequirementError
from dev.toolchain import build, engine, golang, partial, programs
from dev.toolchain.partial import PartialModule
from dev.toolchain.programs import MODULES, PROGRAMS, Program
from tests.dev.commands import add_command

GO = """#!/bin/sh
echo "$@" >>"$HOME/go.log"
case "$1 $2" in
"env GOVERSION") echo go{version} ;;
"list -e") printf 'fmt\\nexample.com/shared\\n' ;;
"mod download") echo "{\\"Dir\\": \\"$HOME/published\\"}" ;;
build*)
    echo fmt; echo main
    if [ -e "$HOME/broken" ]; then echo './main.go:7:2: undefined: dns.ErrTruncated'; exit 1; fi
    while [ $# -gt 0 ] && [ "$1" != -o ]; do shift; done
    [ $# = 0 ] || echo program >"$2" ;;
esac
"""
PULUMI = """#!/bin/sh
echo "$@" >>"$HOME/pulumi.log"
case "$*" in
"plugin ls --json") echo '[]' ;;
"plugin install"*) [ -e "$HOME/online" ] || { echo 'error: no such host' >&2; exit 1; } ;;
esac
"""

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that puts a command on PATH. The user's home is `tmp_path`."""
    folders = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "HOME": str(tmp_path), "XDG_CACHE_HOME": f"{tmp_path}/cache"}
    for name, value in folders.items():
        monkeypatch.setenv(name, value)
    return functools.partial(add_command, tmp_path)


class TestPins:
    def test_the_installed_wheels_have_the_versions_of_the_programs(self) -> None:
        wheels = ["pulumi", *(f"pulumi-{provider}" for provider in engine.PROVIDERS)]

        engine.check_pins({wheel: metadata.version(wheel) for wheel in wheels})

    def test_a_wheel_of_another_version_is_refused(self) -> None:
        with pytest.raises(RequirementError) as raised:
            engine.check_pins({"pulumi-tls": "5.7.0"})

        assert "5.7.0" in raised.value.cause
        assert "5.6.2" in raised.value.cause

    @pytest.mark.parametrize("program", PROGRAMS.values(), ids=lambda program: program.name)
    def test_the_linker_and_go_mod_have_the_version_of_the_table(self, program: Program) -> None:
        assert not program.stamps or any(re.search(rf"=v?{program.version}$", stamp) for stamp in program.stamps)
        # Providers, the language host and the Docker engine are published as Go modules with other versions.
        if not program.prepare and program.name != engine.LANGUAGE:
            version = programs.MOBY if program.name == "dockerd" else program.version
            assert re.search(
                rf" v{version}(\+incompatible)?( // indirect)?\n", (program.sources / "go.mod").read_text()
            )

    @pytest.mark.parametrize("module", sorted(MODULES.iterdir()), ids=lambda module: module.name)
    def test_every_required_module_has_a_checksum(self, module: Path) -> None:
        required, sums = ((module / file).read_text() for file in ("go.mod", "go.sum"))
        replaced = set(re.findall(r"(\S+)(?: v\S+)? => ", required))

        modules = re.findall(r"^(?:require )?\s*(\S+\.\S+/\S+) (v\S+)(?: // indirect)?$", required, re.M)

        assert modules
        assert all(path in replaced or f"{path} {version}/go.mod h1:" in sums for path, version in modules)

    @pytest.mark.parametrize("module", programs.LEGACY_MODULES)
    def test_a_module_without_go_mod_is_compiled_with_the_language_of_today(self, module: str) -> None:
        flags = f"-gcflags={programs.LEGACY_MODULES[module]}/...=-dwarf=false -lang=go1.26"
        assert {name for name, program in PROGRAMS.items() if flags in program.arguments} == {
            name for name, program in PROGRAMS.items() if program.module == module
        }

    def test_the_wheel_of_go_has_a_checksum_for_both_architectures(self) -> None:
        assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}", golang.REQUIREMENTS_FILE.read_text())) == 2


class TestGo:
    @pytest.mark.parametrize(("version", "is_used"), [("1.26.6", True), ("1.25.12", False), ("1.26rc1", False)])
    def test_go_on_path_is_used_if_it_is_new_enough(self, install: Install, version: str, is_used: bool) -> None:
        on_path = install("go", GO.replace("{version}", version))

        command = golang.choose_go(MODULES / "current").command

        assert (command == on_path) is is_used
        assert command.is_relative_to(cache.root()) is not is_used

    def test_a_module_that_needs_a_newer_go_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "")
        (tmp_path / "go.mod").write_text("module m\n\ngo 1.99.0\n")

        with pytest.raises(RequirementError) as raised:
            golang.choose_go(tmp_path)

        assert "1.99.0" in raised.value.cause

    def test_the_user_cannot_switch_verification_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        variables = {"GOFLAGS": "-insecure", "GONOSUMDB": "*", "GONOSUMCHECK": "1", "GOSUMDB": "off", "GOPROXY": "own"}
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

        environment = golang.build_environment()

        assert environment["GOFLAGS"].startswith("-mod=readonly")
        assert not {"GONOSUMDB", "GONOSUMCHECK", "GOINSECURE", "GOSUMDB"} & environment.keys()
        assert environment["GOPROXY"] == "own"


class TestBuild:
    def test_a_failed_build_is_reported_and_leaves_no_program(self, install: Install, tmp_path: Path) -> None:
        install("go", GO.replace("{version}", "1.99.1"))
        (tmp_path / "broken").touch()

        with pytest.raises(BuildError) as raised:
            build.build_program("registry")

        (log,) = (cache.root() / "logs").iterdir()
        assert "./main.go:7:2: undefined: dns.ErrTruncated" in raised.value.details.splitlines()
        assert str(log) in raised.value.remedy
        assert "fmt\nmain\n./main.go:7:2" in log.read_text()
        (tmp_path / "broken").unlink()
        assert (build.build_program("registry") / "registry").read_text() == "program\n"
        assert {path.suffix for path in MODULES.rglob("*") if path.is_file()} == {".go", ".mod", ".sum"}

    def test_the_cache_key_depends_on_sources_command_and_release_of_go(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kube = PROGRAMS["kube"]
        digest = build.compute_digest(kube, golang.Go((1, 26, 1), Path("go")).release)
        monkeypatch.setattr(programs, "MODULES", shutil.copytree(MODULES, tmp_path / "clone"))
        assert build.compute_digest(kube, golang.Go((1, 26, 2), Path("go")).release) == digest, (
            "A patch release does not count."
        )

        digests = {digest, build.compute_digest(kube, "1.27")}
        digests |= {build.compute_digest(replace(kube, stamps=("main.version=2",)), "1.26")}
        digests |= {build.compute_digest(replace(kube, replacements=("a=b@v1.0.0",)), "1.26")}
        (tmp_path / "clone/current/cmd/kube/main.go").write_text("package main\n")
        digests |= {build.compute_digest(kube, "1.26")}

        assert len(digests) == 5

    def test_packages_that_programs_share_are_compiled_once_and_first(self, install: Install, tmp_path: Path) -> None:
        install("go", GO.replace("{version}", "1.99.1"))

        folders = build.build_programs(["kube", "registry"])

        assert (folders["registry"] / "registry").read_text() == "program\n"
        shared, *programs = [
            line for line in (tmp_path / "go.log").read_text().splitlines() if line.startswith("build")
        ]
        assert shared.endswith(" example.com/shared")
        assert " -o " not in shared
        assert len(programs) == 2
        install("go", GO.replace("{version}", "1.99.1").replace("build*)", "build*) exit 1 ;; other)"))
        assert build.build_programs(["kube", "registry"]) == folders, "Nothing is built twice."

    def test_packages_with_different_tags_are_not_compiled_by_one_command(
        self, install: Install, tmp_path: Path
    ) -> None:
        install("go", GO.replace("{version}", "1.99.1"))

        build.build_programs(["kube", "registry", "containerd"])

        commands = [line for line in (tmp_path / "go.log").read_text().splitlines() if line.startswith("build")]
        assert [line.endswith(" example.com/shared") for line in commands] == [True, False, False, False]
        assert [line for line in commands if "no_zfs" in line] == [
            line for line in commands if line.endswith("./cmd/containerd")
        ]

    def test_a_module_is_replaced_in_the_copy_for_its_program_alone(self, install: Install, tmp_path: Path) -> None:
        install("go", GO.replace("{version}", "1.99.1"))

        build.build_programs(["traefik", "registry"])

        edits = [line for line in (tmp_path / "go.log").read_text().splitlines() if line.startswith("mod edit")]
        assert edits == [f"mod edit -replace={replacement}" for replacement in PROGRAMS["traefik"].replacements]

    @pytest.mark.parametrize("part", partial.PARTIAL_MODULES, ids=lambda part: part.folder)
    def test_of_a_partial_module_only_the_needed_files_are_copied(
        self, part: PartialModule, install: Install, tmp_path: Path
    ) -> None:
        install("go", GO.replace("{version}", "1.99.1"))
        needed = [pattern.replace("**", "acme").replace("*", "a") for pattern in part.patterns]
        for file in [*needed, "README.md", *(f"{folder}/a.go" for folder in part.excluded_folders)]:
            (tmp_path / "published" / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "published" / file).write_text("package a\n")
        module = Path(shutil.copytree(MODULES / "current", tmp_path / "module"))
        stand_in = module / "stand_ins" / part.folder
        own_files = {path for path in stand_in.rglob("*") if path.is_file()}

        partial.copy_parts(golang.choose_go(module), module)

        assert {path for path in stand_in.rglob("*") if path.is_file()} - own_files == {
            stand_in / file for file in needed
        }


class TestEngine:
    @pytest.fixture
    def built_programs(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Return the names of the programs that are built, each as an empty file."""
        names: list[str] = []

        def build_programs(requested: Sequence[str]) -> dict[str, Path]:
            names.extend(requested)
            folders = {name: cache.root() / "programs" / f"{name}-{PROGRAMS[name].version}-0123" for name in requested}
            for name, folder in folders.items():
                folder.mkdir(parents=True, exist_ok=True)
                (folder / name).touch(0o755)
            return folders

        monkeypatch.setattr(engine, "build_programs", build_programs)
        return names

    def test_missing_plugins_are_downloaded(self, install: Install, built_programs: list[str], tmp_path: Path) -> None:
        install("pulumi", PULUMI)
        install("pulumi-language-python")
        (tmp_path / "online").touch()

        assert engine.provide_engine() == engine.Engine()
        log = (tmp_path / "pulumi.log").read_text()
        assert f"plugin install resource tls {PROGRAMS['pulumi-resource-tls'].version}\n" in log
        assert not built_programs

    def test_without_plugins_an_engine_with_its_own_home_is_built(
        self, install: Install, built_programs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        install("pulumi", PULUMI)
        install("pulumi-language-python")
        provided = engine.provide_engine()

        home = Path(provided.env["PULUMI_HOME"])
        assert len(built_programs) == 5
        assert home.is_relative_to(cache.root())
        assert (home / "logs").is_file(), "The engine makes no folder for logs."
        assert provided.path == home / "bin"
        assert not (tmp_path / ".pulumi").exists()
        monkeypatch.setenv("PATH", f"{provided.path}:/usr/bin:/bin")
        assert engine.provide_engine() == provided, "It is not mistaken for a pulumi of the user."
