"""Build a program of the table into the user's cache, once for all clones with the same sources.

A build works on a copy of the module, so the sources contain no generated files. The build uses Go's own caches
of modules and compiled packages.
"""

import hashlib
import inspect
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dev import cache
from dev.console import Step, step
from dev.errors import BuildError
from dev.toolchain import golang, prepare
from dev.toolchain.golang import Go
from dev.toolchain.programs import PROGRAMS, Program

STALE_PACKAGES = "{{if .Stale}}{{.ImportPath}}{{end}}"
"""Template of `go list` that prints the packages that Go's cache lacks."""

TAIL = 15
"""Lines of the log that an error shows."""


def build_program(name: str) -> Path:
    """Return the folder with the program `name` under all of its names. Build it if the cache lacks it."""
    program = PROGRAMS[name]
    go = golang.choose_go(program.sources)
    target = cache.root() / "programs" / f"{name}-{program.version}-{compute_digest(program, go.release)}"
    if target.is_dir():
        return target
    go.ensure_installed()
    with step(f"{name} {program.version} built") as current_step:
        log = cache.root() / "logs" / f"{target.name}.log"
        return cache.ensure_folder(
            target,
            _Build(program, go, log, current_step).fill,
            lambda: current_step.note(f"waiting for another process that is building {name}"),
        )


def compute_digest(program: Program, release: str) -> str:
    """Return a digest of the program's sources: its module, its build command and the Go release.

    It includes the whole text of the Python module with the `prepare` function.
    """
    files = sorted(path for path in program.sources.rglob("*") if path.is_file())
    recipe = [
        release,
        [[str(file.relative_to(program.sources)), hashlib.sha256(file.read_bytes()).hexdigest()] for file in files],
        [program.name, program.packages, program.arguments, program.ldflags, program.aliases, program.scripts],
        inspect.getsource(sys.modules[program.prepare.__module__]) if program.prepare else "",
    ]
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class _Build:
    """A running build. The output of its commands goes to the log and moves the bar of the step."""

    program: Program
    go: Go
    log: Path
    step: Step

    def fill(self, folder: Path) -> None:
        """Build the program into `folder`, from a temporary copy of its module."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.unlink(missing_ok=True)
        module = Path(shutil.copytree(self.program.sources, folder / "module"))
        try:
            self._build(module, folder)
        except subprocess.CalledProcessError as error:
            with self.log.open("a") as log:
                log.write(f"{error}\n{error.stderr or ''}")
            raise BuildError(
                f"The program {self.program.name} {self.program.version} could not be built.",
                f"Read the log {self.log}. If the network is the cause, set GOPROXY to a proxy that you can reach. "
                "If the disk is full, run `go clean -cache`. Then run the same command again.",
                details=self._log_tail(),
            ) from error
        shutil.rmtree(module)

    def _build(self, module: Path, folder: Path) -> None:
        program = self.program
        self._count_stale(module)
        if program.generator:
            self._compile(module, program.generator, module / prepare.GENERATOR)
        if program.prepare:
            self.step.show_detail("generating embedded files")
            program.prepare(self.go, module, program.version)
        self._compile(module, program.package, folder / program.name)
        for name in program.aliases:
            (folder / name).symlink_to(program.name)
        if program.scripts:
            sdk = self.go.output("list", "-m", "-f", "{{.Dir}}", "github.com/pulumi/pulumi/sdk/v3", cwd=module)
            for script in program.scripts:
                target = folder / Path(script).name
                shutil.copyfile(Path(sdk, script), target)
                target.chmod(0o755)

    def _count_stale(self, module: Path) -> None:
        """Set the step's total to the number of packages that Go's cache lacks. This downloads the modules."""
        program = self.program
        stale_packages = self._packages(
            module, "list", "-e", "-deps", *program.arguments, "-f", STALE_PACKAGES, *program.packages
        )
        self.step.total = sum(1 for _ in stale_packages)

    def _compile(self, module: Path, package: str, output: Path) -> None:
        flags = ("-v", *self.program.arguments, "-ldflags", self.program.ldflags, "-o", str(output))
        for compiled in self._packages(module, "build", *flags, package):
            self.step.show_detail(compiled)
            self.step.advance()

    def _packages(self, module: Path, *arguments: str) -> Iterator[str]:
        """Run `go ARGUMENTS` in the module and yield the packages that it prints, one a line."""
        command = [str(self.go.command), *arguments]
        with (
            self.log.open("a") as log,
            subprocess.Popen(
                command, cwd=module, env=golang.build_environment(), text=True,
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

    def _log_tail(self) -> str:
        """Return the last messages of the log, without the names of packages and downloads."""
        lines = self.log.read_text().splitlines()
        return "\n".join([line for line in lines if " " in line and "go: downloading " not in line][-TAIL:])
