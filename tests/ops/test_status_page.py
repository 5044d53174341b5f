"""`ops status --html`: repositories, tags and sizes from a fake registry, and the page that shows them.

A real browser opens the page in tests/e2e/test_status_page.py.
"""

import json
import os
import re
import stat
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner, Result

from ops import __main__ as command_line
from ops import kubernetes
from ops.errors import ClusterError, CommandError
from ops.output_file import replace_text
from ops.registry_client import RegistryClient
from ops.report import Verdict
from ops.stack import Outputs
from ops.status import Row, catalog, page
from ops.status.catalog import Catalog, Repository, Tag, natural_order, read_catalog
from ops.status.elements import format_size
from ops.status.target import Target
from tests import canary, status_example
from tests.ops import test_status, test_verify
from tests.ops.test_verify import PASSWORD, Handler, Registry
from tests.serving import serving

stack_outputs = test_status.stack_outputs

INDEX = "application/vnd.oci.image.index.v1+json"


def digest_of(content: bytes) -> str:
    return f"sha256:{sha256(content).hexdigest()}"


def blob(name: str, size: int) -> dict[str, Any]:
    return {"digest": digest_of(name.encode()), "size": size}


def image(config: int, **layers: int) -> bytes:
    """Return the manifest of an image with a configuration and layers of these sizes."""
    media_type = {"mediaType": "application/vnd.oci.image.config.v1+json"}
    fields = {
        "config": blob(f"config {layers}", config) | media_type,
        "layers": [blob(*each) for each in layers.items()],
    }
    return json.dumps(fields).encode()


def index(**manifests: bytes) -> bytes:
    """Return an index of manifests, by platform such as linux_amd64."""
    fields = [
        {
            "digest": digest_of(content),
            "size": len(content),
            "platform": dict(zip(("os", "architecture"), name.split("_"), strict=True)),
        }
        for name, content in manifests.items()
    ]
    return json.dumps({"mediaType": INDEX, "manifests": fields}).encode()


class ImageRegistry(Registry):
    """A fake registry with repositories: manifests by tag and digest. `tags` are the names that it lists."""

    def __init__(self) -> None:
        super().__init__()
        self.RequestHandlerClass = ImageHandler
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.broken: dict[str, int] = {}
        """Status of the answer by the end of a path."""
        self.paths: list[str] = []
        self.open_requests = Counter[str]()
        self.lock = threading.Lock()

    def add(self, repository: str, tag: str, content: bytes, *listed: bytes) -> None:
        """Add a tag, and the manifests that it lists."""
        manifests = {digest_of(each): each for each in (content, *listed)}
        self.repositories.setdefault(repository, {}).update({tag: content, **manifests})


class ImageHandler(Handler):
    server: ImageRegistry

    def read(self) -> None:
        with self.server.lock:
            self.server.open_requests["now"] += 1
            self.server.open_requests["most"] = max(self.server.open_requests["now"], self.server.open_requests["most"])
        try:
            self.read_images()
        finally:
            with self.server.lock:
                self.server.open_requests["now"] -= 1

    def read_images(self) -> None:
        path = urlsplit(self.path).path
        self.server.paths.append(path)
        for end, status in self.server.broken.items():
            if path.endswith(end):
                return self.answer(status, b"{}")
        if match := re.fullmatch(r"/v2/(.+)/tags/list", path):
            tags = [name for name in self.server.repositories[match[1]] if ":" not in name]
            return self.answer(200, json.dumps({"name": match[1], "tags": tags or None}).encode())
        if match := re.fullmatch(r"/v2/(.+)/manifests/(.+)", path):
            content = self.server.repositories[match[1]].get(match[2])
            return self.answer(200, content) if content is not None else self.answer(404, b"{}")
        return super().read()

    def catalog(self) -> None:
        if self.server.hides_catalog:
            return super().catalog()
        query = {key: value[0] for key, value in parse_qs(urlsplit(self.path).query).items()}
        names = [name for name in sorted(self.server.repositories) if name > query.get("last", "")]
        shown = names[: int(query["n"])]
        more = (
            {"Link": f'</v2/_catalog?last={shown[-1]}&n={query["n"]}>; rel="next"'} if len(names) > len(shown) else {}
        )
        self.answer(200, json.dumps({"repositories": shown}).encode(), **more)

    do_GET = do_HEAD = Handler.handle_request


