"""The program of the jobs: storages, output and exit codes. tests/e2e/test_maintenance.py runs it on a cluster."""

import base64
import hashlib
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from registry.maintenance.job import s3 as s3_module
from registry.maintenance.job.api import Registry as Client
from registry.maintenance.job.api import Server
from registry.maintenance.job.layout import LAYER, Link, data_path
from registry.maintenance.job.s3 import S3Settings, S3Storage, proxy_for, sign
from registry.maintenance.job.storage import FolderStorage, Storage, StorageError, read
from tests.issuing import CertificateSpec, issue, server_spec
from tests.registry_model import DAY, MemoryStorage, Registry, digest_of, finish
from tests.serving import serving

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
NOW_IN_XML = "2026-11-26T12:00:00.000Z"


class SignedRequest(NamedTuple):
    """A request, and its signature by botocore."""

    method: str
    path: str
    signature: str
    endpoint: str = ""
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    body: bytes = b""


SIGNED_REQUESTS = {
    "list": SignedRequest(
        *("GET", "/images", "1b59a6e20fb5f0569f44d5105ab77feb9b815f62946d789a0b57f508bcd7ca2b"),
        endpoint="https://s3.example.com:9000",
        query={"list-type": "2", "prefix": "docker/registry/v2/blobs/", "continuation-token": "a+b/c="},
    ),
    "copy": SignedRequest(
        *("PUT", "/images/private-registry/trash/1/x/link"),
        "14f7edd704f49cddded00638d9959e5f1670fcbc7ba2ed64a4e0080bf410bc00",
        endpoint="https://s3.example.com:9000",
        headers={"x-amz-copy-source": "/images/docker/x/link"},
    ),
    "write": SignedRequest(
        *("PUT", "/images/a/b~c_d.e-f", "acea03504dd67266b67e311a4275098f20d8f09f8b2b7fdf8ab998c6c0b6544d"),
        body=b"content",
    ),
    "abort an upload": SignedRequest(
        *("DELETE", "/images/a", "7cf2d0ffcf07a999b550fac0e2b6647c4f619df8667e5471f399d3d063429514"),
        query={"uploadId": "x+y"},
    ),
    "begin an upload": SignedRequest(
        *("POST", "/images/a", "6f13aaf57ac78391d6ccd0afdd8e28ad150e4d0cb6db1f435ad9df8db024680d"),
        query={"uploads": ""},
    ),
}
"""Requests with their signatures at `NOW` by botocore 1.44.8 (S3SigV4Auth, with signed payloads)."""


@pytest.mark.parametrize("request_name", SIGNED_REQUESTS)
def test_a_request_is_signed_as_botocore_signs_it(request_name: str) -> None:
    method, path, signature, endpoint, query, headers, body = SIGNED_REQUESTS[request_name]
    settings = S3Settings("images", "eu-west-3", "AKID", "secret/key+=", endpoint)
    signed = sign(settings, method, path, query, headers, hashlib.sha256(body).hexdigest(), NOW)
    assert signed["authorization"].rpartition("Signature=")[2] == signature
    assert "secret/key" not in repr(settings)


@pytest.mark.parametrize(
    ("endpoint", "no_proxy", "expected"),
    [
        ("", "", "https://proxy:3129"),
        ("http://minio.storage:9000", "", "http://proxy:3128"),
        ("http://minio.storage:9000", "localhost,minio.storage", ""),
        ("https://s3.example.com", ".example.com", ""),
        ("https://s3.example.com", "example.com", ""),
        ("https://s3.example.com", "other.com,3.example.com", "https://proxy:3129"),
        ("https://example.com", "example.com", ""),
        ("https://example.com", ".example.com", "https://proxy:3129"),
        ("https://example.com", "*.example.com", "https://proxy:3129"),
        ("https://s3.example.com", "*.example.com", ""),
        ("https://s3.example.com", "s3.example.com:443", ""),
        ("https://s3.example.com:9000", "s3.example.com:443", "https://proxy:3129"),
        ("http://minio.storage", ".storage:80", ""),
        ("https://10.1.2.3:9000", "10.0.0.0/8", ""),
        ("https://10.1.2.3:9000", "10.1.0.1/16", ""),
        ("https://10.1.2.3:9000", "10.1.2.3:9000", ""),
        ("https://10.1.2.3:9000", "10.1.2.4,2.3", "https://proxy:3129"),
        ("https://[fd00::1]:9000", "fd00:0::1", ""),
        ("https://[fd00::1]:9000", "[fd00::1]:9000", ""),
        ("https://[fd00::1]:9000", "[fd00::1]:9001", "https://proxy:3129"),
        ("https://10.1.2.3:9000", "*", ""),
    ],
    ids=[
        *("AWS", "a server with HTTP", "a host", "a domain with a dot", "a domain without a dot"),
        *("a part of a label", "the domain itself", "not the domain itself", "the domain of a wildcard"),
        *(
            "a wildcard",
            "the default port",
            "another port",
            "a domain with a port",
            "a network",
            "a network with host bits",
        ),
        *("an address with a port", "not a part of an address", "IPv6", "IPv6 with a port", "another port of IPv6"),
        "all hosts",
    ],
)
def test_a_proxy_is_used_unless_the_server_is_excluded(endpoint: str, no_proxy: str, expected: str) -> None:
    proxies = {"http": "http://proxy:3128", "https": "https://proxy:3129"}
    assert proxy_for(S3Settings("images", "r", "a", "s", endpoint, proxies=proxies, no_proxy=no_proxy)) == expected


