"""docs/symptoms.md, heard from real clients: each says what the page quotes, and no more once its commands have run.

The page is the table of tests: a section without a situation here fails, and so does a client that is not asked.
"""

import json
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate

from dev.cluster.plan import MASTER, WORKER
from dev.workplace import PROJECT
from tests.e2e import dns
from tests.e2e.lab import ADDRESS, NAMESPACE, STACK, Lab, checkout, eventually
from tests.issuing import Issued, issue, leaf
from tests.symptoms import Symptom, read

pytestmark = pytest.mark.e2e

ENDPOINT = f"{NAMESPACE}:5000"
IMAGE = f"{ENDPOINT}/busybox:1.35"
DOCKER, CONTAINERD = "/etc/docker/certs.d", "/etc/containerd/certs.d"
OTHER = "registry.internal"
"""A name that the certificate does not have at first."""

TEAM = "team"
"""The namespace of the Pods."""

PLAIN = f"{WORKER.address}:5080"
SERVE_PLAIN = (
    "printf 'version: 0.1\nstorage: {inmemory: {}}\nhttp: {addr: \":5080\"}\n' > /tmp/c && exec registry serve /tmp/c"
)

LOGIN = "pulumi stack output password --show-secrets | docker login %s --username centos --password-stdin"
CURL = "curl --silent --show-error --fail-with-body"
PYTHON = "python -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=3)'"

AGAIN = """
again() { for _ in $(seq 40); do if eval "$1"; then return; fi; sleep 0.5; done; return 1; }
"""
"""An engine looks into /etc/hosts every five seconds, and kube-proxy hears of a Pod a moment after it is ready."""


@dataclass(frozen=True)
class Asking:
    """What the clients do, before the remedy and after it: scripts for the laptop's shell, and a Pod's image."""

    laptop: Mapping[str, str]
    before: str = ""
    """Lines in front of each script, until the remedy."""
    pod: Callable[[bool], str | None] | None = None
    """Why the image was not pulled, in the event's words; is told whether the remedy was taken."""


@dataclass(frozen=True)
class Bench:
    """The laptop and the worker before anybody trusts the registry there, and a person's folder with the program."""

    lab: Lab
    folder: Path

    def sh(self, script: str, check: bool = True, host: str = "laptop") -> CompletedProcess[str]:
        """Run it in the folder, without lists of CAs that whoever runs the tests has chosen."""
        script = f"unset CURL_CA_BUNDLE REQUESTS_CA_BUNDLE SSL_CERT_DIR SSL_CERT_FILE\n{script}"
        call = ["bash", "-eu", "-o", "pipefail", "-c", script]
        options = {"env": self.lab.place.env, "cwd": self.folder, "capture_output": True, "text": True}
        done: CompletedProcess[str] = self.lab.cluster.run(host, call, **options)
        assert done.returncode == 0 or not check, f"{script}\n{done.stdout}\n{done.stderr}"
        return done

    def forget(self) -> None:
        """Neither host knows the registry's names or its CA, and the laptop has not logged in."""
        names = f"grep --invert-match --regexp={NAMESPACE} --regexp={OTHER} /etc/hosts > /run/hosts"
        folders = f"{DOCKER}/{ENDPOINT} {DOCKER}/{OTHER}:5000 {CONTAINERD}/{ENDPOINT}"
        for host in ("laptop", WORKER.name):
            self.sh(f"rm -rf {folders}; {names}; cp /run/hosts /etc/hosts", host=host)
        self.sh(f"docker logout {ENDPOINT}")
        shutil.copy(PROJECT / "Pulumi.dev.yaml", self.folder)

    def knows_the_name(self, *hosts: str) -> None:
        for host in hosts:
            self.lab.cluster.hosts_entry(host, ADDRESS, NAMESPACE)

    def trusts(self, *hosts: str) -> None:
        self.knows_the_name(*hosts)
        for host in hosts:
            client = "docker" if host == "laptop" else "containerd"
            self.sh(f"python -m ops trust --for {client} --yes", host=host)

    def pull(self, image: str, secret: str | None = "login") -> str | None:
        """Why a Pod on the worker does not get its image, in the words of the event; None if it does."""
        container = {"name": "it", "image": image, "imagePullPolicy": "Always", "command": ["true"]}
        spec: dict[str, Any] = {"nodeName": WORKER.name, "restartPolicy": "Never", "containers": [container]}
        if secret:
            spec["imagePullSecrets"] = [{"name": secret}]
        metadata = {"generateName": "puller-", "namespace": TEAM}
        pod = json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        made = self.lab.place.run("kubectl", "create", "-f", "-", "--output", "name", stdin=pod).stdout.strip()
        name = made.partition("/")[2]
        why: list[str | None] = []

        def ended() -> bool:
            events = self.lab.api.objects("events", TEAM, fields=f"involvedObject.name={name},reason=Failed")
            why.extend(each["message"] for each in events if "pull image" in each["message"])
            (status,) = self.lab.get("pod", name, TEAM)["status"].get("containerStatuses", [{}])
            why.extend([None] if status.get("imageID") else [])
            return bool(why)

        eventually(60, "the image comes, or does not", ended)
        self.lab.kubectl("delete", made, "--namespace", TEAM, "--now")
        return why[0]


