"""The cache contains complete folders only, after interruptions and with several processes."""

from pathlib import Path
from threading import Event, Thread

import pytest

from dev import cache


def _fill(folder: Path) -> None:
    (folder / "file").write_text("complete")


def test_a_failure_leaves_no_folder(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        _fill(folder)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        cache.ensure_folder(tmp_path / "a", fail)

    assert [path.name for path in tmp_path.iterdir()] == [".a.lock"]


def test_leftovers_of_a_killed_process_are_deleted(tmp_path: Path) -> None:
    (tmp_path / ".a.killed.partial").mkdir()

    folder = cache.ensure_folder(tmp_path / "a", _fill)

    assert (folder / "file").read_text() == "complete"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.lock", "a"]


def test_a_second_process_waits_and_does_not_fill_the_folder_again(tmp_path: Path) -> None:
    """A thread stands for the first process, because the lock belongs to the open file."""
    started, waiting = Event(), Event()

    def fill_slowly(folder: Path) -> None:
        started.set()
        assert waiting.wait(60)
        _fill(folder)

    first = Thread(target=cache.ensure_folder, args=(tmp_path / "a", fill_slowly))
    first.start()
    assert started.wait(60)
    folder = cache.ensure_folder(tmp_path / "a", lambda _: pytest.fail("The folder was filled twice."), waiting.set)
    first.join()

    assert (folder / "file").exists()


@pytest.mark.parametrize(
    ("xdg", "expected"), [("/xdg", "/xdg/private-registry"), ("", "/home/.cache/private-registry")]
)
def test_the_cache_is_in_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch, xdg: str, expected: str) -> None:
    monkeypatch.setenv("HOME", "/home")
    monkeypatch.setenv("XDG_CACHE_HOME", xdg)

    assert cache.root() == Path(expected)
