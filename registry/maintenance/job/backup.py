"""Backup and restore: copy all images between the storage of the registry and the place of the backup.

Both storages are served by registries that only this Pod reaches, unless the place is another registry. Steps:

1. List the images: a backup reads the storage of the registry, and a restore the list that the last backup has left.
2. Check which images the target has already, with all manifests and blobs that they refer to.
3. Copy the remaining images with regsync.
4. Check the copies, and name the missing images. A backup stores its list of images in its place.

An image that is deleted during the run does not count as missing. A damaged image does not stop the run.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

from .api import Registry, RegistryError, Server
from .images import MISSING, Checker, Image, Problem, for_each, images_of, problems_of, read_list, write_list
from .layout import read_inventory
from .regsync import BATCH, Copier
from .report import Damage, Report
from .s3 import S3Settings, proxy_for
from .storage import Storage, StorageError
from .stored import Reader, StoredRegistry
from .survey import Surveyor, damage_of_link

START_SECONDS = 120
"""Seconds until a registry must answer."""

COUNTS = ("images", "present", "copied", "bytes_copied", "kept", "gone", "damaged", "repaired")
"""Counts of the report. `kept` tags have another digest, which a restore does not change. `gone` images were deleted
while they were copied."""


@dataclass(frozen=True)
class CopyOptions:
    """The options of a backup or a restore.

    Attributes:
        dry_run: Whether to check without copying. A restore then reads the whole backup, to find damage.
        overwrite: Whether a restore changes tags that the registry has with another digest.
    """

    dry_run: bool = False
    overwrite: bool = False


class Copying:
    """One backup or restore, from `source` to `target`.

    `copy` copies images. It returns lines of a log if it could not copy all of them. `target_storage` is the storage of
    the target, or None if that is another registry. It is listed, which is faster than a request for each blob.
    """

    def __init__(
        self,
        source: Registry,
        target: Registry,
        target_storage: Storage | None,
        copy: Callable[[Sequence[Image]], list[str]],
        options: CopyOptions,
        report: Report,
    ) -> None:
        self._source = source
        self._target = target
        self._copy = copy
        self._options = options
        self._report = report
        report.counts.update(dict.fromkeys(COUNTS, 0))
        for registry in (source, target):
            registry.wait(START_SECONDS)
        self._before: Reader = target if target_storage is None else StoredRegistry(target_storage)
        """The target before anything is copied."""

    def back_up(self, storage: Storage) -> bool:
        """Copy the images of a storage, which `source` serves. Return whether none is damaged."""
        survey = Surveyor(storage).survey(read_inventory(storage), 0)
        for bad in survey.bad_links:
            if bad.link.tag:  # its image is unknown. Other links are noticed if an image needs them
                self._report.add_damage(damage_of_link(survey, bad))
        images = images_of(survey)
        left = self._copy_images(images)
        if self._options.dry_run:
            return not self._report.counts["damaged"]
        damaged = self._damage_of(left)
        unreadable = {(bad.repository, bad.digest) for bad in survey.bad_manifests}
        gone = {
            image
            for image, problems in damaged.items()
            if _is_missing(image, problems) and (image.repository, image.digest) not in unreadable
        }
        whole = [image for image in left if image not in damaged]
        self._report.counts["gone"] = len(gone)
        self._report_damage({image: problems for image, problems in damaged.items() if image not in gone})
        write_list(self._target, self._listed([image for image in images if image not in gone], whole))
        self._refuse_rest(whole, left)
        return not self._report.counts["damaged"]

    def restore(self) -> bool:
        """Copy the images of the last backup. Return whether none is missing or damaged."""
        images = read_list(self._source)
        if self._options.dry_run:
            self._report.say(f"{len(images)} images of the backup are read")
            self._report_damage(self._damage_of(images))
        left = self._copy_images(images if self._options.overwrite else self._without_kept(images))
        damaged = self._damage_of(left)
        self._report_damage(damaged)
        self._refuse_rest([image for image in left if image not in damaged], left)
        return not self._report.counts["damaged"]

    def _copy_images(self, images: Sequence[Image]) -> dict[Image, list[Problem]]:
        """Copy the images that the target lacks. Return those that it lacks afterwards, with their problems."""
        counts = self._report.counts
        missing = [*problems_of(Checker(self._before), images)]
        counts["images"], counts["present"] = len(images), len(images) - len(missing)
        counts["bytes_copied"] = self._bytes_to_copy(missing)
        self._report.say(f"{len(images)} images are listed, and {len(missing)} have to be copied")
        if self._options.dry_run:
            counts["copied"] = len(missing)
            return {}
        for start in range(0, len(missing), BATCH):
            for line in self._copy(missing[start : start + BATCH]):
                self._report.say(line)
            self._report.say(f"{min(start + BATCH, len(missing))} of {len(missing)} images are done")
        left = problems_of(Checker(self._target), missing)
        counts["copied"] = len(missing) - len(left)
        if left:
            counts["bytes_copied"] -= self._bytes_to_copy(left)
        return left

    def _bytes_to_copy(self, images: Iterable[Image]) -> int:
        """Return the bytes of the blobs that the target lacks."""
        checker = Checker(self._target, manifests=self._source)
        problems = problems_of(checker, dict.fromkeys(map(_by_digest, images)))
        blobs = {problem.part for found in problems.values() for problem in found if problem.part.kind == "blob"}
        return sum(max(part.size, 0) for part in blobs)

    def _without_kept(self, images: Sequence[Image]) -> list[Image]:
        """Return the images without the tags that the target has with another digest."""

        def is_kept(image: Image) -> bool:
            with suppress(RegistryError):  # a damaged tag is restored
                known = self._before.digest_of(image.repository, image.tag) if image.tag else None
                return known not in (None, image.digest)
            return False

        kept = {image for image, is_other in zip(images, for_each(is_kept, images), strict=True) if is_other}
        self._report.counts["kept"] = len(kept)
        for image in sorted(kept):
            self._report.record("kept", repository=image.repository, tag=image.tag, digest=image.digest)
        return [image for image in images if image not in kept]

    def _damage_of(self, images: Iterable[Image]) -> dict[Image, list[Problem]]:
        """Return the images that the source does not have whole, with their problems. Read all their bytes."""
        names = [*images]
        problems = problems_of(Checker(self._source, reads_blobs=True), dict.fromkeys(map(_by_digest, names)))
        return {image: problems[_by_digest(image)] for image in names if _by_digest(image) in problems}

    def _report_damage(self, damaged: Mapping[Image, Sequence[Problem]]) -> None:
        """Report each damaged part once, with the images that need it."""
        images: dict[Problem, list[str]] = {}
        for image, problems in damaged.items():
            for problem in problems:
                images.setdefault(problem, []).append(str(image))
        for (part, text), names in images.items():
            self._report.add_damage(Damage(part.kind, text, part.digest, names))

    def _refuse_rest(self, whole: Sequence[Image], left: Mapping[Image, Sequence[Problem]]) -> None:
        """Raise if images that are whole in the source were not copied. Another attempt may copy them."""
        if whole:
            problem = left[whole[0]][0].text
            raise StorageError(f"{len(whole)} images could not be copied, for example {whole[0]}: {problem}.")

    def _listed(self, images: Sequence[Image], whole: Iterable[Image]) -> list[Image]:
        """Return the images for the list. A tag that was not copied keeps the digest of the last backup."""
        not_copied = {*whole}
        if not not_copied:
            return [*images]
        known: dict[tuple[str, str], Image] = {}
        with suppress(StorageError):  # it is the first backup
            known = {(image.repository, image.tag): image for image in read_list(self._target) if image.tag}
        return [known.get((image.repository, image.tag), image) if image in not_copied else image for image in images]


def _by_digest(image: Image) -> Image:
    """Return the image without its tag, which may have moved meanwhile."""
    return image._replace(tag="")


def _is_missing(image: Image, problems: Iterable[Problem]) -> bool:
    return any(problem.part.digest == image.digest and problem.text == MISSING for problem in problems)


def run(
    task: str,
    settings: Mapping[str, Any],
    storage: Storage,
    backup_storage: Storage | None,
    options: CopyOptions,
    report: Report,
) -> bool:
    """Run a task, backup or restore. Return whether no damage was found.

    `storage` has the images, and `backup_storage` the backup, unless that is in another registry.
    """
    servers = [_server(settings, name) for name in ("live", "backup")]
    source, target = servers if task == "backup" else reversed(servers)
    target_storage = backup_storage if task == "backup" else storage
    copier = Copier(settings["regsync"], source, target)
    with closing(Registry(source)) as from_registry, closing(Registry(target)) as to_registry:
        copying = Copying(from_registry, to_registry, target_storage, copier.copy, options, report)
        return copying.back_up(storage) if task == "backup" else copying.restore()


def _server(settings: Mapping[str, Any], name: str) -> Server:
    """Return a registry of the settings, with the proxy in front of it. A loopback address has no proxy."""
    server = Server(**settings[name])
    proxies, no_proxy = settings["proxies"], settings["no_proxy"]
    if name == "live" or not server.is_secure:
        return server
    return Server(**settings[name], proxy=proxy_for(S3Settings("", "", "", "", server.url, "", "", proxies, no_proxy)))
