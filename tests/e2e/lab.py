"""A lab: an isolated embedded cluster, which does not touch other clusters on this machine.

`make up` deploys its registry once, and every test leaves that registry running. Tests run in several labs side by
side, one for each worker of pytest-xdist.
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
from concurrent.futures import ThreadPoolExecutor
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
"""Name of this worker's lab, which no other worker and no other clone uses."""

SOAK = os.environ.get("SOAK") == "1"
"""Whether `make soak` runs the tests, with full counts and Kubernetes' default periods."""

UP = (
    *(sys.executable, "-m", "dev", "up", "--cluster", NAME, "--isolated"),
    *(["--default-periods"] if SOAK else []),
)
"""Command of `make up`, for this worker's lab."""

ENGINE = ("env", "PULUMI_EXPERIMENTAL=true", "PULUMI_SKIP_CHECKPOINTS=true", "pulumi", "--non-interactive")
"""Command of the engine. With its variables the engine writes its state only at the end, which saves a quarter of its
work. `make up`, and every command that a test interrupts, runs without these variables."""

WITHOUT_BYTECODE = {"PIP_NO_COMPILE": "0"}
"""Variable that stops pip from compiling the SDKs' thousands of modules. Pip inverts the value of `no-*` options."""

STACK = ("--stack", "dev")
"""Options of the stack that `make up` deploys."""

ADDRESS = "192.168.56.10"
"""Address of k8s-master. Most tests expose their registry there, and Pulumi.dev.yaml has it as external IP."""

NAMESPACE = "docker-registry"
"""Namespace of the stack `dev`. Its Pod, its Service and its hostname have the same name."""

STORAGE_PATH = "/var/lib/docker-registry/repository"
"""Folder of the images on the node."""


def embedded_cluster() -> Cluster:
    """Return the cluster of this worker's lab, even if it is not up."""
    return Cluster(STATE / NAME, NAME, isolated=True, default_periods=SOAK)


