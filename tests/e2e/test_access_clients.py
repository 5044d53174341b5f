"""Clients of the proxy pull without a login, log in, push, and print why they are refused.

Only real clients print the errors that docs/symptoms.md quotes, and only they show that its commands help.
tests/e2e/test_pull_secrets.py has the tests of the kubelet. The tests of this file need no cluster.
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
from tests.e2e.access_server import CA, AccessServer, access_settings, basic_auth, serve, write_layout
from tests.e2e.docker_engines import NAME, run_engines
from tests.e2e.lab import eventually
from tests.symptoms import CLASSIC, LOG_IN, NOT_ALLOWED, TOO_MANY, Symptom, read_symptoms

pytestmark = [pytest.mark.e2e, pytest.mark.together]

ENDPOINT = "docker-registry:5000"
"""Endpoint on docs/symptoms.md. The tests use an address of the loopback interface instead."""

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
    """Commands of a client, for the image `$image` with the tag `$tag` in the repository `$repository`.

    `login` reads the password of `$user` from standard input, and fails if it is wrong.
    """

    pull: str
    push: str
    login: str
    tag: str = "1"
    new_tag: str = "2"
    """Tag of the pushes that must be refused. crane sends nothing if a tag already has the manifest."""


CURL = "curl --silent --show-error --fail-with-body --cacert certs/ca.crt --config login"

DOCKER_ENDPOINT = NAME + ":${registry#*:}"
"""Endpoint for Docker engines."""


def docker_client(store: str) -> Client:
    """Return the commands of Docker for the engine whose address is in the variable `store`."""
    docker, image = f"docker --host ${store}", f"{DOCKER_ENDPOINT}/$repository:$tag"
    return Client(
        pull=f"{docker} pull {image}",
        push=f"{docker} tag busybox:1.35 {image}; {docker} push {image}",
        login=f"{docker} login --username $user --password-stdin {DOCKER_ENDPOINT}",
    )


CLIENTS: Mapping[str, Client] = {
    "docker": docker_client("CONTAINERD_STORE"),
    f"docker{CLASSIC}": docker_client("CLASSIC_STORE"),
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
        # `crane auth login` only writes a file, so a request follows.
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
"""Files and folders with the logins of the clients."""


@dataclass
class ClientHome:
    """A user's home for clients. `outputs` has the text that each command has printed since `clear_outputs`."""

    server: AccessServer
    folder: Path
    variables: Mapping[str, str]
    outputs: list[str] = field(default_factory=list)

    def run(self, script: str, stdin: str = "", **variables: str) -> bool:
        """Run a script, and return whether it succeeded."""
        done = subprocess.run(
            ["bash", "-eu", "-c", PODMAN + script],
            cwd=self.folder,
            env={**self.variables, "registry": self.server.endpoints.address, **variables},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        address = self.server.endpoints.address
        output = f"{done.stdout}\n{done.stderr}".replace(address, ENDPOINT)
        self.outputs.append(output.replace(f"{NAME}:{address.partition(':')[2]}", ENDPOINT))
        return done.returncode == 0

    def access(self, command: str, repository: str, tag: str) -> bool:
        """Run a client's command for a pull or a push, and return whether it succeeded."""
        image = f"{self.server.endpoints.address}/{repository}:{tag}"
        shutil.rmtree(self.folder / "pulled", ignore_errors=True)
        return self.run(command, image=image, repository=repository, tag=tag)

    def log_in(self, login: str, user: str, password: str) -> bool:
        """Run a client's command for a login, and return whether it succeeded."""
        return self.run(login, password, user=user)

    def log_out(self) -> None:
        """Delete the logins of all clients."""
        for name in LOGIN_FILES:
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).unlink(missing_ok=True)
        (self.folder / "auth.json").write_text("{}")
        (self.folder / "login").write_text("")

    def clear_outputs(self) -> None:
        self.outputs.clear()


@pytest.fixture(scope="module")
def variables() -> Iterator[dict[str, str]]:
    """Run two Docker engines, and yield the environment of the clients."""
    debian = packages.provide_packages({"skopeo": "skopeo", "podman": "podman", "curl": "curl"})
    folders = build_programs(["crane", "oras", "helm", "docker"]).values()
    search_path = os.pathsep.join([*map(str, folders), debian.env["PATH"]])
    with TemporaryDirectory(prefix="docker-") as folder, run_engines(Path(folder), CA.pem) as engines:
        yield {**debian.env, "PATH": search_path, "DOCKER_HOST": engines["CONTAINERD_STORE"], **engines}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AccessServer]:
    with serve(tmp_path_factory.mktemp("clients"), resolve_access(SETTINGS)) as access_server:
        yield access_server


