"""Fixtures and hooks of the end-to-end tests. The hooks lock the labs, order the tests, and save failures."""

import fcntl
import os
import subprocess
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from typing import Any, TextIO

import pytest

from dev.cluster.programs import list_built_programs
from dev.deploy import JOB_INPUTS, PROXY_INPUTS
from dev.environment import PROJECT, STATE, create_environment
from dev.toolchain.engine import provide_engine
from tests.e2e import artifacts, providers, schedule
from tests.e2e.kube_api import KubeApi
from tests.e2e.lab import (
    ADDRESS,
    NAME,
    STACK,
    Lab,
    Project,
    Registry,
    embedded_cluster,
    projects,
    run_up,
    warm_checkout,
    warm_environment,
)
from tests.e2e.s3 import S3, serve

TEST_PROGRAMS = (
    *("pulumi-language-yaml", "gen-sdk", "traefik", "versitygw", "registry-2.7", "regsync"),
    *("crane", "oras", "helm", "conformance", "dockerd", "docker"),
    *("prometheus", "promtool", "kube-state-metrics", "cert-manager"),
)
"""Programs that only these tests run. They are built before the labs start, so that no lab waits for them."""

LOCK = pytest.StashKey[TextIO]()
"""Open lock file. The kernel releases the lock when this process ends, even if it is killed."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "together: the tests of this module depend on each other and run in their order")
    config.addinivalue_line("markers", "drill: a fault under load, which `make drills` repeats with full counts")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Lock the labs of this clone, build all programs, and set variables for the workers and their commands.

    Only the main process does this, and only if it runs end-to-end tests. It refuses to start without the lock.
    """
    config = session.config
    if config.option.markexpr == "not e2e" or config.option.collectonly or hasattr(config, "workerinput"):
        return
    STATE.mkdir(exist_ok=True)
    lock = (STATE / "e2e.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise pytest.UsageError(
            "The end-to-end tests already run in this clone. Wait for them, or use another clone."
        ) from None
    config.stash[LOCK] = lock
    artifacts.delete_old()
    provide_engine(programs=(*list_built_programs(), *TEST_PROGRAMS))
    # Every command of a worker inherits this variable. Engine, providers and kubectl are Go programs that run for
    # seconds. With less garbage collection `pulumi version` takes a quarter less processor time.
    os.environ.setdefault("GOGC", "400")
    # Let Python write bytecode, so that not every run of a program compiles the component and `ops` again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> schedule.Scheduler:
    return schedule.Scheduler(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    e2e_items = [item for item in items if item.get_closest_marker("e2e")]
    schedule.arrange(e2e_items)
    items[:] = [item for item in items if not item.get_closest_marker("e2e")] + e2e_items


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Save the artifacts of a failure before the next test changes the lab."""
    report = yield
    if report.failed and item.get_closest_marker("e2e"):
        lab = getattr(item, "funcargs", {}).get("lab")
        folder = artifacts.save(item.nodeid, report.longreprtext, lab if isinstance(lab, Lab) else None)
        report.user_properties.append(("artifacts", str(folder.relative_to(PROJECT))))
    return report


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Return a function that records a measured figure. All figures are printed after the run."""
    return lambda text: record_property("figures", text)


@pytest.fixture(scope="session")
def first_up() -> Iterator[subprocess.CompletedProcess[str]]:
    """Create this worker's lab with `make up`, and yield the finished command. Delete the lab at the end."""
    cluster = embedded_cluster()
    cluster.wipe()
    try:
        yield run_up()
    finally:
        cluster.wipe()


@pytest.fixture(scope="session")
def lab(first_up: subprocess.CompletedProcess[str]) -> Iterator[Lab]:
    """Yield this worker's lab with the deployed stack `dev`."""
    cluster = embedded_cluster()
    virtualenv = warm_environment(cluster, STATE / NAME / "warm")
    config = warm_checkout(virtualenv) / "Pulumi.dev.yaml"
    engine = provide_engine()
    environment = create_environment(NAME, engine, cluster).with_variables(
        {providers.VARIABLE: providers.start(cluster, engine)}
    )
    with closing(KubeApi(cluster)) as api:
        yield Lab(cluster, environment, config, api, virtualenv)


@pytest.fixture(scope="session")
def s3(lab: Lab) -> Iterator[S3]:
    """Run an S3 server that the lab's Pods can reach, until the session ends."""
    with serve(lab.cluster) as s3_server:
        yield s3_server


@pytest.fixture
def deploy_registry(create_project: Callable[[str, str], Project]) -> Callable[..., Registry]:
    """Return a function that deploys the repository's program with a config. Its first argument names the stack."""
    return create_deployer(create_project)


@pytest.fixture(scope="module")
def deploy_for_module(lab: Lab) -> Iterator[Callable[..., Registry]]:
    """Yield a function like `deploy_registry`. Its registries are destroyed after the last test of the module."""
    with projects(lab) as create:
        yield create_deployer(create)


def create_deployer(create_project: Callable[[str, str], Project]) -> Callable[..., Registry]:
    """Return a function that deploys a registry. A second call with the same name updates its stack."""
    projects_by_name: dict[str, Project] = {}

    def deploy(name: str, secret: Mapping[str, Any] | None = None, **settings: Any) -> Registry:
        if name not in projects_by_name:
            projects_by_name[name] = create_project(name, (PROJECT / "__main__.py").read_text())
            projects_by_name[name].declare_config()
        project = projects_by_name[name]
        if any(settings.get(key) for key in PROXY_INPUTS):
            project.lab.cluster.load_haproxy()
        if any(settings.get(key) for key in JOB_INPUTS):
            project.lab.cluster.load_python()
        if settings.get("backup"):
            project.lab.cluster.load_regsync()
        project.configure(secret, **settings)
        outputs = project.up()
        port = outputs["endpoint"].rpartition(":")[2]
        return Registry(project, outputs, f"{ADDRESS}:{port}")

    return deploy


@pytest.fixture
def create_project(lab: Lab) -> Iterator[Callable[..., Project]]:
    """Yield a function that creates projects (`lab.projects`). They are destroyed when the test ends."""
    with projects(lab) as create:
        yield create


@pytest.fixture
def outputs(lab: Lab) -> dict[str, str]:
    """Return the outputs of the stack `dev` with decrypted secrets."""
    return lab.outputs()


@pytest.fixture
def ca_file(lab: Lab, outputs: dict[str, str]) -> str:
    """Write the CA to a file for curl, as `pulumi stack output ca_pem > ca.pem` does, and return its path."""
    file = STATE / NAME / "ca.pem"
    file.write_text(lab.pulumi("stack", "output", "ca_pem", *STACK).stdout)
    return str(file)
