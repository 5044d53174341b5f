"""Run Prometheus and kube-state-metrics outside the cluster, on the laptop, with the objects of the operator.

A thread does the work of the operator: it writes the Pods behind each ServiceMonitor to a file of targets. The rules
are those of the PrometheusRules, with shorter times.
"""

import http.client
import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

from dev.cluster import Cluster, network, process
from dev.cluster.plan import LAPTOP
from dev.cluster.process import Daemon
from dev.toolchain.build import build_program
from tests.e2e.kube_api import Object
from tests.e2e.lab import Lab
from tests.e2e.s3 import route_to_pods

PROMETHEUS, STATE_METRICS = "prometheus", "kube-state-metrics"
"""Names of the programs and of the daemons."""

PORT, STATE_METRICS_PORT, STATE_METRICS_OWN_PORT = 9090, 8085, 8086

HOME = "/var/lib/prometheus"

WINDOW, WINDOW_OF_RESTARTS = "10s", "20s"
"""Ranges in place of those of the rules, such as 5m. The second one is for half an hour."""

ANY_SCHEMA = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}

CRDS = {"ServiceMonitor": "servicemonitors", "PrometheusRule": "prometheusrules"}
"""Kinds of the operator that a registry uses, and their plurals."""


@contextmanager
def operator_crds(lab: Lab) -> Iterator[None]:
    """Create the CRDs of the Prometheus operator until the block ends."""
    names = [f"{plural}.monitoring.coreos.com" for plural in CRDS.values()]
    documents = [json.dumps(_crd(kind, plural)) for kind, plural in CRDS.items()]
    lab.environment.run("kubectl", "apply", "--filename", "-", stdin="\n---\n".join(documents))
    lab.kubectl("wait", "--for=condition=Established", *(f"crd/{name}" for name in names), "--timeout=30s")
    try:
        yield
    finally:
        lab.kubectl("delete", "--wait=false", "crd", *names)


def _crd(kind: str, plural: str) -> Object:
    names = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": ANY_SCHEMA}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.monitoring.coreos.com"},
        "spec": {"group": "monitoring.coreos.com", "names": names, "scope": "Namespaced", "versions": [version]},
    }


