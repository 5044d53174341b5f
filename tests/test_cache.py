"""What is in the cache is whole, whoever was interrupted and however many want it at once."""

from pathlib import Path
from threading import Event, Thread

import pytest

from dev import cache


def _fill(folder: Path) -> None:
    (folder / "file").write_text("whole")


def test_a_folder_is_made_once(tmp_path: Path) -> None:
    made: list[Path] = []

    for _ in range(2):
        cache.folder(tmp_path / "a", made.append)

    assert len(made) == 1


def test_a_failure_leaves_nothing_that_looks_made(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        _fill(folder)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        cache.folder(tmp_path / "a", fail)

    assert [path.name for path in tmp_path.iterdir()] == [".a.lock"]


def test_what_a_killed_one_left_is_cleared_away_and_made_again(tmp_path: Path) -> None:
    (tmp_path / ".a.killed.partial").mkdir()

    made = cache.folder(tmp_path / "a", _fill)

    assert (made / "file").read_text() == "whole"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.lock", "a"]


def test_the_second_of_two_at_once_says_that_it_waits_and_finds_it_made(tmp_path: Path) -> None:
    began, waits = Event(), Event()

    def slowly(folder: Path) -> None:
        began.set()
        assert waits.wait(5)
        _fill(folder)

    first = Thread(target=cache.folder, args=(tmp_path / "a", slowly))
    first.start()
    assert began.wait(5)
    made = cache.folder(tmp_path / "a", lambda _: pytest.fail("made twice"), waits.set)
    first.join()

    assert (made / "file").exists()


def test_the_cache_is_where_xdg_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert cache.root() == tmp_path / "private-registry"


def test_without_xdg_the_cache_is_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))

    assert cache.root() == tmp_path / ".cache/private-registry"
