"""Run `ops trust` and `ops login` on the laptop, with Docker and other clients, and on a node.

Each test starts without the name, the CA and the login of the registry, which are restored after it. Only real clients
show where they look for a CA.
"""

import json
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from dev.cluster.plan import WORKER
from dev.environment import PROJECT, STATE
from tests.e2e.lab import ADDRESS, NAME, NAMESPACE, STACK, Lab, checkout, eventually, marked_block, unpack_package

pytestmark = pytest.mark.e2e

OPS = (sys.executable, "-m", "ops")
ENDPOINT = f"{NAMESPACE}:5000"
CERTS = f"/etc/docker/certs.d/{ENDPOINT}"
UNKNOWN = "x509: certificate signed by unknown authority"


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

    def etc(self) -> str:
        """Return path, mode and content of every file in /etc that `ops trust` may change."""
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
    laptop.run_script(f"rm -rf {CERTS}; {remove_name}; docker logout {ENDPOINT}")
    yield laptop
    laptop.run_script(f"{remove_name}; mkdir -p {CERTS}; rm -f {CERTS}/ca.crt")
    lab.trust(lab.outputs())
    laptop.add_hosts_entry()


def test_docker_logs_in_only_while_it_trusts_the_registry(laptop: Laptop) -> None:
    laptop.add_hosts_entry()
    before = laptop.etc()
    refused = laptop.ops("login", check=False)
    assert refused.returncode == 2
    assert UNKNOWN in refused.stderr
    assert "`python -m ops trust`" in refused.stderr

    output = laptop.ops("trust", "--for", "docker", "--yes").stdout
    assert ENDPOINT in output.splitlines()[0]
    assert re.search(rf"^new +{CERTS}/ca.crt", output, re.MULTILINE)
    assert re.search(rf"^same +/etc/hosts +.*{ADDRESS}", output, re.MULTILINE)
    assert "Login Succeeded" in laptop.ops("login").stdout
    assert laptop.lab.push("trusted/busybox:1") == laptop.lab.pull("trusted/busybox:1")
    assert re.search(rf"^same +{CERTS}/ca.crt", laptop.ops("trust", "--for", "docker").stdout, re.MULTILINE)

    laptop.ops("trust", "--remove", "--yes")
    assert laptop.etc() == before
    assert UNKNOWN in laptop.ops("login", "--with", "docker", check=False).stderr


def test_a_name_that_does_not_resolve_is_added_with_the_stacks_address(laptop: Laptop) -> None:
    before = laptop.etc()
    refused = ""

    def is_unresolved() -> bool:
        nonlocal refused
        refused = laptop.ops("login", check=False).stderr
        return "dial tcp: lookup docker-registry" in refused

    eventually(15, "the engine no longer resolves the name", is_unresolved)
    assert "`python -m ops trust --address IP`" in refused
    laptop.ops("trust", "--for", "docker", "--dry-run")
    assert laptop.etc() == before
    without_terminal = laptop.ops("trust", "--for", "docker", check=False)
    assert without_terminal.returncode == 2
    assert "--yes" in without_terminal.stderr
    assert laptop.etc() == before

    laptop.ops("trust", "--for", "docker", "--yes")
    assert laptop.run_script(f"getent hosts {NAMESPACE}").stdout.split() == [ADDRESS, NAMESPACE]
    assert "Login Succeeded" in laptop.ops("login").stdout
    laptop.ops("trust", "--remove", "--yes")
    assert laptop.etc() == before


def test_an_unmanaged_file_is_kept_and_nothing_is_written(laptop: Laptop) -> None:
    laptop.run_script(f"mkdir {CERTS}; echo 'another file' > {CERTS}/ca.crt")
    before = laptop.etc()
    refused = laptop.ops("trust", "--for", "podman", "--for", "docker", "--yes", check=False)
    assert refused.returncode == 2
    assert f"{CERTS}/ca.crt" in refused.stderr
    assert laptop.etc() == before


def test_without_permission_nothing_is_written_and_the_remedy_is_sudo(laptop: Laptop) -> None:
    before = laptop.etc()
    read_only = "mount --bind /etc /etc; mount --options remount,bind,ro /etc"
    trust_command = f"{' '.join(OPS)} trust {' '.join(STACK)} --for docker --yes"
    refused = laptop.run_script(f"unshare --mount sh -ec '{read_only}; {trust_command}'", check=False)
    assert refused.returncode == 2
    assert f'`sudo -E env "PATH=$PATH" {trust_command}`' in refused.stderr
    assert laptop.etc() == before