@contextmanager
def listening_proxy() -> Iterator[tuple[str, list[str]]]:
    """Yield the address of a proxy that refuses every request, and the beginnings of the requests that it gets."""
    requests: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with suppress(OSError):  # the end of the block closes the socket
                while True:
                    connection, _ = server.accept()
                    with connection:
                        requests.append(connection.recv(4096).decode())
                        connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}", requests
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def request_of_bucket(proxy: str, scheme: str) -> None:
    settings = S3Settings("images", "x", "AKID", "key", f"{scheme}://s3.example.com", proxies={scheme: proxy})
    S3Storage(settings, lambda _: None, attempts=1).entry("a")


def request_of_registry(proxy: str, scheme: str) -> None:
    Client(Server(f"{scheme}://registry.example.com", proxy=proxy), lambda _: None).digest_of("team/web", "1")


@pytest.mark.parametrize(
    ("request_server", "scheme", "beginning"),
    [
        (request_of_bucket, "https", "CONNECT s3.example.com:443 "),
        (request_of_bucket, "http", "HEAD http://s3.example.com/images/a "),
        (request_of_registry, "https", "CONNECT registry.example.com:443 "),
    ],
)
def test_a_proxy_gets_the_decoded_login(
    request_server: Callable[[str, str], None], scheme: str, beginning: str
) -> None:
    """The login in a URL is percent-encoded."""
    with listening_proxy() as (address, requests), pytest.raises(StorageError):
        request_server(f"http://us%40er:p%3Ass@{address}", scheme)
    login = base64.b64encode(b"us@er:p:ss").decode()
    assert all(request.startswith(beginning) for request in requests)
    assert f"proxy-authorization: basic {login}".lower() in requests[0].lower()


@pytest.mark.parametrize("request_server", [request_of_bucket, request_of_registry])
def test_a_proxy_with_tls_is_refused(request_server: Callable[[str, str], None]) -> None:
    with pytest.raises(StorageError, match="`outbound_proxy` has an https URL"):
        request_server("https://127.0.0.1:1", "https")


def test_a_proxy_with_an_https_url_is_refused_by_name() -> None:
    """The request is refused before anything is sent, because the client would send it without TLS."""
    settings = S3Settings("images", "r", "a", "s", "https://s3:9000", proxies={"https": "https://proxy:3129"})
    with pytest.raises(StorageError, match="`outbound_proxy` has an https URL"):
        S3Storage(settings, sleep=lambda _: pytest.fail("It is not an error that passes.")).entry("a")


