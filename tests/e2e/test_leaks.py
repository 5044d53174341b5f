"""Search for the secrets of a running registry in state, logs, processes, objects and messages.

The test prints a table of the searched places, with their numbers of characters and of secrets. To prove the search
itself, it also looks for a known text in each place, and for each secret in its intended place. No offline test can
show this, because only real processes, logs and state files contain the texts that engine, providers and Kubernetes
write.
"""

import json
import re
import secrets
import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dev.environment import PROJECT, STATE, Environment
from tests import canary
from tests.e2e import providers
from tests.e2e.lab import ADDRESS, NAME, Lab, Project, Registry, read_secret
from tests.e2e.process_watch import ProcessWatch, command_line, environ_of
from tests.e2e.s3 import S3
from tests.issuing import CertificateSpec, issue

pytestmark = pytest.mark.e2e

NAMESPACE = "leaks"
PORT = 30541
# The prefixes are short, because the search also finds a secret's first twelve characters.
PASSPHRASE = f"phrase-{secrets.token_hex(12)}"
CHOSEN_PASSWORD = f"jean-{secrets.token_hex(12)}"
CHANGED_PASSWORD = f"next-{secrets.token_hex(12)}"
WRONG_PASSWORD = f"wrong-{secrets.token_hex(12)}"
CA = issue(CertificateSpec("Canary CA"))

SECRET_KEYS = {
    "cert-secret": ["tls.key"],
    "auth-secret": ["registry.password"],
    "access-secret": ["haproxy.cfg", "certificate.pem", "hashes.map"],
    "configuration-secret": ["config.yml"],
}
"""Keys with secret values, by Secret. Reading them needs the permission to read the namespace's Secrets."""

ENGINE_VARIABLES = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG")
"""Variables with the passphrase for the engine, and with the stack's config for the program. Only root and the user of
the process can read them."""

ROBOTS = {"robots": {"ci": {"repositories": ["team/*"], "rights": ["push"]}}}
"""Inputs that require the proxy in front of the registry. Its Secret then has hashes of the passwords."""


class Place(NamedTuple):
    """A place that could contain a secret.

    Attributes:
        name: Name of the place in the table.
        text: The text to search.
        expected_text: A part of the text that shows that it was really read.
    """

    name: str
    text: str
    expected_text: str