@dataclass
class PasswordWatch:
    """Search the command lines and environments of all processes for a word until `is_stopped` is set."""

    word: str
    command_lines: set[str] = field(default_factory=set)
    occurrences: list[str] = field(default_factory=list)
    is_stopped: bool = False

    def scan(self) -> None:
        while not self.is_stopped:
            for process in Path("/proc").glob("[0-9]*"):
                for file in ("cmdline", "environ"):
                    try:
                        text = (process / file).read_bytes().decode(errors="replace")
                    except OSError:
                        continue
                    if self.word in text:
                        self.occurrences.append(f"{process}/{file}: {text.replace(self.word, '…')}")
                    if file == "cmdline":
                        self.command_lines.add(text.replace("\0", " "))
            time.sleep(0.01)


@contextmanager
def watch_processes(word: str) -> Iterator[PasswordWatch]:
    watch = PasswordWatch(word)
    thread = threading.Thread(target=watch.scan)
    thread.start()
    try:
        yield watch
    finally:
        watch.is_stopped = True
        thread.join()


def test_the_password_is_in_no_command_line_and_no_environment(laptop: Laptop, tmp_path: Path) -> None:
    laptop.add_hosts_entry()
    laptop.ops("trust", "--for", "docker", "--yes")
    slow = tmp_path / "docker"
    real = laptop.run_script("command -v docker").stdout.strip()
    slow.write_text(f'#!/bin/sh\nsleep 1\nexec {real} "$@"\n')
    slow.chmod(0o755)
    with watch_processes(laptop.lab.outputs()["password"]) as watch:
        laptop.run_script(f"PATH={tmp_path}:$PATH {' '.join(OPS)} login {' '.join(STACK)}")
    login = f"docker login {ENDPOINT} --username centos --password-stdin"
    assert any(login in command for command in watch.command_lines), "the watch recorded the process"
    assert not watch.occurrences
    laptop.ops("trust", "--remove", "--yes")


def command_with_environment(command: str, **variables: object) -> str:
    """Return the command with its environment, for a shell."""
    package = unpack_package(command, command)
    environment = {name: package.env[name] for name in ("LD_LIBRARY_PATH",) if name in package.env} | variables
    return " ".join(["env", *(f"{name}={value}" for name, value in environment.items()), str(package.find(command))])


def test_skopeo_finds_the_ca_as_root_and_as_another_user(laptop: Laptop, tmp_path: Path) -> None:
    laptop.add_hosts_entry()
    before = laptop.etc()
    laptop.ops("trust", "--for", "docker", "--yes")
    laptop.ops("login")
    laptop.lab.push("skopeo/busybox:1")
    laptop.ops("trust", "--remove", "--yes")

    arguments = f"inspect --authfile $DOCKER_CONFIG/config.json docker://{ENDPOINT}/skopeo/busybox:1"
    inspect = f"{command_with_environment('skopeo', HOME=tmp_path)} {arguments}"
    assert UNKNOWN in laptop.run_script(inspect, check=False).stderr
    laptop.ops("trust", "--for", "skopeo", "--yes")
    assert json.loads(laptop.run_script(inspect).stdout)["Architecture"] == "amd64"

    home = tmp_path / f".config/containers/certs.d/{ENDPOINT}"
    home.mkdir(parents=True)
    shutil.copy(laptop.lab.cluster.path("laptop", f"/etc/containers/certs.d/{ENDPOINT}/ca.crt"), home)
    laptop.ops("trust", "--remove", "--yes")
    assert laptop.etc() == before
    assert json.loads(laptop.run_script(inspect).stdout)["Architecture"] == "amd64", (
        "skopeo reads the CA from the home folder"
    )


def test_podman_logs_in(laptop: Laptop, tmp_path: Path) -> None:
    laptop.add_hosts_entry()
    settings, login_file, program = (tmp_path / name for name in ("containers.conf", "auth.json", "podman"))
    conmon = unpack_package("podman", "podman").root / "usr/bin/conmon"
    settings.write_text(f'[engine]\nconmon_path = ["{conmon}"]\n')
    command = command_with_environment("podman", HOME=tmp_path, CONTAINERS_CONF=settings, REGISTRY_AUTH_FILE=login_file)
    program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    program.chmod(0o755)
    login = f"PATH={tmp_path}:$PATH {' '.join(OPS)} login --with podman {' '.join(STACK)}"
    refused = laptop.run_script(login, check=False)
    assert UNKNOWN in refused.stderr, refused.stdout + refused.stderr
    laptop.ops("trust", "--for", "podman", "--yes")
    assert "Login Succeeded" in laptop.run_script(login).stdout
    assert ENDPOINT in json.loads(login_file.read_text())["auths"]
    laptop.ops("trust", "--remove", "--yes")


