"""Clients of the proxy: each one pulls without a login, logs in, pushes, and is refused in words.

Only the clients show what they say. docs/symptoms.md quotes it, and its commands help. Docker is in
tests/e2e/test_proxy.py, and the kubelet in tests/e2e/test_pull_secrets.py.
"""

import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
import yaml

from dev import packages
from dev.environment import PASSPHRASE, PROJECT, Environment
from dev.toolchain.build import build_programs
from dev.toolchain.engine import provide_engine
from registry.access import haproxy, resolve_access
from tests.e2e import stack_file
from tests.e2e.access_server import CA, AccessServer, access_settings, basic, serve, write_layout
from tests.e2e.lab import eventually
from tests.symptoms import LOG_IN, NOT_ALLOWED, TOO_MANY, Symptom, read_symptoms

pytestmark = [pytest.mark.e2e, pytest.mark.together]

ENDPOINT = "docker-registry:5000"
"""Endpoint on the page. The tests use an address of the loopback interface instead."""

SETTINGS = access_settings(
    users=["centos", "ann"],
    access=[
        {"users": ["centos"], "repositories": ["**"], "rights": ["push"]},
        {"users": ["ann"], "repositories": ["team/*"], "rights": ["push"]},
    ],
    anonymous_pull=["public/*"],
)

SYMPTOMS = {symptom.title: symptom for symptom in read_symptoms()}


class Client(NamedTuple):
    """Commands of a client, for the image `$image` with the tag `$tag` of the repository `$repository`.

    `login` gets the password of `$user` as standard input, and fails if it is wrong.
    """

    pull: str
    push: str
    login: str
    tag: str = "1"
    new_tag: str = "2"
    """Tag that does not exist. crane pushes nothing if the tag has this manifest."""


CURL = "curl --silent --show-error --fail-with-body --cacert certs/ca.crt --config login"

CLIENTS: Mapping[str, Client] = {
    "podman": Client(
        pull="podman pull --cert-dir certs $image",
        push="podman push --cert-dir certs $(podman pull --quiet oci:layout:1) docker://$image",
        login="podman login --cert-dir certs --username $user --password-stdin $registry",
    ),
    "skopeo": Client(
        pull="skopeo copy --src-cert-dir certs docker://$image dir:pulled",
        push="skopeo copy --dest-cert-dir certs oci:layout:1 docker://$image",
        login="skopeo login --cert-dir certs --username $user --password-stdin $registry",
    ),
    "crane": Client(
        pull="SSL_CERT_FILE=certs/ca.crt crane pull --format oci $image pulled",
        push="SSL_CERT_FILE=certs/ca.crt crane push layout $image",
        # The login alone compares no password.
        login="crane auth login --username $user --password-stdin $registry\n"
        "SSL_CERT_FILE=certs/ca.crt crane digest $registry/public/app:1",
    ),
    "oras": Client(
        pull="oras pull --ca-file certs/ca.crt --output pulled $image",
        push="oras push --ca-file certs/ca.crt $image layout/index.json",
        login="oras login --ca-file certs/ca.crt --username $user --password-stdin $registry",
    ),
    "helm": Client(
        pull="helm pull --ca-file certs/ca.crt oci://$registry/$repository --version $tag",
        push="helm push --ca-file certs/ca.crt app-$tag.tgz oci://$registry/${repository%/*}",
        login="helm registry login --ca-file certs/ca.crt --username $user --password-stdin $registry",
        tag="0.1.0",
        new_tag="0.1.0",
    ),
    "curl": Client(
        pull=f"{CURL} https://$registry/v2/$repository/tags/list",
        push=f"{CURL} --request POST https://$registry/v2/$repository/blobs/uploads/",
        login='echo "user = \\"$user:$(cat)\\"" > login\n' + f"{CURL} https://$registry/v2/",
    ),
}

PODMAN = 'podman() { command podman --root "$HOME/root" --runroot "$HOME/run" --storage-driver vfs "$@"; }\n'
"""Function that keeps the images of podman in the folder of the test."""

LOGIN_FILES = ("auth.json", ".docker", ".config/helm", "login")


@dataclass
class Bench:
    """A folder in which a client runs, as a user's home. `outputs` has what it printed since the last `forget`."""

    server: AccessServer
    folder: Path
    variables: Mapping[str, str]
    outputs: list[str] = field(default_factory=list)

    def run(self, script: str, stdin: str = "", **variables: str) -> bool:
        """Run a script, and return whether it worked."""
        done = subprocess.run(
            ["bash", "-eu", "-c", PODMAN + script],
            cwd=self.folder,
            env={**self.variables, "registry": self.server.endpoints.address, **variables},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        self.outputs.append(f"{done.stdout}\n{done.stderr}".replace(self.server.endpoints.address, ENDPOINT))
        return done.returncode == 0

    def access(self, command: str, repository: str, tag: str) -> bool:
        """Run a pull or a push, and return whether it worked."""
        image = f"{self.server.endpoints.address}/{repository}:{tag}"
        shutil.rmtree(self.folder / "pulled", ignore_errors=True)
        return self.run(command, image=image, repository=repository, tag=tag)

    def log_in(self, login: str, user: str, password: str) -> bool:
        """Log in, and return whether it worked."""
        return self.run(login, password, user=user)

    def log_out(self) -> None:
        """Delete the logins of all clients."""
        for name in LOGIN_FILES:
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).unlink(missing_ok=True)
        (self.folder / "auth.json").write_text("{}")
        (self.folder / "login").write_text("")

    def forget(self) -> None:
        """Forget what was printed."""
        self.outputs.clear()


