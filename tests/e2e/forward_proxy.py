"""Run a forwarding proxy with a login outside the cluster, as at the edge of a company's network.

The proxy is tinyproxy, and runs on the laptop. It is one Debian package without dependencies, asks for a login, and
logs every CONNECT. Squid needs 14 more packages. A proxy that the tests implement might not behave like real ones.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dev.cluster import Cluster, process
from dev.cluster.authority import write_private_file
from dev.cluster.plan import LAPTOP
from dev.cluster.process import Daemon
from tests.e2e.lab import unpack_package
from tests.e2e.s3 import route_to_pods

NAME = "tinyproxy"
PORT = 8888
HOME = "/var/lib/tinyproxy"


@dataclass(frozen=True)
class ForwardProxy:
    """A running proxy: its log, and the login that it asks for."""

    log: Path
    user: str = "ci"
    password: str = "hunter22"

    def url(self, password: str | None = None) -> str:
        """Return the URL with the login, or with another password."""
        return f"http://{self.user}:{password or self.password}@{LAPTOP.address}:{PORT}"

    def requests(self) -> list[str]:
        """Return method and target of every request, such as `CONNECT example.com:443`."""
        return re.findall(r"Request \(file descriptor \d+\): (\S+ \S+)", self.log.read_text())


@contextmanager
def serve(cluster: Cluster) -> Iterator[ForwardProxy]:
    """Run a proxy until the block ends. Pods can reach it, and it resolves names by the laptop's /etc/hosts."""
    home = cluster.path(LAPTOP.name, HOME)
    home.mkdir(exist_ok=True)
    proxy = ForwardProxy(home / "log")
    proxy.log.unlink(missing_ok=True)
    settings = [f"Port {PORT}", f"Listen {LAPTOP.address}", f'LogFile "{HOME}/log"', "LogLevel Info", "MaxClients 100"]
    settings.append(f"BasicAuth {proxy.user} {proxy.password}")
    write_private_file(home / "conf", "\n".join([*settings, ""]).encode())
    route_to_pods(cluster)
    program = unpack_package(NAME, "tinyproxy-bin").find(NAME)
    daemon = Daemon(LAPTOP, NAME, (str(program), "-d", "-c", f"{HOME}/conf"))
    process.start(cluster.plan, daemon, {"PATH": os.environ["PATH"]})
    try:
        process.wait_until_ready(cluster.plan, daemon, lambda: _listens(cluster))
        yield proxy
    finally:
        process.stop(cluster.plan, LAPTOP, NAME)


def _listens(cluster: Cluster) -> bool:
    connect = ("bash", "-c", f"> /dev/tcp/{LAPTOP.address}/{PORT}")
    return cluster.run(LAPTOP.name, connect, capture_output=True, check=False).returncode == 0
