"""Run `ops trust` and `ops login` on the laptop, with Docker and other clients, and on a node.

Each test starts without the name, the CA and the login of the registry, which are restored after it. No offline test
can show this, because only real clients look for a CA in their folders.
"""

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from dev.cluster.plan import WORKER
from dev.environment import PROJECT, STATE
from tests.e2e.lab import ADDRESS, NAME, NAMESPACE, STACK, Lab, checkout, eventually, marked_block, unpack_package
from tests.e2e.process_watch import ProcessWatch

pytestmark = pytest.mark.e2e

OPS = (sys.executable, "-m", "ops")
ENDPOINT = f"{NAMESPACE}:5000"
DOCKER_FOLDER = f"/etc/docker/certs.d/{ENDPOINT}"
UNTRUSTED = "x509: certificate signed by unknown authority"
"""Error of a client in Go that does not trust the CA."""


@dataclass(frozen=True)
class Laptop:
    """The laptop before any of its clients trusts the registry."""

    lab: Lab

    def run_script(self, script: str, check: bool = True) -> CompletedProcess[str]:
        """Run a script, without the CA bundles in the environment of the tests."""
        script = f"unset CURL_CA_BUNDLE REQUESTS_CA_BUNDLE SSL_CERT_DIR SSL_CERT_FILE; {script}"
        done = self.lab.environment.run("bash", "-eu", "-o", "pipefail", "-c", script, check=False)
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done

    def ops(self, *arguments: str, check: bool = True) -> CompletedProcess[str]:
        done = self.lab.environment.run(*OPS, *arguments, *STACK, check=False)
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        assert self.lab.outputs()["password"] not in done.stdout + done.stderr
        return done

    def read_files(self) -> str:
        """Return path, mode and content of every file that `ops trust` may change."""
        folders = "/etc/hosts /etc/docker /etc/containers /etc/containerd /usr/local/share/ca-certificates"
        return self.run_script(
            f"find {folders} -printf '%p %m ' -type f -exec cat {{}} \\; 2> /dev/null || true"
        ).stdout

    def add_hosts_entry(self) -> None:
        self.lab.cluster.set_hosts_entry("laptop", ADDRESS, NAMESPACE)


@pytest.fixture
def laptop(lab: Lab) -> Iterator[Laptop]:
    lab.up()
    laptop = Laptop(lab)
    remove_name = f"grep --invert-match --word-regexp {NAMESPACE} /etc/hosts > /run/hosts; cp /run/hosts /etc/hosts"
    laptop.run_script(f"rm -rf {DOCKER_FOLDER}; {remove_name}; docker logout {ENDPOINT}")
    yield laptop
    laptop.run_script(f"{remove_name}; mkdir -p {DOCKER_FOLDER}; rm -f {DOCKER_FOLDER}/ca.crt")
    lab.trust(lab.outputs())
    laptop.add_hosts_entry()


def test_docker_logs_in_only_while_it_trusts_the_registry(laptop: Laptop) -> None:
    laptop.add_hosts_entry()
    before = laptop.read_files()
    refused = laptop.ops("login", check=False)
    assert refused.returncode == 2
    assert UNTRUSTED in refused.stderr
    assert "`python -m ops trust`" in refused.stderr

    output = laptop.ops("trust", "--for", "docker", "--yes").stdout
    assert ENDPOINT in output.splitlines()[0]
    assert re.search(rf"^new +{DOCKER_FOLDER}/ca.crt", output, re.MULTILINE)
    assert re.search(rf"^same +/etc/hosts +.*{ADDRESS}", output, re.MULTILINE)
    assert "Login Succeeded" in laptop.ops("login").stdout
    assert laptop.lab.push("trusted/busybox:1") == laptop.lab.pull("trusted/busybox:1")
    assert re.search(rf"^same +{DOCKER_FOLDER}/ca.crt", laptop.ops("trust", "--for", "docker").stdout, re.MULTILINE)

    laptop.ops("trust", "--remove", "--yes")
    assert laptop.read_files() == before
    assert UNTRUSTED in laptop.ops("login", "--with", "docker", check=False).stderr