@pytest.fixture(scope="module")
def person(lab: Lab) -> Iterator[Bench]:
    """The program in a folder, as in a clone, with an image and a pull Secret that a login made."""
    folder = checkout()
    bench = Bench(lab, folder)
    lab.up()
    lab.trust(lab.outputs())
    bench.sh(AGAIN + f"again {shlex.quote(LOGIN % ENDPOINT)}; pulumi stack output ca_pem > ca.pem")
    lab.push("busybox:1.35")
    lab.kubectl("create", "namespace", TEAM)
    login = f"--from-file=.dockerconfigjson={lab.place.variables['DOCKER_CONFIG']}/config.json"
    lab.kubectl(
        "create", "secret", "generic", "login", "--namespace", TEAM, "--type=kubernetes.io/dockerconfigjson", login
    )
    yield bench
    bench.forget()
    bench.knows_the_name("laptop")
    lab.up("--refresh")
    lab.kubectl("delete", "namespace", TEAM)
    lab.cluster.path("laptop", f"{DOCKER}/{ENDPOINT}").mkdir(exist_ok=True)
    lab.trust(lab.outputs())


@pytest.fixture
def bench(person: Bench) -> Bench:
    person.forget()
    return person


@contextmanager
def of_an_unknown_ca(bench: Bench) -> Iterator[Asking]:
    bench.knows_the_name("laptop", WORKER.name)
    url = f"https://{ENDPOINT}/"
    laptop = {"docker": LOGIN % ENDPOINT, "curl": f"{CURL} {url}", "Python": f"{PYTHON} {url}"}
    yield Asking(laptop, pod=lambda _: bench.pull(IMAGE))


@contextmanager
def by_another_name(bench: Bench) -> Iterator[Asking]:
    bench.lab.cluster.hosts_entry("laptop", ADDRESS, OTHER)
    bench.sh(f"install -D --mode 644 ca.pem {DOCKER}/{OTHER}:5000/ca.crt")
    yield clients_that_trust(f"{OTHER}:5000")


@contextmanager
def of_an_expired_certificate(bench: Bench) -> Iterator[Asking]:
    """What is served, and what the stack knows of it, as a year later: by the same CA, for the same name, and over."""
    bench.trusts("laptop")
    expire(bench.lab)
    yield clients_that_trust()