@contextmanager
def temporary_home(server: AccessServer, variables: Mapping[str, str]) -> Iterator[ClientHome]:
    """Yield a home with a short path, because podman allows 50 characters for the path of its folder."""
    with TemporaryDirectory(prefix="clients-") as folder:
        yield create_home(server, Path(folder), variables)


def create_home(server: AccessServer, folder: Path, variables: Mapping[str, str]) -> ClientHome:
    """Create a home with the CA, an image and a chart."""
    for name in ("certs", ".config/containers", "runtime"):
        (folder / name).mkdir(parents=True)
    (folder / "certs/ca.crt").write_text(CA.pem)
    (folder / ".config/containers/policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    write_layout(folder / "layout", "1")
    (folder / "app").mkdir()
    (folder / "app/Chart.yaml").write_text("apiVersion: v2\nname: app\nversion: 0.1.0\n")
    with tarfile.open(folder / "app-0.1.0.tgz", "w:gz") as chart:
        chart.add(folder / "app", "app")
    paths = {
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(folder / "runtime"),
        "TMPDIR": str(folder),
        "REGISTRY_AUTH_FILE": str(folder / "auth.json"),
    }
    home = ClientHome(server, folder, {**variables, **paths})
    home.log_out()
    return home


@pytest.fixture
def home(server: AccessServer, variables: dict[str, str]) -> Iterator[ClientHome]:
    with temporary_home(server, variables) as client_home:
        yield client_home


def push_to_three_repositories(home: ClientHome, client: Client) -> None:
    """Push an image with the client to a public, a team's and a private repository, as the first user."""
    assert home.log_in(client.login.splitlines()[0], "centos", home.server.passwords["centos"]), home.outputs
    # The command of curl only starts an upload, so skopeo pushes the images that curl lists.
    pusher = CLIENTS["skopeo"] if client is CLIENTS["curl"] else client
    if pusher is not client:
        assert home.log_in(pusher.login, "centos", home.server.passwords["centos"]), home.outputs
    for repository in ("public/app", "team/app", "private/app"):
        assert home.access(pusher.push, repository, client.tag), home.outputs
    home.log_out()
    home.clear_outputs()


def unquoted_outputs(symptom: Symptom, name: str, outputs: list[str]) -> list[str]:
    """Return the outputs of a client without a line that the page quotes."""
    return [output for output in outputs if not symptom.is_quoted(name, output)]


def quoted_line(symptom: Symptom, name: str, output: str) -> str:
    """Return the line of an output that the page quotes."""
    return next(line for line in output.splitlines() if symptom.is_quoted(name, line))


def unprinted_quotes(symptom: Symptom, name: str, outputs: list[str]) -> list[str]:
    """Return the quotes on the page that the client has not printed."""

    def is_printed(quote: str) -> bool:
        only_quote = replace(symptom, quotes={name: [quote]})
        return any(only_quote.is_quoted(name, output) for output in outputs)

    return [quote for quote in symptom.quotes_of(name) if not is_printed(quote)]


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_works_within_its_rights_and_prints_why_it_is_refused(
    home: ClientHome, name: str, figures: Callable[[str], None]
) -> None:
    """Only a real client prints its error."""
    client, passwords = CLIENTS[name], home.server.passwords
    push_to_three_repositories(home, client)
    assert home.access(client.pull, "public/app", client.tag), home.outputs
    home.clear_outputs()
    assert not home.access(client.pull, "team/app", client.tag)
    assert not home.access(client.push, "public/app", client.new_tag)
    assert not home.log_in(client.login, "ann", "wrong")
    outputs_without_login = [*home.outputs]
    home.log_out()
    home.clear_outputs()
    assert home.log_in(client.login, "ann", passwords["ann"]), home.outputs
    assert home.access(client.push, "team/app", client.tag), home.outputs
    for repository in ("team/app", "public/app"):
        assert home.access(client.pull, repository, client.tag), home.outputs
    home.clear_outputs()
    assert not home.access(client.push, "private/app", client.new_tag)
    assert not home.access(client.push, "public/app", client.new_tag)
    assert not home.access(client.pull, "private/app", client.tag)
    for title, outputs in ((LOG_IN, outputs_without_login), (NOT_ALLOWED, home.outputs)):
        assert unquoted_outputs(SYMPTOMS[title], name, outputs) == [], title
        assert unprinted_quotes(SYMPTOMS[title], name, outputs) == [], (title, outputs)
        for output in outputs:
            figures(quoted_line(SYMPTOMS[title], name, output))


def send_guess(server: AccessServer) -> None:
    """Send a wrong password over a connection of its own."""
    with closing(AccessServer(server.endpoints)) as client:
        client.send("GET", "/v2/", headers={"Authorization": basic_auth("centos", "a guess")})


@pytest.fixture
def one_guess_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AccessServer]:
    """Run a proxy that limits the guesses at a chosen password after the first one."""
    monkeypatch.setattr(haproxy, "MOST_GUESSES", 0)
    with serve(tmp_path, resolve_access(SETTINGS), {"centos": "correct horse battery"}) as access_server:
        yield access_server


