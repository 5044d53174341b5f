"""Check docs/symptoms.md with real clients. Each client fails as quoted, until the commands of the page have run.

Every section of the page is a test. It needs a situation here, and a script for every client that it quotes. No offline
test can show this, because only real clients print the quoted messages.
"""

import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate

from dev.cluster import process, programs
from dev.cluster.laptop import define_dockerd, is_dockerd_ready
from dev.cluster.plan import LAPTOP as LAPTOP_HOST
from dev.cluster.plan import MASTER, WORKER
from dev.cluster.process import Daemon
from dev.environment import PROJECT, STATE
from tests.e2e import dns, faults
from tests.e2e.lab import ADDRESS, NAME, NAMESPACE, SOAK, STACK, STORAGE_PATH, Lab, checkout, eventually
from tests.issuing import IssuedCertificate, issue, server_spec
from tests.symptoms import LAPTOP, REFUSALS, Symptom, read_symptoms

pytestmark = pytest.mark.e2e

ENDPOINT = f"{NAMESPACE}:5000"
IMAGE = f"{ENDPOINT}/busybox:1.35"
DOCKER, CONTAINERD = "/etc/docker/certs.d", "/etc/containerd/certs.d"
OTHER_NAME = "registry.internal"
"""Name of the registry that its certificate does not have before the remedy."""

TEAM = "team"
"""Namespace of the Pods that pull."""

PLAIN_ENDPOINT = f"{WORKER.address}:5080"
"""Endpoint of a registry without TLS, which SERVE_PLAIN starts."""

SERVE_PLAIN = (
    "printf 'version: 0.1\nstorage: {inmemory: {}}\nhttp: {addr: \":5080\"}\n' > /tmp/c && exec registry serve /tmp/c"
)
"""Command of a Pod, which runs that registry."""

UNAVAILABLE_PROXY = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_CONNECT(self): self.send_error(503)
http.server.ThreadingHTTPServer(("127.0.0.1", 3128), Handler).serve_forever()
"""
"""Program of a proxy that reaches no server."""

LOGIN = "pulumi stack output password --show-secrets | docker login %s --username centos --password-stdin"
"""Command that logs in at an endpoint."""

CURL = "curl --silent --show-error --fail-with-body"
CURL_LOGIN = '--user "centos:$(pulumi stack output password --show-secrets)"'
PYTHON = "python -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=3)'"
"""Command that sends a request to a URL."""

DELETE_POD = f"kubectl delete pod {NAMESPACE} --namespace {NAMESPACE} --grace-period=1"

RETRY_FUNCTION = """
retry() { for _ in $(seq 40); do if eval "$1"; then return; fi; sleep 0.5; done; return 1; }
"""
"""Function that repeats a command. The engine reads /etc/hosts every five seconds, and kube-proxy needs a moment."""


@dataclass(frozen=True)
class ClientScripts:
    """Scripts of the clients on the laptop, and the pull of a Pod. They run before the remedy and after it.

    Attributes:
        laptop: Scripts by client.
        before: Lines before each script, until the remedy.
        pod: Returns the event's message if a Pod cannot pull. Its argument is whether the remedy has been applied.
        by_hand: Applies a remedy that the page describes without a command.
    """

    laptop: Mapping[str, str]
    before: str = ""
    pod: Callable[[bool], str | None] | None = None
    by_hand: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class ClientHosts:
    """The laptop and the worker, whose clients do not trust the registry yet, and a user's folder with the program."""

    lab: Lab
    folder: Path

    def run_script(self, script: str, check: bool = True, host: str = "laptop") -> CompletedProcess[str]:
        """Run a script in the folder on a host, without the CA bundles in the environment of the tests."""
        script = f"unset CURL_CA_BUNDLE REQUESTS_CA_BUNDLE SSL_CERT_DIR SSL_CERT_FILE\n{script}"
        command = ["bash", "-eu", "-o", "pipefail", "-c", script]
        options = {"env": self.lab.environment.env, "cwd": self.folder, "capture_output": True, "text": True}
        done: CompletedProcess[str] = self.lab.cluster.run(host, command, **options)
        assert done.returncode == 0 or not check, f"{script}\n{done.stdout}\n{done.stderr}"
        return done

    def reset(self) -> None:
        """Remove the registry's names and CA from both hosts, and the login from the laptop. Restore the config."""
        names = f"grep --invert-match --regexp={NAMESPACE} --regexp={OTHER_NAME} /etc/hosts > /run/hosts"
        folders = f"{DOCKER}/{ENDPOINT} {DOCKER}/{OTHER_NAME}:5000 {CONTAINERD}/{ENDPOINT}"
        for host in ("laptop", WORKER.name):
            self.run_script(f"rm -rf {folders}; {names}; cp /run/hosts /etc/hosts", host=host)
        self.run_script(f"docker logout {ENDPOINT}")
        shutil.copy(PROJECT / "Pulumi.dev.yaml", self.folder)

    def add_hosts_entry(self, *hosts: str) -> None:
        for host in hosts:
            self.lab.cluster.set_hosts_entry(host, ADDRESS, NAMESPACE)

    def install_ca(self, *hosts: str) -> None:
        self.add_hosts_entry(*hosts)
        for host in hosts:
            client = "docker" if host == "laptop" else "containerd"
            self.run_script(f"python -m ops trust --for {client} --yes", host=host)

    def pull(self, image: str, secret: str | None = "login") -> str | None:
        """Return the event's message if a Pod on the worker cannot pull its image, or None if it can."""
        container = {"name": "puller", "image": image, "imagePullPolicy": "Always", "command": ["true"]}
        spec: dict[str, Any] = {"nodeName": WORKER.name, "restartPolicy": "Never", "containers": [container]}
        if secret:
            spec["imagePullSecrets"] = [{"name": secret}]
        metadata = {"generateName": "puller-", "namespace": TEAM}
        pod = json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        created = self.lab.environment.run("kubectl", "create", "-f", "-", "--output", "name", stdin=pod).stdout.strip()
        name = created.partition("/")[2]
        outcomes: list[str | None] = []

        def has_ended() -> bool:
            events = self.lab.api.objects("events", TEAM, fields=f"involvedObject.name={name},reason=Failed")
            outcomes.extend(event["message"] for event in events if "pull image" in event["message"])
            (status,) = self.lab.get("pod", name, TEAM)["status"].get("containerStatuses", [{}])
            outcomes.extend([None] if status.get("imageID") else [])
            return bool(outcomes)

        eventually(60, "the pull succeeds or fails", has_ended)
        self.lab.kubectl("delete", created, "--namespace", TEAM, "--now")
        return outcomes[0]