@pytest.fixture(scope="session")
def lab(lab: Lab) -> Lab:
    """Return the lab with a random passphrase that is in no command line, and with its own providers."""
    # The test also searches the processes of the providers, so the engine has to start them.
    removed = ("PULUMI_CONFIG_PASSPHRASE=", f"{providers.VARIABLE}=")
    command_prefix = tuple(each for each in lab.environment.command_prefix if not each.startswith(removed))
    # The option `--event-log` exists only with PULUMI_DEBUG_COMMANDS.
    variables = {**lab.environment.variables, "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE, "PULUMI_DEBUG_COMMANDS": "true"}
    del variables[providers.VARIABLE]
    return replace(lab, environment=Environment(variables, command_prefix), virtualenv=PROJECT / "venv")


def settings(s3: S3) -> dict[str, Any]:
    return {
        "users": ["jean", "marie"],
        "ca_certificate": CA.pem,
        "log_level": "debug",
        "storage": "s3",
        "s3_bucket": s3.bucket,
        "s3_endpoint": s3.endpoint,
        "s3_access_key": s3.access_key,
        "upstream_ca": s3.ca_pem,
        "namespace": NAMESPACE,
        "exposure": "node-port",
        "node_port": PORT,
    }


def read_secrets(lab: Lab, s3: S3, outputs: dict[str, Any]) -> dict[str, str]:
    """Return all secrets of the registry by name."""
    config = json.loads(read_secret(lab, NAMESPACE, "configuration-secret")["config.yml"])
    has_proxy = "ci" in outputs["passwords"]  # only the change ROBOTS creates this login
    proxy_files = read_secret(lab, NAMESPACE, "access-secret") if has_proxy else {}
    lines = hash_lines(lab, proxy_files)
    return {
        **(proxy_secrets(proxy_files, outputs) if has_proxy else {}),
        "passphrase": PASSPHRASE,
        "chosen password": CHOSEN_PASSWORD,
        "wrong password": WRONG_PASSWORD,
        "S3 secret key": s3.secret_key,
        "generated password": outputs["passwords"]["marie"],
        "http.secret": config["http"]["secret"],
        **{f"hash of {line.partition(':')[0]}": canary.secret_of_hash(line) for line in lines},
        **canary.secrets_of_key("server's key", read_secret(lab, NAMESPACE, "cert-secret")["tls.key"]),
        **canary.secrets_of_key("CA's key", CA.key_pem),
    }


def hash_lines(lab: Lab, proxy_files: dict[str, str]) -> list[str]:
    """Return a line `login:hash` for each login with a stored hash. `proxy_files` is empty without a proxy."""
    if proxy_files:
        return proxy_files["hashes.map"].replace(" ", ":").splitlines()
    return read_secret(lab, NAMESPACE, "auth-secret")["registry.password"].splitlines()


def proxy_secrets(proxy_files: dict[str, str], outputs: dict[str, Any]) -> dict[str, str]:
    """Return the secrets that exist only with the proxy."""
    key = re.search(r"hmac\(sha256,([^)]+)\)", proxy_files["haproxy.cfg"])
    assert key
    return {"password of ci": outputs["passwords"]["ci"], "key of tokens": b64decode(key[1]).decode()}


def test_secrets_are_only_in_their_intended_places(lab: Lab, s3: S3, deploy_registry: Callable[..., Registry]) -> None:
    secret_config = {"passwords.jean": CHOSEN_PASSWORD, "ca_key": CA.key_pem, "s3_secret_key": s3.secret_key}
    with ProcessWatch() as watch_of_up:
        registry = replace(deploy_registry(NAMESPACE, secret_config, **settings(s3)), address=f"{ADDRESS}:{PORT}")
    project = registry.project
    secrets_by_name = read_secrets(lab, s3, registry.outputs)
    send_logins(registry)
    findings = search(
        secrets_by_name,
        process_places("pulumi up", watch_of_up, "pulumi"),
        pod_places(lab),
        ops_places(project),
        engine_output_places(project),
    )
    assert undetected_secrets(lab, project, watch_of_up, secrets_by_name) == []
    assert project.pulumi("stack", "output", "ca_pem").strip() == CA.pem.strip(), "the CA is not secret"
    project.configure({**secret_config, "passwords.jean": CHANGED_PASSWORD}, **settings(s3), **ROBOTS)
    secrets_by_name["changed password"] = CHANGED_PASSWORD
    search(secrets_by_name, engine_debug_places(project))  # only for the table
    findings |= search(secrets_by_name, password_change_places(project))
    outputs = json.loads(project.pulumi("stack", "output", "--json", "--show-secrets"))
    send_logins(replace(registry, outputs=outputs), CHANGED_PASSWORD)
    secrets_by_name |= {f"new {name}": text for name, text in read_secrets(lab, s3, outputs).items()}
    assert undetected_secrets(lab, project, watch_of_up, new_proxy_secrets(secrets_by_name)) == []
    findings |= search(secrets_by_name, proxy_places(lab), cluster_places(lab), file_places(lab, project))
    assert findings == {}


def new_proxy_secrets(secrets_by_name: dict[str, str]) -> dict[str, str]:
    """Return the secrets that only the proxy has, which exist since the change ROBOTS."""
    return {name: text for name, text in secrets_by_name.items() if name in ("new password of ci", "new key of tokens")}


def test_the_watch_records_a_process_of_half_a_second() -> None:
    test_secrets = {"an argument": secrets.token_hex(12), "a variable": secrets.token_hex(12)}
    with ProcessWatch() as watch:
        argv = [sys.executable, "-c", "import time; time.sleep(0.5)", test_secrets["an argument"]]
        subprocess.run(argv, env={"PLANTED": test_secrets["a variable"]}, check=True)
    assert canary.find(test_secrets, watch.command_lines()) == ["an argument (raw)"]
    assert canary.find(test_secrets, watch.variables_except()) == ["a variable (raw)"]
    assert canary.find(test_secrets, watch.variables("PLANTED")) == ["a variable (raw)"]


def search(secrets_by_name: dict[str, str], *places: Iterator[Place]) -> dict[str, list[str]]:
    """Print a line of the table for each place, and return the names of the secrets in it by place."""
    findings: dict[str, list[str]] = {}
    for place in chain(*places):
        names = canary.find(secrets_by_name, place.text)
        print(f"{place.name:50} {len(place.text):>10,} characters {len(names):>3} found {names or ''}", flush=True)
        assert canary.find({"expected text": place.expected_text}, place.text), (
            f"{place.name} does not contain {place.expected_text}"
        )
        findings |= {place.name: names} if names else {}
    return findings


def send_logins(registry: Registry, password: str = CHOSEN_PASSWORD) -> None:
    """Send requests with the right password, with wrong passwords, and with a password as the name."""
    for user, status in {
        f"jean:{password}": 200,
        f"jean:{WRONG_PASSWORD}": 401,
        f"{WRONG_PASSWORD}:x": 401,
        f"nobody:{WRONG_PASSWORD}": 401,
    }.items():
        assert registry.status("/v2/", user=user) == status
    registry.push("team/canary")


def process_places(activity: str, watch: ProcessWatch, expected_text: str) -> Iterator[Place]:
    assert watch.scans > 20, "the watch ran during the command"
    yield Place(f"arguments of processes during {activity}", watch.command_lines(), expected_text)
    yield Place(f"other variables of processes during {activity}", watch.variables_except(*ENGINE_VARIABLES), "PATH=")


def pod_places(lab: Lab) -> Iterator[Place]:
    """Yield the registry's debug log, and the arguments and variables of its process."""
    yield Place("log of the registry", lab.kubectl("logs", "--namespace", NAMESPACE, "docker-registry"), "/v2/")
    argv = b"registry\0serve\0/etc/distribution/config.yml"
    pids = [each.name for each in Path("/proc").glob("[0-9]*") if runs_in_lab(each, argv)]
    text = b"\n".join(read(pid) for pid in pids for read in (command_line, environ_of)).decode(errors="replace")
    yield Place("arguments and variables of the registry", text, "REGISTRY_AUTH_HTPASSWD_PATH")


def proxy_places(lab: Lab) -> Iterator[Place]:
    """Yield the log of the proxy."""
    log = lab.kubectl("logs", "--namespace", NAMESPACE, "docker-registry", "--container", "proxy")
    yield Place("log of the proxy", log, "/v2/")


def runs_in_lab(process: Path, argv: bytes) -> bool:
    """Return whether the process runs in this lab with these arguments."""
    try:
        return argv in command_line(process.name) and f"pr-{NAME}-" in (process / "cgroup").read_text()
    except OSError:
        return False


def ops_places(project: Project) -> Iterator[Place]:
    """Yield output and processes of `ops recover`, `ops verify` and `ops status`, and the page of the last one."""
    # `recover` edits the state only if there is a pending operation.
    add_pending_operation(STATE / NAME / f"pulumi/.pulumi/stacks/{NAMESPACE}/{NAMESPACE}.json")
    (project.folder / "ops").symlink_to(PROJECT / "ops")
    ops = f"cd {project.folder} && exec {sys.executable} -m ops"
    commands = {
        "ops recover": (f"{ops} recover --stack {NAMESPACE}", "dropped"),
        "ops verify": (f"{ops} verify --stack {NAMESPACE} --address {ADDRESS}:{PORT}", "docker-registry"),
        "ops verify that fails": (f"{ops} verify --stack {NAMESPACE} --address {ADDRESS}:1", "refused"),
        "ops status": (
            f"{ops} status --stack {NAMESPACE} --address {ADDRESS}:{PORT} --no-drift --html status.html",
            "Secrets in use",
        ),
    }
    for activity, (command, expected_text) in commands.items():
        with ProcessWatch() as watch:
            done = project.lab.environment.run("sh", "-c", command, check=False)
        yield Place(activity, done.stdout + done.stderr, expected_text)
        yield from process_places(activity, watch, "ops")
    yield Place("page of ops status", (project.folder / "status.html").read_text(), "Secrets in use")


def add_pending_operation(file: Path) -> None:
    """Add a pending operation to the state, as a killed engine leaves one. `pulumi stack import` would drop it."""
    state = json.loads(file.read_text())
    latest = state["checkpoint"]["latest"]
    pod = next(resource for resource in latest["resources"] if resource["type"].endswith(":Pod"))
    latest["pending_operations"] = [{"resource": pod, "type": "updating"}]
    file.write_text(json.dumps(state))


def engine_output_places(project: Project) -> Iterator[Place]:
    """Yield the output of the engine's commands without `--show-secrets`."""
    commands = [("stack", "output"), ("stack", "output", "--json"), ("config",), ("config", "--json")]
    commands += [
        ("stack", "export"),
        ("stack", "history", "--json"),
        ("stack", "--show-urns"),
        ("preview", "--refresh"),
    ]
    for command in commands:
        done = project.run(*command)
        yield Place(f"pulumi {' '.join(command)}", done.stdout + done.stderr, NAMESPACE)


def password_change_places(project: Project) -> Iterator[Place]:
    """Yield the engine's output before and during a change of a password."""
    log = project.folder / "events.json"
    up = ("up", "--yes", "--skip-preview")
    commands = [("preview", "--diff"), ("preview", "--json"), ("preview", "--diff", "--debug")]
    commands += [(*up, "--diff", "--event-log", str(log))]
    for command in commands:
        done = project.run(*command)
        yield Place(f"pulumi {' '.join(command[:4])}", done.stdout + done.stderr, "registry-auth-secret")
    yield Place("event log of pulumi up", log.read_text(), "register resource outputs prepared")
    done = project.run(*up, "--json", "--refresh")
    yield Place("pulumi up --json --refresh", done.stdout + done.stderr, "register resource outputs prepared")


def engine_debug_places(project: Project) -> Iterator[Place]:
    """Yield the engine's log of all messages between plugins and program, which may contain secrets."""
    done = project.run("preview", "--logtostderr", "--verbose=9")
    yield Place("pulumi preview --logtostderr --verbose=9", done.stdout + done.stderr, "registry-auth-secret")


def cluster_places(lab: Lab) -> Iterator[Place]:
    """Yield all objects of all kinds, with events, but without the values of SECRET_KEYS."""
    kinds = lab.kubectl("api-resources", "--verbs=list", "--output=name").split()
    objects = json.loads(
        lab.kubectl("get", ",".join(kinds), "--all-namespaces", "--output=json", "--show-managed-fields", check=False)
    )["items"]
    for item in objects:
        if item["kind"] == "Secret" and item["metadata"]["namespace"] == NAMESPACE:
            for key in SECRET_KEYS.get(item["metadata"]["name"], ()):
                assert item["data"].pop(key)
    found_kinds = {item["kind"] for item in objects}
    assert {"Secret", "Pod", "Event", "ConfigMap"} <= found_kinds
    yield Place(f"{len(objects)} objects of {len(found_kinds)} kinds", json.dumps(objects), "checksum/config")


def file_places(lab: Lab, project: Project) -> Iterator[Place]:
    """Yield the files of the backend and the project, and the logs of all daemons and Pods of the lab."""
    state = STATE / NAME
    yield Place("files of the backend", read_files(state / "pulumi"), "registry-auth-secret")
    yield Place("files of the project", read_files(project.folder), "encryptionsalt")
    yield Place("logs of the daemons", read_files(state / "logs"), "kube-apiserver")
    for node in ("k8s-master", "k8s-worker"):
        yield Place(f"/var/log of {node}", read_files(lab.cluster.path(node, "/var/log")), "/var/log/pods")


def read_files(folder: Path) -> str:
    """Return the names and contents of all files below `folder`."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return "\n".join(f"{path}\n{path.read_bytes().decode(errors='replace')}" for path in paths)


def undetected_secrets(
    lab: Lab, project: Project, watch_of_up: ProcessWatch, secrets_by_name: dict[str, str]
) -> list[str]:
    """Return the secrets that the search does not find even in their intended places.

    A key has several forms, with the names `NAME, FORM`. One of them is enough.
    """
    stored = lab.api.objects("Secret", NAMESPACE)
    texts = [json.dumps([secret["data"] for secret in stored if secret["metadata"]["name"] in SECRET_KEYS])]
    texts += [
        project.pulumi(*command, "--show-secrets")
        for command in (("stack", "export"), ("stack", "output"), ("config",))
    ]
    texts.append(watch_of_up.variables(*ENGINE_VARIABLES))
    detected = {match.rpartition(" (")[0] for text in texts for match in canary.find(secrets_by_name, text)}
    stored_nowhere = {"wrong password", "new wrong password"}
    return sorted(_without_form(secrets_by_name) - _without_form(detected) - stored_nowhere)


def _without_form(names: Iterable[str]) -> set[str]:
    return {name.partition(", ")[0] for name in names}
