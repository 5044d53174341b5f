"""A storage that is read like the registry that serves it: a list of all files instead of a request for each blob."""

from typing import Protocol

from .layout import Inventory, Repository, data_path, read_inventory
from .manifests import hash_of
from .storage import Storage, read
from .survey import Surveyor


class Reader(Protocol):
    """The reading methods of a registry. See `Registry` in api.py."""

    def digest_of(self, repository: str, reference: str) -> str | None:
        """Return the digest of a manifest by its tag or digest, or None if it does not exist."""

    def manifest(self, repository: str, reference: str) -> bytes | None:
        """Return the bytes of a manifest by its tag or digest, or None if it does not exist."""

    def blob_size(self, repository: str, digest: str) -> int | None:
        """Return the size of a blob, or None if it does not exist."""

    def blob_hash(self, repository: str, digest: str) -> str:
        """Return the hash of the bytes of a blob, by the algorithm of its digest."""


class StoredRegistry:
    """The images in a storage, read when the object is created."""

    def __init__(self, storage: Storage) -> None:
        survey = Surveyor(storage).survey(read_inventory(storage), 0)
        self._storage = storage
        self._inventory: Inventory = survey.inventory
        self._targets = survey.targets

    def digest_of(self, repository: str, reference: str) -> str | None:
        digest = self._targets.get(repository, {}).get(reference, reference)
        return digest if digest in self._repository(repository).manifests else None

    def manifest(self, repository: str, reference: str) -> bytes | None:
        digest = self.digest_of(repository, reference)
        if digest is None or digest not in self._inventory.blobs:
            return None
        return read(self._storage, data_path(digest))

    def blob_size(self, repository: str, digest: str) -> int | None:
        if digest not in self._repository(repository).layers or digest not in self._inventory.blobs:
            return None
        return self._inventory.blobs[digest].size

    def blob_hash(self, repository: str, digest: str) -> str:
        return hash_of(digest, self._storage.chunks(data_path(digest)))

    def _repository(self, name: str) -> Repository:
        return self._inventory.repositories.get(name) or Repository(name)
