"""`ops trust` and `ops login` on the laptop, with a real Docker engine and the other clients, and on a node.

The name, the CA and the login of the registry are removed from the laptop before each test, and restored after it.
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
from tests.e2e.lab import ADDRESS, NAME, NAMESPACE, STACK, Lab, checkout, eventually, marked, unpacked

pytestmark = pytest.mark.e2e

OPS = (sys.executable, "-m", "ops")
ENDPOINT = f"{NAMESPACE}:5000"
CERTS = f"/etc/docker/certs.d/{ENDPOINT}"
UNKNOWN = "x509: certificate signed by unknown authority"


@dataclass(frozen=True)
class Laptop:
    """The laptop before any of its clients trusts the registry."""

    lab: Lab

    def sh(self, script: str, check: bool = True) -> CompletedProcess[str]:
        """Run a script, without the CA bundles in the environment of the tests."""
        script = f"unset CURL_CA_BUNDLE REQUESTS_CA_BUNDLE SSL_CERT_DIR SSL_CERT_FILE; {script}"
        done = self.lab.place.run("bash", "-eu", "-o", "pipefail", "-c", script, check=False)
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done

    def ops(self, *arguments: str, check: bool = True) -> CompletedProcess[str]:
        done = self.lab.place.run(*OPS, *arguments, *STACK, check=False)
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        assert self.lab.outputs()["password"] not in done.stdout + done.stderr
        return done

    def etc(self) -> str:
        """Return path, mode and content of every file in /etc that `ops trust` may change."""
        folders = "/etc/hosts /etc/docker /etc/containers /etc/containerd /usr/local/share/ca-certificates"
        return self.sh(f"find {folders} -printf '%p %m ' -type f -exec cat {{}} \\; 2> /dev/null || true").stdout

    def knows_the_name(self) -> None:
        self.lab.cluster.set_hosts_entry("laptop", ADDRESS, NAMESPACE)


@pytest.fixture
def laptop(lab: Lab) -> Iterator[Laptop]:
    lab.up()
    laptop = Laptop(lab)
    forget_the_name = f"grep --invert-match --word-regexp {NAMESPACE} /etc/hosts > /run/hosts; cp /run/hosts /etc/hosts"
    laptop.sh(f"rm -rf {CERTS}; {forget_the_name}; docker logout {ENDPOINT}")
    yield laptop
    laptop.sh(f"{forget_the_name}; mkdir -p {CERTS}; rm -f {CERTS}/ca.crt")
    lab.trust(lab.outputs())
    laptop.knows_the_name()


def test_docker_logs_in_only_while_it_trusts_the_registry(laptop: Laptop) -> None:
    laptop.knows_the_name()
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

    def unknown() -> bool:
        nonlocal refused
        refused = laptop.ops("login", check=False).stderr
        return "dial tcp: lookup docker-registry" in refused

    eventually(15, "the engine does not resolve the name any more", unknown)
    assert "`python -m ops trust --address IP`" in refused
    laptop.ops("trust", "--for", "docker", "--dry-run")
    assert laptop.etc() == before
    without_terminal = laptop.ops("trust", "--for", "docker", check=False)
    assert without_terminal.returncode == 2
    assert "--yes" in without_terminal.stderr
    assert laptop.etc() == before

    laptop.ops("trust", "--for", "docker", "--yes")
    assert laptop.sh(f"getent hosts {NAMESPACE}").stdout.split() == [ADDRESS, NAMESPACE]
    assert "Login Succeeded" in laptop.ops("login").stdout
    laptop.ops("trust", "--remove", "--yes")
    assert laptop.etc() == before


def test_an_unmanaged_file_is_kept_and_nothing_is_written(laptop: Laptop) -> None:
    laptop.sh(f"mkdir {CERTS}; echo 'another file' > {CERTS}/ca.crt")
    before = laptop.etc()
    refused = laptop.ops("trust", "--for", "podman", "--for", "docker", "--yes", check=False)
    assert refused.returncode == 2
    assert f"{CERTS}/ca.crt" in refused.stderr
    assert laptop.etc() == before


def test_without_permission_nothing_is_written_and_the_remedy_is_sudo(laptop: Laptop) -> None:
    before = laptop.etc()
    read_only = "mount --bind /etc /etc; mount --options remount,bind,ro /etc"
    trusting = f"{' '.join(OPS)} trust {' '.join(STACK)} --for docker --yes"
    refused = laptop.sh(f"unshare --mount sh -ec '{read_only}; {trusting}'", check=False)
    assert refused.returncode == 2
    assert f'`sudo -E env "PATH=$PATH" {trusting}`' in refused.stderr
    assert laptop.etc() == before


@dataclass
class Watch:
    """Searches the command lines and environments of all processes for a word until it is over."""

    word: str
    called: set[str] = field(default_factory=set)
    shown: list[str] = field(default_factory=list)
    over: bool = False

    def look(self) -> None:
        while not self.over:
            for process in Path("/proc").glob("[0-9]*"):
                for each in ("cmdline", "environ"):
                    try:
                        text = (process / each).read_bytes().decode(errors="replace")
                    except OSError:
                        continue
                    if self.word in text:
                        self.shown.append(f"{process}/{each}: {text.replace(self.word, '…')}")
                    if each == "cmdline":
                        self.called.add(text.replace("\0", " "))
            time.sleep(0.01)


@contextmanager
def watched(word: str) -> Iterator[Watch]:
    watch = Watch(word)
    looking = threading.Thread(target=watch.look)
    looking.start()
    try:
        yield watch
    finally:
        watch.over = True
        looking.join()


def test_the_password_is_in_no_command_line_and_no_environment(laptop: Laptop, tmp_path: Path) -> None:
    laptop.knows_the_name()
    laptop.ops("trust", "--for", "docker", "--yes")
    slow = tmp_path / "docker"
    real = laptop.sh("command -v docker").stdout.strip()
    slow.write_text(f'#!/bin/sh\nsleep 1\nexec {real} "$@"\n')
    slow.chmod(0o755)
    with watched(laptop.lab.outputs()["password"]) as watch:
        laptop.sh(f"PATH={tmp_path}:$PATH {' '.join(OPS)} login {' '.join(STACK)}")
    login = f"docker login {ENDPOINT} --username centos --password-stdin"
    assert any(login in command for command in watch.called), "the process was seen while it ran"
    assert not watch.shown
    laptop.ops("trust", "--remove", "--yes")


def ready_to_run(command: str, **variables: object) -> str:
    """Return the command with its environment, for a shell."""
    found = unpacked(command, command)
    needed = {name: found.env[name] for name in ("LD_LIBRARY_PATH",) if name in found.env} | variables
    return " ".join(["env", *(f"{name}={value}" for name, value in needed.items()), str(found.find(command))])


def test_skopeo_finds_the_ca_as_root_and_as_another_user(laptop: Laptop, tmp_path: Path) -> None:
    laptop.knows_the_name()
    before = laptop.etc()
    laptop.ops("trust", "--for", "docker", "--yes")
    laptop.ops("login")
    laptop.lab.push("skopeo/busybox:1")
    laptop.ops("trust", "--remove", "--yes")

    asks = f"inspect --authfile $DOCKER_CONFIG/config.json docker://{ENDPOINT}/skopeo/busybox:1"
    inspect = f"{ready_to_run('skopeo', HOME=tmp_path)} {asks}"
    assert UNKNOWN in laptop.sh(inspect, check=False).stderr
    laptop.ops("trust", "--for", "skopeo", "--yes")
    assert json.loads(laptop.sh(inspect).stdout)["Architecture"] == "amd64"

    home = tmp_path / f".config/containers/certs.d/{ENDPOINT}"
    home.mkdir(parents=True)
    shutil.copy(laptop.lab.cluster.path("laptop", f"/etc/containers/certs.d/{ENDPOINT}/ca.crt"), home)
    laptop.ops("trust", "--remove", "--yes")
    assert laptop.etc() == before
    assert json.loads(laptop.sh(inspect).stdout)["Architecture"] == "amd64", "from the home folder"


def test_podman_logs_in(laptop: Laptop, tmp_path: Path) -> None:
    laptop.knows_the_name()
    settings, login_file, program = (tmp_path / name for name in ("containers.conf", "auth.json", "podman"))
    conmon = unpacked("podman", "podman").root / "usr/bin/conmon"
    settings.write_text(f'[engine]\nconmon_path = ["{conmon}"]\n')
    command = ready_to_run("podman", HOME=tmp_path, CONTAINERS_CONF=settings, REGISTRY_AUTH_FILE=login_file)
    program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    program.chmod(0o755)
    login = f"PATH={tmp_path}:$PATH {' '.join(OPS)} login --with podman {' '.join(STACK)}"
    refused = laptop.sh(login, check=False)
    assert UNKNOWN in refused.stderr, refused.stdout + refused.stderr
    laptop.ops("trust", "--for", "podman", "--yes")
    assert "Login Succeeded" in laptop.sh(login).stdout
    assert ENDPOINT in json.loads(login_file.read_text())["auths"]
    laptop.ops("trust", "--remove", "--yes")


ANCHORS = Path("/usr/local/share/ca-certificates")

LISTED = f"""
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
    """The script works on a copy of the machine's own folder, and ends if that is not mounted."""
    laptop.knows_the_name()
    before = sorted(ANCHORS.iterdir())
    script = tmp_path / "listed"
    script.write_text(LISTED)
    trusting = f"HERE={tmp_path} TRUST='{' '.join(OPS)} trust {' '.join(STACK)} --yes'"
    done = laptop.sh(f"{trusting} unshare --mount bash -eu -o pipefail {script}", check=False)
    assert sorted(ANCHORS.iterdir()) == before
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n401\n" in done.stdout, "curl"
    assert "Verify return code: 0 (ok)" in done.stdout, "openssl"
    assert done.stderr.count("SSL certificate problem") == 2, "before the CA is installed and after it is removed"


