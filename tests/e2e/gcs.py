"""Run an emulator of Google Cloud Storage outside the cluster, at Google's names, with a CA and a key of its own.

The emulator takes every request. HAProxy in front of it has the names and the certificate, gives out access tokens for
the key of one service account (RFC 7523), and refuses requests without a token. Both are daemons on the laptop.
"""

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from subprocess import CompletedProcess

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from dev import packages
from dev.cluster import Cluster, process
from dev.cluster.authority import write_private_file
from dev.cluster.plan import LAPTOP
from dev.cluster.process import Daemon
from dev.toolchain.build import build_program
from tests.e2e.s3 import curl, route_to_pods, write_certificate

NAMES = ("storage.googleapis.com", "www.googleapis.com", "oauth2.googleapis.com")
"""Names that the driver of the registry connects to."""

HOSTS = dict.fromkeys(NAMES, LAPTOP.address)
"""Addresses of the servers by name, for the DNS server of the Pods."""

EMULATOR, FRONT = "fake-gcs-server", "google"
"""Names of the daemons."""

PORT = 4443
"""Port of the emulator on the loopback address."""

HOME = "/var/lib/google"
"""Folder on the laptop with the certificate, the settings and the objects."""

SETTINGS = """
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend google
    bind {address}:443 ssl crt {home}/server.pem
    acl is_exchange path /token
    http-request wait-for-body time 5s if is_exchange
    http-request set-var(txn.token) req.body_param(assertion) if is_exchange
    http-request set-var(txn.token) http_auth_bearer unless is_exchange
    acl is_signed var(txn.token),jwt_verify("RS256","{home}/account.pem") -m int 1
    acl is_issued var(txn.token) -m str {token}
    http-request return status 200 content-type application/json file {home}/issued if is_exchange is_signed
    http-request return status 400 content-type application/json file {home}/no-grant if is_exchange
    http-request return status 401 content-type application/json file {home}/unknown unless is_signed or is_issued
    http-request set-header X-Forwarded-Proto https  # for the address of an upload
    default_backend emulator
backend emulator
    option http-server-close  # a request on a kept connection that the emulator closes would end in an EOF
    server emulator 127.0.0.1:{port}
"""
"""Settings of HAProxy. A request may have an issued token, or one that its client signed itself, as with Google."""

ANSWERS = {
    "no-grant": {"error": "invalid_grant", "error_description": "Invalid JWT Signature."},
    "unknown": {"error": {"code": 401, "message": "Invalid Credentials", "errors": [{"reason": "authError"}]}},
}
"""Google's answers to a key and to a token that it does not know, by the name of their file."""


def new_key() -> rsa.RSAPrivateKey:
    """Return a key of the service account."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True)
class Gcs:
    """The settings that a client of the server needs."""

    cluster: Cluster
    ca_pem: str
    bucket: str = "images"
    key: rsa.RSAPrivateKey = field(default_factory=new_key, repr=False)
    token: str = field(default_factory=lambda: f"ya29.{secrets.token_hex(16)}", repr=False)
    """The token that the front gives out. As with Google, it is good for an hour, also without its key."""

    def objects(self) -> list[str]:
        """Return the names of the bucket's objects."""
        done = self._curl(f"/storage/v1/b/{self.bucket}/o?maxResults=1000")
        return [item["name"] for item in json.loads(done.stdout).get("items", [])]

    def create_bucket(self) -> None:
        """Create the bucket, which must not exist."""
        body = json.dumps({"name": self.bucket})
        done = self._curl("/storage/v1/b?project=team", "--fail", "--json", body)
        assert done.returncode == 0, done.stderr

    def is_ready(self) -> bool:
        """Return whether the emulator answers."""
        return self._curl("/_internal/healthcheck", "--fail").returncode == 0

    def refuses(self) -> bool:
        """Return whether the front refuses a request without a token."""
        status = ("--output", "/dev/null", "--write-out", "%{http_code}")
        resolved = ("--resolve", f"{NAMES[0]}:443:{LAPTOP.address}", "--cacert", f"{HOME}/ca.crt")
        return curl(self.cluster, *resolved, *status, f"https://{NAMES[0]}/storage/v1/b").stdout == "401"

    def _curl(self, path: str, *options: str) -> CompletedProcess[str]:
        return curl(self.cluster, *options, f"http://127.0.0.1:{PORT}{path}")


@contextmanager
def serve(cluster: Cluster) -> Iterator[Gcs]:
    """Run the servers with an empty bucket until the block ends, then delete its objects. Hosts and Pods reach them."""
    home = cluster.path(LAPTOP.name, HOME)
    home.mkdir()
    gcs = Gcs(cluster, write_certificate(home, NAMES))
    write_private_file(home / "server.pem", (home / "server.crt").read_bytes() + (home / "server.key").read_bytes())
    route_to_pods(cluster)
    program = build_program(EMULATOR) / EMULATOR
    command = (str(program), "-scheme", "http", "-host", "127.0.0.1", "-port", str(PORT), "-backend", "memory")
    try:
        _run(gcs, Daemon(LAPTOP, EMULATOR, command), gcs.is_ready, {})
        gcs.create_bucket()
        start(gcs)
        yield gcs
    finally:
        stop(cluster)
        process.stop(cluster.plan, LAPTOP, EMULATOR)
        shutil.rmtree(home)


def start(gcs: Gcs) -> None:
    """Start the front, which knows the key of `gcs`."""
    home = gcs.cluster.path(LAPTOP.name, HOME)
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    (home / "account.pem").write_bytes(gcs.key.public_key().public_bytes(serialization.Encoding.PEM, form))
    issued = {"access_token": gcs.token, "token_type": "Bearer", "expires_in": 3600}
    write_private_file(home / "issued", json.dumps(issued).encode())
    for name, answer in ANSWERS.items():
        (home / name).write_text(json.dumps(answer))
    settings = SETTINGS.format(address=LAPTOP.address, home=HOME, token=gcs.token, port=PORT)
    write_private_file(home / "haproxy.cfg", settings.encode())
    haproxy = packages.provide_haproxy()
    command = (str(haproxy.find("haproxy")), "-db", "-f", f"{HOME}/haproxy.cfg")
    _run(gcs, Daemon(LAPTOP, FRONT, command), gcs.refuses, haproxy.env)


def stop(cluster: Cluster) -> None:
    """Stop the front. The objects stay."""
    process.stop(cluster.plan, LAPTOP, FRONT)


def _run(gcs: Gcs, daemon: Daemon, is_ready: Callable[[], bool], variables: Mapping[str, str]) -> None:
    process.start(gcs.cluster.plan, daemon, {"PATH": os.environ["PATH"], **variables})
    process.wait_until_ready(gcs.cluster.plan, daemon, is_ready)
