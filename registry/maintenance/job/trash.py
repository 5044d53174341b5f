"""The trash: files that the registry does not see any more, and that can still be put back.

A file is moved to `private-registry/trash/START/NAME`. START is the time of the run in POSIX seconds, and NAME is the
path of the file with `%` for each slash. So after a run was killed, the next one knows what to put back. The flat names
need few folders. A full disk has no place for many.
"""

from collections.abc import Iterator
from contextlib import suppress

from .layout import OWN, Stamp
from .storage import Entry, Storage

TRASH = f"{OWN}/trash"

NAME_LENGTH = 200
"""Characters of a name in the trash. A longer one is split into folders, because Linux allows 255 bytes."""

CLOCK_SECONDS = 2
"""Seconds that the times of files may be too early. S3 cuts fractions off."""


class Trash:
    """The trash of all runs. `oldest` is the start of the oldest run with a file in it, or of this run."""

    def __init__(self, storage: Storage, start: float) -> None:
        self._storage = storage
        self._folder = f"{TRASH}/{int(start)}"
        self.oldest = start
        self.places: dict[str, list[str]] = {}
        """Places in the trash by the path that the file had. Several runs may have moved files from the same path."""
        self.stamps: dict[str, Stamp] = {}
        """Size and time by place."""
        for entry in storage.entries(TRASH):
            self._add(entry)

    def _add(self, entry: Entry) -> None:
        start, _, name = entry.path.removeprefix(f"{TRASH}/").partition("/")
        if start.isdigit() and name:
            path = name.replace("/", "").replace("%", "/")
            self.oldest = min(self.oldest, float(start))
            self.places.setdefault(path, []).append(entry.path)
            self.stamps[entry.path] = Stamp(entry.size, entry.modified)

    def discard(self, path: str, known: Stamp) -> bool:
        """Move a file to the trash. Return whether it was moved.

        `known` is its stamp from when it was chosen. If it was written again since then, it stays, or is put back.
        """
        current = self._storage.entry(path)
        if current is None or current.modified > known.modified:
            return False
        place = f"{self._folder}/{_name(path)}"
        with suppress(FileNotFoundError):
            self._storage.move(path, place)
            self._add(Entry(place, known.size, known.modified))
            if not self._storage.keeps_times:
                return True  # the file was looked at just before
            moved = self._storage.entry(place)
            if moved is None or moved.modified <= known.modified:
                return True
            self.restore(path)
        return False

    def is_new(self, path: str) -> bool:
        """Return whether a file in the trash was written after the start of the oldest run.

        Then it was pushed again while a run moved it, and the run was killed before it put the file back.
        """
        start = self.oldest - CLOCK_SECONDS
        return self._storage.keeps_times and any(self.stamps[place].modified >= start for place in self.places[path])

    def restore(self, path: str) -> None:
        """Put a file back. If a client has written it again, delete the one in the trash."""
        for place in self.places.pop(path, []):
            self.stamps.pop(place, None)
            with suppress(FileNotFoundError):
                self._storage.restore(place, path)

    def delete(self, path: str) -> None:
        """Delete a file in the trash for good."""
        for place in self.places.pop(path, []):
            self.stamps.pop(place, None)
            self._storage.delete(place)

    def size(self, path: str) -> int:
        """Return the bytes that a file takes in the trash."""
        return sum(self.stamps[place].size for place in self.places.get(path, []))

    def paths(self) -> Iterator[str]:
        """Yield the paths that the files in the trash had."""
        yield from list(self.places)

    def remove_folders(self) -> None:
        """Remove the folders of the trash if they are empty."""
        self._storage.remove_folder(TRASH)


def _name(path: str) -> str:
    """Return the name of a file in the trash. Neither repositories nor tags contain a `%`."""
    name = path.replace("/", "%")
    return "/".join(name[start : start + NAME_LENGTH] for start in range(0, len(name), NAME_LENGTH))