@pytest.fixture(scope="module")
def module_hosts(lab: Lab) -> Iterator[ClientHosts]:
    """Yield the hosts after a push, with the pull Secret `login`, which has a copy of the laptop's login."""
    folder = checkout()
    client_hosts = ClientHosts(lab, folder)
    lab.up()
    lab.trust(lab.outputs())
    client_hosts.run_script(
        RETRY_FUNCTION + f"retry {shlex.quote(LOGIN % ENDPOINT)}; pulumi stack output ca_pem > ca.pem"
    )
    lab.push("busybox:1.35")
    lab.kubectl("create", "namespace", TEAM)
    login = f"--from-file=.dockerconfigjson={lab.environment.variables['DOCKER_CONFIG']}/config.json"
    lab.kubectl(
        "create", "secret", "generic", "login", "--namespace", TEAM, "--type=kubernetes.io/dockerconfigjson", login
    )
    yield client_hosts
    client_hosts.reset()
    client_hosts.add_hosts_entry("laptop")
    lab.up("--refresh")
    lab.kubectl("delete", "namespace", TEAM)
    lab.cluster.path("laptop", f"{DOCKER}/{ENDPOINT}").mkdir(exist_ok=True)
    lab.trust(lab.outputs())


@pytest.fixture
def client_hosts(module_hosts: ClientHosts) -> ClientHosts:
    module_hosts.reset()
    return module_hosts


def upload_scripts() -> ClientScripts:
    """Return the scripts of clients that push."""
    push = f"docker tag busybox:1.35 {ENDPOINT}/pushed && docker push {ENDPOINT}/pushed"
    url = f"https://{ENDPOINT}/v2/pushed/blobs/uploads/"
    return ClientScripts(
        {"docker push": push, "curl": f"CURL_CA_BUNDLE=ca.pem {CURL} {CURL_LOGIN} --request POST {url}"}
    )


