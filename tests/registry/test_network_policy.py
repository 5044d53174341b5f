"""The NetworkPolicy allows the connections that the registry and its clients need, and no others.

`allows_ingress` and `allows_egress` understand only the forms of rules that the component writes. The servers behind a
registry are tested with the policy alone (tests/parts.py), and one of each kind with a whole registry.
"""

from ipaddress import ip_address, ip_network
from typing import Any, cast

import pytest

from registry import Exposure, Mode, PrivateRegistryArgs, Storage
from tests import parts
from tests.conftest import Deploy, Engine, deploy_once

EXPOSURES: dict[str, PrivateRegistryArgs] = {
    "cluster": {},
    "external-ips": {"exposure": Exposure.EXTERNAL_IPS, "external_ips": ["192.168.56.10"]},
    "node-port": {"exposure": Exposure.NODE_PORT, "node_port": 30500},
    "load-balancer": {"exposure": Exposure.LOAD_BALANCER},
    "ingress": {"exposure": Exposure.INGRESS, "ingress_class": "nginx"},
}
OUTSIDE = ["external-ips", "node-port", "load-balancer"]
"""Exposures whose Service nodes forward to the Pod."""

S3 = PrivateRegistryArgs(storage=Storage.S3, s3_bucket="images")
AZURE = PrivateRegistryArgs(storage=Storage.AZURE, azure_account="team", azure_container="images")
GCS = PrivateRegistryArgs(storage=Storage.GCS, gcs_bucket="images")
MIRROR = PrivateRegistryArgs(mode=Mode.MIRROR, mirror_of="https://registry-1.docker.io")
CLIENTS = ["10.0.0.0/8", "2001:db8::/32"]
FOR_CLIENTS = PrivateRegistryArgs(client_cidrs=CLIENTS, metrics=True)

PORTS = (22, 80, 443, 5000, 6443, 9000)
"""Ports that are tried on servers. The registry needs some of them in some configurations."""


@pytest.fixture(params=list(EXPOSURES))
def exposure(request: pytest.FixtureRequest) -> PrivateRegistryArgs:
    return EXPOSURES[request.param]


def policy_of_registry(args: PrivateRegistryArgs) -> dict[str, Any]:
    """Deploy a whole registry with these inputs. Return the spec of its policy."""
    return dict(deploy_once("registry", args).one("NetworkPolicy").inputs["spec"])


def policy_alone(deploy: Deploy, engine: Engine, args: PrivateRegistryArgs) -> dict[str, Any]:
    """Create only the policy of a registry with these inputs. Return its spec."""
    engine.resources.clear()
    deploy(lambda: parts.network_policy(dict(args)))
    return dict(engine.one("NetworkPolicy").inputs["spec"])


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
    """Return whether a client matches a peer: a network without exceptions, or all Pods of the cluster."""
    if "ipBlock" in peer:
        assert peer["ipBlock"].keys() == {"cidr"}
        return ip_address(address) in ip_network(peer["ipBlock"]["cidr"])
    assert peer == {"namespaceSelector": {}}
    return is_pod


