"""Whose word counts in the end: the API server by a dry run, and Go, OpenSSL and Python as clients.

Each answers what it has against something, or "" if nothing. A warning counts like a refusal: it is how the API server
announces one.
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
DRY = "?dryRun=All&fieldValidation=Strict"
TOLD_BY_US_TOO = "spec.externalIPs is deprecated"
"""The one warning that is no refusal: the component says the same of the same versions."""

Object = dict[str, Any]


class ApiServer:
    """The lab's, asked from inside its network over a few connections that stay open."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    def asked(self, resource: Object) -> str:
        """Return the question whether this object may be created, as one text: where, and what."""
        group, _, version = resource["apiVersion"].rpartition("/")
        found = self._api.resource(resource["kind"])
        root = f"/apis/{group}/{version}" if group else f"/api/{version}"
        within = "/namespaces/default" if found.namespaced else ""
        return f"{root}{within}/{found.plural} {json.dumps(resource, sort_keys=True)}"

    def against(self, questions: Iterable[str]) -> dict[str, str]:
        """By the question that `asked` makes: what it says against creating it."""
        all_of_them = sorted(set(questions))
        shares = [all_of_them[start::CONNECTIONS] for start in range(CONNECTIONS)]
        with ThreadPoolExecutor(CONNECTIONS) as threads:
            answers = [answer for share in threads.map(self._ask, shares) for answer in share]
        return dict(answers)

    def _ask(self, share: Sequence[str]) -> list[tuple[str, str]]:
        connection = self._api.connect()
        try:
            return [(question, self._one(connection, *question.split(" ", 1))) for question in share]
        finally:
            connection.close()

    @staticmethod
    def _one(connection: HTTPSConnection, path: str, body: str) -> str:
        connection.request("POST", path + DRY, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        warnings = [each for each in answer.headers.get_all("Warning") or [] if TOLD_BY_US_TOO not in each]
        if answer.status in (201, 409):  # there already, so its name is right
            return "; ".join(warnings)
        return str(json.loads(content)["message"])


class Shown(NamedTuple):
    """What a server shows, with its key, to clients that trust `roots` and type each of `hosts`."""

    chain: str
    key: str
    roots: str
    hosts: tuple[str, ...]


def build_go(folder: Path) -> Path:
    """The program beside this file, which needs nothing but Go's own library."""
    module = Path(__file__).with_name("x509")
    go = golang.choose_go(module)
    go.ensure_installed()
    program = folder / "x509"
    go.output("build", "-o", str(program), ".", cwd=module)
    return program


def against_by_go(program: Path, cases: Sequence[Shown]) -> list[str]:
    """What crypto/x509 and crypto/tls say of each: that is Docker, containerd, podman, skopeo."""
    lines = "".join(
        json.dumps(dict(zip(("Chain", "Key", "Roots", "Hosts"), case, strict=True))) + "\n" for case in cases
    )
    done = subprocess.run([program], input=lines, capture_output=True, text=True, check=True)
    return [str(json.loads(line)) for line in done.stdout.splitlines()]


def against_by_python(case: Shown, folder: Path) -> str:
    """What OpenSSL says in a handshake with the flags that are Python's defaults from 3.13 on.

    And without the one of them that lets it stop at the first CA that it trusts, as OpenSSL does by default, if it can
    go on to a root.
    """
    stop = ssl.VERIFY_X509_PARTIAL_CHAIN
    flags = [ssl.VERIFY_X509_STRICT | stop] + ([ssl.VERIFY_X509_STRICT] if _ends_in_a_root(case.roots) else [])
    return next(filter(None, (_handshakes(case, folder, each) for each in flags)), "")


def _ends_in_a_root(pem: str) -> bool:
    last = x509.load_pem_x509_certificates(pem.encode())[-1]
    return last.issuer == last.subject


def _handshakes(case: Shown, folder: Path, flags: int) -> str:
    file = folder / "shown.pem"
    file.write_text(case.key + case.chain)
    try:
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(file)
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.verify_flags |= flags
        client.load_verify_locations(cadata=case.roots)
        for host in case.hosts:
            _shake_hands(client, server, host)
    except (ssl.SSLError, TypeError, ValueError) as error:  # of a NUL or an empty label in a host, say
        return str(error)
    return ""


def _shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> None:
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [client.wrap_bio(back, there, server_hostname=host), server.wrap_bio(there, back, server_side=True)]
    done = [False, False]
    while not all(done):
        for number, side in enumerate(sides):
            try:
                side.do_handshake()
                done[number] = True
            except ssl.SSLWantReadError:
                pass


def against_by_openssl(case: Shown, folder: Path) -> str:
    """What `openssl verify` says: the same library by its own command, and with its own reading of a file."""
    leaf, end, above = case.chain.partition("-----END CERTIFICATE-----\n")
    files = {"leaf": leaf + end, "above": above, "roots": case.roots}
    for name, text in files.items():
        (folder / name).write_text(text)
    between = ["-untrusted", str(folder / "above")] if above else []
    common = ["openssl", "verify", "-x509_strict", "-partial_chain", "-purpose", "sslserver", *between]
    for host in case.hosts:
        if "\0" in host:
            return "no command can say it"
        flag = "-verify_ip" if ":" in host or host.replace(".", "").isdigit() else "-verify_hostname"
        command = [*common, "-CAfile", str(folder / "roots"), flag, host, str(folder / "leaf")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return done.stderr
    return ""


def resource(api_version: str, kind: str, name: str, spec: Mapping[str, Any] | None = None, **more: Any) -> Object:
    """An object as the API server takes it."""
    metadata = {"name": name, **more.pop("metadata", {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **({"spec": spec} if spec else {}), **more}
