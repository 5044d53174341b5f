"""Fixtures of the end-to-end tests, their order, and the hook that saves the artifacts of a failing test."""

import fcntl
import os
import subprocess
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from typing import Any, TextIO

import pytest

from dev.cluster.programs import BUILT_PROGRAMS
from dev.deploy import JOB_INPUTS, PROXY_INPUTS
from dev.environment import PROJECT, STATE, create_environment
from dev.toolchain.engine import provide_engine
from tests.e2e import artifacts, providers, schedule
from tests.e2e.kube_api import KubeApi
from tests.e2e.lab import (
    ADDRESS,
    NAME,
    STACK,
    UP,
    Lab,
    Project,
    Registry,
    embedded_cluster,
    projects,
    warm_checkout,
    warm_environment,
)
from tests.e2e.s3 import S3, serve

TEST_PROGRAMS = ("pulumi-language-yaml", "traefik", "versitygw", "registry-2.7", "crane", "oras", "helm", "conformance")
"""Programs that only these tests run. They are built before the labs start, so that no lab waits for them."""

LOCK = pytest.StashKey[TextIO]()
"""Open lock file. The kernel releases the lock when this process ends, even if it is killed."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "together: the tests of this module depend on each other and run in their order")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse to start if another run in this clone uses the labs."""
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
    provide_engine(programs=(*BUILT_PROGRAMS, *TEST_PROGRAMS))
    # The workers inherit this, and so does every command that they run. Engine, providers and kubectl run for seconds.
    # With less garbage collection `pulumi version` takes a quarter less processor time.
    os.environ.setdefault("GOGC", "400")
    # Compile the component and `ops` once, instead of in every run of a program.
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
    """Run `make up` in the lab, without an existing cluster."""
    cluster = embedded_cluster()
    cluster.wipe()
    try:
        done = subprocess.run(UP, cwd=PROJECT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        yield done
    finally:
        cluster.wipe()


@pytest.fixture(scope="session")
def lab(first_up: subprocess.CompletedProcess[str]) -> Iterator[Lab]:
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
    """Run an S3 server that the lab's Pods reach, until the session ends."""
    with serve(lab.cluster) as s3_server:
        yield s3_server


@pytest.fixture
def deploy_registry(create_project: Callable[[str, str], Project]) -> Callable[..., Registry]:
    """Return a function that deploys the repository's own program with a config, as a stack of its own."""
    return registry_deployer(create_project)


@pytest.fixture(scope="module")
def deploy_for_module(lab: Lab) -> Iterator[Callable[..., Registry]]:
    """Yield such a function. Its registries are destroyed after the tests of the module."""
    with projects(lab) as create:
        yield registry_deployer(create)


def registry_deployer(create_project: Callable[[str, str], Project]) -> Callable[..., Registry]:
    by_name: dict[str, Project] = {}

    def deploy(name: str, secret: Mapping[str, Any] | None = None, **settings: Any) -> Registry:
        if name not in by_name:
            by_name[name] = create_project(name, (PROJECT / "__main__.py").read_text())
            by_name[name].declare_config()
        if any(settings.get(key) for key in PROXY_INPUTS):
            by_name[name].lab.cluster.load_haproxy()
        if any(settings.get(key) for key in JOB_INPUTS):
            by_name[name].lab.cluster.load_python()
        by_name[name].configure(secret, **settings)
        outputs = by_name[name].up()
        port = outputs["endpoint"].rpartition(":")[2]
        return Registry(by_name[name], outputs, f"{ADDRESS}:{port}")

    return deploy


@pytest.fixture
def create_project(lab: Lab) -> Iterator[Callable[..., Project]]:
    """Yield a function that creates projects. They are destroyed when the test ends."""
    with projects(lab) as create:
        yield create


@pytest.fixture
def outputs(lab: Lab) -> dict[str, str]:
    return lab.outputs()


@pytest.fixture
def ca_file(lab: Lab, outputs: dict[str, str]) -> str:
    """Write the CA to a file for curl, as `pulumi stack output ca_pem > ca.pem` does, and return its path."""
    file = STATE / NAME / "ca.pem"
    file.write_text(lab.pulumi("stack", "output", "ca_pem", *STACK).stdout)
    return str(file)
