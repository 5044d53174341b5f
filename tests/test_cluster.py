"""The parts of the embedded cluster that need no root: plans, certificates, configurations, image archives."""

import hashlib
import json
import os
import tarfile
import tomllib
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from cryptography import x509

from dev.cluster import Cluster, archive, cgroup, control_plane, images, laptop, node, pki, process, requirements
from dev.cluster.plan import HOSTS, MACHINE, MASTER, NETWORK, NODES, PODS, SERVICES, WORKER, Host, Plan
from dev.console import Unmet

LONGEST_LINK = 15


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan("dev", tmp_path)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    pki.write(folder)
    return folder


@pytest.fixture
def busybox(tmp_path: Path) -> Path:
    program = tmp_path / "busybox"
    program.write_text("#!/bin/sh\necho busybox\necho ls\necho sh\n")
    program.chmod(0o755)
    return program


class TestPlan:
    def test_all_hosts_and_this_machine_are_neighbours(self) -> None:
        addresses = [MACHINE, *(host.address for host in HOSTS)]
        assert len({*addresses}) == len(addresses)
        assert all(ip_address(address) in ip_network(NETWORK) for address in addresses)

    def test_no_two_address_ranges_overlap(self) -> None:
        ranges = [ip_network(each) for each in (NETWORK, SERVICES, *(host.pods for host in NODES))]
        assert not any(one.overlaps(other) for one in ranges for other in ranges if one is not other)
        assert all(ip_network(host.pods).subnet_of(ip_network(PODS)) for host in NODES)  # type: ignore[arg-type]

    def test_two_clusters_share_no_name_in_the_kernel(self, plan: Plan) -> None:
        def names(one: Plan) -> set[str]:
            each = {name for host in HOSTS for name in (one.netns(host), str(one.cgroup(host)))}
            return each | {one.link, one.switch}

        assert names(plan).isdisjoint(names(replace(plan, name="e2e")))

    def test_the_longest_name_still_makes_a_link(self, plan: Plan) -> None:
        assert len(replace(plan, name="abcdefghijk").link) <= LONGEST_LINK

    @pytest.mark.parametrize("name", ["", "Dev", "-dev", "1dev", "a/b", "twelve-chars"])
    def test_a_name_that_linux_could_not_carry_is_refused(self, name: str, plan: Plan) -> None:
        with pytest.raises(ValueError, match="`name` must be"):
            replace(plan, name=name)

    def test_a_hosts_own_files_lie_under_the_state_folder(self, plan: Plan) -> None:
        path = plan.path(MASTER, "/var/lib/docker-registry/repository")
        assert path == plan.state / "hosts/k8s-master/var/lib/docker-registry/repository"

    @pytest.mark.parametrize("path", ["/etc/hosts", "/root", "/var/../root", "/variety", "var/lib"])
    def test_a_file_that_is_not_a_hosts_own_has_no_path(self, path: str, plan: Plan) -> None:
        with pytest.raises(ValueError, match="`path` must lie under"):
            plan.path(MASTER, path)


