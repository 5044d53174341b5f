"""Build a program of the table into the user's cache, once for every clone that has the same sources.

Go's own caches of modules and compiled packages are the user's and are left to Go. A build works on a copy of the
module, so nothing generated ever lies in the sources.
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
from dev.toolchain import golang, prepare
from dev.toolchain.golang import Go
from dev.toolchain.programs import PROGRAMS, Program

STALE = "{{if .Stale}}{{.ImportPath}}{{end}}"
TAIL = 15
"""Lines of the compiler that an error shows; the log has them all."""


class BuildFailed(Exception):
    """A program did not build. The text holds the compiler's last words, the log and the remedy."""


def build(name: str) -> Path:
    """The folder with program `name` in it, under all of its names."""
    program = PROGRAMS[name]
    go = golang.choose(program.sources)
    target = cache.root() / "programs" / f"{name}-{program.version}-{digest(program, go.release)}"
    if target.is_dir():
        return target
    go.ready()
    with step(f"{name} {program.version} built") as current:
        log = cache.root() / "logs" / f"{target.name}.log"
        return cache.folder(
            target,
            _Build(program, go, log, current).fill,
            lambda: current.note(f"another clone is building {name}: waiting for it"),
        )


def digest(program: Program, release: str) -> str:
    """Changes with whatever changes the program: its module, its command, the Go release."""
    files = sorted(path for path in program.sources.rglob("*") if path.is_file())
    recipe = [
        release,
        [[str(file.relative_to(program.sources)), hashlib.sha256(file.read_bytes()).hexdigest()] for file in files],
        [program.name, program.packages, program.arguments, program.ldflags, program.also, program.scripts],
        inspect.getsource(sys.modules[program.prepare.__module__]) if program.prepare else "",
    ]
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class _Build:
    """One build at work: what its commands say goes to the log, and moves the bar of the step."""

    program: Program
    go: Go
    log: Path
    step: Step

    def fill(self, folder: Path) -> None:
        """Build the program into `folder`, in a copy of its module that is thrown away."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.unlink(missing_ok=True)
        module = Path(shutil.copytree(self.program.sources, folder / "module"))
        try:
            self._make(module, folder)
        except subprocess.CalledProcessError as error:
            with self.log.open("a") as log:
                log.write(f"{error}\n{error.stderr or ''}")
            raise BuildFailed(self._last_words()) from error
        shutil.rmtree(module)

    def _make(self, module: Path, folder: Path) -> None:
        program = self.program
        self._count_stale(module)
        if program.generator:
            self._compile(module, program.generator, module / prepare.GENERATOR)
        if program.prepare:
            self.step.detail("generating what it embeds")
            program.prepare(self.go, module, program.version)
        self._compile(module, program.package, folder / program.name)
        for name in program.also:
            (folder / name).symlink_to(program.name)
        if program.scripts:
            sdk = self.go.output("list", "-m", "-f", "{{.Dir}}", "github.com/pulumi/pulumi/sdk/v3", cwd=module)
            for script in program.scripts:
                target = folder / Path(script).name
                shutil.copyfile(Path(sdk, script), target)
                target.chmod(0o755)

    def _count_stale(self, module: Path) -> None:
        """Set the step's total to the packages that Go's cache does not hold; this fetches the modules."""
        program = self.program
        listed = self._packages(module, "list", "-e", "-deps", *program.arguments, "-f", STALE, *program.packages)
        self.step.total = sum(1 for _ in listed)

    def _compile(self, module: Path, package: str, output: Path) -> None:
        flags = ("-v", *self.program.arguments, "-ldflags", self.program.ldflags, "-o", str(output))
        for compiled in self._packages(module, "build", *flags, package):
            self.step.detail(compiled)
            self.step.advance()

    def _packages(self, module: Path, *arguments: str) -> Iterator[str]:
        """Run `go ARGUMENTS` in the module and yield the packages that it names, a line each."""
        command = [str(self.go.command), *arguments]
        with (
            self.log.open("a") as log,
            subprocess.Popen(
                command, cwd=module, env=golang.environment(), text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            ) as process,
        ):  # fmt: skip
            assert process.stdout
            for line in process.stdout:
                log.write(line)
                if line.startswith("go: downloading "):
                    self.step.detail(line.strip().removeprefix("go: "))
                elif " " not in line:
                    yield line.strip()
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)

    def _last_words(self) -> str:
        said = [line for line in self.log.read_text().splitlines() if " " in line and "go: downloading " not in line]
        return "\n".join(
            [
                f"{self.program.name} {self.program.version} did not build. The last lines of its log:",
                *(f"    {line}" for line in said[-TAIL:]),
                f"All of it: {self.log}",
                "Put right what they name (no network: a GOPROXY that can be reached; no space left: "
                "`go clean -cache`) and run the same command again: what is compiled already is kept.",
            ]
        )