@pytest.fixture
def registry() -> Iterator[ImageRegistry]:
    with serving(ImageRegistry()) as server:
        yield server


outputs = test_verify.outputs


def target_of(outputs: Outputs, registry: ImageRegistry) -> Target:
    return Target(outputs, "dev", address=("127.0.0.1", registry.port))


def read(outputs: Outputs, registry: ImageRegistry, mode: str = "read-write") -> Catalog:
    return read_catalog(target_of(outputs, registry), mode, lambda _, results, __: results)


def tags_of(found: Catalog) -> dict[str, Tag]:
    return {f"{each.name}:{tag.name}": tag for each in found.repositories for tag in each.tags}


def test_what_tags_share_counts_once_in_a_repository_and_once_in_the_registry(
    outputs: Outputs, registry: ImageRegistry
) -> None:
    one, two = image(10, base=1000, one=200), image(20, base=1000, two=3000)
    registry.add("team/web", "1", one)
    registry.add("team/web", "2", two)
    registry.add("team/web", "latest", two)
    registry.add("team/api", "1", one)
    found = read(outputs, registry)
    sizes = {name: tag.size for name, tag in tags_of(found).items()}
    first, second = 1210 + len(one), 4020 + len(two)
    assert sizes == {"team/api:1": first, "team/web:latest": second, "team/web:2": second, "team/web:1": first}
    assert {each.name: each.size for each in found.repositories} == {
        "team/api": first,
        "team/web": first + second - 1000,
    }
    assert found.size == first + second - 1000
    assert tags_of(found)["team/web:2"].digest == digest_of(two)


def test_the_size_of_an_index_is_that_of_its_manifests(outputs: Outputs, registry: ImageRegistry) -> None:
    amd, arm, proof = image(10, amd=500), image(10, arm=600), image(5, proof=7)
    inner = index(linux_arm64=arm)
    outer = index(linux_amd64=amd, unknown_unknown=proof, linux_riscv64=inner)
    registry.add("team/web", "1", outer, amd, arm, proof, inner)
    registry.add("team/web", "amd", amd)
    (repository,) = read(outputs, registry).repositories
    by_name = {tag.name: tag for tag in repository.tags}
    manifests = sum(map(len, (amd, arm, proof, inner, outer)))
    assert by_name["1"] == Tag("1", digest_of(outer), 1132 + manifests, "linux/amd64, linux/riscv64")
    assert repository.size == by_name["1"].size, "the tag of its part needs no more"


def test_a_size_that_is_not_known_has_a_reason(outputs: Outputs, registry: ImageRegistry) -> None:
    amd, arm = image(10, amd=500), image(10, arm=600)
    registry.add("team/web", "index", index(linux_amd64=amd, linux_arm64=arm), amd)
    registry.add("team/web", "old", json.dumps({"schemaVersion": 1, "fsLayers": []}).encode())
    registry.add("team/web", "broken", amd)
    registry.add("team/web", "junk", b"[]")
    registry.add("team/web", "whole", amd)
    registry.add("team/web", "deleted", amd)
    registry.add("team/other", "1", amd)
    registry.broken = {"manifests/broken": 500, "manifests/deleted": 404, "team/other/tags/list": 503}
    found = read(outputs, registry)
    problems = {name: tag.problem for name, tag in tags_of(found).items()}
    assert {name: bool(problem) for name, problem in problems.items()} == {
        "team/web:whole": False,
        "team/web:old": True,
        "team/web:junk": True,
        "team/web:index": True,
        "team/web:broken": True,
    }
    assert "500" in problems["team/web:broken"]
    assert " 1 of its manifests" in problems["team/web:index"]
    assert "503" in found.repositories[0].problem
    assert found.repositories[1].tag_count == 6