def test_a_client_with_too_many_wrong_passwords_asks_its_user_to_wait(
    one_guess_server: AccessServer, variables: dict[str, str], figures: Callable[[str], None]
) -> None:
    """Only a real client prints its error."""
    symptom = SYMPTOMS[TOO_MANY]
    assert symptom.clients == {name.removesuffix(CLASSIC) for name in CLIENTS}

    def expect_quote(name: str) -> None:
        with temporary_home(one_guess_server, variables) as home:

            def prints_quote() -> bool:
                send_guess(one_guess_server)  # a guess counts for ten seconds
                home.clear_outputs()
                is_refused = not home.log_in(CLIENTS[name].login, "centos", "wrong")
                return is_refused and not unprinted_quotes(symptom, name, home.outputs)

            try:
                eventually(30, f"{name} prints {symptom.quotes_of(name)}", prints_quote)
            except AssertionError as error:
                raise AssertionError(f"{error} It printed {home.outputs}.") from None
            figures(f"{name}: {quoted_line(symptom, name, home.outputs[-1])}")

    with ThreadPoolExecutor() as threads:
        list(threads.map(expect_quote, CLIENTS))
    with temporary_home(one_guess_server, variables) as home:
        eventually(30, "the commands of the page work", lambda: run_fix(home, symptom))


def run_fix(home: ClientHome, symptom: Symptom) -> bool:
    """Run the commands of a section as the first user, and return whether they succeeded.

    A shell function replaces pulumi, and prints the password that is the output of a stack. The clients trust the CA.
    """
    (home.folder / "output").write_text(home.server.passwords["centos"])
    preparation = 'pulumi() { cat output; }\nexport SSL_CERT_FILE="$PWD/certs/ca.crt"\n'
    (fix,) = symptom.fixes
    script = fix.script.replace(f"docker login {ENDPOINT}", f"docker login {DOCKER_ENDPOINT}")
    return home.run(preparation + script.replace(ENDPOINT, "$registry"))


def test_the_login_commands_of_the_page_allow_a_push(home: ClientHome) -> None:
    """Only real clients read the logins that these commands store."""
    symptom = SYMPTOMS[LOG_IN]
    assert symptom.clients == {name.removesuffix(CLASSIC) for name in CLIENTS}
    home.server.push("team/app", "1", "content of team/app")
    assert run_fix(home, symptom), home.outputs
    for name in ("docker", f"docker{CLASSIC}", "podman", "skopeo", "crane", "oras"):
        assert home.access(CLIENTS[name].push, "team/app", "1"), home.outputs
    assert home.access(CLIENTS["helm"].push, "team/app", "0.1.0"), home.outputs


def test_the_rule_of_the_page_allows_the_push(home: ClientHome) -> None:
    """Only the engine shows how it reads the typed rule. The test applies it to the proxy instead of a cluster."""
    symptom, client = SYMPTOMS[NOT_ALLOWED], CLIENTS["skopeo"]
    assert symptom.clients == {name.removesuffix(CLASSIC) for name in CLIENTS}
    (fix,) = symptom.fixes
    command, _, options_of_up = fix.script.rpartition("pulumi up")
    assert options_of_up == " --yes\n"
    assert home.log_in(client.login, "ann", home.server.passwords["ann"])
    assert not home.access(client.push, "private/app", "1")
    access = set_config(home, command)
    try:
        home.server.configure(resolve_access(replace(SETTINGS, access=access)), {})
        eventually(10, "the rule is in force", lambda: home.access(client.push, "private/app", "1"))
    finally:
        home.server.configure(resolve_access(SETTINGS), {})
        eventually(10, "the rule is no longer in force", lambda: not home.access(client.push, "private/app", "1"))


def set_config(home: ClientHome, command: str) -> list[Mapping[str, list[str]]]:
    """Run a `pulumi config` command in a stack with the rules of SETTINGS, and return the changed rules."""
    engine = provide_engine()
    path = os.pathsep.join([str(engine.path or ""), home.variables["PATH"]])
    state = home.folder / "state"
    state.mkdir()
    backend = {"PULUMI_BACKEND_URL": state.as_uri(), "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE, "PULUMI_STACK": "dev"}
    environment = Environment({**engine.env, **backend, "PATH": path})
    shutil.copy(PROJECT / "Pulumi.yaml", home.folder)
    config = home.folder / "Pulumi.dev.yaml"
    config.write_text(yaml.safe_dump({"config": {"private-registry:access": SETTINGS.access}}))
    stack_file.create(environment, "private-registry", "dev")
    assert home.run(command, **environment.variables), home.outputs
    return list(yaml.safe_load(config.read_text())["config"]["private-registry:access"])