def open_namespaces(spec: dict[str, Any]) -> list[str]:
    """Return the namespaces in which the registry may connect to every port."""
    rules = [rule for rule in spec["egress"] if "ports" not in rule]
    return [rule["to"][0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for rule in rules]


def test_the_policy_selects_only_the_pods_of_the_registry(exposure: PrivateRegistryArgs) -> None:
    engine, spec = deploy_once("registry", exposure), policy_of_registry(exposure)
    assert spec["podSelector"]["matchLabels"].items() <= engine.one("Pod").inputs["metadata"]["labels"].items()
    assert engine.one("NetworkPolicy").inputs["metadata"]["namespace"] == "docker-registry"


def test_a_registry_on_a_disk_is_open_on_its_port_only_and_connects_to_no_server(
    exposure: PrivateRegistryArgs,
) -> None:
    spec = policy_of_registry(exposure)
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert allows_ingress(spec, 5000), "Without client_cidrs every address is a client."
    assert not any(allows_ingress(spec, port, is_pod=True) for port in (22, 443, 5001, 6060))
    assert spec["egress"] == [], "A registry on its node's disk needs no server, not even DNS."


@pytest.mark.parametrize("name", ["cluster", *OUTSIDE])
def test_only_addresses_of_client_cidrs_may_connect(name: str) -> None:
    spec = policy_of_registry({**EXPOSURES[name], **FOR_CLIENTS})
    assert allows_ingress(spec, 5000, address="10.1.2.3")
    assert allows_ingress(spec, 5000, address="2001:db8::7")
    assert not allows_ingress(spec, 5000, address="192.0.2.1", is_pod=True)


def test_behind_an_ingress_every_pod_may_connect_and_the_controller_checks_client_cidrs() -> None:
    args: PrivateRegistryArgs = {**EXPOSURES["ingress"], **FOR_CLIENTS}
    engine, spec = deploy_once("registry", args), policy_of_registry(args)
    assert allows_ingress(spec, 5000, is_pod=True)
    assert not allows_ingress(spec, 5000, address="10.1.2.3")
    annotations = engine.one("Ingress").inputs["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/whitelist-source-range"] == ",".join(CLIENTS)


@pytest.mark.parametrize("name", OUTSIDE)
def test_with_client_cidrs_nodes_keep_the_address_of_a_client(name: str) -> None:
    engine = deploy_once("registry", {**EXPOSURES[name], **FOR_CLIENTS})
    assert engine.by_name("registry-service").inputs["spec"]["externalTrafficPolicy"] == "Local"


@pytest.mark.parametrize("name", OUTSIDE)
def test_without_client_cidrs_every_node_forwards_connections(name: str) -> None:
    engine = deploy_once("registry", EXPOSURES[name])
    assert engine.one("Service").inputs["spec"]["externalTrafficPolicy"] == "Cluster"


def test_only_pods_may_read_the_metrics(exposure: PrivateRegistryArgs) -> None:
    spec = policy_of_registry({**exposure, **FOR_CLIENTS})
    assert allows_ingress(spec, 5001, is_pod=True)
    assert not allows_ingress(spec, 5001, address="10.1.2.3")


@pytest.mark.parametrize(
    ("args", "ports"),
    [
        pytest.param(S3, {443}, id="S3 of AWS uses HTTPS"),
        pytest.param(S3 | {"s3_endpoint": "https://s3.example.com:9000"}, {9000}, id="the endpoint names its port"),
        pytest.param(AZURE, {443}, id="the public cloud of Azure"),
        pytest.param(AZURE | {"azure_endpoint": "https://azurite.example.com:9000"}, {9000}, id="a port of Azure"),
        pytest.param(GCS, {443}, id="Google"),
        pytest.param(S3 | {"s3_endpoint": "http://s3.example.com"}, {80}, id="the endpoint uses HTTP"),
        pytest.param(MIRROR, {443}, id="Docker Hub and its token server use HTTPS"),
        pytest.param(
            MIRROR | {"mirror_of": "http://other.example.com:5000"}, {5000, 443}, id="443 is of the token server"
        ),
    ],
)
def test_the_registry_may_connect_to_dns_and_to_the_ports_of_its_servers_only(
    deploy: Deploy, engine: Engine, args: PrivateRegistryArgs, ports: set[int]
) -> None:
    spec = policy_alone(deploy, engine, args)
    assert {port for port in PORTS if allows_egress(spec, port)} == ports
    assert allows_egress(spec, 53, "UDP")
    assert allows_egress(spec, 53, "TCP")


@pytest.mark.parametrize(
    ("args", "may_connect"),
    [
        pytest.param(S3, True, id="no keys, so the role gives them out"),
        pytest.param(S3 | {"s3_access_key": "AKIA1", "s3_secret_key": "hunter23"}, False, id="keys"),
        pytest.param(S3 | {"s3_secret": "bucket", "create_namespace": False}, False, id="keys in a Secret"),
        pytest.param(AZURE, True, id="Azure without a key"),
        pytest.param(AZURE | {"azure_secret": "key", "create_namespace": False}, False, id="Azure with a key"),
        pytest.param(GCS, True, id="Google without a key"),
        pytest.param(GCS | {"gcs_secret": "key", "create_namespace": False}, False, id="Google with a key"),
        pytest.param(MIRROR, False, id="no object store"),
    ],
)
def test_only_a_registry_that_uses_the_role_of_its_node_may_connect_to_the_metadata(
    deploy: Deploy, engine: Engine, args: PrivateRegistryArgs, may_connect: bool
) -> None:
    metadata = {"to": [{"ipBlock": {"cidr": "169.254.169.254/32"}}], "ports": [{"protocol": "TCP", "port": 80}]}
    assert (metadata in policy_alone(deploy, engine, args)["egress"]) == may_connect


def test_the_role_of_a_service_account_needs_the_token_service_and_the_agent_of_the_cloud(
    deploy: Deploy, engine: Engine
) -> None:
    role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/registry"}
    endpoint = {"s3_endpoint": "https://s3.example.com:9000"}
    rules = policy_alone(deploy, engine, cast(Any, S3 | endpoint | {"service_account_annotations": role}))["egress"]
    assert {"ports": [{"protocol": "TCP", "port": 443}]} in rules
    agent = [{"ipBlock": {"cidr": cidr}} for cidr in ("169.254.170.23/32", "fd00:ec2::23/128")]
    assert {"to": agent, "ports": [{"protocol": "TCP", "port": 80}]} in rules


def test_the_role_of_a_service_account_needs_the_metadata_server_of_gke(deploy: Deploy, engine: Engine) -> None:
    role = {"iam.gke.io/gcp-service-account": "registry@team.iam.gserviceaccount.com"}
    rules = policy_alone(deploy, engine, cast(Any, GCS | {"service_account_annotations": role}))["egress"]
    metadata = [{"ipBlock": {"cidr": "169.254.169.252/32"}}]
    assert {"to": metadata, "ports": [{"protocol": "TCP", "port": 988}]} in rules


@pytest.mark.parametrize(
    ("url", "namespaces"),
    [
        pytest.param("http://minio", ["docker-registry"], id="SERVICE in the registry's own namespace"),
        pytest.param("http://minio.storage", ["storage"], id="SERVICE.NAMESPACE"),
        pytest.param("http://minio.storage:9000", ["storage"], id="SERVICE.NAMESPACE with a port"),
        pytest.param("https://minio.storage.svc:9000", ["storage"], id="SERVICE.NAMESPACE.svc"),
        pytest.param("https://minio.storage.svc.cluster.local", ["storage"], id="default domain of a cluster"),
        pytest.param("https://minio.storage.svc.k8s.example.com", ["storage"], id="another domain of a cluster"),
        pytest.param("http://minio-0.minio.storage.svc:9000", ["storage"], id="Pod of a StatefulSet"),
        pytest.param("https://s3.example.com", [], id="public name of three labels"),
        pytest.param("https://registry.svc.example.com", [], id="public name whose second label is svc"),
        pytest.param("http://10.1.2.3:9000", [], id="IPv4 address"),
        pytest.param("http://[2001:db8::7]:9000", [], id="IPv6 address"),
    ],
)
def test_all_ports_are_open_in_the_namespace_that_the_url_of_a_server_names(
    deploy: Deploy, engine: Engine, url: str, namespaces: list[str]
) -> None:
    """Plug-ins see the port of the Pod, not that of the Service."""
    assert open_namespaces(policy_alone(deploy, engine, S3 | {"s3_endpoint": url})) == namespaces
    assert open_namespaces(policy_alone(deploy, engine, MIRROR | {"mirror_of": url})) == namespaces


def test_the_registry_may_connect_to_its_proxies() -> None:
    proxies = {"http": "http://ci:hunter22@proxy.example.com:3128", "https": "http://squid.egress:3129"}
    spec = policy_of_registry(MIRROR | {"outbound_proxy": proxies})
    assert allows_egress(spec, 3128)
    assert allows_egress(spec, 3129)
    assert allows_egress(spec, 443), "The mirrored server stays open, because `no_proxy` may name it."
    assert open_namespaces(spec) == ["egress"]
    assert not any(allows_egress(policy_of_registry(MIRROR), port) for port in (3128, 3129))


def test_a_mirror_on_s3_may_connect_to_both_servers() -> None:
    spec = policy_of_registry(S3 | MIRROR | {"s3_endpoint": "https://s3.storage:9000"})
    assert allows_egress(spec, 9000)
    assert allows_egress(spec, 443)
    assert open_namespaces(spec) == ["storage"]
