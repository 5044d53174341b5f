"""The NetworkPolicy allows the connections that the registry needs. The tests evaluate it as the API defines it.

The servers behind a registry are tested with the policy alone, as tests/parts.py has it, and once of each kind with a
whole registry.
"""

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from registry import PrivateRegistryArgs
from tests import parts
from tests.conftest import Deploy, Engine, deploy_once, unwrap

EXPOSURES: dict[str, PrivateRegistryArgs] = {
    "cluster": {},
    "external-ips": {"exposure": "external-ips", "external_ips": ["192.168.56.10"]},
    "node-port": {"exposure": "node-port", "node_port": 30500},
    "load-balancer": {"exposure": "load-balancer"},
    "ingress": {"exposure": "ingress", "ingress_class": "nginx"},
}
S3 = PrivateRegistryArgs(storage="s3", s3_bucket="images")
MIRROR = PrivateRegistryArgs(mode="mirror", mirror_of="https://registry-1.docker.io")
CLIENTS = ["10.0.0.0/8", "2001:db8::/32"]
FOR_CLIENTS = PrivateRegistryArgs(client_cidrs=CLIENTS, metrics=True)


@pytest.fixture(params=list(EXPOSURES))
def exposure(request: pytest.FixtureRequest) -> PrivateRegistryArgs:
    return EXPOSURES[request.param]


def policy(args: PrivateRegistryArgs) -> dict[str, Any]:
    return dict(unwrap(deploy_once("registry", args).one("NetworkPolicy").inputs["spec"]))


def policy_alone(deploy: Deploy, engine: Engine, args: PrivateRegistryArgs) -> dict[str, Any]:
    """Create only the policy of a registry with these inputs. Return its spec."""
    engine.resources.clear()
    deploy(lambda: parts.network_policy(dict(args)))
    return dict(unwrap(engine.one("NetworkPolicy").inputs["spec"]))


def allows_ingress(spec: dict[str, Any], port: int, *, address: str = "203.0.113.7", is_pod: bool = False) -> bool:
    """Return whether a client may connect. One rule with a matching peer and a matching port is enough."""
    return any(
        _has_port(rule, port)
        and (not rule.get("from") or any(_is_peer(peer, address, is_pod) for peer in rule["from"]))
        for rule in spec["ingress"]
    )


def allows_egress(spec: dict[str, Any], port: int, protocol: str = "TCP") -> bool:
    """Return whether the registry may connect to `port` of any server."""
    return any(not rule.get("to") and _has_port(rule, port, protocol) for rule in spec["egress"])


def _has_port(rule: dict[str, Any], port: int, protocol: str = "TCP") -> bool:
    return "ports" not in rule or any((item["port"], item["protocol"]) == (port, protocol) for item in rule["ports"])


def _is_peer(peer: dict[str, Any], address: str, is_pod: bool) -> bool:
    if "ipBlock" in peer:
        network = ip_network(peer["ipBlock"]["cidr"])
        return ip_address(address) in network and "except" not in peer["ipBlock"]
    return is_pod and peer == {"namespaceSelector": {}}


def test_the_policy_selects_only_the_pods_of_the_registry(exposure: PrivateRegistryArgs) -> None:
    engine, spec = deploy_once("registry", exposure), policy(exposure)
    assert spec["podSelector"]["matchLabels"].items() <= engine.one("Pod").inputs["metadata"]["labels"].items()
    assert engine.one("NetworkPolicy").inputs["metadata"]["namespace"] == "docker-registry"


def test_all_other_connections_are_denied_in_both_directions(exposure: PrivateRegistryArgs) -> None:
    spec = policy(exposure)
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert allows_ingress(spec, 5000), "Without client_cidrs every address is a client."
    assert not any(allows_ingress(spec, port, is_pod=True) for port in (22, 443, 5001, 6060))
    assert spec["egress"] == [], "A registry on its node's disk needs no server, not even DNS."


@pytest.mark.parametrize("name", ["cluster", "external-ips", "node-port", "load-balancer"])
def test_only_the_networks_of_the_clients_may_connect(name: str) -> None:
    spec = policy({**EXPOSURES[name], **FOR_CLIENTS})
    assert allows_ingress(spec, 5000, address="10.1.2.3")
    assert allows_ingress(spec, 5000, address="2001:db8::7")
    assert not allows_ingress(spec, 5000, address="192.0.2.1", is_pod=True)
    assert not allows_ingress(spec, 5001, address="10.1.2.3")


