"""The parts of the embedded cluster that need no root: plan, keys, processes, control groups, requirements."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from ipaddress import ip_address, ip_network
from pathlib import Path, PurePosixPath
from types import SimpleNamespace

import pytest

from dev.cluster import Cluster, cgroup, inotify, laptop, network, node, pki, plan, process, programs, requirements
from dev.cluster.archive import Image
from dev.cluster.plan import (
    HOSTS,
    MACHINE,
    MASTER,
    NETWORK,
    NETWORK_IPV6,
    NODES,
    PODS,
    PODS_IPV6,
    SERVICES,
    SERVICES_IPV6,
    Plan,
)
from dev.errors import ClusterError, RequirementError
from dev.toolchain.programs import KUBERNETES, OTHER_RELEASES, PROGRAMS, RELEASE
from registry.validation.nodes import CONTAINERD_FOLDER, DOCKER_FOLDER

MAX_LINK_NAME = 15
"""Characters that Linux allows for the name of a network link."""


@pytest.fixture
def dev_plan(tmp_path: Path) -> Plan:
    return Plan("dev", tmp_path)


class TestInotify:
    @pytest.fixture(autouse=True)
    def machine(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Let the module use files of a test, and find too few free instances."""
        (tmp_path / "limit").write_text("100\n")
        (tmp_path / "netns").mkdir()
        for name, file in {"LIMIT_FILE": "limit", "ORIGINAL_FILE": "original", "NAMESPACES": "netns"}.items():
            monkeypatch.setattr(inotify, name, tmp_path / file)
        monkeypatch.setattr(inotify, "count_free", lambda most: min(most, 3))
        return tmp_path

    def test_the_last_cluster_restores_the_limit(self, machine: Path) -> None:
        inotify.raise_limit_if_needed()
        inotify.raise_limit_if_needed()
        assert int((machine / "limit").read_text()) == 100 + 2 * inotify.INSTANCES
        (machine / "netns/pr-other-switch").touch()
        inotify.restore_limit()
        assert int((machine / "limit").read_text()) > 100, "Another cluster runs."
        (machine / "netns/pr-other-switch").unlink()
        for _ in range(2):
            inotify.restore_limit()
            assert (machine / "limit").read_text() == "100\n"
        assert not (machine / "original").exists()

    def test_the_limit_stays_if_enough_instances_are_free(self, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(inotify, "count_free", lambda most: most)
        inotify.raise_limit_if_needed()
        assert [file.name for file in sorted(machine.iterdir())] == ["limit", "netns"]
        assert (machine / "limit").read_text() == "100\n"


class TestRelease:
    @pytest.mark.parametrize(
        ("variable", "program"),
        [("", "kube"), (RELEASE, "kube"), *((release, f"kube-{release}") for release in OTHER_RELEASES)],
    )
    def test_a_variable_selects_the_release_of_kubernetes(
        self, monkeypatch: pytest.MonkeyPatch, variable: str, program: str
    ) -> None:
        monkeypatch.setenv(programs.RELEASE_VARIABLE, variable)
        assert programs.list_built_programs()[0] == program
        assert PROGRAMS[program].version == KUBERNETES[variable or RELEASE]

    @pytest.mark.parametrize("release", ["1.35", "1.36.3", "latest"])
    def test_another_release_is_refused(self, monkeypatch: pytest.MonkeyPatch, release: str) -> None:
        monkeypatch.setenv(programs.RELEASE_VARIABLE, release)
        with pytest.raises(RequirementError) as raised:
            programs.choose_release()
        assert repr(release) in raised.value.cause
        assert all(supported in raised.value.remedy for supported in KUBERNETES)

    def test_data_of_a_newer_release_are_refused_before_anything_is_built(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(programs, "build_program", lambda name: pytest.fail(name))
        monkeypatch.setenv(programs.RELEASE_VARIABLE, [*KUBERNETES][-1])
        saved = programs.Programs("kube", "registry", "busybox", "plugins", kubernetes="1.100.0")
        (tmp_path / "programs.json").write_text(json.dumps(asdict(saved)))
        with pytest.raises(RequirementError) as raised:
            programs.provide_programs(tmp_path / "programs.json")
        assert "1.100.0" in raised.value.cause
        assert "make wipe" in raised.value.remedy


def test_inotify_instances_are_counted_up_to_a_number_and_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    results = iter([os.dup(0), os.dup(0), -1, os.dup(0)])
    kernel = SimpleNamespace(inotify_init=lambda: next(results))
    monkeypatch.setattr("ctypes.CDLL", lambda _: kernel)
    before = len(os.listdir("/proc/self/fd"))
    assert inotify.count_free(3) == 2
    assert len(os.listdir("/proc/self/fd")) == before - 2
    os.close(next(results))


class TestPlan:
    def test_addresses_are_distinct_and_ranges_do_not_overlap(self) -> None:
        ipv4 = NETWORK, SERVICES, PODS, [MACHINE, *(host.address for host in HOSTS)], [host.pods for host in NODES]
        ipv6 = NETWORK_IPV6, SERVICES_IPV6, PODS_IPV6, [host.ipv6 for host in HOSTS], [host.pods_ipv6 for host in NODES]
        for hosts, services, pods, addresses, subnets in (ipv4, ipv6):
            ranges = [ip_network(cidr) for cidr in (hosts, services, *subnets)]
            assert len({*addresses}) == len(addresses)
            assert all(ip_address(address) in ip_network(hosts) for address in addresses)
            assert not any(one.overlaps(other) for one in ranges for other in ranges if one is not other)
            assert all(ip_network(subnet).subnet_of(ip_network(pods)) for subnet in subnets)  # type: ignore[arg-type]

    def test_two_clusters_share_no_name_in_the_kernel(self, dev_plan: Plan) -> None:
        def kernel_names(cluster: Plan) -> set[str]:
            host_names = {name for host in HOSTS for name in (cluster.netns(host), str(cluster.cgroup(host)))}
            return host_names | {cluster.link, cluster.switch}

        assert kernel_names(dev_plan).isdisjoint(kernel_names(replace(dev_plan, name="e2e")))

    def test_the_longest_cluster_name_fits_into_a_link_name(self, dev_plan: Plan) -> None:
        assert len(replace(dev_plan, name="abcdefghijk").link) <= MAX_LINK_NAME

    @pytest.mark.parametrize("name", ["", "Dev", "-dev", "1dev", "a/b", "twelve-chars"])
    def test_an_invalid_name_is_refused(self, name: str, dev_plan: Plan) -> None:
        with pytest.raises(RequirementError):
            replace(dev_plan, name=name)

    @pytest.mark.parametrize("path", ["/etc/hosts", "/root", "/var/../root", "/variety", "var/lib"])
    def test_a_path_outside_the_folders_of_a_host_is_refused(self, path: str, dev_plan: Plan) -> None:
        with pytest.raises(ValueError, match="folders of a host"):
            dev_plan.path(MASTER, path)

    def test_the_runtimes_look_for_certificates_where_the_component_writes_them(self) -> None:
        assert (plan.CONTAINERD_CERTIFICATES, plan.DOCKER_CERTIFICATES) == (CONTAINERD_FOLDER, DOCKER_FOLDER)


def test_a_program_at_another_path_of_an_image_is_another_archive(tmp_path: Path) -> None:
    (tmp_path / "program").touch()
    images = [Image("registry:3", tmp_path / "program", {path: tmp_path / "program"}) for path in ("/bin/a", "/bin/b")]
    assert images[0].key != images[1].key


def test_only_the_owner_can_read_private_keys(tmp_path: Path) -> None:
    pki.create_pki(tmp_path)
    private_files = [*tmp_path.glob("*.key"), *tmp_path.glob("*.conf")]
    assert private_files
    assert {path.stat().st_mode & 0o777 for path in private_files} == {0o600}


def test_a_cluster_that_never_ran_is_down(tmp_path: Path) -> None:
    status = Cluster(tmp_path, "unheard-of").status()
    assert not any(status.daemons.values())
    assert status.nodes == {"k8s-master": False, "k8s-worker": False}
    assert not status.is_up


class TestDaemons:
    def test_docker_does_not_change_the_firewall_of_the_machine(self, dev_plan: Plan) -> None:
        assert {"--iptables=false", "--bridge=none", "--ip-forward=false"} <= {*laptop.define_dockerd(dev_plan).argv}

    def test_a_changed_configuration_changes_the_fingerprint(self, dev_plan: Plan) -> None:
        kubelet = node.define_kubelet(dev_plan, MASTER)
        other = node.define_kubelet(replace(dev_plan, name="e2e"), MASTER)
        environment = {"PATH": "/bin"}
        assert kubelet.fingerprint(environment) == node.define_kubelet(dev_plan, MASTER).fingerprint(environment)
        assert kubelet.fingerprint(environment) != other.fingerprint(environment)
        assert kubelet.fingerprint(environment) != kubelet.fingerprint({"PATH": "/usr/bin"})

    def test_a_process_outside_the_control_group_is_not_the_daemon(self, dev_plan: Plan) -> None:
        record = dev_plan.record(MASTER, "etcd")
        record.parent.mkdir(parents=True)
        record.write_text(f"{os.getpid()} fingerprint\n")
        assert not process.is_running(dev_plan, MASTER, "etcd")
        process.stop(dev_plan, MASTER, "etcd")  # This process would end if it were taken for the daemon.

    def test_a_daemon_that_ended_is_reported_with_its_log(self, dev_plan: Plan) -> None:
        log = dev_plan.log(MASTER, "etcd")
        log.parent.mkdir(parents=True)
        log.write_text("first\nlast\n")
        with pytest.raises(ClusterError) as raised:
            process.wait_until_ready(dev_plan, process.Daemon(MASTER, "etcd", ()), lambda: False)
        assert raised.value.details == "last"
        assert str(log) in raised.value.remedy


class TestControlGroups:
    GROUP = PurePosixPath("/pr-dev-laptop")

    def test_all_processes_are_found_on_v1(self, tmp_path: Path) -> None:
        for controller in ("cpu,cpuacct", "memory", "pids"):
            (tmp_path / controller).mkdir()
            (tmp_path / controller / "cgroup.procs").touch()
        (tmp_path / "cpu").symlink_to("cpu,cpuacct")
        assert [folder.name for folder in cgroup.list_hierarchies(tmp_path)] == ["cpu,cpuacct", "memory", "pids"]
        cgroup.create(self.GROUP, tmp_path)
        (tmp_path / "pids/pr-dev-laptop/daemons/cgroup.procs").write_text("11\n12\n")
        (tmp_path / "memory/pr-dev-laptop/docker").mkdir()
        (tmp_path / "memory/pr-dev-laptop/docker/cgroup.procs").write_text("12\n13\n0\n")
        assert cgroup.read_members(self.GROUP, tmp_path) == {11, 12, 13}

    def test_controllers_that_the_kubelet_enabled_on_v2_are_disabled_again(self, tmp_path: Path) -> None:
        (tmp_path / "cgroup.controllers").write_text("cpuset cpu memory pids\n")
        subtree_control = tmp_path / "cgroup.subtree_control"
        subtree_control.write_text("memory pids\n")
        assert cgroup.list_hierarchies(tmp_path) == [tmp_path]
        before = cgroup.read_controllers(tmp_path)
        subtree_control.write_text("cpuset memory pids\n")
        cgroup.restore_controllers(before, tmp_path)
        # The kernel would execute this command. A plain file keeps it.
        assert subtree_control.read_text() == "-cpuset"


class TestRequirements:
    @pytest.fixture(autouse=True)
    def suitable_machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr("platform.system", lambda: "Linux")
        monkeypatch.setattr("shutil.which", lambda tool: f"/bin/{tool}")

    @pytest.mark.parametrize(
        ("name", "value"),
        [("os.geteuid", 1000), ("platform.system", "Darwin"), ("shutil.which", None)],
    )
    def test_root_linux_and_tools_are_required(
        self, name: str, value: object, dev_plan: Plan, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(name, lambda *_: value)
        with pytest.raises(RequirementError):
            requirements.check(dev_plan)

    def test_wipe_deletes_nothing_without_root(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        (tmp_path / "image").touch()
        with pytest.raises(RequirementError):
            Cluster(tmp_path, "unheard-of").wipe()
        assert (tmp_path / "image").exists()

    def test_wipe_is_refused_while_another_clone_runs_a_cluster_of_the_same_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mine, other = tmp_path / "mine", tmp_path / "other"
        for folder in (mine, other):
            folder.mkdir()
            (folder / "lock").touch()  # a state folder in use has this file
        monkeypatch.setattr(network, "find_owner", lambda _: other)
        with pytest.raises(RequirementError) as raised:
            Cluster(mine, "unheard-of").wipe()
        assert str(other) in raised.value.cause
        assert mine.exists(), "The refusal comes before any deletion."

    @pytest.mark.parametrize(
        ("state", "reason"),
        [
            ("/var/lib/jenkins/clone/.dev", "/var"),
            ("/run/clone", "/run"),
            (f"/srv/{'deep/' * 20}clone", str(requirements.MAX_SOCKET_PATH)),
            ("/srv/a:b", "colon"),
        ],
    )
    def test_an_unsuitable_folder_is_refused(self, state: str, reason: str) -> None:
        with pytest.raises(RequirementError) as raised:
            requirements.check(Plan("dev", Path(state)))
        assert reason in raised.value.cause

    def test_too_few_inotify_instances_are_refused(self, dev_plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(requirements, "_check_kernel", lambda _: None)
        monkeypatch.setattr(inotify, "can_raise_limit", lambda: False)
        monkeypatch.setattr(inotify, "count_free", lambda _: 3)
        with pytest.raises(RequirementError) as raised:
            requirements.check(dev_plan)
        assert "inotify" in raised.value.remedy

    @pytest.mark.parametrize(
        ("link", "alias", "cause", "remedy"),
        [
            ("eth9", None, "eth9", "ip address del"),
            ("eth9", "uplink", "eth9", "ip address del"),
            ("pr-second", "/other/.dev/second", "/other/.dev/second", "down --cluster second"),
        ],
    )
    def test_addresses_in_use_are_refused_unless_the_cluster_is_isolated(
        self, link: str, alias: str | None, cause: str, remedy: str, dev_plan: Plan, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class FakeIPRoute:
            def __enter__(self) -> "FakeIPRoute":
                return self

            def __exit__(self, *_: object) -> None: ...

            def link(self, _: str) -> list[Mapping[str, object]]:
                return [{"index": 7, "ifname": link, "ifalias": alias}]

            def addr(self, _: str) -> list[Mapping[str, object]]:
                return [{"index": 7, "address": "192.168.56.20"}, {"index": 7, "address": None}]

        monkeypatch.setattr(network, "IPRoute", FakeIPRoute)
        with pytest.raises(RequirementError) as raised:
            network.check_addresses(dev_plan)
        assert cause in raised.value.cause
        assert remedy in raised.value.remedy
        network.check_addresses(replace(dev_plan, isolated=True))