class FakeS3(ThreadingHTTPServer):
    """A small S3 server. It accepts every signature of the access key AKID.

    `errors` has the statuses of the next responses. `cut` is the number of bytes after which the next download breaks,
    or 0. `uploads` has the key and the start of each unfinished upload by its ID. `headers` has those of each request,
    with names in lower case.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, tuple[str, str]] = {}
        self.errors: list[int] = []
        self.cut = 0
        self.requests: list[str] = []
        self.headers: dict[str, dict[str, str]] = {}
        self.connections = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeS3

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def log_message(self, *_: Any) -> None:
        """Suppress the log."""

    def handle_request(self) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        key = unquote(parts.path).removeprefix("/images").removeprefix("/")
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        request = f"{self.command} {key} {' '.join(sorted(query))}".strip()
        self.server.requests.append(request)
        self.server.headers[request] = {name.lower(): value for name, value in self.headers.items()}
        if not self.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKID/"):
            return self.answer(403, b"<Error><Code>AccessDenied</Code></Error>")
        if self.server.errors:
            return self.answer(self.server.errors.pop(0), b"<Error><Code>SlowDown</Code></Error>")
        return getattr(self, f"on_{self.command.lower()}")(key, query, body)  # type: ignore[no-any-return]

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_request

    def answer(self, status: int, body: bytes = b"", length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body) if length is None else length))
        self.send_header("last-modified", "Thu, 26 Nov 2026 12:00:00 GMT")
        self.end_headers()
        self.wfile.write(body)

    def on_get(self, key: str, query: dict[str, str], _: bytes) -> None:
        if "uploads" in query:
            listed = "".join(
                f"<Upload><Key>{name}</Key><UploadId>{upload}</UploadId><Initiated>{start}</Initiated></Upload>"
                for upload, (name, start) in sorted(self.server.uploads.items())
            )
            return self.answer(200, f"<Result><IsTruncated>false</IsTruncated>{listed}</Result>".encode())
        if "list-type" in query:
            return self.list_objects(query)
        if key not in self.server.objects:
            return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        content = self.server.objects[key]
        if start := self.headers.get("range"):
            return self.answer(206, content[int(start[6:-1]) :])
        if self.server.cut:
            cut, self.server.cut = self.server.cut, 0
            self.close_connection = True
            return self.answer(200, content[:cut], len(content))
        return self.answer(200, content)

    def list_objects(self, query: dict[str, str]) -> None:
        """Answer with two objects at a time."""
        keys = sorted(key for key in self.server.objects if key.startswith(query["prefix"]))
        start = int(query.get("continuation-token", 0))
        listed = "".join(
            f"<Contents><Key>{key}</Key><Size>{len(self.server.objects[key])}</Size>"
            f"<LastModified>{NOW_IN_XML}</LastModified></Contents>"
            for key in keys[start : start + 2]
        )
        token = f"<NextContinuationToken>{start + 2}</NextContinuationToken>" if start + 2 < len(keys) else ""
        namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
        self.answer(200, f'<ListBucketResult xmlns="{namespace}">{listed}{token}</ListBucketResult>'.encode())

    def on_head(self, key: str, *_: Any) -> None:
        content = self.server.objects.get(key)
        self.answer(404 if content is None else 200, b"", 0 if content is None else len(content))

    def on_put(self, key: str, query: dict[str, str], body: bytes) -> None:
        source = unquote(self.headers.get("x-amz-copy-source", "")).removeprefix("/images/")
        if "partNumber" in query:
            first, last = map(int, re.findall(r"\d+", self.headers["x-amz-copy-source-range"]))
            part = self.server.objects[source][first : last + 1]
            self.server.objects[f"parts/{query['uploadId']}/{query['partNumber']}"] = part
            return self.answer(200, b"<CopyPartResult><ETag>e</ETag></CopyPartResult>")
        if source == "too/late":
            return self.answer(200, b"<Error><Code>InternalError</Code></Error>")
        self.server.objects[key] = self.server.objects[source] if source else body
        return self.answer(200, b"<CopyObjectResult/>" if source else b"")

    def on_post(self, key: str, query: dict[str, str], body: bytes) -> None:
        if "uploads" in query:
            return self.answer(200, b"<Result><UploadId>u1</UploadId></Result>")
        numbers = re.findall(rb"<PartNumber>(\d+)<", body)
        parts = [self.server.objects.pop(f"parts/{query['uploadId']}/{number.decode()}") for number in numbers]
        self.server.objects[key] = b"".join(parts)
        return self.answer(200, b"<CompleteMultipartUploadResult/>")

    def on_delete(self, key: str, query: dict[str, str], _: bytes) -> None:
        if "uploadId" in query:
            del self.server.uploads[query["uploadId"]]
        else:
            self.server.objects.pop(key, None)
        self.answer(204)


@pytest.fixture
def server() -> Iterator[FakeS3]:
    with serving(FakeS3()) as fake:
        yield fake


def s3_storage(server: FakeS3, access_key: str = "AKID", prefix: str = "") -> S3Storage:
    endpoint = f"http://127.0.0.1:{server.server_port}"
    settings = S3Settings("images", "r", access_key, "secret", endpoint, prefix)
    return S3Storage(settings, sleep=lambda _: None)


@pytest.fixture(params=["folder", "s3", "prefix"])
def storage(request: pytest.FixtureRequest, server: FakeS3, tmp_path: Path) -> Iterator[Storage]:
    if request.param == "folder":
        yield FolderStorage(tmp_path)
        return
    fake = s3_storage(server, prefix="team/a" if request.param == "prefix" else "")
    yield fake
    fake.close()


def test_a_storage_lists_reads_moves_restores_and_deletes(storage: Storage) -> None:
    for number in range(5):
        storage.write(f"docker/a/{number}", b"%d" % number * number)
    storage.write("dockers/b", b"")
    assert sorted((entry.path, entry.size) for entry in storage.entries("docker")) == [
        (f"docker/a/{number}", number) for number in range(5)
    ]
    assert list(storage.entries("nowhere")) == []
    assert read(storage, "docker/a/3") == b"333"
    storage.move("docker/a/3", "private-registry/trash/1/docker/a/3")
    assert storage.entry("docker/a/3") is None
    storage.restore("private-registry/trash/1/docker/a/3", "docker/a/3")
    assert read(storage, "docker/a/3") == b"333"
    storage.write("trash/3", b"old")
    storage.restore("trash/3", "docker/a/3")
    assert read(storage, "docker/a/3") == b"333", "A newer file stays."
    assert storage.entry("trash/3") is None
    storage.delete("docker/a/3")
    storage.delete("docker/a/3")
    for missing in (lambda: read(storage, "docker/a/3"), lambda: storage.move("docker/a/3", "x")):
        with pytest.raises(FileNotFoundError):
            missing()


def test_s3_repeats_failed_requests_and_resumes_a_broken_download(server: FakeS3) -> None:
    storage = s3_storage(server)
    server.errors = [503, 500, 429]
    storage.write("a", b"0123456789")
    server.cut = 4
    assert read(storage, "a") == b"0123456789"
    server.errors = [503] * 6
    with pytest.raises(StorageError, match="failed 6 times, last with status 503"):
        storage.delete("a")
    storage.close()


def test_s3_keeps_a_connection_for_the_next_requests(server: FakeS3) -> None:
    storage = s3_storage(server)
    for number in range(10):
        storage.write(f"a/{number}", b"%d" % number)
        storage.move(f"a/{number}", f"b/{number}")
        assert read(storage, f"b/{number}") == b"%d" % number
        assert storage.entry(f"a/{number}") is None
    assert len(list(storage.entries("b"))) == 10
    assert server.connections == 1
    storage.close()


def test_s3_reports_the_error_code_of_the_store(server: FakeS3) -> None:
    storage = s3_storage(server, access_key="OTHER")
    with pytest.raises(StorageError, match="GET of images failed: status 403 AccessDenied"):
        list(storage.entries("docker"))
    storage.close()
    server.objects["too/late"] = b""
    storage = s3_storage(server)
    with pytest.raises(StorageError, match="Copying to b failed: InternalError"):
        storage.move("too/late", "b")
    assert "too/late" in server.objects
    storage.close()


def test_s3_copies_a_large_object_in_parts(server: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_module, "MOST_COPIED_BYTES", 10)
    monkeypatch.setattr(s3_module, "PART_BYTES", 4)
    storage = s3_storage(server)
    storage.write("a", b"0123456789ab")
    storage.move("a", "b")
    assert server.objects == {"b": b"0123456789ab"}
    assert server.requests.count("PUT b partNumber uploadId") == 3
    storage.close()


def test_s3_aborts_old_unfinished_uploads(server: FakeS3) -> None:
    server.uploads = {"u1": ("docker/a", "2026-11-25T00:00:00.000Z"), "u2": ("docker/b", NOW_IN_XML)}
    storage = s3_storage(server)
    assert storage.abort_uploads(NOW.timestamp() - 3600) == 1
    assert [*server.uploads] == ["u2"]
    storage.close()


def test_a_closed_port_is_reported_after_the_last_attempt() -> None:
    with socket.socket() as bound:  # no other program can listen on this port now
        bound.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{bound.getsockname()[1]}"
        closed = S3Storage(S3Settings("images", "r", "a", "s", endpoint), sleep=lambda _: None)
        with pytest.raises(StorageError, match="failed 6 times, last with ConnectionRefusedError"):
            list(closed.entries("docker"))


def test_a_server_of_an_untrusted_ca_is_reported_at_once(server: FakeS3, tmp_path: Path) -> None:
    ca = issue(CertificateSpec("CA of the store"))
    certificate = issue(server_spec("127.0.0.1"), ca)
    (tmp_path / "pair.pem").write_text(certificate.key_pem + certificate.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pair.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client ends the handshake
    endpoint = f"https://127.0.0.1:{server.server_port}"
    other_ca = issue(CertificateSpec("Another CA")).pem
    untrusted = S3Storage(
        S3Settings("images", "r", "AKID", "s", endpoint, ca_pem=other_ca), sleep=lambda _: pytest.fail("It waited.")
    )
    with pytest.raises(StorageError, match="no certificate of a trusted CA"):
        list(untrusted.entries("docker"))
    trusted = S3Storage(S3Settings("images", "r", "AKID", "s", endpoint, ca_pem=ca.pem))
    assert list(trusted.entries("docker")) == []
    trusted.close()


def test_every_object_is_made_with_the_headers_for_its_encryption(
    server: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {"x-amz-server-side-encryption": "AES256", "x-amz-storage-class": "STANDARD_IA"}
    endpoint = f"http://127.0.0.1:{server.server_port}"
    storage = S3Storage(S3Settings("images", "r", "AKID", "secret", endpoint, object_headers=headers))
    storage.write("a", b"content")
    storage.move("a", "b")
    monkeypatch.setattr(s3_module, "MOST_COPIED_BYTES", 1)
    storage.move("b", "c")
    assert server.objects == {"c": b"content"}
    for request in ("PUT a", "PUT b", "POST c uploads"):
        assert headers.items() <= server.headers[request].items(), request
    assert "x-amz-storage-class" not in server.headers["DELETE a"]
    storage.close()


# The command line


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a registry with two images of a repository, tag 1 the older one, and a blob that neither needs."""
    memory = MemoryStorage()
    registry = Registry(memory)
    registry.push("team/web", "1", [b"config", b"old"], age=90 * DAY)
    registry.push("team/web", "2", [b"config", b"new"], age=80 * DAY)
    finish(registry.push_blob("team/web", b"garbage", age=90 * DAY))
    root = tmp_path / "registry"
    for path, (content, modified) in memory.files.items():
        FolderStorage(root).write(path, content)
        os.utime(root / path, (modified, modified))
    return root