def test_an_artifact_has_its_type_and_a_layer_from_elsewhere_no_size(outputs: Outputs, registry: ImageRegistry) -> None:
    chart = {"config": {**blob("chart", 5), "mediaType": "application/vnd.cncf.helm.config.v1+json"}}
    layers = [blob("own", 100), {**blob("foreign", 10**9), "urls": ["https://example.com/layer"]}]
    content = json.dumps({**chart, "layers": layers}).encode()
    registry.add("charts/web", "1", content)
    expected = Tag("1", digest_of(content), 105 + len(content), "application/vnd.cncf.helm.config.v1+json")
    assert list(tags_of(read(outputs, registry)).values()) == [expected]


def test_tags_are_in_the_order_of_their_numbers() -> None:
    tags = ["1.9", "latest", "1.10", "2026-01-05", "v1"]
    assert sorted(tags, key=natural_order, reverse=True) == ["v1", "latest", "2026-01-05", "1.10", "1.9"]


def test_a_mirror_is_not_asked_for_tags_which_it_would_fetch(outputs: Outputs, registry: ImageRegistry) -> None:
    registry.add("library/busybox", "1", image(1))
    found = read(outputs, registry, "mirror")
    assert [each.name for each in found.repositories] == ["library/busybox"]
    assert not found.has_tags
    assert "upstream" in found.note
    assert registry.paths == ["/v2/_catalog"]


def test_access_rules_that_hide_the_catalog_are_a_note_and_no_fault(outputs: Outputs, registry: ImageRegistry) -> None:
    registry.hides_catalog = True
    found = read(outputs, registry)
    assert not found.repositories
    assert "`access`" in found.note
    assert found.remedy == ""


@pytest.mark.parametrize("stack", ["dev", ""])
def test_without_a_login_the_repositories_are_not_read(outputs: Outputs, registry: ImageRegistry, stack: str) -> None:
    without_user = Target(replace(outputs, username="", password=""), stack, address=("127.0.0.1", registry.port))
    found = read_catalog(without_user, "", lambda _, results, __: results)
    assert found.note
    assert registry.paths == []