class TestPki:
    def test_every_certificate_is_signed_by_its_authority(self, keys: Path) -> None:
        authorities = {name: _certificate(keys, f"{name}-ca") for name in ("kubernetes", "etcd", "front-proxy")}
        leaves = [_certificate(keys, path.stem) for path in keys.glob("*.crt") if not path.stem.endswith("-ca")]
        assert leaves
        for leaf in leaves:
            [issuer] = [each for each in authorities.values() if each.subject == leaf.issuer]
            leaf.verify_directly_issued_by(issuer)

    def test_the_api_server_answers_under_its_address_and_its_service(self, keys: Path) -> None:
        names = _certificate(keys, "apiserver").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert {MASTER.address, "10.96.0.1"} <= {str(ip) for ip in names.get_values_for_type(x509.IPAddress)}
        assert "kubernetes.default.svc" in names.get_values_for_type(x509.DNSName)

    @pytest.mark.parametrize("host", NODES)
    def test_a_kubelet_may_only_be_its_own_node(self, host: Host, keys: Path) -> None:
        subject = _certificate(keys, host.name).subject.rfc4514_string()
        assert subject == f"CN=system:node:{host.name},O=system:nodes"

    def test_private_keys_are_for_their_owner_only(self, keys: Path) -> None:
        private = [*keys.glob("*.key"), *keys.glob("*.conf")]
        assert private
        assert {path.stat().st_mode & 0o777 for path in private} == {0o600}

    def test_the_kubeconfig_stands_alone(self, keys: Path) -> None:
        config = yaml.safe_load((keys / "admin.conf").read_text())
        assert config["clusters"][0]["cluster"]["server"] == "https://192.168.56.10:6443"
        assert set(config["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}


class TestDaemons:
    def test_every_file_that_a_daemon_is_told_of_is_made(self, plan: Plan, keys: Path) -> None:
        daemons = [make(plan) for make in _CONTROL_PLANE]
        daemons += [make(plan, host) for make in (node.kubelet, node.kube_proxy) for host in NODES]
        told = " ".join([*(part for each in daemons for part in (*each.argv, *each.files.values()))])
        named = {word.partition("=")[2] or word for word in told.split() if str(plan.pki) in word}
        missing = {name for name in named if not (keys / Path(name).name).exists()}
        assert named
        assert not missing

    def test_only_the_master_is_tainted(self, plan: Plan) -> None:
        taint = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
        assert _kubelet_configuration(plan, MASTER)["registerWithTaints"] == [taint]
        assert _kubelet_configuration(plan, WORKER)["registerWithTaints"] == []

    def test_a_changed_secret_and_a_lost_node_are_noticed_in_seconds_unless_asked_otherwise(self, plan: Plan) -> None:
        stock = replace(plan, stock_periods=True)
        assert _kubelet_configuration(plan, MASTER)["syncFrequency"] == "5s"
        assert "syncFrequency" not in _kubelet_configuration(stock, MASTER)
        assert "--node-monitor-grace-period=20s" in control_plane.controller_manager(plan).argv
        assert "--node-monitor-grace-period=20s" not in control_plane.controller_manager(stock).argv

    def test_pods_stay_in_the_control_group_of_their_host(self, plan: Plan) -> None:
        assert _kubelet_configuration(plan, WORKER)["cgroupRoot"] == "/pr-dev-k8s-worker"

    def test_containerd_finds_plugins_pause_image_and_trust(self) -> None:
        files = node.containerd(MASTER, Path("/plugins")).files
        cri = tomllib.loads(files["/etc/containerd/config.toml"])["plugins"]["io.containerd.grpc.v1.cri"]
        assert cri["cni"]["bin_dir"] == "/plugins"
        assert cri["sandbox_image"] == node.PAUSE
        assert cri["registry"]["config_path"] == "/etc/containerd/certs.d"

    def test_a_pods_address_is_forgotten_when_its_host_goes_down(self) -> None:
        network = json.loads(node.containerd(WORKER, Path("/plugins")).files["/etc/cni/net.d/10-pods.conflist"])
        assert network["plugins"][0]["ipam"]["dataDir"].startswith("/run/")

    def test_docker_keeps_its_hands_off_this_machines_firewall(self, plan: Plan) -> None:
        assert {"--iptables=false", "--bridge=none", "--ip-forward=false"} <= {*laptop.dockerd(plan).argv}

    def test_what_a_restart_would_change_changes_the_fingerprint(self, plan: Plan) -> None:
        kubelet = node.kubelet(plan, MASTER)
        same, moved = node.kubelet(plan, MASTER), node.kubelet(replace(plan, name="e2e"), MASTER)
        environment = {"PATH": "/bin"}
        assert kubelet.fingerprint(environment) == same.fingerprint(environment)
        assert kubelet.fingerprint(environment) != moved.fingerprint(environment)
        assert kubelet.fingerprint(environment) != kubelet.fingerprint({"PATH": "/usr/bin"})

    def test_a_process_outside_the_hosts_control_group_is_not_its_daemon(self, plan: Plan) -> None:
        record = plan.record(MASTER, "etcd")
        record.parent.mkdir(parents=True)
        record.write_text(f"{os.getpid()} fingerprint\n")
        assert not process.running(plan, MASTER, "etcd")

    def test_a_cluster_that_never_was_is_down(self, tmp_path: Path) -> None:
        status = Cluster(tmp_path, "unheard-of").status()
        assert not any(status.daemons.values())
        assert status.nodes == {"k8s-master": False, "k8s-worker": False}
        assert not status.is_up


class TestControlGroups:
    GROUP = PurePosixPath("/pr-dev-laptop")

    @pytest.fixture
    def v1(self, tmp_path: Path) -> Path:
        for controller in ("cpu,cpuacct", "cpuset", "memory", "pids"):
            (tmp_path / controller).mkdir()
            (tmp_path / controller / "cgroup.procs").touch()
        (tmp_path / "cpu").symlink_to("cpu,cpuacct")
        return tmp_path

    @pytest.fixture
    def v2(self, tmp_path: Path) -> Path:
        (tmp_path / "cgroup.controllers").write_text("cpuset cpu memory pids\n")
        (tmp_path / "cgroup.subtree_control").write_text("memory pids\n")
        return tmp_path

    def test_a_v1_machine_has_a_hierarchy_a_controller(self, v1: Path) -> None:
        names = [folder.name for folder in cgroup.hierarchies(v1)]
        assert names == ["cpu,cpuacct", "cpuset", "memory", "pids"]
        assert cgroup.tracking(self.GROUP, v1) == v1 / "pids/pr-dev-laptop"

    def test_a_v2_machine_has_one_hierarchy(self, v2: Path) -> None:
        assert cgroup.hierarchies(v2) == [v2]
        assert cgroup.tracking(self.GROUP, v2) == v2 / "pr-dev-laptop"

    def test_processes_are_found_wherever_below_the_group_they_are(self, v1: Path) -> None:
        cgroup.create(self.GROUP, v1)
        (v1 / "pids/pr-dev-laptop/daemons/cgroup.procs").write_text("11\n12\n")
        (v1 / "memory/pr-dev-laptop/docker").mkdir()
        (v1 / "memory/pr-dev-laptop/docker/cgroup.procs").write_text("12\n13\n0\n")
        assert cgroup.members(self.GROUP, v1) == {11, 12, 13}

    def test_controllers_that_the_kubelet_added_are_taken_back(self, v2: Path) -> None:
        before = cgroup.controllers(v2)
        (v2 / "cgroup.subtree_control").write_text("cpuset memory pids\n")
        cgroup.restore(before, v2)
        assert (v2 / "cgroup.subtree_control").read_text() == "-cpuset"


class TestImages:
    def test_an_archive_is_an_oci_layout(self, busybox: Path, tmp_path: Path) -> None:
        with tarfile.open(archive.archive(images.test_image(busybox), tmp_path)) as tar:
            [manifest] = _json(tar, "index.json")["manifests"]
            assert manifest["annotations"]["io.containerd.image.name"] == "docker.io/library/busybox:1.35"
            described = _json(tar, _blob(manifest["digest"]))
            for descriptor in (manifest, described["config"], *described["layers"]):
                content = _read(tar, _blob(descriptor["digest"]))
                assert hashlib.sha256(content).hexdigest() == descriptor["digest"].removeprefix("sha256:")
                assert len(content) == descriptor["size"]

    def test_the_same_archive_is_what_docker_load_reads(self, busybox: Path, tmp_path: Path) -> None:
        with tarfile.open(archive.archive(images.test_image(busybox), tmp_path)) as tar:
            [saved] = _json(tar, "manifest.json")
            assert saved["RepoTags"] == ["docker.io/library/busybox:1.35"]
            assert {saved["Config"], *saved["Layers"]} <= {*tar.getnames()}

    def test_the_registry_image_is_laid_out_as_the_official_one(self, busybox: Path, tmp_path: Path) -> None:
        image = images.registry(busybox, busybox, "3.1.2")
        with tarfile.open(archive.archive(image, tmp_path)) as tar:
            config = _json(tar, _json(tar, "manifest.json")[0]["Config"])["config"]
            layer = tar.extractfile(_json(tar, "manifest.json")[0]["Layers"][0])
            with tarfile.open(fileobj=layer) as files:
                names = {*files.getnames()}
        assert config["Entrypoint"] == ["/entrypoint.sh"]
        assert config["Cmd"] == ["/etc/distribution/config.yml"]
        assert {"bin/registry", "bin/sh", "entrypoint.sh", "etc/distribution/config.yml"} <= names

    def test_an_image_of_other_programs_is_another_archive(self, busybox: Path) -> None:
        before = images.test_image(busybox).key
        busybox.write_text("another")
        assert images.test_image(busybox).key != before


class TestRequirements:
    def test_without_root_the_remedy_is_one_line(self, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        with pytest.raises(Unmet, match=r"needs root: .*KUBECONFIG") as unmet:
            requirements.check(plan)
        assert "\n" not in str(unmet.value)

    def test_another_system_than_linux_is_named(self, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("platform.system", lambda: "Darwin")
        with pytest.raises(Unmet, match="needs Linux, this is Darwin"):
            requirements.check(plan)

    @pytest.mark.parametrize(
        ("state", "reason"),
        [
            ("/var/lib/jenkins/clone/.dev", "have a /var of their own"),
            ("/run/clone", "have a /run of their own"),
            (f"/srv/{'deep/' * 20}clone", "too long for a socket"),
            ("/srv/a:b", "mount options cannot carry"),
        ],
    )
    def test_a_clone_in_a_place_that_cannot_work_is_told_to_move(
        self, state: str, reason: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr("platform.system", lambda: "Linux")
        monkeypatch.setattr("shutil.which", lambda tool: f"/bin/{tool}")
        with pytest.raises(Unmet, match=reason):
            requirements.check(Plan("dev", Path(state)))

    def test_too_many_who_watch_files_are_told_before_a_daemon_ends_of_it(
        self, plan: Plan, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr("platform.system", lambda: "Linux")
        monkeypatch.setattr("shutil.which", lambda tool: f"/bin/{tool}")
        monkeypatch.setattr(requirements, "_check_kernel", lambda _: None)
        monkeypatch.setattr(requirements, "spare_watchers", lambda wanted: wanted - 29)
        with pytest.raises(Unmet, match=r"watch files 3 times more, .* `sysctl fs\.inotify\.max_user_instances=512`"):
            requirements.check(plan)

    def test_what_was_opened_to_see_how_many_there_are_is_closed(self) -> None:
        before = len(os.listdir("/proc/self/fd"))
        assert 0 < requirements.spare_watchers(8) <= 8
        assert len(os.listdir("/proc/self/fd")) == before


_CONTROL_PLANE = (
    control_plane.etcd,
    control_plane.api_server,
    control_plane.controller_manager,
    control_plane.scheduler,
)


def _certificate(folder: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes())


def _kubelet_configuration(plan: Plan, host: Host) -> dict[str, object]:
    return dict(yaml.safe_load(node.kubelet(plan, host).files["/var/lib/kubelet/config.yaml"]))


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    member = tar.extractfile(name)
    assert member
    return member.read()


def _json(tar: tarfile.TarFile, name: str) -> Any:
    return json.loads(_read(tar, name))


def _blob(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"
