"""Build programs of the table into the user's cache, once for all clones with the same sources.

A build works on a copy of the module, so the sources contain no generated files. The build uses Go's own caches
of modules and compiled packages.
"""

import hashlib
import inspect
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dev import cache
from dev.console import Step, step
from dev.errors import BuildError
from dev.toolchain import golang, partial, prepare
from dev.toolchain.golang import Go
from dev.toolchain.programs import PROGRAMS, Program

PARALLEL_LINKS = 2
"""Number of programs that are linked at the same time. The linker uses one core and up to 2 GiB of memory."""

STALE_PACKAGES = "{{if .Stale}}{{.ImportPath}}{{end}}"
"""Template of `go list` that prints the packages that Go's cache lacks."""

IMPORTED_PACKAGES = '{{join .Imports "\\n"}}'
"""Template of `go list` that prints the packages that a package imports, one a line."""

TAIL = 15
"""Lines of the log that an error shows."""


def build_programs(names: Sequence[str]) -> dict[str, Path]:
    """Return the folder of each program by its name. Build those that the cache lacks.

    First one Go command compiles the packages that programs share. Two commands at the same time would compile them
    twice.
    """
    targets = {name: _find_target(PROGRAMS[name]) for name in names}
    missing = [PROGRAMS[name] for name, (_, target) in targets.items() if not target.is_dir()]
    compiled: set[str] = set()
    for module, tags in dict.fromkeys((program.module, program.tags) for program in missing):
        sharing = [
            program
            for program in missing
            if (program.module, program.tags) == (module, tags) and program.shares_packages
        ]
        if len(sharing) > 1:
            _compile_shared_packages(sharing)
            compiled |= {program.name for program in sharing}
    with ThreadPoolExecutor(PARALLEL_LINKS) as pool:
        # Programs with packages of their own are compiled first, while another one is linked.
        ordered = sorted(names, key=lambda name: name in compiled)
        builds = {name: pool.submit(_ensure_built, PROGRAMS[name], *targets[name]) for name in ordered}
        try:
            return {name: build.result() for name, build in builds.items()}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def build_program(name: str) -> Path:
    """Return the folder with the program `name` under all of its names. Build it if the cache lacks it."""
    program = PROGRAMS[name]
    return _ensure_built(program, *_find_target(program))


def _ensure_built(program: Program, go: Go, target: Path) -> Path:
    if target.is_dir():
        return target
    go.ensure_installed()
    with step(f"{program.name} {program.version} built") as current_step:

        def fill(folder: Path) -> None:
            with _copy_module(
                program, go, target.name, current_step, f"The program {program.name} {program.version}"
            ) as module:
                _build(program, module, folder)

        return cache.ensure_folder(
            target, fill, lambda: current_step.note(f"waiting for another process that is building {program.name}")
        )


def compute_digest(program: Program, release: str) -> str:
    """Return a digest of what decides the program: its module, its row in the table, and the Go release.

    It includes the whole text of the Python module with the `prepare` function.
    """
    files = sorted(path for path in program.sources.rglob("*") if path.is_file())
    recipe = [
        release,
        [[str(file.relative_to(program.sources)), hashlib.sha256(file.read_bytes()).hexdigest()] for file in files],
        [program.name, program.packages, program.arguments, program.ldflags, program.aliases, program.scripts],
        [program.replacements, repr(partial.PARTIAL_MODULES)],
        inspect.getsource(sys.modules[program.prepare.__module__]) if program.prepare else "",
    ]
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]


def _find_target(program: Program) -> tuple[Go, Path]:
    """Return the Go that builds the program, and the folder of the finished program."""
    go = golang.choose_go(program.sources)
    return go, cache.root() / "programs" / f"{program.name}-{program.version}-{compute_digest(program, go.release)}"


