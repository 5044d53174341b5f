"""Judges of the rules: the API server with a dry run, and Go, OpenSSL and Python as TLS clients.

A judge returns its objection as text, or "". A warning of the API server counts as an objection, because it announces a
later refusal.
"""

import json
import ssl
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509

from dev.toolchain import golang
from tests.e2e.kube_api import KubeApi

CONNECTIONS = 2
DRY_RUN = "?dryRun=All&fieldValidation=Strict"
EXPECTED_WARNING = "spec.externalIPs is deprecated"
"""Text of the only warning that does not count. The component warns about the same versions of Kubernetes."""

Object = dict[str, Any]


class ApiServer:
    """The lab's API server, over a few open connections from inside the lab's network."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    def question(self, resource: Object) -> str:
        """Return one text with the path and the body of a request that creates the object."""
        group, _, version = resource["apiVersion"].rpartition("/")
        kind = self._api.resource(resource["kind"])
        root = f"/apis/{group}/{version}" if group else f"/api/{version}"
        namespace = "/namespaces/default" if kind.namespaced else ""
        return f"{root}{namespace}/{kind.plural} {json.dumps(resource, sort_keys=True)}"

    def objections(self, questions: Iterable[str]) -> dict[str, str]:
        """Return the objection to each text that `question` returned."""
        unique = sorted(set(questions))
        shares = [unique[start::CONNECTIONS] for start in range(CONNECTIONS)]
        with ThreadPoolExecutor(CONNECTIONS) as threads:
            answers = [answer for share in threads.map(self._post_all, shares) for answer in share]
        return dict(answers)

    def _post_all(self, share: Sequence[str]) -> list[tuple[str, str]]:
        connection = self._api.connect()
        try:
            return [(question, self._post(connection, *question.split(" ", 1))) for question in share]
        finally:
            connection.close()

    @staticmethod
    def _post(connection: HTTPSConnection, path: str, body: str) -> str:
        connection.request("POST", path + DRY_RUN, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read()
        headers = response.headers.get_all("Warning") or []
        warnings = [warning for warning in headers if EXPECTED_WARNING not in warning]
        if response.status in (201, 409):  # 409: the object exists, so its name is valid
            return "; ".join(warnings)
        return str(json.loads(content)["message"])


class ServedChain(NamedTuple):
    """A server's chain with its key, and clients that trust `roots` and connect to all `hosts`."""

    chain: str
    key: str
    roots: str
    hosts: tuple[str, ...]


def build_go_verifier(folder: Path) -> Path:
    """Build the Go program in `x509`, and return its path. It only needs Go's standard library."""
    module = Path(__file__).with_name("x509")
    go = golang.choose_go(module)
    go.ensure_installed()
    program = folder / "x509"
    go.output("build", "-o", str(program), ".", cwd=module)
    return program


def go_objections(program: Path, cases: Sequence[ServedChain]) -> list[str]:
    """Return the objections of crypto/x509 and crypto/tls, the libraries of Docker, containerd, podman and skopeo."""
    lines = "".join(
        json.dumps(dict(zip(("Chain", "Key", "Roots", "Hosts"), case, strict=True))) + "\n" for case in cases
    )
    done = subprocess.run([program], input=lines, capture_output=True, text=True, check=True)
    return [str(json.loads(line)) for line in done.stdout.splitlines()]


def python_objection(case: ServedChain, folder: Path) -> str:
    """Return OpenSSL's objection in a handshake with the default flags of Python 3.13.

    If the chain ends in a root, a second handshake runs without the flag for partial chains, as by OpenSSL's default.
    """
    partial_chain = ssl.VERIFY_X509_PARTIAL_CHAIN
    flags = [ssl.VERIFY_X509_STRICT | partial_chain] + ([ssl.VERIFY_X509_STRICT] if _ends_in_a_root(case.roots) else [])
    return next(filter(None, (_handshake_error(case, folder, each) for each in flags)), "")


def _ends_in_a_root(pem: str) -> bool:
    last = x509.load_pem_x509_certificates(pem.encode())[-1]
    return last.issuer == last.subject


def _handshake_error(case: ServedChain, folder: Path, flags: int) -> str:
    file = folder / "server.pem"
    file.write_text(case.key + case.chain)
    try:
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(file)
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.verify_flags |= flags
        client.load_verify_locations(cadata=case.roots)
        for host in case.hosts:
            _handshake(client, server, host)
    except (ssl.SSLError, TypeError, ValueError) as error:  # for example because of a NUL or an empty label in a host
        return str(error)
    return ""


def _handshake(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    peers = [
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    finished = [False, False]
    while not all(finished):
        for number, peer in enumerate(peers):
            try:
                peer.do_handshake()
                finished[number] = True
            except ssl.SSLWantReadError:
                pass


def openssl_objection(case: ServedChain, folder: Path) -> str:
    """Return the objection of `openssl verify`: the same library, but it reads the chain from a file."""
    leaf, end_marker, intermediates = case.chain.partition("-----END CERTIFICATE-----\n")
    files = {"leaf": leaf + end_marker, "intermediates": intermediates, "roots": case.roots}
    for name, text in files.items():
        (folder / name).write_text(text)
    untrusted = ["-untrusted", str(folder / "intermediates")] if intermediates else []
    common = ["openssl", "verify", "-x509_strict", "-partial_chain", "-purpose", "sslserver", *untrusted]
    for host in case.hosts:
        if "\0" in host:
            return "NUL in an argument"
        flag = "-verify_ip" if ":" in host or host.replace(".", "").isdigit() else "-verify_hostname"
        command = [*common, "-CAfile", str(folder / "roots"), flag, host, str(folder / "leaf")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return done.stderr
    return ""


def resource(api_version: str, kind: str, name: str, spec: Mapping[str, Any] | None = None, **more: Any) -> Object:
    """Return a Kubernetes object."""
    metadata = {"name": name, **more.pop("metadata", {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **({"spec": spec} if spec else {}), **more}