@dataclass(frozen=True)
class Prometheus:
    """A server that scrapes every second, and a client of it."""

    cluster: Cluster

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an expression."""
        return list(self._get("query", query=expression)["result"])

    def firing(self) -> dict[str, list[dict[str, Any]]]:
        """Return the alerts that fire, by name."""
        by_name: dict[str, list[dict[str, Any]]] = {}
        for alert in self._get("alerts")["alerts"]:
            if alert["state"] == "firing":
                by_name.setdefault(alert["labels"]["alertname"], []).append(alert)
        return by_name

    def reload(self) -> None:
        """Read the rules again."""
        status, body = self._request("POST", "/-/reload")
        assert status == 200, body

    def is_ready(self) -> bool:
        try:
            return self._request("GET", "/-/ready")[0] == 200
        except OSError:
            return False

    def _get(self, path: str, **query: str) -> dict[str, Any]:
        status, body = self._request("GET", f"/api/v1/{path}?{urlencode(query)}")
        assert status == 200, body
        return dict(json.loads(body)["data"])

    def _request(self, method: str, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(LAPTOP.address, PORT)
        connection.sock = network.connect(self.cluster.plan, LAPTOP, PORT, timeout=10)
        try:
            connection.request(method, path)
            with connection.getresponse() as response:
                return response.status, response.read()
        finally:
            connection.close()


@contextmanager
def serve(lab: Lab, namespaces: Sequence[str]) -> Iterator[Prometheus]:
    """Run the servers for these namespaces until the block ends. Call `load_rules` after each deployment."""
    home = lab.cluster.path(LAPTOP.name, HOME)
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    route_to_pods(lab.cluster)
    _write_targets(home, [])
    (home / "rules.yml").write_text("groups: []\n")
    (home / "prometheus.yml").write_text(json.dumps(_configuration()))
    shutil.copyfile(lab.cluster.kubeconfig, home / "kubeconfig")
    (home / "kubeconfig").chmod(0o600)
    plan, prometheus = lab.cluster.plan, Prometheus(lab.cluster)
    daemons = [Daemon(LAPTOP, STATE_METRICS, _state_metrics(namespaces)), Daemon(LAPTOP, PROMETHEUS, _prometheus())]
    for daemon in daemons:
        process.start(plan, daemon, {"PATH": os.environ["PATH"]})
    process.wait_until_ready(plan, daemons[-1], prometheus.is_ready)
    stopped = threading.Event()
    discovery = threading.Thread(target=_discover, args=(lambda: targets(lab, namespaces), home, stopped))
    discovery.start()
    try:
        yield prometheus
    finally:
        stopped.set()
        discovery.join()
        for daemon in daemons:
            process.stop(plan, LAPTOP, daemon.name)
        shutil.rmtree(home)


def load_rules(lab: Lab, prometheus: Prometheus, namespaces: Sequence[str]) -> None:
    """Let the server evaluate the rules of the PrometheusRules, with shorter times."""
    objects = [item for namespace in namespaces for item in lab.api.objects("prometheusrules", namespace)]
    groups = [group for item in objects for group in item["spec"]["groups"]]
    home = lab.cluster.path(LAPTOP.name, HOME)
    (home / "rules.yml").write_text(yaml.safe_dump({"groups": shorten(groups)}))
    prometheus.reload()


def shorten(groups: Sequence[Any]) -> list[Any]:
    """Return groups of rules whose conditions must hold for a second, and which look at the last seconds."""
    return [
        {
            **group,
            "rules": [{**rule, "for": "1s", "expr": _shorten_ranges(rule["expr"])} for rule in group["rules"]],
        }
        for group in groups
    ]


def _shorten_ranges(expression: str) -> str:
    expression = expression.replace("[30m]", f"[{WINDOW_OF_RESTARTS}]")
    return re.sub(r"\[\d+[mh]\]", f"[{WINDOW}]", expression)


def targets(lab: Lab, namespaces: Sequence[str]) -> list[Object]:
    """Return the targets of all ServiceMonitors with the labels that the operator gives them."""
    found: list[Object] = []
    for namespace in namespaces:
        services, pods = lab.api.objects("services", namespace), lab.api.objects("pods", namespace)
        for monitor in lab.api.objects("servicemonitors", namespace):
            wanted = monitor["spec"]["selector"]["matchLabels"].items()
            for service in services:
                if wanted <= service["metadata"].get("labels", {}).items():
                    found += _targets_of(service, pods, monitor["spec"]["endpoints"])
    return found


def _targets_of(service: Object, pods: Sequence[Object], endpoints: Sequence[Any]) -> Iterator[Object]:
    selector, namespace = service["spec"]["selector"].items(), service["metadata"]["namespace"]
    ports = {port["name"]: port["targetPort"] for port in service["spec"]["ports"]}
    for pod in pods:
        address, name = pod["status"].get("podIP"), pod["metadata"]["name"]
        if address and pod["status"]["phase"] == "Running" and selector <= pod["metadata"]["labels"].items():
            for endpoint in endpoints:
                labels = {"namespace": namespace, "job": service["metadata"]["name"], "pod": name}
                path = {"__metrics_path__": endpoint["path"]}
                yield {"targets": [f"{address}:{ports[endpoint['port']]}"], "labels": {**labels, **path}}


def _discover(find: Callable[[], list[Object]], home: Path, stopped: threading.Event) -> None:
    before: list[Object] | None = None
    while not stopped.wait(0.3):
        try:
            found = find()
        except (AssertionError, OSError, http.client.HTTPException):
            continue  # the objects are being replaced
        if found != before:
            before = found
            _write_targets(home, found)


def _write_targets(home: Path, found: Sequence[Object]) -> None:
    """Replace the file at once, because Prometheus reads it at any time."""
    (home / "targets.partial").write_text(json.dumps(found))
    (home / "targets.partial").replace(home / "targets.json")


def _configuration() -> Object:
    own = {"targets": [f"127.0.0.1:{STATE_METRICS_PORT}"]}
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [f"{HOME}/rules.yml"],
        "scrape_configs": [
            {
                "job_name": "monitors",
                "file_sd_configs": [{"files": [f"{HOME}/targets.json"], "refresh_interval": "1s"}],
                "scrape_interval": "1s",
                "scrape_timeout": "1s",
            },
            {"job_name": STATE_METRICS, "honor_labels": True, "static_configs": [own]},
        ],
    }


def _prometheus() -> tuple[str, ...]:
    return (
        *(str(build_program(PROMETHEUS) / PROMETHEUS), f"--config.file={HOME}/prometheus.yml"),
        *(f"--storage.tsdb.path={HOME}/data", f"--web.listen-address=127.0.0.1:{PORT}"),
        "--web.enable-lifecycle",
    )


def _state_metrics(namespaces: Sequence[str]) -> tuple[str, ...]:
    return (
        *(str(build_program(STATE_METRICS) / STATE_METRICS), f"--kubeconfig={HOME}/kubeconfig"),
        *("--host=127.0.0.1", f"--port={STATE_METRICS_PORT}"),
        *("--telemetry-host=127.0.0.1", f"--telemetry-port={STATE_METRICS_OWN_PORT}"),
        *("--resources=pods,cronjobs", f"--namespaces={','.join(namespaces)}"),
    )
