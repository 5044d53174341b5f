"""A lab: an embedded cluster of its own, isolated, so that it leaves alone whatever else is up on this machine.

Its registry is brought up once by the command that a person types. Every test finds it up and leaves it up. Tests run
in several labs side by side, one for each worker of pytest-xdist.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from dev import packages
from dev.cluster import Cluster, network, process
from dev.cluster.plan import LAPTOP, NODES, Host
from dev.cluster.process import Daemon
from dev.environment import PASSPHRASE, PROJECT, STATE, Environment
from dev.packages import Packages
from tests.e2e import stack_file, warm
from tests.e2e.kube_api import KubeApi, NotFound, Object

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
"""Number of the worker of pytest-xdist, "0" without workers."""

NAME = f"e2e-{hashlib.sha256(str(PROJECT).encode()).hexdigest()[:4]}-{WORKER}"
"""Name of this worker's lab: labs of two workers, and of two clones, do not meet."""

SOAK = os.environ.get("SOAK") == "1"
"""Whether the full counts run, with Kubernetes' own periods: `make soak`."""

UP = (
    *(sys.executable, "-m", "dev", "up", "--cluster", NAME, "--isolated"),
    *(["--default-periods"] if SOAK else []),
)
ENGINE = ("env", "PULUMI_EXPERIMENTAL=true", "PULUMI_SKIP_CHECKPOINTS=true", "pulumi", "--non-interactive")
"""The engine, which writes its state at the end alone: to write it with every step is a quarter of its work. `make up`,
and whatever is interrupted, runs without these variables."""

WITHOUT_BYTECODE = {"PIP_NO_COMPILE": "0"}
"""Variable that has pip leave the SDKs' thousands of modules uncompiled. Pip reads the value of `no-*` inverted."""

STACK = ("--stack", "dev")
ADDRESS = "192.168.56.10"
NAMESPACE = "docker-registry"
HOST_FOLDER = "/var/lib/docker-registry/repository"


def embedded_cluster() -> Cluster:
    """Return the cluster of this worker's lab, up or not."""
    return Cluster(STATE / NAME, NAME, isolated=True, default_periods=SOAK)


def warm_environment(cluster: Cluster, folder: Path) -> Path:
    """Make the virtual environment in `folder` and start its server on the laptop. It ends with the cluster."""
    python = folder / "bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!{sys.executable} -ISs\n{Path(warm.__file__).read_text()}")
    python.chmod(0o755)
    path = folder / warm.SOCKET
    server = Daemon(LAPTOP, "warm-python", (sys.executable, "-m", "tests.e2e.warm", str(path)))
    process.start(cluster.plan, server, {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT)})
    process.wait_until_ready(cluster.plan, server, path.exists)
    return folder


