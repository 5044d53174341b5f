"""Nodes that trust registries: what is written for each, and what is asked of the engine."""

import re
import subprocess
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pulumi
import pytest
from google.protobuf.struct_pb2 import Struct  # type: ignore[import-untyped]
from pulumi.runtime import rpc

from registry import NodeTrust, NodeTrustArgs, PrivateRegistry
from registry.__main__ import NAME, Plugin
from registry.node_trust.files import all_files, hosts_toml
from registry.validation import InvalidInput, nodes
from registry.validation.network import image_reference_hosts
from tests.conftest import Deploy, Engine, to_base64
from tests.issuing import CertificateSpec, issue, server_spec

CA, OTHER = issue(CertificateSpec()).pem, issue(CertificateSpec()).pem
TEAM = {"endpoint": "team.example.com:5000", "ca_pem": CA}


def args(*registries: dict[str, Any], **more: Any) -> NodeTrustArgs:
    return {"registries": list(registries or [TEAM]), **more}  # type: ignore[typeddict-item]


def test_a_registry_has_a_folder_for_every_spelling_in_image_references() -> None:
    assert image_reference_hosts("team.example.com:5000") == ["team.example.com:5000"]
    assert image_reference_hosts("team.example.com:443") == ["team.example.com:443", "team.example.com"]


def test_containerd_goes_to_the_address_first_and_to_the_name_otherwise() -> None:
    assert hosts_toml("team.example.com:5000", "10.96.0.7:5000") == (
        'server = "https://team.example.com:5000"\n'
        'capabilities = ["pull", "resolve"]\n'
        'ca = "ca.crt"\n'
        "\n"
        '[host."https://10.96.0.7:5000"]\n'
        '  capabilities = ["pull", "resolve"]\n'
        '  ca = "ca.crt"\n'
    )
    assert "[host" not in hosts_toml("team.example.com:5000", "")


def test_the_ca_is_there_before_the_file_that_mentions_it() -> None:
    paths = list(all_files([TEAM, {"endpoint": "a.example.com:443", "ca_pem": OTHER}]))
    assert paths == sorted(paths)
    assert len(paths) == 9


def test_the_daemon_set_waits_for_its_guard_and_runs_everywhere(deploy: Deploy, engine: Engine) -> None:
    deploy(lambda: NodeTrust("trust", args(namespace="team-trust")))
    agent = engine.one("DaemonSet")
    assert any("trust-guard-binding" in each for each in agent.request.dependencies)
    assert agent.inputs["spec"]["template"]["spec"]["tolerations"] == [{"operator": "Exists"}]
    assert agent.inputs["metadata"]["namespace"] == "team-trust"
    assert agent.inputs["spec"]["updateStrategy"]["rollingUpdate"] == {"maxSurge": "100%", "maxUnavailable": 0}


def test_other_files_are_another_config_map_and_other_pods(deploy: Deploy, engine: Engine) -> None:
    def digest(*registries: dict[str, Any]) -> str:
        engine.resources.clear()
        deploy(lambda: NodeTrust("trust", args(*registries)))
        assert engine.one("ConfigMap").inputs["immutable"] is True
        return str(engine.one("DaemonSet").inputs["spec"]["template"]["metadata"]["annotations"])

    assert digest() == digest()
    assert digest() != digest({**TEAM, "ca_pem": OTHER})
    assert digest() != digest({**TEAM, "address": "10.96.0.7:5000"})


def test_endpoints_are_known_once_the_nodes_have_the_files(deploy: Deploy) -> None:
    known = deploy(lambda: NodeTrust("trust", args(TEAM, {**TEAM, "endpoint": "other.example.com:443"})))
    assert known == {"endpoints": ["team.example.com:5000", "other.example.com:443"]}


def test_every_file_on_a_node_has_a_key_of_its_own_in_the_config_map(deploy: Deploy, engine: Engine) -> None:
    deploy(lambda: NodeTrust("trust", args(TEAM, {**TEAM, "endpoint": "a.example.com:443"})))
    data = engine.one("ConfigMap").inputs["data"]
    (volume, *_) = engine.one("DaemonSet").inputs["spec"]["template"]["spec"]["volumes"]
    items = volume["configMap"]["items"]
    assert {each["key"] for each in items} == set(data)
    assert len({each["path"] for each in items}) == len(items) == 10
    assert all(re.fullmatch(r"[-._a-zA-Z0-9]+", key) for key in data)