@pytest.fixture(scope="module")
def variables() -> dict[str, str]:
    """Return the environment of the clients."""
    debian = packages.provide_packages({"skopeo": "skopeo", "podman": "podman", "curl": "curl"})
    folders = build_programs(["crane", "oras", "helm"]).values()
    return {**debian.env, "PATH": os.pathsep.join([*map(str, folders), debian.env["PATH"]])}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AccessServer]:
    with serve(tmp_path_factory.mktemp("clients"), resolve_access(SETTINGS)) as running:
        yield running


@contextmanager
def open_bench(server: AccessServer, variables: Mapping[str, str]) -> Iterator[Bench]:
    """Yield a bench with the CA, an image and a chart. podman allows 50 characters for the path of its folder."""
    with TemporaryDirectory(prefix="clients-") as folder:
        yield create_bench(server, Path(folder), variables)


def create_bench(server: AccessServer, folder: Path, variables: Mapping[str, str]) -> Bench:
    for name in ("certs", ".config/containers", "runtime"):
        (folder / name).mkdir(parents=True)
    (folder / "certs/ca.crt").write_text(CA.pem)
    (folder / ".config/containers/policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    write_layout(folder / "layout", "1")
    (folder / "app").mkdir()
    (folder / "app/Chart.yaml").write_text("apiVersion: v2\nname: app\nversion: 0.1.0\n")
    with tarfile.open(folder / "app-0.1.0.tgz", "w:gz") as chart:
        chart.add(folder / "app", "app")
    own = {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder / "runtime"), "TMPDIR": str(folder)}
    bench = Bench(server, folder, {**variables, **own, "REGISTRY_AUTH_FILE": str(folder / "auth.json")})
    bench.log_out()
    return bench


@pytest.fixture
def bench(server: AccessServer, variables: dict[str, str]) -> Iterator[Bench]:
    with open_bench(server, variables) as opened:
        yield opened


def seed(bench: Bench, client: Client) -> None:
    """Push an image of the client to three repositories, as the first user."""
    assert bench.log_in(client.login.splitlines()[0], "centos", bench.server.passwords["centos"]), bench.outputs
    # curl pulls what another client has pushed.
    push = CLIENTS["skopeo"] if client is CLIENTS["curl"] else client
    if push is not client:
        assert bench.log_in(push.login, "centos", bench.server.passwords["centos"]), bench.outputs
    for repository in ("public/app", "team/app", "private/app"):
        assert bench.access(push.push, repository, client.tag), bench.outputs
    bench.log_out()
    bench.forget()


def unquoted(symptom: Symptom, name: str, outputs: list[str]) -> list[str]:
    """Return the outputs in which the page quotes no line."""
    return [output for output in outputs if not symptom.is_quoted(name, output)]


def decisive_line(symptom: Symptom, name: str, output: str) -> str:
    """Return the line that the page quotes."""
    return next(line for line in output.splitlines() if symptom.is_quoted(name, line))


def unprinted(symptom: Symptom, name: str, outputs: list[str]) -> list[str]:
    """Return the quotes of the page that the client has not printed."""
    single = {quote: replace(symptom, quotes={name: [quote]}) for quote in symptom.quotes[name]}
    return [quote for quote, one in single.items() if not any(one.is_quoted(name, output) for output in outputs)]


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_works_within_its_rights_and_is_refused_in_words(
    bench: Bench, name: str, figures: Callable[[str], None]
) -> None:
    client, passwords = CLIENTS[name], bench.server.passwords
    seed(bench, client)
    assert bench.access(client.pull, "public/app", client.tag), bench.outputs
    bench.forget()
    assert not bench.access(client.pull, "team/app", client.tag)
    assert not bench.access(client.push, "public/app", client.new_tag)
    assert not bench.log_in(client.login, "ann", "wrong")
    log_in = [*bench.outputs]
    bench.log_out()
    bench.forget()
    assert bench.log_in(client.login, "ann", passwords["ann"]), bench.outputs
    assert bench.access(client.push, "team/app", client.tag), bench.outputs
    for repository in ("team/app", "public/app"):
        assert bench.access(client.pull, repository, client.tag), bench.outputs
    bench.forget()
    assert not bench.access(client.push, "private/app", client.new_tag)
    assert not bench.access(client.push, "public/app", client.new_tag)
    assert not bench.access(client.pull, "private/app", client.tag)
    for title, outputs in ((LOG_IN, log_in), (NOT_ALLOWED, bench.outputs)):
        assert unquoted(SYMPTOMS[title], name, outputs) == [], title
        assert unprinted(SYMPTOMS[title], name, outputs) == [], (title, outputs)
        for output in outputs:
            figures(decisive_line(SYMPTOMS[title], name, output))


