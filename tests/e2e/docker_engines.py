"""Two Docker engines without a cluster: one stores images in containerd, the other one in Docker's classic store.

An engine that was updated from Docker 28 keeps the classic store. Each store has code of its own for pushes and pulls.
They run on this machine, in mount namespaces of their own.
"""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dev import loopback, packages
from dev.cluster.archive import create_archive
from dev.cluster.images import create_test_image
from dev.cluster.laptop import CONTAINERD_CONFIG
from dev.toolchain.build import build_programs

OPTIONS = (
    "--pidfile=",
    "--bridge=none",
    "--iptables=false",
    "--ip6tables=false",
    "--ip-forward=false",
    "--userland-proxy=false",
)
"""Options of both engines. They run no containers, and do not change the firewall of the machine."""

STORES = {
    "CONTAINERD_STORE": ("--feature=containerd-snapshotter=true",),
    "CLASSIC_STORE": (
        "--feature=containerd-snapshotter=false",
        "--containerd-namespace=classic",
        "--containerd-plugins-namespace=classic-plugins",
    ),
}
"""Options of each engine, by the variable with the address of its socket."""

NAME = "docker-registry"
"""Name of this machine for the engines. They would not verify the certificate of an address in 127.0.0.0/8."""

START_SCRIPT = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'


@contextmanager
def run_engines(folder: Path, ca_pem: str) -> Iterator[dict[str, str]]:
    """Run both engines with the image busybox:1.35 until the block ends. Yield the addresses of their sockets.

    `folder` has a short path, because Linux limits the path of a socket. Both engines trust only the CA.
    """
    built = build_programs(["containerd", "dockerd", "docker"])
    debian = packages.provide_packages()
    search_path = os.pathsep.join([*map(str, built.values()), debian.env["PATH"]])
    environment = {**debian.env, "PATH": search_path, "SSL_CERT_FILE": str(folder / "ca.pem"), "TMPDIR": str(folder)}
    (folder / "ca.pem").write_text(ca_pem)
    archive = create_archive(create_test_image(debian.find("busybox")), folder)
    (folder / "containerd.toml").write_text(_configure_containerd(folder))
    (folder / "daemon.json").write_text("{}")
    (folder / "hosts").write_text(f"0.0.0.0 {NAME}\n")
    log = folder / loopback.LOG
    addresses: dict[str, str] = {}
    with ExitStack() as stack:
        stack.enter_context(_run(folder, ["containerd", "--config", folder / "containerd.toml"], environment))
        loopback.wait_until((folder / "containerd.sock").exists, log)
        for name, options in STORES.items():
            data = folder / name.lower()
            engine_socket = data / "docker.sock"
            data.mkdir()
            argv = [
                "dockerd",
                *OPTIONS,
                *options,
                f"--config-file={folder / 'daemon.json'}",
                f"--containerd={folder / 'containerd.sock'}",
                f"--data-root={data}",
                f"--exec-root={data / 'run'}",
                f"--host=unix://{engine_socket}",
            ]
            stack.enter_context(_run(folder, argv, environment))
            loopback.wait_until(engine_socket.exists, log)  # the engine opens it when it is ready
            addresses[name] = f"unix://{engine_socket}"
            load = ["docker", "--host", addresses[name], "load", "--input", str(archive)]
            subprocess.run(load, env=environment, check=True, capture_output=True)
        yield addresses


def _configure_containerd(folder: Path) -> str:
    paths = f'root = "{folder}/containerd"\nstate = "{folder}/state"\n'
    return f'{paths}{CONTAINERD_CONFIG}[grpc]\naddress = "{folder}/containerd.sock"\n'


@contextmanager
def _run(folder: Path, argv: Sequence[str | Path], environment: Mapping[str, str]) -> Iterator[None]:
    """Run a daemon until the block ends, in a mount namespace with the file `hosts` as /etc/hosts."""
    start = ("unshare", "--mount", "--propagation=private", "sh", "-c", START_SCRIPT, "sh", folder / "hosts")
    with (folder / loopback.LOG).open("ab") as output:
        process = subprocess.Popen([*start, *argv], env=environment, stdout=output, stderr=output)
        try:
            yield
        finally:
            process.terminate()
            process.wait(loopback.STOP_TIMEOUT)
