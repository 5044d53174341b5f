"""`ops verify` against a fake registry that speaks real TLS and HTTP on loopback. Tests break it in many ways."""

import base64
import hashlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner

from ops import __main__ as command_line
from ops import stack, tls
from ops.errors import CommandError, PulumiError
from ops.stack import Outputs, parse_address
from ops.verify import CheckResult, run_checks, sample_image, wait_for_port
from tests.issuing import CertificateSpec, issue, server_spec
from tests.serving import serving

HOST = "docker-registry"
PASSWORD = "pässwörd € 0123456789"


class Registry(ThreadingHTTPServer):
    """A fake registry for one image. Each attribute makes it fail in another way."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.contents: dict[str, bytes] = {}
        self.hosts: set[str] = set()
        self.password: str | None = PASSWORD
        self.full = self.damaged = self.forgetful = self.deletes = False
        self.write_error = (500, '{"errors": [{"code": "UNKNOWN", "message": "unknown error"}]}')
        """Status and body of the answer to a push, if the registry is full."""
        self.mode = "read-write"
        self.hides_catalog = False
        """Whether access rules forbid the catalog, as for a user who may not pull every repository."""
        self.names = ["another", sample_image.REPOSITORY]
        self.bucket = ""
        """URL of the server that clients download blobs from, or ""."""
        self.upstream_error = ""
        """Error of the upstream of a mirror: a status, or the text that a mirror answers with status 500."""

    @property
    def port(self) -> int:
        return self.server_port

    def speak_tls(self, chain: Path) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(chain)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that reject the certificate."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Registry

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)
        self.wfile.flush()

    def handle_request(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.hosts.add(self.headers["Host"])
        login = base64.b64encode(f"centos:{self.server.password}".encode()).decode()
        if self.server.password and self.headers.get("Authorization") != f"Basic {login}":
            return self.answer(401, WWW_Authenticate='Basic realm="Registry Realm"')
        if self.command in ("POST", "PUT"):
            return self.write(body)
        return self.read()

    def write(self, body: bytes) -> None:
        url = urlsplit(self.path)
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if self.server.mode != "read-write":
            codes = [{"code": "UNSUPPORTED"}] if self.server.mode == "mirror" else []
            return self.answer(405, json.dumps({"errors": codes}).encode() if codes else b"")
        if self.server.full:
            status, text = self.server.write_error
            return self.answer(status, text.encode())
        if self.command == "POST":
            return self.answer(202, Location=f"https://{self.headers['Host']}{self.path}one")
        if "digest" in parse_qs(url.query):
            assert parse_qs(url.query)["digest"] == [digest]
        self.server.contents |= {digest: body, url.path.rpartition("/")[2]: body}
        return self.answer(201, Docker_Content_Digest=digest)

    def read(self) -> None:
        key = urlsplit(self.path).path.rpartition("/")[2]
        if self.command == "DELETE":
            return self.answer(202 if self.server.deletes else 405)
        if key == "_catalog":
            return self.catalog()
        if key == "list":
            tags = [sample_image.TAG] if sample_image.REPOSITORY in self.path else None
            return self.answer(200, json.dumps({"tags": tags}).encode())
        if self.server.bucket and "/blobs/" in self.path and self.command == "GET":
            return self.answer(307, Location=self.server.bucket + self.path)
        if key and key not in self.server.contents:
            return self.ask_upstream()
        body = self.server.contents.get(key, b"{}")
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if self.server.damaged and "/blobs/" in self.path:
            body = body[::-1]
        return self.answer(200, body, Docker_Content_Digest=digest)

    def ask_upstream(self) -> None:
        error = self.server.upstream_error
        if not error:
            return self.answer(404)
        code = {"401": "UNAUTHORIZED", "403": "DENIED"}.get(error, "UNKNOWN")
        body = json.dumps({"errors": [{"code": code, "detail": error}]}).encode()
        return self.answer(int(error) if error.isdigit() else 500, body)

    def catalog(self) -> None:
        if self.server.hides_catalog:
            return self.answer(403, b'{"errors": [{"code": "DENIED"}]}')
        names = self.server.names[:1] if self.server.forgetful else self.server.names
        if "n=1000" not in self.path and "last=" not in self.path:
            return self.answer(200, json.dumps({"repositories": names}).encode())
        if "last=" in self.path:
            return self.answer(200, json.dumps({"repositories": names[1:]}).encode())
        more = '</v2/_catalog?last=another&n=1>; rel="next"'
        return self.answer(200, json.dumps({"repositories": names[:1]}).encode(), Link=more)

    def log_message(self, *args: object) -> None:
        """Do not log requests."""

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_request


def issue_chain(folder: Path, *, host: str = HOST, days: int = 356) -> tuple[str, Path]:
    """Return a CA in PEM, and a file with the key and the certificate that the CA issued for `host`.

    The certificate ends in `days`. With negative `days` it has expired.
    """
    ca = issue(CertificateSpec(name=f"{HOST} CA", starts=-400))
    spec = server_spec(host, name=host, starts=-400, days=400 + days + 1 / 24)
    certificate = issue(spec, ca)
    chain = folder / f"{host}{days}.pem"
    chain.write_text(certificate.key_pem + certificate.pem)
    return ca.pem, chain


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def outputs(registry: Registry, tmp_path: Path) -> Outputs:
    """Return the outputs of a stack whose CA issued the registry's certificate."""
    ca_pem, chain = issue_chain(tmp_path)
    registry.speak_tls(chain)
    return Outputs(f"{HOST}:5000", ca_pem, "centos", PASSWORD, "docker-registry")


