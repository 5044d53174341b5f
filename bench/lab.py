"""The lab of the benchmarks: an embedded cluster without a link to this machine. Its laptop pushes images.

It shares nothing with the cluster `dev` and the user's Pulumi backend, and is deleted at the end of the run.
"""

import fcntl
import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from dev import cache
from dev.cluster import Cluster
from dev.cluster.plan import DOCKER_CERTIFICATES
from dev.console import step
from dev.environment import STATE, Environment, create_environment
from dev.errors import BenchmarkError, RequirementError
from dev.toolchain.engine import provide_engine

NAME = "bench"
STATE_FOLDER = STATE / NAME
LOCK = STATE / f"{NAME}.lock"
ADDRESS = "192.168.56.10"
HOST = "docker-registry"
ENDPOINT = f"{HOST}:5000"
IMAGE = "busybox:1.35"
STORAGE_PATH = "/var/lib/docker-registry/repository"
PUSH_TIMEOUT = 30.0
"""Seconds until a deployed registry must accept a push."""


@dataclass(frozen=True)
class Lab:
    """A running cluster, with the environment of commands on its laptop."""

    cluster: Cluster
    environment: Environment

    def run(self, *argv: str, stdin: str | None = None) -> str:
        """Run a command on the laptop and return its output. Raise `BenchmarkError` if it fails."""
        result = self.environment.run(*argv, check=False, stdin=stdin)
        if result.returncode:
            raise BenchmarkError(
                f"The command `{shlex.join(argv)}` failed with exit code {result.returncode}.",
                "The times of this run are invalid. Fix the cause and run the benchmark again.",
                details=(result.stdout + result.stderr).strip(),
            )
        return result.stdout

    @property
    def ca(self) -> Path:
        """Path of the registry's CA for the laptop's Docker engine."""
        return self.cluster.path("laptop", f"{DOCKER_CERTIFICATES}/{ENDPOINT}/ca.crt")

    def push(self, password: str) -> None:
        """Log in and push as the user centos. Retry until `PUSH_TIMEOUT`, as the registry may not be reachable yet."""
        deadline = time.monotonic() + PUSH_TIMEOUT
        while True:
            try:
                self.run("docker", "login", ENDPOINT, "--username", "centos", "--password-stdin", stdin=password)
                self.run("docker", "push", f"{ENDPOINT}/{IMAGE}")
                return
            except BenchmarkError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def reset(self) -> None:
        """Delete the pushed images, the login and the CA, so that the next push is a first one again."""
        shutil.rmtree(self.cluster.path("k8s-master", STORAGE_PATH), ignore_errors=True)
        self.run("docker", "logout", ENDPOINT)
        self.ca.unlink(missing_ok=True)


@contextmanager
def running_lab() -> Iterator[Lab]:
    """Start the cluster, and delete it at the end of the block, also after an error."""
    with _locked():
        cluster = Cluster(STATE_FOLDER, NAME, isolated=True)
        _require_openssl()
        cluster.check()
        engine = provide_engine()
        cluster.wipe()  # remove the leftovers of a killed run
        try:
            with step("two nodes of Kubernetes, and a laptop"):
                cluster.up()
            lab = Lab(cluster, _add_guide_programs(create_environment(NAME, engine, cluster)))
            cluster.set_hosts_entry("laptop", ADDRESS, HOST)
            lab.run("docker", "tag", IMAGE, f"{ENDPOINT}/{IMAGE}")
            yield lab
        finally:
            with step("cluster deleted"):
                cluster.wipe()


@contextmanager
def _locked() -> Iterator[None]:
    """Hold the lock of the benchmarks. Two at a time would share a cluster and slow each other down."""
    LOCK.parent.mkdir(exist_ok=True)
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RequirementError(
                "Another benchmark is running in this clone.", "Wait until it ends and run the same command again."
            ) from None
        yield


def _require_openssl() -> None:
    """Raise `RequirementError` if `openssl` is missing."""
    if not shutil.which("openssl"):
        raise RequirementError(
            "The command `openssl` is missing. It creates the guide's certificate.", "Install the package openssl."
        )


def _add_guide_programs(environment: Environment) -> Environment:
    """Return the environment with the programs that `guide.sh` calls by variables."""
    variables = {"PYTHON": sys.executable, "KUBECTL": find_standalone_kubectl() or "kubectl"}
    return replace(environment, variables={**environment.variables, **variables})


def find_standalone_kubectl() -> str | None:
    """Return the kubectl on PATH that is not the embedded one, or None.

    The embedded one starts 50 ms slower, as its binary contains all of Kubernetes.
    """
    return shutil.which("kubectl", path=cache.strip_from_path(os.environ.get("PATH", os.defpath)))