def test_a_name_that_does_not_resolve_is_added_with_the_stacks_address(laptop: Laptop) -> None:
    before = laptop.read_files()
    refused = ""

    def is_unresolved() -> bool:
        nonlocal refused
        refused = laptop.ops("login", check=False).stderr
        return "dial tcp: lookup docker-registry" in refused

    eventually(15, "the engine no longer resolves the name", is_unresolved)
    assert "`python -m ops trust --address IP`" in refused
    laptop.ops("trust", "--for", "docker", "--dry-run")
    assert laptop.read_files() == before
    without_terminal = laptop.ops("trust", "--for", "docker", check=False)
    assert without_terminal.returncode == 2
    assert "--yes" in without_terminal.stderr
    assert laptop.read_files() == before

    laptop.ops("trust", "--for", "docker", "--yes")
    assert laptop.run_script(f"getent hosts {NAMESPACE}").stdout.split() == [ADDRESS, NAMESPACE]
    assert "Login Succeeded" in laptop.ops("login").stdout
    laptop.ops("trust", "--remove", "--yes")
    assert laptop.read_files() == before


def test_an_unmanaged_file_is_kept_and_nothing_is_written(laptop: Laptop) -> None:
    laptop.run_script(f"mkdir {DOCKER_FOLDER}; echo 'another file' > {DOCKER_FOLDER}/ca.crt")
    before = laptop.read_files()
    refused = laptop.ops("trust", "--for", "podman", "--for", "docker", "--yes", check=False)
    assert refused.returncode == 2
    assert f"{DOCKER_FOLDER}/ca.crt" in refused.stderr
    assert laptop.read_files() == before


def test_without_permission_nothing_is_written_and_the_remedy_is_sudo(laptop: Laptop) -> None:
    before = laptop.read_files()
    read_only = "mount --bind /etc /etc; mount --options remount,bind,ro /etc"
    trust_command = f"{' '.join(OPS)} trust {' '.join(STACK)} --for docker --yes"
    refused = laptop.run_script(f"unshare --mount sh -ec '{read_only}; {trust_command}'", check=False)
    assert refused.returncode == 2
    assert f'`sudo -E env "PATH=$PATH" {trust_command}`' in refused.stderr
    assert laptop.read_files() == before


def test_the_password_is_in_no_command_line_and_no_environment(laptop: Laptop, tmp_path: Path) -> None:
    laptop.add_hosts_entry()
    laptop.ops("trust", "--for", "docker", "--yes")
    docker = laptop.run_script("command -v docker").stdout.strip()
    slow_docker = tmp_path / "docker"
    slow_docker.write_text(f'#!/bin/sh\nsleep 1\nexec {docker} "$@"\n')
    slow_docker.chmod(0o755)
    password = laptop.lab.outputs()["password"]
    with ProcessWatch() as watch:
        laptop.run_script(f"PATH={tmp_path}:$PATH {' '.join(OPS)} login {' '.join(STACK)}")
    login = f"docker login {ENDPOINT} --username centos --password-stdin"
    assert login in watch.command_lines(), "the watch recorded the process"
    lines = [*watch.command_lines().splitlines(), *watch.variables_except().splitlines()]
    assert [line.replace(password, "…") for line in lines if password in line] == []
    laptop.ops("trust", "--remove", "--yes")


def command_with_environment(command: str, **variables: object) -> str:
    """Return the command of the Debian package of its name as a shell command, with its environment."""
    package = unpack_package(command, command)
    environment = {name: package.env[name] for name in ("LD_LIBRARY_PATH",) if name in package.env} | variables
    return " ".join(["env", *(f"{name}={value}" for name, value in environment.items()), str(package.find(command))])


def test_skopeo_finds_the_ca_as_root_and_as_another_user(laptop: Laptop, tmp_path: Path) -> None:
    laptop.add_hosts_entry()
    before = laptop.read_files()
    laptop.ops("trust", "--for", "docker", "--yes")
    laptop.ops("login")
    laptop.lab.push("skopeo/busybox:1")
    laptop.ops("trust", "--remove", "--yes")

    arguments = f"inspect --authfile $DOCKER_CONFIG/config.json docker://{ENDPOINT}/skopeo/busybox:1"
    inspect = f"{command_with_environment('skopeo', HOME=tmp_path)} {arguments}"
    assert UNTRUSTED in laptop.run_script(inspect, check=False).stderr
    laptop.ops("trust", "--for", "skopeo", "--yes")
    assert json.loads(laptop.run_script(inspect).stdout)["Architecture"] == "amd64"

    user_folder = tmp_path / f".config/containers/certs.d/{ENDPOINT}"
    user_folder.mkdir(parents=True)
    shutil.copy(laptop.lab.cluster.path("laptop", f"/etc/containers/certs.d/{ENDPOINT}/ca.crt"), user_folder)
    laptop.ops("trust", "--remove", "--yes")
    assert laptop.read_files() == before
    assert json.loads(laptop.run_script(inspect).stdout)["Architecture"] == "amd64", (
        "skopeo reads the CA from the home folder"
    )