def test_a_lost_connection_ends_the_reading_with_its_cause(
    outputs: Outputs, registry: ImageRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        registry.add(f"team/{number}", "1", image(1))
    calls: list[str] = []

    def refuse(_: RegistryClient, repository: str) -> list[str]:
        calls.append(repository)
        raise ConnectionRefusedError

    monkeypatch.setattr(RegistryClient, "list_tags", refuse)
    found = read(outputs, registry)
    assert "refused" in found.note
    assert found.remedy
    assert len(calls) < 50, "the other requests are not sent"


def test_a_thousand_repositories_are_read_with_few_requests_at_once(
    outputs: Outputs, registry: ImageRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "MOST_TAGS", 2000)
    shared = image(10, base=5000)
    for number in range(1001):
        for tag in range(3 if number % 100 == 0 else 1):
            registry.add(f"team/{number:04}", f"1.{tag}", shared)
    steps: list[tuple[str, int]] = []

    def note_step(title: str, results: Iterable[Any], total: int) -> Iterable[Any]:
        steps.append((title, total))
        return results

    found = read_catalog(target_of(outputs, registry), "read-write", note_step)
    assert len(found.repositories) == 1001
    assert found.size == 5010 + len(shared)
    assert 1 < registry.open_requests["most"] <= catalog.WORKERS
    assert steps == [("tags", 1001), ("images", 1001)]
    assert (found.repositories[0].tag_count, len(found.repositories[0].tags)) == (3, 1), "the share of each repository"


def test_a_page_with_ten_thousand_tags_has_a_few_megabytes() -> None:
    html = status_example.page(images=status_example.large_catalog(1000, 10))
    assert html.count("sha256:") == 10_000
    assert len(html) < 4_000_000


class PageParser(HTMLParser):
    """Parser that collects the elements of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


ATTACK = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&amp;${x}$title"


def test_every_text_is_escaped() -> None:
    bad = Row("push", ATTACK, None, Verdict(f"{ATTACK} `{ATTACK}`", ATTACK))
    images = Catalog(
        [Repository(ATTACK, [Tag(ATTACK, ATTACK, 1, ATTACK, ATTACK)], 1, 1, ATTACK)], 1, True, ATTACK, ATTACK
    )
    target = replace(
        status_example.target(), stack=ATTACK, outputs=replace(status_example.target().outputs, endpoint=ATTACK)
    )
    rows = [*status_example.rows(), bad]
    html = page.render_page(rows, target, images, status_example.NOW)
    plain = status_example.page()
    found, expected = PageParser(html), PageParser(plain)
    count = Counter(tag for tag, _ in found.elements)
    assert count["script"] == Counter(tag for tag, _ in expected.elements)["script"] == 1
    assert count["img"] == 0
    assert not [attributes for _, attributes in found.elements if any(name.startswith("on") for name in attributes)]
    assert found.text.count(ATTACK) >= 12
    title = re.search("<title>(.*?)</title>", html)
    assert title
    assert "<" not in title[1]


def test_the_page_loads_nothing_and_its_policy_allows_only_its_own_style_and_script() -> None:
    html = status_example.page()
    found = PageParser(html)
    links = [
        value or "" for _, attributes in found.elements for name, value in attributes.items() if name in ("href", "src")
    ]
    assert all(link.startswith(("#", "data:image/svg+xml,")) for link in links)
    anchors = {attributes["id"] for _, attributes in found.elements if "id" in attributes}
    assert {link[1:] for link in links if link.startswith("#")} <= anchors
    policy = next(
        attributes["content"]
        for _, attributes in found.elements
        if "content-security-policy" in str(attributes).lower()
    )
    directives = dict(part.split(maxsplit=1) for part in str(policy).split("; "))
    assert directives.keys() == {"default-src", "style-src", "script-src", "img-src", "base-uri", "form-action"}
    assert directives["default-src"] == directives["base-uri"] == directives["form-action"] == "'none'"
    assert not [attributes for _, attributes in found.elements if "style" in attributes]
    assert "@import" not in html
    assert "url(" not in html


def run_status(registry: ImageRegistry, *options: str) -> Result:
    call = ["status", "--address", f"127.0.0.1:{registry.port}", "--no-drift", *options]
    return CliRunner().invoke(command_line.app, call)


@pytest.fixture
def without_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every request to the cluster fail."""

    def refuse() -> None:
        raise ClusterError("The cluster cannot be read: refused.", "Check KUBECONFIG.")

    monkeypatch.setattr(kubernetes, "connect", refuse)


@pytest.mark.usefixtures("without_cluster")
@pytest.mark.parametrize("is_json", [False, True])
def test_the_command_prints_the_report_and_writes_the_page(
    stack_outputs: dict[str, Any], registry: ImageRegistry, tmp_path: Path, is_json: bool
) -> None:
    registry.add("team/web", "1.2.3", image(10, base=5000))
    path = tmp_path / "status.html"
    result = run_status(registry, "--html", str(path), *(["--json"] if is_json else []))
    assert result.exit_code == 1, result.output
    html = path.read_text()
    assert digest_of(image(10, base=5000)) in html
    assert "1.2.3" in html
    assert "image, free space, volume" in html, "one item for the values that the cluster did not tell"
    if is_json:
        assert json.loads(result.stdout)["users"]["facts"] == ["centos", "ci"]
    else:
        assert "!  image" in result.stdout
    assert str(path) in result.stderr.replace("\n", "")
    assert "images" in result.stderr, "the progress"
    secrets = {name: str(value) for name, value in stack_outputs["passwords"].items()}
    assert canary.find(secrets, html + result.output) == []


@pytest.mark.usefixtures("without_cluster")
def test_an_error_with_the_password_does_not_show_it_on_the_page(
    stack_outputs: dict[str, Any], registry: ImageRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: RegistryClient) -> list[str]:
        raise RuntimeError(f"login with {PASSWORD} failed")

    monkeypatch.setattr(RegistryClient, "list_repositories", fail)
    path = tmp_path / "status.html"
    run_status(registry, "--html", str(path))
    assert "failed" in path.read_text()
    assert canary.find({"password": PASSWORD}, path.read_text()) == []


@pytest.mark.usefixtures("stack_outputs", "without_cluster")
def test_the_page_is_written_if_the_registry_is_down(registry: ImageRegistry, tmp_path: Path) -> None:
    registry.server_close()
    path = tmp_path / "status.html"
    result = run_status(registry, "--html", str(path))
    assert result.exit_code == 1
    text = PageParser(path.read_text()).text
    assert text.count("no program listens at") >= 3, "in what to do, the certificates and the repositories"


def test_the_page_of_an_endpoint_has_the_certificates_only(registry: ImageRegistry, tmp_path: Path) -> None:
    path = tmp_path / "status.html"
    result = test_status.status_of_endpoint(registry, tmp_path, 356, "--html", str(path))
    assert result.exit_code == 0, result.output
    found = PageParser(path.read_text())
    sections = [attributes["id"] for tag, attributes in found.elements if tag == "section"]
    assert sections == ["certificates", "checks", "repositories"]


@pytest.mark.parametrize("name", ["", "none/status.html", "pipe"])
def test_a_path_that_cannot_be_written_is_refused_before_anything_is_asked(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setenv("PATH", "")  # so `pulumi` would fail with another message
    monkeypatch.setattr("sys.argv", ["ops", "status", "--html", str(tmp_path / name)])
    with pytest.raises(SystemExit) as exit_info:
        command_line.main()
    assert exit_info.value.code == 2
    error = capsys.readouterr().err
    assert str(tmp_path / name) in error
    assert "pulumi" not in error
    assert len(error.splitlines()) == 1
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_file_is_replaced_at_once_and_keeps_its_mode_and_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, link = tmp_path / "page.html", tmp_path / "link.html"
    link.symlink_to(file)
    replace_text(link, "first")
    umask = os.umask(0o022)
    os.umask(umask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~umask
    file.chmod(0o640)
    replace_text(link, "second \udc80")
    assert link.is_symlink()
    assert file.read_text() == "second ?"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(CommandError, match="No space left"):
        replace_text(file, "third")
    assert file.read_text() == "second ?"
    assert sorted(os.listdir(tmp_path)) == ["link.html", "page.html"]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "0.98 KiB"),
        (25 * 2**20, "25.0 MiB"),
        (2**30 * 1.25, "1.25 GiB"),
        (2**40 * 2000, "2000 TiB"),
    ],
)
def test_a_size_has_three_digits(size: float, text: str) -> None:
    assert format_size(size) == text


def test_a_healthy_report_has_no_list_of_actions() -> None:
    healthy: Mapping[str, Any] = {"nodes": None, "leaf": replace(status_example.LEAF, days=300)}
    found = PageParser(status_example.page(status_example.rows(**healthy)))
    assert "No action is needed" in found.text
    assert "to-do" not in [attributes.get("id") for _, attributes in found.elements]
    bad = PageParser(status_example.page())
    assert "2 values need action" in bad.text
    assert "to-do" in [attributes.get("id") for _, attributes in bad.elements]
