"""What a person has already, an engine, a backend, a cluster, is used as it is."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.environment import PROJECT, STATE
from dev.toolchain.engine import provide_engine
from tests.e2e.lab import ADDRESS, NAME, NAMESPACE, STACK, UP, WITHOUT_BYTECODE, Lab, marked

pytestmark = pytest.mark.e2e

BROUGHT = f"{NAME}b"
"""Name under which `make up` keeps what it makes on the cluster that the person brought."""

OWN = STATE / NAME / "own"


@pytest.fixture(scope="module")
def bare(lab: Lab) -> Iterator[Lab]:
    """The lab's cluster without its registry, for another one to take its place."""
    lab.pulumi("destroy", "--yes", "--skip-preview", *STACK)
    yield lab
    lab.up()
    lab.trust(lab.outputs())


@pytest.fixture(scope="module")
def person(bare: Lab) -> Iterator[list[str]]:
    """`env` with what a person has brought, and nothing of ours: a `pulumi` with plugins, a backend, a KUBECONFIG."""
    shutil.rmtree(OWN, ignore_errors=True)
    engine = provide_engine()
    assert engine.path, "the lab runs a built engine"
    # Engines of other labs write and clear their logs there meanwhile.
    logs = shutil.ignore_patterns("logs")
    shutil.copytree(engine.path.parent, OWN / "pulumi", copy_function=os.link, ignore=logs)
    (OWN / "state").mkdir()
    brought = {
        "PATH": f"{OWN / 'pulumi/bin'}:{bare.place.env['PATH']}",
        "PULUMI_HOME": OWN / "pulumi",
        "PULUMI_BACKEND_URL": (OWN / "state").as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": "of their own",
        "KUBECONFIG": bare.cluster.kubeconfig,
        **WITHOUT_BYTECODE,
    }
    ours = [variable for variable in bare.place.variables if variable not in brought]
    unset = [f"--unset={variable}" for variable in ours if variable.startswith("PULUMI_")]
    yield ["env", *unset, *(f"{variable}={value}" for variable, value in brought.items())]
    shutil.rmtree(OWN)


def test_make_up_takes_the_engine_on_path_and_the_cluster_of_kubeconfig(bare: Lab, person: list[str]) -> None:
    python, *up = UP
    up[up.index(NAME)] = BROUGHT
    up.remove("--isolated")
    try:
        done = bare.place.run(*person, python, *up, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"the cluster of KUBECONFIG, {bare.cluster.kubeconfig}" in done.stderr
        assert "two nodes of Kubernetes" not in done.stderr, "no cluster is started beside it"
        assert "docker-registry:5000 is up at 192.168.56.10" in done.stdout
        variables = bare.place.run(*person, python, "-m", "dev", "env", "--cluster", BROUGHT).stdout
        assert "PULUMI_HOME" not in variables, "no engine is built beside it"
        assert bare.get("pod", NAMESPACE)["status"]["phase"] == "Running"
        assert not any((OWN / "state").rglob("dev.json")), "a stack of the clone stays out of the person's backend"
    finally:
        state = ["PULUMI_BACKEND_URL=" + (STATE / BROUGHT / "pulumi").as_uri(), "PULUMI_CONFIG_PASSPHRASE=embedded"]
        bare.place.run(*person, *state, "pulumi", "destroy", "--yes", "--skip-preview", *STACK)
        shutil.rmtree(STATE / BROUGHT)


@pytest.fixture
def clone(bare: Lab, person: list[str]) -> Iterator[Path]:
    """The files of the project in an empty folder."""
    folder = OWN / "clone"
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, folder / name, follow_symlinks=False)
    yield folder
    mine = ("--cwd", str(folder), "--stack", "mine")
    bare.place.run(*person, "pulumi", "destroy", "--yes", "--skip-preview", *mine)


@pytest.fixture
def client(bare: Lab) -> Iterator[None]:
    """Make the laptop a client that does not know the registry's name."""
    without_name = f"grep --invert-match --word-regexp {NAMESPACE} /etc/hosts > /run/hosts; cp /run/hosts /etc/hosts"
    bare.place.run("sh", "-euc", without_name)
    yield
    bare.docker("logout", f"{NAMESPACE}:5000")
    bare.cluster.set_hosts_entry("laptop", ADDRESS, NAMESPACE)


@pytest.mark.usefixtures("client")
def test_the_quick_start_works_in_an_empty_clone(bare: Lab, person: list[str], clone: Path) -> None:
    """The first line reaches the package index, from this machine. The others reach the cluster, from its laptop."""
    install, *lines = marked("these lines", "sh").splitlines()
    here = [*person, "PULUMI_SKIP_CONFIRMATIONS=true"]  # in place of the answer that a person types
    installed = subprocess.run([*here, *install.split()], cwd=clone, capture_output=True, text=True, check=False)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    done = bare.place.run(*here, "sh", "-euxc", "\n".join([f"cd {clone}", *lines]), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert bare.get("pod", NAMESPACE)["spec"]["nodeName"] == "k8s-worker"
    assert bare.get("service", NAMESPACE)["spec"]["externalIPs"] == ["192.168.56.11"]
    bare.wait_for_proxies()
    client_lines = marked("these lines on a client", "sh")
    script = f'sudo() {{ "$@"; }}\ncd {clone}\n{client_lines}'  # tests run as root, perhaps without sudo
    pushed = bare.place.run(*here, "sh", "-euxc", script, check=False)
    assert pushed.returncode == 0, pushed.stdout + pushed.stderr
    assert "Login Succeeded" in pushed.stdout
    assert "1.35: digest: sha256:" in pushed.stdout
