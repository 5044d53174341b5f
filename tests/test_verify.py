"""`ops verify` against a registry of the standard library: real TLS and HTTP on loopback, broken on demand."""

import base64
import hashlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from ops import __main__ as command_line
from ops import client, image, stack
from ops.stack import Outputs, Refusal
from ops.verify import Check, parse_address, verify, wait_for_answer

HOST = "docker-registry"
PASSWORD = "pässwörd € 0123456789"


class Registry(ThreadingHTTPServer):
    """As much of a registry as one image needs, and the ways in which one breaks."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.stored: dict[str, bytes] = {}
        self.hosts: set[str] = set()
        self.password: str | None = PASSWORD
        self.full = self.damaged = self.forgetful = self.deletes = False

    @property
    def port(self) -> int:
        return self.server_port

    def speak_tls(self, chain: Path) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(chain)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that refuses the certificate is no news."""


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
        users = base64.b64encode(f"centos:{self.server.password}".encode()).decode()
        if self.server.password and self.headers.get("Authorization") != f"Basic {users}":
            return self.answer(401, WWW_Authenticate='Basic realm="Registry Realm"')
        if self.command in ("POST", "PUT"):
            return self.write(body)
        return self.read()

    def write(self, body: bytes) -> None:
        url = urlsplit(self.path)
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if self.server.full:
            return self.answer(500, b'{"errors": [{"code": "UNKNOWN", "message": "unknown error"}]}')
        if self.command == "POST":
            return self.answer(202, Location=f"https://{self.headers['Host']}{self.path}one")
        if "digest" in parse_qs(url.query):
            assert parse_qs(url.query)["digest"] == [digest]
        self.server.stored |= {digest: body, url.path.rpartition("/")[2]: body}
        return self.answer(201, Docker_Content_Digest=digest)

    def read(self) -> None:
        key = urlsplit(self.path).path.rpartition("/")[2]
        if self.command == "DELETE":
            return self.answer(202 if self.server.deletes else 405)
        if key == "_catalog":
            return self.catalog()
        if key and key not in self.server.stored:
            return self.answer(404)
        body = self.server.stored.get(key, b"{}")
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if self.server.damaged and "/blobs/" in self.path:
            body = body[::-1]
        return self.answer(200, body, Docker_Content_Digest=digest)

    def catalog(self) -> None:
        names = ["another"] if self.server.forgetful else ["another", image.REPOSITORY]
        if "last=" in self.path:
            return self.answer(200, json.dumps({"repositories": names[1:]}).encode())
        more = '</v2/_catalog?last=another&n=1>; rel="next"'
        return self.answer(200, json.dumps({"repositories": names[:1]}).encode(), Link=more)

    def log_message(self, *args: object) -> None:
        """Tests have nothing to read there."""

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_request


def certificate(folder: Path, *, host: str = HOST, days: int = 356) -> tuple[str, Path]:
    """The CA, and a file with a leaf for `host` and its key; negative `days` ended that long ago."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{HOST} CA")])
    now = datetime.now(UTC)

    def builder(subject: x509.Name, public_key: ec.EllipticCurvePublicKey, end: datetime) -> x509.CertificateBuilder:
        made = x509.CertificateBuilder(issuer, subject, public_key, x509.random_serial_number())
        return made.not_valid_before(now - timedelta(days=400)).not_valid_after(end)

    ca = builder(issuer, ca_key.public_key(), now + timedelta(days=3650))
    ca = ca.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    ca = ca.add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
    signs = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    authority = ca.add_extension(signs, critical=True).sign(ca_key, hashes.SHA256())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    leaf = builder(subject, key.public_key(), now + timedelta(days=days, hours=1))
    leaf = leaf.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    signed = leaf.add_extension(identifier, critical=False).sign(ca_key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain = folder / f"{host}{days}.pem"
    chain.write_bytes(private + signed.public_bytes(pem))
    return authority.public_bytes(pem).decode(), chain


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def outputs(registry: Registry, tmp_path: Path) -> Outputs:
    """What a stack would say about that registry, which shows a certificate by the stack's CA."""
    ca_pem, chain = certificate(tmp_path)
    registry.speak_tls(chain)
    return Outputs(f"{HOST}:5000", ca_pem, "centos", PASSWORD, "docker-registry")