@contextmanager
def unknown_ca(client_hosts: ClientHosts) -> Iterator[ClientScripts]:
    client_hosts.add_hosts_entry("laptop", WORKER.name)
    url = f"https://{ENDPOINT}/"
    laptop = {"docker": LOGIN % ENDPOINT, "curl": f"{CURL} {url}", "Python": f"{PYTHON} {url}"}
    yield ClientScripts(laptop, pod=lambda _: client_hosts.pull(IMAGE))


@contextmanager
def other_name(client_hosts: ClientHosts) -> Iterator[ClientScripts]:
    client_hosts.lab.cluster.set_hosts_entry("laptop", ADDRESS, OTHER_NAME)
    client_hosts.run_script(f"install -D --mode 644 ca.pem {DOCKER}/{OTHER_NAME}:5000/ca.crt")
    yield clients_that_trust(f"{OTHER_NAME}:5000")


@contextmanager
def expired_certificate(client_hosts: ClientHosts) -> Iterator[ClientScripts]:
    """Serve an expired certificate of the same CA for the same name, and write its end to the state."""
    client_hosts.install_ca("laptop")
    replace_with_expired_certificate(client_hosts.lab)
    yield clients_that_trust()


def replace_with_expired_certificate(lab: Lab) -> None:
    """Replace the certificate in the Secret, its end in the state, and the Pod, which serves the new certificate."""
    state = json.loads(lab.pulumi("stack", "export", "--show-secrets", *STACK).stdout)
    resources = state["deployment"]["resources"]
    outputs = {resource["urn"].rpartition("::")[2]: resource.get("outputs") for resource in resources}
    key = load_pem_private_key(json.loads(outputs["registry-tls-ca-key"]["privateKeyPem"]["plaintext"]).encode(), None)
    assert isinstance(key, EllipticCurvePrivateKey)
    ca = IssuedCertificate(load_pem_x509_certificate(outputs["registry-tls-ca"]["certPem"].encode()), key)
    expired = issue(server_spec(NAMESPACE, starts=-10, days=9), ca)
    outputs["registry-tls-leaf"]["validityEndTime"] = expired.certificate.not_valid_after_utc.isoformat()
    lab.pulumi("stack", "import", *STACK, stdin=json.dumps(state))
    patch = {"stringData": {"tls.crt": expired.pem, "tls.key": expired.key_pem}}
    lab.kubectl("patch", "secret", "cert-secret", "--namespace", NAMESPACE, "--patch", json.dumps(patch))
    pod = lab.get("pod", NAMESPACE)
    new_pod = {**pod, "metadata": {key: pod["metadata"][key] for key in ("name", "namespace", "labels", "annotations")}}
    lab.environment.run(
        "kubectl", "replace", "--force", "--grace-period=1", "--filename", "-", stdin=json.dumps(new_pod)
    )


def clients_that_trust(endpoint: str = ENDPOINT) -> ClientScripts:
    """Return the scripts of clients on the laptop, with the CA for those that do not read the system's folders."""
    url = f"https://{endpoint}/"
    return ClientScripts(
        {
            "docker": LOGIN % endpoint,
            "curl": f"CURL_CA_BUNDLE=ca.pem {CURL} --connect-timeout 3 {url}",
            "Python": f"SSL_CERT_FILE=ca.pem {PYTHON} {url}",
        }
    )


@contextmanager
def missing_login(client_hosts: ClientHosts) -> Iterator[ClientScripts]:
    client_hosts.install_ca("laptop", WORKER.name)
    (client_hosts.folder / "password").write_text("another password")
    login = f"docker login {ENDPOINT} --username centos --password-stdin < password"
    laptop = {"docker pull": f"docker pull {IMAGE}", "docker push": f"docker push {IMAGE}", "docker login": login}
    yield ClientScripts(laptop, pod=lambda _: client_hosts.pull(IMAGE, secret=None))