ANCHORS = Path("/usr/local/share/ca-certificates")

SYSTEM_STORE_SCRIPT = f"""
ask() {{ curl --silent --show-error https://{ENDPOINT}/v2/_catalog --output /dev/null --write-out '%{{http_code}}\n'; }}
cp --archive {ANCHORS} $HERE/anchors
mount --bind $HERE/anchors {ANCHORS}
cp --archive /etc/ssl/certs $HERE/certs
mount --bind $HERE/certs /etc/ssl/certs
before=$(ls {ANCHORS} /etc/ssl/certs)
ask && exit 1
$TRUST --for system
ask
openssl s_client -connect {ENDPOINT} -verify_return_error < /dev/null
$TRUST --remove
ask && exit 1
diff <(echo "$before") <(ls {ANCHORS} /etc/ssl/certs)
"""


def test_the_system_store_has_the_ca_until_it_is_removed(laptop: Laptop, tmp_path: Path) -> None:
    """The script mounts a copy over the machine's own folder, and ends if this fails."""
    laptop.add_hosts_entry()
    before = sorted(ANCHORS.iterdir())
    script = tmp_path / "listed"
    script.write_text(SYSTEM_STORE_SCRIPT)
    trust_command = f"HERE={tmp_path} TRUST='{' '.join(OPS)} trust {' '.join(STACK)} --yes'"
    done = laptop.run_script(f"{trust_command} unshare --mount bash -eu -o pipefail {script}", check=False)
    assert sorted(ANCHORS.iterdir()) == before
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n401\n" in done.stdout, "curl trusts the registry"
    assert "Verify return code: 0 (ok)" in done.stdout, "openssl trusts the registry"
    assert done.stderr.count("SSL certificate problem") == 2, "before the CA is installed and after it is removed"


REQUESTS = """
import requests, urllib.request, urllib.error
print(requests.get("https://docker-registry:5000/v2/").status_code)
try:
    urllib.request.urlopen("https://docker-registry:5000/v2/")
except urllib.error.HTTPError as error:
    print(error.code)
"""


def test_python_trusts_the_ca_with_the_printed_variables(laptop: Laptop, tmp_path: Path) -> None:
    laptop.add_hosts_entry()
    config_home = f"XDG_CONFIG_HOME={tmp_path}"
    output = laptop.run_script(f"{config_home} {' '.join(OPS)} trust {' '.join(STACK)} --for python --yes").stdout
    (line,) = re.findall(r"^→ (export .*)$", output, re.MULTILINE)
    command = f"{sys.executable} -c '{REQUESTS}'"
    assert "SSLError" in laptop.run_script(command, check=False).stderr
    assert laptop.run_script(f"{line}; {command}").stdout.split() == ["401", "401"]
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

    def etc() -> str:
        return run_on_node("sh", "-c", "cat /etc/hosts; find /etc/containerd")

    before = etc()
    try:
        with pod(lab, "before-trust") as state:
            eventually(60, "the pull fails", lambda: f"lookup {NAMESPACE}" in state())
        run_on_node(*trust, "--for", "containerd")
        with pod(lab, "after-trust") as state:
            eventually(60, "the pull succeeds", lambda: '"exitCode":0' in state())
    finally:
        run_on_node(*trust, "--remove")
        lab.kubectl("delete", "secret", "pulled")
        laptop.ops("trust", "--remove", "--yes")
    assert etc() == before


@contextmanager
def pod(lab: Lab, name: str) -> Iterator[Callable[[], str]]:
    """Create a Pod of the pushed image on the worker. Yield a function that returns its container status as JSON."""
    spec = {
        "nodeName": WORKER.name,
        "restartPolicy": "Never",
        "imagePullSecrets": [{"name": "pulled"}],
        "containers": [
            {"name": "it", "image": f"{ENDPOINT}/pulled/busybox:1", "imagePullPolicy": "Always", "command": ["true"]}
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
    folder_of_program = checkout()
    laptop.run_script(f"cd {folder_of_program}\n{marked_block('these lines', 'sh', 'docs/clients.md')}")
    assert (folder_of_program / "password").stat().st_mode & 0o077 == 0, "only the owner reads the password"
    for name in ("ca.pem", "password"):
        shutil.move(folder_of_program / name, folder / name)
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
