"""The trash: files that are out of the registry's sight, and that can still be put back.

A file is moved to `private-registry/trash/START/NAME`. START is the time of the run, and NAME is the path of the file
with `%` for each slash. So the trash says what a run that was killed had begun, and a full disk, which has no place for
new folders, can be emptied.
"""

from collections.abc import Iterator
from contextlib import suppress

from .layout import OWN, Stamp
from .storage import Entry, Storage

TRASH = f"{OWN}/trash"

NAME_LENGTH = 200
"""Characters of a name in the trash. A longer one becomes several folders, as Linux allows 255 bytes."""

CLOCK_SECONDS = 2
"""Seconds by which the times of files may be too low. S3 cuts fractions off."""


class Trash:
    """The trash of all runs. `oldest` is the start of the first one of them."""

    def __init__(self, storage: Storage, start: float) -> None:
        self._storage = storage
        self._folder = f"{TRASH}/{int(start)}"
        self.oldest = start
        self.places: dict[str, list[str]] = {}
        """Places in the trash by the path that the file had. Several runs may have moved the same one."""
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
        """Move a file to the trash. Return whether it is still the file that was seen when it was chosen.

        If it was written again since, it is put back at once.
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
        """Return whether a file was written during the run that moved it, which was killed before it noticed."""
        start = self.oldest - CLOCK_SECONDS
        return self._storage.keeps_times and any(self.stamps[place].modified >= start for place in self.places[path])

    def restore(self, path: str) -> None:
        """Put a file back, if it has not been written again."""
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
        """Return the bytes of the places of a file."""
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