def expire(lab: Lab) -> None:
    state = json.loads(lab.pulumi("stack", "export", "--show-secrets", *STACK).stdout)
    made = {each["urn"].rpartition("::")[2]: each.get("outputs") for each in state["deployment"]["resources"]}
    key = load_pem_private_key(json.loads(made["registry-tls-ca-key"]["privateKeyPem"]["plaintext"]).encode(), None)
    assert isinstance(key, EllipticCurvePrivateKey)
    ca = Issued(load_pem_x509_certificate(made["registry-tls-ca"]["certPem"].encode()), key)
    over = issue(leaf(NAMESPACE, starts=-10, days=9), ca)
    made["registry-tls-leaf"]["validityEndTime"] = over.certificate.not_valid_after_utc.isoformat()
    lab.pulumi("stack", "import", *STACK, stdin=json.dumps(state))
    served = {"stringData": {"tls.crt": over.pem, "tls.key": over.key_pem}}
    lab.kubectl("patch", "secret", "cert-secret", "--namespace", NAMESPACE, "--patch", json.dumps(served))
    pod = lab.get("pod", NAMESPACE)
    again = {**pod, "metadata": {key: pod["metadata"][key] for key in ("name", "namespace", "labels", "annotations")}}
    lab.place.run("kubectl", "replace", "--force", "--grace-period=1", "--filename", "-", stdin=json.dumps(again))


def clients_that_trust(endpoint: str = ENDPOINT) -> Asking:
    url = f"https://{endpoint}/"
    return Asking(
        {
            "docker": LOGIN % endpoint,
            "curl": f"CURL_CA_BUNDLE=ca.pem {CURL} --connect-timeout 3 {url}",
            "Python": f"SSL_CERT_FILE=ca.pem {PYTHON} {url}",
        }
    )


@contextmanager
def without_a_login(bench: Bench) -> Iterator[Asking]:
    bench.trusts("laptop", WORKER.name)
    (bench.folder / "password").write_text("of somebody else")
    login = f"docker login {ENDPOINT} --username centos --password-stdin < password"
    laptop = {"docker pull": f"docker pull {IMAGE}", "docker push": f"docker push {IMAGE}", "docker login": login}
    yield Asking(laptop, pod=lambda _: bench.pull(IMAGE, secret=None))


@contextmanager
def of_an_unknown_name(bench: Bench) -> Iterator[Asking]:
    """There is a DNS server, and it does not know the registry: without any, clients say that none answers."""
    laptop, worker = "laptop", WORKER.name
    kept = {host: bench.sh("cat /etc/resolv.conf", host=host).stdout for host in (laptop, worker)}
    try:
        with dns.serve(bench.lab.cluster, bench.lab.place):
            for host in kept:
                bench.sh(f"echo nameserver {MASTER.address} > /etc/resolv.conf", host=host)
            asking = clients_that_trust()
            yield replace(asking, pod=lambda _: bench.pull(IMAGE))
    finally:
        for host, text in kept.items():
            bench.sh(f"printf %s {shlex.quote(text)} > /etc/resolv.conf", host=host)


@contextmanager
def without_a_pod(bench: Bench) -> Iterator[Asking]:
    bench.trusts("laptop", WORKER.name)
    bench.lab.kubectl("delete", "pod", NAMESPACE, "--namespace", NAMESPACE)
    yield replace(clients_that_trust(), pod=lambda _: bench.pull(IMAGE))


@contextmanager
def on_the_wrong_node(bench: Bench) -> Iterator[Asking]:
    """Where only nodes that run the registry answer, and the name leads to another."""
    bench.sh(
        f"pulumi config set --path 'external_ips[1]' {WORKER.address}\n"
        "pulumi config set --path 'client_cidrs[0]' 192.168.56.0/24\n"
        "pulumi up --yes\n"
        f"python -m ops trust --for docker --address {WORKER.address} --yes"
    )
    yield clients_that_trust()


@contextmanager
def of_a_registry_without_tls(bench: Bench) -> Iterator[Asking]:
    bench.trusts("laptop", WORKER.name)
    bench.sh(LOGIN % ENDPOINT)
    spec = {"hostNetwork": True, "nodeName": WORKER.name, "terminationGracePeriodSeconds": 0}
    run = ("run", "plain", "--image=registry:3.1.2", "--restart=Never", "--namespace", TEAM)
    bench.lab.kubectl(*run, f"--overrides={json.dumps({'spec': spec})}", "--command", "--", "sh", "-c", SERVE_PLAIN)
    laptop = {
        "docker": "docker pull $endpoint/busybox:1.35",
        "curl": f"CURL_CA_BUNDLE=ca.pem {CURL} https://$endpoint/",
        "Python": f"SSL_CERT_FILE=ca.pem {PYTHON} https://$endpoint/",
    }
    image = {False: f"{PLAIN}/busybox:1.35", True: IMAGE}
    try:
        yield Asking(laptop, f"endpoint={PLAIN}", lambda helped: bench.pull(image[helped]))
    finally:
        bench.lab.kubectl("delete", "pod", "plain", "--namespace", TEAM)