@dataclass(frozen=True)
class _Module:
    """A copy of a module that Go runs in. The output of its commands goes to the log and moves the bar of the step."""

    folder: Path
    go: Go
    log: Path
    step: Step
    arguments: tuple[str, ...]
    """Arguments of `go list` and `go build`."""

    def count_stale_packages(self, packages: Sequence[str]) -> None:
        """Set the step's total to the number of packages that Go's cache lacks. This downloads the modules."""
        stale_packages = self._run("list", "-e", "-deps", *self.arguments, "-f", STALE_PACKAGES, *packages)
        self.step.total = sum(1 for _ in stale_packages)

    def list_imports(self, packages: Sequence[str]) -> list[str]:
        """Return the packages outside the standard library that `packages` import.

        The files that `packages` embed may be missing.
        """
        imports = self._run("list", "-e", *self.arguments, "-f", IMPORTED_PACKAGES, *packages)
        return sorted({package for package in imports if "." in package.partition("/")[0]})

    def compile(self, *arguments: str) -> None:
        """Run `go build`."""
        for package in self._run("build", "-v", *self.arguments, *arguments):
            self.step.show_detail(package)
            self.step.advance()

    def _run(self, *arguments: str) -> Iterator[str]:
        """Run `go ARGUMENTS` and yield the packages that it prints. Raise `CalledProcessError` if it fails."""
        command = [str(self.go.command), *arguments]
        with (
            self.log.open("a") as log,
            subprocess.Popen(
                command, cwd=self.folder, env=golang.build_environment(), text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            ) as process,
        ):  # fmt: skip
            assert process.stdout
            for line in process.stdout:
                log.write(line)
                if line.startswith("go: downloading "):
                    self.step.show_detail(line.strip().removeprefix("go: "))
                elif " " not in line:
                    yield line.strip()
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)


def _compile_shared_packages(programs: Sequence[Program]) -> None:
    """Compile the packages of the programs into Go's cache. They have the same module and the same tags."""
    go = golang.choose_go(programs[0].sources)
    go.ensure_installed()
    with (
        step(f"packages of {len(programs)} programs compiled") as current_step,
        cache.lock(cache.root() / "go-packages", lambda: current_step.note("waiting for another process that builds")),
        _copy_module(programs[0], go, "go-packages", current_step, "The packages of the programs") as module,
    ):
        # Not the main packages: Go would link them, and some embed files that are generated later.
        packages = module.list_imports([package for program in programs for package in program.packages])
        module.count_stale_packages(packages)
        module.compile(*packages)


def _build(program: Program, module: _Module, folder: Path) -> None:
    module.count_stale_packages(program.packages)
    if program.generator:
        module.compile("-ldflags", program.ldflags, "-o", prepare.GENERATOR, program.generator)
    if program.prepare:
        module.step.show_detail("generating embedded files")
        program.prepare(module.go, module.folder, program.version)
    module.compile("-ldflags", program.ldflags, "-o", str(folder / program.name), program.package)
    for name in program.aliases:
        (folder / name).symlink_to(program.name)
    if program.scripts:
        sdk = module.go.output("list", "-m", "-f", "{{.Dir}}", "github.com/pulumi/pulumi/sdk/v3", cwd=module.folder)
        for script in program.scripts:
            target = folder / Path(script).name
            shutil.copyfile(Path(sdk, script), target)
            target.chmod(0o755)


@contextmanager
def _copy_module(program: Program, go: Go, name: str, current_step: Step, subject: str) -> Iterator[_Module]:
    """Yield a temporary copy of the program's module. Raise `BuildError` if a command in it fails.

    `name` is the name of the log, and `subject` begins the error.
    """
    log = cache.root() / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="private-registry-") as temporary:
        folder = Path(shutil.copytree(program.sources, Path(temporary, "module")))
        try:
            for replacement in program.replacements:
                go.output("mod", "edit", f"-replace={replacement}", cwd=folder)
            partial.copy_parts(go, folder)
            yield _Module(folder, go, log, current_step, program.arguments)
        except subprocess.CalledProcessError as error:
            with log.open("a") as file:
                file.write(f"{error}\n{error.stderr or ''}")
            raise BuildError(
                f"{subject} could not be built.",
                f"Read the log {log}. If the network is the cause, set GOPROXY to a proxy that you can reach. "
                "If the disk is full, run `go clean -cache`. Then run the same command again.",
                details=_read_tail(log),
            ) from error


def _read_tail(log: Path) -> str:
    """Return the last messages of the log, without the names of packages and downloads."""
    lines = log.read_text().splitlines()
    return "\n".join([line for line in lines if " " in line and "go: downloading " not in line][-TAIL:])
