"""The place to measure in: an embedded cluster of its own, isolated, with a laptop to push from.

It shares nothing with the cluster `dev` or with the caller's Pulumi backend, and it is gone when the run ends.
"""

import fcntl
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from dev import cache
from dev.cluster import Cluster
from dev.console import Unmet, step
from dev.toolchain.engine import provide
from dev.workplace import PASSPHRASE, STATE, Workplace, workplace

NAME = "bench"
FOLDER = STATE / NAME
LOCK = STATE / f"{NAME}.lock"
ADDRESS = "192.168.56.10"
HOST = "docker-registry"
ENDPOINT = f"{HOST}:5000"
IMAGE = "busybox:1.35"
REPOSITORY = "/var/lib/docker-registry/repository"
PATIENCE = 30.0
"""Seconds until a registry that is deployed must take a push."""


class Failed(Exception):
    """A command that is measured, or cleans up, failed: no time of this run means anything."""


@dataclass(frozen=True)
class Lab:
    """The cluster, and the laptop's commands."""

    cluster: Cluster
    place: Workplace

    def run(self, *argv: str, stdin: str | None = None) -> str:
        """What the command prints on the laptop; it must succeed."""
        done = self.place.run(*argv, check=False, stdin=stdin)
        if done.returncode:
            raise Failed(f"`{' '.join(argv)}` failed with exit code {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    @property
    def ca(self) -> Path:
        """Where the laptop's Docker engine looks for the registry's CA."""
        return self.cluster.path("laptop", f"/etc/docker/certs.d/{ENDPOINT}/ca.crt")

    def push(self, password: str) -> None:
        """Log in and push as the user centos: again until it works, as nothing says that the address answers yet."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.run("docker", "login", ENDPOINT, "--username", "centos", "--password-stdin", stdin=password)
                self.run("docker", "push", f"{ENDPOINT}/{IMAGE}")
                return
            except Failed:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def forget(self) -> None:
        """Leave no image in the folder, no login and no CA, so that the next push is a first one."""
        shutil.rmtree(self.cluster.path("k8s-master", REPOSITORY), ignore_errors=True)
        self.run("docker", "logout", ENDPOINT)
        self.ca.unlink(missing_ok=True)


@contextmanager
def lab() -> Iterator[Lab]:
    """A cluster that is ready, and wiped however the block ends."""
    with _alone():
        cluster = Cluster(FOLDER, NAME, isolated=True)
        cluster.check()
        engine = provide()
        cluster.wipe()  # a run that was killed leaves its own
        try:
            with step("two nodes of Kubernetes, and a laptop"):
                cluster.up()
            found = Lab(cluster, _own(workplace(NAME, engine, cluster)))
            cluster.hosts_entry("laptop", ADDRESS, HOST)
            found.run("docker", "tag", IMAGE, f"{ENDPOINT}/{IMAGE}")
            yield found
        finally:
            with step("cluster wiped"):
                cluster.wipe()


@contextmanager
def _alone() -> Iterator[None]:
    """One benchmark at a time, or they would measure each other and share a cluster."""
    LOCK.parent.mkdir(exist_ok=True)
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unmet("Another benchmark is running in this clone: wait until it has ended.") from None
        yield


def _own(place: Workplace) -> Workplace:
    """A backend of the run's own, whatever the caller has, and the kubectl that starts fastest, to be fair."""
    if not shutil.which("openssl"):
        raise Unmet("openssl is missing, which makes the guide's certificate: apt-get install openssl")
    (FOLDER / "pulumi").mkdir(exist_ok=True)
    variables = {
        "PULUMI_BACKEND_URL": (FOLDER / "pulumi").as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
        "PYTHON": sys.executable,
        "KUBECTL": standalone_kubectl() or "kubectl",
    }
    return replace(place, variables={**place.variables, **variables})


def standalone_kubectl() -> str | None:
    """The machine's own kubectl: the embedded one is part of a binary of all Kubernetes, which starts 50 ms slower."""
    return shutil.which("kubectl", path=cache.without(os.environ.get("PATH", os.defpath)))
