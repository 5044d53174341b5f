"""No secret of a running registry is anywhere but where it is meant to be: state, logs, processes, objects, messages.

A table of the places, what was searched there and what was found is printed. Every place has a text that is known to be
there, and every secret a place where it is, and the same search finds them: so 0 is a result.
"""

import json
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dev.environment import PROJECT, STATE, Environment
from tests import canary
from tests.e2e import providers
from tests.e2e.lab import ADDRESS, NAME, Lab, Project, Registry, of_secret
from tests.e2e.s3 import S3
from tests.e2e.watch import Watch, arguments, environment
from tests.issuing import Wanted, issue

pytestmark = pytest.mark.e2e

SPACE = "leaks"
PORT = 30541
PASSPHRASE, CHOSEN, CHANGED, WRONG = (f"{what}-{secrets.token_hex(12)}" for what in ("phrase", "jean", "then", "wrong"))
CA = issue(Wanted("Canary CA"))

MEANT = {"cert-secret": ["tls.key"], "auth-secret": ["registry.password"], "configuration-secret": ["config.yml"]}
"""Keys of the Secrets that hold secrets: whoever may read Secrets of the namespace reads them."""

OF_THE_ENGINE = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG")
"""Variables by which a person gives the passphrase to the engine, and the engine the stack's config to the program. The
kernel shows a process's variables to its own user and to root."""


class Place(NamedTuple):
    """Where was searched, and what is known to be there."""

    name: str
    text: str
    there: str