@contextmanager
def without_tls(bench: Bench) -> Iterator[Asking]:
    bench.knows_the_name("laptop", WORKER.name)
    folder = bench.lab.cluster.path(WORKER.name, f"{CONTAINERD}/{ENDPOINT}")
    folder.mkdir()
    (folder / "hosts.toml").write_text(f'[host."http://{ENDPOINT}"]\n')
    laptop = {"curl": f"CURL_CA_BUNDLE=ca.pem {CURL} $url/", "Python": f"SSL_CERT_FILE=ca.pem {PYTHON} $url/"}
    yield Asking(laptop, f"url=http://{ENDPOINT}", lambda _: bench.pull(IMAGE))


SITUATIONS: dict[str, Callable[[Bench], AbstractContextManager[Asking]]] = {
    "x509: certificate signed by unknown authority": of_an_unknown_ca,
    "x509: certificate is valid for ..., not ...": by_another_name,
    "x509: certificate has expired or is not yet valid": of_an_expired_certificate,
    "401 Unauthorized, no basic auth credentials": without_a_login,
    "no such host": of_an_unknown_name,
    "connection refused": without_a_pod,
    "i/o timeout, Client.Timeout exceeded, context deadline exceeded": on_the_wrong_node,
    "server gave HTTP response to HTTPS client": of_a_registry_without_tls,
    "Client sent an HTTP request to an HTTPS server": without_tls,
}
POD = "a Pod's event"


SYMPTOMS = sorted(read(), key=lambda each: each.title == "no such host")
"""Its remedy leaves files on the nodes, which the end takes away: it comes last."""


@pytest.mark.parametrize("symptom", SYMPTOMS, ids=lambda each: each.title)
def test_every_client_says_it_until_the_commands_of_the_page_have_run(bench: Bench, symptom: Symptom) -> None:
    with SITUATIONS[symptom.title](bench) as asking:
        assert {*asking.laptop, *([POD] if asking.pod else [])} == symptom.quotes.keys()
        with ThreadPoolExecutor() as at_once:
            list(at_once.map(partial(hear, bench, asking, symptom), symptom.quotes))
        remedy(bench, symptom, asking)
        pod = asking.pod
        if pod:
            eventually(60, "the Pod's image is pulled", lambda: pod(True) is None)


def ask(bench: Bench, asking: Asking, client: str) -> str:
    """What the client says, without the remedy."""
    if client == POD and asking.pod:
        return asking.pod(False) or "it was pulled"
    done = bench.sh(f"{asking.before}\n{asking.laptop[client]}", check=False)
    return done.stdout + done.stderr


def hear(bench: Bench, asking: Asking, symptom: Symptom, client: str) -> None:
    """The client says its words before long."""
    heard: list[str] = []

    def is_said() -> bool:
        heard.append(ask(bench, asking, client))
        return symptom.is_said(client, heard[-1])

    try:
        eventually(20, f"{client} says {symptom.quotes[client]}", is_said)
    except AssertionError as error:
        raise AssertionError(f"{error}, but: {heard[-1]}") from None


def remedy(bench: Bench, symptom: Symptom, asking: Asking) -> None:
    """Run the commands where they belong; then each client of the laptop succeeds, in the shell in which they ran."""
    laptop = "".join(fix.script for fix in symptom.fixes if not fix.on_node)
    bench.sh("\n".join([laptop, AGAIN, *(f"again {shlex.quote(script)}" for script in asking.laptop.values())]))
    for fix in symptom.fixes:
        if fix.on_node:
            bench.sh(fix.script, host=WORKER.name)