def run_job(folder: Path, *arguments: str, **settings: Any) -> tuple[int, list[dict[str, Any]], dict[str, Any]]:
    """Run the program with the settings file and the termination log of a Pod, and without its wait.

    Return its exit code, the lines of its output, and the termination message.
    """
    file, message = folder.parent / "settings.json", folder.parent / "termination-log"
    file.write_text(json.dumps({"storage": {"folder": str(folder)}, **settings}))
    message.write_text("")
    options = ("--settings", str(file), "--termination-log", str(message), "--pause", "0")
    command = [sys.executable, "-Es", "-m", "job", *arguments, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(s3_module.__file__).parents[1])
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], json.loads(message.read_text())


RULES = [{"repositories": [".*"], "tags": [".*"], "keep": 1}]


def test_collect_prints_each_removal_and_writes_a_summary_to_the_termination_log(folder: Path) -> None:
    assert run_job(folder, "collect", "--dry-run")[2]["tags_removed"] == 0, "The summary also contains counts of 0."
    code, (*lines, summary), message = run_job(folder, "collect", retention=RULES)
    assert (code, summary) == (0, message)
    assert [(line["kind"], line.get("tag")) for line in lines] == [("tag", "1"), ("manifest", None)]
    assert {key: summary[key] for key in ("task", "blobs", "blobs_removed", "tags_removed", "damage")} == {
        **{"task": "collect", "blobs": 6, "blobs_removed": 3, "tags_removed": 1, "damage": []}
    }
    assert not (folder / data_path(digest_of(b"garbage"))).exists()


