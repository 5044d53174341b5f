"""A release is whole or does not exist. The build is a fake, and Git is real."""

import subprocess
from pathlib import Path

import pytest

from dev.errors import CommandError, RequirementError
from dev.release import release

OLD = "0.1.0"

FILES = {
    "registry/__init__.py": f'__version__ = "{OLD}"\n',
    "CHANGELOG.md": f"# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A wheel.\n\n## [{OLD}] - 2026-11-27\n\n- All.\n",
    "docs/page.md": f"pulumi package add https://git.example.com/platform/private-registry@v{OLD}\n",
    ".gitignore": "/dist/\n",
}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a clone with the files that a release changes."""
    folder = tmp_path / "clone"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    git(folder, "init", "--quiet", "--initial-branch", "main")
    for key, value in {"user.name": "test", "user.email": "test@example.com", "commit.gpgsign": "false"}.items():
        git(folder, "config", key, value)
    commit(folder)
    return folder


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Change something")


def build(folder: Path, version: str) -> Path:
    """Write a generated file and a wheel."""
    (folder / "generated.txt").write_text(version)
    wheel = folder / f"dist/private_registry-{version}.whl"
    wheel.parent.mkdir()
    wheel.touch()
    return wheel


def fail(folder: Path, version: str) -> Path:
    build(folder, version)
    raise CommandError("A test failed.", "Correct it.")


def state(folder: Path) -> list[str]:
    """Return everything that a release could leave."""
    commands = (["rev-parse", "HEAD"], ["tag"], ["worktree", "list"], ["status", "--porcelain", "--ignored"])
    return [git(folder, *command) for command in commands]


def test_a_release_has_a_commit_a_tag_and_a_wheel_with_one_version(clone: Path) -> None:
    release(clone, "0.2.0", build)
    assert git(clone, "tag", "--points-at", "HEAD") == "v0.2.0"
    assert git(clone, "log", "-1", "--format=%s") == "Release 0.2.0"
    assert git(clone, "status", "--porcelain") == ""
    assert [path.name for path in (clone / "dist").iterdir()] == ["private_registry-0.2.0.whl"]
    assert (clone / "registry/__init__.py").read_text() == '__version__ = "0.2.0"\n'
    assert (clone / "docs/page.md").read_text().endswith("@v0.2.0\n")
    assert (clone / "generated.txt").read_text() == "0.2.0"
    heads = [line for line in (clone / "CHANGELOG.md").read_text().splitlines() if line.startswith("## [")]
    assert [head.partition("]")[0] for head in heads] == ["## [Unreleased", "## [0.2.0", "## [0.1.0"]


def test_a_dry_run_and_a_failed_build_leave_nothing(clone: Path) -> None:
    before = state(clone)
    assert "generated.txt" in release(clone, "0.2.0", build, dry_run=True)
    with pytest.raises(CommandError):
        release(clone, "0.2.0", fail)
    assert state(clone) == before


def test_the_same_command_finishes_an_interrupted_release(clone: Path) -> None:
    before = git(clone, "rev-parse", "HEAD")
    release(clone, "0.2.0", build)
    after = state(clone)
    git(clone, "reset", "--quiet", "--hard", before)  # as if it had been interrupted after the tag
    for _ in range(2):
        release(clone, "0.2.0", fail)
        assert state(clone) == after


@pytest.mark.parametrize("version", ["0.1.0", "0.0.9", "0.2", "v0.2.0", "0.2.0rc1"])
def test_a_version_that_is_no_successor_is_refused(clone: Path, version: str) -> None:
    before = state(clone)
    with pytest.raises(RequirementError, match=version):
        release(clone, version, build)
    assert state(clone) == before


def test_changes_in_the_clone_are_refused(clone: Path) -> None:
    (clone / "new.txt").touch()
    with pytest.raises(RequirementError) as refusal:
        release(clone, "0.2.0", build)
    assert "new.txt" in refusal.value.details


def test_a_changelog_without_entries_is_refused(clone: Path) -> None:
    release(clone, "0.2.0", build)
    with pytest.raises(RequirementError, match="Unreleased"):
        release(clone, "0.3.0", build)
