"""Use the engine, the backend and the cluster that a user already has.

The offline tests choose an engine and a cluster, but cannot run them.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dev.cluster.plan import MASTER, WORKER
from dev.environment import PASSPHRASE, PROJECT, STATE
from dev.errors import RequirementError
from dev.toolchain.engine import provide_engine
from ops.propose.exposure import FIRST_NODE_PORT as NODE_PORT
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


@pytest.fixture(scope="module")
def clone(user_environment: list[str]) -> Path:
    """Return a clone of the project without generated files. It is deleted with the user's folder."""
    folder = USER_FOLDER / "clone"
    list_files = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(list_files, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.splitlines():
        if (PROJECT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, folder / name, follow_symlinks=False)
    return folder


@pytest.fixture
def client_without_name(empty_lab: Lab) -> Iterator[None]:
    """Remove the registry's name from the laptop, and add it again at the end."""
    remove_name = f"grep --invert-match --word-regexp {NAMESPACE} /etc/hosts > /run/hosts; cp /run/hosts /etc/hosts"
    empty_lab.environment.run("sh", "-euc", remove_name)
    yield
    empty_lab.docker("logout", f"{NAMESPACE}:{NODE_PORT}")
    empty_lab.cluster.set_hosts_entry("laptop", ADDRESS, NAMESPACE)


@pytest.mark.usefixtures("client_without_name")
def test_the_quick_start_works_in_an_empty_clone(
    empty_lab: Lab, user_environment: list[str], clone: Path, figures: Callable[[str], None]
) -> None:
    """The first command installs packages, so it runs on this machine. The laptop does not reach the package index."""
    install, activate, *lines = marked_block("these lines", "sh").splitlines()
    environment = [*user_environment, "PULUMI_SKIP_CONFIRMATIONS=true"]  # instead of the answer that a user types
    start = time.monotonic()
    installation = subprocess.run(
        [*environment, *install.split()], cwd=clone, capture_output=True, text=True, check=False
    )
    assert installation.returncode == 0, installation.stdout + installation.stderr
    figures(f"{install}: {time.monotonic() - start:.0f} s")
    # Tests run as root, and sudo may be missing. --yes is instead of the answer, too.
    functions = 'sudo() { shift; "$@"; }'
    client_lines = marked_block("these lines on a client", "sh").replace("ops trust", "ops trust --yes").splitlines()
    output = ""
    try:
        for line in [*lines, *client_lines]:
            start = time.monotonic()
            script = f"{functions}\ncd {clone}\n{activate}\n{line}"
            done = empty_lab.environment.run(*environment, "sh", "-euc", script, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            figures(f"{line}: {time.monotonic() - start:.1f} s")
            output += done.stdout
            if line == "pulumi up":
                empty_lab.wait_for_kube_proxies()
        assert "Login Succeeded" in output
        assert "1.35: digest: sha256:" in output
        (pod,) = empty_lab.api.objects("pods", NAMESPACE)
        assert pod["spec"]["nodeName"] == "k8s-worker", "The images are not on the control plane."
        assert empty_lab.get("service", NAMESPACE)["spec"]["ports"][0]["nodePort"] == NODE_PORT
    finally:
        remove = "python -m ops trust --remove --yes --stack mine; pulumi destroy --yes --skip-preview --stack mine"
        empty_lab.environment.run(*environment, "sh", "-c", f"cd {clone}; {activate}; {remove}", check=False)


def test_make_up_proposes_a_config_for_the_cluster_of_kubeconfig_and_leaves_nothing_if_it_cannot(
    empty_lab: Lab, user_environment: list[str], clone: Path
) -> None:
    python, *up = UP
    up[up.index(NAME)] = OTHER_NAME
    up.remove("--isolated")
    if not (clone / "venv").exists():  # if this test runs alone
        (clone / "venv").symlink_to(PROJECT / "venv")
    in_clone = [*user_environment, "env", f"--chdir={clone}"]
    nodes = [MASTER.name, WORKER.name]
    try:
        empty_lab.kubectl("cordon", *nodes)
        refused = empty_lab.environment.run(*in_clone, python, *up, check=False)
        assert refused.returncode == RequirementError.exit_code, refused.stdout + refused.stderr
        assert "kubectl get nodes" in refused.stderr
        assert "taken-" not in empty_lab.kubectl("get", "leases", "--namespace", "default")
        empty_lab.kubectl("uncordon", *nodes)
        done = empty_lab.environment.run(*in_clone, python, *up, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"the cluster of KUBECONFIG, {empty_lab.cluster.kubeconfig}" in done.stderr
        assert "two nodes of Kubernetes" not in done.stderr, "no embedded cluster is started"
        assert f"{NAMESPACE}:{NODE_PORT} is up at {WORKER.address}" in done.stdout
        assert f"ops trust --stack own --address {WORKER.address}" in done.stdout
        variables = empty_lab.environment.run(*in_clone, python, "-m", "dev", "env", "--cluster", OTHER_NAME).stdout
        assert "PULUMI_HOME" not in variables, "no engine is built"
        assert not any((USER_FOLDER / "state").rglob("own.json")), "the stack of the clone is not in the user's backend"
    finally:
        empty_lab.kubectl("uncordon", *nodes)
        backend = f"PULUMI_BACKEND_URL={(clone / '.dev' / OTHER_NAME / 'pulumi').as_uri()}"
        passphrase = f"PULUMI_CONFIG_PASSPHRASE={PASSPHRASE}"
        destroy = ("pulumi", "destroy", "--yes", "--skip-preview", "--stack", "own")
        empty_lab.environment.run(*user_environment, backend, passphrase, "env", f"--chdir={clone}", *destroy)