def visit(outputs: Outputs, registry: Registry) -> list[Check]:
    return list(verify(outputs, ("127.0.0.1", registry.port)))


def failure(checks: list[Check]) -> Check:
    assert [check.passed for check in checks] == [True] * (len(checks) - 1) + [False], "it ends at the first failure"
    assert checks[-1].remedy, "a failure says what to do"
    return checks[-1]


def test_a_sound_registry_passes_every_check_and_keeps_one_tiny_image(outputs: Outputs, registry: Registry) -> None:
    first, second = visit(outputs, registry), visit(outputs, registry)
    assert [check.title for check in first if not check.passed] == []
    assert first[-1].seen.startswith("deletion is off: "), "what stays behind is said"
    assert len([key for key in registry.stored if key.startswith("sha256:")]) == 3, "layer, config and manifest, once"
    assert [check.seen for check in first] == [check.seen for check in second]


def test_the_registry_is_addressed_by_its_name_wherever_it_is_connected_to(
    outputs: Outputs, registry: Registry
) -> None:
    visit(outputs, registry)
    assert registry.hosts == {f"{HOST}:5000"}


def test_where_deletion_is_on_nothing_stays_behind(outputs: Outputs, registry: Registry) -> None:
    registry.deletes = True
    assert visit(outputs, registry)[-1].seen == "deleted"


BREAKAGES: dict[str, tuple[Callable[[Registry], None], str, str]] = {
    "open": (lambda registry: setattr(registry, "password", None), "no password, no entry", "gets in"),
    "other_users": (lambda registry: setattr(registry, "password", "other"), "login", "401"),
    "full": (lambda registry: setattr(registry, "full", True), "push", "disk is full"),
    "damaged": (lambda registry: setattr(registry, "damaged", True), "pull", "other bytes"),
    "forgetful": (lambda registry: setattr(registry, "forgetful", True), "catalog", "not listed"),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_a_broken_registry_fails_at_what_is_broken(outputs: Outputs, registry: Registry, breakage: str) -> None:
    break_it, title, cause = BREAKAGES[breakage]
    break_it(registry)
    failed = failure(visit(outputs, registry))
    assert failed.title == title
    assert cause in failed.seen


def test_a_certificate_by_another_ca_is_an_x509_error(outputs: Outputs, registry: Registry, tmp_path: Path) -> None:
    other_ca, _ = certificate(tmp_path)
    failed = failure(visit(replace(outputs, ca_pem=other_ca), registry))
    assert failed.title == "TLS is accepted with the CA"
    assert failed.seen.startswith("x509: the certificate is not by the stack's CA")


@pytest.mark.parametrize(
    ("host", "days", "title", "seen"),
    [
        (HOST, -1, "TLS is accepted with the CA", "x509: the certificate has expired"),
        ("elsewhere", 356, "the certificate covers the host", f"x509: the certificate is not for {HOST}"),
    ],
)
def test_a_certificate_that_clients_refuse_is_named(
    registry: Registry, tmp_path: Path, host: str, days: int, title: str, seen: str
) -> None:
    ca_pem, chain = certificate(tmp_path, host=host, days=days)
    registry.speak_tls(chain)
    failed = failure(visit(Outputs(f"{HOST}:5000", ca_pem, "centos", PASSWORD, "docker-registry"), registry))
    assert (failed.title, failed.seen) == (title, seen)


def test_a_port_without_tls_is_said_to_be_one(registry: Registry) -> None:
    plain = Outputs(f"{HOST}:5000", "no CA needed", "centos", PASSWORD, "docker-registry")
    assert "does not speak TLS" in failure(visit(plain, registry)).seen


def test_a_host_without_an_address_is_no_such_host(outputs: Outputs) -> None:
    failed = failure(list(verify(replace(outputs, endpoint="registry.invalid:5000"))))
    assert (failed.title, failed.seen) == ("the name resolves", "no such host: registry.invalid")


def test_a_port_where_nobody_listens_refuses_the_connection(outputs: Outputs) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        failed = failure(list(verify(outputs, bound.getsockname())))
    assert failed.seen.startswith("connection refused")


def test_a_registry_that_never_answers_is_given_up(outputs: Outputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.checks.TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        failed = failure(list(verify(outputs, silent.getsockname())))
    assert failed.seen.startswith("timeout: no answer")


def test_every_request_is_bounded() -> None:
    assert client.TIMEOUT == 10


def test_no_password_is_shown_whatever_happens(outputs: Outputs, registry: Registry) -> None:
    assert PASSWORD not in repr(outputs)
    for breakage in (None, "full", "other_users"):
        if breakage:
            BREAKAGES[breakage][0](registry)
        shown = json.dumps([vars(check) for check in visit(outputs, registry)], ensure_ascii=False)
        assert PASSWORD not in shown
        assert base64.b64encode(f"centos:{PASSWORD}".encode()).decode() not in shown


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.168.56.10", ("192.168.56.10", 5000)),
        ("192.168.56.10:30500", ("192.168.56.10", 30500)),
        ("fd00::10", ("fd00::10", 5000)),
        ("[fd00::10]:30500", ("fd00::10", 30500)),
    ],
)
def test_an_address_may_name_a_port(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text, 5000) == address


