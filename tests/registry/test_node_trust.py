"""`NodeTrust` and the input `node_trust`: the files on the nodes, the resources, and the script of the agent."""

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
from registry.node_trust.files import all_files, hosts_toml
from registry.plugin import Plugin
from registry.validation import InvalidInput, nodes
from registry.validation.network import image_reference_hosts
from tests.conftest import Deploy, Engine, to_base64
from tests.issuing import CertificateSpec, issue, server_spec

CA, OTHER = issue(CertificateSpec()).pem, issue(CertificateSpec()).pem
TEAM = {"endpoint": "team.example.com:5000", "ca_pem": CA}


def args(*registries: Any, **changes: Any) -> NodeTrustArgs:
    return {"registries": list(registries or [TEAM]), **changes}  # type: ignore[typeddict-item]


def test_a_registry_on_port_443_has_a_folder_with_and_one_without_the_port() -> None:
    assert image_reference_hosts("team.example.com:5000") == ["team.example.com:5000"]
    assert image_reference_hosts("team.example.com:443") == ["team.example.com:443", "team.example.com"]


def test_containerd_tries_the_address_before_the_name() -> None:
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


def test_a_ca_is_written_before_the_file_that_refers_to_it() -> None:
    paths = list(all_files([TEAM, {"endpoint": "a.example.com:443", "ca_pem": OTHER}]))
    assert paths == sorted(paths), "ca.crt comes before hosts.toml."
    # Each of the three names of the hosts has a ca.crt and a hosts.toml for containerd, and a ca.crt for Docker.
    assert len(paths) == 9


def test_the_daemon_set_depends_on_its_guard_and_runs_on_every_node(deploy: Deploy, engine: Engine) -> None:
    deploy(lambda: NodeTrust("trust", args(namespace="team-trust")))
    agent = engine.one("DaemonSet")
    assert any("trust-guard-binding" in urn for urn in agent.request.dependencies)
    assert agent.inputs["spec"]["template"]["spec"]["tolerations"] == [{"operator": "Exists"}]
    assert agent.inputs["metadata"]["namespace"] == "team-trust"
    assert agent.inputs["spec"]["updateStrategy"]["rollingUpdate"] == {"maxSurge": "100%", "maxUnavailable": 0}


def test_changed_files_change_the_config_map_and_the_pods(deploy: Deploy, engine: Engine) -> None:
    def pod_annotations(*registries: dict[str, Any]) -> str:
        engine.resources.clear()
        deploy(lambda: NodeTrust("trust", args(*registries)))
        assert engine.one("ConfigMap").inputs["immutable"] is True
        return str(engine.one("DaemonSet").inputs["spec"]["template"]["metadata"]["annotations"])

    assert pod_annotations() == pod_annotations()
    assert pod_annotations() != pod_annotations({**TEAM, "ca_pem": OTHER})
    assert pod_annotations() != pod_annotations({**TEAM, "address": "10.96.0.7:5000"})


def test_the_endpoints_are_an_output(deploy: Deploy) -> None:
    outputs = deploy(lambda: NodeTrust("trust", args(TEAM, {**TEAM, "endpoint": "other.example.com:443"})))
    assert outputs == {"endpoints": ["team.example.com:5000", "other.example.com:443"]}


def test_every_file_on_a_node_has_its_own_key_in_the_config_map(deploy: Deploy, engine: Engine) -> None:
    deploy(lambda: NodeTrust("trust", args(TEAM, {**TEAM, "endpoint": "a.example.com:443"})))
    data = engine.one("ConfigMap").inputs["data"]
    (volume, *_) = engine.one("DaemonSet").inputs["spec"]["template"]["spec"]["volumes"]
    items = volume["configMap"]["items"]
    assert {item["key"] for item in items} == set(data)
    assert len({item["path"] for item in items}) == len(items) == 9 + 1, "The agent is a file too."
    assert all(re.fullmatch(r"[-._a-zA-Z0-9]+", key) for key in data)


