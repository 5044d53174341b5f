"""Release a version: its number, its changelog, its wheel, its commit and its tag.

All steps run in a separate worktree. The clone changes only at the end, by a tag and a fast-forward to it. So a failed
release does not change the clone, and the same command finishes an interrupted release.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from dev.console import step
from dev.errors import CommandError, RequirementError

VERSION_FILE = "registry/__init__.py"
CHANGELOG = "CHANGELOG.md"

VERSION = re.compile(r'(?<=^__version__ = ")\d+\.\d+\.\d+(?=")', re.MULTILINE)
ADDRESS_VERSION = re.compile(r"(?<=/private-registry@v)\d+\.\d+\.\d+")
"""Version in an address of the package on a page."""

UNRELEASED = "## [Unreleased]\n"

CHECKED_TESTS = ("tests/dev/test_wheel.py", "tests/registry/test_contract.py", "tests/registry/test_upgrade.py")

FIRST_PROGRAM = "import private_registry; print(private_registry.__version__)"

Build = Callable[[Path, str], Path]
"""Function that writes the generated files of a version into its sources, and returns the tested wheel."""


def release(root: Path, version: str, build: Build, *, dry_run: bool = False) -> str:
    """Release `version` of the clone `root`, and return what to do next. A dry run does not change the clone."""
    tag = f"v{version}"
    if _git(root, "tag", "--list", tag):
        if not dry_run:
            _finish(root, tag)
        return f"{tag} is released. Run `git push --atomic origin HEAD {tag}`."
    check(root, version)
    with _worktree(root) as copy:
        set_version(copy, version)
        wheel = build(copy, version)
        _git(copy, "add", "--all")
        _git(copy, "commit", "--quiet", "--message", f"Release {version}")
        if dry_run:
            return f"{version} can be released:\n{_git(copy, 'show', '--stat', '--format=%s', 'HEAD')}"
        (root / "dist").mkdir(exist_ok=True)
        shutil.copy(wheel, root / "dist")
        _git(copy, "tag", "--annotate", tag, "--message", f"Release {version}")
    _finish(root, tag)
    return f"{tag} is released, with dist/{wheel.name}. Run `git push --atomic origin HEAD {tag}`."


def check(root: Path, version: str) -> None:
    """Raise if the version is no successor, if the clone has changes, or if the changelog is empty."""
    current = _match(VERSION, root / VERSION_FILE)
    if not re.fullmatch(r"\d+\.\d+\.\d+", version) or _numbers(version) <= _numbers(current):
        raise RequirementError(f"{version!r} is no version after {current}.", "Choose one such as 1.2.3.")
    if changes := _git(root, "status", "--porcelain"):
        raise RequirementError("The clone has changes.", "Commit or remove them.", changes)
    _, _, entries = (root / CHANGELOG).read_text().partition(UNRELEASED)
    if not re.search(r"^- ", entries.partition("\n## [")[0], re.MULTILINE):
        raise RequirementError(f"{CHANGELOG} has no entry under [Unreleased].", "Describe what has changed.")


def set_version(folder: Path, version: str) -> None:
    """Write the version to the package, to the pages with its address, and with the date to the changelog."""
    head = f"{UNRELEASED}\n## [{version}] - {datetime.now(UTC):%Y-%m-%d}\n"
    changelog = folder / CHANGELOG
    changelog.write_text(changelog.read_text().replace(UNRELEASED, head, 1))
    for file, pattern in [
        (folder / VERSION_FILE, VERSION),
        *((page, ADDRESS_VERSION) for page in folder.glob("docs/*.md")),
    ]:
        file.write_text(pattern.sub(version, file.read_text()))


def build_and_test(folder: Path, version: str) -> Path:
    """Write the generated files, run the tests of the package, and try the wheel in a new virtual environment."""
    python = sys.executable
    with step("writing the generated files"):
        _run(folder, python, "-m", "tests.golden")
        _run(folder, python, "-m", "tests.releases")
    with step("running the tests of the package"):
        _run(folder, python, "-m", "pytest", "-q", "-n", "0", *CHECKED_TESTS)
    with step("building the wheel"):
        _run(folder, python, "-m", "hatchling", "build", "--target", "wheel", "--directory", "dist")
    (wheel,) = (folder / "dist").glob("*.whl")
    with step("installing the wheel in a new virtual environment"), TemporaryDirectory() as environment:
        _run(folder, python, "-m", "venv", environment)
        _run(folder, f"{environment}/bin/pip", "install", "--quiet", f"{wheel}[ops]")
        installed = _run(Path(environment), f"{environment}/bin/python", "-c", FIRST_PROGRAM)
        _run(Path(environment), f"{environment}/bin/private-registry", "--help")
    if installed.strip() != version:
        raise CommandError(f"The wheel has the version {installed.strip()}, not {version}.", f"Correct {VERSION_FILE}.")
    return wheel


@contextmanager
def _worktree(root: Path) -> Iterator[Path]:
    """Yield a worktree with the last commit, and remove it."""
    with TemporaryDirectory() as parent:
        folder = Path(parent, "release")
        _git(root, "worktree", "add", "--quiet", "--detach", str(folder))
        try:
            yield folder
        finally:
            _git(root, "worktree", "remove", "--force", str(folder))


def _finish(root: Path, tag: str) -> None:
    """Fast-forward the branch to the tag. This has no effect if the release was finished before."""
    _git(root, "merge", "--ff-only", "--quiet", tag)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _match(pattern: re.Pattern[str], file: Path) -> str:
    match = pattern.search(file.read_text())
    assert match, file
    return match[0]


def _git(folder: Path, *arguments: str) -> str:
    return _run(folder, "git", *arguments).rstrip()


def _run(folder: Path, *command: str) -> str:
    """Run a command, and return its output. Raise if it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        shown = " ".join([Path(command[0]).name, *command[1:4]])
        raise CommandError(f"`{shown}` failed.", "Nothing was released.", (done.stdout + done.stderr).strip())
    return done.stdout