def test_prune_deletes_tags_and_no_blobs_and_a_dry_run_counts_the_same_tags(folder: Path) -> None:
    _, _, dry_run = run_job(folder, "prune", "--dry-run", retention=RULES)
    _, _, real_run = run_job(folder, "prune", retention=RULES)
    assert dry_run["dry_run"]
    assert dry_run["tags_removed"] == real_run["tags_removed"] == 1
    assert (folder / data_path(digest_of(b"old"))).exists()


def test_the_exit_code_of_scrub_is_3_while_damage_remains(folder: Path) -> None:
    assert run_job(folder, "scrub")[0] == 0
    (folder / Link("team/web", LAYER, digest_of(b"new")).path).write_bytes(b"")
    assert run_job(folder, "scrub")[0] == 3
    code, _, message = run_job(folder, "scrub", "--all", scrub={"days": 30, "heal": True})
    assert code == 0
    assert [each["repair"] for each in message["damage"]] == ["the link was written again"]


def test_an_error_of_the_storage_exits_1_and_is_in_the_summary(folder: Path) -> None:
    (folder / "private-registry").write_text("a file in the place of the folder")
    code, (summary,), _ = run_job(folder, "collect")
    assert code == 1
    assert re.search("(File exists|Not a directory): .*private-registry", summary["error"])