def test_the_pods_have_only_the_rights_that_they_need(deploy: Deploy, engine: Engine) -> None:
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
    paths = [volume["hostPath"]["path"] for volume in spec["volumes"] if "hostPath" in volume]
    assert paths == ["/etc/containerd/certs.d", "/etc/docker/certs.d"]
    assert engine.one("NetworkPolicy").inputs["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_values_may_be_outputs(deploy: Deploy, engine: Engine) -> None:
    registry = {key: pulumi.Output.from_input(value) for key, value in TEAM.items()}
    deploy(lambda: NodeTrust("trust", args(registry, image=pulumi.Output.from_input("busybox:1.37"))))
    assert CA in engine.one("ConfigMap").inputs["data"].values()


def test_a_registry_may_be_an_output(deploy: Deploy, engine: Engine) -> None:
    deploy(lambda: NodeTrust("trust", args(pulumi.Output.from_input(TEAM))))
    assert CA in engine.one("ConfigMap").inputs["data"].values()
    with pytest.raises(InvalidInput) as refusal:
        deploy(lambda: NodeTrust("other", args(pulumi.Output.from_input({"endpoint": "a:5000"}))))
    assert (refusal.value.key, refusal.value.code) == ("registries", "key-missing")


REFUSED: list[tuple[NodeTrustArgs, str]] = [
    (args(registries=[]), "registries: out-of-range"),
    (args(registries="team"), "registries: not-a-list"),
    (args("team"), "registries: not-a-list"),
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


@pytest.mark.parametrize(("inputs", "code"), REFUSED, ids=lambda column: column if isinstance(column, str) else "")
def test_an_invalid_input_is_refused_before_the_daemon_set_is_created(
    deploy: Deploy, engine: Engine, inputs: NodeTrustArgs, code: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        deploy(lambda: NodeTrust("trust", inputs))
    assert f"{refusal.value.key}: {refusal.value.code}" == code
    assert not [each for each in engine.resources if each.type.endswith(":DaemonSet")]


@pytest.mark.parametrize("address", ["10.96.0.7:5000", "[2001:db8::7]:5000", ""])
def test_an_address_of_either_family_or_none_is_accepted(address: str) -> None:
    assert nodes.address(address) == address


class TestAgent:
    """The script of the agent, run on folders of the test."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        agent = Path(str(nodes.__file__)).parents[1] / "node_trust/agent.sh"
        for folder in ("wanted", "node/containerd", "node/docker"):
            (tmp_path / folder).mkdir(parents=True)
        script = agent.read_text().replace("/wanted", f"{tmp_path}/wanted").replace("/node", f"{tmp_path}/node")
        (tmp_path / "agent.sh").write_text(script)
        return tmp_path

    def run(self, root: Path, call: str, pod: str = "1") -> subprocess.CompletedProcess[str]:
        """Call a function of the script as a Pod."""
        script = (root / "agent.sh").read_text().removesuffix('"$1"\n') + call
        variables = {"NAMESPACE": "trust", "POD_UID": pod, "PATH": "/usr/bin:/bin"}
        return subprocess.run(["sh", "-c", script], env=variables, capture_output=True, text=True, check=False)

    def request_file(self, root: Path, path: str, content: str) -> Path:
        """Add a file to the folder of the ConfigMap. Return its path on the node."""
        for file in (root / "wanted" / path, root / "node" / path):
            file.parent.mkdir(parents=True, exist_ok=True)
        (root / "wanted" / path).write_text(content)
        return root / "node" / path

    def test_a_new_pod_takes_over_and_the_old_one_keeps_its_files(self, root: Path) -> None:
        file = self.request_file(root, "docker/team:5000/ca.crt", "old\n")
        self.run(root, "took_over=; place_all", pod="1")
        assert file.read_text() == "# Kept by NodeTrust trust for Pod 1\nold\n"
        (root / "wanted/docker/team:5000/ca.crt").write_text("new\n")
        self.run(root, "took_over=; place_all", pod="2")
        content = "# Kept by NodeTrust trust for Pod 2\nnew\n"
        assert file.read_text() == content
        self.run(root, "took_over=yes; place_all; remove_mine", pod="1")
        assert file.read_text() == content
        self.run(root, "remove_mine", pod="2")
        assert not file.parent.exists()

    def test_a_file_without_the_marker_is_never_changed(self, root: Path) -> None:
        file = self.request_file(root, "docker/team:5000/ca.crt", "ours\n")
        for content in ("", "x", "# Kept by NodeTrust other for Pod 1\n", " # Kept by NodeTrust trust for Pod 1\n"):
            file.write_text(content)
            self.run(root, "took_over=; remove_unwanted; place_all; remove_mine")
            assert file.read_text() == content
            check = self.run(root, "check")
            assert check.returncode == 1
            assert "another program's file" in check.stdout

    def test_a_symbolic_link_is_never_replaced(self, root: Path) -> None:
        file = self.request_file(root, "docker/team:5000/ca.crt", "ours\n")
        file.symlink_to("/nowhere")
        self.run(root, "took_over=; place_all; remove_mine")
        assert file.is_symlink()

    def test_an_incomplete_file_is_removed_with_the_complete_one(self, root: Path) -> None:
        file = self.request_file(root, "docker/team:5000/ca.crt", "ours\n")
        (file.parent / ".ca.crt.trust").write_text("half")
        self.run(root, "took_over=; place_all; remove_mine")
        assert not file.parent.exists()

    def test_an_incomplete_file_of_a_removed_registry_is_removed(self, root: Path) -> None:
        incomplete = root / "node/docker/removed:5000/.ca.crt.trust"
        incomplete.parent.mkdir()
        incomplete.write_text("half")
        other = root / "node/docker/other:5000"
        other.mkdir()
        self.run(root, "remove_unwanted")
        assert not incomplete.parent.exists()
        assert other.exists(), "An empty folder of another program stays."

    def test_a_stopped_agent_leaves_no_incomplete_file(self, root: Path) -> None:
        file = self.request_file(root, "docker/team:5000/ca.crt", "ours\n")
        incomplete = file.with_name(".ca.crt.trust")
        slow = root / "bin/cat"
        slow.parent.mkdir()
        end = root / "end"
        slow.write_text(f'#!/bin/sh\nuntil [ -e {end} ]; do sleep 0.05; done\nexec /bin/cat "$@"\n')
        slow.chmod(0o755)
        variables = {"NAMESPACE": "trust", "POD_UID": "1", "PATH": f"{slow.parent}:/usr/bin:/bin"}
        with subprocess.Popen(["sh", str(root / "agent.sh"), "keep"], env=variables) as agent:
            deadline = monotonic() + 60
            while not incomplete.exists() and monotonic() < deadline:
                sleep(0.01)
            is_started = incomplete.exists()
            agent.terminate()
            end.touch()
        assert is_started, "No temporary file was written."
        assert agent.returncode == 0
        assert not file.parent.exists(), "The agent removes its files."

    def test_the_check_passes_only_for_an_unchanged_file(self, root: Path) -> None:
        file = self.request_file(root, "docker/team:5000/ca.crt", "ours\n")
        assert "not in place" in self.run(root, "check").stdout
        self.run(root, "took_over=; place_all")
        assert self.run(root, "check").returncode == 0
        file.write_text(file.read_text() + "more\n")
        assert self.run(root, "check").returncode == 1


@pytest.mark.parametrize("is_output", [False, True], ids=["plain", "output"])
def test_a_program_in_another_language_writes_the_keys_in_camel_case(engine: Engine, is_output: bool) -> None:
    """The plugin server gets names in camelCase, also inside lists and Outputs."""
    wire = Struct()
    wire.update({"registries": [{"endpoint": "team.example.com:5000", "caPem": CA, "address": "10.0.0.7:5000"}]})
    plugin = Plugin()

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def main() -> Any:
        inputs = rpc.deserialize_properties(wire)
        if is_output:
            inputs["registries"] = [pulumi.Output.from_input(registry) for registry in inputs["registries"]]
        return dict(plugin.construct("trust", "private-registry:index:NodeTrust", inputs).state)["endpoints"]

    main()
    assert CA in engine.one("ConfigMap").inputs["data"].values()


class TestInputOfTheRegistry:
    """The input `node_trust` of PrivateRegistry."""

    def deploy_registry(self, deploy: Deploy, **changes: Any) -> None:
        deploy(lambda: PrivateRegistry("registry", {"node_trust": True, **changes}))  # type: ignore[typeddict-item]

    def hosts(self, engine: Engine) -> str:
        data = engine.by_name("registry-nodes-files").inputs["data"]
        return str(next(text for key, text in data.items() if key.endswith("hosts.toml")))

    def test_the_certificate_and_hosts_toml_have_the_address_of_the_service(
        self, deploy: Deploy, engine: Engine
    ) -> None:
        self.deploy_registry(deploy)
        assert "10.96.0.7" in engine.one("CertRequest").inputs["ipAddresses"]
        assert '[host."https://10.96.0.7:5000"]' in self.hosts(engine)
        assert engine.by_name("registry-nodes-namespace").inputs["metadata"]["name"] == "docker-registry-trust"

    def test_the_server_certificate_waits_for_the_agents_and_its_ca_does_not(
        self, deploy: Deploy, engine: Engine
    ) -> None:
        self.deploy_registry(deploy)
        assert any("registry-nodes-agent" in urn for urn in engine.one("LocallySignedCert").request.dependencies)
        assert not any("DaemonSet" in urn for urn in engine.by_name("registry-tls-ca").request.dependencies)

    def test_behind_an_ingress_nodes_pull_from_the_service(self, deploy: Deploy, engine: Engine) -> None:
        self.deploy_registry(deploy, exposure="ingress", ingress_class="nginx")
        assert 'server = "https://docker-registry:443"' in self.hosts(engine)
        assert '[host."https://10.96.0.7:5000"]' in self.hosts(engine)

    def test_a_service_without_an_address_is_not_refused(self, deploy: Deploy, engine: Engine) -> None:
        """A preview after a failed `pulumi up` has the CA, but no address, because the namespace does not exist."""
        engine.live["registry-service"] = {"spec": {"type": "ClusterIP"}}
        deploy(lambda: PrivateRegistry("registry", {"node_trust": True}))
        assert "None" not in str(engine.one("CertRequest").inputs)

    def test_without_node_trust_no_resource_waits_for_the_service(self, deploy: Deploy, engine: Engine) -> None:
        deploy(lambda: PrivateRegistry("registry", {}))
        assert not [each for each in engine.resources if each.type.endswith(":DaemonSet")]
        assert "10.96.0.7" not in engine.one("CertRequest").inputs["ipAddresses"]
        assert not any("registry-service" in urn for urn in engine.one("Pod").request.dependencies)

    def test_an_existing_certificate_does_not_have_the_address_of_the_service(
        self, deploy: Deploy, engine: Engine
    ) -> None:
        certificate = issue(server_spec("docker-registry.docker-registry.svc"), ca := issue(CertificateSpec()))
        data = {"tls.crt": to_base64(certificate.pem + ca.pem), "tls.key": to_base64(certificate.key_pem)}
        engine.live["registry-tls-from-kubectl-get-secrets"] = {"data": data}
        self.deploy_registry(deploy, tls_secret="existing", create_namespace=False)
        assert "[host" not in self.hosts(engine)
        assert ca.pem in engine.by_name("registry-nodes-files").inputs["data"].values()