@dataclass(frozen=True)
class Lab:
    """The cluster and the stack `dev` on it, with the commands that a person would type on the laptop."""

    cluster: Cluster
    place: Environment
    config: Path
    api: KubeApi
    """The API server, for looks at the cluster that no person would type."""
    virtualenv: Path
    """The virtual environment in which the projects of tests run."""

    def pulumi(self, *arguments: str, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        where = () if "--cwd" in arguments else ("--cwd", str(self.config.parent))
        done = self.place.run(*ENGINE, *where, *arguments, check=False, stdin=stdin)
        assert done.returncode == 0 or not check, f"pulumi {arguments}\n{done.stdout}\n{done.stderr}"
        return done

    def up(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = self.pulumi(
            "up", "--yes", "--skip-preview", *STACK, "--config-file", str(self.config), *arguments, check=check
        )
        self.wait_for_proxies()
        return done

    def wait_for_proxies(self) -> None:
        """Wait until the nodes forward to each Service that has a ready Pod: kube-proxy hears of it a moment later."""
        ready = [pod for pod in self.api.objects("pods") if is_ready(pod)]
        for service in self.api.objects("services"):
            spec, namespace = service["spec"], service["metadata"]["namespace"]
            labels = (pod["metadata"]["labels"] for pod in ready if pod["metadata"]["namespace"] == namespace)
            if "selector" in spec and any(spec["selector"].items() <= each.items() for each in labels):
                ports = [each["port"] for each in spec["ports"] if each["protocol"] == "TCP"]
                for node, port in product(NODES, ports):
                    forwards = partial(self._accepts, node, spec["clusterIP"], port)
                    eventually(20, f"{node.name} forwards to {spec['clusterIP']}:{port}", forwards)

    def _accepts(self, node: Host, address: str, port: int) -> bool:
        """Whether a connection from the node to the address is accepted."""
        with suppress(OSError), network.connect(self.cluster.plan, node, port, address, timeout=1):
            return True
        return False

    def preview(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.pulumi("preview", *STACK, "--config-file", str(self.config), *arguments, check=check)

    def changes(self) -> dict[str, str]:
        """What the next `up` would do, by resource name, but for what stays as it is."""
        steps = json.loads(self.preview("--json").stdout)["steps"]
        return {step["urn"].rpartition("::")[2]: step["op"] for step in steps if step["op"] not in ("same", "read")}

    def outputs(self) -> dict[str, str]:
        return stack_file.read_outputs(self.place, "private-registry", "dev")

    @contextmanager
    def configured(self, secret: Mapping[str, str] | None = None, **changes: Any) -> Iterator[None]:
        """The stack's config with `changes`, until the block ends; the registry itself is not touched."""
        before = self.config.read_text()
        settings = yaml.safe_load(before)
        settings["config"] |= {f"private-registry:{key}": value for key, value in changes.items()}
        encrypted = stack_file.encrypt_config(self.place, settings["encryptionsalt"], secret or {})
        settings["config"] |= {f"private-registry:{key}": value for key, value in encrypted.items()}
        self.config.write_text(yaml.safe_dump(settings))
        try:
            yield
        finally:
            self.config.write_text(before)

    def kubectl(self, *arguments: str, check: bool = True) -> str:
        done = self.place.run("kubectl", *arguments, check=False)
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout

    def get(self, kind: str, name: str, namespace: str = NAMESPACE) -> Object:
        return self.api.get(kind, name, namespace)

    def docker(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return self.place.run("docker", *arguments, check=False, stdin=stdin)

    def trust(self, outputs: Mapping[str, str]) -> None:
        """Put the CA where the laptop's Docker engine looks."""
        self.cluster.path("laptop", f"/etc/docker/certs.d/{NAMESPACE}:5000/ca.crt").write_text(outputs["ca_pem"])

    def log_in(self, password: str) -> subprocess.CompletedProcess[str]:
        endpoint = f"{NAMESPACE}:5000"
        return self.docker("login", endpoint, "--username", "centos", "--password-stdin", stdin=password)

    def push(self, tag: str) -> str:
        """Push the test image as `tag`; the digest that the registry answered."""
        image = f"{NAMESPACE}:5000/{tag}"
        assert self.docker("tag", "busybox:1.35", image).returncode == 0
        pushed = self.docker("push", image)
        assert pushed.returncode == 0, pushed.stderr
        return pushed.stdout.rpartition("digest: ")[2].split()[0]

    def pull(self, tag: str) -> str:
        """Pull `tag` anew; the digest that came."""
        image = f"{NAMESPACE}:5000/{tag}"
        self.docker("image", "rm", image)
        pulled = self.docker("pull", image)
        assert pulled.returncode == 0, pulled.stderr
        return pulled.stdout.partition("Digest: ")[2].split()[0]

    def curl(self, path: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.place.run(
            "curl", "--silent", "--max-time", "10", *arguments, f"https://{NAMESPACE}:5000{path}", check=False
        )


@dataclass(frozen=True)
class Project:
    """A program of its own, with the component beside it, and its one stack, named like its folder."""

    lab: Lab
    folder: Path

    def run(self, *arguments: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        of_it = ("--cwd", str(self.folder), *arguments, "--stack", self.folder.name)
        return self.lab.pulumi(*of_it, stdin=stdin, check=check)

    def pulumi(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        return self.run(*arguments, stdin=stdin, check=check).stdout

    def up(self, *arguments: str) -> dict[str, Any]:
        """Deploy; the outputs, with secrets opened."""
        self.pulumi("up", "--yes", "--skip-preview", *arguments)
        self.lab.wait_for_proxies()
        return self.outputs()

    @property
    def name(self) -> str:
        return str(yaml.safe_load((self.folder / "Pulumi.yaml").read_text())["name"])

    def outputs(self) -> dict[str, Any]:
        """The outputs of the last update, with secrets opened."""
        return stack_file.read_outputs(self.lab.place, self.name, self.folder.name)

    def configure(self, secret: Mapping[str, Any] | None = None, **settings: Any) -> None:
        """Set the stack's config to just this."""
        file = self.folder / f"Pulumi.{self.folder.name}.yaml"
        kept = {key: value for key, value in yaml.safe_load(file.read_text()).items() if key != "config"}
        encrypted = stack_file.encrypt_config(self.lab.place, kept["encryptionsalt"], secret or {})
        config = {f"{self.folder.name}:{key}": value for key, value in (settings | encrypted).items()}
        file.write_text(yaml.safe_dump(kept | {"config": config}))

    def refused(self, command: str = "preview") -> str:
        """What a preview, or an update, says as it refuses."""
        done = self.run(command, *(("--yes", "--skip-preview") if command == "up" else ()), check=False)
        said = done.stdout + done.stderr
        assert done.returncode != 0, said
        assert "Traceback" not in said, said
        return said


@dataclass(frozen=True)
class Registry:
    """What a program of one registry put out, and a client on the laptop that talks to it."""

    project: Project
    outputs: dict[str, Any]
    at: str
    """Address and port by which the laptop reaches it."""

    def curl(self, path: str, *arguments: str, user: str | None = None) -> subprocess.CompletedProcess[str]:
        """A request by the name that clients type; as the first user, or as `user:password`, or as nobody for ``."""
        ca = self.project.folder / "ca.pem"
        ca.write_text(self.outputs["ca_pem"])
        login = f"{self.outputs['username']}:{self.outputs['password']}" if user is None else user
        endpoint = self.outputs["endpoint"]
        return self.project.lab.place.run(
            *["curl", "--silent", "--show-error", "--max-time", "30", "--cacert", str(ca)],
            *(["--user", login] if login else []),
            *["--connect-to", f"{endpoint}:{self.at}", *arguments, f"https://{endpoint}{path}"],
            check=False,
        )

    def status(self, path: str, *arguments: str, user: str | None = None) -> int:
        """The status of the answer; 0 without one."""
        quiet = ("--output", "/dev/null", "--write-out", "%{http_code}")
        return int(self.curl(path, *quiet, *arguments, user=user).stdout or 0)

    def push(self, repository: str, content: str = "a layer") -> str:
        """Push a blob in one request; its digest."""
        digest = f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"
        begun = self.curl(f"/v2/{repository}/blobs/uploads/", "--request", "POST", "--head")
        location = re.search(r"^location: (\S+)", begun.stdout, re.MULTILINE | re.IGNORECASE)
        assert location, begun.stdout + begun.stderr
        path = location[1].removeprefix(f"https://{self.outputs['endpoint']}")
        put = ("--request", "PUT", "--data-binary", content, "--header", "Content-Type: application/octet-stream")
        assert self.status(f"{path}&digest={digest}", *put) == 201
        return digest

    def has(self, repository: str, digest: str) -> bool:
        return self.status(f"/v2/{repository}/blobs/{digest}") == 200


def is_ready(each: Object) -> bool:
    """Whether a Pod or a Node is ready, and stays."""
    conditions = {condition["type"]: condition["status"] for condition in each["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in each["metadata"]


def lay_out(name: str, program: str | None, virtualenv: Path) -> Path:
    """A folder in the lab with the program, or else the example, that runs in the environment of the tests."""
    folder = STATE / NAME / name
    shutil.rmtree(folder, ignore_errors=True)
    described: dict[str, Any] = {"name": name}
    if program is None:
        shutil.copytree(PROJECT / "examples" / name, folder, ignore=shutil.ignore_patterns("registry", "Pulumi.*.yaml"))
        described = yaml.safe_load((folder / "Pulumi.yaml").read_text())
    else:
        folder.mkdir()
        (folder / "__main__.py").write_text(program)
    described["runtime"] = {"name": "python", "options": {"toolchain": "pip", "virtualenv": str(virtualenv)}}
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump(described))
    (folder / "registry").symlink_to(PROJECT / "registry")
    return folder


def checkout(name: str = "checkout") -> Path:
    """Lay out a folder of this lab that looks like the clone, for commands that write files beside the program."""
    folder = STATE / NAME / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for each in ("__main__.py", "Pulumi.yaml", "registry", "ops", "dev", "venv"):
        (folder / each).symlink_to(PROJECT / each)
    shutil.copy(PROJECT / "Pulumi.dev.yaml", folder)
    return folder


def warm_checkout(virtualenv: Path) -> Path:
    """Lay out such a folder for the tests' own runs of the stack `dev`."""
    folder = checkout("program")
    described = yaml.safe_load((folder / "Pulumi.yaml").read_text())
    described["runtime"]["options"]["virtualenv"] = str(virtualenv)
    (folder / "Pulumi.yaml").unlink()
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump(described))
    return folder


def marked(what: str, language: str, page: str = "README.md") -> str:
    """The one block of the page that a comment marks as run by a test."""
    text = (PROJECT / page).read_text()
    (block,) = re.findall(rf"<!-- a test runs {what} -->\n```{language}\n(.*?)```", text, re.DOTALL)
    return str(block)


def of_secret(lab: Lab, namespace: str, name: str) -> dict[str, str]:
    """What a Secret holds, as text."""
    data = lab.get("secret", name, namespace)["data"]
    return {key: b64decode(value).decode() for key, value in data.items()}


@cache
def unpacked(command: str, package: str) -> Packages:
    """Return where the command of a Debian package is. apt is asked once for each: it takes seconds to answer."""
    return packages.provide_packages({command: package})


def eventually(seconds: float, what: str, condition: Any, pause: float = 0.2) -> None:
    """Wait for `condition`, and fail with `what` if it does not come true in time. Without its object it is not."""
    deadline = time.monotonic() + seconds
    while True:
        with suppress(NotFound):
            if condition():
                return
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(pause)


@contextmanager
def projects(lab: Lab) -> Iterator[Callable[..., Project]]:
    """Makes a project of a name and a program, or of the example of that name; destroyed when the block ends."""
    made: list[Project] = []

    def make(name: str, program: str | None = None) -> Project:
        made.append(Project(lab, lay_out(name, program, lab.virtualenv)))
        if lab.place.variables["PULUMI_CONFIG_PASSPHRASE"] == PASSPHRASE:
            # With one salt for all stacks, a worker derives one key: each costs it a million rounds of SHA-256.
            salt = yaml.safe_load((PROJECT / "Pulumi.dev.yaml").read_text())["encryptionsalt"]
            (made[-1].folder / f"Pulumi.{name}.yaml").write_text(yaml.safe_dump({"encryptionsalt": salt}))
            stack_file.create(lab.place, made[-1].name, name)
        else:
            made[-1].pulumi("stack", "init")
        return made[-1]

    yield make
    for each in made:
        each.pulumi("destroy", "--yes", "--skip-preview")
        # As `pulumi stack rm` does, without an engine's start.
        shutil.rmtree(stack_file.path(lab.place, each.name, each.folder.name).parent)