def test_podman_logs_in(laptop: Laptop, tmp_path: Path) -> None:
    laptop.add_hosts_entry()
    settings, login_file, podman = (tmp_path / name for name in ("containers.conf", "auth.json", "podman"))
    conmon = unpack_package("podman", "podman").root / "usr/bin/conmon"
    settings.write_text(f'[engine]\nconmon_path = ["{conmon}"]\n')
    command = command_with_environment("podman", HOME=tmp_path, CONTAINERS_CONF=settings, REGISTRY_AUTH_FILE=login_file)
    podman.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    podman.chmod(0o755)
    login = f"PATH={tmp_path}:$PATH {' '.join(OPS)} login --with podman {' '.join(STACK)}"
    refused = laptop.run_script(login, check=False)
    assert UNTRUSTED in refused.stderr, refused.stdout + refused.stderr
    laptop.ops("trust", "--for", "podman", "--yes")
    assert "Login Succeeded" in laptop.run_script(login).stdout
    assert ENDPOINT in json.loads(login_file.read_text())["auths"]
    laptop.ops("trust", "--remove", "--yes")


ANCHORS = Path("/usr/local/share/ca-certificates")
"""Folder with the CAs that an administrator adds to the system's store."""

SYSTEM_STORE_SCRIPT = f"""
get() {{ curl --silent --show-error https://{ENDPOINT}/v2/_catalog --output /dev/null --write-out '%{{http_code}}\n'; }}
cp --archive {ANCHORS} $FOLDER/anchors
mount --bind $FOLDER/anchors {ANCHORS}
cp --archive /etc/ssl/certs $FOLDER/certs
mount --bind $FOLDER/certs /etc/ssl/certs
before=$(ls {ANCHORS} /etc/ssl/certs)
get && exit 1
$TRUST --for system
get
openssl s_client -connect {ENDPOINT} -verify_return_error < /dev/null
$TRUST --remove
get && exit 1
diff <(echo "$before") <(ls {ANCHORS} /etc/ssl/certs)
"""
"""Script that installs the CA in a copy of the system's store, sends requests, and removes the CA.

$FOLDER is a folder for the copies, and $TRUST is the command `ops trust`.
"""


def test_the_system_store_has_the_ca_until_it_is_removed(laptop: Laptop, tmp_path: Path) -> None:
    """The script mounts a copy over the machine's own store, which the laptop shares, and ends if this fails."""
    laptop.add_hosts_entry()
    before = sorted(ANCHORS.iterdir())
    script = tmp_path / "script"
    script.write_text(SYSTEM_STORE_SCRIPT)
    trust_command = f"FOLDER={tmp_path} TRUST='{' '.join(OPS)} trust {' '.join(STACK)} --yes'"
    done = laptop.run_script(f"{trust_command} unshare --mount bash -eu -o pipefail {script}", check=False)
    assert sorted(ANCHORS.iterdir()) == before
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n401\n" in done.stdout, "curl trusts the registry"
    assert "Verify return code: 0 (ok)" in done.stdout, "openssl trusts the registry"
    assert done.stderr.count("SSL certificate problem") == 2, "before the CA is installed and after it is removed"


PYTHON_PROGRAM = """
import requests, urllib.request, urllib.error
print(requests.get("https://docker-registry:5000/v2/").status_code)
try:
    urllib.request.urlopen("https://docker-registry:5000/v2/")
except urllib.error.HTTPError as error:
    print(error.code)
"""
"""Program that sends a request with `requests` and one with `urllib`, and prints their status."""


