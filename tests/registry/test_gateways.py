"""The exposure by a Gateway: the listeners that are refused at preview, and the route."""

from typing import Any, ClassVar

import pytest

from registry import PrivateRegistry
from registry.validation import InvalidInput
from tests.conftest import PASSTHROUGH_LISTENER, Deploy, Engine
from tests.examples import GATEWAY
from tests.parts import preconditions

Inputs = dict[str, Any]

HOST = "registry.example.com"
TEAM: Inputs = {"namespace": "team", "create_namespace": False}
REFERENCE = ("Gateway", "gateways", "shared")


def gateway(**fields: Any) -> dict[str, Any]:
    """Return a Gateway with a listener whose fields differ from those that suit every registry."""
    other = {**PASSTHROUGH_LISTENER, "name": "web", "protocol": "HTTPS", "tls": {"mode": "Terminate"}}
    listeners = [{**PASSTHROUGH_LISTENER, **fields}, other]
    return {"metadata": {"name": "shared", "namespace": "gateways"}, "spec": {"listeners": listeners}}


def selecting(**selector: Any) -> dict[str, Any]:
    """Return the field of a listener that selects namespaces by their labels."""
    return {"allowedRoutes": {"namespaces": {"from": "Selector", "selector": selector}}}


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return selecting(matchExpressions=[{"key": key, "operator": operator, **({"values": values} if values else {})}])


SAME: Inputs = {"allowedRoutes": {"namespaces": {"from": "Same"}}}


class TestListener:
    REFUSED: ClassVar[list[tuple[Inputs, Inputs, str]]] = [
        # fields of the listener, inputs, code
        ({}, {"gateway_listener": "other"}, "listener-missing"),
        ({}, {"gateway_listener": "web"}, "not-passthrough"),
        ({"protocol": "HTTPS"}, {}, "not-passthrough"),
        ({"tls": {}}, {}, "not-passthrough"),
        ({"allowedRoutes": {"kinds": [{"kind": "TCPRoute"}]}}, {}, "not-passthrough"),
        (SAME, {}, "namespace-not-allowed"),
        ({"allowedRoutes": {}}, {}, "namespace-not-allowed"),
        (selecting(matchLabels={"team": "red"}), {}, "namespace-not-allowed"),
        (selecting(matchLabels={"team": "red"}), {"labels": {"team": "blue"}}, "namespace-not-allowed"),
        (expression("team", "Exists"), {}, "namespace-not-allowed"),
        (expression("team", "NotIn", "red"), {"labels": {"team": "red"}}, "namespace-not-allowed"),
        ({"hostname": "other.example.com"}, {}, "hostname-not-served"),
        ({"hostname": "*.registry.example.com"}, {}, "hostname-not-served"),
        ({"hostname": HOST}, {"certificate_names": ["*.example.com"]}, "hostname-not-served"),
        ({"hostname": "*.example.com"}, {"certificate_names": ["example.com"]}, "hostname-not-served"),
    ]

    @pytest.mark.parametrize(("fields", "args", "code"), REFUSED)
    def test_a_listener_that_would_not_accept_the_route_is_refused(
        self, deploy: Deploy, engine: Engine, fields: Inputs, args: Inputs, code: str
    ) -> None:
        engine.found[REFERENCE] = gateway(**fields)
        with pytest.raises(InvalidInput) as refusal:
            deploy(lambda: preconditions({**GATEWAY, "hostname": HOST, **args}))
        assert (refusal.value.key, refusal.value.code) == ("gateway_listener", code)

    ACCEPTED: ClassVar[list[tuple[Inputs, Inputs]]] = [
        ({"allowedRoutes": {"kinds": [{"kind": "TLSRoute"}], "namespaces": {"from": "All"}}}, {}),
        (SAME, {"gateway_namespace": "gateways", "namespace": "gateways", "create_namespace": False}),
        (selecting(matchLabels={"team": "red"}), {"labels": {"team": "red"}}),
        (selecting(matchLabels={"kubernetes.io/metadata.name": "docker-registry"}), {}),
        (expression("team", "In", "blue", "red"), {"labels": {"team": "red"}}),
        (expression("closed", "DoesNotExist"), {}),
        (selecting(), {}),
        ({"hostname": "*.example.com"}, {"certificate_names": ["*.example.com", "a.b.example.com", "10.0.0.8"]}),
        ({"hostname": HOST}, {}),
    ]

    @pytest.mark.parametrize(("fields", "args"), ACCEPTED)
    def test_a_listener_that_accepts_the_route_is_accepted(
        self, deploy: Deploy, engine: Engine, fields: Inputs, args: Inputs
    ) -> None:
        engine.found[REFERENCE] = gateway(**fields)
        assert deploy(lambda: preconditions({**GATEWAY, "hostname": HOST, **args}))["value"]

    def test_the_labels_of_an_existing_namespace_are_those_that_it_has(self, deploy: Deploy, engine: Engine) -> None:
        engine.found[REFERENCE] = gateway(**selecting(matchLabels={"team": "red"}))
        engine.found["Namespace", "", "team"] = {"metadata": {"name": "team", "labels": {"team": "red"}}}
        assert deploy(lambda: preconditions({**GATEWAY, **TEAM}))["value"]
        engine.found["Namespace", "", "team"] = {"metadata": {"name": "team"}}
        with pytest.raises(InvalidInput) as refusal:
            deploy(lambda: preconditions({**GATEWAY, **TEAM, "labels": {"team": "red"}}))
        assert refusal.value.code == "namespace-not-allowed"


def test_a_cluster_without_the_api_is_refused_before_its_gateway_is_missed(deploy: Deploy, engine: Engine) -> None:
    engine.found["TLSRoute", "docker-registry", ""] = {}
    engine.found[REFERENCE] = {}
    with pytest.raises(InvalidInput) as refusal:
        deploy(lambda: preconditions(GATEWAY))
    assert (refusal.value.key, refusal.value.code) == ("exposure", "does-not-exist")


def test_the_route_has_every_name_that_clients_type(deploy: Deploy, engine: Engine) -> None:
    names = ["*.example.org", "10.0.0.8", HOST]
    engine.found[REFERENCE] = gateway(port=8443)
    args: Any = {**GATEWAY, "hostname": HOST, "certificate_names": names, "port": 5050}
    outputs = deploy(lambda: PrivateRegistry("registry", args))
    assert outputs["endpoint"] == f"{HOST}:8443"
    assert engine.one("TLSRoute").inputs["spec"] == {
        "parentRefs": [{"name": "shared", "namespace": "gateways", "sectionName": "passthrough"}],
        "hostnames": [HOST, "*.example.org"],
        "rules": [{"backendRefs": [{"name": "docker-registry", "port": 5050}]}],
    }
    assert engine.one("Service").inputs["spec"]["type"] == "ClusterIP"
    assert {*names} <= {
        *engine.by_name("registry-tls-request").inputs["dnsNames"],
        *engine.by_name("registry-tls-request").inputs["ipAddresses"],
    }