def check(outputs: Outputs, registry: Registry) -> list[CheckResult]:
    return list(run_checks(outputs, ("127.0.0.1", registry.port)))


def failure(results: list[CheckResult]) -> CheckResult:
    assert [result.passed for result in results] == [True] * (len(results) - 1) + [False], (
        "The first failure ends the checks."
    )
    assert results[-1].remedy, "A failure has a remedy."
    return results[-1]


def test_a_healthy_registry_passes_every_check_and_keeps_one_small_image(outputs: Outputs, registry: Registry) -> None:
    first, second = check(outputs, registry), check(outputs, registry)
    assert [result.title for result in first if not result.passed] == []
    assert sample_image.REPOSITORY in first[-1].summary, "The summary names the repository that stays."
    assert len([key for key in registry.contents if key.startswith("sha256:")]) == 3, (
        "Layer, config and manifest are stored once."
    )
    assert [result.summary for result in first] == [result.summary for result in second]


def test_requests_name_the_endpoint_as_host_whatever_address_is_used(outputs: Outputs, registry: Registry) -> None:
    check(outputs, registry)
    assert registry.hosts == {f"{HOST}:5000"}


def test_a_download_from_the_bucket_names_the_bucket_as_host(
    outputs: Outputs, registry: Registry, tmp_path: Path
) -> None:
    ca_pem, chain = issue_chain(tmp_path, host="127.0.0.1")
    bucket = Registry()
    bucket.speak_tls(chain)
    bucket.password, bucket.contents = None, registry.contents
    registry.bucket = f"https://127.0.0.1:{bucket.port}"
    with serving(bucket):
        results = check(replace(outputs, ca_pem=outputs.ca_pem + ca_pem), registry)
    assert [result.title for result in results if not result.passed] == []
    assert bucket.hosts == {f"127.0.0.1:{bucket.port}"}


def test_the_image_is_deleted_if_the_registry_allows_it(outputs: Outputs, registry: Registry) -> None:
    registry.deletes = True
    assert check(outputs, registry)[-1].summary == "deleted"


def refuse_writes(registry: Registry, detail: object, status: int = 500) -> None:
    """Refuse every push with an error of the registry, of the form of CNCF Distribution."""
    registry.full = True
    registry.write_error = (status, json.dumps({"errors": [{"code": "UNKNOWN", "detail": detail}]}))


