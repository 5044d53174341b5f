"""Who may talk to the registry and whom it may talk to, by the rules; the cluster's network plug-in enforces them."""

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from registry import PrivateRegistryArgs
from tests.conftest import deploy_once, unwrap

WAYS_IN: dict[str, PrivateRegistryArgs] = {
    "cluster": {},
    "external-ips": {"exposure": "external-ips", "external_ips": ["192.168.56.10"]},
    "node-port": {"exposure": "node-port", "node_port": 30500},
    "load-balancer": {"exposure": "load-balancer"},
    "ingress": {"exposure": "ingress", "ingress_class": "nginx"},
}
S3 = PrivateRegistryArgs(storage="s3", s3_bucket="images")
MIRROR = PrivateRegistryArgs(mode="mirror", mirror_of="https://registry-1.docker.io")
CLIENTS = ["10.0.0.0/8", "2001:db8::/32"]


@pytest.fixture(params=list(WAYS_IN))
def way_in(request: pytest.FixtureRequest) -> PrivateRegistryArgs:
    return WAYS_IN[request.param]


def policy(args: PrivateRegistryArgs) -> dict[str, Any]:
    return dict(unwrap(deploy_once("registry", args).one("NetworkPolicy").inputs["spec"]))


def enters(spec: dict[str, Any], port: int, *, address: str = "203.0.113.7", is_pod: bool = False) -> bool:
    """Whether the API's definition lets someone in: rules are added up, and so are the peers and ports of each."""
    return any(
        _at(rule, port) and (not rule.get("from") or any(_is(peer, address, is_pod) for peer in rule["from"]))
        for rule in spec["ingress"]
    )


def leaves(spec: dict[str, Any], port: int, protocol: str = "TCP") -> bool:
    """Whether the registry may open a connection to `port` of any server."""
    return any(not rule.get("to") and _at(rule, port, protocol) for rule in spec["egress"])


def _at(rule: dict[str, Any], port: int, protocol: str = "TCP") -> bool:
    return any((each["port"], each["protocol"]) == (port, protocol) for each in rule["ports"])


def _is(peer: dict[str, Any], address: str, is_pod: bool) -> bool:
    if "ipBlock" in peer:
        network = ip_network(peer["ipBlock"]["cidr"])
        return ip_address(address) in network and "except" not in peer["ipBlock"]
    return is_pod and peer == {"namespaceSelector": {}}


def test_it_is_about_the_registrys_pods_alone(way_in: PrivateRegistryArgs) -> None:
    engine, spec = deploy_once("registry", way_in), policy(way_in)
    assert spec["podSelector"]["matchLabels"].items() <= engine.one("Pod").inputs["metadata"]["labels"].items()
    assert engine.one("NetworkPolicy").inputs["metadata"]["namespace"] == "docker-registry"


def test_what_is_not_named_is_denied_both_ways(way_in: PrivateRegistryArgs) -> None:
    spec = policy(way_in)
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert enters(spec, 5000), "without client_cidrs everybody is a client"
    assert not any(enters(spec, port, is_pod=True) for port in (22, 443, 5001, 6060))
    assert spec["egress"] == [], "a registry on a folder of its node calls nobody, not even DNS"


@pytest.mark.parametrize("way", ["cluster", "external-ips", "node-port", "load-balancer"])
def test_clients_are_who_comes_from_their_networks(way: str) -> None:
    spec = policy({**WAYS_IN[way], "client_cidrs": CLIENTS})
    assert enters(spec, 5000, address="10.1.2.3")
    assert enters(spec, 5000, address="2001:db8::7")
    assert not enters(spec, 5000, address="192.0.2.1", is_pod=True)
    assert not enters(spec, 5001, address="10.1.2.3")


def test_behind_an_ingress_only_pods_come_in_and_the_controller_asks_for_the_client() -> None:
    args: PrivateRegistryArgs = {**WAYS_IN["ingress"], "client_cidrs": CLIENTS}
    engine, spec = deploy_once("registry", args), policy(args)
    assert enters(spec, 5000, is_pod=True)
    assert not enters(spec, 5000, address="10.1.2.3")
    annotations = unwrap(engine.one("Ingress").inputs["metadata"])["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/whitelist-source-range"] == ",".join(CLIENTS)


@pytest.mark.parametrize("way", ["external-ips", "node-port", "load-balancer"])
def test_no_node_hides_the_clients_address_once_it_is_asked_for(way: str) -> None:
    engine = deploy_once("registry", {**WAYS_IN[way], "client_cidrs": CLIENTS})
    assert engine.one("Service").inputs["spec"]["externalTrafficPolicy"] == "Local"


@pytest.mark.parametrize("way", ["external-ips", "node-port", "load-balancer"])
def test_every_node_answers_as_long_as_nobody_asks_for_the_clients_address(way: str) -> None:
    engine = deploy_once("registry", WAYS_IN[way])
    assert engine.one("Service").inputs["spec"]["externalTrafficPolicy"] == "Cluster"


def test_metrics_are_for_pods_of_the_cluster(way_in: PrivateRegistryArgs) -> None:
    spec = policy({**way_in, "metrics": True, "client_cidrs": CLIENTS})
    assert enters(spec, 5001, is_pod=True)
    assert not enters(spec, 5001, address="10.1.2.3")


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
def test_servers_that_it_depends_on_are_called_and_found(args: PrivateRegistryArgs, port: int) -> None:
    spec = policy(args)
    assert leaves(spec, port)
    assert leaves(spec, 53, "UDP")
    assert leaves(spec, 53, "TCP")
    tokens = {443} if args is not S3 and "mirror_of" in args else set()
    assert not any(leaves(spec, other) for other in {22, 80, 443, 5000, 6443, 9000} - {port} - tokens)


def test_a_mirror_that_stores_in_s3_calls_both() -> None:
    spec = policy(S3 | MIRROR | {"s3_endpoint": "https://s3.example.com:9000"})
    assert leaves(spec, 9000)
    assert leaves(spec, 443)
