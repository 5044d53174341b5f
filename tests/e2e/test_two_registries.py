"""Two registries in one program, in other namespaces, on other ports and paths, with other keys and users."""

import shutil
from collections.abc import Callable

import pytest

from tests.e2e.conftest import Lab, Project

pytestmark = pytest.mark.e2e

PROGRAM = '''
"""Two teams, a registry each."""

import pulumi

from registry import PrivateRegistry

for team, port in (("red", 5001), ("blue", 5002)):
    registry = PrivateRegistry(
        team,
        {
            "hostname": f"{team}.registry.example.com",
            "namespace": f"{team}-registry",
            "port": port,
            "exposure": "external-ips",
            "external_ips": ["192.168.56.10"],
            "certificate_key": "RSA-2048" if team == "red" else "P-384",
            "users": [team],
            "storage_path": f"/var/lib/{team}-registry",
            "run_as_user": 0 if team == "red" else 65532,
        },
    )
    pulumi.export(team, {"endpoint": registry.endpoint, "ca_pem": registry.ca_pem, "password": registry.password})
'''


def test_two_registries_live_side_by_side(lab: Lab, project: Callable[[str, str], Project]) -> None:
    blue = lab.cluster.path("k8s-master", "/var/lib/blue-registry")
    blue.mkdir(exist_ok=True)
    shutil.chown(blue, 65532, 65532)
    two = project("two", PROGRAM)
    for team, outputs in two.up().items():
        ca = two.folder / f"{team}.pem"
        ca.write_text(outputs["ca_pem"])
        catalog = lab.place.run(
            *["curl", "--silent", "--fail", "--cacert", str(ca), "--user", f"{team}:{outputs['password']}"],
            *["--connect-to", f"{outputs['endpoint']}:192.168.56.10:", f"https://{outputs['endpoint']}/v2/_catalog"],
        )
        assert catalog.stdout.strip() == '{"repositories":[]}'
    level = lab.get("namespace", "blue-registry")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert level == "restricted", "it runs as 65532"
    status = lab.kubectl("exec", "--namespace", "blue-registry", "docker-registry", "--", "id", "-u")
    assert status.strip() == "65532"
    two.up("--expect-no-changes")