def guess(server: AccessServer) -> int:
    with closing(AccessServer(server.endpoints)) as client:
        return client.send("GET", "/v2/", headers={"Authorization": basic("centos", "a guess")}).status


@pytest.fixture
def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AccessServer]:
    """Run a proxy that refuses a user with a chosen password after the first guess."""
    monkeypatch.setattr(haproxy, "MOST_GUESSES", 0)
    with serve(tmp_path, resolve_access(SETTINGS), {"centos": "correct horse battery"}) as running:
        yield running


def test_a_client_with_too_many_wrong_passwords_is_told_to_wait(
    guarded: AccessServer, variables: dict[str, str], figures: Callable[[str], None]
) -> None:
    symptom = SYMPTOMS[TOO_MANY]
    assert symptom.quotes.keys() == CLIENTS.keys()

    def expect_quote(name: str) -> None:
        with open_bench(guarded, variables) as bench:

            def is_quoted() -> bool:
                guess(guarded)
                bench.forget()
                return not bench.log_in(CLIENTS[name].login, "centos", "wrong") and not unprinted(
                    symptom, name, bench.outputs
                )

            try:
                eventually(30, f"{name} prints {symptom.quotes[name]}", is_quoted)
            except AssertionError as error:
                raise AssertionError(f"{error} It printed {bench.outputs}.") from None
            figures(f"{name}: {decisive_line(symptom, name, bench.outputs[-1])}")

    with ThreadPoolExecutor() as threads:
        list(threads.map(expect_quote, CLIENTS))
    with open_bench(guarded, variables) as bench:
        eventually(30, "the commands of the page work", lambda: run_fix(bench, symptom))


def run_fix(bench: Bench, symptom: Symptom) -> bool:
    """Run the commands of the page as the first user, whose password the stack knows. The clients trust the CA."""
    (bench.folder / "output").write_text(bench.server.passwords["centos"])
    trust = 'pulumi() { cat output; }\nexport SSL_CERT_FILE="$PWD/certs/ca.crt"\n'
    (fix,) = symptom.fixes
    return bench.run(trust + fix.script.replace(ENDPOINT, "$registry"))


def test_the_logins_of_the_page_help(bench: Bench) -> None:
    symptom = SYMPTOMS[LOG_IN]
    assert symptom.quotes.keys() == CLIENTS.keys()
    bench.server.push("team/app", "1", "content of team/app")
    assert run_fix(bench, symptom), bench.outputs
    for name in ("podman", "skopeo", "crane", "oras"):
        assert bench.access(CLIENTS[name].push, "team/app", "1"), bench.outputs
    assert bench.access(CLIENTS["helm"].push, "team/app", "0.1.0"), bench.outputs


def test_the_rule_of_the_page_helps(bench: Bench) -> None:
    """The engine sets the typed rule. It is applied to the proxy instead of a cluster."""
    symptom, client = SYMPTOMS[NOT_ALLOWED], CLIENTS["skopeo"]
    assert symptom.quotes.keys() == CLIENTS.keys()
    (fix,) = symptom.fixes
    command, _, apply = fix.script.rpartition("pulumi up")
    assert apply == " --yes\n"
    assert bench.log_in(client.login, "ann", bench.server.passwords["ann"])
    assert not bench.access(client.push, "private/app", "1")
    access = set_config(bench, command)
    try:
        bench.server.configure(resolve_access(replace(SETTINGS, access=access)), {})
        eventually(10, "the rule is in force", lambda: bench.access(client.push, "private/app", "1"))
    finally:
        bench.server.configure(resolve_access(SETTINGS), {})
        eventually(10, "the rule is gone", lambda: not bench.access(client.push, "private/app", "1"))


def set_config(bench: Bench, command: str) -> list[Mapping[str, list[str]]]:
    """Run a command of pulumi in a stack with the rules of SETTINGS, and return the rules."""
    engine = provide_engine()
    state, path = bench.folder / "state", os.pathsep.join([str(engine.path or ""), bench.variables["PATH"]])
    state.mkdir()
    backend = {"PULUMI_BACKEND_URL": state.as_uri(), "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE, "PULUMI_STACK": "dev"}
    environment = Environment({**engine.env, **backend, "PATH": path})
    shutil.copy(PROJECT / "Pulumi.yaml", bench.folder)
    config = bench.folder / "Pulumi.dev.yaml"
    config.write_text(yaml.safe_dump({"config": {"private-registry:access": SETTINGS.access}}))
    stack_file.create(environment, "private-registry", "dev")
    assert bench.run(command, **environment.variables), bench.outputs
    return list(yaml.safe_load(config.read_text())["config"]["private-registry:access"])