def test_python_trusts_the_ca_with_the_printed_variables(laptop: Laptop, tmp_path: Path) -> None:
    laptop.add_hosts_entry()
    config_home = f"XDG_CONFIG_HOME={tmp_path}"
    output = laptop.run_script(f"{config_home} {' '.join(OPS)} trust {' '.join(STACK)} --for python --yes").stdout
    (export_command,) = re.findall(r"^→ (export .*)$", output, re.MULTILINE)
    command = f"{sys.executable} -c '{PYTHON_PROGRAM}'"
    assert "SSLError" in laptop.run_script(command, check=False).stderr
    assert laptop.run_script(f"{export_command}; {command}").stdout.split() == ["401", "401"]
    laptop.run_script(f"{config_home} {' '.join(OPS)} trust {' '.join(STACK)} --remove --yes")
    assert list(tmp_path.iterdir()) == []


def test_a_node_pulls_once_its_containerd_trusts_the_registry(laptop: Laptop) -> None:
    lab = laptop.lab
    laptop.add_hosts_entry()
    laptop.ops("trust", "--for", "docker", "--yes")
    laptop.ops("login")
    lab.push("pulled/busybox:1")
    login = f"--from-file=.dockerconfigjson={lab.environment.variables['DOCKER_CONFIG']}/config.json"
    lab.kubectl("create", "secret", "generic", "pulled", "--type=kubernetes.io/dockerconfigjson", login)
    trust = [*OPS, "trust", *STACK, "--yes"]

    def run_on_node(*command: str) -> str:
        options = {"env": lab.environment.env, "cwd": PROJECT, "check": True, "capture_output": True, "text": True}
        return str(lab.cluster.run(WORKER.name, command, **options).stdout)

    def list_files() -> str:
        return run_on_node("sh", "-c", "cat /etc/hosts; find /etc/containerd")

    before = list_files()
    try:
        with pod_of_image(lab, "before-trust") as read_status:
            eventually(60, "the pull fails", lambda: f"lookup {NAMESPACE}" in read_status())
        run_on_node(*trust, "--for", "containerd")
        with pod_of_image(lab, "after-trust") as read_status:
            eventually(60, "the pull succeeds", lambda: '"exitCode":0' in read_status())
    finally:
        run_on_node(*trust, "--remove")
        lab.kubectl("delete", "secret", "pulled")
        laptop.ops("trust", "--remove", "--yes")
    assert list_files() == before


@contextmanager
def pod_of_image(lab: Lab, name: str) -> Iterator[Callable[[], str]]:
    """Run a Pod with the pushed image on the worker. Yield a function that returns its container statuses as JSON."""
    spec = {
        "nodeName": WORKER.name,
        "restartPolicy": "Never",
        "imagePullSecrets": [{"name": "pulled"}],
        "containers": [
            {
                "name": "puller",
                "image": f"{ENDPOINT}/pulled/busybox:1",
                "imagePullPolicy": "Always",
                "command": ["true"],
            }
        ],
    }
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    created = lab.environment.run("kubectl", "create", "--filename", "-", stdin=json.dumps(manifest), check=False)
    assert created.returncode == 0, created.stderr
    try:
        yield lambda: json.dumps(
            lab.get("pod", name, "default")["status"].get("containerStatuses", []), separators=(",", ":")
        )
    finally:
        lab.kubectl("delete", "pod", name, "--now")


def test_a_host_with_only_docker_pushes_with_the_three_lines_of_the_page(laptop: Laptop) -> None:
    laptop.add_hosts_entry()
    folder = STATE / NAME / "ci"
    folder.mkdir(exist_ok=True)
    laptop.run_script("docker tag busybox:1.35 docker-registry:5000/team/image:1")
    program_folder = checkout()
    laptop.run_script(f"cd {program_folder}\n{marked_block('these lines', 'sh', 'docs/clients.md')}")
    assert (program_folder / "password").stat().st_mode & 0o077 == 0, "only the owner reads the password"
    for name in ("ca.pem", "password"):
        shutil.move(program_folder / name, folder / name)
    lines = marked_block("these lines on a host with Docker alone", "sh", "docs/clients.md")
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "DOCKER_HOST": laptop.lab.cluster.docker_host,
        "DOCKER_CONFIG": str(folder / "docker"),
    }
    script = ("bash", "-euxo", "pipefail", "-c", lines)
    done = laptop.lab.cluster.run(
        "laptop", script, env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(lines.splitlines()) == 3
    assert "Login Succeeded" in done.stdout
    assert re.search(r"^1: digest: sha256:", done.stdout, re.MULTILINE)