@contextmanager
def unknown_name(client_hosts: ClientHosts) -> Iterator[ClientScripts]:
    """Run a DNS server without the registry's name, because without a server the clients report another error."""
    laptop, worker = "laptop", WORKER.name
    resolv_conf = {host: client_hosts.run_script("cat /etc/resolv.conf", host=host).stdout for host in (laptop, worker)}
    try:
        with dns.serve(client_hosts.lab.cluster, client_hosts.lab.environment):
            for host in resolv_conf:
                client_hosts.run_script(f"echo nameserver {MASTER.address} > /etc/resolv.conf", host=host)
            scripts = clients_that_trust()
            yield replace(scripts, pod=lambda _: client_hosts.pull(IMAGE))
    finally:
        for host, text in resolv_conf.items():
            client_hosts.run_script(f"printf %s {shlex.quote(text)} > /etc/resolv.conf", host=host)


@contextmanager
def missing_pod(client_hosts: ClientHosts) -> Iterator[ClientScripts]:
    client_hosts.install_ca("laptop", WORKER.name)
    client_hosts.lab.kubectl("delete", "pod", NAMESPACE, "--namespace", NAMESPACE)
    yield replace(clients_that_trust(), pod=lambda _: client_hosts.pull(IMAGE))


@contextmanager
def wrong_node(client_hosts: ClientHosts) -> Iterator[ClientScripts]:
    """Let only the node with the registry's Pod answer, and resolve the name to the other node."""
    client_hosts.run_script(
        f"pulumi config set --path 'external_ips[1]' {WORKER.address}\n"
        "pulumi config set --path 'client_cidrs[0]' 192.168.56.0/24\n"
        "pulumi up --yes\n"
        f"python -m ops trust --for docker --address {WORKER.address} --yes"
    )
    yield clients_that_trust()


@contextmanager
def registry_without_tls(client_hosts: ClientHosts) -> Iterator[ClientScripts]:
    client_hosts.install_ca("laptop", WORKER.name)
    client_hosts.run_script(LOGIN % ENDPOINT)
    spec = {"hostNetwork": True, "nodeName": WORKER.name, "terminationGracePeriodSeconds": 0}
    run = ("run", "plain", "--image=registry:3.1.2", "--restart=Never", "--namespace", TEAM)
    client_hosts.lab.kubectl(
        *run, f"--overrides={json.dumps({'spec': spec})}", "--command", "--", "sh", "-c", SERVE_PLAIN
    )
    laptop = {
        "docker": "docker pull $endpoint/busybox:1.35",
        "curl": f"CURL_CA_BUNDLE=ca.pem {CURL} https://$endpoint/",
        "Python": f"SSL_CERT_FILE=ca.pem {PYTHON} https://$endpoint/",
    }
    image = {False: f"{PLAIN_ENDPOINT}/busybox:1.35", True: IMAGE}
    try:
        yield ClientScripts(laptop, f"endpoint={PLAIN_ENDPOINT}", lambda is_fixed: client_hosts.pull(image[is_fixed]))
    finally:
        client_hosts.lab.kubectl("delete", "pod", "plain", "--namespace", TEAM)


@contextmanager
def client_without_tls(client_hosts: ClientHosts) -> Iterator[ClientScripts]:
    client_hosts.add_hosts_entry("laptop", WORKER.name)
    folder = client_hosts.lab.cluster.path(WORKER.name, f"{CONTAINERD}/{ENDPOINT}")
    folder.mkdir()
    (folder / "hosts.toml").write_text(f'[host."http://{ENDPOINT}"]\n')
    laptop = {"curl": f"CURL_CA_BUNDLE=ca.pem {CURL} $url/", "Python": f"SSL_CERT_FILE=ca.pem {PYTHON} $url/"}
    yield ClientScripts(laptop, f"url=http://{ENDPOINT}", lambda _: client_hosts.pull(IMAGE))


@contextmanager
def engine_behind_proxy(client_hosts: ClientHosts, proxy: str) -> Iterator[ClientScripts]:
    """Restart the Docker engine with a proxy, and `by_hand` with NO_PROXY as an administrator would."""
    client_hosts.install_ca("laptop")
    url = f"https://{ENDPOINT}/"
    laptop = {
        "docker": LOGIN % ENDPOINT,
        "curl": f"CURL_CA_BUNDLE=ca.pem https_proxy={proxy} {CURL} {url}",
        "Python": f"SSL_CERT_FILE=ca.pem https_proxy={proxy} {PYTHON} {url}",
    }
    restart_engine(client_hosts, {"HTTPS_PROXY": proxy})
    try:
        yield ClientScripts(
            laptop, by_hand=partial(restart_engine, client_hosts, {"HTTPS_PROXY": proxy, "NO_PROXY": NAMESPACE})
        )
    finally:
        restart_engine(client_hosts, {})


