"""The OCI conformance suite has the same results with and without the proxy.

Only the suite sends every kind of request that clients may send. The test needs no cluster.
"""

import os
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest
import yaml

from dev.toolchain.build import build_program
from registry.access import resolve_access
from tests.e2e.access_server import CA, access_settings, forward_to_registry, serve

pytestmark = pytest.mark.e2e

SETTINGS = access_settings(
    users=["centos"],
    access=[{"users": ["centos"], "repositories": ["conformance/*"], "rights": ["push", "delete"]}],
)

CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "discovery": ("Tag listing", "Referrers"),
    "management": ("Tag delete", "Blob delete", "Manifest delete"),
    "pull": ("Ping", "Blob get", "Blob head", "Manifest get", "Manifest head"),
    "push": ("Blob", "Manifest put"),
}
"""Beginnings of the names of APIs, by category of the specification. The first category that matches counts."""

MIN_CASES = 600
"""Minimum number of test cases. Without the right to push or to delete, the suite skips most of them."""


class Report(NamedTuple):
    """Results of a run.

    Attributes:
        cases: Name and status of each test case, in an order that differs from run to run.
        apis: Status of each API.
        data: Status of each kind of content.
    """

    cases: list[tuple[str, str]]
    apis: Mapping[str, str]
    data: Mapping[str, str]

    def by_category(self) -> dict[str, Counter[str]]:
        """Return how many APIs of each category have each status."""
        counts = {category: Counter[str]() for category in CATEGORIES}
        for api, status in self.apis.items():
            counts[category_of(api)][status] += 1
        return counts


def category_of(api: str) -> str:
    return next(name for name, beginnings in CATEGORIES.items() if api.startswith(beginnings))


def run_suite(registry: str, name: str, folder: Path, **variables: str) -> Report:
    """Run the suite in two repositories, which are for this run only. `name` is a part of their names."""
    repositories = {"OCI_REPO1": f"conformance/{name}1", "OCI_REPO2": f"conformance/{name}2"}
    results = {"OCI_RESULTS_DIR": str(folder), "OCI_LOG": "error", "OCI_REGISTRY": registry}
    command = build_program("conformance") / "conformance"
    environment = {**os.environ, **repositories, **results, **variables}
    # The suite fails if one of its tests fails, with and without the proxy.
    done = subprocess.run([command], env=environment, capture_output=True, text=True, check=False, cwd=folder)
    assert (folder / "junit.xml").exists(), done.stderr
    elements = ElementTree.parse(folder / "junit.xml").iter("testcase")
    cases = [(element.attrib["name"], element.attrib["status"]) for element in elements]
    report = yaml.safe_load((folder / "results.yaml").read_text())
    return Report(cases, report["apis"], report["data"])


def test_conformance_is_the_same_with_and_without_the_proxy(tmp_path: Path, figures: Callable[[str], None]) -> None:
    """Only the suite and the two servers show whether the proxy changes a response."""
    for name in ("server", "proxied", "direct"):
        (tmp_path / name).mkdir()
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text(CA.pem)
    with (
        serve(tmp_path / "server", resolve_access(SETTINGS)) as server,
        forward_to_registry(server) as address,
        ThreadPoolExecutor() as threads,
    ):
        login = {"OCI_USERNAME": "centos", "OCI_PASSWORD": server.passwords["centos"]}
        tls = {"OCI_TLS": "enabled", "SSL_CERT_FILE": str(ca_file)}
        with_proxy = threads.submit(
            run_suite, server.endpoints.address, "proxied", tmp_path / "proxied", **login, **tls
        )
        without_proxy = threads.submit(run_suite, address, "direct", tmp_path / "direct", OCI_TLS="disabled")
        proxied, direct = with_proxy.result(), without_proxy.result()
    for category, counts in proxied.by_category().items():
        assert counts == direct.by_category()[category], category
        figures(f"{category}: {dict(counts)} APIs with and without the proxy")
    assert Counter(proxied.cases) == Counter(direct.cases)
    assert proxied.data == direct.data
    statuses = Counter(status for _, status in proxied.cases)
    figures(f"{len(proxied.cases)} test cases, of which {dict(statuses)}, with and without the proxy")
    assert len(proxied.cases) >= MIN_CASES
    assert all(counts for counts in proxied.by_category().values())
