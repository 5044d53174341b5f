"""Fixtures of the end-to-end tests, the order of the tests, and what a failing test leaves for a person to read."""

import fcntl
import os
import subprocess
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from typing import Any, TextIO

import pytest
import yaml

from dev.cluster.programs import BUILT_PROGRAMS
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

SERVERS = ("pulumi-language-yaml", "traefik", "versitygw", "registry-2.7")
"""Programs that only these tests run. They are built before the labs are up, and not while those wait for them."""

LOCK = pytest.StashKey[TextIO]()
"""The open lock file: the kernel releases the lock however this process ends."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "together: the tests of this module build on each other, in their order")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Let no second run of this clone wipe the labs of the first."""
    config = session.config
    if config.option.markexpr == "not e2e" or config.option.collectonly or hasattr(config, "workerinput"):
        return
    STATE.mkdir(exist_ok=True)
    lock = (STATE / "e2e.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise pytest.UsageError(
            "The end-to-end tests already run in this clone: wait for them, or use another clone."
        ) from None
    config.stash[LOCK] = lock
    artifacts.forget()
    provide_engine(programs=(*BUILT_PROGRAMS, *SERVERS))
    # The workers start after this and inherit it, as does every command that they run. Engine, providers and kubectl
    # live for seconds: with less garbage collection `pulumi version` takes a quarter less processor time.
    os.environ.setdefault("GOGC", "400")
    # Compile the component and `ops` once, not in every run of a program.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> schedule.Scheduler:
    return schedule.Scheduler(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mine = [item for item in items if item.get_closest_marker("e2e")]
    schedule.arrange(mine)
    items[:] = [item for item in items if not item.get_closest_marker("e2e")] + mine


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what is needed to understand a failure, while the lab still has it."""
    report = yield
    if report.failed and item.get_closest_marker("e2e"):
        lab = getattr(item, "funcargs", {}).get("lab")
        folder = artifacts.keep(item.nodeid, report.longreprtext, lab if isinstance(lab, Lab) else None)
        report.user_properties.append(("artifacts", str(folder.relative_to(PROJECT))))
    return report


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Tell a measured figure, which is printed after the run."""
    return lambda text: record_property("figures", text)


@pytest.fixture(scope="session")
def first_up() -> Iterator[subprocess.CompletedProcess[str]]:
    """`make up` on a machine where nothing is up yet, in the lab."""
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
    place = create_environment(NAME, engine, cluster).with_variables(
        {providers.VARIABLE: providers.start(cluster, engine)}
    )
    with closing(KubeApi(cluster)) as api:
        yield Lab(cluster, place, config, api, virtualenv)


@pytest.fixture(scope="session")
def s3(lab: Lab) -> Iterator[S3]:
    """An S3 server that the lab's Pods reach, up until the session ends."""
    with serve(lab.cluster) as server:
        yield server


@pytest.fixture
def registry(project: Callable[[str, str], Project]) -> Callable[..., Registry]:
    """The repository's own program in a stack of its own: its config goes in, a running registry comes out."""
    made: dict[str, Project] = {}

    def run(name: str, secret: Mapping[str, Any] | None = None, **settings: Any) -> Registry:
        if name not in made:
            made[name] = project(name, (PROJECT / "__main__.py").read_text())
            declared = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())["config"]
            file = made[name].folder / "Pulumi.yaml"
            file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"config": declared}))
        made[name].configure(secret, **settings)
        outputs = made[name].up()
        port = outputs["endpoint"].rpartition(":")[2]
        return Registry(made[name], outputs, f"{ADDRESS}:{port}")

    return run


@pytest.fixture
def project(lab: Lab) -> Iterator[Callable[..., Project]]:
    """Makes projects; destroyed when the test ends."""
    with projects(lab) as make:
        yield make


@pytest.fixture
def outputs(lab: Lab) -> dict[str, str]:
    return lab.outputs()


@pytest.fixture
def ca(lab: Lab, outputs: dict[str, str]) -> str:
    """`pulumi stack output ca_pem > ca.pem`, for curl."""
    file = STATE / NAME / "ca.pem"
    file.write_text(lab.pulumi("stack", "output", "ca_pem", *STACK).stdout)
    return str(file)