def restart_engine(client_hosts: ClientHosts, variables: Mapping[str, str]) -> None:
    """Restart the laptop's Docker engine with variables in its environment."""
    plan = client_hosts.lab.cluster.plan
    daemon = define_dockerd(plan)
    process.start(plan, daemon, {**programs.provide_programs(plan.state / "programs.json").environment, **variables})
    process.wait_until_ready(plan, daemon, lambda: is_dockerd_ready(plan))


@contextmanager
def missing_proxy(client_hosts: ClientHosts) -> Iterator[ClientScripts]:
    """Use a proxy that does not run."""
    with engine_behind_proxy(client_hosts, "http://127.0.0.1:3129") as scripts:
        yield scripts


@contextmanager
def proxy_without_route(client_hosts: ClientHosts) -> Iterator[ClientScripts]:
    proxy = laptop_daemon(client_hosts, "proxy", (sys.executable, "-c", UNAVAILABLE_PROXY), 3128)
    with proxy, engine_behind_proxy(client_hosts, "http://127.0.0.1:3128") as scripts:
        yield scripts


@contextmanager
def laptop_daemon(client_hosts: ClientHosts, name: str, argv: tuple[str, ...], port: int) -> Iterator[None]:
    """Run a program on the laptop until the block ends. It listens at `port` of 127.0.0.1."""
    plan = client_hosts.lab.cluster.plan
    daemon = Daemon(LAPTOP_HOST, name, argv)
    listens = f"bash -c '> /dev/tcp/127.0.0.1/{port}'"
    process.start(plan, daemon, {"PATH": os.environ["PATH"]})
    try:
        process.wait_until_ready(plan, daemon, lambda: client_hosts.run_script(listens, check=False).returncode == 0)
        yield
    finally:
        process.stop(plan, LAPTOP_HOST, name)


@contextmanager
def refused_deletion(client_hosts: ClientHosts) -> Iterator[ClientScripts]:
    """Delete without `allow_delete`.

    The section is also about pushes to a mirror, which Docker repeats for a minute. tests/e2e/test_examples.py has one.
    """
    client_hosts.install_ca("laptop")
    client_hosts.run_script(LOGIN % ENDPOINT)
    url = f"https://{ENDPOINT}/v2/old/manifests/{client_hosts.lab.push('old:1')}"
    yield ClientScripts({"curl": f"CURL_CA_BUNDLE=ca.pem {CURL} {CURL_LOGIN} --request DELETE {url}"})


@contextmanager
def read_only_registry(client_hosts: ClientHosts) -> Iterator[ClientScripts]:
    client_hosts.install_ca("laptop")
    client_hosts.run_script(f"{LOGIN % ENDPOINT}\npulumi config set mode read-only\npulumi up --yes")
    yield upload_scripts()


@contextmanager
def missing_tag(client_hosts: ClientHosts) -> Iterator[ClientScripts]:
    client_hosts.install_ca("laptop", WORKER.name)
    client_hosts.run_script(LOGIN % ENDPOINT)
    image = f"{ENDPOINT}/busybox:1.36"
    curl = f"CURL_CA_BUNDLE=ca.pem {CURL} {CURL_LOGIN} https://{ENDPOINT}/v2/busybox/manifests/1.36"
    accept = "--header 'Accept: application/vnd.docker.distribution.manifest.v2+json'"
    laptop = {"docker": f"docker pull {image}", "curl": f"{curl} {accept}"}
    yield ClientScripts(laptop, pod=lambda _: client_hosts.pull(image))


@contextmanager
def folder_of_another_user(client_hosts: ClientHosts) -> Iterator[ClientScripts]:
    """Give the images to another user. The registry is root, but lacks the capability to read another user's files."""
    client_hosts.install_ca("laptop")
    client_hosts.run_script(LOGIN % ENDPOINT)
    client_hosts.run_script(f"chown -R 1000 {STORAGE_PATH}; chmod -R go-rwx {STORAGE_PATH}", host=MASTER.name)
    yield upload_scripts()


