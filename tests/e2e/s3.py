"""Run an S3 server outside the cluster, like one in a company's data centre, with its own CA.

It is a daemon on the laptop, so it stays up if a node goes down. It ends with the lab at the latest.
"""

import os
import secrets
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess

from dev.cluster import Cluster, process
from dev.cluster.authority import SERVER, Authority, write_private_file
from dev.cluster.plan import LAPTOP, NODES
from dev.cluster.process import Daemon
from dev.toolchain.build import build_program

NAME = "versitygw"
PORT = 7070
HOME = "/var/lib/s3"
"""Folder of the server on the laptop, with its keys, its certificate and its objects."""

BUCKET = "images"
WITH_KEYS_SCRIPT = 'set -a; . "$1"; shift; exec "$@"'
"""Script that runs a command with the variables in a file. On a command line, every user could read the keys."""


@dataclass(frozen=True)
class S3:
    """The settings that a client of the server needs, and the folder with the objects."""

    ca_pem: str
    folder: Path
    """Folder of the bucket on this machine, with one file for each object."""

    endpoint: str = f"https://{LAPTOP.address}:{PORT}"
    bucket: str = BUCKET
    region: str = "us-east-1"
    access_key: str = field(default_factory=lambda: secrets.token_hex(10))
    secret_key: str = field(default_factory=lambda: secrets.token_hex(20), repr=False)


@contextmanager
def serve(cluster: Cluster) -> Iterator[S3]:
    """Run a server with an empty bucket until the block ends, then delete its objects. Hosts and Pods reach it."""
    home = cluster.path(LAPTOP.name, HOME)
    home.mkdir()
    s3 = _prepare(home)
    route_to_pods(cluster)
    start(cluster, s3)
    try:
        yield s3
    finally:
        stop(cluster)
        shutil.rmtree(home)


def start(cluster: Cluster, s3: S3) -> None:
    """Start the server with the keys of `s3`."""
    keys = f"ROOT_ACCESS_KEY={s3.access_key}\nROOT_SECRET_KEY={s3.secret_key}\n"
    write_private_file(cluster.path(LAPTOP.name, HOME) / "keys", keys.encode())
    server = Daemon(LAPTOP, NAME, _command(s3))
    process.start(cluster.plan, server, {"PATH": os.environ["PATH"]})
    process.wait_until_ready(cluster.plan, server, lambda: _responds(cluster, s3))


def stop(cluster: Cluster) -> None:
    """Stop the server. Its objects stay."""
    process.stop(cluster.plan, LAPTOP, NAME)


@contextmanager
def frozen(cluster: Cluster) -> Iterator[None]:
    """Suspend the server until the block ends. Meanwhile it accepts connections, but answers nothing."""
    server, _ = cluster.plan.record(LAPTOP, NAME).read_text().split()
    os.kill(int(server), signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(int(server), signal.SIGCONT)


def _prepare(home: Path) -> S3:
    """Write the server's certificate, and create the folders of the bucket and of its metadata."""
    s3 = S3(write_certificate(home, (LAPTOP.address,)), home / "buckets" / BUCKET)
    s3.folder.mkdir(parents=True)
    (home / "metadata").mkdir()
    return s3


def _command(s3: S3) -> tuple[str, ...]:
    return (
        *("sh", "-c", WITH_KEYS_SCRIPT, "sh", f"{HOME}/keys"),
        *(str(build_program(NAME) / NAME), "--port", f"{LAPTOP.address}:{PORT}", "--region", s3.region),
        *("--cert", f"{HOME}/server.crt", "--key", f"{HOME}/server.key"),
        # An extended attribute of ext4 is too small for the parts of a layer of 6 GiB.
        *("posix", "--sidecar", f"{HOME}/metadata", f"{HOME}/buckets"),
    )


def write_certificate(home: Path, hosts: Sequence[str]) -> str:
    """Write `server.crt`, `server.key` and the `ca.crt` of a new CA into a server's folder, and return the CA, PEM."""
    authority = Authority.create(f"{home.name}-ca")
    authority.issue("server", home.name, (SERVER,), hosts).write(home)
    (home / "ca.crt").write_bytes(authority.pair.certificate_pem)
    return authority.pair.certificate_pem.decode()


def curl(cluster: Cluster, *arguments: str) -> CompletedProcess[str]:
    """Run curl on the laptop, for at most five seconds."""
    command = ("curl", "--silent", "--max-time", "5", *arguments)
    return cluster.run(LAPTOP.name, command, capture_output=True, text=True, check=False)


def route_to_pods(cluster: Cluster) -> None:
    """Add the laptop's routes to Pods, because packets of a Pod leave its node with the Pod's own address."""
    for node in NODES:
        cluster.run(LAPTOP.name, ["ip", "route", "replace", node.pods, "via", node.address], check=True)


def _responds(cluster: Cluster, s3: S3) -> bool:
    return curl(cluster, "--cacert", f"{HOME}/ca.crt", s3.endpoint).returncode == 0