BREAKAGES: dict[str, tuple[Callable[[Registry], None], str, str]] = {
    "open": (
        lambda registry: setattr(registry, "password", None),
        "access without a password is refused",
        "REGISTRY_AUTH",
    ),
    "other_users": (lambda registry: setattr(registry, "password", "other"), "login", "`pulumi up --refresh`"),
    "full": (lambda registry: setattr(registry, "full", True), "push", "`df`"),
    "no_space": (
        lambda registry: refuse_writes(registry, "no space left on device"),
        "push",
        "`python -m ops collect`",
    ),
    "no_space_2": (lambda registry: refuse_writes(registry, {"Err": 28}), "push", "`python -m ops collect`"),
    "read_only": (lambda registry: refuse_writes(registry, "mkdir: read-only file system"), "push", "`dmesg`"),
    "foreign": (lambda registry: refuse_writes(registry, "open: permission denied"), "push", "`chown -R`"),
    "s3": (lambda registry: refuse_writes(registry, "s3aws: NoSuchBucket: gone"), "push", "`s3_bucket`"),
    "min_free": (lambda registry: refuse_writes(registry, "", 507), "push", "Pushes go on"),
    "damaged": (lambda registry: setattr(registry, "damaged", True), "pull", "`python -m ops scrub --all`"),
    "forgetful": (lambda registry: setattr(registry, "forgetful", True), "catalog", "--address"),
}
"""How to break the registry, the check that fails, and a part of the remedy."""


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_a_check_fails_for_the_part_of_the_registry_that_is_broken(
    outputs: Outputs, registry: Registry, breakage: str
) -> None:
    break_registry, title, remedy = BREAKAGES[breakage]
    break_registry(registry)
    failed = failure(check(outputs, registry))
    assert failed.title == title
    assert remedy in failed.remedy


def test_access_rules_may_forbid_the_catalog(outputs: Outputs, registry: Registry) -> None:
    """The first user may always push and pull the test image, but list the catalog only if it may pull every image."""
    registry.hides_catalog = True
    for mode in ("read-write", "read-only", "mirror"):
        registry.mode = mode
        results = check(outputs, registry)
        assert [result.title for result in results if not result.passed] == []
        assert "do not let centos pull every repository" in next(
            result.summary for result in results if result.title == "catalog"
        )
        assert "no image" not in str(results), "The registry may hold images that the user may not see."


def test_a_request_that_access_rules_refuse_is_not_reported_as_a_wrong_password(
    outputs: Outputs, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Handler, "write", lambda handler, _: handler.answer(403))
    failed = failure(check(outputs, registry))
    assert failed.title == "push"
    assert "accepted the password" in failed.summary
    assert "access rules" in failed.remedy


def test_the_report_of_a_rejected_password_says_when_a_new_password_works(outputs: Outputs, registry: Registry) -> None:
    registry.password = "other"
    assert f"{stack.PASSWORD_DELAY_MINUTES} minutes" in failure(check(outputs, registry)).remedy


def test_a_certificate_that_another_ca_issued_is_an_x509_error(
    outputs: Outputs, registry: Registry, tmp_path: Path
) -> None:
    other_ca, _ = issue_chain(tmp_path)
    failed = failure(check(replace(outputs, ca_pem=other_ca), registry))
    assert failed.title == "TLS is accepted with the CA"
    assert "x509" in failed.summary
    assert "pulumi up --refresh" in failed.remedy


@pytest.mark.parametrize(
    ("host", "days", "title", "remedy"),
    [
        (HOST, -1, "TLS is accepted with the CA", "`pulumi up`"),
        ("elsewhere", 356, "the certificate covers the host", "`tls_secret`"),
    ],
)
def test_a_certificate_that_clients_reject_is_reported(
    registry: Registry, tmp_path: Path, host: str, days: int, title: str, remedy: str
) -> None:
    ca_pem, chain = issue_chain(tmp_path, host=host, days=days)
    registry.speak_tls(chain)
    failed = failure(check(Outputs(f"{HOST}:5000", ca_pem, "centos", PASSWORD, "docker-registry"), registry))
    assert failed.title == title
    assert "x509" in failed.summary
    assert remedy in failed.remedy


def test_a_port_without_tls_is_reported(registry: Registry) -> None:
    plain = Outputs(f"{HOST}:5000", "no CA needed", "centos", PASSWORD, "docker-registry")
    assert "does not speak TLS" in failure(check(plain, registry)).summary


def test_a_host_without_an_address_is_reported(outputs: Outputs) -> None:
    failed = failure(list(run_checks(replace(outputs, endpoint="registry.invalid:5000"))))
    assert failed.title == "the name resolves"
    assert "registry.invalid" in failed.summary
    assert "--address" in failed.remedy


def test_a_port_without_a_listener_refuses_the_connection(outputs: Outputs) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        failed = failure(list(run_checks(outputs, bound.getsockname())))
    assert "refused" in failed.summary


