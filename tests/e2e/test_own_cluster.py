"""Use the engine, the backend and the cluster that a user already has.

The offline tests choose an engine and a cluster, but cannot run them.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.cluster.plan import WORKER
from dev.environment import PASSPHRASE, PROJECT, STATE
from dev.toolchain.engine import provide_engine
from tests.e2e.lab import ADDRESS, NAME, NAMESPACE, STACK, UP, WITHOUT_BYTECODE, Lab, marked_block

pytestmark = pytest.mark.e2e

OTHER_NAME = f"{NAME}b"
"""Name of the folder with the state of `make up` on the user's cluster."""

USER_FOLDER = STATE / NAME / "own"
"""Folder with the user's engine, backend and clone."""


@pytest.fixture(scope="module")
def empty_lab(lab: Lab) -> Iterator[Lab]:
    """Destroy the lab's registry, so that another one can use its endpoint. Deploy it again at the end."""
    lab.pulumi("destroy", "--yes", "--skip-preview", *STACK)
    yield lab
    lab.up()
    lab.trust(lab.outputs())


@pytest.fixture(scope="module")
def user_environment(empty_lab: Lab) -> Iterator[list[str]]:
    """Yield an `env` command with the user's `pulumi`, backend and KUBECONFIG, without the variables of the lab."""
    shutil.rmtree(USER_FOLDER, ignore_errors=True)
    engine = provide_engine()
    assert engine.path, "the lab runs a built engine"
    # Engines of other labs write and delete logs in the folder during the copy.
    logs = shutil.ignore_patterns("logs")
    shutil.copytree(engine.path.parent, USER_FOLDER / "pulumi", copy_function=os.link, ignore=logs)
    (USER_FOLDER / "state").mkdir()
    user_variables = {
        "PATH": f"{USER_FOLDER / 'pulumi/bin'}:{empty_lab.environment.env['PATH']}",
        "PULUMI_HOME": USER_FOLDER / "pulumi",
        "PULUMI_BACKEND_URL": (USER_FOLDER / "state").as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": "of the user",
        "KUBECONFIG": empty_lab.cluster.kubeconfig,
        **WITHOUT_BYTECODE,
    }
    lab_variables = [variable for variable in empty_lab.environment.variables if variable not in user_variables]
    unset = [f"--unset={variable}" for variable in lab_variables if variable.startswith("PULUMI_")]
    yield ["env", *unset, *(f"{variable}={value}" for variable, value in user_variables.items())]
    shutil.rmtree(USER_FOLDER)


def test_make_up_uses_the_engine_on_path_and_the_cluster_of_kubeconfig(
    empty_lab: Lab, user_environment: list[str]
) -> None:
    python, *up = UP
    up[up.index(NAME)] = OTHER_NAME
    up.remove("--isolated")
    try:
        done = empty_lab.environment.run(*user_environment, python, *up, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"the cluster of KUBECONFIG, {empty_lab.cluster.kubeconfig}" in done.stderr
        assert "two nodes of Kubernetes" not in done.stderr, "no embedded cluster is started"
        assert f"docker-registry:5000 is up at {ADDRESS}" in done.stdout
        variables = empty_lab.environment.run(
            *user_environment, python, "-m", "dev", "env", "--cluster", OTHER_NAME
        ).stdout
        assert "PULUMI_HOME" not in variables, "no engine is built"
        assert empty_lab.get("pod", NAMESPACE)["status"]["phase"] == "Running"
        assert not any((USER_FOLDER / "state").rglob("dev.json")), "the stack of the clone is not in the user's backend"
    finally:
        backend = f"PULUMI_BACKEND_URL={(STATE / OTHER_NAME / 'pulumi').as_uri()}"
        passphrase = f"PULUMI_CONFIG_PASSPHRASE={PASSPHRASE}"
        empty_lab.environment.run(
            *user_environment, backend, passphrase, "pulumi", "destroy", "--yes", "--skip-preview", *STACK
        )
        shutil.rmtree(STATE / OTHER_NAME)


@pytest.fixture
def clone(empty_lab: Lab, user_environment: list[str]) -> Iterator[Path]:
    """Yield a clone of the project without generated files. Destroy its stack at the end."""
    folder = USER_FOLDER / "clone"
    list_files = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(list_files, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, folder / name, follow_symlinks=False)
    yield folder
    stack = ("--cwd", str(folder), "--stack", "mine")
    empty_lab.environment.run(*user_environment, "pulumi", "destroy", "--yes", "--skip-preview", *stack)


@pytest.fixture
def client_without_name(empty_lab: Lab) -> Iterator[None]:
    """Remove the registry's name from the laptop, and add it again at the end."""
    remove_name = f"grep --invert-match --word-regexp {NAMESPACE} /etc/hosts > /run/hosts; cp /run/hosts /etc/hosts"
    empty_lab.environment.run("sh", "-euc", remove_name)
    yield
    empty_lab.docker("logout", f"{NAMESPACE}:5000")
    empty_lab.cluster.set_hosts_entry("laptop", ADDRESS, NAMESPACE)


@pytest.mark.usefixtures("client_without_name")
def test_the_quick_start_works_in_an_empty_clone(empty_lab: Lab, user_environment: list[str], clone: Path) -> None:
    """The first command installs packages, so it runs on this machine. The laptop does not reach the package index."""
    install, *lines = marked_block("these lines", "sh").splitlines()
    environment = [*user_environment, "PULUMI_SKIP_CONFIRMATIONS=true"]  # instead of the answer that a user types
    installation = subprocess.run(
        [*environment, *install.split()], cwd=clone, capture_output=True, text=True, check=False
    )
    assert installation.returncode == 0, installation.stdout + installation.stderr
    done = empty_lab.environment.run(*environment, "sh", "-euxc", "\n".join([f"cd {clone}", *lines]), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert empty_lab.get("pod", NAMESPACE)["spec"]["nodeName"] == "k8s-worker"
    assert empty_lab.get("service", NAMESPACE)["spec"]["externalIPs"] == [WORKER.address]
    empty_lab.wait_for_kube_proxies()
    client_lines = marked_block("these lines on a client", "sh")
    script = f'sudo() {{ "$@"; }}\ncd {clone}\n{client_lines}'  # tests run as root, and sudo may be missing
    push = empty_lab.environment.run(*environment, "sh", "-euxc", script, check=False)
    assert push.returncode == 0, push.stdout + push.stderr
    assert "Login Succeeded" in push.stdout
    assert "1.35: digest: sha256:" in push.stdout
