"""The laptop: a host with a Docker engine. `docker login`, push and pull run there as on a user's machine.

The engine creates no bridge and no NAT rules, so containers run with `--network host` or `none`.
"""

from http.client import HTTPConnection, HTTPException
from socket import AF_UNIX, socket

from dev.cluster.plan import LAPTOP, Plan
from dev.cluster.process import Daemon

CONTAINERD_CONFIG = """\
version = 3
oom_score = 0
disabled_plugins = [
  "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime",
  "io.containerd.nri.v1.nri",
]
"""


def define_containerd() -> Daemon:
    """Return the daemon containerd.

    It starts separately. A containerd that dockerd has started would survive a killed dockerd, and block the next one.
    """
    return Daemon(LAPTOP, "containerd", ("containerd",), {"/etc/containerd/config.toml": CONTAINERD_CONFIG})


def define_dockerd(plan: Plan) -> Daemon:
    argv = (
        "dockerd",
        "--containerd=/run/containerd/containerd.sock",
        f"--host=unix://{plan.docker_socket}",
        "--host=unix:///run/docker.sock",
        "--pidfile=",  # after a kill -9, the PID in a leftover file may be that of another process
        "--bridge=none",
        "--iptables=false",
        "--ip-forward=false",
        "--exec-opt=native.cgroupdriver=cgroupfs",
        f"--cgroup-parent={plan.cgroup(LAPTOP)}/docker",
        "--oom-score-adjust=0",
        "--shutdown-timeout=2",
    )
    return Daemon(LAPTOP, "dockerd", argv)


def is_dockerd_ready(plan: Plan) -> bool:
    connection = HTTPConnection("docker")
    connection.sock = socket(AF_UNIX)
    try:
        connection.sock.settimeout(5)
        connection.sock.connect(str(plan.docker_socket))
        connection.request("GET", "/_ping")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