def test_nothing_of_the_pod_is_more_than_it_needs(deploy: Deploy, engine: Engine) -> None:
    deploy(lambda: NodeTrust("trust", args()))
    spec = engine.one("DaemonSet").inputs["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert spec["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    paths = [each["hostPath"]["path"] for each in spec["volumes"] if "hostPath" in each]
    assert paths == ["/etc/containerd/certs.d", "/etc/docker/certs.d"]
    assert engine.one("NetworkPolicy").inputs["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_values_may_be_known_later(deploy: Deploy, engine: Engine) -> None:
    later = {key: pulumi.Output.from_input(value) for key, value in TEAM.items()}
    deploy(lambda: NodeTrust("trust", args(later, image=pulumi.Output.from_input("busybox:1.37"))))
    assert CA in engine.one("ConfigMap").inputs["data"].values()


REFUSED: list[tuple[NodeTrustArgs, str]] = [
    (args(registries=[]), "registries: out-of-range"),
    (args(registries="team"), "registries: not-a-list"),
    (args(*[TEAM] * 21), "registries: out-of-range"),
    (args(TEAM, TEAM), "registries: repeated"),
    (args({"endpoint": "a.example.com:5000"}), "registries: key-missing"),
    (args({**TEAM, "adress": "10.0.0.7:5000"}), "adress: unknown-key"),
    (args({**TEAM, "endpoint": "team.example.com"}), "endpoint: not-an-endpoint"),
    (args({**TEAM, "endpoint": "Team.example.com:5000"}), "endpoint: not-an-endpoint"),
    (args({**TEAM, "endpoint": "../etc:5000"}), "endpoint: not-an-endpoint"),
    (args({**TEAM, "endpoint": "https://team.example.com:5000"}), "endpoint: not-an-endpoint"),
    (args({**TEAM, "endpoint": "team.example.com:65536"}), "endpoint: not-an-endpoint"),
    (args({**TEAM, "endpoint": "team.example.com:05000"}), "endpoint: not-an-endpoint"),
    (args({**TEAM, "ca_pem": "trust me"}), "ca_pem: unreadable-certificates"),
    (args({**TEAM, "ca_pem": "-----BEGIN PRIVATE KEY-----"}), "ca_pem: not-certificates"),
    (args({**TEAM, "address": "team.example.com:5000"}), "address: not-an-address"),
    (args({**TEAM, "address": "10.0.0.7"}), "address: not-an-address"),
    (args({**TEAM, "address": "2001:db8::7:5000"}), "address: not-an-address"),
    (args(namespace="kube-system"), "namespace: belongs-to-the-cluster"),
    (args(containerd_folder="etc/containerd/certs.d"), "containerd_folder: not-an-absolute-path"),
    (args(containerd_folder="/etc/containerd/certs.d/"), "containerd_folder: not-an-absolute-path"),
    (args(docker_folder="/etc/docker/../certs.d"), "docker_folder: not-an-absolute-path"),
    (args(docker_folder="/etc"), "docker_folder: not-certs.d"),
    (args(image="busybox"), "image: not-pinned"),
    (args(folder="/etc"), "folder: unknown-key"),
]


@pytest.mark.parametrize(("given", "code"), REFUSED, ids=lambda column: column if isinstance(column, str) else "")
def test_an_input_that_no_node_could_use_is_refused(
    deploy: Deploy, engine: Engine, given: NodeTrustArgs, code: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        deploy(lambda: NodeTrust("trust", given))
    assert f"{refusal.value.key}: {refusal.value.code}" == code
    assert not [each for each in engine.resources if each.type.endswith(":DaemonSet")]


@pytest.mark.parametrize("given", ["10.96.0.7:5000", "[2001:db8::7]:5000", ""])
def test_addresses_of_both_families_are_taken(given: str) -> None:
    assert nodes.address(given) == given


class TestAgent:
    """The script itself, on folders of this machine."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        agent = Path(str(nodes.__file__)).parents[1] / "node_trust/agent.sh"
        for each in ("wanted", "node/containerd", "node/docker"):
            (tmp_path / each).mkdir(parents=True)
        here = agent.read_text().replace("/wanted", f"{tmp_path}/wanted").replace("/node", f"{tmp_path}/node")
        (tmp_path / "agent.sh").write_text(here)
        return tmp_path

    def run(self, root: Path, call: str, pod: str = "1") -> subprocess.CompletedProcess[str]:
        """Call a function of the script as a Pod."""
        script = (root / "agent.sh").read_text().removesuffix('"$1"\n') + call
        variables = {"NAMESPACE": "trust", "POD_UID": pod, "PATH": "/usr/bin:/bin"}
        return subprocess.run(["sh", "-c", script], env=variables, capture_output=True, text=True, check=False)

    def want(self, root: Path, path: str, content: str) -> Path:
        for each in (root / "wanted" / path, root / "node" / path):
            each.parent.mkdir(parents=True, exist_ok=True)
        (root / "wanted" / path).write_text(content)
        return root / "node" / path

    def test_a_younger_pod_takes_over_and_the_older_one_leaves_its_files(self, root: Path) -> None:
        file = self.want(root, "docker/team:5000/ca.crt", "old\n")
        self.run(root, "took_over=; place_all", pod="1")
        assert file.read_text() == "# Kept by NodeTrust trust for Pod 1\nold\n"
        (root / "wanted/docker/team:5000/ca.crt").write_text("new\n")
        self.run(root, "took_over=; place_all", pod="2")
        taken = "# Kept by NodeTrust trust for Pod 2\nnew\n"
        assert file.read_text() == taken
        self.run(root, "took_over=yes; place_all; remove_mine", pod="1")
        assert file.read_text() == taken
        self.run(root, "remove_mine", pod="2")
        assert not file.parent.exists()

    def test_what_begins_otherwise_is_never_touched(self, root: Path) -> None:
        file = self.want(root, "docker/team:5000/ca.crt", "ours\n")
        for theirs in ("", "x", "# Kept by NodeTrust other for Pod 1\n", " # Kept by NodeTrust trust for Pod 1\n"):
            file.write_text(theirs)
            self.run(root, "took_over=; remove_unwanted; place_all; remove_mine")
            assert file.read_text() == theirs
            said = self.run(root, "check")
            assert said.returncode == 1
            assert "somebody else's" in said.stdout

    def test_a_link_in_its_place_is_somebody_elses_wherever_it_leads(self, root: Path) -> None:
        file = self.want(root, "docker/team:5000/ca.crt", "ours\n")
        file.symlink_to("/nowhere")
        self.run(root, "took_over=; place_all; remove_mine")
        assert file.is_symlink()

    def test_what_a_killed_write_left_goes_with_the_file(self, root: Path) -> None:
        file = self.want(root, "docker/team:5000/ca.crt", "ours\n")
        (file.parent / ".ca.crt.trust").write_text("half")
        self.run(root, "took_over=; place_all; remove_mine")
        assert not file.parent.exists()

    def test_half_a_file_of_a_registry_that_is_no_longer_wanted_goes(self, root: Path) -> None:
        half = root / "node/docker/left:5000/.ca.crt.trust"
        half.parent.mkdir()
        half.write_text("half")
        theirs = root / "node/docker/theirs:5000"
        theirs.mkdir()
        self.run(root, "remove_unwanted")
        assert not half.parent.exists()
        assert theirs.exists(), "an empty folder of others"

    def test_told_to_stop_it_leaves_no_half_file(self, root: Path) -> None:
        file = self.want(root, "docker/team:5000/ca.crt", "ours\n")
        half = file.with_name(".ca.crt.trust")
        slow = root / "bin/cat"
        slow.parent.mkdir()
        slow.write_text('#!/bin/sh\nsleep 1\nexec /bin/cat "$@"\n')
        slow.chmod(0o755)
        variables = {"NAMESPACE": "trust", "POD_UID": "1", "PATH": f"{slow.parent}:/usr/bin:/bin"}
        with subprocess.Popen(["sh", str(root / "agent.sh"), "keep"], env=variables) as agent:
            deadline = monotonic() + 5
            while not half.exists() and monotonic() < deadline:
                sleep(0.01)
            begun = half.exists()
            agent.terminate()
        assert begun, "no temporary file was written"
        assert agent.returncode == 0
        assert not file.parent.exists(), "nothing of it is left"

    def test_it_is_in_place_only_as_a_whole(self, root: Path) -> None:
        file = self.want(root, "docker/team:5000/ca.crt", "ours\n")
        assert "not in place" in self.run(root, "check").stdout
        self.run(root, "took_over=; place_all")
        assert self.run(root, "check").returncode == 0
        file.write_text(file.read_text() + "more\n")
        assert self.run(root, "check").returncode == 1


def test_other_languages_spell_a_registrys_keys_their_way(engine: Engine) -> None:
    """As the plugin server gets them: camelCase, nested ones too."""
    wire = Struct()
    wire.update({"registries": [{"endpoint": "team.example.com:5000", "caPem": CA, "address": "10.0.0.7:5000"}]})
    plugin = Plugin([PrivateRegistry, NodeTrust], NAME)

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def main() -> Any:
        inputs = rpc.deserialize_properties(wire)
        return dict(plugin.construct("trust", "private-registry:index:NodeTrust", inputs).state)["endpoints"]

    main()
    assert CA in engine.one("ConfigMap").inputs["data"].values()


class TestOfTheRegistry:
    """The option `node_trust` of PrivateRegistry."""

    def deployed(self, deploy: Deploy, **more: Any) -> None:
        deploy(lambda: PrivateRegistry("registry", {"node_trust": True, **more}))  # type: ignore[typeddict-item]

    def hosts(self, engine: Engine) -> str:
        data = engine.by_name("registry-nodes-files").inputs["data"]
        return str(next(text for key, text in data.items() if key.endswith("hosts.toml")))

    def test_the_services_address_is_in_the_certificate_and_in_hosts_toml(self, deploy: Deploy, engine: Engine) -> None:
        self.deployed(deploy)
        assert "10.96.0.7" in engine.one("CertRequest").inputs["ipAddresses"]
        assert '[host."https://10.96.0.7:5000"]' in self.hosts(engine)
        assert engine.by_name("registry-nodes-namespace").inputs["metadata"]["name"] == "docker-registry-trust"

    def test_the_leaf_waits_for_every_node(self, deploy: Deploy, engine: Engine) -> None:
        self.deployed(deploy)
        assert [each for each in engine.one("LocallySignedCert").request.dependencies if "registry-nodes-agent" in each]
        assert not [each for each in engine.by_name("registry-tls-ca").request.dependencies if "DaemonSet" in each]

    def test_behind_an_ingress_nodes_go_straight_to_the_service(self, deploy: Deploy, engine: Engine) -> None:
        self.deployed(deploy, exposure="ingress", ingress_class="nginx")
        assert 'server = "https://docker-registry:443"' in self.hosts(engine)
        assert '[host."https://10.96.0.7:5000"]' in self.hosts(engine)

    def test_without_it_nothing_waits_for_the_service(self, deploy: Deploy, engine: Engine) -> None:
        deploy(lambda: PrivateRegistry("registry", {}))
        assert not [each for each in engine.resources if each.type.endswith(":DaemonSet")]
        assert "10.96.0.7" not in engine.one("CertRequest").inputs["ipAddresses"]
        assert not [each for each in engine.one("Pod").request.dependencies if "registry-service" in each]

    def test_somebody_elses_certificate_is_not_for_the_services_address(self, deploy: Deploy, engine: Engine) -> None:
        served = issue(server_spec("docker-registry.docker-registry.svc"), authority := issue(CertificateSpec()))
        data = {"tls.crt": to_base64(served.pem + authority.pem), "tls.key": to_base64(served.key_pem)}
        engine.live["registry-tls-from-kubectl-get-secrets"] = {"data": data}
        self.deployed(deploy, tls_secret="mine", create_namespace=False)
        assert "[host" not in self.hosts(engine)
        assert authority.pem in engine.by_name("registry-nodes-files").inputs["data"].values()
