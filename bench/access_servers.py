"""The compared registries of the benchmark `access`: without authentication, with htpasswd, and with the proxy."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import psutil

from bench.registries import PROJECT
from bench.registry_client import REPOSITORY, Client, basic
from dev.cluster.authority import SERVER, Authority
from dev.loopback import CONFIGURATION, LOG, free_port, processor_seconds, resident_memory, run_servers, wait_until
from dev.packages import provide_haproxy
from dev.toolchain.programs import PROGRAMS
from registry.access import WATCH_SCRIPT, resolve_access
from registry.access.haproxy import Endpoints, KeyPair, Logging, files
from registry.distribution import render
from registry.settings import AccessSettings
from registry.users import hash_passwords, htpasswd

WRITER, READER, UNKNOWN = "jean", "marie", "unknown"
"""Names of two users, and a name that no user has.

The writer pushes, with a generated or a chosen password. The reader always has a generated password."""

SETTINGS = AccessSettings(
    users=[WRITER, READER],
    access=[
        {"users": [WRITER], "repositories": ["team/**"], "rights": ["push"]},
        {"users": ["authenticated"], "repositories": ["team/**"], "rights": ["pull"]},
    ],
    anonymous_pull=[],
    robots={"pipeline": {"repositories": [REPOSITORY], "rights": ["push"]}},
    pull_secrets=[],
    pull_secret_repositories=[],
    password_generations={},
)
"""Rules like those of docs/access.md."""

PASSWORDS = {name: f"{name}-{'x' * 32}" for name in (WRITER, READER, "pipeline")}

SALT = "abcdefghijklmnopqrstu"
"""Salt of all bcrypt hashes."""


IN_MEMORY = Path("/dev/shm")


class Setup(NamedTuple):
    """A setup of the registry to compare: how it authenticates users.

    Attributes:
        title: Name in the tables.
        has_users: Whether requests need a login.
        has_proxy: Whether the proxy authenticates users, and not the registry.
        chosen: Users with a chosen password. Other passwords are generated.
        is_slow: Whether a request takes so long that fewer of them are measured.
    """

    title: str
    has_users: bool
    has_proxy: bool = False
    chosen: tuple[str, ...] = ()
    is_slow: bool = False


DIRECT = Setup("no authentication", has_users=False)
HTPASSWD = Setup("htpasswd, generated password", has_users=True)
HTPASSWD_CHOSEN = Setup("htpasswd, chosen password", has_users=True, chosen=(WRITER,), is_slow=True)
ACCESS = Setup("`access`, generated password", has_users=True, has_proxy=True)
ACCESS_CHOSEN = Setup("`access`, chosen password", has_users=True, has_proxy=True, chosen=(WRITER,))
SETUPS = (DIRECT, HTPASSWD, HTPASSWD_CHOSEN, ACCESS, ACCESS_CHOSEN)


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    """Yield a new folder for servers. It is in memory if the machine has /dev/shm, so that no disk is measured."""
    with TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder:
        yield Path(folder)


def describe_servers() -> str:
    """Return the versions of the registry and of the proxy."""
    haproxy = provide_haproxy()
    banner = subprocess.run(
        [haproxy.find("haproxy"), "-v"], env=haproxy.env, check=True, capture_output=True, text=True
    )
    return f"CNCF Distribution {PROGRAMS['registry'].version}, HAProxy {banner.stdout.split()[2]}"


@dataclass(frozen=True)
class Server:
    """A running registry, with its proxy if it has one."""

    setup: Setup
    address: str
    folder: Path
    processes: list[psutil.Process]

    def client(self, user: str = WRITER) -> Client:
        """Return a client with the login of `user`. It sends the login only if the registry asks for it."""
        return Client(self.address, basic(user, PASSWORDS[user]))

    def is_ready(self) -> bool:
        """Return whether the registry answers. Raise OSError if the connection is refused."""
        client = self.client()
        with closing(client.connect()) as connection:
            return client.send(connection, "GET", "/", (200, 503)).status == 200

    def processor_seconds(self) -> float:
        return processor_seconds(self.processes)

    def memory(self) -> float:
        """Return the bytes of memory of all processes."""
        return resident_memory(self.processes)

    def delete_blob(self, digest: str) -> None:
        """Delete the folder of a blob, because a large one takes much memory."""
        hexadecimal = digest.removeprefix("sha256:")
        shutil.rmtree(self.folder / "images/docker/registry/v2/blobs/sha256" / hexadecimal[:2] / hexadecimal)


@contextmanager
def running_server(setup: Setup, folder: Path) -> Iterator[Server]:
    """Run the registry, and its proxy if it has one, until the block ends. All files are in `folder`."""
    folder.mkdir()
    address = f"127.0.0.1:{free_port()}"
    for name, content in _files(setup, address, folder).items():
        (folder / name).write_text(content)
    watch_script = PROJECT / "registry/access" / WATCH_SCRIPT if setup.has_proxy else None
    with run_servers(folder, watch_script) as processes:
        server = Server(setup, address, folder, processes)
        wait_until(server.is_ready, folder / LOG)
        yield server


def _files(setup: Setup, address: str, folder: Path) -> Mapping[str, str]:
    """Return the files that the component would create."""
    access = resolve_access(SETTINGS)
    pair = Authority.create("bench").issue("server", "docker-registry", [SERVER], ["docker-registry"])
    key_pair = KeyPair(pair.certificate_pem.decode(), pair.key_pem.decode())
    hashes = hash_passwords(PASSWORDS, dict.fromkeys(setup.chosen, ""), dict.fromkeys(access.logins, SALT))
    if setup.has_proxy:
        endpoints = Endpoints(address, str(folder / "registry.sock"), str(folder))
        registry = _registry_file(folder, {"net": "unix", "addr": endpoints.registry}, has_log=False)
        logging = Logging("info", "json")
        return {**files(endpoints, logging, key_pair, PASSWORDS, hashes, "a key", access), CONFIGURATION: registry}
    tls = {"certificate": f"{folder}/server.crt", "key": f"{folder}/server.key"}
    http = {"addr": address, "tls": tls}
    auth = {"auth": {"htpasswd": {"realm": "registry", "path": f"{folder}/htpasswd"}}} if setup.has_users else {}
    return {
        "server.crt": key_pair.certificate,
        "server.key": key_pair.key,
        "htpasswd": htpasswd(hashes),
        CONFIGURATION: _registry_file(folder, http, auth, has_log=True),
    }


def _registry_file(
    folder: Path, http: Mapping[str, Any], auth: Mapping[str, Any] | None = None, *, has_log: bool
) -> str:
    """Return the configuration of the registry. `has_log` is False if the proxy logs the requests."""
    log: dict[str, Any] = {"level": "info", **({} if has_log else {"accesslog": {"disabled": True}})}
    storage = {"filesystem": {"rootdirectory": str(folder / "images")}, "delete": {"enabled": True}}
    http = {**http, "secret": "fixed", "http2": {"disabled": True}}
    return render({"version": "0.1", "log": log, "storage": storage, "http": http, **(auth or {})})