ASK = """
import requests, urllib.request, urllib.error
print(requests.get("https://docker-registry:5000/v2/").status_code)
try:
    urllib.request.urlopen("https://docker-registry:5000/v2/")
except urllib.error.HTTPError as error:
    print(error.code)
"""


def test_python_trusts_the_ca_with_the_printed_variables(laptop: Laptop, tmp_path: Path) -> None:
    laptop.knows_the_name()
    at = f"XDG_CONFIG_HOME={tmp_path}"
    output = laptop.sh(f"{at} {' '.join(OPS)} trust {' '.join(STACK)} --for python --yes").stdout
    (line,) = re.findall(r"^→ (export .*)$", output, re.MULTILINE)
    ask = f"{sys.executable} -c '{ASK}'"
    assert "SSLError" in laptop.sh(ask, check=False).stderr
    assert laptop.sh(f"{line}; {ask}").stdout.split() == ["401", "401"]
    laptop.sh(f"{at} {' '.join(OPS)} trust {' '.join(STACK)} --remove --yes")
    assert list(tmp_path.iterdir()) == []


def test_a_node_pulls_once_its_containerd_trusts_the_registry(laptop: Laptop) -> None:
    lab = laptop.lab
    laptop.knows_the_name()
    laptop.ops("trust", "--for", "docker", "--yes")
    laptop.ops("login")
    lab.push("pulled/busybox:1")
    login = f"--from-file=.dockerconfigjson={lab.place.variables['DOCKER_CONFIG']}/config.json"
    lab.kubectl("create", "secret", "generic", "pulled", "--type=kubernetes.io/dockerconfigjson", login)
    trust = [*OPS, "trust", *STACK, "--yes"]

    def on_the_node(*call: str) -> str:
        options = {"env": lab.place.env, "cwd": PROJECT, "check": True, "capture_output": True, "text": True}
        return str(lab.cluster.run(WORKER.name, call, **options).stdout)

    def etc() -> str:
        return on_the_node("sh", "-c", "cat /etc/hosts; find /etc/containerd")

    before = etc()
    try:
        with pod(lab, "stranger") as state:
            eventually(60, "the node does not pull", lambda: f"lookup {NAMESPACE}" in state())
        on_the_node(*trust, "--for", "containerd")
        with pod(lab, "friend") as state:
            eventually(60, "the node pulls", lambda: '"exitCode":0' in state())
    finally:
        on_the_node(*trust, "--remove")
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
    created = lab.place.run("kubectl", "create", "--filename", "-", stdin=json.dumps(manifest), check=False)
    assert created.returncode == 0, created.stderr
    try:
        yield lambda: json.dumps(
            lab.get("pod", name, "default")["status"].get("containerStatuses", []), separators=(",", ":")
        )
    finally:
        lab.kubectl("delete", "pod", name, "--now")


def test_a_host_with_only_docker_pushes_with_the_three_lines_of_the_page(laptop: Laptop) -> None:
    laptop.knows_the_name()
    folder = STATE / NAME / "ci"
    folder.mkdir(exist_ok=True)
    laptop.sh("docker tag busybox:1.35 docker-registry:5000/team/image:1")
    here = checkout()
    laptop.sh(f"cd {here}\n{marked('these lines', 'sh', 'docs/clients.md')}")
    assert (here / "password").stat().st_mode & 0o077 == 0, "a secret"
    for name in ("ca.pem", "password"):
        shutil.move(here / name, folder / name)
    lines = marked("these lines on a host with Docker alone", "sh", "docs/clients.md")
    alone = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "DOCKER_HOST": laptop.lab.cluster.docker_host,
        "DOCKER_CONFIG": str(folder / "docker"),
    }
    script = ("bash", "-euxo", "pipefail", "-c", lines)
    done = laptop.lab.cluster.run("laptop", script, env=alone, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(lines.splitlines()) == 3
    assert "Login Succeeded" in done.stdout
    assert re.search(r"^1: digest: sha256:", done.stdout, re.MULTILINE)