def test_a_registry_that_never_answers_is_reported_as_a_timeout(
    outputs: Outputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.tls.TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        failed = failure(list(run_checks(outputs, silent.getsockname())))
    assert "timeout" in failed.summary


def test_every_request_has_a_timeout() -> None:
    assert tls.TIMEOUT == 10


def test_no_result_contains_the_password(outputs: Outputs, registry: Registry) -> None:
    assert PASSWORD not in repr(outputs)
    for breakage in (None, "full", "other_users"):
        if breakage:
            BREAKAGES[breakage][0](registry)
        text = json.dumps([vars(result) for result in check(outputs, registry)], ensure_ascii=False)
        assert PASSWORD not in text
        assert base64.b64encode(f"centos:{PASSWORD}".encode()).decode() not in text


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.168.56.10", ("192.168.56.10", 5000)),
        ("192.168.56.10:30500", ("192.168.56.10", 30500)),
        ("fd00::10", ("fd00::10", 5000)),
        ("[fd00::10]:30500", ("fd00::10", 30500)),
    ],
)
def test_the_address_option_may_have_a_port(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text, 5000) == address


def test_the_exit_code_is_0_if_all_checks_pass_and_else_1(
    outputs: Outputs, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_line, "read_outputs", lambda _: outputs)
    call = ["verify", "--address", f"127.0.0.1:{registry.port}"]
    sound = CliRunner().invoke(command_line.app, [*call, "--json"])
    assert sound.exit_code == 0
    report = json.loads(sound.stdout)
    assert report["passed"] is True
    assert report["checks"][0].keys() == {"title", "passed", "seen", "seconds", "remedy"}
    registry.full = True
    broken = CliRunner().invoke(command_line.app, call)
    assert broken.exit_code == 1
    assert "✗  push" in broken.stdout
    assert PASSWORD not in sound.output + broken.output


def test_a_wrong_call_exits_2(outputs: Outputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_line, "read_outputs", lambda _: outputs)
    assert CliRunner().invoke(command_line.app, ["verify", "--address", "somewhere"]).exit_code == 2


def test_a_command_without_pulumi_on_path_exits_2_with_cause_and_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["ops", "verify"])
    with pytest.raises(SystemExit) as exit_info:
        command_line.main()
    assert exit_info.value.code == 2
    error = capsys.readouterr().err
    assert "`pulumi`" in error
    assert "python -m dev env" in error


def fake_pulumi(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a `pulumi` on PATH that runs `script`."""
    program = folder / "pulumi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/bin")


def test_a_stack_that_is_not_deployed_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_pulumi(tmp_path, monkeypatch, "echo '{}'")
    with pytest.raises(CommandError) as error:
        stack.read_outputs("dev")
    assert "'endpoint'" in error.value.cause
    assert "`pulumi up --stack dev`" in error.value.remedy


def test_a_pulumi_command_that_fails_is_an_error_with_its_last_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake_pulumi(tmp_path, monkeypatch, "echo warning: old >&2; echo error: no stack named dev. >&2; exit 255")
    with pytest.raises(PulumiError) as error:
        stack.read_outputs("dev")
    assert error.value.cause == "`pulumi stack output` failed: no stack named dev."


def test_a_stack_without_a_user_of_its_own_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = {"endpoint": "docker-registry:5000", "ca_pem": "", "username": "", "password": "", "namespace": "team"}
    monkeypatch.setattr(stack, "pulumi", lambda *_: json.dumps(outputs))
    with pytest.raises(CommandError) as error:
        stack.read_outputs("dev")
    assert "`users_secret`" in error.value.cause


def test_the_selector_matches_the_pods_of_the_component() -> None:
    from registry.private_registry import APP

    assert stack.REGISTRY_SELECTOR.split("=") == ["app.kubernetes.io/name", APP]


def test_waiting_for_the_port_ends_at_the_first_connection_or_at_the_deadline(outputs: Outputs) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        start = time.monotonic()
        wait_for_port(outputs, server.getsockname(), 0.5)
        assert time.monotonic() - start >= 0.5, "The port is bound without a listener."
        later = threading.Timer(0.5, server.listen)
        later.start()
        start = time.monotonic()
        wait_for_port(outputs, server.getsockname(), 60)
        assert 0.5 <= time.monotonic() - start < 30
        later.join()