@contextmanager
def full_disk(client_hosts: ClientHosts) -> Iterator[ClientScripts]:
    """Store the images on a small disk, schedule `collect`, which keeps some space in reserve, and fill the disk."""
    client_hosts.install_ca("laptop")
    client_hosts.lab.cluster.load_python()
    try:
        with faults.small_disk(client_hosts.lab, STORAGE_PATH, "40m", 1000):
            client_hosts.run_script(
                f"{DELETE_POD}\npulumi config set --path collect.schedule '30 2 * * *'\n"
                f"pulumi up --refresh --yes\n{LOGIN % ENDPOINT}\npython -m ops collect"
            )
            faults.add_garbage(client_hosts.lab, STORAGE_PATH)
            with faults.quick_jobs(client_hosts.lab, NAMESPACE):
                faults.fill_disk(client_hosts.lab, STORAGE_PATH)
                yield upload_scripts()
    finally:
        client_hosts.run_script(f"{DELETE_POD}\npulumi config rm --path collect\npulumi up --refresh --yes")


@contextmanager
def damaged_layer(client_hosts: ClientHosts) -> Iterator[ClientScripts]:
    """Push an image, and change a byte of its layer on the node. No other image has the layer, but a file has it."""
    client_hosts.install_ca("laptop", WORKER.name)
    client_hosts.lab.cluster.load_python()
    image = f"{ENDPOINT}/web:1"
    client_hosts.run_script(
        f"{LOGIN % ENDPOINT}\npulumi config set --path scrub.schedule '30 4 * * *'\n"
        "pulumi config set --path scrub.heal true\npulumi up --yes\n"
        f"head -c 99999 /dev/urandom > page\ntar c page | docker import - {image}\n"
        f"docker push {image}\ndocker save --output web.tar {image}\ndocker image rm {image}"
    )
    by_time = f"find {STORAGE_PATH}/docker/registry/v2/blobs -name data -size +90k -printf '%T@ %p\\n' | sort -n"
    client_hosts.run_script(
        f'newest_layer=$({by_time} | tail -n 1 | cut -d " " -f 2)\n'
        'printf x | dd of="$newest_layer" conv=notrunc bs=1 seek=99',
        host=MASTER.name,
    )
    remove = f"docker image rm {image} > /dev/null 2>&1 || true"
    yield ClientScripts({"docker pull": f"{remove}; docker pull {image}"}, pod=lambda _: client_hosts.pull(image))


@contextmanager
def locked_stack(client_hosts: ClientHosts) -> Iterator[ClientScripts]:
    """Kill `pulumi up` as soon as it has written its lock."""
    locks = STATE / NAME / "pulumi/.pulumi/locks"
    client_hosts.run_script(
        "setsid pulumi up --yes > /dev/null 2>&1 & group=$!\n"
        f'until find {locks} -name "*.json" | grep --quiet .; do sleep 0.02; done\n'
        'kill -9 -- "-$group"'
    )
    yield ClientScripts({"pulumi": "pulumi up --yes --skip-preview"})


@contextmanager
def missing_rights(client_hosts: ClientHosts) -> Iterator[ClientScripts]:
    """Preview as a user without any rights. The administrator may act as this user."""
    (client_hosts.folder / "docs").symlink_to(PROJECT / "docs")
    kubeconfig = yaml.safe_load(client_hosts.lab.cluster.kubeconfig.read_text())
    kubeconfig["users"][0]["user"]["as"] = "jane"
    (client_hosts.folder / "jane").write_text(yaml.safe_dump(kubeconfig))
    roles = "registry-namespace registry-cluster"
    try:
        yield ClientScripts({"pulumi": "KUBECONFIG=jane pulumi preview"})
    finally:
        client_hosts.run_script(f"kubectl delete --ignore-not-found clusterrole,clusterrolebinding {roles}")


@contextmanager
def wrong_context(client_hosts: ClientHosts) -> Iterator[ClientScripts]:
    """Select a context of kubectl that names a port without an API server."""
    client_hosts.run_script(
        'cp "$KUBECONFIG" kubeconfig; kubectl config set-cluster old --server https://192.168.56.10:6444\n'
        "kubectl config set-context old --cluster old --user admin; kubectl config use-context old"
    )
    try:
        yield ClientScripts({"pulumi": "pulumi preview"})
    finally:
        client_hosts.run_script('cp kubeconfig "$KUBECONFIG"')


