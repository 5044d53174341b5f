"""The program of `backup` and `restore`, with registries that serve storages in memory.

`copy_images` stands for regsync. The end-to-end tests run the tool itself.
"""

import io
import json
import stat
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from registry.maintenance.job import backup as program
from registry.maintenance.job.api import Registry as Client
from registry.maintenance.job.api import RegistryError, Server
from registry.maintenance.job.backup import Copying, CopyOptions
from registry.maintenance.job.images import LIST_REPOSITORY, Checker, Image, for_each, parts_of, read_list
from registry.maintenance.job.layout import LAYER, MANIFEST, TAG, Link, data_path
from registry.maintenance.job.regsync import Copier
from registry.maintenance.job.report import Report
from registry.maintenance.job.storage import StorageError
from tests.api_server import LOGIN, ApiServer, serve
from tests.registry_model import MemoryStorage, Registry, digest_of, finish, index_of

LAYERS = [b"a config", b"the first layer", b"the second layer"]


class Site:
    """A storage, a registry in front of it, and a client."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.registry: Registry = server.model
        self.storage: MemoryStorage = server.model.storage
        self.client = Client(Server(server.url), sleep=lambda _: None)
        self.has_storage = True


@contextmanager
def site() -> Iterator[Site]:
    with serve(MemoryStorage()) as server:
        created = Site(server)
        with closing(created.client):
            yield created


@pytest.fixture(params=["storage", "registry"])
def sites(request: pytest.FixtureRequest) -> Iterator[tuple[Site, Site]]:
    """Yield the images and the place of the backup, whose storage is listed, or which is another registry."""
    with site() as live, site() as backup:
        backup.has_storage = request.param == "storage"
        yield live, backup


class Tool:
    """The tool that copies images. It does not copy those in `refused`, and calls `before` first."""

    def __init__(self, source: Site, target: Site) -> None:
        self._source, self._target = source, target
        self.copied: list[Image] = []
        self.refused: Callable[[Image], bool] = lambda _: False
        self.before: Callable[[], object] = lambda: None

    def __call__(self, images: Sequence[Image]) -> list[str]:
        self.before()
        log = []
        for image in images:
            if self.refused(image) or not self._copy(image.repository, image.digest, image.tag):
                log.append(f"Failed to copy {image}")
            else:
                self.copied.append(image)
        return log

    def _copy(self, repository: str, digest: str, tag: str = "") -> bool:
        client, target = self._source.client, self._target.client
        content = client.manifest(repository, digest)
        if content is None:
            return False
        parts = parts_of(content)
        for blob in parts.blobs:
            if client.blob_size(repository, blob) is None or client.blob_hash(repository, blob) != blob:
                return False
            target.put_blob(repository, client.blob(repository, blob))
        for child in parts.manifests:
            if not self._copy(repository, child):
                return False
        target.put_manifest(repository, tag or digest, content, "application/json")
        return True


class Run:
    """A backup or a restore, and its report."""

    def __init__(self, source: Site, target: Site, **options: bool) -> None:
        self.output = io.StringIO()
        self.report = Report("backup", output=self.output, progress=io.StringIO())
        self.tool = Tool(source, target)
        target_storage = target.storage if target.has_storage else None
        self._arguments = (source.client, target.client, target_storage, self.tool, CopyOptions(**options), self.report)
        self._storage = source.storage

    def back_up(self) -> bool:
        return Copying(*self._arguments).back_up(self._storage)

    def restore(self) -> bool:
        return Copying(*self._arguments).restore()

    @property
    def counts(self) -> dict[str, int]:
        """The counts that are not zero."""
        return {name: count for name, count in self.report.counts.items() if count}


def push(site: Site, repository: str, tag: str, layers: Sequence[bytes], **more: Any) -> str:
    """Push an image with the sizes of its layers, and return its digest. The first layer is its config."""
    for layer in layers:
        finish(site.registry.push_blob(repository, layer))
    described = [{"digest": digest_of(layer), "size": len(layer)} for layer in layers]
    fields = {"schemaVersion": 2, "config": described[0], "layers": described[1:], **more}
    return site.registry.push_bytes(repository, tag, json.dumps(fields).encode())


def fill(site: Site) -> dict[str, str]:
    """Push one image of each kind. Return their digests by name."""
    plain = push(site, "team/web", "1", LAYERS)
    push(site, "team/other", "latest", LAYERS)
    children = [push(site, "team/multi", "", [b"config", name.encode()]) for name in ("amd64", "arm64")]
    index = site.registry.push_bytes("team/multi", "2", index_of(children))
    untagged = push(site, "team/web", "", [b"config", b"only by digest"])
    signature = push(site, "team/web", f"sha256-{plain[7:]}.sig", [b"config", b"signature"])
    subject = {"subject": {"digest": plain, "size": 1}}
    artifact = push(site, "team/web", "", [b"config", b"sbom"], **subject)
    return {
        **{"plain": plain, "index": index, "untagged": untagged, "signature": signature, "artifact": artifact},
        "child": children[0],
    }


def content(site: Site) -> dict[str, bytes]:
    """Return the links to manifests and current tags, and the data, by path."""
    names = ("/_manifests/revisions/", "/current/", "/blobs/")
    return {
        path: data
        for path, (data, _) in site.storage.files.items()
        if any(name in path for name in names) and f"/{LIST_REPOSITORY}/" not in path
    }


def images(site: Site) -> dict[str, bytes]:
    """Return `content` without the data, because a backup also has the data of its list."""
    return {path: data for path, data in content(site).items() if "/blobs/" not in path}


def test_all_kinds_of_images_are_in_the_backup_and_come_back(sites: tuple[Site, Site]) -> None:
    live, backup = sites
    digests = fill(live)
    first = Run(live, backup)
    assert first.back_up()
    assert first.counts == {"images": 6, "copied": 6, "bytes_copied": first.counts["bytes_copied"]}
    assert images(backup) == images(live)
    assert [*dict.fromkeys(bool(image.tag) for image in first.tool.copied)] == [False, True], "The tags come last."
    assert digests["child"] not in {image.digest for image in first.tool.copied}, "It is copied with its index."
    with site() as restored:
        second = Run(backup, restored)
        assert second.restore()
        assert content(restored) == content(live)
        assert second.counts["copied"] == 6


def test_a_second_backup_copies_only_what_is_new(sites: tuple[Site, Site]) -> None:
    live, backup = sites
    fill(live)
    Run(live, backup).back_up()
    again = Run(live, backup)
    assert again.back_up()
    assert again.counts == {"images": 6, "present": 6}
    push(live, "team/web", "1", [*LAYERS, b"a third layer"])
    more = Run(live, backup)
    assert more.back_up()
    # The former image of the tag has no tag any more, and is in the backup.
    assert more.counts == {"images": 7, "present": 6, "copied": 1, "bytes_copied": len(b"a third layer")}
    assert images(backup) == images(live)


def test_what_the_backup_has_lost_is_copied_again(sites: tuple[Site, Site]) -> None:
    live, backup = sites
    digests = fill(live)
    Run(live, backup).back_up()
    for path in (
        Link("team/web", LAYER, digest_of(LAYERS[1])).path,
        Link("team/multi", MANIFEST, digests["child"]).path,
        Link("team/web", TAG, tag="1").path,
    ):
        del backup.storage.files[path]
    again = Run(live, backup)
    assert again.back_up()
    assert {str(image).partition("@")[0] for image in again.tool.copied} == {"team/web:1", "team/multi:2"}
    assert images(backup) == images(live)


def test_a_blob_of_another_size_is_no_blob(sites: tuple[Site, Site]) -> None:
    live, _ = sites
    config = live.client.put_blob("team/web", b"a config")
    layer = live.client.put_blob("team/web", b"a layer")
    fields = {"config": {"digest": config, "size": 8}, "layers": [{"digest": layer, "size": 7}]}
    digest = live.registry.push_bytes("team/web", "1", json.dumps(fields).encode())
    image = Image("team/web", "1", digest)
    assert Checker(live.client, reads_blobs=True).check(image) == []
    live.storage.put(data_path(layer), b"a lay")
    (problem,) = Checker(live.client).check(image)
    assert problem.text == "the data has 5 bytes instead of 7"
    live.storage.put(data_path(layer), b"A layer")
    assert Checker(live.client).check(image) == []
    (problem,) = Checker(live.client, reads_blobs=True).check(image)
    assert problem.text == "the bytes do not match the digest"


def test_an_image_that_is_deleted_meanwhile_is_not_missing(sites: tuple[Site, Site]) -> None:
    live, backup = sites
    digests = fill(live)
    run = Run(live, backup)

    def delete() -> None:
        live.storage.files.pop(Link("team/web", MANIFEST, digests["signature"]).path, None)

    run.tool.before = delete
    assert run.back_up()
    assert (run.counts["images"], run.counts["copied"], run.counts["gone"]) == (6, 5, 1)
    assert digests["signature"] not in {image.digest for image in read_list(backup.client)}


def test_a_tag_that_moves_meanwhile_has_its_digest_of_the_start(sites: tuple[Site, Site]) -> None:
    live, backup = sites
    digests = fill(live)
    run = Run(live, backup)
    run.tool.before = lambda: push(live, "team/web", "1", [b"config", b"newer"])
    assert run.back_up()
    assert backup.client.digest_of("team/web", "1") == digests["plain"]


@pytest.mark.parametrize("file", ["layer", "layer data", "manifest data", "wrong bytes", "tag"])
def test_a_damaged_image_is_named_and_the_others_are_copied(sites: tuple[Site, Site], file: str) -> None:
    live, backup = sites
    fill(live)
    layer = digest_of(b"only here")
    digest = push(live, "damaged", "1", [b"config", b"only here"])
    paths = {
        "layer": Link("damaged", LAYER, layer).path,
        "layer data": data_path(layer),
        "manifest data": data_path(digest),
        "tag": Link("damaged", TAG, tag="1").path,
    }
    if file == "wrong bytes":
        live.storage.put(data_path(layer), b"wrong now")
    elif file == "tag":
        live.storage.put(paths["tag"], b"")
    else:
        del live.storage.files[paths[file]]
    run = Run(live, backup)
    assert not run.back_up()
    (damage,) = run.report.damage
    assert damage.images == ["damaged:1"]
    assert run.counts["damaged"] == 1
    copied = {image.repository for image in run.tool.copied}
    assert {"team/web", "team/other", "team/multi"} <= copied
    with site() as other:
        restored = Run(backup, other)
        assert restored.restore() == (file == "tag"), "A restore names the image, unless its digest is unknown."
        assert [damage.images for damage in restored.report.damage] == [["damaged:1"]] * (file != "tag")


def test_a_whole_image_that_is_not_copied_is_an_error_and_the_list_keeps_the_former_one(
    sites: tuple[Site, Site],
) -> None:
    live, backup = sites
    digests = fill(live)
    Run(live, backup).back_up()
    push(live, "team/web", "1", [b"config", b"newer"])
    run = Run(live, backup)
    run.tool.refused = lambda image: image.tag == "1"
    with pytest.raises(StorageError, match="1 images could not be copied, for example team/web:1: the tag has another"):
        run.back_up()
    listed = {(image.repository, image.tag): image.digest for image in read_list(backup.client) if image.tag}
    assert listed["team/web", "1"] == digests["plain"]


def test_a_restore_keeps_tags_that_have_moved_unless_it_overwrites(sites: tuple[Site, Site]) -> None:
    live, backup = sites
    digests = fill(live)
    Run(live, backup).back_up()
    newer = push(live, "team/web", "1", [b"config", b"newer"])
    live.registry.delete_tag("team/other", "latest")
    run = Run(backup, live)
    assert run.restore()
    assert run.counts["kept"] == 1
    assert json.loads(run.output.getvalue().splitlines()[0])["tag"] == "1"
    assert live.client.digest_of("team/web", "1") == newer
    assert live.client.digest_of("team/other", "latest") == digests["plain"]
    assert Run(backup, live, overwrite=True).restore()
    assert live.client.digest_of("team/web", "1") == digests["plain"]


def test_a_dry_run_copies_nothing_and_reads_the_whole_backup(sites: tuple[Site, Site]) -> None:
    live, backup = sites
    fill(live)
    dry = Run(live, backup, dry_run=True)
    assert dry.back_up()
    assert (dry.counts["copied"], dry.tool.copied, backup.storage.files) == (6, [], {})
    Run(live, backup).back_up()
    live.storage.files.clear()
    backup.storage.put(data_path(digest_of(b"arm64")), b"arm46")
    run = Run(backup, live, dry_run=True)
    assert not run.restore()
    (damage,) = run.report.damage
    assert (damage.images, damage.kind) == (["team/multi:2"], "the bytes do not match the digest")
    assert live.storage.files == {}


def test_a_backup_that_never_ended_has_no_list(sites: tuple[Site, Site]) -> None:
    live, backup = sites
    with pytest.raises(StorageError, match="no backup has ended"):
        Run(backup, live).restore()
    push(backup, LIST_REPOSITORY, "latest", [b"config", b"not a list"])
    with pytest.raises(StorageError, match="damaged"):
        Run(backup, live).restore()


def test_the_list_of_another_registry_is_no_image(sites: tuple[Site, Site]) -> None:
    live, backup = sites
    push(live, LIST_REPOSITORY, "latest", LAYERS)
    assert Run(live, backup).back_up()
    assert read_list(backup.client) == []


@pytest.mark.parametrize("login", ["basic", "bearer"])
def test_another_registry_gets_a_prefix_and_a_login(login: str) -> None:
    with site() as source, serve(MemoryStorage(), login) as server:
        target = Site(server)
        fill(source)
        target.has_storage = False
        target.client = Client(Server(server.url, "site-a/b", *LOGIN), sleep=lambda _: None)
        assert Run(source, target).back_up()
        assert target.client.digest_of("team/web", "1") == source.client.digest_of("team/web", "1")
        assert all("/site-a/b/" in request for request in server.requests if "manifests" in request)
        stranger = Client(Server(server.url, "site-a/b", "ci", "wrong"), sleep=lambda _: None)
        target.client.close()
        if login == "basic":
            with pytest.raises(RegistryError, match="status 401 for the repository site-a/b/team/web"):
                stranger.digest_of("team/web", "1")
            stranger.close()


def test_several_threads_log_in_at_once() -> None:
    with serve(MemoryStorage(), "basic") as server:
        client = Client(Server(server.url, "", *LOGIN), sleep=lambda _: None)
        digest = push(Site(server), "team/web", "1", LAYERS)
        server.strangers = threading.Barrier(3)
        assert [*for_each(lambda _: client.digest_of("team/web", "1"), range(3))] == [digest] * 3
        client.close()


def test_a_request_is_sent_again_after_a_failure(sites: tuple[Site, Site]) -> None:
    live, _ = sites
    digest = push(live, "team/web", "1", LAYERS)
    live.server.failures += [503, 429]
    assert live.client.digest_of("team/web", "1") == digest
    live.server.failures += [503] * 4
    with pytest.raises(RegistryError, match="status 503"):
        live.client.digest_of("team/web", "1")


def test_a_registry_that_does_not_answer_is_an_error() -> None:
    client = Client(Server("http://127.0.0.1:1", container="live"), sleep=lambda _: None)
    with pytest.raises(RegistryError, match=r"127\.0\.0\.1:1 does not answer: .* the log of the container live"):
        client.wait(0)
    with pytest.raises(RegistryError, match="does not answer"):
        client.blob_size("team/web", "sha256:ab")


def test_layers_that_clients_download_elsewhere_are_not_needed() -> None:
    foreign = {"digest": "sha256:foreign", "size": 1, "urls": ["https://example.com"]}
    manifest = json.dumps({"layers": [foreign, {"digest": "sha256:own", "size": 2}]}).encode()
    assert parts_of(manifest).blobs == {"sha256:own": 2}
    with pytest.raises(ValueError, match="object"):
        parts_of(b"[]")


def test_regsync_gets_digests_logins_and_no_template() -> None:
    source = Server("http://127.0.0.1:5001")
    target = Server("https://backup.example.com", "site-a", "ci", "hunter{{2}}", "PEM")
    images_to_copy = [Image("team/web", "1", "sha256:ab"), Image("team/web", "", "sha256:cd")]
    config = Copier("regsync", source, target).configuration(images_to_copy)
    assert [(each["source"], each["target"]) for each in config["sync"]] == [
        ("127.0.0.1:5001/team/web@sha256:ab", "backup.example.com/site-a/team/web:1"),
        ("127.0.0.1:5001/team/web@sha256:cd", "backup.example.com/site-a/team/web@sha256:cd"),
    ]
    first, second = config["creds"]
    assert (first["tls"], second["tls"], second["regcert"]) == ("disabled", "enabled", "PEM")
    assert second["pass"] == 'hunter{{"{{"}}2}}'


def test_the_log_of_regsync_is_told_if_it_fails(tmp_path: Path) -> None:
    tool = tmp_path / "regsync"
    tool.write_text(
        f'#!{sys.executable}\nimport sys\nsys.stdin.read()\nprint("a\\n\\nfailed", file=sys.stderr)\nsys.exit(1)\n'
    )
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    server = Server("http://127.0.0.1:1")
    assert Copier(str(tool), server, server).copy([]) == ["a", "failed"]
    with pytest.raises(StorageError, match="regsync cannot run: No such file"):
        Copier(str(tmp_path / "missing"), server, server).copy([])


@pytest.mark.parametrize("task", ["backup", "restore"])
def test_the_settings_decide_which_registry_is_the_source(
    task: str, monkeypatch: pytest.MonkeyPatch, sites: tuple[Site, Site]
) -> None:
    live, backup = sites
    copies: list[Copier] = []

    def copy(copier: Copier, _: Sequence[Image]) -> list[str]:
        copies.append(copier)
        return []

    monkeypatch.setattr(Copier, "copy", copy)
    settings = {
        **{"live": {"url": live.server.url}, "backup": {"url": backup.server.url}, "regsync": "/opt/regsync"},
        **{"proxies": {}, "no_proxy": ""},
    }
    fill(live)
    Run(live, backup).back_up()
    changed = live if task == "restore" else backup
    del changed.storage.files[Link("team/web", TAG, tag="1").path]
    report = Report(task, output=io.StringIO(), progress=io.StringIO())
    with pytest.raises(StorageError, match="1 images could not be copied"):
        program.run(task, settings, live.storage, backup.storage, CopyOptions(), report)
    (copier,) = copies
    assert copier.target.url == changed.server.url


def test_https_registries_are_reached_by_the_proxy() -> None:
    settings: dict[str, Any] = {
        "live": {"url": "http://127.0.0.1:5001"},
        "backup": {"url": "https://backup.example.com"},
        "proxies": {"https": "http://proxy.example.com:3128"},
        "no_proxy": "",
    }
    assert program._server(settings, "backup").proxy == "http://proxy.example.com:3128"
    assert program._server(settings, "live").proxy == ""
    settings["no_proxy"] = ".example.com"
    assert program._server(settings, "backup").proxy == ""