def test_the_command_exits_0_or_1_and_prints_json(
    outputs: Outputs, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_line, "read_outputs", lambda _: outputs)
    call = ["verify", "--address", f"127.0.0.1:{registry.port}"]
    sound = CliRunner().invoke(command_line.app, [*call, "--json"])
    assert sound.exit_code == 0
    assert json.loads(sound.stdout)["passed"] is True
    registry.full = True
    broken = CliRunner().invoke(command_line.app, call)
    assert broken.exit_code == 1
    assert "✗  push" in broken.stdout
    assert PASSWORD not in sound.output + broken.output


def test_a_wrong_call_exits_2(outputs: Outputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_line, "read_outputs", lambda _: outputs)
    assert CliRunner().invoke(command_line.app, ["verify", "--address", "somewhere"]).exit_code == 2


def test_a_machine_without_pulumi_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["ops", "verify"])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == 2
    assert "no `pulumi` on PATH" in capsys.readouterr().err


def test_a_stack_that_is_not_up_yet_is_told_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    engine = tmp_path / "pulumi"
    engine.write_text("#!/bin/sh\necho '{}'\n")
    engine.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    with pytest.raises(Refusal, match=r"no output 'endpoint': bring it up with `pulumi up --stack dev`"):
        stack.read_outputs("dev")


def test_a_stack_whose_users_are_somebody_elses_says_that_it_knows_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"endpoint": "docker-registry:5000", "ca_pem": "", "username": "", "password": "", "namespace": "team"}
    monkeypatch.setattr(stack, "pulumi", lambda *_: json.dumps(known))
    with pytest.raises(stack.Refusal, match="its users come from a Secret of yours"):
        stack.read_outputs("dev")


def test_it_waits_for_something_to_answer_and_not_for_ever(outputs: Outputs) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        began = time.monotonic()
        wait_for_answer(outputs, server.getsockname(), 0.5)
        assert time.monotonic() - began >= 0.5, "bound, but nobody listens"
        later = threading.Timer(0.5, server.listen)
        later.start()
        began = time.monotonic()
        wait_for_answer(outputs, server.getsockname(), 60)
        assert 0.5 <= time.monotonic() - began < 30
        later.join()