SITUATIONS: dict[str, Callable[[ClientHosts], AbstractContextManager[ClientScripts]]] = {
    "x509: certificate signed by unknown authority": unknown_ca,
    "x509: certificate is valid for ..., not ...": other_name,
    "x509: certificate has expired or is not yet valid": expired_certificate,
    "401 Unauthorized, no basic auth credentials": missing_login,
    "no such host": unknown_name,
    "connection refused": missing_pod,
    "i/o timeout, Client.Timeout exceeded, context deadline exceeded": wrong_node,
    "server gave HTTP response to HTTPS client": registry_without_tls,
    "Client sent an HTTP request to an HTTPS server": client_without_tls,
    "proxyconnect": missing_proxy,
    "Service Unavailable": proxy_without_route,
    "The operation is unsupported": refused_deletion,
    "error parsing HTTP 405 response body": read_only_registry,
    "manifest unknown": missing_tag,
    "no space left on device": full_disk,
    "filesystem layer verification failed": damaged_layer,
    "currently locked": locked_stack,
    "500 Internal Server Error": folder_of_another_user,
    "is forbidden": missing_rights,
    "cluster is unreachable": wrong_context,
}
"""Function that creates the situation of a section until its block ends, by the title of the section."""

POD = "a Pod's event"
"""Name of a Pod among the clients of the page."""

SYMPTOMS = sorted(
    (symptom for symptom in read_symptoms() if symptom.title not in REFUSALS),
    key=lambda symptom: symptom.title == "no such host",
)
"""Sections of the page, except those of tests/e2e/test_access_clients.py. The last one leaves files on the nodes."""


REPEATED = {"no space left on device": "docker push"}
"""Clients that only a soak runs before the remedy, because Docker repeats the push four times, which takes 50 seconds.

The section `500 Internal Server Error` shows Docker's repetitions in each run."""


@pytest.mark.parametrize("symptom", SYMPTOMS, ids=lambda symptom: symptom.title)
def test_each_client_fails_as_quoted_until_the_commands_have_run(client_hosts: ClientHosts, symptom: Symptom) -> None:
    with SITUATIONS[symptom.title](client_hosts) as scripts:
        assert {*scripts.laptop, *([POD] if scripts.pod else [])} == symptom.quotes.keys()
        clients = [name for name in symptom.quotes if SOAK or name != REPEATED.get(symptom.title)]
        with ThreadPoolExecutor() as executor:
            list(executor.map(partial(expect_quote, client_hosts, scripts, symptom), clients))
        apply_remedy(client_hosts, symptom, scripts)
        pod = scripts.pod
        if pod:
            eventually(60, "the Pod's image is pulled", lambda: pod(True) is None)


def run_client(client_hosts: ClientHosts, scripts: ClientScripts, client: str) -> str:
    """Return the client's output, or the event's message for a Pod, before the remedy."""
    if client == POD and scripts.pod:
        return scripts.pod(False) or "the image was pulled"
    done = client_hosts.run_script(f"{scripts.before}\n{scripts.laptop[client]}", check=False)
    return done.stdout + done.stderr


def expect_quote(client_hosts: ClientHosts, scripts: ClientScripts, symptom: Symptom, client: str) -> None:
    """Run the client until it prints a line that the page quotes. Fail after 20 seconds."""
    outputs: list[str] = []

    def is_quoted() -> bool:
        outputs.append(run_client(client_hosts, scripts, client))
        return symptom.is_quoted(client, outputs[-1])

    try:
        eventually(20, f"{client} prints {symptom.quotes[client]}", is_quoted)
    except AssertionError as error:
        raise AssertionError(f"{error} The last output is: {outputs[-1]}") from None


def apply_remedy(client_hosts: ClientHosts, symptom: Symptom, scripts: ClientScripts) -> None:
    """Run the commands of the page on their hosts, then each client of the laptop, which must succeed.

    The clients run in the shell of the commands, because some commands set variables.
    """
    laptop = "".join(fix.script for fix in symptom.fixes if fix.host == LAPTOP)
    scripts.by_hand()
    for fix in symptom.fixes:
        if fix.host != LAPTOP:
            client_hosts.run_script(fix.script, host=fix.host)
    client_hosts.run_script(
        "\n".join([laptop, RETRY_FUNCTION, *(f"retry {shlex.quote(script)}" for script in scripts.laptop.values())])
    )