def warm_environment(cluster: Cluster, folder: Path) -> Path:
    """Create the virtual environment of `warm.py` in `folder`, and start its server, which ends with the cluster."""
    python = folder / "bin/python"
    python.parent.mkdir(parents=True)
    # With these options Python starts faster: it reads no variables and no site-packages.
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
    environment: Environment
    config: Path
    api: KubeApi
    """Client for reads that are not a command of a person."""
    virtualenv: Path
    """Virtual environment for the projects of tests."""

    def pulumi(self, *arguments: str, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        directory = () if "--cwd" in arguments else ("--cwd", str(self.config.parent))
        done = self.environment.run(*ENGINE, *directory, *arguments, check=False, stdin=stdin)
        assert done.returncode == 0 or not check, f"pulumi {arguments}\n{done.stdout}\n{done.stderr}"
        return done

    def up(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = self.pulumi(
            "up", "--yes", "--skip-preview", *STACK, "--config-file", str(self.config), *arguments, check=check
        )
        self.wait_for_kube_proxies()
        return done

    def wait_for_kube_proxies(self) -> None:
        """Wait until the nodes forward to each Service with a ready Pod. kube-proxy needs a moment for a new Pod."""
        ready = [pod for pod in self.api.objects("pods") if is_ready(pod)]
        for service in self.api.objects("services"):
            spec, namespace = service["spec"], service["metadata"]["namespace"]
            labels = (pod["metadata"]["labels"] for pod in ready if pod["metadata"]["namespace"] == namespace)
            if "selector" in spec and any(spec["selector"].items() <= pod_labels.items() for pod_labels in labels):
                ports = [port["port"] for port in spec["ports"] if port["protocol"] == "TCP"]
                for node, port in product(NODES, ports):
                    forwards = partial(self._accepts, node, spec["clusterIP"], port)
                    eventually(20, f"{node.name} forwards to {spec['clusterIP']}:{port}", forwards)

    def _accepts(self, node: Host, address: str, port: int) -> bool:
        """Return whether the address accepts a connection from the node."""
        with suppress(OSError), network.connect(self.cluster.plan, node, port, address, timeout=1):
            return True
        return False

    def delete_namespace(self, name: str) -> None:
        """Kill the Pods of a namespace, if it exists, and begin to delete it."""
        self.kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")
        self.kubectl("delete", "pods", "--all", "--namespace", name, "--force", "--grace-period=0", "--wait=false")

    def preview(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.pulumi("preview", *STACK, "--config-file", str(self.config), *arguments, check=check)

    def planned_changes(self) -> dict[str, str]:
        """Return the operations of the next `up` by resource name, without unchanged resources."""
        steps = json.loads(self.preview("--json").stdout)["steps"]
        return {step["urn"].rpartition("::")[2]: step["op"] for step in steps if step["op"] not in ("same", "read")}

    def outputs(self) -> dict[str, str]:
        """Return the outputs of the stack `dev` with decrypted secrets."""
        return stack_file.read_outputs(self.environment, "private-registry", "dev")

    @contextmanager
    def changed_config(self, secret: Mapping[str, str] | None = None, **changes: Any) -> Iterator[None]:
        """Change the stack's config until the block ends, without deploying it. `secret` is encrypted."""
        original = self.config.read_text()
        settings = yaml.safe_load(original)
        settings["config"] |= {f"private-registry:{key}": value for key, value in changes.items()}
        encrypted = stack_file.encrypt_config(self.environment, settings["encryptionsalt"], secret or {})
        settings["config"] |= {f"private-registry:{key}": value for key, value in encrypted.items()}
        self.config.write_text(yaml.safe_dump(settings))
        try:
            yield
        finally:
            self.config.write_text(original)

    def kubectl(self, *arguments: str, check: bool = True) -> str:
        done = self.environment.run("kubectl", *arguments, check=False)
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout

    def get(self, kind: str, name: str, namespace: str = NAMESPACE) -> Object:
        return self.api.get(kind, name, namespace)

    def kill_registry(self, namespace: str = NAMESPACE, target: str = NAMESPACE) -> None:
        """End process 1 of the registry's container, which then starts again."""
        # The command may fail, because it ends with process 1.
        self.kubectl("exec", "--namespace", namespace, target, "--", "kill", "1", check=False)

    def docker(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return self.environment.run("docker", *arguments, check=False, stdin=stdin)

    def trust(self, outputs: Mapping[str, str]) -> None:
        """Make the laptop's Docker engine trust the CA."""
        self.cluster.path("laptop", f"/etc/docker/certs.d/{NAMESPACE}:5000/ca.crt").write_text(outputs["ca_pem"])

    def log_in(self, password: str) -> subprocess.CompletedProcess[str]:
        endpoint = f"{NAMESPACE}:5000"
        return self.docker("login", endpoint, "--username", "centos", "--password-stdin", stdin=password)

    def push(self, tag: str) -> str:
        """Push the image busybox:1.35 as `tag`, and return the digest from the registry."""
        image = f"{NAMESPACE}:5000/{tag}"
        assert self.docker("tag", "busybox:1.35", image).returncode == 0
        pushed = self.docker("push", image)
        assert pushed.returncode == 0, pushed.stderr
        return pushed.stdout.rpartition("digest: ")[2].split()[0]

    def pull(self, tag: str) -> str:
        """Delete the local image and pull `tag`. Return the digest."""
        image = f"{NAMESPACE}:5000/{tag}"
        self.docker("image", "rm", image)
        pulled = self.docker("pull", image)
        assert pulled.returncode == 0, pulled.stderr
        return pulled.stdout.partition("Digest: ")[2].split()[0]

    def curl(self, path: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.environment.run(
            "curl", "--silent", "--max-time", "10", *arguments, f"https://{NAMESPACE}:5000{path}", check=False
        )


@dataclass(frozen=True)
class Project:
    """A program in a folder with the component. Its only stack has the folder's name."""

    lab: Lab
    folder: Path

    def run(self, *arguments: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of pulumi for the stack, and return the finished process."""
        all_arguments = ("--cwd", str(self.folder), *arguments, "--stack", self.folder.name)
        return self.lab.pulumi(*all_arguments, stdin=stdin, check=check)

    def pulumi(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Run a command of pulumi for the stack, and return its standard output."""
        return self.run(*arguments, stdin=stdin, check=check).stdout

    def up(self, *arguments: str) -> dict[str, Any]:
        """Deploy, and return the outputs with decrypted secrets."""
        self.pulumi("up", "--yes", "--skip-preview", *arguments)
        self.lab.wait_for_kube_proxies()
        return self.outputs()

    @property
    def name(self) -> str:
        return str(yaml.safe_load((self.folder / "Pulumi.yaml").read_text())["name"])

    def outputs(self) -> dict[str, Any]:
        """Return the outputs of the last update with decrypted secrets."""
        return stack_file.read_outputs(self.lab.environment, self.name, self.folder.name)

    def configure(self, secret: Mapping[str, Any] | None = None, **settings: Any) -> None:
        """Replace the stack's config. The values in `secret` are encrypted."""
        file = self.folder / f"Pulumi.{self.folder.name}.yaml"
        other_fields = {key: value for key, value in yaml.safe_load(file.read_text()).items() if key != "config"}
        encrypted = stack_file.encrypt_config(self.lab.environment, other_fields["encryptionsalt"], secret or {})
        config = {f"{self.folder.name}:{key}": value for key, value in (settings | encrypted).items()}
        file.write_text(yaml.safe_dump(other_fields | {"config": config}))

    def declare_config(self) -> None:
        """Declare the config keys of the repository's program, with their types and defaults."""
        declared_config = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())["config"]
        file = self.folder / "Pulumi.yaml"
        file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"config": declared_config}))

    def expect_refusal(self, command: str = "preview") -> str:
        """Return the output of a preview or an update that must fail without a traceback."""
        done = self.run(command, *(("--yes", "--skip-preview") if command == "up" else ()), check=False)
        output = done.stdout + done.stderr
        assert done.returncode != 0, output
        assert "Traceback" not in output, output
        return output


@dataclass(frozen=True)
class Registry:
    """The outputs of a program with one registry, and a client of it on the laptop."""

    project: Project
    outputs: dict[str, Any]
    address: str
    """Address and port that the laptop connects to."""

    def curl(self, path: str, *arguments: str, user: str | None = None) -> subprocess.CompletedProcess[str]:
        """Send a request as the first user, as `user` ("name:password"), or without a login if `user` is ""."""
        ca = self.project.folder / "ca.pem"
        ca.write_text(self.outputs["ca_pem"])
        login = f"{self.outputs['username']}:{self.outputs['password']}" if user is None else user
        endpoint = self.outputs["endpoint"]
        return self.project.lab.environment.run(
            *["curl", "--silent", "--show-error", "--max-time", "30", "--cacert", str(ca)],
            *(["--user", login] if login else []),
            *["--connect-to", f"{endpoint}:{self.address}", *arguments, f"https://{endpoint}{path}"],
            check=False,
        )

    def status(self, path: str, *arguments: str, user: str | None = None) -> int:
        """Return the status of the response, or 0 without a response."""
        status_only = ("--output", "/dev/null", "--write-out", "%{http_code}")
        return int(self.curl(path, *status_only, *arguments, user=user).stdout or 0)

    def push(self, repository: str, content: str = "a layer") -> str:
        """Push a blob, with its content in one request, and return its digest."""
        digest = f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"
        path = self.start_upload(repository)
        put = ("--request", "PUT", "--data-binary", content, "--header", "Content-Type: application/octet-stream")
        assert self.status(f"{path}&digest={digest}", *put) == 201
        return digest

    def start_upload(self, repository: str) -> str:
        """Start the upload of a blob, and return its path with the query."""
        response = self.curl(f"/v2/{repository}/blobs/uploads/", "--request", "POST", "--head")
        location = read_location(response.stdout + response.stderr)
        return location.removeprefix(f"https://{self.outputs['endpoint']}")

    def has(self, repository: str, digest: str) -> bool:
        """Return whether the registry serves the blob."""
        return self.status(f"/v2/{repository}/blobs/{digest}") == 200

    def ops(self, *arguments: str, connects: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of `ops` for this registry, in the folder of its program.

        A command that connects to the registry needs its address, because its name does not resolve.
        """
        folder = self.project.folder
        if not (folder / "ops").exists():
            (folder / "ops").symlink_to(PROJECT / "ops")
        address = ("--address", self.address) if connects else ()
        python = str(self.project.lab.virtualenv / "bin/python")
        command = (python, "-m", "ops", *arguments, "--stack", folder.name, *address)
        return self.project.lab.environment.run("env", "--chdir", str(folder), *command, check=False)


def run_up() -> subprocess.CompletedProcess[str]:
    """Run `make up` for this worker's lab. Fail with its output if it fails."""
    done = subprocess.run(UP, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done


def read_location(response: str) -> str:
    """Return the header `Location` of a response with headers."""
    match = re.search(r"^location: (\S+)", response, re.MULTILINE | re.IGNORECASE)
    assert match, response
    return match[1]


def is_ready(pod_or_node: Object) -> bool:
    """Return whether a Pod or a Node is ready and is not being deleted."""
    conditions = {condition["type"]: condition["status"] for condition in pod_or_node["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod_or_node["metadata"]


def create_program_folder(name: str, program: str | None, virtualenv: Path) -> Path:
    """Create a folder in the lab with the program, or with the example of that name if `program` is None."""
    folder = STATE / NAME / name
    shutil.rmtree(folder, ignore_errors=True)
    project_file: dict[str, Any] = {"name": name}
    if program is None:
        shutil.copytree(PROJECT / "examples" / name, folder, ignore=shutil.ignore_patterns("registry", "Pulumi.*.yaml"))
        project_file = yaml.safe_load((folder / "Pulumi.yaml").read_text())
    else:
        folder.mkdir()
        (folder / "__main__.py").write_text(program)
    project_file["runtime"] = {"name": "python", "options": {"toolchain": "pip", "virtualenv": str(virtualenv)}}
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump(project_file))
    (folder / "registry").symlink_to(PROJECT / "registry")
    return folder


def checkout(name: str = "checkout") -> Path:
    """Create a folder in the lab that looks like the clone, for commands that write files next to the program."""
    folder = STATE / NAME / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for entry in ("__main__.py", "Pulumi.yaml", "registry", "ops", "dev", "venv"):
        (folder / entry).symlink_to(PROJECT / entry)
    shutil.copy(PROJECT / "Pulumi.dev.yaml", folder)
    return folder


def warm_checkout(virtualenv: Path) -> Path:
    """Create a checkout whose program runs in the warm environment, for the stack `dev`."""
    folder = checkout("program")
    project_file = yaml.safe_load((folder / "Pulumi.yaml").read_text())
    project_file["runtime"]["options"]["virtualenv"] = str(virtualenv)
    (folder / "Pulumi.yaml").unlink()
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump(project_file))
    return folder


def marked_block(name: str, language: str, page: str = "README.md") -> str:
    """Return the only block of the page with the comment "a test runs NAME"."""
    text = (PROJECT / page).read_text()
    (block,) = re.findall(rf"<!-- a test runs {name} -->\n```{language}\n(.*?)```", text, re.DOTALL)
    return str(block)


def read_secret(lab: Lab, namespace: str, name: str) -> dict[str, str]:
    """Return the decoded data of a Secret."""
    data = lab.get("secret", name, namespace)["data"]
    return {key: b64decode(value).decode() for key, value in data.items()}


@cache
def unpack_package(command: str, package: str) -> Packages:
    """Return the location of `command`. Download its Debian package if the machine lacks the command.

    The result is cached, because apt takes seconds.
    """
    return packages.provide_packages({command: package})


def eventually(seconds: float, description: str, condition: Any, pause: float = 0.2) -> None:
    """Wait until `condition` returns true. Fail with its description after `seconds`.

    A `NotFound` error counts as false. `pause` is the number of seconds between two calls.
    """
    deadline = time.monotonic() + seconds
    while True:
        with suppress(NotFound):
            if condition():
                return
        assert time.monotonic() < deadline, f"Not within {seconds} s: {description}."
        time.sleep(pause)


@contextmanager
def projects(lab: Lab) -> Iterator[Callable[..., Project]]:
    """Yield a function that creates a project from a program, or from the example of that name.

    All created projects are destroyed when the block ends. Use this in fixtures only, because the projects stay if the
    block raises an exception.
    """
    created_projects: list[Project] = []

    def create(name: str, program: str | None = None) -> Project:
        project = Project(lab, create_program_folder(name, program, lab.virtualenv))
        created_projects.append(project)
        if lab.environment.variables["PULUMI_CONFIG_PASSPHRASE"] == PASSPHRASE:
            # All stacks have the salt of `dev`, so a worker derives the key only once, in a million rounds of SHA-256.
            salt = yaml.safe_load((PROJECT / "Pulumi.dev.yaml").read_text())["encryptionsalt"]
            (project.folder / f"Pulumi.{name}.yaml").write_text(yaml.safe_dump({"encryptionsalt": salt}))
            stack_file.create(lab.environment, project.name, name)
        else:
            project.pulumi("stack", "init")
        return project

    def destroy(project: Project) -> None:
        stack = (lab.environment, project.name, project.folder.name)
        if stack_file.has_resources(*stack):
            for namespace in stack_file.own_namespaces(*stack):
                lab.delete_namespace(namespace)  # Kubernetes waits for 5 seconds, during which the engine destroys
            project.pulumi("destroy", "--yes", "--skip-preview")
        # This is what `pulumi stack rm` does, without the start of an engine.
        shutil.rmtree(stack_file.path(*stack).parent)

    yield create
    with ThreadPoolExecutor() as executor:
        list(executor.map(destroy, created_projects))