@pytest.fixture(scope="session")
def lab(lab: Lab) -> Lab:
    """The same, with a passphrase that is one, and that no command line has: the lab's own is in its source."""
    others = ("PULUMI_CONFIG_PASSPHRASE=", f"{providers.VARIABLE}=")  # it looks at the providers that the engine starts
    enter = tuple(each for each in lab.place.command_prefix if not each.startswith(others))
    # The flag for an event log is one of the engine's developers.
    variables = {**lab.place.variables, "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE, "PULUMI_DEBUG_COMMANDS": "true"}
    del variables[providers.VARIABLE]
    return replace(lab, place=Environment(variables, enter), virtualenv=PROJECT / "venv")


def settings(s3: S3) -> dict[str, Any]:
    return {
        **{"users": ["jean", "marie"], "ca_certificate": CA.pem, "log_level": "debug"},
        **{"storage": "s3", "s3_bucket": s3.bucket, "s3_endpoint": s3.endpoint, "s3_access_key": s3.access_key},
        **{"upstream_ca": s3.ca_pem, "namespace": SPACE, "exposure": "node-port", "node_port": PORT},
    }


def known(lab: Lab, s3: S3, outputs: dict[str, Any]) -> dict[str, str]:
    """Every secret of the registry, by name."""
    config = json.loads(of_secret(lab, SPACE, "configuration-secret")["config.yml"])
    lines = of_secret(lab, SPACE, "auth-secret")["registry.password"].splitlines()
    return {
        **{
            "passphrase": PASSPHRASE,
            "chosen password": CHOSEN,
            "wrong password": WRONG,
            "S3 secret key": s3.secret_key,
        },
        **{"generated password": outputs["passwords"]["marie"], "http.secret": config["http"]["secret"]},
        **{f"hash of {line.partition(':')[0]}": canary.of_hash(line) for line in lines},
        **canary.of_key("server's key", of_secret(lab, SPACE, "cert-secret")["tls.key"]),
        **canary.of_key("CA's key", CA.key_pem),
    }


def test_no_secret_is_where_it_is_not_meant_to_be(lab: Lab, s3: S3, registry: Callable[..., Registry]) -> None:
    given = {"passwords.jean": CHOSEN, "ca_key": CA.key_pem, "s3_secret_key": s3.secret_key}
    with Watch() as up:
        served = replace(registry(SPACE, given, **settings(s3)), at=f"{ADDRESS}:{PORT}")
    project = served.project
    secret = known(lab, s3, served.outputs)
    log_in_and_fail(served)
    hits = search(secret, processes("pulumi up", up, "pulumi"), of_the_pod(lab), of_ops(project), told(project))
    assert where_they_are(lab, project, up, secret) == []
    assert project.pulumi("stack", "output", "ca_pem").strip() == CA.pem.strip(), "what is no secret can be read"
    project.configure({**given, "passwords.jean": CHANGED}, **settings(s3))
    secret["changed password"] = CHANGED
    search(secret, of_the_engines_developers(project))
    hits |= search(secret, changed(project))
    secret |= {f"new {name}": text for name, text in known(lab, s3, served.outputs).items()}
    hits |= search(secret, of_the_cluster(lab), files(lab, project))
    assert hits == {}


def test_a_process_is_seen_however_short_it_is() -> None:
    planted = {"an argument": secrets.token_hex(12), "a variable": secrets.token_hex(12)}
    with Watch() as watch:
        argv = [sys.executable, "-c", "import time; time.sleep(0.5)", planted["an argument"]]
        subprocess.run(argv, env={"PLANTED": planted["a variable"]}, check=True)
    assert canary.found(planted, watch.commands()) == ["an argument (raw)"]
    assert canary.found(planted, watch.others()) == ["a variable (raw)"]
    assert canary.found(planted, watch.variables("PLANTED")) == ["a variable (raw)"]


def search(secret: dict[str, str], *places: Iterator[Place]) -> dict[str, list[str]]:
    """A line of the table for each place; what was found in those where something was."""
    hits: dict[str, list[str]] = {}
    for place in chain(*places):
        found = canary.found(secret, place.text)
        print(f"{place.name:50} {len(place.text):>10,} characters {len(found):>3} found {found or ''}", flush=True)
        assert canary.found({"what is there": place.there}, place.text), f"{place.name}: {place.there} is not there"
        hits |= {place.name: found} if found else {}
    return hits


def log_in_and_fail(served: Registry) -> None:
    """Requests with passwords that are right, wrong, and in the place of a name."""
    for user, status in {
        f"jean:{CHOSEN}": 200,
        f"jean:{WRONG}": 401,
        f"{WRONG}:x": 401,
        f"nobody:{WRONG}": 401,
    }.items():
        assert served.status("/v2/", user=user) == status
    served.push("team/canary")


def processes(what: str, watch: Watch, there: str) -> Iterator[Place]:
    assert watch.looks > 20
    yield Place(f"arguments of processes during {what}", watch.commands(), there)
    yield Place(f"their other variables during {what}", watch.others(*OF_THE_ENGINE), "PATH=")


def of_the_pod(lab: Lab) -> Iterator[Place]:
    """What it logs at debug, and its process as the node sees it."""
    yield Place("log of the registry", lab.kubectl("logs", "--namespace", SPACE, "docker-registry"), "/v2/")
    serving = b"registry\0serve\0/etc/distribution/config.yml"
    pids = [each.name for each in Path("/proc").glob("[0-9]*") if is_running(each, serving)]
    text = b"\n".join(part(pid) for pid in pids for part in (arguments, environment)).decode(errors="replace")
    yield Place("arguments and variables of the registry", text, "REGISTRY_AUTH_HTPASSWD_PATH")


def is_running(process: Path, argv: bytes) -> bool:
    """Whether it is that program, in this lab."""
    try:
        return argv in arguments(process.name) and f"pr-{NAME}-" in (process / "cgroup").read_text()
    except OSError:
        return False


def of_ops(project: Project) -> Iterator[Place]:
    """Both commands, of a stack in which an operation is pending so that its state is read and written."""
    leave_pending(STATE / NAME / f"pulumi/.pulumi/stacks/{SPACE}/{SPACE}.json")
    (project.folder / "ops").symlink_to(PROJECT / "ops")
    ops = f"cd {project.folder} && exec {sys.executable} -m ops"
    commands = {
        "ops recover": (f"{ops} recover --stack {SPACE}", "dropped"),
        "ops verify": (f"{ops} verify --stack {SPACE} --address {ADDRESS}:{PORT}", "docker-registry"),
        "ops verify that fails": (f"{ops} verify --stack {SPACE} --address {ADDRESS}:1", "refused"),
    }
    for what, (command, there) in commands.items():
        with Watch() as watch:
            done = project.lab.place.run("sh", "-c", command, check=False)
        yield Place(what, done.stdout + done.stderr, there)
        yield from processes(what, watch, "ops")


def leave_pending(file: Path) -> None:
    """As a killed engine does: `pulumi stack import` would leave it out."""
    state = json.loads(file.read_text())
    latest = state["checkpoint"]["latest"]
    pod = next(each for each in latest["resources"] if each["type"].endswith(":Pod"))
    latest["pending_operations"] = [{"resource": pod, "type": "updating"}]
    file.write_text(json.dumps(state))


def told(project: Project) -> Iterator[Place]:
    """What the engine tells a person who does not ask for secrets."""
    commands = [("stack", "output"), ("stack", "output", "--json"), ("config",), ("config", "--json")]
    commands += [
        ("stack", "export"),
        ("stack", "history", "--json"),
        ("stack", "--show-urns"),
        ("preview", "--refresh"),
    ]
    for command in commands:
        done = project.run(*command)
        yield Place(f"pulumi {' '.join(command)}", done.stdout + done.stderr, SPACE)


def changed(project: Project) -> Iterator[Place]:
    """What it tells of another password, before and while it changes."""
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


def of_the_engines_developers(project: Project) -> Iterator[Place]:
    """Measured, and nobody's promise: at this level the engine writes down what plugins and program send each other."""
    done = project.run("preview", "--logtostderr", "--verbose=9")
    yield Place("pulumi preview --logtostderr --verbose=9", done.stdout + done.stderr, "registry-auth-secret")


def of_the_cluster(lab: Lab) -> Iterator[Place]:
    """Every object of every kind, events among them, but for what the Secrets are there for."""
    kinds = lab.kubectl("api-resources", "--verbs=list", "--output=name").split()
    listed = json.loads(
        lab.kubectl("get", ",".join(kinds), "--all-namespaces", "--output=json", "--show-managed-fields", check=False)
    )["items"]
    for each in listed:
        if each["kind"] == "Secret" and each["metadata"]["namespace"] == SPACE:
            for key in MEANT.get(each["metadata"]["name"], ()):
                assert each["data"].pop(key)
    seen = {each["kind"] for each in listed}
    assert {"Secret", "Pod", "Event", "ConfigMap"} <= seen
    yield Place(f"{len(listed)} objects of {len(seen)} kinds", json.dumps(listed), "checksum/config")


def files(lab: Lab, project: Project) -> Iterator[Place]:
    """What is written: the backend's files, the project's, and the logs of every daemon and Pod of the lab."""
    state = STATE / NAME
    yield Place("files of the backend", read(state / "pulumi"), "registry-auth-secret")
    yield Place("files of the project", read(project.folder), "encryptionsalt")
    yield Place("logs of the daemons", read(state / "logs"), "kube-apiserver")
    for node in ("k8s-master", "k8s-worker"):
        yield Place(f"/var/log of {node}", read(lab.cluster.path(node, "/var/log")), "/var/log/pods")


def read(folder: Path) -> str:
    """Every file below `folder`, and its name."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return "\n".join(f"{path}\n{path.read_bytes().decode(errors='replace')}" for path in found)


def where_they_are(lab: Lab, project: Project, up: Watch, secret: dict[str, str]) -> list[str]:
    """The secrets that the search does not find where each is meant to be: it would find none elsewhere either."""
    meant = [json.dumps([lab.get("secret", name, SPACE)["data"] for name in MEANT])]
    meant += [project.pulumi(*of, "--show-secrets") for of in (("stack", "export"), ("stack", "output"), ("config",))]
    meant.append(up.variables(*OF_THE_ENGINE))
    seen = {each.rpartition(" (")[0].partition(", ")[0] for text in meant for each in canary.found(secret, text)}
    return sorted({name.partition(", ")[0] for name in secret} - seen - {"wrong password", "new wrong password"})