def test_behind_an_ingress_the_controller_checks_the_network_of_a_client() -> None:
    args: PrivateRegistryArgs = {**EXPOSURES["ingress"], **FOR_CLIENTS}
    engine, spec = deploy_once("registry", args), policy(args)
    assert allows_ingress(spec, 5000, is_pod=True)
    assert not allows_ingress(spec, 5000, address="10.1.2.3")
    annotations = unwrap(engine.one("Ingress").inputs["metadata"])["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/whitelist-source-range"] == ",".join(CLIENTS)


@pytest.mark.parametrize("name", ["external-ips", "node-port", "load-balancer"])
def test_nodes_keep_the_address_of_the_client_with_client_cidrs(name: str) -> None:
    engine = deploy_once("registry", {**EXPOSURES[name], **FOR_CLIENTS})
    assert engine.by_name("registry-service").inputs["spec"]["externalTrafficPolicy"] == "Local"


@pytest.mark.parametrize("name", ["external-ips", "node-port", "load-balancer"])
def test_every_node_forwards_connections_without_client_cidrs(name: str) -> None:
    engine = deploy_once("registry", EXPOSURES[name])
    assert engine.one("Service").inputs["spec"]["externalTrafficPolicy"] == "Cluster"


def test_only_pods_may_read_the_metrics(exposure: PrivateRegistryArgs) -> None:
    spec = policy({**exposure, **FOR_CLIENTS})
    assert allows_ingress(spec, 5001, is_pod=True)
    assert not allows_ingress(spec, 5001, address="10.1.2.3")


@pytest.mark.parametrize(
    ("args", "port"),
    [
        (S3, 443),
        (S3 | {"s3_endpoint": "https://s3.example.com:9000"}, 9000),
        (S3 | {"s3_endpoint": "http://s3.example.com"}, 80),
        (MIRROR, 443),
        (MIRROR | {"mirror_of": "http://other.example.com:5000"}, 5000),
    ],
)
def test_the_registry_may_connect_to_its_upstream_and_to_dns(
    deploy: Deploy, engine: Engine, args: PrivateRegistryArgs, port: int
) -> None:
    spec = policy_alone(deploy, engine, args)
    assert allows_egress(spec, port)
    assert allows_egress(spec, 53, "UDP")
    assert allows_egress(spec, 53, "TCP")
    token_ports = {443} if args is not S3 and "mirror_of" in args else set()
    assert not any(allows_egress(spec, other) for other in {22, 80, 443, 5000, 6443, 9000} - {port} - token_ports)


def namespaces(spec: dict[str, Any]) -> list[str]:
    """Return the namespaces to which every port is allowed."""
    rules = [rule for rule in spec["egress"] if "ports" not in rule]
    return [rule["to"][0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for rule in rules]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://minio", ["docker-registry"]),
        ("http://minio.storage", ["storage"]),
        ("http://minio.storage:9000", ["storage"]),
        ("https://minio.storage.svc:9000", ["storage"]),
        ("https://minio.storage.svc.cluster.local", ["storage"]),
        ("https://minio.storage.svc.k8s.example.com", ["storage"]),
        ("http://minio-0.minio.storage.svc:9000", ["storage"]),
        ("https://s3.example.com", []),
        ("https://registry.svc.example.com", []),
        ("http://10.1.2.3:9000", []),
        ("http://[2001:db8::7]:9000", []),
    ],
)
def test_every_port_of_the_namespace_of_a_service_is_allowed(
    deploy: Deploy, engine: Engine, url: str, expected: list[str]
) -> None:
    """Plug-ins see the port of the Pod, not that of the Service."""
    assert namespaces(policy_alone(deploy, engine, S3 | {"s3_endpoint": url})) == expected
    assert namespaces(policy_alone(deploy, engine, MIRROR | {"mirror_of": url})) == expected


def test_the_registry_may_connect_to_its_proxies() -> None:
    proxies = {"http": "http://ci:hunter22@proxy.example.com:3128", "https": "http://squid.egress:3129"}
    spec = policy(MIRROR | {"outbound_proxy": proxies})
    assert allows_egress(spec, 3128)
    assert allows_egress(spec, 3129)
    assert allows_egress(spec, 443)
    assert namespaces(spec) == ["egress"]
    assert not any(allows_egress(policy(MIRROR), port) for port in (3128, 3129))


def test_a_mirror_on_s3_may_connect_to_both_servers() -> None:
    spec = policy(S3 | MIRROR | {"s3_endpoint": "https://s3.storage:9000"})
    assert allows_egress(spec, 9000)
    assert allows_egress(spec, 443)
    assert namespaces(spec) == ["storage"]
