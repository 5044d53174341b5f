"""The output `next_steps`: its whole text, which people copy from, for each exposure and mode."""

from collections.abc import Sequence
from typing import Any

import pulumi
import pytest

from registry import PrivateRegistry, PrivateRegistryArgs
from registry.next_steps import describe_client_steps
from tests.conftest import Deploy, Engine, is_secret

WITH_AN_ADDRESS = """\
docker-registry:5000 is deployed. On a client with Docker (`pulumi stack output next_steps` prints all lines):
  trust   pulumi stack output ca_pem > ca.pem && sudo install -D --mode 644 ca.pem \
/etc/docker/certs.d/docker-registry:5000/ca.crt
  name    echo "192.168.56.10 docker-registry" | sudo tee -a /etc/hosts  # unless DNS resolves the name
  log in  pulumi stack output password --show-secrets | \
docker login docker-registry:5000 --username centos --password-stdin
  push    docker tag busybox:1.35 docker-registry:5000/busybox:1.35 && docker push docker-registry:5000/busybox:1.35
"""

INSIDE = """\
docker-registry.docker-registry.svc:5000 is deployed. Only Pods and nodes of the cluster reach it.
  To serve other clients, set `exposure` to another value, and run `pulumi up`.
"""


def steps(*addresses: str, username: str = "centos", exposure: str = "external-ips", mode: str = "read-write") -> str:
    return describe_client_steps("docker-registry:5000", username, addresses, exposure=exposure, mode=mode)


def test_the_steps_of_a_client_are_commands() -> None:
    assert steps("192.168.56.10", "192.168.56.11") == WITH_AN_ADDRESS


@pytest.mark.parametrize(
    ("exposure", "addresses", "line"),
    [
        ("node-port", [], "echo \"$(kubectl get nodes --output jsonpath='{.items[0].status.addresses[0].address}') "),
        ("load-balancer", ["192.0.2.1"], 'echo "192.0.2.1 docker-registry" | sudo tee -a /etc/hosts'),
        ("load-balancer", [], "Let DNS resolve docker-registry to the address or name of the load balancer."),
        ("ingress", [], "Let DNS resolve docker-registry to the address or name of the Ingress controller."),
        ("gateway", [], "Let DNS resolve docker-registry to the address or name of the Gateway."),
    ],
)
def test_the_name_resolves_as_the_exposure_permits(exposure: str, addresses: Sequence[str], line: str) -> None:
    assert f"  name    {line}" in steps(*addresses, exposure=exposure)


@pytest.mark.parametrize(
    ("mode", "line"),
    [
        ("read-only", "  pull    docker pull docker-registry:5000/busybox:1.35\n"),
        ("mirror", "  pull    docker pull docker-registry:5000/library/busybox:1.35\n"),
    ],
)
def test_a_registry_that_refuses_pushes_has_no_push(mode: str, line: str) -> None:
    text = steps("192.0.2.1", mode=mode)
    assert text.endswith(line)
    assert "docker push" not in text


def test_users_of_an_existing_secret_type_their_own_login() -> None:
    assert "  log in  docker login docker-registry:5000\n" in steps("192.0.2.1", username="")


EXTERNAL: dict[str, Any] = {"exposure": "external-ips", "external_ips": ["192.168.56.10"]}


@pytest.mark.parametrize(("args", "text"), [({}, INSIDE), (EXTERNAL, WITH_AN_ADDRESS)], ids=["inside", "outside"])
def test_the_output_is_plain_text(deploy: Deploy, engine: Engine, args: PrivateRegistryArgs, text: str) -> None:
    secret: PrivateRegistryArgs = {"passwords": pulumi.Output.secret({"centos": "correct horse"})}
    assert deploy(lambda: PrivateRegistry("registry", {**args, **secret}))["next_steps"] == text
    (component,) = [each for each in engine.state if each.name == "registry" and "next_steps" in str(each.properties)]
    outputs = component.properties[0]
    assert not is_secret(outputs["next_steps"])
    assert is_secret(outputs["password"]), "The test recognizes a secret."
